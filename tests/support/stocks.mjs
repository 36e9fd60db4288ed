// The truth about who owns what, read from production's stream, for tests that check what players
// were told of stocks and jobs.

import { publicId } from './fog.mjs';
import { StreamReader, decode } from './rpc.mjs';

export class Stocks {
    constructor() {
        this.amounts = new Map(); // "empire item" -> every amount it had, the latest last
        this.jobs = new Map(); // public job id -> empire
    }

    apply(frame) {
        frame.stock_empire.forEach((empire, i) => {
            const key = `${empire} ${frame.items[frame.stock_item[i]]}`;
            if (!this.amounts.has(key)) this.amounts.set(key, []);
            this.amounts.get(key).push(Number(frame.stock_amount[i]));
        });
        for (const job of frame.jobs) this.jobs.set(publicId('job', job.job_id), job.empire);
    }

    had(empire, item, amount) {
        return (this.amounts.get(`${empire} ${item}`) ?? []).includes(amount);
    }

    now(empire, item) {
        return (this.amounts.get(`${empire} ${item}`) ?? []).at(-1);
    }

    // Follows production's stream; resolves with the reader when the first frame is there.
    follow({ url, client, session = 'main' }) {
        return new Promise((resolve) => {
            const take = ({ body }) => {
                this.apply(decode('mmorts.frame.ProductionFrame', body));
                resolve(reader);
            };
            const reader = new StreamReader({ url, client, stream: 'production', session, onSnapshot: take, onMessage: take });
        });
    }
}
