// Workers fetch gold while world and production are killed under them: what has left the nodes is
// carried or in the stock, to the last piece.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Game } from '../support/game.mjs';
import { waitFor } from '../support/servers.mjs';

const STARTING_GOLD = 500;
const MINE_GOLD = 5000;

let game, player;

before(async () => {
    game = await Game.start();
    player = await game.join('digger');
});

after(async () => {
    player?.terminate();
    await game?.stop();
});

const workers = () => player.mine('worker').map((unit) => unit.id);
const mines = () => [...player.entities.values()].filter((e) => e.type === 'gold_mine' && e.data?.amount);
const missing = () => mines().reduce((sum, e) => sum + MINE_GOLD - e.data.amount, 0);
const carried = () => player.mine('worker').reduce((sum, e) => sum + (e.data.carried ?? 0), 0);
const gold = () => player.resources.gold;

// The nearest mine in sight takes all workers; the answer may be lost with a process.
async function gather() {
    const [home] = player.mine('settlement');
    const distance = (e) => Math.abs(e.pos[0] - home.pos[0]) + Math.abs(e.pos[1] - home.pos[1]);
    for (const mine of mines().sort((a, b) => distance(a) - distance(b))) {
        const answer = await player.command('gather', { units: workers(), target: mine.id });
        if (answer.type === 'ack') return;
    }
    throw new Error('no mine in reach');
}

test('gold is brought home, and nothing is lost or counted twice when processes are killed', { timeout: 300000 }, async () => {
    await gather();
    await waitFor('the first gold', () => gold() > STARTING_GOLD);
    for (const service of ['production', 'world', 'production', 'world']) {
        await game.killAndWait(service);
        const before = gold();
        await waitFor(`more gold after ${service} was killed`, () => gold() > before);
    }
    const answer = await player.command('stop', { units: workers() });
    assert.equal(answer.type, 'ack');
    const total = () => gold() - STARTING_GOLD + carried();
    await waitFor('all of it', () => total() === missing()).catch((error) => {
        throw new Error(`${gold()} gold and ${carried()} carried, of ${missing()} that left the mines`, { cause: error });
    });
    const stored = await game.query('production', "SELECT SUM(delta) FROM ledger WHERE item = 'gold'");
    assert.equal(Number(stored[0][0]), gold());
});
