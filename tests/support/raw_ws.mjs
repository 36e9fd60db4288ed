// A WebSocket client over a bare socket, written from RFC 6455 and RFC 7692, that can also do what they forbid.
// What the server sends is held against them: a frame that breaks a rule makes every later wait fail.

import { createHash, randomBytes } from 'node:crypto';
import { connect as connectTcp } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { constants, deflateRawSync, inflateRawSync } from 'node:zlib';

export const CONTINUATION = 0, TEXT = 1, BINARY = 2, CLOSE = 8, PING = 9, PONG = 10;
const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
const WAIT_MS = 120000;

// A client's frame. `length` 7, 16 or 64: the bits that say how long it is; by default as few as will do.
export function frame(opcode, payload = '', { fin = true, rsv = 0, masked = true, length } = {}) {
    const data = Buffer.from(payload);
    const bits = length ?? (data.length < 126 ? 7 : data.length < 65536 ? 16 : 64);
    const head = Buffer.alloc(2 + (bits === 16 ? 2 : bits === 64 ? 8 : 0));
    head[0] = (fin ? 0x80 : 0) | rsv << 4 | opcode;
    head[1] = (masked ? 0x80 : 0) | (bits === 7 ? data.length : bits === 16 ? 126 : 127);
    if (bits === 16) head.writeUInt16BE(data.length, 2);
    if (bits === 64) head.writeBigUInt64BE(BigInt(data.length), 2);
    if (!masked) return Buffer.concat([head, data]);
    const mask = randomBytes(4);
    return Buffer.concat([head, mask, data.map((byte, i) => byte ^ mask[i % 4])]);
}

export function closePayload(code, reason = '') {
    const data = Buffer.alloc(2);
    data.writeUInt16BE(code);
    return Buffer.concat([data, Buffer.from(reason)]);
}

// A message's payload under permessage-deflate: without what every deflated message ends in.
export function deflate(data, options = {}) {
    const packed = deflateRawSync(data, { finishFlush: constants.Z_SYNC_FLUSH, ...options });
    return packed.subarray(0, packed.length - 4);
}

// Whether a message is the answer to one of type ping with that timestamp.
export function isPong({ opcode, data }, timestamp) {
    if (opcode !== TEXT) return false;
    const { type, payload } = JSON.parse(data);
    return type === 'pong' && payload.timestamp === timestamp;
}

export class RawSocket {
    #input = Buffer.alloc(0);
    #waiters = new Set();

    constructor(port, { tls = null } = {}) {
        this.frames = [];    // {opcode, fin, rsv, payload}
        this.messages = [];  // {opcode, data, compressed}: whole ones, inflated
        this.control = [];   // likewise, of ping, pong, close
        this.response = null;
        this.closed = null;  // the server's close frame: {code, reason}
        this.ended = false;
        this.fault = null;
        this.windowBits = 15;
        this.compression = false;
        this.key = randomBytes(16).toString('base64');
        this.socket = tls ? connectTls({ host: '127.0.0.1', port, ...tls }) : connectTcp(port, '127.0.0.1');
        this.socket.setNoDelay?.(true);
        this.socket.on('data', (data) => this.#take(data));
        const end = () => {
            this.ended = true;
            this.#wake();
        };
        for (const event of ['end', 'close', 'error']) this.socket.on(event, end);
    }

    // A handshake request; `headers` replace those of the same name, null leaves one out, a list is a line for each.
    request(path, headers = {}, { method = 'GET', version = '1.1' } = {}) {
        const all = {
            Host: 'game.example', Upgrade: 'websocket', Connection: 'Upgrade', 'Sec-WebSocket-Key': this.key,
            'Sec-WebSocket-Version': '13', ...headers,
        };
        const lines = Object.entries(all).filter(([, value]) => value !== null)
            .flatMap(([name, value]) => [value].flat().map((one) => `${name}: ${one}\r\n`));
        return `${method} ${path} HTTP/${version}\r\n${lines.join('')}\r\n`;
    }

    write(data) {
        this.socket.write(data);
    }

    send(opcode, payload, options) {
        this.write(frame(opcode, payload, options));
    }

    #take(data) {
        this.#input = Buffer.concat([this.#input, data]);
        try {
            if (!this.response) this.#readResponse();
            while (this.response?.status === 101 && this.#readFrame());
        } catch (error) {
            this.fault ??= error;
        }
        this.#wake();
    }

    #readResponse() {
        const end = this.#input.indexOf('\r\n\r\n');
        if (end < 0) return;
        const [status, ...lines] = this.#input.subarray(0, end).toString('latin1').split('\r\n');
        this.#input = this.#input.subarray(end + 4);
        const headers = Object.fromEntries(lines.map((line) => [line.split(':')[0].toLowerCase(), line.slice(line.indexOf(':') + 1).trim()]));
        this.response = { status: Number(status.split(' ')[1]), headers };
        if (this.response.status !== 101) return;
        const accept = createHash('sha1').update(this.key + GUID).digest('base64');
        if (headers['sec-websocket-accept'] !== accept) throw new Error('Sec-WebSocket-Accept is wrong');
        const extension = headers['sec-websocket-extensions'];
        this.compression = extension !== undefined;
        this.windowBits = Number(/server_max_window_bits=(\d+)/.exec(extension)?.[1] ?? 15);
    }

    // One frame, if it is there whole.
    #readFrame() {
        const input = this.#input;
        if (input.length < 2) return false;
        const short = input[1] & 0x7f, extra = short === 126 ? 2 : short === 127 ? 8 : 0;
        if (input.length < 2 + extra) return false;
        const length = extra === 2 ? input.readUInt16BE(2) : extra === 8 ? Number(input.readBigUInt64BE(2)) : short;
        if (input.length < 2 + extra + length) return false;
        this.#input = input.subarray(2 + extra + length);
        const one = { fin: Boolean(input[0] & 0x80), rsv: input[0] >> 4 & 7, opcode: input[0] & 15, payload: input.subarray(2 + extra, 2 + extra + length) };
        this.#check(one, input[1] & 0x80, extra, length);
        this.frames.push(one);
        if (one.opcode >= 8) this.#takeControl(one);
        else this.#takeMessage(one);
        return true;
    }

    #check({ fin, rsv, opcode }, masked, extra, length) {
        const rule = (holds, text) => { if (!holds) throw new Error(`the server's frame: ${text}`); };
        rule(!this.closed, 'behind the close frame');
        rule(!masked, 'masked');
        rule(extra === (length < 126 ? 0 : length < 65536 ? 2 : 8), 'its length takes more bytes than it must');
        rule([TEXT, BINARY, CLOSE, PING, PONG].includes(opcode), `opcode ${opcode}`);
        rule(opcode < 8 || (fin && length <= 125), 'a control frame too long or fragmented');
        rule(rsv === 0 || (rsv === 4 && opcode < 8 && this.compression), `reserved bits ${rsv}`);
        rule(fin, 'fragmented, which this server does not do');
    }

    #takeControl({ opcode, payload }) {
        this.control.push({ opcode, data: payload });
        if (opcode !== CLOSE) return;
        if (payload.length === 1) throw new Error("the server's close frame has one byte");
        this.closed = payload.length ? { code: payload.readUInt16BE(0), reason: payload.subarray(2).toString() } : { code: 1005, reason: '' };
    }

    #takeMessage({ opcode, payload, rsv }) {
        const compressed = rsv === 4;
        const data = compressed
            ? inflateRawSync(Buffer.concat([payload, Buffer.from([0, 0, 0xff, 0xff])]),
                { windowBits: this.windowBits, finishFlush: constants.Z_SYNC_FLUSH })
            : payload;
        if (opcode === TEXT) new TextDecoder('utf-8', { fatal: true }).decode(data);
        this.messages.push({ opcode, data, compressed, wireBytes: payload.length });
    }

    #wake() {
        for (const waiter of [...this.#waiters]) waiter();
    }

    // Resolves with what `find` gives, once it gives something.
    wait(what, find) {
        return new Promise((resolve, reject) => {
            const timer = setTimeout(() => finish(reject, new Error(`no ${what} within ${WAIT_MS} ms; ${this.#state()}`)), WAIT_MS);
            const finish = (action, value) => {
                clearTimeout(timer);
                this.#waiters.delete(look);
                action(value);
            };
            const look = () => {
                const found = this.fault ? undefined : find();
                if (this.fault) finish(reject, this.fault);
                else if (found !== undefined && found !== null && found !== false) finish(resolve, found);
                else if (this.ended && !this.closed) finish(reject, new Error(`the connection ended before ${what}; ${this.#state()}`));
            };
            this.#waiters.add(look);
            look();
        });
    }

    #state() {
        return JSON.stringify({ status: this.response?.status, closed: this.closed, messages: this.messages.length });
    }

    async open(path, headers, options) {
        this.write(this.request(path, headers, options));
        return this.wait('the answer to the handshake', () => this.response);
    }

    waitClose() {
        return this.wait('a close frame', () => this.closed);
    }

    waitPong(timestamp) {
        return this.wait(`the answer to ping ${timestamp}`, () => this.messages.find((message) => isPong(message, timestamp)));
    }

    end() {
        this.socket.destroy();
    }
}
