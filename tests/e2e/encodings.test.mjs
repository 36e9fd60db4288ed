// The two encodings say the same. Connections of one player share a view; one of them is told in
// JSON, one in the binary encoding, compressed and not, while everything happens that an update can
// speak of: after every tick each has decoded the same state, and heard of the same events.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import WebSocket from 'ws';
import { GameClient } from '../../services/sync/web/sdk/index.js';
import { Game, patience, settings } from '../support/game.mjs';
import { keepPictures, picturesAt, sorted } from '../support/pictures.mjs';
import { PATIENCE_MS, waitFor } from '../support/servers.mjs';

const clients = [];
let game, operator;

before(async () => {
    const services = settings({
        sync: (text) => patience(text).replace('CONNECTIONS:-replace', 'CONNECTIONS:-allow').replace('compression: snapshots', 'compression: all'),
    });
    game = await Game.start({ services, test: true, env: { MMORTS_WORLD_GUARD: 'false' } }); // only who is told to fights
    operator = await game.token('operator', { permissions: 512 });
});

after(async () => {
    for (const client of clients) client.close();
    await game?.stop();
});

// A client that keeps what it knew after each tick, and what it was told to have happened.
async function enter(name, encoding, compression) {
    const Socket = class extends WebSocket {
        constructor(url, protocols) { super(url, protocols, { perMessageDeflate: compression }); }
    };
    const client = new GameClient({ url: game.socketUrl, token: () => game.token(name), WebSocket: Socket, encoding, commandTimeoutMs: PATIENCE_MS });
    clients.push(client);
    Object.assign(client, { label: `${encoding}${compression ? ', compressed' : ''}`, events: [], parts: new Set() });
    keepPictures(client);
    client.connection.on('message', ({ type }) => client.parts.add(type));
    client.on('update', (update) => {
        for (const part of Object.keys(update)) client.parts.add(part);
        if (update.full) client.events = [];
        else client.events.push(...(update.events ?? []).map((event) => ({ tick: update.tick, ...event })));
    });
    await client.connect();
    return client;
}

async function world(method, body) {
    const answer = await game.call('world', method, { session: 'main', ...body }, operator);
    assert.equal(answer.status, 200, JSON.stringify(answer.body));
    return answer.body;
}

let spawned = 0;
const spawn = (type, [q, r]) => world('Spawn', { key: Buffer.from(`one ${spawned++}`).toString('base64'), type, empire: 0, count: 1, place: { q, r } });

const find = (client, type) => [...client.state.entities.values()].find((entity) => entity.type === type && !entity.stale);

// Whatever an update can tell of happens, in any order; what is refused on this map is.
async function live(client) {
    const { state } = client;
    const [q, r] = state.home;
    const units = (type) => state.mine(type).map(({ id }) => id);
    const [soldier] = state.mine('soldier');
    await spawn('wolf', [soldier.pos[0] + 1, soldier.pos[1]]);
    const wolf = await waitFor('a wolf', () => find(client, 'wolf'));
    await client.attack(units('soldier'), wolf.id);
    await client.train(state.mine('settlement')[0].id, 'train_scout');
    const [worker, builder] = units('worker');
    const mine = ['gold_mine', 'woodland'].map((type) => find(client, type)).find(Boolean);
    if (mine) await client.gather([worker], mine.id).catch(() => {});
    for (const at of [[q + 2, r - 3], [q - 3, r + 1], [q + 3, r], [q, r + 3]])
        if (await client.build([builder], 'barracks', at).then(() => true, () => false)) break;
    await client.patrol(units('scout'), [[q + 9, r - 2], [q - 7, r - 3], [q - 2, r + 9]]);
    // Of the blows in ticks that are told together nobody hears.
    await waitFor('the end of a fight', () => client.events.some(({ event }) => event === 'death'));
    await waitFor('a scout that was trained', () => state.mine('scout').length > 1);
}

test('JSON and binary connections of one player decode the same state at every tick', { timeout: 600000 }, async () => {
    const players = [await enter('ada', 'json', false), await enter('ada', 'binary', false), await enter('ada', 'json', true), await enter('ada', 'binary', true)];
    const [first] = players;
    const from = Math.max(...players.map(({ state }) => state.tick)) + 1;
    await live(players[1]);
    // Somebody else comes, and his messages of other kinds do not disturb.
    const bob = await enter('bob', 'binary', true);
    bob.chat('hello');
    const end = Math.max(...players.map(({ state }) => state.tick)) + 40;
    await waitFor('the same tick for all', () => players.every(({ state }) => state.tick > end));

    const states = players.map((player) => picturesAt(player, from, end));
    const events = players.map((player) => sorted(player.events.filter(({ tick }) => tick >= from && tick <= end)));
    for (const [i, player] of players.entries()) {
        for (const [at, state] of states[i].entries()) assert.deepEqual(state, states[0][at], `${player.label} at tick ${from + at}`);
        assert.deepEqual(events[i], events[0], player.label);
    }
    for (const part of ['appeared', 'changed', 'disappeared', 'vision', 'resources', 'jobs', 'events'])
        for (const player of players) assert.ok(player.parts.has(part), `${player.label} was told of no ${part}`);
    // It was not a quiet time: of each eight ticks that were told by themselves something changed in one.
    const folded = await game.metric('sync', 'mmorts_sync_folded_ticks_total');
    const changes = new Set(states[0].map((state) => JSON.stringify(state))).size;
    assert.ok(8 * changes > states[0].length - folded, `${changes} changes in ${states[0].length} ticks, ${folded} of them told with others`);
    assert.ok(first.events.length > (folded > 0 ? 0 : 2), `${first.events.length} events`);
});
