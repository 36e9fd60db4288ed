// A clock that tests turn by hand, in place of the global timers and Date.now.

const NAMES = ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval'];

export class Clock {
    #real = Object.fromEntries(NAMES.map((name) => [name, globalThis[name]]));
    #realNow = Date.now;
    #timers = new Map();
    #nextId = 1;
    now = 1700000000000;

    constructor() {
        globalThis.setTimeout = (action, ms = 0) => this.#add(action, ms, null);
        globalThis.setInterval = (action, ms) => this.#add(action, ms, ms);
        globalThis.clearTimeout = globalThis.clearInterval = (id) => void this.#timers.delete(id);
        Date.now = () => this.now;
    }

    restore() {
        Object.assign(globalThis, this.#real);
        Date.now = this.#realNow;
    }

    #add(action, ms, every) {
        this.#timers.set(this.#nextId, { action, at: this.now + ms, every });
        return this.#nextId++;
    }

    // How many timers wait.
    get waiting() {
        return this.#timers.size;
    }

    // Lets promises go on that wait for nothing else.
    async settle() {
        await new Promise((resolve) => setImmediate(resolve));
    }

    // Moves on, firing what is due in its order.
    async pass(ms) {
        const end = this.now + ms;
        await this.settle();
        for (;;) {
            const [id, timer] = [...this.#timers].sort(([, a], [, b]) => a.at - b.at)[0] ?? [];
            if (!timer || timer.at > end) break;
            this.now = timer.at;
            if (timer.every === null) this.#timers.delete(id);
            else timer.at += timer.every;
            timer.action();
            await this.settle();
        }
        this.now = end;
    }
}
