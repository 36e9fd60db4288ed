import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import { Connection, GameClient, GameError } from '../../../../../../services/sync/web/sdk/index.js';
import { Clock } from '../../../../../support/clock.mjs';

// A socket whose other end is the test.
class FakeSocket {
    static made = [];

    constructor(url, protocols) {
        Object.assign(this, { url, protocols, readyState: 0, sent: [], closedWith: null });
        FakeSocket.made.push(this);
    }

    send(text) {
        assert.equal(this.readyState, 1, 'sends on an open socket only');
        this.sent.push(JSON.parse(text));
    }

    close(code) {
        this.closedWith = code ?? 1005;
        this.readyState = 3;
    }

    // --- the server's side ---
    say(message) {
        this.onmessage({ data: JSON.stringify(message) });
    }

    welcome(nextSeq = 1) {
        this.readyState = 1;
        this.say({ type: 'welcome', payload: { player_id: '7', username: 'ada', empire_id: 'empire_me', home: [0, 0], next_seq: nextSeq, session_status: { state: 'running' } } });
    }

    drop(code = 1006, reason = '') {
        this.readyState = 3;
        this.onclose({ code, reason });
    }

    get commands() {
        return this.sent.filter((message) => message.type === 'command').map((message) => message.payload);
    }
}

let clock, connection, log;
const socket = () => FakeSocket.made.at(-1);

// random 0.5 makes every wait exactly what the table says.
const options = () => ({ url: 'ws://game.example/ws', token: 'jwt', WebSocket: FakeSocket, random: () => 0.5 });

async function open(nextSeq, given = {}) {
    connection = new Connection({ ...options(), ...given });
    for (const type of ['state', 'retry', 'latency', 'refused']) connection.on(type, (detail) => log.push([type, detail]));
    connection.connect();
    await clock.settle();
    socket().welcome(nextSeq);
}

// Settles with the value or the GameError's code, to be asked without waiting.
function outcome(promise) {
    const result = { value: undefined, code: undefined };
    promise.then((value) => { result.value = value; }, (error) => {
        assert.ok(error instanceof GameError);
        result.code = error.code;
        result.retryAfterMs = error.retryAfterMs;
    });
    return result;
}

beforeEach(() => {
    clock = new Clock();
    FakeSocket.made = [];
    log = [];
});

afterEach(() => {
    connection?.close();
    connection = null;
    const { waiting } = clock;
    clock.restore();
    assert.equal(waiting, 0, 'a closed connection leaves no timers');
});

test('connects with the token as a subprotocol; the address has the session', async () => {
    await open(1, { session: 'main two' });
    assert.equal(socket().url, 'ws://game.example/ws?session=main+two');
    assert.deepEqual(socket().protocols, ['mmorts.bin.v1', 'access_token', 'jwt']);
    assert.deepEqual(log.filter(([type]) => type === 'state').map(([, state]) => state), ['connecting', 'online']);
});

test('JSON is asked for by saying nothing; an unknown encoding is an error', async () => {
    await open(1, { encoding: 'json' });
    assert.deepEqual(socket().protocols, ['access_token', 'jwt']);
    assert.throws(() => new Connection({ ...options(), encoding: 'morse' }), TypeError);
});

test('messages go out in the encoding that the server selected', async () => {
    await open();
    const raw = [];
    socket().send = (data) => raw.push(data);
    connection.send({ type: 'ping', payload: { timestamp: 5 } });
    socket().protocol = 'mmorts.bin.v1';
    connection.send({ type: 'ping', payload: { timestamp: 5 } });
    connection.send({ type: 'dance' });
    assert.deepEqual(raw, ['{"type":"ping","payload":{"timestamp":5}}', Uint8Array.of(1, 10), '{"type":"dance"}']);
});

test('binary messages are decoded; one that cannot be is the end of the connection, not of the player', async () => {
    await open();
    const seen = [];
    connection.on('message', (message) => seen.push(message));
    socket().say({ type: 'map', types: [], terrains: [] });
    socket().onmessage({ data: Uint8Array.of(4, 1, 9).buffer });
    assert.deepEqual(seen.at(-1), { type: 'ack', payload: { seq: 1, tick: 9 } });
    const before = socket();
    socket().onmessage({ data: Uint8Array.of(4, 1).buffer });
    assert.equal(before.readyState, 3);
    await clock.pass(200);
    assert.notEqual(socket(), before);
});

test('a function is asked for a token before every connection; a failure of it is tried again', async () => {
    const tokens = ['first', new Error('login server away'), 'second'];
    const token = async () => {
        const next = tokens.shift();
        if (next instanceof Error) throw next;
        return next;
    };
    await open(1, { token });
    assert.equal(socket().protocols.at(-1), 'first');
    socket().drop();
    await clock.pass(200);
    assert.equal(FakeSocket.made.length, 1);
    assert.deepEqual(log.filter(([type]) => type === 'retry').map(([, { error }]) => error && [error.code, error.message]),
        [undefined, ['no_token', 'login server away']]);
    await clock.pass(500);
    assert.equal(socket().protocols.at(-1), 'second');
});

test('what cannot be connected with is refused, and not tried again', async () => {
    assert.throws(() => new Connection({ ...options(), url: 'game.example' }), TypeError);
    for (const token of ['', undefined, async () => null]) {
        connection = new Connection({ ...options(), token });
        const refused = outcome(new Promise((resolve, reject) => connection.on('refused', reject)));
        connection.connect();
        await clock.settle();
        assert.equal(refused.code, 'missing_token');
        assert.equal(connection.state, 'closed');
    }
    assert.equal(FakeSocket.made.length, 0);
    // A platform's own constructor throws at an address or a token that it cannot use.
    class Strict { constructor() { throw new SyntaxError('an invalid subprotocol'); } }
    for (const token of ['no token', async () => 'no token']) {
        const game = new GameClient({ ...options(), token, WebSocket: Strict });
        const joined = outcome(game.connect());
        await clock.settle();
        assert.equal(joined.code, 'cannot_connect');
        assert.equal(game.connection.state, 'closed');
    }
});

test('waits grow from attempt to attempt and begin anew after a welcome', async () => {
    await open();
    for (const wait of [200, 500, 1000, 2000, 4000, 4000]) {
        const before = FakeSocket.made.length;
        socket().drop();
        await clock.pass(wait - 1);
        assert.equal(FakeSocket.made.length, before, `not before ${wait} ms`);
        await clock.pass(1);
        assert.equal(FakeSocket.made.length, before + 1, `after ${wait} ms`);
    }
    assert.deepEqual(log.filter(([type]) => type === 'retry').map(([, { attempt }]) => attempt), [1, 2, 3, 4, 5, 6]);
    socket().welcome();
    socket().drop();
    const before = FakeSocket.made.length;
    await clock.pass(200);
    assert.equal(FakeSocket.made.length, before + 1);
});

test('waits are spread by a quarter around the table', async () => {
    for (const [random, wait] of [[0, 150], [1, 250]]) {
        await open(1, { random: () => random });
        socket().drop();
        assert.equal(log.findLast(([type]) => type === 'retry')[1].delayMs, wait);
        connection.close();
    }
});

test('a server that restarts is tried at once, but not in a storm', async () => {
    await open();
    socket().drop(1012);
    await clock.pass(100);
    assert.equal(FakeSocket.made.length, 2);
    socket().drop(1012);
    await clock.pass(499);
    assert.equal(FakeSocket.made.length, 2);
    await clock.pass(1);
    assert.equal(FakeSocket.made.length, 3);
});

test('retryNow does not wait for the attempt to come', async () => {
    await open();
    connection.retryNow();
    assert.equal(FakeSocket.made.length, 1, 'nothing to try while online');
    socket().drop();
    connection.retryNow();
    await clock.settle();
    assert.equal(FakeSocket.made.length, 2);
    await clock.pass(1000);
    assert.equal(FakeSocket.made.length, 2, 'the attempt that waited is off');
});

test('comes back with the last tick, which never goes back', async () => {
    await open();
    for (const tick of [41, 42, 40]) socket().say({ type: 'update', tick });
    socket().drop();
    await clock.pass(200);
    assert.equal(socket().url, 'ws://game.example/ws?last_tick=42');
});

test('a command resolves with its ack, rejects with its error, and others are left alone', async () => {
    await open(12);
    const first = outcome(connection.command('move', { units: ['unit_a'], target: [1, 2] }));
    const second = outcome(connection.command('stop', { units: ['unit_a'] }));
    assert.deepEqual(socket().commands, [
        { seq: 12, command: 'move', units: ['unit_a'], target: [1, 2] },
        { seq: 13, command: 'stop', units: ['unit_a'] },
    ]);
    socket().say({ type: 'error', payload: { code: 'cooldown', message: 'Slowly.', seq: 13, retry_after_ms: 450 } });
    socket().say({ type: 'error', payload: { code: 'chat_empty', message: 'Nothing said.' } });
    await clock.settle();
    assert.deepEqual([first.value, first.code, second.code], [undefined, undefined, 'cooldown']);
    assert.deepEqual([first.retryAfterMs, second.retryAfterMs], [undefined, 450]);
    socket().say({ type: 'ack', payload: { seq: 12, tick: 5, job: 'job_1' } });
    socket().say({ type: 'ack', payload: { seq: 12, tick: 6 } });
    socket().say({ type: 'ack', payload: { seq: 99, tick: 6 } });
    await clock.settle();
    assert.deepEqual(first.value, { seq: 12, tick: 5, job: 'job_1' });
});

test('the fields of a command cannot replace its number or its name', async () => {
    await open(5);
    outcome(connection.command('stop', { seq: 1, command: 'train' }));
    assert.deepEqual(socket().commands, [{ seq: 5, command: 'stop' }]);
});

test('what is not acknowledged is sent again after the welcome, under the same number; what is, is not', async () => {
    await open(1);
    const done = outcome(connection.command('move', { n: 1 }));
    const lost = outcome(connection.command('move', { n: 2 }));
    socket().say({ type: 'ack', payload: { seq: 1, tick: 5 } });
    socket().drop();
    const late = outcome(connection.command('move', { n: 3 }));
    await clock.pass(200);
    socket().readyState = 1;
    assert.deepEqual(socket().commands, [], 'not before the welcome');
    socket().welcome(40);
    assert.deepEqual(socket().commands.map(({ seq, n }) => [seq, n]), [[2, 2], [40, 3]]);
    socket().say({ type: 'ack', payload: { seq: 2, tick: 6 } });
    socket().drop();
    await clock.pass(200);
    socket().welcome(41);
    assert.deepEqual(socket().commands.map(({ seq, n }) => [seq, n]), [[40, 3]]);
    socket().say({ type: 'ack', payload: { seq: 40, tick: 7 } });
    await clock.settle();
    assert.deepEqual([done, lost, late].map((o) => o.value?.seq), [1, 2, 40]);
});

test('a command given before the first welcome gets the number the server names', async () => {
    connection = new Connection(options());
    connection.connect();
    await clock.settle();
    const early = outcome(connection.command('stop', { units: [] }));
    socket().welcome(77);
    assert.deepEqual(socket().commands.map(({ seq }) => seq), [77]);
    socket().say({ type: 'ack', payload: { seq: 77, tick: 1 } });
    await clock.settle();
    assert.equal(early.value.seq, 77);
});

test('a command without an answer is given up after its time and not sent again', async () => {
    await open(1, { commandTimeoutMs: 3000 });
    const sent = outcome(connection.command('move'));
    socket().drop();
    const unsent = outcome(connection.command('stop'));
    for (let i = 0; i < 3; i++) await clock.pass(999);
    assert.deepEqual([sent.code, unsent.code], [undefined, undefined]);
    await clock.pass(3);
    assert.deepEqual([sent.code, unsent.code], ['timeout', 'timeout']);
    if (socket().readyState === 0) socket().welcome(2);
    assert.deepEqual(socket().commands, []);
    socket().say({ type: 'ack', payload: { seq: 1, tick: 9 } }); // too late: no harm
});

test('a message that the server would not take is an error, and the connection stays', async () => {
    await open();
    const long = outcome(connection.command('move', { units: new Array(300).fill('unit_0000000000000'), target: [0, 0] }));
    const short = outcome(connection.command('stop', { units: ['unit_a'] }));
    await clock.settle();
    assert.equal(long.code, 'too_large');
    assert.deepEqual(socket().commands.map(({ command }) => command), ['stop']);
    assert.throws(() => connection.send({ type: 'chat', payload: { message: '\u{1f44b}'.repeat(1100) } }), { name: 'GameError', code: 'too_large' });
    // Given while there is no connection it fails when there is one, and holds up no other.
    socket().drop();
    const later = outcome(connection.command('move', { units: new Array(300).fill('unit_0000000000000'), target: [0, 0] }));
    const last = outcome(connection.command('stop', { units: ['unit_b'] }));
    await clock.pass(200);
    socket().welcome();
    await clock.settle();
    assert.equal(later.code, 'too_large');
    assert.deepEqual(socket().commands.map(({ command }) => command), ['stop', 'stop']);
    for (const { seq } of socket().commands) socket().say({ type: 'ack', payload: { seq, tick: 5 } });
    await clock.settle();
    assert.deepEqual([short.code, last.code], [undefined, undefined]);
});

test('a command is what it was when it was given', async () => {
    connection = new Connection(options());
    connection.connect();
    await clock.settle();
    const units = ['unit_a'];
    outcome(connection.command('stop', { units }));
    units.push('unit_b');
    const circle = {};
    circle.circle = circle;
    const wrong = [outcome(connection.command('stop', circle)), outcome(connection.command('stop', { units: [1n] }))];
    socket().welcome();
    await clock.settle();
    assert.deepEqual(socket().commands.map((command) => command.units), [['unit_a']]);
    assert.deepEqual(wrong.map(({ code }) => code), ['invalid', 'invalid']);
});

test('there is a bound of commands that wait', async () => {
    await open();
    for (let i = 0; i < 256; i++) outcome(connection.command('stop'));
    const one = outcome(connection.command('stop'));
    await clock.settle();
    assert.equal(one.code, 'too_many');
    socket().say({ type: 'ack', payload: { seq: 1, tick: 1 } });
    assert.equal(outcome(connection.command('stop')).code, undefined);
    assert.equal(socket().commands.length, 257);
});

for (const [code, reason] of [[4401, 'expired'], [4403, 'banned'], [4404, 'unknown_session'], [4409, 'replaced'], [1008, 'disconnected'], [1000, '']]) {
    test(`close code ${code} is final`, async () => {
        await open();
        const waiting = outcome(connection.command('stop'));
        if (reason) socket().say({ type: 'error', payload: { code: reason, message: 'No.' } });
        socket().drop(code, reason);
        await clock.pass(60000);
        assert.equal(FakeSocket.made.length, 1);
        assert.equal(connection.state, 'closed');
        const refusal = log.find(([type]) => type === 'refused')[1];
        assert.equal(refusal.code, reason || 'closed');
        assert.equal(waiting.code, refusal.code);
        assert.equal(outcome(connection.command('stop')).value, undefined);
    });
}

for (const code of [1001, 1006, 1009, 1011, 1013, 4429]) {
    test(`close code ${code} is tried again`, async () => {
        await open();
        socket().drop(code);
        await clock.pass(200);
        assert.equal(FakeSocket.made.length, 2);
    });
}

// Refused, for what may be dead by now.
function held(retryAfterMs, code = 'already_connected') {
    socket().say({ type: 'error', payload: { code, message: 'You are connected elsewhere.', retry_after_ms: retryAfterMs } });
    socket().drop(4409, code);
}

for (const [online, tries] of [[false, 3], [true, 15]]) {
    test(`a refusal with a time is tried again then, ${tries} times, ${online ? 'after a lost line' : 'by who was never in'}`, async () => {
        await open();
        if (!online) {
            connection.close();
            connection.connect();
            await clock.settle();
        }
        log = [];
        for (let i = 0; i < tries; i++) {
            const before = FakeSocket.made.length;
            held(3000);
            const { delayMs, error } = log.findLast(([type]) => type === 'retry')[1];
            assert.equal(error.code, 'already_connected');
            assert.ok(delayMs >= 3000 && delayMs < 5000, `${delayMs}`);
            await clock.pass(2999);
            assert.equal(FakeSocket.made.length, before, 'not before the time');
            await clock.pass(2000);
            assert.equal(FakeSocket.made.length, before + 1);
        }
        held(3000);
        assert.equal(log.find(([type]) => type === 'refused')[1].retryAfterMs, 3000);
        assert.equal(connection.state, 'closed');
    });
}

test('the tries begin anew after a welcome; without a time a refusal is final', async () => {
    connection = new Connection(options());
    connection.on('refused', (error) => log.push(['refused', error]));
    connection.connect();
    await clock.settle();
    for (const tries of [3, 15]) {
        for (let i = 0; i < tries; i++) {
            held(1000);
            await clock.pass(5000);
        }
        socket().welcome();
    }
    assert.deepEqual(log, []);
    socket().say({ type: 'error', payload: { code: 'chat_rate_limited', message: 'Slowly.', retry_after_ms: 9000 } });
    socket().drop(4409, 'replaced');
    assert.equal(log[0][1].code, 'replaced', 'the time of another error is not taken for its');
});

test('an error of an earlier connection is not taken for the reason of a later close', async () => {
    await open();
    socket().say({ type: 'error', payload: { code: 'chat_empty', message: 'Nothing said.' } });
    socket().drop();
    await clock.pass(200);
    socket().drop(4403, 'banned');
    assert.equal(log.find(([type]) => type === 'refused')[1].code, 'banned');
});

test('pings measure the latency and a line that is silent is given up', async () => {
    await open();
    assert.equal(socket().sent[0].type, 'ping');
    clock.now += 30;
    socket().say({ type: 'pong', payload: socket().sent[0].payload });
    assert.deepEqual(log.findLast(([type]) => type === 'latency'), ['latency', 30]);
    for (let i = 0; i < 8; i++) {
        await clock.pass(2000);
        socket().say({ type: 'pong', payload: socket().sent.at(-1).payload });
    }
    assert.equal(FakeSocket.made.length, 1, 'as long as it answers it is kept');
    const silent = socket();
    await clock.pass(14000);
    assert.notEqual(silent.closedWith, null);
    assert.equal(FakeSocket.made.length, 2);
    silent.onmessage({ data: '{"type":"update","tick":999}' });
    silent.onclose({ code: 4409, reason: 'replaced' });
    assert.equal(connection.lastTick, 0, 'the old socket is not heard any more');
    assert.notEqual(connection.state, 'closed');
});

test('a server that accepts and never welcomes is given up', async () => {
    connection = new Connection(options());
    connection.connect();
    await clock.pass(19999);
    assert.equal(FakeSocket.made.length, 1);
    await clock.pass(1 + 200);
    assert.equal(FakeSocket.made.length, 2);
});

test('close leaves politely, fails what waits, and is not reopened by itself', async () => {
    await open();
    const waiting = outcome(connection.command('stop'));
    connection.close();
    await clock.pass(60000);
    assert.equal(socket().sent.at(-1).type, 'leave');
    assert.equal(socket().closedWith, 1000);
    assert.equal(waiting.code, 'closed');
    assert.equal(FakeSocket.made.length, 1);
    assert.equal(connection.send({ type: 'ping' }), false);
    const after = outcome(connection.command('stop'));
    await clock.settle();
    assert.equal(after.code, 'closed');
    connection.connect();
    await clock.settle();
    assert.equal(FakeSocket.made.length, 2, 'but can be by hand');
});

test('who closes and connects again while a token is awaited has one connection', async () => {
    const waiting = [];
    const token = () => new Promise((resolve) => waiting.push(resolve));
    connection = new Connection({ ...options(), token });
    connection.connect();
    connection.close();
    connection.connect();
    waiting.forEach((resolve, i) => resolve(`token ${i}`));
    await clock.settle();
    assert.deepEqual(FakeSocket.made.map(({ protocols }) => protocols.at(-1)), ['token 1']);
});

test('who closes when told that it is online stays closed', async () => {
    connection = new Connection(options());
    connection.on('state', (state) => state === 'online' && connection.close());
    connection.connect();
    await clock.settle();
    socket().welcome();
    assert.equal(clock.waiting, 0);
    await clock.pass(60000);
    assert.equal(FakeSocket.made.length, 1);
});

test('without a WebSocket the reason is said', () => {
    assert.throws(() => new Connection({ ...options(), WebSocket: null }), /pass one as options\.WebSocket/);
});

// --- GameClient ----------------------------------------------------------------------------------

async function join() {
    const game = new GameClient(options());
    connection = game.connection;
    const joined = outcome(game.connect());
    await clock.settle();
    socket().welcome();
    return { game, joined };
}

test('a client has joined when the full state is there', async () => {
    const { game, joined } = await join();
    await clock.settle();
    assert.equal(joined.value, undefined);
    socket().say({ type: 'update', tick: 5, full: true, resources: { gold: 3 } });
    await clock.settle();
    assert.equal(joined.value, game);
    assert.equal(game.state.resources.get('gold'), 3);
    assert.deepEqual([game.playerId, game.username, game.session.state], ['7', 'ada', 'running']);
});

test('connect() of a client rejects with the refusal, or with closed', async () => {
    const { joined } = await join();
    socket().drop(4403, 'banned');
    await clock.settle();
    assert.equal(joined.code, 'banned');
    const { game, joined: left } = await join();
    game.close();
    await clock.settle();
    assert.equal(left.code, 'closed');
});

test('connect() of a client that is in the game resolves at once, and of one that goes on where it stopped', async () => {
    const { game } = await join();
    socket().say({ type: 'welcome', payload: { player_id: '7', username: 'ada', empire_id: 'empire_me', next_seq: 1, resume: 'aa11' } });
    socket().say({ type: 'explored_hexes', reset: true, hexes: [] });
    socket().say({ type: 'update', tick: 5, full: true });
    const again = outcome(game.connect());
    await clock.settle();
    assert.equal(again.value, game);
    assert.equal(FakeSocket.made.length, 1);
    socket().drop();
    const lost = outcome(game.connect());
    await clock.settle();
    assert.equal(lost.value, undefined, 'not while the line is lost');
    game.close();
    const back = outcome(game.connect());
    await clock.settle();
    assert.match(socket().url, /resume=aa11/);
    socket().readyState = 1;
    socket().say({ type: 'welcome', payload: { player_id: '7', username: 'ada', empire_id: 'empire_me', next_seq: 1, resume: 'aa11', resumed: true } });
    socket().say({ type: 'resumed', tick: 7 });
    await clock.settle();
    assert.equal(back.value, undefined);
    socket().say({ type: 'update', tick: 7 });
    await clock.settle();
    assert.equal(back.value, game);
    assert.equal(lost.code, 'closed');
});

test('what is said is refused if no message takes it', async () => {
    const { game } = await join();
    const errors = [];
    game.on('error', ({ code }) => errors.push(code));
    assert.deepEqual([game.chat('x'.repeat(5000)), game.whisper('8', 'x'.repeat(5000)), game.chat('x')], [false, false, true]);
    assert.deepEqual(errors, ['chat_too_long', 'chat_too_long']);
    game.close();
});

test('who is online, what is said, and errors that answer no command', async () => {
    const { game } = await join();
    const heard = [];
    for (const type of ['chat', 'announcement', 'player_joined', 'player_left', 'players', 'roster', 'session_status', 'error'])
        game.on(type, (detail) => heard.push([type, detail]));
    socket().say({ type: 'roster', payload: { players: [{ player_id: '7', username: 'ada' }] } });
    socket().say({ type: 'player_joined', payload: { player_id: '8', username: 'bob' } });
    assert.deepEqual([...game.players], [['7', 'ada'], ['8', 'bob']]);
    socket().say({ type: 'player_left', payload: { player_id: '8', username: 'bob' } });
    assert.deepEqual([game.players.size, game.playerCount], [1, 1]);
    socket().say({ type: 'players', payload: { player_count: 900 } });
    socket().say({ type: 'players', payload: { player_count: 900, joined: [{ player_id: '10', username: 'dan' }], left: ['7', '77'] } });
    assert.deepEqual([[...game.players], game.playerCount], [[['10', 'dan']], 900], 'what differs');
    socket().say({ type: 'player_left', payload: { player_id: '99', username: 'eve' } });
    assert.deepEqual([game.players.size, game.playerCount], [1, 899], 'of very many a part is known by name');
    socket().say({ type: 'roster', payload: { player_count: 500, players: [{ player_id: '9', username: 'dan' }] } });
    assert.deepEqual([[...game.players], game.playerCount], [[['9', 'dan']], 500]);
    // Who was counted before she was named is not counted again.
    socket().say({ type: 'player_joined', payload: { player_id: '11', username: 'fay', player_count: 500 } });
    assert.deepEqual([game.players.size, game.playerCount], [2, 500]);
    socket().say({ type: 'player_left', payload: { player_id: '11', username: 'fay', player_count: 499 } });
    assert.deepEqual([game.players.size, game.playerCount], [1, 499]);
    socket().say({ type: 'chat', payload: { player_id: '7', username: 'ada', message: 'hi', timestamp: 1 } });
    socket().say({ type: 'announcement', payload: { message: 'noon', timestamp: 1 } });
    socket().say({ type: 'session_status', payload: { state: 'paused' } });
    assert.equal(game.session.state, 'paused');
    socket().say({ type: 'error', payload: { code: 'chat_rate_limited', message: 'Too much.', retry_after_ms: 900 } });
    assert.deepEqual(heard.map(([type]) => type), ['roster', 'player_joined', 'player_left', 'players', 'players', 'player_left', 'roster',
        'player_joined', 'player_left', 'chat', 'announcement', 'session_status', 'error']);
    assert.deepEqual([heard[12][1].code, heard[12][1].details.retry_after_ms], ['chat_rate_limited', 900]);
});

test('where the player looks is told when it changes, and again after a reconnect', async () => {
    const { game } = await join();
    const told = () => socket().sent.filter(({ type }) => type === 'focus').map(({ payload }) => payload.hex);
    game.focus([3, -1]);
    game.focus([3, -1]);
    game.focus([4, -1]);
    assert.deepEqual(told(), [[3, -1], [4, -1]]);
    socket().drop();
    await clock.pass(1000);
    assert.deepEqual(told(), [], 'another connection');
    socket().welcome();
    assert.deepEqual(told(), [[4, -1]]);
    game.focus(null);
    assert.deepEqual(told(), [[4, -1], null]);
    game.close();
});

test('the commands have the protocol\'s fields', async () => {
    const { game } = await join();
    outcome(game.move(['unit_a'], [1, 2]));
    outcome(game.move(['unit_a'], [1, 2], { queued: true }));
    outcome(game.stop(['unit_a']));
    outcome(game.train('building_b', 'train_scout'));
    outcome(game.cancel('job_1'));
    assert.equal(game.chat('hello'), true);
    assert.deepEqual(socket().commands, [
        { seq: 1, command: 'move', units: ['unit_a'], target: [1, 2], queued: false },
        { seq: 2, command: 'move', units: ['unit_a'], target: [1, 2], queued: true },
        { seq: 3, command: 'stop', units: ['unit_a'] },
        { seq: 4, command: 'train', building: 'building_b', recipe: 'train_scout', cycles: 1 },
        { seq: 5, command: 'cancel', job: 'job_1' },
    ]);
    assert.deepEqual(socket().sent.at(-1), { type: 'chat', payload: { message: 'hello' } });
    socket().say({ type: 'ack', payload: { seq: 4, tick: 9, job: 'job_1' } });
    await clock.settle();
    assert.equal(game.state.jobs.get('job_1').event, 'waiting');
    socket().say({ type: 'ack', payload: { seq: 5, tick: 9 } });
    await clock.settle();
    assert.equal(game.state.jobs.size, 0);
});

test('a job that fails in the same piece in which it was accepted does not wait', async () => {
    const { game } = await join();
    const trained = outcome(game.train('building_b', 'train_scout'));
    socket().say({ type: 'ack', payload: { seq: 1, tick: 9, job: 'job_1' } });
    assert.equal(game.state.jobs.get('job_1').event, 'waiting', 'before anything else is looked at');
    socket().say({ type: 'update', tick: 10, jobs: [{ event: 'failed', job: 'job_1', building: 'building_b', recipe: 'train_scout' }] });
    assert.equal(game.state.jobs.size, 0);
    await clock.settle();
    assert.equal(game.state.jobs.size, 0);
    assert.equal(trained.value.job, 'job_1');
    game.close();
});

test('a job whose end is told before its acknowledgement does not wait', async () => {
    const { game } = await join();
    const failed = { event: 'failed', building: 'building_b', recipe: 'train_scout' };
    outcome(game.train('building_b', 'train_scout'));
    outcome(game.train('building_b', 'train_scout'));
    socket().say({ type: 'update', tick: 10, jobs: [{ ...failed, job: 'job_1' }, { ...failed, event: 'started', job: 'job_2' }] });
    socket().say({ type: 'update', tick: 11, jobs: [{ ...failed, job: 'job_2' }] });
    for (const seq of [1, 2]) socket().say({ type: 'ack', payload: { seq, tick: 9, job: `job_${seq}` } });
    assert.deepEqual([...game.state.jobs.keys()], []);
    game.close();
});

test('a job that was accepted on the connection before is as the state tells it, over perhaps', async () => {
    const { game } = await join();
    const trained = outcome(game.train('building_b', 'train_scout'));
    socket().drop();
    await clock.pass(200);
    socket().welcome();
    socket().say({ type: 'update', tick: 90, full: true });
    assert.deepEqual(socket().commands.map(({ seq }) => seq), [1], 'sent again');
    socket().say({ type: 'ack', payload: { seq: 1, tick: 9, job: 'job_1' } });
    await clock.settle();
    assert.equal(trained.value.job, 'job_1');
    assert.deepEqual([...game.state.jobs.keys()], []);
    game.close();
});

test('a job that is over when it is cancelled is forgotten', async () => {
    const { game } = await join();
    outcome(game.train('building_b', 'train_scout'));
    socket().say({ type: 'ack', payload: { seq: 1, tick: 9, job: 'job_1' } });
    const codes = [];
    for (const code of ['unavailable', 'unknown_job']) {
        const cancelled = outcome(game.cancel('job_1'));
        socket().say({ type: 'error', payload: { seq: codes.length + 2, code, message: 'No.' } });
        await clock.settle();
        codes.push(cancelled.code);
        assert.equal(game.state.jobs.size, code === 'unknown_job' ? 0 : 1, code);
    }
    assert.deepEqual(codes, ['unavailable', 'unknown_job']);
    game.close();
});

test('what was given before goes before what is given by who hears that it is back', async () => {
    const { game } = await join();
    outcome(game.stop(['unit_before']));
    socket().drop();
    outcome(game.stop(['unit_meanwhile']));
    for (const type of ['state', 'welcome']) game.on(type, (said) => said !== 'connecting' && outcome(game.stop([`unit_${type}`])));
    await clock.pass(200);
    socket().welcome();
    assert.deepEqual(socket().commands.map(({ seq, units: [unit] }) => [seq, unit]),
        [[1, 'unit_before'], [2, 'unit_meanwhile'], [3, 'unit_state'], [4, 'unit_welcome']]);
    game.close();
});

test('who is refused and tries again at once is not told that it is closed', async () => {
    let token = 'old';
    await open(1, { token: () => token });
    connection.on('refused', () => {
        token = 'new';
        connection.connect();
    });
    socket().drop(4401, 'expired');
    await clock.settle();
    assert.equal(connection.state, 'connecting');
    assert.equal(socket().protocols.at(-1), 'new');
    socket().welcome();
    assert.equal(connection.state, 'online');
});

test('orders to more units than a command names are several commands', async () => {
    const { game } = await join();
    const units = Array.from({ length: 230 }, (_, i) => `unit_${i}`);
    const ordered = outcome(game.attackMove(units, [1, 2]));
    assert.deepEqual(socket().commands.map((command) => command.units.length), [100, 100, 30]);
    assert.deepEqual(socket().commands.flatMap((command) => command.units), units);
    assert.ok(socket().commands.every(({ command, target, queued }) => command === 'attack_move' && target[0] === 1 && queued === false));
    for (const seq of [1, 2]) socket().say({ type: 'ack', payload: { seq, tick: 9 } });
    await clock.settle();
    assert.equal(ordered.value, undefined);
    socket().say({ type: 'ack', payload: { seq: 3, tick: 9 } });
    await clock.settle();
    assert.deepEqual(ordered.value, { seq: 3, tick: 9 });
    // One site, not several.
    outcome(game.build(units, 'barracks', [1, 2]));
    outcome(game.rally(Array.from({ length: 101 }, (_, i) => `building_${i}`), [1, 2]));
    outcome(game.stop([]));
    assert.deepEqual(socket().commands.slice(3).map(({ command, units: who, buildings }) => [command, (who ?? buildings).length]),
        [['build', 100], ['rally', 100], ['rally', 1], ['stop', 0]]);
    game.close();
});

test('comes back with the token and the place where it stopped', async () => {
    await open();
    socket().drop();
    await clock.pass(200);
    assert.equal(socket().url, 'ws://game.example/ws', 'the first welcome had no token');
    socket().say({ type: 'welcome', payload: { next_seq: 1, resume: 'aa11' } });
    socket().say({ type: 'update', tick: 40, full: true });
    socket().say({ type: 'update', tick: 41 });
    socket().say({ type: 'update', tick: 42, deferred: 3, changed: [] });
    // Of this tick nothing is told yet but names.
    socket().say({ type: 'update', tick: 43, empires: [{ id: 'empire_x', name: 'x' }] });
    socket().drop();
    await clock.pass(200);
    assert.equal(socket().url, 'ws://game.example/ws?last_tick=42&resume=aa11&settled_tick=41');
    // Nothing of what a server says without a token, or of bytes that make no sense, is gone on from.
    socket().say({ type: 'welcome', payload: { next_seq: 1, resume: 'bb22' } });
    socket().say({ type: 'update', tick: 43, full: true });
    socket().say({ type: 'going_away', payload: { reason: 'restart', resume: 'cc33' } });
    socket().drop(1012);
    await clock.pass(200);
    assert.match(socket().url, /resume=cc33/);
    socket().onmessage({ data: Uint8Array.of(4, 1).buffer });
    await clock.pass(1000);
    assert.doesNotMatch(socket().url, /resume=/);
});

test('while a full state is coming in there is nothing to go on from', async () => {
    await open();
    socket().drop();
    await clock.pass(200);
    socket().say({ type: 'welcome', payload: { next_seq: 1, resume: 'aa11' } });
    socket().say({ type: 'explored_hexes', reset: true, hexes: [] });
    socket().say({ type: 'update', tick: 42, full: true });
    // The answer to `join`, of the same tick: the connection breaks within it.
    socket().say({ type: 'explored_hexes', reset: true, hexes: [] });
    socket().drop();
    await clock.pass(200);
    assert.equal(socket().url, 'ws://game.example/ws?last_tick=42');
    // So it does within the full state of the next connection.
    socket().say({ type: 'welcome', payload: { next_seq: 1, resume: 'bb22' } });
    socket().say({ type: 'update', tick: 42, empires: [{ id: 'empire_x', name: 'x' }] });
    socket().drop();
    await clock.pass(200);
    assert.equal(socket().url, 'ws://game.example/ws?last_tick=42');
    socket().say({ type: 'welcome', payload: { next_seq: 1, resume: 'cc33' } });
    socket().say({ type: 'explored_hexes', reset: true, hexes: [] });
    socket().say({ type: 'explored_hexes', hexes: [] });
    socket().say({ type: 'update', tick: 42, full: true });
    socket().drop();
    await clock.pass(200);
    assert.equal(socket().url, 'ws://game.example/ws?last_tick=42&resume=cc33');
});

test('the decoder goes on with a connection that is resumed, and begins anew with another', async () => {
    await open();
    const seen = [];
    connection.on('message', (message) => seen.push(message));
    const bytes = (...list) => socket().onmessage({ data: Uint8Array.from(list).buffer });
    socket().say({ type: 'map', types: [], terrains: [] });
    bytes(1, 1, 0, 0);                                              // explored_hexes, reset
    bytes(0xc1, 0x02, 40, 1, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0x61);      // tick 40 names "a"
    bytes(0x80);                                                    // tick 41
    socket().drop();
    await clock.pass(200);
    socket().say({ type: 'welcome', payload: { next_seq: 1, resume: 'aa11', resumed: true } });
    bytes(6, 50, 1, 1, 2, 0, 0, 0, 0, 0, 0, 0, 1, 0x62);            // tick 50, one is known, "b" is named
    assert.deepEqual(seen.at(-1), { type: 'resumed', tick: 50, empires: [{ id: 'empire_0000000000002', name: 'b' }] });
    bytes(0x81, 0);
    assert.deepEqual(seen.at(-1), { type: 'update', tick: 50 });
    socket().drop();
    await clock.pass(200);
    socket().say({ type: 'welcome', payload: { next_seq: 1, resume: 'aa11', resumed: false, reason: 'too_old' } });
    const before = socket();
    bytes(6, 60, 1, 0);                                             // none is known any more
    assert.equal(before.readyState, 3);
});
