// Sync tells social again and again who is here, a part of the players at a time: nobody's lease may end.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Game, patience, settings } from '../support/game.mjs';
import { waitFor } from '../support/servers.mjs';

const PLAYERS = 25; // more than there are parts

let game, players;

before(async () => {
    game = await Game.start({
        services: settings({
            sync: (text) => patience(text).replace('heartbeat: 5s', 'heartbeat: 1s'),
            social: (text) => text.replace('MMORTS_SOCIAL_LEASE:-15s', 'MMORTS_SOCIAL_LEASE:-600s'),
        }),
        test: true,
    });
    players = await Promise.all(Array.from({ length: PLAYERS }, (_, i) => game.join(`player${i}`)));
    // Who plays need not be known to social yet: nobody's game waits for that.
    await waitFor('everybody to be known', async () => (await leases()).size === PLAYERS);
}, { timeout: 300000 });

after(async () => {
    for (const player of players ?? []) player.close();
    await game?.stop();
});

// When the lease of each player and process ends.
async function leases() {
    const lines = (await game.redis('ZRANGE', 'social:{main}:leases', '0', '-1', 'WITHSCORES')).split('\n');
    return new Map(Array.from({ length: lines.length / 2 }, (_, i) => [lines[2 * i], Number(lines[2 * i + 1])]));
}

async function allRenewed() {
    const old = await leases();
    await waitFor('every lease to be renewed', async () => {
        const now = await leases();
        return now.size === PLAYERS && [...now].every(([who, end]) => end > old.get(who));
    });
}

test('everybody\'s lease is renewed, round after round', { timeout: 300000 }, async () => {
    for (let round = 0; round < 3; round++) await allRenewed();
});

test('and again after social stood still for longer than calls wait', { timeout: 300000 }, async () => {
    const { pid } = game.process('social');
    const late = async () => (await game.metrics('sync'))
        .filter((line) => /^mmorts_rpc_called_total.*"Heartbeat".*"deadline_exceeded"/i.test(line))
        .reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
    process.kill(pid, 'SIGSTOP');
    try {
        await waitFor('calls to be given up', async () => await late() >= 4);
    } finally {
        process.kill(pid, 'SIGCONT');
    }
    await allRenewed();
    assert.equal(players.filter((player) => player.closed).length, 0);
});
