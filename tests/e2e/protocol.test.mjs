// The client protocol (docs/client-protocol.md) as a stranger's client meets it: every way in, every
// refusal with its code, and everything a broken or hostile client may send, while another player
// plays on undisturbed.

import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { connect } from 'node:net';
import { after, before, test } from 'node:test';
import { Game, Player, patience, settings, stopReading } from '../support/game.mjs';
import { PATIENCE_MS, pause, waitFor } from '../support/servers.mjs';

const TICK_RATE = 20;

let game, witness;

before(async () => {
    game = await Game.start({ services: settings({ sync: patience }), test: true });
    witness = await game.join('witness');
});

after(async () => {
    witness?.terminate();
    await game?.stop();
});

// The witness is still in the game: orders work, and ticks go on.
async function unharmed() {
    const scout = await witness.own('scout');
    const answer = await witness.command('stop', { units: [scout.id] });
    assert.equal(answer.type, 'ack');
    const from = witness.messages.length;
    await witness.waitFor('update', () => true, { from });
    assert.equal(witness.closed, null);
}

// The tick of the next update that somebody gets for whom nothing happens: there is one each second.
async function nextTick() {
    const from = witness.messages.length;
    return (await witness.waitFor('update', () => true, { from })).tick;
}

// The player that `connect` makes is refused. While a service that is needed is away, everybody is told to try again.
async function refused(connect, code, word) {
    for (const end = performance.now() + PATIENCE_MS; ;) {
        const player = await connect();
        const error = await player.waitFor('error');
        const closed = await player.waitClosed();
        assert.ok(!player.messages.some((m) => m.type === 'welcome'), 'refused, yet welcomed');
        if (error.payload.code === 'unavailable' && closed.code === 1013 && performance.now() < end) {
            await pause(100);
            continue;
        }
        assert.equal(error.payload.code, word);
        assert.ok(error.payload.message.length > 5);
        assert.deepEqual(closed, { code, reason: word });
        return;
    }
}

const base64url = (text) => Buffer.from(text).toString('base64url');
const decode = (part) => JSON.parse(Buffer.from(part, 'base64url').toString());

// --- ways in -------------------------------------------------------------------------------------

test('a token as subprotocol', async () => {
    const player = await game.enters(async () => new Player(game.socketUrl, await game.token('by-protocol')));
    assert.equal(player.socket.protocol, 'access_token');
    player.close();
});

test('a token as bearer header', async () => {
    const token = await game.token('by-header');
    const player = await game.enters(() => new Player(game.socketUrl, null, { protocols: [], headers: { Authorization: `Bearer ${token}` } }));
    assert.equal(player.socket.protocol, '');
    player.close();
});

test('a token in the query', async () => {
    const token = await game.token('by-query');
    const player = await game.enters(() => new Player(`${game.socketUrl}?token=${token}`, null, { protocols: [] }));
    player.close();
    assert.ok(!game.logOf('sync').includes(token), 'a token in the log');
});

test('the messages after connecting, in order', async () => {
    const player = await game.join('orderly');
    // Each of them may come again at any time: who is online after that was lost sight of, the map with other recipes.
    const types = player.messages.map((m) => m.type);
    const places = ['welcome', 'roster', 'map', 'explored_hexes', 'update'].map((type) => types.indexOf(type));
    assert.deepEqual(places.slice(0, 2), [0, 1], `${types}`);
    assert.ok(places.every((at, i) => i === 0 || at > places[i - 1]), `${types}`);
    const { welcome } = player;
    assert.equal(welcome.username, 'orderly');
    assert.match(welcome.player_id, /^\d+$/);
    assert.match(welcome.empire_id, /^empire_[0-9a-hjkmnp-tv-z]{13}$/);
    assert.equal(welcome.session_id, 'main');
    // Ticks may be late, which a player is told, and go on.
    await player.until('a session that runs', () => (player.messages.findLast((m) => m.type === 'session_status')?.payload
        ?? welcome.session_status).state === 'running');
    await player.until('what it has', () => player.mine('settlement').length === 1 && player.mine('scout').length >= 1);
    for (const entity of player.mine()) assert.match(entity.id, /^(unit|building)_[0-9a-hjkmnp-tv-z]{13}$/);
    await player.until('resources', () => player.resources.gold > 0);
    // Nothing happens for this player, and yet it hears from the server every second; of ticks told together once.
    const folded = () => game.metric('sync', 'mmorts_sync_folded_ticks_total'), before = await folded();
    const from = player.messages.length, { tick } = player;
    const next = await player.waitFor('update', () => true, { from });
    const most = tick + 2 * TICK_RATE + await folded() - before;
    assert.ok(next.tick <= most, `tick ${tick}, then ${next.tick}, not ${most}`);
    player.close();
});

test('the same player again replaces the older connection', async () => {
    const older = await game.join('twice');
    const newer = await game.join('twice');
    assert.equal((await older.waitFor('error')).payload.code, 'replaced');
    assert.deepEqual(await older.waitClosed(), { code: 4409, reason: 'replaced' });
    assert.equal(newer.welcome.empire_id, older.welcome.empire_id);
    assert.ok(newer.tick >= older.tick);
    newer.close();
});

// --- refusals ------------------------------------------------------------------------------------

test('no token', async () => {
    await refused(() => new Player(game.socketUrl, null, { protocols: [] }), 4401, 'missing_token');
});

test('not a token', async () => {
    for (const token of ['nonsense', 'a.b', 'a.b.c', 'x'.repeat(3000), '..'])
        await refused(() => new Player(`${game.socketUrl}?token=${token}`, null, { protocols: [] }), 4401, 'malformed_token');
});

test('alg none, and HS256 signed with the public key', async () => {
    const [, claims] = (await game.token('forger')).split('.');
    const none = `${base64url('{"alg":"none","typ":"JWT"}')}.${claims}.`;
    const pem = await (await fetch(`${game.status().login_url}/api/public-key`)).text();
    const signed = `${base64url('{"alg":"HS256","typ":"JWT"}')}.${claims}`;
    const hs256 = `${signed}.${createHmac('sha256', pem).update(signed).digest('base64url')}`;
    await refused(() => new Player(game.socketUrl, hs256), 4401, 'unsupported_algorithm');
    await refused(() => new Player(`${game.socketUrl}?token=${none}`, null, { protocols: [] }), 4401, 'unsupported_algorithm');
});

test('a changed token', async () => {
    const [header, claims, signature] = (await game.token('changed')).split('.');
    const more = base64url(JSON.stringify({ ...decode(claims), permissions: 1023 }));
    await refused(() => new Player(game.socketUrl, `${header}.${more}.${signature}`), 4401, 'bad_signature');
});

test('wrong issuer, expired, not activated, banned', async () => {
    const cases = [
        [{ issuer: 'somebody-else' }, 4401, 'wrong_issuer'],
        [{ expires_in: -3600 }, 4401, 'expired'],
        [{ activated: 0 }, 4403, 'not_activated'],
        [{ activated: -1 }, 4403, 'banned'],
    ];
    for (const [knobs, code, word] of cases)
        await refused(async () => new Player(game.socketUrl, await game.token('odd', knobs)), code, word);
});

test('an unknown session', async () => {
    await refused(async () => new Player(`${game.socketUrl}?session=elsewhere`, await game.token('lost')), 4404, 'unknown_session');
});

test('a revoked token closes the live connection at once, and does not open another', async () => {
    const token = await game.token('revoked');
    const player = await game.enters(() => new Player(game.socketUrl, token));
    const begin = await nextTick();
    const answer = await game.call('auth', 'Revoke', { token });
    assert.equal(answer.status, 200, JSON.stringify(answer.body));
    assert.equal((await player.waitFor('error')).payload.code, 'revoked');
    assert.deepEqual(await player.waitClosed(), { code: 4403, reason: 'revoked' });
    // Counted in ticks: what holds up this test holds up the game, too.
    const took = await nextTick() - begin;
    assert.ok(took < 30 * TICK_RATE, `${took} ticks`);
    await refused(() => new Player(game.socketUrl, token), 4403, 'revoked');
});

test('a token that is revoked while it is looked at opens nothing', async () => {
    const waits = async () => (await game.query('auth',
        "SELECT 1 FROM information_schema.PROCESSLIST WHERE ID != CONNECTION_ID() AND INFO LIKE 'INSERT INTO players%'")).length > 0;
    for (let tries = 0; ; tries++) {
        const token = await game.token(`hasty ${tries}`);
        const live = await game.enters(() => new Player(game.socketUrl, token));
        // Auth looks whether the token is revoked, and then writes the visit down: its database keeps it from that until
        // sync has heard of the revocation, which the end of the live connection tells.
        const release = await game.lock('auth', 'BEGIN', `SELECT 1 FROM players WHERE player_id = ${live.welcome.player_id} FOR UPDATE`);
        let player;
        try {
            player = new Player(game.socketUrl, token);
            await waitFor('auth behind the lock', async () => player.closed || await waits());
            const answer = await game.call('auth', 'Revoke', { token });
            assert.equal(answer.status, 200, JSON.stringify(answer.body));
            assert.equal((await live.waitClosed()).reason, 'revoked');
        } finally {
            await release();
        }
        const { code } = (await player.waitFor('error')).payload;
        await player.waitClosed();
        assert.ok(!player.messages.some((m) => m.type === 'welcome'), 'it came in');
        if (code === 'unavailable' && tries < 60) continue; // auth had given its database up
        assert.equal(code, 'revoked');
        return;
    }
});

test('a ban closes the live connection', async () => {
    const player = await game.join('outcast');
    const admin = await game.token('moderator', { permissions: 256 });
    const answer = await game.call('auth', 'Ban', { playerId: player.welcome.player_id, reason: 'test' }, admin);
    assert.equal(answer.status, 200, JSON.stringify(answer.body));
    assert.equal((await player.waitFor('error')).payload.code, 'banned');
    assert.equal((await player.waitClosed()).code, 4403);
    await refused(async () => new Player(game.socketUrl, await game.token('outcast')), 4403, 'banned');
});

test('whose token ran out while playing is sent away all the same', { timeout: 300000 }, async () => {
    const enter = async (name) => {
        for (;;) {
            const token = await game.token(name, { expires_in: 8 });
            const player = new Player(game.socketUrl, token);
            await player.until('an answer', () => player.closed || player.messages.some(({ type }) => type === 'welcome'));
            if (!player.closed) return { player, token };
            assert.ok(['expired', 'unavailable'].includes(player.closed.reason), player.closed.reason); // on a busy machine
        }
    };
    const entered = [await enter('stolen'), await enter('shunned'), await enter('staying')];
    const [stolen, shunned, staying] = entered.map(({ player }) => player);
    const verdict = async (token) => (await game.call('auth', 'Verify', { token })).body.reason;
    for (const { token } of entered) await waitFor('the end of a token', async () => await verdict(token) === 'VERIFY_EXPIRED');
    assert.deepEqual([stolen, shunned, staying].map(({ closed }) => closed), [null, null, null]);
    const answer = await game.call('auth', 'Revoke', { token: entered[0].token });
    assert.equal(answer.status, 200, JSON.stringify(answer.body));
    assert.deepEqual(await stolen.waitClosed(), { code: 4403, reason: 'revoked' });
    // A ban of which sync does not hear, for its connection to Redis is lost: it asks afterwards.
    const { player_id } = shunned.welcome;
    await game.query('auth', `INSERT INTO bans (player_id, until_ms, reason, banned_ms, banned_by) VALUES (${player_id}, 0, 'test', 0, 0)`);
    await game.redis('SET', `banned:${player_id}`, '1');
    await game.redis('CLIENT', 'KILL', 'TYPE', 'pubsub');
    assert.deepEqual(await shunned.waitClosed(), { code: 4403, reason: 'banned' });
    staying.send({ type: 'ping', payload: { timestamp: 5 } });
    await staying.waitFor('pong', (m) => m.payload.timestamp === 5);
    staying.close();
});

test('plain HTTP where a handshake is expected', async () => {
    const answer = await fetch(`${game.url}ws`);
    assert.equal(answer.status, 426);
    const config = await (await fetch(`${game.url}config.json`)).json();
    assert.equal(config.login_url, game.status().login_url);
});

// --- what a client may say -----------------------------------------------------------------------

test('messages that are wrong get a typed error and harm nothing', async () => {
    const player = await game.join('clumsy');
    const { id: unit } = await player.own('scout'), { id: building } = await player.own('settlement');
    const foreign = { scout: await witness.own('scout'), settlement: await witness.own('settlement') };
    const cases = [
        ['{"type":', 'malformed'],
        ['[]', 'malformed'],
        ['7', 'malformed'],
        ['{"type":"a","type":"b"}', 'malformed'],
        ['{}', 'invalid'],
        ['{"type":7}', 'invalid'],
        ['{"type":"dance"}', 'unknown_type'],
        ['{"type":"command"}', 'invalid'],
        ['{"type":"command","payload":{"command":"move"}}', 'invalid'],
        ['{"type":"command","payload":{"seq":"1","command":"move"}}', 'invalid'],
        ['{"type":"command","payload":{"seq":-1,"command":"move"}}', 'invalid'],
        ['{"type":"command","payload":{"seq":1.5,"command":"move"}}', 'invalid'],
        [{ command: 'fly' }, 'unknown_command'],
        [{ command: 'move' }, 'invalid'],
        [{ command: 'move', units: [] , target: [0, 0] }, 'no_units'],
        [{ command: 'move', units: [7], target: [0, 0] }, 'invalid'],
        [{ command: 'move', units: [unit] }, 'invalid'],
        [{ command: 'move', units: [unit], target: [0] }, 'invalid'],
        [{ command: 'move', units: [unit], target: [0, 0.5] }, 'invalid'],
        [{ command: 'move', units: [unit], target: [1e12, 0] }, 'invalid'],
        [{ command: 'move', units: [unit], target: [0, 0], queued: 'yes' }, 'invalid'],
        [{ command: 'move', units: [building], target: [0, 0] }, 'invalid'],
        [{ command: 'move', units: ['unit_0000000000000'], target: [0, 0] }, 'unknown_unit'],
        [{ command: 'stop', units: [foreign.scout.id] }, 'unknown_unit'],
        [{ command: 'train', building, recipe: 'train_dragon' }, 'unknown_recipe'],
        [{ command: 'train', building, recipe: '' }, 'invalid'],
        [{ command: 'train', building: 'building_0000000000000', recipe: 'train_scout' }, 'unknown_building'],
        [{ command: 'train', building: foreign.settlement.id, recipe: 'train_scout' }, 'unknown_building'],
        [{ command: 'cancel', job: 'job_0000000000000' }, 'unknown_job'],
        ['{"type":"chat"}', 'invalid'],
        ['{"type":"chat","payload":{"message":""}}', 'chat_empty'],
        [JSON.stringify({ type: 'chat', payload: { message: 'x'.repeat(501) } }), 'chat_too_long'],
        ['{"type":"chat","payload":{"message":"a\\u0000b"}}', 'chat_invalid'],
    ];
    for (const [message, code] of cases) {
        let seq, text, error;
        // What cannot be said now, because somebody is away or does not answer, is asked again.
        for (const end = performance.now() + PATIENCE_MS; ;) {
            const from = player.messages.length;
            seq = player.nextSeq++;
            text = typeof message === 'string' ? message : JSON.stringify({ type: 'command', payload: { seq, ...message } });
            player.send(text);
            error = await player.waitFor('error', () => true, { from });
            if (!['unavailable', 'timeout', 'queue_full', 'paused', 'rate_limited'].includes(error.payload.code) || performance.now() > end) break;
            await pause(200);
        }
        assert.equal(error.payload.code, code, `${text}: ${JSON.stringify(error)}`);
        if (typeof message !== 'string') assert.equal(error.payload.seq, seq);
        await pause(60); // below every rate limit
    }
    player.send(Buffer.from([1, 2, 3]));
    assert.ok(await player.waitFor('error', (m) => m.payload.code === 'binary_unsupported'));
    const answer = await player.command('move', { units: [unit], target: player.welcome.home });
    assert.equal(answer.type, 'ack', JSON.stringify(answer));
    player.close();
    await unharmed();
});

test('a command under the same seq is carried out once and answered every time', async () => {
    const player = await game.join('insistent');
    const gold = await player.until('resources', () => player.resources.gold);
    const fields = { building: (await player.own('settlement')).id, recipe: 'train_scout' };
    const seq = player.nextSeq++;
    const first = await player.command('train', fields, seq);
    assert.equal(first.type, 'ack', JSON.stringify(first));
    assert.match(first.payload.job, /^job_/);
    await player.until('the price paid', () => player.resources.gold < gold);
    const left = player.resources.gold;
    const second = await player.command('train', fields, seq);
    assert.ok(second.type === 'ack' || second.payload.code === 'repeated', JSON.stringify(second));
    if (second.type === 'ack') assert.equal(second.payload.job, first.payload.job);
    const { id: unit } = await player.own('soldier');
    const moves = [await player.command('stop', { units: [unit] }), 0];
    moves[1] = await player.command('stop', { units: [unit] }, moves[0].payload.seq);
    assert.deepEqual(moves.map((m) => m.type), ['ack', 'ack']);
    assert.equal(moves[0].payload.tick, moves[1].payload.tick);
    assert.equal(player.resources.gold, left);
    player.close();
});

test('ping, join, leave', async () => {
    const player = await game.join('polite');
    const { tick } = player;
    player.send({ type: 'ping', payload: { timestamp: 1699999999123 } });
    const pong = await player.waitFor('pong');
    assert.equal(pong.payload.timestamp, 1699999999123);
    assert.ok(pong.payload.server_tick >= tick, `${pong.payload.server_tick}, before it ${tick}`);
    const from = player.messages.length;
    const before = JSON.stringify([...player.hexes].sort());
    player.send({ type: 'join' });
    const reset = await player.waitFor('explored_hexes', () => true, { from });
    assert.equal(reset.reset, true);
    await player.until('all of it again', () => player.messages.slice(from).some((m) => m.full)
        && JSON.stringify([...player.hexes].sort()) === before);
    player.send({ type: 'leave' });
    assert.equal((await player.waitClosed()).code, 1000);
});

test('chat reaches everybody; comings and goings too', async () => {
    const player = await game.join('talker');
    const { player_id } = player.welcome;
    await witness.hears('joined', player_id);
    player.chat('hello "everybody" \u{1f44b} <b>');
    const heard = await witness.waitFor('chat', (m) => m.payload.player_id === player_id);
    assert.equal(heard.payload.message, 'hello "everybody" \u{1f44b} <b>');
    assert.equal(heard.payload.username, 'talker');
    player.close();
    await witness.hears('left', player_id);
});

test('too many messages: told, then sent away', async () => {
    const player = await game.join('flooder');
    // All in one piece: sync hears the last of them before it has given up waiting for the other half of its close.
    const { _socket: wire } = player.socket;
    wire.cork();
    for (let i = 0; i < 1000; i++) player.send({ type: 'ping' }); // however slowly: far more than it may in that time
    wire.uncork();
    assert.ok(await player.waitFor('error', (m) => m.payload.code === 'rate_limited'));
    assert.deepEqual(await player.waitClosed(), { code: 4429, reason: 'rate_limited' });
    await unharmed();
});

// --- what a client must not do (RFC 6455) --------------------------------------------------------

// A connection of bytes: handshake by hand, frames as given.
class Raw {
    // While a service that is needed is away, a player is told to try again.
    static async open(token) {
        for (const end = performance.now() + PATIENCE_MS; ;) {
            const raw = await Raw.#try(token);
            if (raw.#isFull) return raw;
            assert.ok(await raw.closeCode() === 1013 && performance.now() < end, `not let in: ${raw.received.subarray(-200)}`);
            await pause(100);
        }
    }

    static async #try(token) {
        const raw = new Raw();
        const url = new URL(game.url);
        raw.received = Buffer.alloc(0);
        raw.socket = connect(Number(url.port), url.hostname);
        raw.ended = new Promise((resolve) => raw.socket.on('close', resolve));
        raw.socket.on('error', () => {});
        raw.socket.on('data', (data) => { raw.received = Buffer.concat([raw.received, data]); });
        raw.socket.write(`GET /ws?token=${token} HTTP/1.1\r\nHost: ${url.host}\r\nUpgrade: websocket\r\n`
            + 'Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n');
        await raw.until(() => raw.#isFull || raw.socket.closed);
        return raw;
    }

    get #isFull() {
        return this.received.includes('"full":true');
    }

    async until(condition, timeoutMs = PATIENCE_MS) {
        const end = performance.now() + timeoutMs;
        while (!condition()) {
            assert.ok(performance.now() < end, `no answer: ${this.received.subarray(-200)}`);
            await pause(10);
        }
    }

    // A client frame; options break it in the ways a client can.
    frame(opcode, payload, { fin = true, mask = true, rsv = 0, length = payload.length } = {}) {
        const data = Buffer.from(payload);
        const head = [(fin ? 0x80 : 0) | rsv << 4 | opcode];
        if (length < 126) head.push((mask ? 0x80 : 0) | length);
        else if (length < 65536) head.push((mask ? 0x80 : 0) | 126, length >> 8, length & 255);
        else head.push((mask ? 0x80 : 0) | 127, 0, 0, 0, 0, ...Buffer.from(Uint32Array.of(length).buffer).reverse());
        const key = Buffer.from([1, 2, 3, 4]);
        if (mask) for (let i = 0; i < data.length; i++) data[i] ^= key[i % 4];
        this.socket.write(Buffer.concat([Buffer.from(head), mask ? key : Buffer.alloc(0), data]));
    }

    // The close code that the server sends.
    async closeCode() {
        await this.until(() => this.socket.closed);
        for (let at = this.received.length - 4; at >= 0; at--) {
            const len = this.received[at + 1];
            if (this.received[at] === 0x88 && len >= 2 && at + 2 + len === this.received.length)
                return this.received.readUInt16BE(at + 2);
        }
        return null;
    }
}

test('broken frames get the close code that the standard names', async () => {
    const cases = [
        ['unmasked', (raw) => raw.frame(1, '{}', { mask: false }), 1002],
        ['reserved bit', (raw) => raw.frame(1, '{}', { rsv: 4 }), 1002],
        ['reserved opcode', (raw) => raw.frame(3, '{}'), 1002],
        ['continuation of nothing', (raw) => raw.frame(0, '{}'), 1002],
        ['a text inside a text', (raw) => { raw.frame(1, '{', { fin: false }); raw.frame(1, '}'); }, 1002],
        ['fragmented ping', (raw) => raw.frame(9, 'x', { fin: false }), 1002],
        ['long ping', (raw) => raw.frame(9, 'x'.repeat(126)), 1002],
        ['close with one byte', (raw) => raw.frame(8, 'x'), 1002],
        ['close with a reserved code', (raw) => raw.frame(8, Buffer.from([0x03, 0xed])), 1002],
        ['text that is not UTF-8', (raw) => raw.frame(1, Buffer.from([0x22, 0xc3, 0x28, 0x22])), 1007],
        ['UTF-8 broken across fragments', (raw) => { raw.frame(1, Buffer.from([0xe2, 0x82]), { fin: false }); raw.frame(0, 'x'); }, 1007],
        ['too large', (raw) => raw.frame(1, 'x'.repeat(4097)), 1009],
        ['too large in fragments', (raw) => { for (let i = 0; i < 5; i++) raw.frame(i ? 0 : 1, 'x'.repeat(1000), { fin: false }); }, 1009],
        ['a length of gigabytes', (raw) => raw.frame(1, 'x', { length: 0xf0000000 }), 1009],
        ['close', (raw) => raw.frame(8, Buffer.from([0x03, 0xe8])), 1000],
    ];
    for (const [name, act, code] of cases) {
        const raw = await Raw.open(await game.token('vandal'));
        act(raw);
        assert.equal(await raw.closeCode(), code, name);
        raw.socket.destroy();
    }
    await unharmed();
});

test('fragments and control frames between them are one message', async () => {
    const raw = await Raw.open(await game.token('patient'));
    raw.frame(1, '{"type":"pi', { fin: false });
    raw.frame(9, 'between');
    raw.frame(0, '', { fin: false });
    raw.frame(0, 'ng","payload":{"timestamp":', { fin: false });
    raw.frame(0, '4711}}');
    await raw.until(() => raw.received.includes('"timestamp":4711'));
    assert.ok(raw.received.includes(Buffer.concat([Buffer.from([0x8a, 7]), Buffer.from('between')])), 'no pong');
    raw.socket.destroy();
});

test('one byte at a time', async () => {
    const raw = await Raw.open(await game.token('slowly'));
    const text = '{"type":"ping","payload":{"timestamp":12}}';
    const bytes = Buffer.concat([Buffer.from([0x81, 0x80 | text.length, 0, 0, 0, 0]), Buffer.from(text)]);
    raw.socket.setNoDelay(true);
    for (const byte of bytes) {
        raw.socket.write(Buffer.from([byte]));
        await new Promise((resolve) => setTimeout(resolve, 1));
    }
    await raw.until(() => raw.received.includes('"timestamp":12'));
    raw.socket.destroy();
});

test('garbage, half a handshake, and silence', async () => {
    const url = new URL(game.url);
    const sockets = [];
    for (let i = 0; i < 20; i++) {
        const socket = connect(Number(url.port), url.hostname);
        socket.on('error', () => {});
        socket.write(i % 2 ? Buffer.from(Array.from({ length: 500 }, (_, k) => (k * 37 + i) & 255)) : 'GET /ws HTTP/1.1\r\nHo');
        sockets.push(socket);
    }
    await unharmed();
    for (const socket of sockets) socket.destroy();
});

test('a client that stops reading holds nobody up, and is told everything when it reads again', async () => {
    const sleeper = await game.join('sleeper', { compression: false }); // so that it takes less to fill it
    const scout = await sleeper.own('scout');
    await sleeper.command('move', { units: [scout.id], target: [scout.pos[0] + 8, scout.pos[1] - 3] });
    await stopReading(game, sleeper);
    const admin = await game.token('operator', { permissions: 512 });
    await unharmed();
    const stats = await game.call('sync', 'GetStats', {}, admin);
    assert.equal(stats.status, 200, JSON.stringify(stats.body));
    assert.ok(stats.body.players >= 2);
    sleeper.socket._socket.resume();
    const from = sleeper.messages.length;
    sleeper.send({ type: 'ping', payload: { timestamp: 99 } });
    await sleeper.waitFor('pong', (m) => m.payload.timestamp === 99, { from });
    const told = (player) => ({
        entities: player.mine().map(({ id, pos, health }) => [id, pos, health]).sort(), hexes: player.hexes.size, visible: player.count(2),
    });
    await sleeper.until('an update after the pause, and no full state half told',
        () => sleeper.tick >= witness.tick - 5 && sleeper.mine().length > 0);
    // It was told everything often: what it is told now may be deferred. And another full state may follow in one piece with
    // what this one looks for: it is looked at there and then.
    const slow = await sleeper.until('the end of the march, and all told', () => sleeper.mine('scout')[0].data.activity === 'idle'
        && !sleeper.messages.findLast((m) => m.type === 'update').deferred && told(sleeper));
    sleeper.close();
    await sleeper.waitClosed();
    const again = await game.join('sleeper');
    assert.ok(again.tick >= sleeper.tick);
    assert.deepEqual(slow, told(again));
    again.close();
});

test('an operator ends a connection; others may not', async () => {
    const player = await game.join('nuisance');
    const body = { playerId: player.welcome.player_id, reason: 'Enough.' };
    assert.equal((await game.call('sync', 'Disconnect', body)).status, 401);
    assert.equal((await game.call('sync', 'Disconnect', body, await game.token('nobody'))).status, 403);
    const answer = await game.call('sync', 'Disconnect', body, await game.token('moderator', { permissions: 256 }));
    assert.deepEqual(answer, { status: 200, body: { closed: 1 } });
    const error = await player.waitFor('error');
    assert.deepEqual([error.payload.code, error.payload.message], ['disconnected', 'Enough.']);
    assert.equal((await player.waitClosed()).code, 1008);
});

test('a client that vanishes is forgotten', async () => {
    const player = await game.join('ghost');
    await witness.hears('joined', player.welcome.player_id); // who comes and goes before social hears of it was never there
    player.terminate();
    await witness.hears('left', player.welcome.player_id);
});

test('a restart sends clients away with 1012, and they come back to the same world', async () => {
    const player = await game.join('traveller');
    const known = { tick: player.tick, units: player.mine().map((e) => e.id).sort() };
    process.kill(game.process('sync').pid, 'SIGTERM');
    assert.deepEqual(await player.waitClosed(), { code: 1012, reason: 'restart' });
    assert.equal((await witness.waitClosed()).code, 1012);
    let again;
    for (const end = performance.now() + PATIENCE_MS; !again;) {
        assert.ok(performance.now() < end, 'sync does not come back');
        const next = new Player(`${game.socketUrl}?last_tick=${known.tick}`, await game.token('traveller'));
        await next.until('a full state', () => next.error || next.messages.some((m) => m.full)).catch(() => {});
        if (next.messages.some((m) => m.full)) again = next;
        else await pause(100);
    }
    assert.ok(again.tick >= known.tick);
    await again.until('the same units', () => `${again.mine().map((e) => e.id).sort()}` === `${known.units}`);
    again.close();
});
