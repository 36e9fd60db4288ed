// Ticks are kept back a little, so that players are told them at even distances however they came.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Game, settings } from '../support/game.mjs';
import { waitFor } from '../support/servers.mjs';

const MOST_S = 0.010; // of the settings
const TICKS = 100;

// How long ticks have waited, of so many that a player was told by themselves: those told together do not wait.
async function waits(options, isEnough) {
    const game = await Game.start(options);
    try {
        await game.join('ada');
        return await waitFor('some seconds of ticks', async () => {
            const lines = await game.metrics('sync'); // at one and the same moment
            const [count, sum] = ['count', 'sum'].map((what) =>
                Number(lines.find((line) => line.startsWith(`mmorts_sync_wait_seconds_${what} `)).split(' ')[1]));
            return count > TICKS && isEnough(sum) && { count, sum };
        });
    } finally {
        await game.stop();
    }
}

test('ticks wait to be told evenly, and no longer than they may', { timeout: 300000 }, async () => {
    const { count, sum } = await waits({}, (waited) => waited > 0);
    assert.ok(sum <= count * MOST_S, `${sum} s for ${count} ticks`);
});

test('nor at all, where the operators want it so', { timeout: 300000 }, async () => {
    const { sum } = await waits({ services: settings({ sync: (text) => text.replace('even: 10ms', 'even: 0') }) }, () => true);
    assert.equal(sum, 0);
});
