// MariaDB and Redis die, hang, and die together. The services do not: they say that they cannot, and
// go on when the servers are back.

import assert from 'node:assert/strict';
import test, { after, before } from 'node:test';

import { Crowd, audit, quickServices, randomFrom, startBots } from '../support/chaos.mjs';
import { Game, Player, SERVICES } from '../support/game.mjs';
import { PATIENCE_MS, pause, waitFor } from '../support/servers.mjs';
import { Watched } from '../support/watched.mjs';

const BOTS = 10;
const NAMES = ['ann', 'ben', 'cem'];
const HANG_MS = 6000; // longer than world gives a commit (journal.c)
const CLEAR = new Set(['unavailable', 'timeout', 'paused']);
// What could not be given to a world that does not answer is "queue_full" (docs/client-protocol.md).
const CLEAR_OF_ORDERS = new Set([...CLEAR, 'queue_full']);

let game, bots, crowd, pids;

before(async () => {
    game = await Game.start({ env: { MMORTS_WORLD_GUARD: 'false', MMORTS_REDIS_TIMEOUT: '1s' }, services: quickServices() });
    bots = startBots(game, BOTS);
    crowd = await Crowd.join(game, NAMES, randomFrom(1));
    await bots.playing();
    pids = Object.fromEntries(SERVICES.map((name) => [name, game.process(name).pid]));
});

after(async () => {
    crowd?.stop();
    if (bots && !bots.program.exit) await bots.program.kill();
    if (game) await game.stop();
});

// No service ended, no socket closed, no rule was broken.
function unharmed() {
    for (const name of SERVICES) assert.equal(game.process(name).pid, pids[name], `${name} lives on`);
    assert.deepEqual(crowd.players.flatMap((player) => player.closes), []);
    assert.deepEqual(crowd.faults(), []);
    const left = crowd.players.flatMap((player) => player.left).filter((one) => NAMES.includes(one.name));
    assert.deepEqual(left, [], 'nobody was said to have left who had not');
}

// Signals a store's process and waits until it really stands still, or runs.
async function freeze(pid) {
    process.kill(pid, 'SIGSTOP');
    return () => process.kill(pid, 'SIGCONT');
}

// Kills the store and stops its next process before that answers: nobody is there for a while.
async function takeAway(name) {
    const { pid } = game.process(name);
    process.kill(pid, 'SIGKILL');
    const next = await waitFor(`${name}'s next process`, () => {
        const now = game.process(name);
        return now.pid !== 0 && now.pid !== pid && now.pid;
    });
    return freeze(next);
}

const ready = (name) => waitFor(`${name}'s return`, () => game.process(name).state === 'ready');

const readyService = (name) => waitFor(`readiness of ${name}`, async () => {
    const answer = await fetch(`http://127.0.0.1:${game.process(name).port}/readyz`);
    await answer.arrayBuffer();
    return answer.status === 200;
});

// Everything works: ticks, orders, chat, a newcomer.
async function recovered(t, what, newcomer) {
    const began = performance.now();
    await Promise.all(SERVICES.map(readyService));
    await crowd.alive(PATIENCE_MS);
    const orders = crowd.burst();
    await orders;
    await crowd.chat(crowd.players[0], crowd.players[1], PATIENCE_MS);
    const guest = await Watched.join(game, newcomer, () => what);
    guest.stop();
    t.diagnostic(`${what}: all works again after ${(performance.now() - began).toFixed(0)} ms`);
    unharmed();
}

const sawPaused = (player, phase) => player.statuses.some((one) => one.state === 'paused' && one.phase === phase);

// Players are told, by the session's state and by the answers to their orders.
async function playersAreTold(phase) {
    await waitFor('word that the session is paused, and errors', () =>
        crowd.players.every((player) => player.errors.size > 0 && sawPaused(player, phase)));
    const codes = new Set(crowd.players.flatMap((player) => [...player.errors.keys()]));
    assert.deepEqual([...codes].filter((code) => !CLEAR_OF_ORDERS.has(code)), [], 'only errors that say what is wrong');
}

// The database is given back whatever was seen: what is tested next does not fail for this.
async function databaseIsMissed(phase, orders, giveBack, leastMs) {
    const began = performance.now();
    try {
        await playersAreTold(phase);
        await pause(Math.max(0, leastMs - (performance.now() - began)));
    } finally {
        giveBack();
    }
    await ready('mariadb');
    await orders;
    await waitFor('word that the session runs', () =>
        crowd.players.every((player) => player.statuses.at(-1).state === 'running'));
}

function forget() {
    for (const player of crowd.players) player.errors.clear();
}

test('kill -9 of MariaDB', async (t) => {
    crowd.phase = 'MariaDB killed';
    const orders = crowd.burst();
    const backMs = await game.killAndWait('mariadb');
    t.diagnostic(`MariaDB is back after ${backMs.toFixed(0)} ms`);
    await orders;
    await recovered(t, crowd.phase, 'guest1');
});

test('MariaDB is away for seconds', async (t) => {
    crowd.phase = 'MariaDB away';
    forget();
    const giveBack = await takeAway('mariadb');
    await databaseIsMissed(crowd.phase, crowd.burst(), giveBack, 0);
    await recovered(t, crowd.phase, 'guest2');
});

test('MariaDB hangs', async (t) => {
    crowd.phase = 'MariaDB hangs';
    forget();
    const giveBack = await freeze(game.process('mariadb').pid);
    await databaseIsMissed(crowd.phase, crowd.burst(), giveBack, HANG_MS);
    await recovered(t, crowd.phase, 'guest3');
});

test('kill -9 of Redis', async (t) => {
    crowd.phase = 'Redis killed';
    await game.killAndWait('redis');
    await recovered(t, crowd.phase, 'guest4');
});

// The game itself goes on; who wants in or talks is told.
async function redisIsMissed() {
    await crowd.alive(PATIENCE_MS);
    await crowd.burst();
    const player = crowd.players[0].player;
    const said = performance.now();
    player.chat('does anybody hear me?');
    await player.until('an error for the chat', () =>
        player.messages.findLast((m) => m.type === 'error' && m.receivedMs > said && CLEAR.has(m.payload.code)));
    const newcomer = new Player(game.socketUrl, await game.token('guest5'));
    const closed = await newcomer.waitClosed();
    assert.equal(closed.code, 1013);
    assert.deepEqual(newcomer.messages.filter((m) => m.type === 'error').map((m) => m.payload.code), ['unavailable']);
    await crowd.alive(PATIENCE_MS);
    unharmed();
}

for (const [what, begin] of [['is away for seconds', () => takeAway('redis')], ['hangs', () => freeze(game.process('redis').pid)]]) {
    test(`Redis ${what}`, async (t) => {
        crowd.phase = `Redis ${what}`;
        const giveBack = await begin();
        await redisIsMissed().finally(giveBack);
        await ready('redis');
        await recovered(t, crowd.phase, 'guest5');
    });
}

test('kill -9 of both', async (t) => {
    crowd.phase = 'both killed';
    const orders = crowd.burst();
    await Promise.all([game.killAndWait('mariadb'), game.killAndWait('redis')]);
    await orders;
    await recovered(t, crowd.phase, 'guest6');
});

test('nothing that was acknowledged is lost', async (t) => {
    crowd.phase = 'account';
    await bots.stop();
    await audit(crowd);
    unharmed();
    t.diagnostic(`${crowd.acked} orders, all acknowledged in the end`);
});
