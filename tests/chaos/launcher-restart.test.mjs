// The whole game is stopped and started again, and then killed and started again: the same empires
// with the same units, resources and explored land; what was under way is finished.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test, { after, before } from 'node:test';
import { isDeepStrictEqual } from 'node:util';

import { Crowd, audit, quickServices, randomFrom, ring, startBots } from '../support/chaos.mjs';
import { Game, hexDistance } from '../support/game.mjs';
import { waitFor } from '../support/servers.mjs';

const NAMES = ['ann', 'ben', 'cem'];
const services = quickServices();
const PEACE = { MMORTS_WORLD_GUARD: 'false' };
const MOVE_UP_RADIUS = 4; // hexes: who comes so near to its goal asks one that stands idle in its way to move on (move.c)

let game, bots, crowd;

before(async () => {
    game = await Game.start({ env: PEACE, services });
    bots = startBots(game, 10);
    crowd = await Crowd.join(game, NAMES, randomFrom(2));
    await bots.playing();
    for (let i = 0; i < 3; i++) await crowd.burst();
    // Scouts go far: land is explored, and they are under way when all ends.
    await Promise.all(crowd.players.map(async (player) => {
        const [scout] = player.player.mine('scout'), codes = [];
        // Who has which home is a matter of who comes first, and not everywhere one can go to every place.
        for (const place of ring(scout.pos, 12)) {
            codes.push(await player.move(scout.id, place));
            if (codes.at(-1) === 'ack') break;
        }
        assert.equal(codes.at(-1), 'ack', codes.join());
    }));
    await bots.stop();
});

after(async () => {
    crowd?.stop();
    if (game && !game.program.exit) await game.stop();
});

const runs = (pid) => {
    try {
        return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
    } catch {
        return false;
    }
};

// Only scouts are under way, and not to where others stand, who would make room for them. An order may be acknowledged
// before the tick is told in which it shows.
function rests(player) {
    if (player.moves.some(({ tick }) => tick > player.tick)) return false;
    const units = player.player.mine().filter(({ kind }) => kind === 'unit');
    const idle = units.filter(({ data }) => data.activity === 'idle');
    return units.every((one) => idle.includes(one) || (one.type === 'scout' && one.data.target
        && idle.every(({ pos }) => hexDistance(pos, one.data.target) > MOVE_UP_RADIUS)));
}

const standing = (player) => new Map(player.player.mine().filter((one) => one.data?.activity === 'idle').map((one) => [one.id, `${one.pos}`]));

// Ends the game in the given way, starts it again, and waits until everybody is back. Watched players
// compare all they knew with what they are told then.
async function startAgain(end) {
    await waitFor('rest', () => crowd.players.every(rests));
    const before = crowd.players.map((player) => ({
        tick: player.tick, own: player.own.size, standing: standing(player),
    }));
    const { processes } = game.status();
    await end(processes);
    await waitFor('the end of all processes', () => Object.values(processes).every((one) => !runs(one.pid)));
    const began = performance.now();
    const { directory } = game;
    game = await Game.start({ env: PEACE, services, directory });
    crowd.game = game;
    for (const player of crowd.players) player.game = game;
    await waitFor('everybody', () => crowd.players.every((player) => player.connected));
    for (const [i, player] of crowd.players.entries()) {
        assert.ok(player.tick >= before[i].tick);
        assert.ok(player.own.size >= before[i].own);
        await waitFor(`${player.name}'s stock`, () => isDeepStrictEqual(player.player.resources, Crowd.stock(player)));
        const now = standing(player);
        for (const [id, pos] of before[i].standing) assert.equal(now.get(id), pos, `place of ${id}`);
    }
    assert.deepEqual(crowd.faults(), []);
    return performance.now() - began;
}

test('SIGTERM and a new start', async (t) => {
    crowd.phase = 'stopped';
    const ms = await startAgain(async () => {
        assert.equal((await game.stop()).code, 0);
        crowd.written();
        for (const player of crowd.players) assert.equal(player.closes[0].code, 1012, 'clients are told that the server restarts');
    });
    t.diagnostic(`everybody plays again ${ms.toFixed(0)} ms after the start`);
    await crowd.burst();
});

test('kill -9 and a new start', async (t) => {
    crowd.phase = 'killed';
    await Promise.all(crowd.players.map((player) => player.train('train_worker')));
    const ms = await startAgain(() => {
        crowd.bothDie();
        return game.program.kill();
    });
    crowd.saved();
    t.diagnostic(`everybody plays again ${ms.toFixed(0)} ms after the start`);
    await crowd.burst();
});

test('nothing that was acknowledged is lost', async () => {
    crowd.phase = 'account';
    await audit(crowd);
    assert.deepEqual(crowd.faults(), []);
});
