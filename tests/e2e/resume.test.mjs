// Connections that break, and what their players are told when they come back: what they missed, as
// far as they may know it now, or else everything. The picture of another connection of the same
// player, which nothing happens to, is what it has to be equal to.

import assert from 'node:assert/strict';
import { connect, createServer } from 'node:net';
import { after, before, test } from 'node:test';
import WebSocket from 'ws';
import { GameClient } from '../../services/sync/web/sdk/index.js';
import { Game, Player, patience, settings } from '../support/game.mjs';
import { PATIENCE_MS, pause, waitFor } from '../support/servers.mjs';

const STIR_MS = 3000;

const clients = [];
let game, line;

// Between the players and sync: passes bytes on, until it is told not to.
class Line {
    #pairs = new Set();

    static async open(port) {
        const self = new Line();
        self.server = createServer((near) => self.#take(near, connect(port, '127.0.0.1')));
        await new Promise((resolve) => self.server.listen(0, '127.0.0.1', resolve));
        self.port = self.server.address().port;
        return self;
    }

    #take(near, far) {
        const pair = { near, far, holding: false };
        this.#pairs.add(pair);
        for (const [from, to] of [[near, far], [far, near]]) {
            from.on('data', (data) => pair.holding || to.write(data));
            from.on('error', () => {});
            from.on('close', () => pair.holding || to.destroy());
        }
        near.on('close', () => this.#pairs.delete(pair));
    }

    // From now on nothing arrives, though the server goes on sending; after a while the client is cut off. The
    // server's end stays open, as if the client had gone out of reach.
    async cut(holdMs) {
        const pairs = [...this.#pairs];
        for (const pair of pairs) pair.holding = true;
        await pause(holdMs);
        for (const { near } of pairs) near.destroy();
    }

    // Both ends see it.
    drop() {
        for (const { near, far } of this.#pairs) {
            near.destroy();
            far.destroy();
        }
    }

    close() {
        this.drop();
        this.server.close();
    }
}

before(async () => {
    // Whoever is away is waited for as long as can be, however slowly a busy machine brings it back.
    const patient = (text) => patience(text).replace('CONNECTIONS:-replace', 'CONNECTIONS:-allow')
        .replace(/max_delta_age: \d+/, 'max_delta_age: 1200').replace(/log: \d+/, 'log: 1048576');
    game = await Game.start({ services: settings({ sync: patient }) });
    line = await Line.open(Number(new URL(game.socketUrl).port));
});

after(async () => {
    for (const client of clients) client.close();
    line?.close();
    await game?.stop();
});

// A target that is null and none told at all mean the same.
function picture({ tick, entities, hexes, resources, jobs }) {
    const sorted = (list) => list.sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1));
    return {
        tick,
        entities: sorted([...entities.values()].map(({ id, type, owner, pos, health, stale, data }) =>
            [id, type, owner, pos, health, stale, Object.entries(data).filter(([, value]) => value !== null).sort()])),
        hexes: sorted([...hexes.values()].map(({ q, r, terrain, state }) => [q, r, terrain, state])),
        resources: sorted([...resources]),
        jobs: sorted([...jobs.values()].filter(({ event }) => event !== 'waiting').map(({ job }) => job)),
    };
}

// A client that keeps its picture as it was after each tick, and what happened to it.
async function enter(username, options) {
    const client = new GameClient({ url: game.socketUrl, token: () => game.token(username), WebSocket, commandTimeoutMs: PATIENCE_MS, ...options });
    client.pictures = new Map();
    client.happened = [];
    client.on('update', ({ tick }) => client.state.complete && client.pictures.set(tick, picture(client.state)));
    for (const type of ['ready', 'resumed']) client.on(type, () => client.happened.push(type));
    client.on('welcome', (welcome) => { client.welcome = welcome; });
    clients.push(client);
    await client.connect();
    return client;
}

const throughLine = (encoding) => ({ url: game.socketUrl.replace(/:\d+/, `:${line.port}`), encoding });

const next = (client, type) => new Promise((resolve) => client.once(type, resolve));

// Resolves when a client has come back: 'resumed', or why it was told everything.
const comesBack = (client) => Promise.race([next(client, 'resumed').then(() => 'resumed'), next(client, 'ready').then(() => client.welcome.reason)]);

// From the tick on in which one of them came back, both show the same. News of production that came after that tick
// are told with what was missed, but to the other one with the next tick.
async function same(one, other, from, round = 3) {
    let stirAt = 0;
    const last = await waitFor('ticks that both have', () => {
        // Of ticks in which nothing happens not everybody is told.
        if (performance.now() >= stirAt) {
            stir(other, round++);
            stirAt = performance.now() + STIR_MS;
        }
        const common = [...one.pictures.keys()].filter((tick) => tick >= from && other.pictures.has(tick));
        // The newest one may get another update.
        return common.length > 10 && common.slice(0, -1);
    });
    for (const tick of last) {
        const [shown, truth] = [one, other].map(({ pictures }) =>
            (tick > from ? pictures.get(tick) : { ...pictures.get(tick), resources: null, jobs: null }));
        assert.deepEqual(shown, truth, `tick ${tick}, back since ${from}`);
    }
}

// Scouts walk about, so that something changes in every tick, and something is trained.
function stir(client, round) {
    const { state } = client;
    const [q, r] = state.home;
    const units = state.mine().filter(({ kind }) => kind === 'unit').map(({ id }) => id);
    const way = [[9, -4], [-9, 2], [3, 8], [-2, -9], [0, 0]][round % 5];
    return client.command('move', { units, target: [q + way[0], r + way[1]] }).catch(() => {});
}

for (const encoding of ['binary', 'json']) {
    test(`${encoding}: a connection cut off in the middle goes on where it stopped`, { timeout: 300000 }, async () => {
        const witness = await enter(`cut-${encoding}`);
        const client = await enter(`cut-${encoding}`, throughLine(encoding));
        const bytes = await game.metric('sync', 'mmorts_sync_full_states_total');
        for (let round = 0; round < 6; round++) {
            await stir(witness, round);
            await pause(300);
            if (round === 2) {
                const recipe = witness.state.recipes.find(({ name }) => name === 'train_worker');
                await witness.train(witness.state.mine('settlement')[0].id, recipe.name);
            }
            const back = comesBack(client);
            await line.cut([0, 40, 300, 900, 1500, 10][round]);
            assert.equal(await back, 'resumed', `round ${round}`);
            assert.equal(client.welcome.resumed, true);
            await same(client, witness, client.state.tick, round + 1);
        }
        assert.deepEqual(client.happened, ['ready', ...Array(6).fill('resumed')]);
        assert.equal(await game.metric('sync', 'mmorts_sync_full_states_total'), bytes, 'nobody was told everything');
        assert.ok(await game.metric('sync', 'mmorts_sync_resumes_total{result="resumed"}') >= 6);
        assert.ok(await game.metric('sync', 'mmorts_sync_delta_log_bytes') > 0);
        client.close();
        witness.close();
    });
}

const viewsKept = () => game.metric('sync', 'mmorts_sync_views_kept');

test('alone at its seat: the view waits for the player', { timeout: 300000 }, async () => {
    await waitFor('no view kept for those who left', async () => await viewsKept() === 0);
    let mayReturn = Promise.resolve(), comeBack;
    const token = () => mayReturn.then(() => game.token('alone'));
    const client = await enter('alone', { ...throughLine('binary'), token });
    await stir(client, 0);
    const resumed = comesBack(client);
    mayReturn = new Promise((resolve) => { comeBack = resolve; });
    // Nobody else has the view, and sync sees the end at once.
    line.drop();
    await waitFor('a view that is kept', async () => await viewsKept() === 1);
    comeBack();
    assert.equal(await resumed, 'resumed');
    assert.equal(await viewsKept(), 0, 'views kept when the player is back');
    const { tick } = client.state;
    const fresh = await enter('alone');
    await same(client, fresh, tick);
    client.close();
    fresh.close();
});

test('vision and world are killed while a player is away', { timeout: 300000 }, async () => {
    for (const name of ['vision', 'world']) {
        const witness = await enter('patient');
        const client = await enter('patient', throughLine('binary'));
        await stir(witness, 1);
        const back = next(client, 'welcome');
        const cut = line.cut(600);
        await game.killAndWait(name);
        await cut;
        await back;
        await waitFor('a whole picture', () => client.happened.length > 1);
        await same(client, witness, client.state.tick);
        client.close();
        witness.close();
    }
});

// A bare client's welcome, with what it shows at the handshake.
async function welcomed(name, query, options = {}) {
    const player = new Player(`${game.socketUrl}?${query}`, await game.token(name), options);
    const { payload } = await player.waitFor('welcome');
    return { player, payload };
}

test('who was told everything and nothing since goes on from there', { timeout: 300000 }, async () => {
    for (const name of ['first-tick', 'first-tick-again']) {
        const { player, payload } = await welcomed(name, '');
        const { tick } = await player.waitFor('update', ({ full }) => full);
        player.terminate();
        const again = await welcomed(name, `resume=${payload.resume}&last_tick=${tick}`);
        assert.deepEqual([again.payload.resumed, again.payload.reason], [true, undefined]);
        again.player.terminate();
    }
});

test('whoever cannot be resumed is told everything, and why', { timeout: 300000 }, async () => {
    const { player, payload } = await welcomed('reasons', '');
    assert.match(payload.resume, /^[0-9a-f]{48}$/);
    assert.ok(!('resumed' in payload));
    await player.waitFor('update', ({ full }) => full);
    const { tick } = await player.waitFor('update', ({ full }) => !full);
    const other = await welcomed('stranger', '');
    const elsewhere = payload.resume.replace(/^./, (digit) => (digit === '0' ? '1' : '0'));
    const forged = payload.resume.replace(/.$/, (digit) => (digit === '0' ? '1' : '0'));
    const cases = [
        ['nonsense', 'unknown'], ['x'.repeat(3000), 'unknown'], [`${payload.resume}0`, 'unknown'], [forged, 'unknown'],
        [elsewhere, 'other_instance'], [other.payload.resume, 'unknown'],
    ];
    for (const [token, reason] of cases) {
        const again = await welcomed('reasons', `resume=${token}&last_tick=${tick}`);
        assert.deepEqual([again.payload.resumed, again.payload.reason], [false, reason], token.slice(0, 60));
        assert.notEqual(again.payload.resume, payload.resume);
        await again.player.waitFor('update', ({ full }) => full);
        again.player.terminate();
    }
    // The player's own, while the old connection still seems to be there: it makes way.
    const again = await welcomed('reasons', `resume=${payload.resume}&last_tick=1`);
    assert.deepEqual([again.payload.resumed, again.payload.reason], [false, 'too_old']);
    again.player.terminate();
    assert.deepEqual(await player.waitClosed(), { code: 4409, reason: 'replaced' });
    const ahead = await welcomed('reasons', `resume=${payload.resume}&last_tick=${player.tick + 30}`);
    assert.deepEqual([ahead.payload.resumed, ahead.payload.reason], [false, 'unknown'], 'a tick it was not told of');
    ahead.player.terminate();
    const token = await game.token('reasons');
    const binary = await welcomed('reasons', `resume=${payload.resume}&last_tick=${tick}`,
        { protocols: ['mmorts.bin.v1', 'access_token', token] });
    assert.deepEqual([binary.payload.resumed, binary.payload.reason], [false, 'encoding']);
    binary.player.terminate();
    other.player.terminate();
});

test('who was told everything again in a tick that it knew cannot go on from that tick', { timeout: 300000 }, async () => {
    const { player, payload } = await welcomed('again', '');
    await player.waitFor('update', ({ full }) => full);
    // The answer comes at once: sooner or later in the tick of the update before it.
    for (let known = 0, told = -1; told !== known;) {
        ({ tick: known } = await player.waitFor('update', ({ full, tick }) => !full && tick > known));
        const from = player.messages.length;
        player.send({ type: 'join' });
        ({ tick: told } = await player.waitFor('update', ({ full }) => full, { from }));
        known = Math.max(known, ...player.messages.slice(0, from).map(({ tick }) => tick ?? 0));
    }
    const [{ tick }] = player.messages.filter(({ full }) => full).slice(-1);
    // Nothing of that answer needs to have arrived.
    const again = await welcomed('again', `resume=${payload.resume}&last_tick=${tick}`);
    assert.deepEqual([again.payload.resumed, again.payload.reason], [false, 'too_old']);
    again.player.terminate();
});

test('who leaves is not waited for', { timeout: 300000 }, async () => {
    const { player, payload } = await welcomed('leaver', '');
    const { tick } = await player.waitFor('update', ({ full }) => full);
    player.send({ type: 'leave' });
    await player.waitClosed();
    const again = await welcomed('leaver', `resume=${payload.resume}&last_tick=${tick}`);
    assert.deepEqual([again.payload.resumed, again.payload.reason], [false, 'unknown']);
    again.player.terminate();
});

test('a sync that is told to end says so, and the next one tells everything', { timeout: 300000 }, async () => {
    const client = await enter('drained', throughLine('binary'));
    const bare = await welcomed('drained-bare', '');
    const ready = next(client, 'ready');
    process.kill(game.process('sync').pid, 'SIGTERM');
    const away = await bare.player.waitFor('going_away');
    assert.deepEqual(away.payload, { reason: 'restart', resume: bare.payload.resume });
    assert.deepEqual(await bare.player.waitClosed(), { code: 1012, reason: 'restart' });
    await ready;
    assert.deepEqual([client.welcome.resumed, client.welcome.reason], [false, 'other_instance']);
    assert.deepEqual(client.happened, ['ready', 'ready']);
    client.close();
});
