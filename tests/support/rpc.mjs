// A client of the services' RPC and streams, written from docs/rpc.md alone: scalability protocols
// (nng's wire format) over tcp:// and ipc:// by hand, messages by protobufjs from proto/. Shares no
// code with the server side.

import { randomBytes } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import protobuf from 'protobufjs';
import { ROOT } from './servers.mjs';

const REQ = 0x30, SUB = 0x21; // protocol numbers of our side of the handshake
const CODES = [
    'OK', 'CANCELLED', 'UNKNOWN', 'INVALID_ARGUMENT', 'DEADLINE_EXCEEDED', 'NOT_FOUND', 'ALREADY_EXISTS',
    'PERMISSION_DENIED', 'RESOURCE_EXHAUSTED', 'FAILED_PRECONDITION', 'ABORTED', 'OUT_OF_RANGE',
    'UNIMPLEMENTED', 'INTERNAL', 'UNAVAILABLE', 'DATA_LOSS', 'UNAUTHENTICATED',
];

export const proto = new protobuf.Root();
proto.resolvePath = (origin, target) => join(ROOT, 'proto', target.split('/').pop());
proto.loadSync(readdirSync(join(ROOT, 'proto')).filter((name) => name.endsWith('.proto')));

const type = (name) => proto.lookupType(name);
const decode = (name, bytes) =>
    type(name).toObject(type(name).decode(bytes), { longs: String, defaults: true, arrays: true });
const encode = (name, value) => type(name).encode(type(name).fromObject(value)).finish();

// One connection of the scalability protocols: whole messages in and out.
class Pipe {
    constructor(url, protocol, { onMessage, onOpen = () => {}, onClose = () => {} }) {
        this.ipc = url.startsWith('ipc://');
        const address = url.replace(/^(ipc|tcp):\/\//, '');
        const colon = address.lastIndexOf(':');
        this.socket = this.ipc
            ? connect(address)
            : connect(Number(address.slice(colon + 1)), address.slice(0, colon));
        this.chunks = [];
        this.length = 0;
        this.greeted = false;
        this.open = false;
        const hello = Buffer.from([0, 0x53, 0x50, 0, 0, protocol, 0, 0]);
        this.socket.on('connect', () => this.socket.write(hello));
        this.socket.on('data', (chunk) => {
            this.chunks.push(chunk);
            this.length += chunk.length;
            this.#take(onMessage, onOpen);
        });
        this.socket.on('error', () => {});
        this.socket.on('close', () => {
            this.open = false;
            onClose();
        });
    }

    #peek(count) {
        if (this.length < count) return null;
        if (this.chunks[0].length < count) this.chunks = [Buffer.concat(this.chunks)];
        return this.chunks[0];
    }

    #skip(count) {
        this.chunks[0] = this.chunks[0].subarray(count);
        this.length -= count;
    }

    #take(onMessage, onOpen) {
        if (!this.greeted) {
            const hello = this.#peek(8);
            if (!hello) return;
            if (hello.readUInt32BE(0) !== 0x00535000) {
                this.socket.destroy();
                return;
            }
            this.#skip(8);
            this.greeted = this.open = true;
            onOpen();
        }
        const prefix = this.ipc ? 9 : 8; // ipc messages begin with a byte 1
        for (;;) {
            const head = this.#peek(prefix);
            if (!head) return;
            const size = Number(head.readBigUInt64BE(prefix - 8));
            const whole = this.#peek(prefix + size);
            if (!whole) return;
            const message = Buffer.from(whole.subarray(prefix, prefix + size));
            this.#skip(prefix + size);
            onMessage(message);
        }
    }

    send(parts) {
        const body = Buffer.concat(parts);
        const head = Buffer.alloc(this.ipc ? 9 : 8);
        if (this.ipc) head[0] = 1;
        head.writeBigUInt64BE(BigInt(body.length), head.length - 8);
        this.socket.write(Buffer.concat([head, body]));
    }

    close() {
        this.socket.destroy();
    }
}

export class RpcError extends Error {
    constructor(code, message) {
        super(`${code}: ${message}`);
        this.code = code;
    }
}

// Calls methods of one service process. Connects at the first call, and again after a loss.
export class RpcClient {
    constructor(url, { service = 'test' } = {}) {
        this.url = url;
        this.service = service;
        this.calls = new Map(); // request number -> { resolve, reject }
        this.next = 1;
        this.pipe = null;
    }

    #connected() {
        if (this.pipe) return this.ready;
        this.ready = new Promise((resolve, reject) => {
            const pipe = new Pipe(this.url, REQ, {
                onOpen: () => resolve(pipe),
                onMessage: (message) => this.#take(message),
                onClose: () => {
                    const error = new RpcError('UNAVAILABLE', `no connection to ${this.url}`);
                    reject(error);
                    for (const call of this.calls.values()) call.reject(error);
                    this.calls.clear();
                    this.pipe = null;
                },
            });
            this.pipe = pipe;
        });
        return this.ready;
    }

    #take(message) {
        const call = this.calls.get(message.readUInt32BE(0));
        if (!call) return;
        this.calls.delete(message.readUInt32BE(0));
        call.resolve(message.subarray(4));
    }

    // method: "mmorts.world.World/Join". Resolves with the reply as a plain object (64-bit numbers
    // as strings), rejects with RpcError.
    async call(method, request = {}, { deadlineMs = 5000 } = {}) {
        const [serviceName, methodName] = method.split('/');
        const service = proto.lookupService(serviceName);
        const { requestType, responseType } = service.methods[methodName];
        const at = (name) => service.parent.lookupType(name).fullName.slice(1);
        const pipe = await this.#connected();
        const number = (0x80000000 | this.next++) >>> 0; // the last word of the stack has its top bit set
        const header = Buffer.alloc(4);
        header.writeUInt32BE(number);
        const envelope = encode('mmorts.rpc.Request', {
            method,
            deadlineMs,
            requestId: randomBytes(16),
            caller: { service: this.service, instance: 'test' },
            body: encode(at(requestType), request),
        });
        const answer = new Promise((resolve, reject) => this.calls.set(number, { resolve, reject }));
        let timer;
        const late = new Promise((_, reject) => {
            timer = setTimeout(() => {
                this.calls.delete(number);
                reject(new RpcError('DEADLINE_EXCEEDED', method));
            }, deadlineMs + 500);
        });
        pipe.send([header, envelope]);
        const reply = type('mmorts.rpc.Reply').decode(await Promise.race([answer, late]).finally(() => clearTimeout(timer)));
        if (reply.code !== 0) throw new RpcError(CODES[reply.code], reply.message);
        return decode(at(responseType), reply.body);
    }

    close() {
        this.pipe?.close();
    }
}

// Reads a stream from a snapshot on: every message once, in order; what PUB/SUB lost is fetched by
// Replay, and where that no longer goes back far enough, by a new snapshot.
export class StreamReader {
    // onSnapshot({ frame, tick, epoch, seq }), onMessage({ frame, tick, epoch, seq })
    constructor({ url, rpc, stream, frameType, session = 'main', onSnapshot, onMessage }) {
        Object.assign(this, { rpc, stream, frameType, session, onSnapshot, onMessage });
        this.epoch = this.seq = null;
        this.waiting = [];
        this.error = null;
        this.closed = false;
        this.chain = Promise.resolve();
        this.started = new Promise((resolve, reject) => {
            this.pipe = new Pipe(url, SUB, {
                // The snapshot is asked for only when live messages are already heard.
                onOpen: () => this.#queue(() => this.#begin().then(resolve)),
                onMessage: (message) => this.#queue(() => this.#take(message)),
                onClose: () => {
                    if (!this.closed) this.error ??= new Error(`the stream at ${url} ended`);
                    reject(this.error ?? new Error('closed'));
                },
            });
        });
        this.started.catch(() => {});
    }

    #queue(work) {
        this.chain = this.chain.then(work).catch((error) => {
            this.error ??= error;
        });
    }

    async #begin() {
        const reply = await this.rpc.call('mmorts.stream.Stream/Snapshot', { stream: this.stream, session: this.session });
        this.epoch = reply.epoch;
        this.seq = BigInt(reply.seq);
        this.onSnapshot({
            frame: decode(this.frameType, reply.body), tick: Number(reply.tick), epoch: reply.epoch, seq: this.seq,
        });
    }

    async #take(bytes) {
        const message = decode('mmorts.stream.StreamMessage', bytes);
        if (message.stream !== this.stream || message.session !== this.session) return;
        const seq = BigInt(message.seq);
        if (message.epoch !== this.epoch) {
            await this.#begin();
        } else if (seq > this.seq + 1n) {
            await this.#replay();
        }
        if (message.epoch === this.epoch && seq === this.seq + 1n) this.#deliver(message);
    }

    async #replay() {
        const reply = await this.rpc.call('mmorts.stream.Stream/Replay', {
            stream: this.stream, session: this.session, epoch: this.epoch, fromSeq: String(this.seq + 1n),
        });
        if (reply.snapshotNeeded) {
            await this.#begin();
            return;
        }
        for (const message of reply.messages) {
            if (BigInt(message.seq) === this.seq + 1n) this.#deliver(message);
        }
    }

    #deliver(message) {
        this.seq = BigInt(message.seq);
        this.onMessage({
            frame: decode(this.frameType, message.body), tick: Number(message.tick), epoch: this.epoch, seq: this.seq,
        });
    }

    close() {
        this.closed = true;
        this.pipe.close();
    }
}
