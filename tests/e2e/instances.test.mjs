// Several processes of sync at one address, as a machine with several cores runs them: what is said
// reaches the right connections once, whichever process they are at, and a player is where the
// operators' policy says, also when a process is drained or killed.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import WebSocket from 'ws';
import { GameClient } from '../../services/sync/web/sdk/index.js';
import { randomFrom } from '../support/chaos.mjs';
import { Game, Player, patience, settings } from '../support/game.mjs';
import { keepPictures, picturesAt, ticksOfAll } from '../support/pictures.mjs';
import { encode } from '../support/rpc.mjs';
import { PATIENCE_MS, pause, waitFor } from '../support/servers.mjs';
import { Watched } from '../support/watched.mjs';

const SYNCS = ['sync', 'sync-2'];
const SILENT_MS = 4000; // of the settings
const AWAY_MS_MAX = PATIENCE_MS; // a second or two, but on a machine with much else to do

const policy = (word) => settings({
    sync: (text) => patience(text).replace('MMORTS_SYNC_CONNECTIONS:-replace', `MMORTS_SYNC_CONNECTIONS:-${word}`).replace('answer: 4s', 'answer: 30s')
        .replace('heartbeat: 5s', 'heartbeat: 1s'),
    social: (text) => text.replace('MMORTS_SOCIAL_LEASE:-15s', `MMORTS_SOCIAL_LEASE:-${word === 'refuse' ? 600 : 8}s`),
});

const withGame = (word) => async (body) => {
    const game = await Game.start({ services: policy(word), syncs: SYNCS.length, test: true });
    try {
        await body(game);
    } finally {
        await game.stop();
    }
};

// The kernel decides which process a connection gets; its welcome is looked for in their figures.
const joinsAt = (game, sync) => game.metric(sync, 'mmorts_sync_joins_total');

async function connectAt(game, sync, name) {
    const token = await game.token(name);
    const refused = {};
    for (let tries = 0; tries < 100; tries++) {
        const before = await joinsAt(game, sync);
        const player = new Player(game.socketUrl, token);
        const full = await player.waitFor('update', (m) => m.full).catch(() => null);
        if (full && await joinsAt(game, sync) > before) return player;
        if (full) {
            player.close();
            await player.waitClosed();
        } else {
            const word = JSON.stringify(player.closed);
            refused[word] = (refused[word] ?? 0) + 1;
            await pause(50); // refused: it may have been the other process
        }
    }
    throw new Error(`${name} never came to ${sync}: ${JSON.stringify(refused)}`);
}

const count = (player, type, find) => player.messages.filter((m) => m.type === type && find(m)).length;
const presence = (player, name) => player.messages.filter((m) => /^player_/.test(m.type) && m.payload.username === name).map((m) => m.type);

test('what is said reaches the right connections once, wherever they are', { timeout: 300000 }, () => withGame('replace')(async (game) => {
    const operator = await game.token('operator', { permissions: 512 | 256 });
    const ada = await connectAt(game, 'sync', 'ada');
    const bob = await connectAt(game, 'sync-2', 'bob');
    const eve = await connectAt(game, 'sync-2', 'eve');
    const dan = await connectAt(game, 'sync', 'dan');
    const all = [ada, bob, eve, dan];
    // Each process is told by vision of its own empires, and of no others.
    await waitFor('a subscription of each', async () => await game.metric('vision', 'mmorts_vision_subscriptions') === SYNCS.length);
    const viewsOf = (sync) => game.metric(sync, 'mmorts_sync_views_live');
    await waitFor('as many empires as views', async () => await game.metric('vision', 'mmorts_vision_subscribed_empires') === await viewsOf('sync') + await viewsOf('sync-2'));
    const lines = (player) => player.messages.filter((m) => m.type === 'chat').map((m) => m.payload.message);

    // Chat of all: in every order the same, and nobody hears a line twice.
    for (let i = 0; i < 3; i++) for (const player of [ada, bob]) player.chat(`${player.welcome.username} ${i}`);
    await Promise.all(all.map((p) => p.until('all lines', () => lines(p).length >= 6)));
    for (const player of all) assert.deepEqual(lines(player), lines(ada));
    assert.equal(new Set(lines(ada)).size, 6);
    for (const name of ['ada', 'bob']) // and of each in the order in which it was said
        assert.deepEqual(lines(ada).filter((line) => line.startsWith(name)), [0, 1, 2].map((i) => `${name} ${i}`));

    // A group, its events, its chat, and what its members see.
    const made = await ada.command('group', { action: 'create', name: 'The Lot', tag: 'LOT', policy: 'open' });
    assert.equal(made.type, 'ack', JSON.stringify(made));
    const { id: group } = (await ada.waitFor('groups', (m) => m.payload.groups.length === 1)).payload.groups[0];
    assert.equal((await bob.command('group', { action: 'join', group })).type, 'ack');
    const joined = (player) => player.waitFor('group_joined', (m) => m.payload.player.username === 'bob');
    await Promise.all([joined(ada), joined(bob)]);
    bob.send({ type: 'chat', payload: { message: 'to the lot', group } });
    await Promise.all([ada, bob].map((p) => p.until('the line', () => lines(p).includes('to the lot'))));
    const own = new Set(ada.mine().map((e) => e.id));
    await bob.until('sight of the ally', () => [...own].every((id) => bob.entities.has(id)));
    await ada.until('sight of the ally', () => bob.mine().every((e) => ada.entities.has(e.id)));

    // Production is the owner's alone.
    const [settlement] = bob.mine('settlement');
    const recipe = bob.recipes.find((r) => r.buildings.includes('settlement'));
    const trained = await bob.command('train', { building: settlement.id, recipe: recipe.name, cycles: 1 });
    assert.equal(trained.type, 'ack', JSON.stringify(trained));
    await bob.until('its job', () => bob.jobs.has(trained.payload.job));

    // Mail, and what is said to one alone: to both of them, once.
    await game.knowsName('bob');
    const sent = await ada.command('mail', { action: 'send', to_name: 'bob', subject: 'Truce?', body: 'Until noon.' });
    assert.equal(sent.type, 'ack', JSON.stringify(sent));
    assert.equal((await bob.waitFor('mail')).payload.mail.subject, 'Truce?');
    ada.send({ type: 'chat', payload: { message: 'for your eyes', to: bob.welcome.player_id } });
    await Promise.all([ada, bob].map((p) => p.until('the line', () => lines(p).includes('for your eyes'))));

    // The operators' words, to all; and one who is banned, at the other process.
    await game.call('social', 'Announce', { session: 'main', message: 'tea at five' }, operator);
    await Promise.all(all.map((p) => p.waitFor('announcement')));
    const banned = await game.call('auth', 'Ban', { player_id: eve.welcome.player_id, until_ms: String(Date.now() + 60000), reason: 'e2e' }, operator);
    assert.equal(banned.status, 200, JSON.stringify(banned.body));
    assert.deepEqual(await eve.waitClosed(), { code: 4403, reason: 'banned' });
    await Promise.all([ada, bob, dan].map((p) => p.until('her leave', () => presence(p, 'eve').at(-1) === 'player_left')));

    for (const player of [ada, bob, dan]) {
        assert.equal(count(player, 'announcement', () => true), 1);
        assert.equal(player.closed, null);
        const mine = player !== dan ? 1 : 0;
        assert.equal(count(player, 'group_joined', () => true), mine);
        assert.equal(lines(player).filter((l) => l === 'to the lot').length, mine);
        assert.equal(lines(player).filter((l) => l === 'for your eyes').length, mine);
        assert.equal(count(player, 'mail', () => true), player === bob ? 1 : 0);
        assert.equal(player.jobs.size, player === bob ? 1 : 0);
    }
    for (const id of own) assert.ok(!dan.entities.has(id), 'who is no ally sees nothing of it');
}));

test('an invitation that is over is over on every connection of who had it', { timeout: 300000 }, () => withGame('allow')(async (game) => {
    const ada = await connectAt(game, 'sync', 'ada');
    const bobs = [await connectAt(game, 'sync', 'bob'), await connectAt(game, 'sync-2', 'bob')];
    const [bob] = bobs, player = bob.welcome.player_id;
    await ada.until('word of bob', () => presence(ada, 'bob').includes('player_joined'));
    const act = async (who, action, fields = {}) => {
        const answer = await who.command('group', { action, ...fields });
        assert.equal(answer.type, 'ack', JSON.stringify(answer));
    };
    const groups = (one) => one.messages.findLast((m) => m.type === 'groups')?.payload;
    const found = async (who, name) => {
        await act(who, 'create', { name });
        await who.until('the group', () => groups(who)?.groups[0]?.name === name);
        return groups(who).groups[0].id;
    };
    const knows = (count) => Promise.all(bobs.map((one) => one.until(`${count} invitations`, () => groups(one)?.invited.length === count)));
    const invite = async (group) => {
        await act(ada, 'invite', { group, player });
        await knows(1);
    };
    let group = await found(ada, 'The Lot');
    await invite(group);
    await act(ada, 'refuse', { group, player }); // withdrawn
    await knows(0);
    await invite(group);
    await act(bobs[1], 'decline', { group });
    await knows(0);
    await invite(group);
    // In a group of its own bob cannot accept, but may do so afterwards.
    const own = await found(bob, 'His own');
    await bobs[1].until('it', () => groups(bobs[1]).groups.length === 1);
    await knows(1);
    assert.equal((await bob.command('group', { action: 'join', group })).payload.code, 'in_another');
    await act(bob, 'leave', { group: own });
    await act(ada, 'disband', { group });
    await knows(0);
    group = await found(ada, 'Another lot');
    await invite(group);
    await act(ada, 'leave', { group }); // the last one: it is disbanded
    await knows(0);
    for (const one of bobs) await one.waitFor('group_disbanded', (m) => m.payload.group.id === group);
    group = await found(ada, 'The third');
    await invite(group);
    await act(bobs[1], 'join', { group });
    await knows(0);
    await Promise.all(bobs.map((one) => one.until('the group', () => groups(one).groups[0]?.id === group)));
}));

// Whom the player's client shows as being here, by all it was told from a message on.
function shown(player, from) {
    const here = new Set();
    for (const { type, payload } of player.messages.slice(from)) {
        if (type === 'roster') here.clear();
        for (const one of [...(payload?.players ?? []), ...(payload?.joined ?? [])]) here.add(one.player_id);
        if (type === 'player_joined') here.add(payload.player_id);
        for (const id of [...(payload?.left ?? []), ...(type === 'player_left' ? [payload.player_id] : [])]) here.delete(id);
    }
    return here;
}

test('who comes while the list of players is on its way is on it', { timeout: 300000 }, () => withGame('replace')(async (game) => {
    const ada = await connectAt(game, 'sync-2', 'ada');
    const { pid } = game.process('social');
    const subscribers = async () => Number((await game.redis('PUBSUB', 'NUMSUB', 'social.events.main')).split('\n')[1]);
    const all = await subscribers();
    for (let tries = 0; ; tries++) {
        // Whoever has to listen anew asks social for the list, which is one of before: social knows nothing of carl.
        const carl = { player_id: String(4711 + tries), username: `carl ${tries}` };
        const event = encode('mmorts.social.Event', { joined: carl });
        const began = performance.now(), from = ada.messages.length;
        process.kill(pid, 'SIGSTOP');
        try {
            await game.redis('CLIENT', 'KILL', 'TYPE', 'pubsub');
            await waitFor('the subscribers', async () => await subscribers() === all);
            await game.redis('EVAL', `return redis.call('PUBLISH', KEYS[1], string.char(${[...event]}))`, '1', 'social.events.main');
            await ada.waitFor('player_joined', (m) => m.payload.player_id === carl.player_id, { from });
        } finally {
            process.kill(pid, 'SIGCONT');
        }
        await ada.waitFor('roster', () => true, { from });
        // Where this took longer, the list was asked for again, after he came.
        if (performance.now() - began > 2500 && tries < 20) continue;
        assert.ok(shown(ada, from).has(carl.player_id));
        return;
    }
}));

test('the newest connection holds the player, across processes', { timeout: 300000 }, () => withGame('replace')(async (game) => {
    const witness = await connectAt(game, 'sync', 'witness');
    const older = await connectAt(game, 'sync', 'ada');
    const from = witness.messages.length;
    const newer = await connectAt(game, 'sync-2', 'ada');
    assert.deepEqual(await older.waitClosed(), { code: 4409, reason: 'replaced' });
    const [scout] = newer.mine('scout');
    const moved = await newer.command('move', { units: [scout.id], target: [scout.pos[0] + 2, scout.pos[1]] });
    assert.equal(moved.type, 'ack', JSON.stringify(moved));
    newer.close();

    // Many at once: one is left, wherever it is, and it is not sent away afterwards.
    const token = await game.token('ada');
    for (let round = 0; round < 5; round++) {
        const rivals = Array.from({ length: 6 }, () => new Player(game.socketUrl, token));
        await waitFor('one winner', () => rivals.filter((p) => !p.closed).length === 1);
        const [winner] = rivals.filter((p) => !p.closed);
        await winner.waitFor('update', (m) => m.full);
        const { tick } = winner;
        await winner.until('its game to go on', () => winner.tick > tick + 25);
        for (const loser of rivals) if (loser !== winner) assert.deepEqual(loser.closed, { code: 4409, reason: 'replaced' });
        await waitFor('one connection each', async () =>
            await game.metric('sync', 'mmorts_sync_clients') + await game.metric('sync-2', 'mmorts_sync_clients') === 2);
        winner.close();
        await winner.waitClosed();
    }
    // Who is sent away before social has heard of it leaves something to be told together, and what comes until then is not told by name.
    const told = witness.messages.slice(from).filter((m) => m.type === 'players' || (/^player_/.test(m.type) && m.payload.username === 'ada')).map((m) => m.type);
    for (let i = 0; i < told.length; i++)
        assert.ok(told[i] === 'players' || told[i] !== told[i - 1], `in turns: ${told}`);
}));

// Processes' clocks may differ, and claims wait on their way: what counts is when the player came, by a clock that all share.
test('a claim that waits for social says when the player came', { timeout: 300000 }, () => withGame('replace')(async (game) => {
    const token = await game.token('ada');
    const { pid } = game.process('social');
    const FAR_MS = 2000; // more than what the clock is known by
    for (let tries = 0, told = 0; tries < 20; tries++) {
        process.kill(pid, 'SIGSTOP');
        let ada, came, ended;
        try {
            ada = new Player(game.socketUrl, token);
            await ada.waitFor('update', (m) => m.full);
            came = Date.now();
            await pause(2 * FAR_MS);
            ended = Date.now();
        } finally {
            process.kill(pid, 'SIGCONT');
        }
        const score = async () => Number(await game.redis('ZSCORE', 'social:{main}:came', ada.welcome.player_id)) / 1000;
        const before = told;
        await waitFor('its claim', async () => { told = await score(); return told !== before; });
        ada.close();
        await ada.waitClosed();
        // A process that has not heard from social yet does not know the clock. It asks every second: which it never would hear of, if
        // social stood still again whenever the answer to its next question was due.
        if (told > ended - FAR_MS) {
            await pause(FAR_MS);
            continue;
        }
        assert.ok(Math.abs(told - came) < FAR_MS, `${told - came}`);
        return;
    }
    assert.fail('the clock is never known');
}));

test('one connection at a time, across processes, and through the death of one', { timeout: 300000 }, () => withGame('refuse')(async (game) => {
    const token = await game.token('ada');
    const leftTotal = () => game.metric('social', 'mmorts_social_left_total');
    for (let round = 0; round < 5; round++) {
        const left = await leftTotal();
        const rivals = Array.from({ length: 6 }, () => new Player(game.socketUrl, token));
        await waitFor('one winner', () => rivals.filter((p) => p.closed).length === 5);
        const [winner] = rivals.filter((p) => !p.closed);
        await winner.waitFor('update', (m) => m.full);
        for (const loser of rivals) if (loser !== winner) assert.deepEqual(loser.closed, { code: 4409, reason: 'already_connected' });
        winner.close();
        await winner.waitClosed();
        await waitFor('social to hear of it', async () => await leftTotal() === left + 1);
    }
    const ada = await enterAt(game, 'sync-2', 'ada', 'binary');
    const refusals = [];
    ada.on('retry', ({ error }) => error && refusals.push(error));
    const back = new Promise((resolve, reject) => {
        ada.once('ready', resolve);
        ada.once('refused', reject);
    });
    process.kill(game.process('sync-2').pid, 'SIGKILL');
    // What the dead process said of the player holds until it counts as dead; its lease would be far longer.
    await back;
    for (const { code, retryAfterMs } of refusals) {
        assert.equal(code, 'already_connected');
        assert.ok(retryAfterMs > 0 && retryAfterMs <= SILENT_MS, `${retryAfterMs}`);
    }
    ada.close();
}));

test('several connections, at several processes', { timeout: 300000 }, () => withGame('allow')(async (game) => {
    const bob = await connectAt(game, 'sync', 'bob');
    const from = bob.messages.length;
    const first = await connectAt(game, 'sync', 'ada');
    const second = await connectAt(game, 'sync-2', 'ada');
    const [scout] = first.mine('scout');
    const orders = [];
    for (let i = 0; i < 30; i++) {
        const player = i % 2 ? first : second;
        orders.push(player.command('move', { units: [scout.id], target: [scout.pos[0] + i % 3, scout.pos[1]] }));
        if (i % 8 === 7) await pause(250);
    }
    for (const order of orders) assert.equal((await order).type, 'ack', JSON.stringify(await order));
    bob.chat('to both');
    await Promise.all([first, second].map((p) => p.waitFor('chat')));
    const told = () => presence({ messages: bob.messages.slice(from) }, 'ada');
    first.close();
    await first.waitClosed();
    await pause(500);
    assert.ok(!told().slice(told().lastIndexOf('player_joined')).includes('player_left'), `${told()}`);
    second.close();
    await bob.until('its leave', () => told().at(-1) === 'player_left');
}));

test('a process is drained, and killed: its players go on at the other', { timeout: 300000 }, () => withGame('replace')(async (game) => {
    const random = randomFrom(4);
    let phase = 'calm';
    const players = [];
    for (let i = 0; i < 6; i++) players.push(await Watched.join(game, `player${i}`, () => phase));
    let acks = 0, ended = false;
    const plays = players.map(async (player) => {
        while (!ended) {
            const scout = player.player.mine('scout')[0];
            if (!scout) { await pause(20); continue; }
            const answer = await player.move(scout.id, [player.home[0] + random.below(5), player.home[1]]);
            acks += answer === 'ack';
            await pause(150);
        }
    });
    const clientsOf = (sync) => game.metric(sync, 'mmorts_sync_clients');
    for (const [signal, code] of [['SIGTERM', 1012], ['SIGKILL', 1006]]) {
        for (const [victim, other] of [SYNCS, [...SYNCS].reverse()]) {
            // Who took a new connection has left the old one.
            await waitFor('one connection each', async () => await clientsOf(victim) + await clientsOf(other) === players.length);
            phase = `${signal} of ${victim}`;
            const there = await clientsOf(victim);
            const before = acks, { pid } = game.process(victim);
            const closes = players.reduce((n, p) => n + p.closes.length, 0);
            process.kill(pid, signal);
            await waitFor(`all at ${other}, ${phase}`, () => players.every((p) => p.connected)
                && players.reduce((n, p) => n + p.closes.length, 0) === closes + there);
            await waitFor('orders to go on', () => acks > before + 12);
            await waitFor(`${victim}'s return`, () => game.process(victim).pid !== pid && game.process(victim).state === 'ready');
            for (const player of players)
                for (const close of player.closes) if (close.phase === phase) assert.equal(close.code, code, JSON.stringify(close));
            // It takes its share again: half of them come anew.
            phase = 'moving';
            for (const player of players.slice(0, 3)) await player.reconnect();
        }
    }
    ended = true;
    await Promise.all(plays);
    for (const player of players) {
        assert.deepEqual(player.faults, []);
        const away = player.awayMs.filter((ms) => ms > AWAY_MS_MAX);
        assert.deepEqual(away, [], 'nobody is away for long');
        assert.deepEqual([...player.errors.keys()].filter((code) => !['unavailable', 'timeout', 'paused', 'rate_limited', 'cooldown', 'unreachable', 'unknown_unit'].includes(code)), []);
        player.stop();
    }
}));

// A client of the SDK at that process.
async function enterAt(game, sync, name, encoding) {
    for (let tries = 0; tries < 100; tries++) {
        const before = await joinsAt(game, sync);
        const client = new GameClient({ url: game.socketUrl, token: () => game.token(name), WebSocket, encoding, commandTimeoutMs: PATIENCE_MS });
        keepPictures(client);
        client.welcomes = [];
        client.on('welcome', (welcome) => client.welcomes.push(welcome));
        client.connection.on('message', ({ type, payload }) => { if (type === 'going_away') client.goingAway = payload; });
        await client.connect();
        if (await joinsAt(game, sync) > before) return client;
        client.close();
    }
    throw new Error(`${name} never came to ${sync}`);
}

for (const encoding of ['json', 'binary']) {
    test(`${encoding}: who is sent away with a token is told everything at the other process, and why`, { timeout: 300000 }, () => withGame('allow')(async (game) => {
        const witness = await enterAt(game, 'sync-2', 'ada', 'binary');
        const client = await enterAt(game, 'sync', 'ada', encoding);
        const [{ id, pos: [q, r] }] = client.state.mine('scout');
        await client.patrol([id], [[q + 7, r], [q - 2, r - 5]]);
        const again = new Promise((resolve) => client.once('welcome', resolve));
        const ready = new Promise((resolve) => client.once('ready', () => resolve(client.state.tick)));
        const { tick } = client.state;
        process.kill(game.process('sync').pid, 'SIGTERM');
        const { resumed, reason, resume } = await again;
        assert.deepEqual([resumed, reason], [false, 'other_instance']);
        assert.equal(client.goingAway.reason, 'restart');
        assert.equal(client.goingAway.resume, client.welcomes[0].resume);
        assert.notEqual(resume, client.goingAway.resume);
        // From its first tick there on it knows what the other knows, whom nothing happened to.
        const from = await ready;
        assert.ok(from >= tick);
        // A process that cannot keep up tells several ticks in one update, the other one need not: then they are compared
        // where both tell something.
        const same = () => ticksOfAll([client, witness], from + 1);
        await waitFor('a while', () => Math.min(client.state.tick, witness.state.tick) > from + 60 && same().length > 10);
        assert.equal(witness.welcomes.length, 1);
        for (const tick of same().slice(0, -1)) // the newest one may get another update
            assert.deepEqual(client.pictures.get(tick), witness.pictures.get(tick), `tick ${tick}`);
        // The one that was sent away may not be back yet.
        const folded = await waitFor('the figures of both', () => Promise.all(SYNCS.map((sync) => game.metric(sync, 'mmorts_sync_folded_ticks_total'))));
        if (folded.every((ticks) => ticks === 0)) {
            const [ours, theirs] = [client, witness].map((one) => picturesAt(one, from + 1, from + 60));
            for (const [i, picture] of ours.entries()) assert.deepEqual(picture, theirs[i], `tick ${from + 1 + i}`);
        }
        client.close();
        witness.close();
    }));
}
