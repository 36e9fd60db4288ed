// The computer players against a stand-in for login server and game, which sees each message they send.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import test, { afterEach } from 'node:test';
import { WebSocketServer } from 'ws';

import { startProgram, tempDir, waitFor } from '../support/servers.mjs';

const EMPIRE = 'empire_0000000000001';
const UNITS = [
    { id: 'unit_0000000000001', type: 'scout', kind: 'unit', pos: [10, 5] },
    { id: 'unit_0000000000002', type: 'worker', kind: 'unit', pos: [11, 5] },
    { id: 'unit_0000000000004', type: 'soldier', kind: 'unit', pos: [11, 6] },
];
const MINES = [
    { id: 'resource_0000000000005', type: 'gold_mine', kind: 'resource', pos: [15, 5] },
    { id: 'resource_0000000000006', type: 'gold_mine', kind: 'resource', pos: [13, 5] },
];
const TOWN = { id: 'building_0000000000003', type: 'settlement', kind: 'building', pos: [10, 5] };

// A server's frame: its header and its payload.
const frameSize = (payload) => (payload < 126 ? 2 : payload < 65536 ? 4 : 10) + payload;

class Game {
    constructor() {
        this.logins = []; // who was not answered within 5 s asks again
        this.connections = []; // { name, url, messages, socket }
        this.tick = 100;
        this.nextSeq = 5;
        this.answers = true;
        this.refusal = null; // [code, close code] for the next connection
        this.http = createServer((request, response) => this.answer(request, response));
        this.sockets = new WebSocketServer({ server: this.http, path: '/ws' });
        // Every other connection gets its first messages in one write with the handshake.
        this.http.prependListener('upgrade', (request, socket) => {
            if (this.connections.length % 2 === 1) return;
            socket.cork();
            setImmediate(() => socket.uncork());
        });
        this.sockets.on('connection', (socket, request) => this.connected(socket, request));
    }

    async listen() {
        await new Promise((done) => this.http.listen(0, '127.0.0.1', done));
        this.port = this.http.address().port;
    }

    close() {
        for (const socket of this.sockets.clients) socket.terminate();
        this.http.close();
    }

    async answer(request, response) {
        let body = '';
        for await (const piece of request) body += piece;
        assert.equal(`${request.method} ${request.url}`, 'POST /api/login');
        const { username } = JSON.parse(body);
        this.logins.push(username);
        response.setHeader('content-type', 'application/json');
        response.end(JSON.stringify({ token: `token-of-${username}-${this.logins.length}`, user_id: 7 }));
    }

    connected(socket, request) {
        const connection = { socket, url: request.url, token: request.headers.authorization, messages: [] };
        this.connections.push(connection);
        connection.bytes = 0; // of the frames of messages sent to it
        connection.send = (message) => {
            const text = JSON.stringify(message);
            connection.bytes += frameSize(Buffer.byteLength(text));
            socket.send(text);
        };
        socket.on('message', (data, binary) => {
            assert.ok(!binary);
            this.received(connection, JSON.parse(data));
        });
        socket.on('close', (code) => (connection.closeCode = code));
        if (this.refusal) {
            const [code, closeCode] = this.refusal;
            this.refusal = null;
            connection.send({ type: 'error', payload: { code, message: 'no' } });
            socket.close(closeCode, code);
            return;
        }
        this.welcome(connection);
    }

    welcome({ send }) {
        const status = { state: 'running', player_count: 1, max_players: 10, server_tick: this.tick, uptime: 1 };
        send({ type: 'welcome', payload: { player_id: '7', username: 'x', session_id: 'main', empire_id: EMPIRE,
            home: [10, 5], next_seq: this.nextSeq, session_status: status } });
        send({ type: 'map', chunk_radius: 9, tick_rate: 20, terrains: [], types: [], recipes: [
            { name: 'train_soldier', buildings: ['settlement'], inputs: { gold: 50 }, unit: 'soldier', duration_ticks: 20 },
            { name: 'train_dragon', buildings: ['settlement'], inputs: { gold: 5000 }, unit: 'dragon', duration_ticks: 20 },
            { name: 'train_knight', buildings: ['castle'], inputs: { gold: 1 }, unit: 'knight', duration_ticks: 20 },
            { name: 'mint', buildings: ['settlement'], inputs: {}, duration_ticks: 20 }] });
        send({ type: 'explored_hexes', hexes: [{ hex: [10, 5], terrain: 'plains' }] });
        const own = [...UNITS, TOWN].map((unit) => ({ ...unit, owner: EMPIRE, health: 1, data: { activity: 'idle' } }));
        const other = { id: 'unit_0000000000009', type: 'soldier', kind: 'unit', pos: [12, 5], owner: 'empire_0000000000002' };
        send({ type: 'update', tick: this.tick, full: true, appeared: [...own, other, ...MINES], resources: { gold: 100 } });
    }

    received(connection, message) {
        connection.messages.push(message);
        const { type, payload } = message;
        if (type === 'ping') connection.send({ type: 'pong', payload: { timestamp: payload.timestamp, server_tick: this.tick } });
        if (type === 'command' && this.answers) connection.send({ type: 'ack', payload: { seq: payload.seq, tick: this.tick } });
    }

    commands(...kinds) {
        return this.connections.flatMap((one) => one.messages)
            .filter((one) => one.type === 'command' && (kinds.length === 0 || kinds.includes(one.payload.command)))
            .map((one) => one.payload);
    }
}

let game, bots, reportPath;

async function start(n, ...more) {
    game ??= new Game();
    await game.listen();
    reportPath = join(tempDir(), 'report.json');
    bots = startProgram('mmorts-bots', ['--url', `ws://127.0.0.1:${game.port}/ws`, '--login', `http://127.0.0.1:${game.port}`,
        '-n', String(n), '--report', reportPath, ...more]);
}

// Returns when the bot has read all that was sent to it, and what it had to say by then has come. A pong overtakes what
// waits to be sent, so it is the second that comes behind that.
async function heard({ socket }) {
    for (let i = 0; i < 2; i++) await new Promise((done) => {
        socket.once('pong', done);
        socket.ping();
    });
}

// The bot gives no more orders until it is told that the session runs.
async function pauseOrders(connection) {
    connection.send({ type: 'session_status', payload: { state: 'paused' } });
    await heard(connection);
}

async function stop() {
    const exit = await bots.stop();
    return { ...exit, report: JSON.parse(readFileSync(reportPath, 'utf8')) };
}

afterEach(async () => {
    if (bots && !bots.exit) await bots.kill();
    game?.close();
    game = bots = undefined;
});

test('play: move idle units, gather, attack, train what they can pay where it is made, ping, leave', async () => {
    const began = performance.now();
    await start(3);
    const enough = { train: 2, move: 4, gather: 2, attack: 2 };
    await waitFor('all kinds of commands', () => Object.entries(enough).every(([kind, n]) => game.commands(kind).length >= n));
    await waitFor('all to play', () => game.connections.length === 3 && game.connections.every((one) =>
        ['command', 'ping'].every((kind) => one.messages.some(({ type }) => type === kind))));
    const minutes = Math.floor((performance.now() - began) / 60000);
    assert.deepEqual([...new Set(game.logins)].sort(), ['bot-000', 'bot-001', 'bot-002']);
    for (const connection of game.connections) {
        assert.match(connection.token, /^Bearer token-of-bot-00/);
        assert.equal(connection.url, '/ws');
        const seqs = connection.messages.filter((one) => one.type === 'command').map((one) => one.payload.seq);
        assert.equal(seqs[0], 5, 'begins with next_seq');
        for (let i = 1; i < seqs.length; i++) assert.ok(seqs[i] > seqs[i - 1]);
        assert.ok(connection.messages.filter((one) => one.type === 'chat').length <= 1 + minutes, 'not talkative');
    }
    for (const move of game.commands('move')) {
        assert.equal(move.units.length, 1);
        assert.ok(UNITS.some((unit) => unit.id === move.units[0]), 'orders its own units only');
        assert.ok(move.target.length === 2 && move.target.every(Number.isInteger));
        if (move.units[0] === UNITS[0].id) {
            const [q, r] = [move.target[0] - 10, move.target[1] - 5];
            assert.ok((Math.abs(q) + Math.abs(r) + Math.abs(q + r)) / 2 >= 6, 'scouts go far');
        }
    }
    for (const gather of game.commands('gather')) {
        assert.deepEqual(gather.units, [UNITS[1].id]);
        assert.equal(gather.target, MINES[1].id, 'the nearest');
    }
    for (const attack of game.commands('attack')) {
        assert.deepEqual(attack.units, [UNITS[2].id]);
        assert.equal(attack.target, 'unit_0000000000009');
    }
    for (const train of game.commands('train')) {
        assert.equal(train.building, TOWN.id);
        assert.equal(train.recipe, 'train_soldier', 'affordable, made here, gives a unit');
    }
    for (const connection of game.connections) await pauseOrders(connection); // all that is sent gets its answer
    const bytesSent = () => game.connections.reduce((sum, { bytes }) => sum + bytes, 0);
    const bytesHeard = bytesSent();
    const { code, report } = await stop();
    assert.equal(code, 0);
    await waitFor('goodbyes', () => game.connections.every((one) => one.closeCode === 1000));
    assert.equal(report.playing <= 3 && report.bots, 3);
    assert.equal(report.commands, game.commands().length);
    assert.equal(report.acks, report.commands);
    assert.equal(report.ack_us.count, report.acks);
    assert.ok(report.ping_us.count >= 3, `${report.ping_us.count} pings`);
    // A ping and the answer to the goodbye come to each besides, the latter maybe together with the last message.
    const most = bytesSent() + game.connections.length * (frameSize(0) + frameSize(2));
    assert.ok(report.bytes_in >= bytesHeard && report.bytes_in <= most, `${report.bytes_in} bytes of ${bytesHeard} to ${most}`);
});

test('come back by themselves, and send again what was not answered', async () => {
    game = new Game();
    game.answers = false;
    await start(1);
    await waitFor('two commands', () => game.commands().length >= 2);
    game.tick = 150;
    game.connections[0].send({ type: 'update', tick: 150 });
    await pauseOrders(game.connections[0]);
    const unanswered = game.commands();
    game.answers = true;
    const logins = game.logins.length, lost = performance.now();
    game.connections[0].socket.terminate();
    await waitFor('the return', () => game.commands().length >= 2 * unanswered.length);
    assert.equal(game.logins.length, logins, 'with the same token');
    assert.equal(game.connections[1].url, '/ws?last_tick=150');
    assert.deepEqual(game.connections[1].messages.filter((one) => one.type === 'command').slice(0, unanswered.length)
        .map((one) => one.payload), unanswered);
    await pauseOrders(game.connections[1]); // so nothing is on its way without an answer
    game.refusal = ['expired', 4401];
    game.connections[1].socket.close(1012);
    await waitFor('a new token', () => game.logins.length > logins && game.connections.length === 4);
    await heard(game.connections[3]);
    const { code, report } = await stop();
    assert.equal(code, 0);
    assert.equal(report.resends, unanswered.length);
    assert.deepEqual(report.close_codes, { 1006: 1, 1012: 1, 4401: 1 });
    assert.equal(report.errors.expired, 1);
    const away = performance.now() - lost;
    assert.ok(report.away_ms.count === 2 && report.away_ms.max <= away, `${report.away_ms.max} ms of ${away}`);
});

for (const [what, message, field] of [
    ['a tick that goes back', JSON.stringify({ type: 'update', tick: 99 }), 'ticks_back'],
    ['a change of what never appeared', JSON.stringify({ type: 'update', tick: 101, changed: [{ id: 'unit_000000000000z', pos: [1, 1] }] }), 'unknown_changes'],
    ['what is not JSON', '{"type":', 'malformed'],
]) {
    test(`report ${what}`, async () => {
        await start(1);
        await waitFor('a command', () => game.commands().length > 0);
        game.connections[0].socket.send(message);
        await heard(game.connections[0]);
        const { code, report } = await stop();
        assert.equal(code, 1);
        assert.equal(report[field], 1);
    });
}

test('slow down when told to', async () => {
    game = new Game();
    game.answers = false;
    await start(1, '--prefix', 'zoe');
    await waitFor('a command', () => game.commands().length > 0);
    const told = performance.now();
    game.connections[0].send({ type: 'error', payload: { code: 'rate_limited', message: 'Slowly.', seq: 5 } });
    await heard(game.connections[0]);
    const before = game.commands().length;
    await waitFor('another command', () => game.commands().length > before);
    const silent = performance.now() - told;
    assert.ok(silent >= 5000, `an order after ${silent} ms`);
    assert.equal((await stop()).code, 0);
    assert.deepEqual([...new Set(game.logins)], ['zoe-000']);
});

test('stop after the given time', async () => {
    const began = performance.now();
    await start(1, '--seconds', '3');
    assert.equal((await bots.wait()).code, 0);
    const took = performance.now() - began;
    assert.ok(took >= 3000, `gone after ${took} ms`);
    await waitFor('goodbyes', () => game.connections.every(({ closeCode }) => closeCode !== undefined));
});

test('play in the session that they are told, and come back to it', async () => {
    await start(1, '--session', 'the-arena-2');
    await waitFor('a command', () => game.commands().length >= 1);
    assert.equal(game.connections[0].url, '/ws?session=the-arena-2');
    game.connections[0].socket.terminate();
    await waitFor('its return', () => game.connections.length === 2);
    assert.match(game.connections[1].url, /^\/ws\?session=the-arena-2&last_tick=\d+$/);
    assert.equal((await stop()).code, 0);
});

test('refuse bad usage', async () => {
    for (const args of [['--url', 'http://x'], ['--login', 'ftp://x'], ['-n', '0'], ['--seconds', '-1'], ['--nonsense'], ['extra'],
        ['--session', ''], ['--session', 'Main'], ['--session', 'a&b'], ['--session', 'a'.repeat(33)]]) {
        const program = startProgram('mmorts-bots', args);
        assert.equal((await program.wait()).code, 2, args.join(' '));
    }
});
