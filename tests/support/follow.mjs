// Follows a stream by Replay calls that wait for what is new, as docs/rpc.md tells: for streams that
// are not on the publisher's socket. Written from that page alone, as rpc.mjs.
//
// Options: client (RpcClient of the publisher), stream, session, epoch and seq (where to go on; without
// them with the newest message), waitMs, onMessage({epoch, seq, tick, body}), onGap() for another epoch
// or messages that are no longer held, onUnknown() when there is no such stream.
import { RpcError } from './rpc.mjs';

const RETRY_MS = 50;

export class StreamFollower {
    constructor(options) {
        this.options = { waitMs: 5000, ...options };
        this.epoch = BigInt(options.epoch ?? 0);
        this.seq = BigInt(options.seq ?? 0);
        this.started = this.epoch !== 0n;
        this.closed = false;
        this.counts = { calls: 0, messages: 0, bytes: 0, gaps: 0 };
        this.ended = this.#run();
    }

    async #run() {
        while (!this.closed) {
            try {
                this.#take(await this.#ask());
            } catch (error) {
                if (!(error instanceof RpcError)) throw error;
                if (this.closed) return;
                if (error.code === 'NOT_FOUND') await this.options.onUnknown?.();
                await new Promise((done) => setTimeout(done, RETRY_MS));
            }
        }
    }

    #ask() {
        const { client, stream, session, waitMs } = this.options;
        const fields = { stream, session, epoch: String(this.epoch), from_seq: String(this.seq + 1n), wait_ms: waitMs };
        return client.call('mmorts.stream.Stream/Replay', fields, { deadlineMs: waitMs + 5000 });
    }

    #take(reply) {
        if (this.closed) return;
        this.counts.calls++;
        if (reply.epoch !== this.epoch || reply.snapshot_needed) {
            this.epoch = reply.epoch;
            this.seq = this.started ? reply.oldest_seq - 1n : reply.newest_seq;
            if (this.started) {
                this.counts.gaps++;
                this.options.onGap?.();
            }
            this.started = true;
            return;
        }
        for (const { seq, tick, body } of reply.messages) {
            if (seq !== this.seq + 1n) throw new Error(`message ${seq} after ${this.seq}`);
            this.seq = seq;
            this.counts.messages++;
            this.counts.bytes += body.length;
            this.options.onMessage({ epoch: this.epoch, seq, tick, body });
        }
    }

    close() {
        this.closed = true;
    }
}
