// A client of the services in JavaScript, written from docs/rpc.md alone: node's sockets and
// protobufjs, no nng. It shows that the page is enough, and lets tests call services.
//
//     const client = new RpcClient('tcp://127.0.0.1:7110', { service: 'my-tool' });
//     const reply = await client.call('mmorts.world.World/GetStatus', { session: 'main' });
//     const reader = new StreamReader({ url, client, stream: 'tick', session: 'main',
//         onMessage(message) {}, onSnapshot(snapshot) {} });
//     …
//     reader.close(); client.close();

import { randomBytes, randomInt } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { connect } from 'node:net';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import protobuf from 'protobufjs';
import { PATIENCE_MS } from './servers.mjs';

const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), '../..');

const REQUEST_BYTES_MAX = 1 << 20;
const MESSAGE_BYTES_MAX = 64 << 20;
const RECONNECT_FIRST_MS = 50;
const RECONNECT_MS = 200;
const RETRY_FIRST_MS = 20;
const RETRY_MAX_MS = 320;

export const CODES = [
    'OK', 'CANCELLED', 'UNKNOWN', 'INVALID_ARGUMENT', 'DEADLINE_EXCEEDED', 'NOT_FOUND',
    'ALREADY_EXISTS', 'PERMISSION_DENIED', 'RESOURCE_EXHAUSTED', 'FAILED_PRECONDITION', 'ABORTED',
    'OUT_OF_RANGE', 'UNIMPLEMENTED', 'INTERNAL', 'UNAVAILABLE', 'DATA_LOSS', 'UNAUTHENTICATED',
];

// --- messages ------------------------------------------------------------------------------------

const root = new protobuf.Root();
root.resolvePath = (origin, target) =>
    target.includes('/') ? target : join(ROOT, 'proto', target);
root.loadSync(
    ['proto', 'tests/support'].flatMap((folder) =>
        readdirSync(join(ROOT, folder))
            .filter((name) => name.endsWith('.proto'))
            .map((name) => join(ROOT, folder, name)),
    ),
    { keepCase: true },
);
root.resolveAll();

// Packs a plain object with the .proto's field names; 64-bit integers as numbers or strings.
export function encode(type, object) {
    const message = root.lookupType(type);
    return Buffer.from(message.encode(message.fromObject(object)).finish());
}

// Unpacks; every field is there, 64-bit integers are BigInts, bytes are Buffers, enums are names.
export function decode(type, bytes) {
    const message = root.lookupType(type);
    const object = message.toObject(message.decode(bytes), {
        longs: String,
        bytes: Buffer,
        enums: String,
        defaults: true,
        arrays: true,
    });
    return withBigInts(message, object);
}

const WIDE = new Set(['int64', 'uint64', 'sint64', 'fixed64', 'sfixed64']);

function withBigInts(type, object) {
    for (const field of type.fieldsArray) {
        const value = object[field.name];
        if (value === undefined || value === null || field.map) continue;
        const each = (change) =>
            (object[field.name] = field.repeated ? value.map(change) : change(value));
        if (WIDE.has(field.type)) each(BigInt);
        else if (field.resolvedType instanceof protobuf.Type)
            each((item) => withBigInts(field.resolvedType, item));
    }
    return object;
}

export class RpcError extends Error {
    constructor(code, message, details = {}) {
        super(`${code}: ${message}`);
        this.code = code;
        this.reason = message;
        this.details = details;
    }
}

// --- bytes on the connection ---------------------------------------------------------------------

const REQ = 0x30;
const REP = 0x31;
const PUB = 0x20;
const SUB = 0x21;

// One connection that is made again whenever it breaks. Handlers: up(), down(), message(payload).
class Connection {
    constructor(url, own, other, handlers) {
        const address = /^(tcp|ipc):\/\/(.*)$/.exec(url);
        if (!address) throw new Error(`not an address: ${url}`);
        this.isIpc = address[1] === 'ipc';
        if (this.isIpc) {
            this.target = { path: address[2] };
        } else {
            const [, host, port] = /^\[?(.*?)\]?:(\d+)$/.exec(address[2]);
            this.target = { host, port: Number(port) };
        }
        this.own = own;
        this.other = other;
        this.handlers = handlers;
        this.isUp = false;
        this.isClosed = false;
        this.pause = RECONNECT_FIRST_MS;
        this.open();
    }

    open() {
        const socket = connect(this.target);
        this.socket = socket;
        this.pieces = [];
        this.held = 0;
        this.isGreeted = false;
        socket.setNoDelay(true);
        socket.on('connect', () => socket.write(Buffer.from([0, 0x53, 0x50, 0, 0, this.own, 0, 0])));
        socket.on('data', (bytes) => this.take(bytes));
        socket.on('error', () => {}); // 'close' follows
        socket.on('close', () => this.lost(socket));
    }

    lost(socket) {
        if (socket !== this.socket) return;
        const wasUp = this.isUp;
        this.isUp = false;
        if (wasUp) this.handlers.down();
        if (this.isClosed) return;
        this.timer = setTimeout(() => this.open(), this.pause);
        this.pause = RECONNECT_MS;
    }

    // The first `count` bytes of what has come, or null. Pieces are joined only when needed.
    peek(count) {
        if (this.held < count) return null;
        if (this.pieces[0].length < count) this.pieces = [Buffer.concat(this.pieces)];
        return this.pieces[0].subarray(0, count);
    }

    skip(count) {
        this.held -= count;
        this.pieces[0] = this.pieces[0].subarray(count);
        if (this.pieces[0].length === 0) this.pieces.shift();
    }

    take(bytes) {
        this.pieces.push(bytes);
        this.held += bytes.length;
        if (!this.isGreeted) {
            const hello = this.peek(8);
            if (!hello) return;
            if (!hello.equals(Buffer.from([0, 0x53, 0x50, 0, 0, this.other, 0, 0]))) {
                this.socket.destroy();
                return;
            }
            this.skip(8);
            this.isGreeted = true;
            this.isUp = true;
            this.pause = RECONNECT_FIRST_MS;
            this.handlers.up();
        }
        const headBytes = this.isIpc ? 9 : 8;
        for (;;) {
            const head = this.peek(headBytes);
            if (!head) return;
            const length = Number(head.readBigUInt64BE(headBytes - 8));
            if ((this.isIpc && head[0] !== 1) || length > MESSAGE_BYTES_MAX) {
                this.socket.destroy();
                return;
            }
            const whole = this.peek(headBytes + length);
            if (!whole) return;
            this.skip(headBytes + length);
            this.handlers.message(whole.subarray(headBytes));
        }
    }

    send(payload) {
        const length = Buffer.alloc(8);
        length.writeBigUInt64BE(BigInt(payload.length));
        this.socket.write(Buffer.concat(this.isIpc ? [Buffer.from([1]), length, payload] : [length, payload]));
    }

    close() {
        this.isClosed = true;
        clearTimeout(this.timer);
        this.socket.destroy();
    }
}

// --- calls ---------------------------------------------------------------------------------------

// The envelope of a call; for tests of the bytes too.
export function requestEnvelope(method, body, { deadlineMs, requestId, traceparent, caller }) {
    return encode('mmorts.rpc.Request', {
        method,
        deadline_ms: deadlineMs,
        request_id: requestId,
        traceparent,
        caller,
        body,
    });
}

export class RpcClient {
    constructor(url, { service = 'js', instance = '' } = {}) {
        this.caller = { service, instance };
        this.waiting = new Map(); // id -> {resolve, reject, timer}
        this.nextId = randomInt(0x7fffffff);
        this.whenUp = []; // functions that are given an error, or nothing
        this.connection = new Connection(url, REQ, REP, {
            up: () => this.whenUp.splice(0).forEach((tell) => tell()),
            down: () => this.failAll('the connection was lost'),
            message: (payload) => this.take(payload),
        });
    }

    get connected() {
        return this.connection.isUp;
    }

    // Resolves with the reply message, rejects with an RpcError. Options: deadlineMs (PATIENCE_MS),
    // requestId (Buffer of 16), traceparent, playerId, permissions, idempotent (tries again),
    // wait (false: fail at once without a connection).
    async call(method, request = {}, options = {}) {
        const { input, output } = findMethod(method);
        const deadlineMs = options.deadlineMs ?? PATIENCE_MS;
        const deadline = performance.now() + deadlineMs;
        const requestId = options.requestId ?? randomBytes(16);
        const body = encode(input, request);
        let pause = RETRY_FIRST_MS;
        for (;;) {
            try {
                if (options.wait !== false) await this.up(deadline, deadlineMs);
                const left = Math.max(1, Math.ceil(deadline - performance.now()));
                const bytes = requestEnvelope(method, body, {
                    deadlineMs: left,
                    requestId,
                    traceparent: options.traceparent,
                    caller: {
                        ...this.caller,
                        player_id: options.playerId ?? 0,
                        permissions: options.permissions ?? 0,
                    },
                });
                const reply = await this.exchange(bytes, left);
                return decode(output, reply.body);
            } catch (error) {
                const again =
                    options.idempotent &&
                    error.code === 'UNAVAILABLE' &&
                    !this.connection.isClosed &&
                    performance.now() + pause < deadline;
                if (!again) throw error;
                await new Promise((done) => setTimeout(done, pause));
                pause = Math.min(2 * pause, RETRY_MAX_MS);
            }
        }
    }

    async up(deadline, deadlineMs) {
        if (this.connection.isClosed) throw new RpcError('UNAVAILABLE', 'closed');
        if (this.connected) return;
        await new Promise((done, fail) => {
            const timer = setTimeout(
                () => fail(new RpcError('DEADLINE_EXCEEDED', `no connection within ${deadlineMs} ms`)),
                deadline - performance.now(),
            );
            this.whenUp.push((error) => {
                clearTimeout(timer);
                if (error) fail(error);
                else done();
            });
        });
    }

    // Sends an envelope as it is; resolves with the Reply of code OK.
    exchange(envelope, timeoutMs) {
        if (!this.connected) {
            return Promise.reject(new RpcError('UNAVAILABLE', 'there is no connection'));
        }
        if (envelope.length > REQUEST_BYTES_MAX) {
            return Promise.reject(new RpcError('RESOURCE_EXHAUSTED', 'the request is too large'));
        }
        this.nextId = (this.nextId + 1) % 0x80000000;
        const id = Buffer.alloc(4);
        id.writeUInt32BE(0x80000000 + this.nextId);
        const key = id.readUInt32BE();
        return new Promise((resolveCall, reject) => {
            const timer = setTimeout(() => {
                this.waiting.delete(key);
                reject(new RpcError('DEADLINE_EXCEEDED', `no answer within ${timeoutMs} ms`));
            }, timeoutMs);
            this.waiting.set(key, { resolve: resolveCall, reject, timer });
            this.connection.send(Buffer.concat([id, envelope]));
        });
    }

    take(payload) {
        if (payload.length < 4) return;
        const key = payload.readUInt32BE();
        const call = this.waiting.get(key);
        if (!call) return; // came too late
        this.waiting.delete(key);
        clearTimeout(call.timer);
        const reply = decode('mmorts.rpc.Reply', payload.subarray(4));
        if (reply.code === 'OK') {
            call.resolve(reply);
        } else {
            const details = Object.fromEntries(reply.details.map(({ key: k, value }) => [k, value]));
            call.reject(new RpcError(reply.code, reply.message, details));
        }
    }

    failAll(reason) {
        for (const call of this.waiting.values()) {
            clearTimeout(call.timer);
            call.reject(new RpcError('UNAVAILABLE', reason));
        }
        this.waiting.clear();
    }

    // Ends all that is under way: a call that tried again would keep the process until its deadline.
    close() {
        this.connection.close();
        this.failAll('closed');
        this.whenUp.splice(0).forEach((tell) => tell(new RpcError('UNAVAILABLE', 'closed')));
    }
}

function findMethod(name) {
    const [serviceName, methodName] = name.split('/');
    const method = root.lookupService(serviceName).methods[methodName];
    return {
        input: method.resolvedRequestType.fullName.slice(1),
        output: method.resolvedResponseType.fullName.slice(1),
    };
}

// --- streams -------------------------------------------------------------------------------------

const SILENCE_MS = 1000;
const CATCH_UP_RETRY_FIRST_MS = 50;
const CATCH_UP_RETRY_MAX_MS = 1000;
const KEPT_MAX = 256;

// Follows a stream by the state table of docs/rpc.md. Options: url, client (RpcClient of the
// publisher), stream, session, epoch and seq (where to go on), filter, silenceMs, onMessage({epoch,
// seq, tick, body}), onSnapshot({epoch, seq, tick, body}), onState(state).
export class StreamReader {
    constructor(options) {
        this.options = { silenceMs: SILENCE_MS, ...options };
        this.epoch = BigInt(options.epoch ?? 0);
        this.seq = BigInt(options.seq ?? 0);
        this.state = 'DOWN';
        this.kept = [];
        this.run = 0; // a catching up that was given up sees another number
        this.counts = { gaps: 0, replays: 0, snapshots: 0 };
        this.topic = encode('mmorts.stream.StreamMessage', {
            stream: options.stream,
            session: options.session,
        });
        this.connection = new Connection(options.url, SUB, PUB, {
            up: () => this.catchUp(),
            down: () => this.goDown(),
            message: (payload) => this.take(payload),
        });
    }

    setState(state) {
        if (this.state === state) return;
        this.state = state;
        this.options.onState?.(state);
    }

    goDown() {
        this.run++;
        clearTimeout(this.silence);
        this.kept = [];
        this.setState('DOWN');
    }

    take(payload) {
        if (!payload.subarray(0, this.topic.length).equals(this.topic)) return;
        const message = decode('mmorts.stream.StreamMessage', payload);
        if (this.state !== 'LIVE') {
            this.keep(message);
            return;
        }
        this.listen();
        if (!this.apply(message)) {
            this.keep(message);
            this.catchUp();
        }
    }

    keep(message) {
        this.kept.push(message);
        if (this.kept.length > KEPT_MAX) this.kept.shift();
    }

    // False: the message does not follow what was applied.
    apply({ epoch, seq, tick, body }) {
        if (epoch !== this.epoch) return false;
        if (seq > this.seq + 1n) {
            this.counts.gaps++;
            return false;
        }
        if (seq === this.seq + 1n) {
            this.seq = seq;
            this.options.onMessage({ epoch, seq, tick, body });
        }
        return true;
    }

    async catchUp() {
        const run = ++this.run;
        clearTimeout(this.silence);
        this.setState('CATCHING UP');
        let pause = CATCH_UP_RETRY_FIRST_MS;
        while (run === this.run) {
            try {
                if ((await this.step(run)) && run === this.run) {
                    this.goLive();
                    return;
                }
            } catch (error) {
                if (run !== this.run) return;
                if (!(error instanceof RpcError)) throw error;
                await new Promise((done) => setTimeout(done, pause));
                pause = Math.min(2 * pause, CATCH_UP_RETRY_MAX_MS);
            }
        }
    }

    // One call; true once the newest message is applied.
    async step(run) {
        const { client, stream, session, filter } = this.options;
        if (this.epoch === 0n) {
            const snapshot = await client.call(
                'mmorts.stream.Stream/Snapshot',
                { stream, session, filter },
                { idempotent: true },
            );
            if (run !== this.run) return false;
            this.counts.snapshots++;
            this.epoch = snapshot.epoch;
            this.seq = snapshot.seq;
            this.options.onSnapshot(snapshot);
            return false;
        }
        const reply = await this.replay();
        if (run !== this.run) return false;
        if (reply.snapshot_needed) {
            this.epoch = 0n;
            return false;
        }
        for (const message of reply.messages) this.apply({ ...message, epoch: reply.epoch });
        return this.seq >= reply.newest_seq;
    }

    async replay() {
        const { client, stream, session } = this.options;
        this.counts.replays++;
        return client.call(
            'mmorts.stream.Stream/Replay',
            { stream, session, epoch: String(this.epoch), from_seq: String(this.seq + 1n) },
            { idempotent: true },
        );
    }

    goLive() {
        while (this.kept.length > 0) {
            if (!this.apply(this.kept.shift())) {
                this.catchUp();
                return;
            }
        }
        this.setState('LIVE');
        this.listen();
    }

    listen() {
        clearTimeout(this.silence);
        this.silence = setTimeout(() => this.probe(), this.options.silenceMs);
    }

    async probe() {
        const run = this.run;
        const reply = await this.replay().catch(() => null);
        if (run !== this.run) return;
        const isNew = reply && (reply.epoch !== this.epoch || reply.newest_seq > this.seq);
        if (isNew) this.catchUp();
        else this.listen();
    }

    close() {
        this.run++;
        clearTimeout(this.silence);
        this.connection.close();
    }
}
