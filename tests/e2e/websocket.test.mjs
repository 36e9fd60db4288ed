// The players' port against RFC 6455 and RFC 7692, one rule after another, by a client that stands on bare sockets
// (tests/support/raw_ws.mjs) and breaks them where the server must notice.

import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import { constants, deflateRawSync } from 'node:zlib';
import { Game, patience, settings } from '../support/game.mjs';
import { BINARY, CLOSE, CONTINUATION, PING, PONG, RawSocket, TEXT, closePayload, deflate, frame, isPong } from '../support/raw_ws.mjs';
import { pause } from '../support/servers.mjs';

const MESSAGE_BYTES_MAX = 4096, FRAMES_MAX = 8192;
const DEFLATE = { 'Sec-WebSocket-Extensions': 'permessage-deflate' };
let game, port, path, sockets = [], timestamp = 1000;

before(async () => {
    // One player comes in all the time: far more often than one may, where its logins come to their end before its sockets.
    game = await Game.start({ services: settings({ sync: (text) => patience(text).replace('logins_per_minute: 60', 'logins_per_minute: 0') }), test: true });
    const url = new URL(game.socketUrl);
    ({ port } = url);
    path = `${url.pathname}?token=${await game.token('rfc')}`;
});

after(() => game?.stop());

afterEach(() => {
    const faults = sockets.map((socket) => socket.fault).filter(Boolean);
    for (const socket of sockets.splice(0)) socket.end();
    assert.deepEqual(faults, []);
});

function raw() {
    const socket = new RawSocket(port);
    sockets.push(socket);
    return socket;
}

async function connect(headers) {
    const socket = raw();
    const { status } = await socket.open(path, headers);
    assert.equal(status, 101);
    return socket;
}

// A service that is needed is away for a moment: whoever comes is told to try again.
const isAway = ({ closed }) => closed?.code === 1013 && closed.reason === 'unavailable';

// A connection of a player who is in the game.
async function open(headers) {
    for (;;) {
        const socket = await connect(headers);
        await socket.wait('the welcome', () => isAway(socket) || socket.messages.some(({ data }) => data.includes('"type":"welcome"')));
        if (!isAway(socket)) return socket;
        await pause(100);
    }
}

const ping = (pad = '') => JSON.stringify({ type: 'ping', payload: { timestamp: ++timestamp, pad } });

// A text message that is answered, of exactly so many bytes.
function pingOf(bytes) {
    return ping('x'.repeat(bytes - ping().length));
}

async function answers(socket, write = (text) => socket.send(TEXT, text)) {
    write(ping());
    return socket.waitPong(timestamp);
}

// What is written must make the server close with that code, and say nothing behind it.
async function closes(code, write, headers) {
    const socket = await connect(headers);
    socket.send(TEXT, ping());
    await socket.wait('an answer', () => isAway(socket) || socket.messages.some((message) => isPong(message, timestamp)));
    write(socket);
    const closed = await socket.waitClose();
    if (isAway(socket)) {
        await pause(100);
        return closes(code, write, headers);
    }
    assert.equal(closed.code, code, JSON.stringify(closed));
    await socket.wait('the end', () => socket.ended);
    return closed;
}

// The server may ping a client that was silent for long.
const pongs = (socket) => socket.control.filter(({ opcode }) => opcode === PONG);

// --- the handshake -------------------------------------------------------------------------------

test('the handshake is answered with the right key, whatever the case of its headers', async () => {
    const socket = raw();
    const { status, headers } = await socket.open(path, { Upgrade: 'WebSocket', Connection: 'keep-alive, upgrade' });
    assert.equal(status, 101);
    assert.equal(headers.upgrade.toLowerCase(), 'websocket');
    assert.match(headers.connection, /upgrade/i);
    assert.equal(headers['sec-websocket-extensions'], undefined);
    assert.equal(headers['sec-websocket-protocol'], undefined);
    await answers(socket);
});

test('what is no handshake is refused and told the version', async () => {
    for (const [headers, options] of [
        [{ 'Sec-WebSocket-Version': '8' }], [{ 'Sec-WebSocket-Version': null }], [{ Upgrade: null }], [{ Upgrade: 'h2c' }],
        [{ Connection: 'keep-alive' }], [{ 'Sec-WebSocket-Key': null }], [{ 'Sec-WebSocket-Key': 'c2hvcnQ=' }],
        [{ 'Sec-WebSocket-Key': 'not base64 at all!!!!!!=' }], [{}, { version: '1.0' }],
    ]) {
        const { status, headers: answer } = await raw().open(path, headers, options);
        assert.equal(status, 426, JSON.stringify([headers, options]));
        assert.equal(answer['sec-websocket-version'], '13');
    }
    assert.equal((await raw().open(path, {}, { method: 'POST' })).status, 405);
});

test('a handshake may come in pieces, and the first frames with it', async () => {
    const socket = raw();
    const request = Buffer.concat([Buffer.from(socket.request(path)), frame(TEXT, ping()), frame(PING, 'early')]);
    for (let at = 0; at < request.length; at += 50) {
        socket.write(request.subarray(at, at + 50));
        await new Promise(setImmediate);
    }
    await socket.waitPong(timestamp);
    await socket.wait('the pong', () => socket.control.some(({ opcode, data }) => opcode === PONG && data.toString() === 'early'));
});

test('subprotocols: the first known encoding is selected, a token never is', async () => {
    for (const [offered, selected] of [
        ['mmorts.bin.v1', 'mmorts.bin.v1'], ['mmorts.json.v1', 'mmorts.json.v1'], ['chat, mmorts.json.v1, mmorts.bin.v1', 'mmorts.json.v1'],
        ['access_token, mmorts.bin.v1', 'access_token'], ['access_token,x,mmorts.bin.v1', 'mmorts.bin.v1'], ['mmorts.bin.v2', undefined],
        ['mmorts.bin.v1x', undefined], ['MMORTS.BIN.V1', undefined],
    ]) {
        const { status, headers } = await raw().open(path, { 'Sec-WebSocket-Protocol': offered });
        assert.equal(status, 101);
        assert.equal(headers['sec-websocket-protocol'], selected, offered);
    }
});

test('what is offered may come in several lines', async () => {
    const socket = raw();
    const [bare, token] = path.split('?token=');
    const { status, headers } = await socket.open(bare, {
        Connection: ['keep-alive', 'Upgrade'], Upgrade: ['h2c', 'websocket'],
        'Sec-WebSocket-Protocol': ['chat', 'mmorts.bin.v1', `access_token, ${token}`],
        'Sec-WebSocket-Extensions': ['x-unknown', 'permessage-deflate; server_max_window_bits=10'],
    });
    assert.equal(status, 101);
    assert.equal(headers['sec-websocket-protocol'], 'mmorts.bin.v1');
    assert.equal(headers['sec-websocket-extensions'], `${AGREED}; server_max_window_bits=10`);
    await socket.wait('the welcome', () => isAway(socket) || socket.messages.some(({ data }) => data.includes('"type":"welcome"')));
});

// --- frames --------------------------------------------------------------------------------------

test('lengths in 7, 16 and 64 bits, each at its ends', async () => {
    const socket = await open();
    for (const bytes of [60, 125, 126, 127, 1000, MESSAGE_BYTES_MAX]) await answers(socket, () => socket.send(TEXT, pingOf(bytes)));
});

test('a length in more bits than it takes is an error', async () => {
    await closes(1002, (socket) => socket.send(TEXT, pingOf(100), { length: 16 }));
    await closes(1002, (socket) => socket.send(TEXT, pingOf(100), { length: 64 }));
    await closes(1002, (socket) => socket.send(TEXT, pingOf(1000), { length: 64 }));
    await closes(1002, (socket) => socket.write(Buffer.from('81ff8000000000000001', 'hex')));
});

test('a message that is too long is refused by its length, before it is there', async () => {
    await closes(1009, (socket) => socket.send(TEXT, 'x'.repeat(MESSAGE_BYTES_MAX + 1)));
    await closes(1009, (socket) => socket.write(Buffer.from('81ff000000007fffffff0000000078', 'hex')));
    await closes(1009, (socket) => {
        socket.send(TEXT, 'x'.repeat(3000), { fin: false });
        socket.send(CONTINUATION, 'x'.repeat(1097));
    });
});

test('who sends too much is told whether it was bytes or frames', async () => {
    const told = async (write) => {
        const socket = await open();
        write(socket);
        assert.equal((await socket.waitClose()).code, 1009);
        const { payload } = socket.messages.map(({ data }) => JSON.parse(data)).find(({ type }) => type === 'error');
        assert.equal(payload.code, 'too_large');
        return payload.message;
    };
    assert.match(await told((socket) => socket.send(TEXT, 'x'.repeat(MESSAGE_BYTES_MAX + 1))), /4096 bytes/);
    assert.match(await told((socket) => {
        const empty = frame(CONTINUATION, '', { fin: false });
        socket.write(Buffer.concat([frame(TEXT, '', { fin: false }), ...new Array(FRAMES_MAX).fill(empty)]));
    }), /8192 frames/);
});

test('frames that are not masked, reserved bits and reserved opcodes are errors', async () => {
    await closes(1002, (socket) => socket.send(TEXT, ping(), { masked: false }));
    await closes(1002, (socket) => socket.send(PING, '', { masked: false }));
    for (const rsv of [1, 2, 3, 4, 5, 6, 7]) await closes(1002, (socket) => socket.send(TEXT, ping(), { rsv }));
    for (const opcode of [3, 4, 5, 6, 7, 11, 12, 13, 14, 15]) await closes(1002, (socket) => socket.send(opcode, ''));
});

test('bytes may come one by one', async () => {
    const socket = await open();
    const data = Buffer.concat([frame(PING, 'slow'), frame(TEXT, pingOf(130))]);
    for (const byte of data) {
        socket.write(Buffer.from([byte]));
        await new Promise(setImmediate);
    }
    await socket.waitPong(timestamp);
    assert.ok(socket.control.some(({ opcode, data: echo }) => opcode === PONG && echo.toString() === 'slow'));
});

// --- fragments -----------------------------------------------------------------------------------

test('a message in fragments, empty ones too, with control frames in between', async () => {
    const socket = await open();
    const text = ping('in pieces');
    socket.send(TEXT, '', { fin: false });
    socket.send(CONTINUATION, text.slice(0, 10), { fin: false });
    socket.send(PING, 'one');
    await socket.wait('the pong', () => socket.control.some(({ data }) => data.toString() === 'one'));
    socket.send(CONTINUATION, '', { fin: false });
    socket.send(PONG, 'unasked');
    socket.send(CONTINUATION, text.slice(10), { fin: false });
    socket.send(PING, 'two');
    await socket.wait('the pong', () => socket.control.some(({ data }) => data.toString() === 'two'));
    assert.ok(!socket.messages.some((message) => isPong(message, timestamp)), 'answered before its end');
    socket.send(CONTINUATION, '');
    await socket.waitPong(timestamp);
    assert.deepEqual(pongs(socket).map(({ data }) => data.toString()), ['one', 'two']);
});

test('fragments out of order are errors', async () => {
    await closes(1002, (socket) => socket.send(CONTINUATION, 'x'));
    await closes(1002, (socket) => socket.send(CONTINUATION, '', { fin: false }));
    await closes(1002, (socket) => {
        socket.send(TEXT, '{', { fin: false });
        socket.send(TEXT, '}');
    });
    await closes(1002, (socket) => {
        socket.send(TEXT, '{', { fin: false });
        socket.send(BINARY, '}');
    });
    await closes(1002, (socket) => {
        socket.send(TEXT, ping());
        socket.send(CONTINUATION, '');
    });
});

// --- control frames ------------------------------------------------------------------------------

test('a ping is answered with its own bytes, up to 125 of them', async () => {
    const socket = await open();
    for (const bytes of [0, 1, 124, 125]) {
        const payload = Buffer.alloc(bytes, bytes);
        socket.send(PING, payload);
        await socket.wait('the pong', () => socket.control.some(({ opcode, data }) => opcode === PONG && data.equals(payload)));
    }
    assert.equal(pongs(socket).length, 4);
});

test('pings and pongs without end are told, then sent away', async () => {
    for (const opcode of [PING, PONG]) {
        const socket = await open();
        socket.write(Buffer.concat(Array.from({ length: 1000 }, () => frame(opcode, 'again'))));
        assert.deepEqual(await socket.waitClose(), { code: 4429, reason: 'rate_limited' });
        assert.ok(socket.messages.some(({ data }) => data.includes('"rate_limited"')));
        assert.ok(pongs(socket).length < 500, `${pongs(socket).length} of 1000 were answered`);
    }
});

test('control frames are short and whole', async () => {
    for (const opcode of [CLOSE, PING, PONG]) {
        await closes(1002, (socket) => socket.send(opcode, 'x'.repeat(126)));
        await closes(1002, (socket) => socket.send(opcode, '', { fin: false }));
        await closes(1002, (socket) => socket.send(opcode, '', { length: 16 }));
    }
});

// --- closing -------------------------------------------------------------------------------------

test('a close is answered with its own code', async () => {
    for (const code of [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999])
        await closes(code, (socket) => socket.send(CLOSE, closePayload(code, 'why')));
    await closes(1005, (socket) => socket.send(CLOSE, ''));
    await closes(1000, (socket) => socket.send(CLOSE, closePayload(1000, 'x'.repeat(123))));
});

test('codes that nobody may send, half a code and a reason that is no text are errors', async () => {
    for (const code of [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535])
        await closes(1002, (socket) => socket.send(CLOSE, closePayload(code)));
    await closes(1002, (socket) => socket.send(CLOSE, Buffer.from([3])));
    await closes(1007, (socket) => socket.send(CLOSE, Buffer.concat([closePayload(1000), Buffer.from([0xce, 0xba, 0xe1])])));
});

test('nothing is answered behind a close, and a close within a message is one', async () => {
    await closes(1000, (socket) => {
        socket.write(Buffer.concat([frame(CLOSE, closePayload(1000)), frame(PING, 'late'), frame(TEXT, ping())]));
    });
    await closes(1000, (socket) => {
        socket.send(TEXT, '{', { fin: false });
        socket.send(CLOSE, closePayload(1000));
    });
});

// --- UTF-8 ---------------------------------------------------------------------------------------

// Within a JSON string, so that only the bytes decide.
const wrap = (bytes) => Buffer.concat([
    Buffer.from(`{"type":"ping","payload":{"timestamp":${++timestamp},"pad":"`), Buffer.from(bytes), Buffer.from('"}}'),
]);

test('text is UTF-8, cut wherever it may be', async () => {
    const good = ['κόσμε', '\u{0080}', '\u{07ff}', '\u{0800}', '\u{ffff}', '\u{fffe}', '\u{10000}', '\u{10ffff}', '\u{d7ff}', '\u{e000}', '\u{fdd0}'];
    const socket = await open();
    for (const text of good) await answers(socket, () => socket.send(TEXT, wrap(Buffer.from(text))));
    const data = wrap(Buffer.from('κ€\u{10ffff}'));
    for (let i = 0; i < data.length; i++) {
        socket.send(i === 0 ? TEXT : CONTINUATION, data.subarray(i, i + 1), { fin: i === data.length - 1 });
    }
    await socket.waitPong(timestamp);
});

test('what is not UTF-8 is closed with 1007, in one frame or several', async () => {
    const bad = [
        'ff', 'fe', '80', 'bf', 'c080', 'c1bf', 'c0af', 'e08080', 'e09fbf', 'f0808080', 'f08fbfbf', 'eda080', 'edbfbf', 'edafbfedbfbf',
        'f4908080', 'f5808080', 'f888808080', 'fc8480808080', 'ce', 'e282', 'f0908d', 'c328', 'e228a1', 'e28228', 'f0288cbc', 'cebae1bdb9cf83cebcceb5eda080656469746564',
    ];
    for (const hex of bad) {
        const bytes = Buffer.from(hex, 'hex');
        await closes(1007, (socket) => socket.send(TEXT, wrap(bytes)));
    }
    for (const hex of ['eda080', 'f4908080', 'ce']) {
        const data = wrap(Buffer.from(hex, 'hex'));
        await closes(1007, (socket) => {
            for (let i = 0; i < data.length; i++)
                socket.send(i === 0 ? TEXT : CONTINUATION, data.subarray(i, i + 1), { fin: i === data.length - 1 });
        });
    }
});

// --- compression ---------------------------------------------------------------------------------

const AGREED = 'permessage-deflate; server_no_context_takeover; client_no_context_takeover';

test('compression is agreed on as offered, or not at all', async () => {
    for (const [offered, answer] of [
        ['permessage-deflate', AGREED],
        ['permessage-deflate; client_max_window_bits', AGREED],
        ['permessage-deflate; client_max_window_bits=9; server_no_context_takeover', AGREED],
        ['permessage-deflate; server_max_window_bits=9', `${AGREED}; server_max_window_bits=9`],
        ['x-unknown, permessage-deflate; server_max_window_bits=8, permessage-deflate', AGREED],
        ['permessage-deflate; server_max_window_bits=16', undefined], ['permessage-deflate; server_max_window_bits=8', undefined],
        ['permessage-deflate; mystery', undefined], ['x-webkit-deflate-frame', undefined],
    ]) {
        const { status, headers } = await raw().open(path, { 'Sec-WebSocket-Extensions': offered });
        assert.equal(status, 101);
        assert.equal(headers['sec-websocket-extensions'], answer, offered);
    }
});

test('compressed messages are read: in fragments, of several blocks, with and without a last one, stored', async () => {
    const socket = await open(DEFLATE);
    await answers(socket);
    const RSV1 = { rsv: 4 };
    await answers(socket, (text) => socket.send(TEXT, deflate(text), RSV1));
    await answers(socket, (text) => socket.send(TEXT, deflate(text, { level: 0 }), RSV1));
    await answers(socket, (text) => socket.send(TEXT, Buffer.concat([deflateRawSync(text), Buffer.from([0])]), RSV1));
    await answers(socket, (text) => socket.send(TEXT, deflate(text, { windowBits: 9, strategy: constants.Z_HUFFMAN_ONLY }), RSV1));
    await answers(socket, (text) => {
        const packed = deflate(text);
        socket.send(TEXT, packed.subarray(0, 3), { fin: false, rsv: 4 });
        socket.send(PING, 'between');
        socket.send(CONTINUATION, packed.subarray(3, 9), { fin: false });
        socket.send(CONTINUATION, packed.subarray(9));
    });
    await answers(socket, (text) => { // two blocks with an empty one between them
        const half = deflateRawSync(text.slice(0, 20), { finishFlush: constants.Z_SYNC_FLUSH });
        socket.send(TEXT, Buffer.concat([half, deflate(text.slice(20))]), RSV1);
    });
    await answers(socket, () => socket.send(TEXT, deflate(pingOf(MESSAGE_BYTES_MAX)), RSV1));
});

test('compressed messages that break a rule are errors', async () => {
    const RSV1 = { rsv: 4 };
    await closes(1002, (socket) => socket.send(TEXT, Buffer.from('ffffffff', 'hex'), RSV1), DEFLATE);
    await closes(1002, (socket) => socket.send(TEXT, deflate(pingOf(300)).subarray(0, 40), RSV1), DEFLATE);
    await closes(1002, (socket) => socket.send(TEXT, '', RSV1), DEFLATE);
    await closes(1002, (socket) => socket.send(PING, deflate('x'), RSV1), DEFLATE);
    await closes(1002, (socket) => socket.send(TEXT, deflate(ping()), { rsv: 6 }), DEFLATE);
    await closes(1002, (socket) => {
        socket.send(TEXT, deflate(ping()).subarray(0, 5), { fin: false, rsv: 4 });
        socket.send(CONTINUATION, deflate(ping()).subarray(5), RSV1);
    }, DEFLATE);
    await closes(1002, (socket) => socket.send(TEXT, deflate(ping()), RSV1));
    await closes(1007, (socket) => socket.send(TEXT, deflate(wrap(Buffer.from('eda080', 'hex'))), RSV1), DEFLATE);
});

test('a bomb is not unpacked', async () => {
    await closes(1009, (socket) => socket.send(TEXT, deflate(pingOf(MESSAGE_BYTES_MAX + 1)), { rsv: 4 }), DEFLATE);
    await closes(1009, (socket) => socket.send(TEXT, deflate(Buffer.alloc(2 ** 21, 'x')), { rsv: 4 }), DEFLATE);
});

test('what the server compresses can be read with the window that was agreed on, each message by itself', async () => {
    let plainMap = null;
    for (const offered of [null, 'permessage-deflate', 'permessage-deflate; server_max_window_bits=9', 'permessage-deflate; server_max_window_bits=12']) {
        for (const protocol of ['mmorts.json.v1', 'mmorts.bin.v1']) {
            const socket = await open({ 'Sec-WebSocket-Extensions': offered, 'Sec-WebSocket-Protocol': protocol });
            const text = ({ opcode }) => opcode === TEXT;
            // The recipes may come later than the first player, and then the map comes again.
            const map = await socket.wait('the map', () => socket.messages.filter(text)
                .find(({ data }) => data.includes('"type":"map"') && data.includes('"name":"train_scout"')));
            await socket.wait('hexes', () => socket.messages.find(({ opcode, data }) => (opcode === TEXT ? data.includes('explored_hexes') : data[0] === 1)));
            plainMap ??= map.data.toString();
            assert.equal(map.data.toString(), plainMap);
            assert.equal(map.compressed, offered !== null);
            if (offered) assert.ok(map.wireBytes < map.data.length / 2, `${map.wireBytes} of ${map.data.length}`);
            socket.send(CLOSE, closePayload(1000));
            await socket.waitClose();
        }
    }
});

// --- the binary encoding -------------------------------------------------------------------------

test('binary messages are understood where they were agreed on, text is too', async () => {
    const socket = await open({ 'Sec-WebSocket-Protocol': 'mmorts.bin.v1' });
    socket.send(BINARY, Buffer.from([1, 10]));
    const pong = await socket.wait('a pong', () => socket.messages.find(({ opcode, data }) => opcode === BINARY && data[0] === 5));
    assert.equal(pong.data[1], 10);
    socket.send(TEXT, '{"type":"ping","payload":{"timestamp":6}}');
    await socket.wait('a pong', () => socket.messages.find(({ opcode, data }) => opcode === BINARY && data[0] === 5 && data[1] === 12));
    for (const [bytes, code] of [[[], 'malformed'], [[0x7f], 'unknown_type'], [[0x11, 1], 'malformed']]) {
        socket.send(BINARY, Buffer.from(bytes));
        await socket.wait(code, () => socket.messages.some(({ opcode, data }) => opcode === TEXT && data.includes(`"code":"${code}"`)));
        socket.messages = [];
    }
});
