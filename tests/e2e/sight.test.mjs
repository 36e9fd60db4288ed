// Sight, from end to end: terrain that hides (world's rule sight.terrain_blocks), and eyes that an
// operator changes. A player is not shown whom none of its entities sees, and whoever is not shown is
// no target either.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { disc, distance, publicId } from '../support/fog.mjs';
import { Game } from '../support/game.mjs';
import { pause, waitFor } from '../support/servers.mjs';

const SIGHT = { scout: 8, settlement: 7, soldier: 5, worker: 4 };

let game, player, operator, land;

before(async () => {
    // A map with woods about the home.
    game = await Game.start({ test: true, env: { MMORTS_WORLD_SEED: '3', MMORTS_WORLD_TERRAIN_BLOCKS: 'true', MMORTS_WORLD_GUARD: 'false' } });
    operator = await game.token('operator', { permissions: 512 });
    player = await game.join('ada');
    land = await chunksAround(player.mine('settlement')[0].pos);
});

after(async () => {
    player?.terminate();
    await game?.stop();
});

async function world(method, body) {
    const answer = await game.call('world', method, { session: 'main', ...body }, operator);
    assert.equal(answer.status, 200, JSON.stringify(answer.body));
    return answer.body;
}

// Terrain by "q,r", with what it costs to see past it and whether one can stand there.
async function chunksAround([q, r]) {
    const asked = disc(20).map(([dq, dr]) => ({ q: q + dq, r: r + dr })).filter((_, i) => i % 5 === 0).slice(0, 256);
    const { chunks, catalogue } = await world('GetChunks', { chunks: asked });
    const cells = Buffer.from(chunks.cells, 'base64');
    const offsets = disc(catalogue.chunkRadius);
    const known = new Map();
    chunks.q.forEach((centre, c) => offsets.forEach(([dq, dr], i) => {
        const terrain = cells[c * offsets.length + i];
        known.set(`${centre + dq},${chunks.r[c] + dr}`, {
            cost: catalogue.terrains.sightCost[terrain], open: catalogue.terrains.moveCostPercent[terrain] > 0,
        });
    }));
    assert.ok(catalogue.sight.terrainBlocks, JSON.stringify(catalogue.sight));
    return known;
}

// The number of a public id: 13 digits to base 32.
const publicRaw = (id) => [...id.split('_')[1]].reduce((n, digit) => n * 32n + BigInt('0123456789abcdefghjkmnpqrstvwxyz'.indexOf(digit)), 0n).toString();

// What the line between two hexes costs at least: a little to the one side, a little to the other.
function costBetween([aq, ar], [bq, br]) {
    const steps = distance(aq, ar, bq, br);
    const nearest = (x, y) => {
        const z = -x - y;
        const [q, r, s] = [x, y, z].map(Math.round);
        const [dq, dr, ds] = [q - x, r - y, s - z].map(Math.abs);
        return dq > dr && dq > ds ? [-r - s, r] : dr > ds ? [q, -q - s] : [q, r];
    };
    return Math.min(...[1e-4, -1e-4].map((side) => {
        let sum = 0;
        for (let i = 1; i < steps; i++) {
            const at = nearest(aq + ((bq - aq) * i) / steps + side, ar + ((br - ar) * i) / steps + 2 * side);
            sum += land.get(`${at}`)?.cost ?? 0;
        }
        return sum;
    }));
}

// Of the player's entities, those who would see the hex over open land, and those who do see it.
const inRange = (at) => player.mine().filter((e) => distance(...e.pos, ...at) <= SIGHT[e.type]);
const sees = (e, at) => distance(...e.pos, ...at) + costBetween(e.pos, at) <= SIGHT[e.type];

async function put(key, at) {
    const { entities } = await world('Spawn', {
        key: Buffer.from(key).toString('base64'), type: 'bandit', empire: 0, count: 1, place: { q: at[0], r: at[1] },
    });
    return entities[0];
}

test('who stands behind a wood is neither shown nor a target', { timeout: 300000 }, async () => {
    const free = [...land].filter(([at, { open }]) => open && !player.mine().some((e) => `${e.pos}` === at)).map(([at]) => at.split(',').map(Number));
    const hidden = free.find((at) => inRange(at).length > 0 && !inRange(at).some((e) => sees(e, at)));
    const shown = free.find((at) => inRange(at).some((e) => sees(e, at)));
    assert.ok(hidden && shown, 'there is land of both kinds about the home');
    const soldiers = player.mine('soldier').map((e) => e.id);

    const behind = publicId('npc', await put('behind', hidden));
    const before = publicId('npc', await put('before', shown));
    await waitFor('the one in sight', () => player.entities.has(before));
    await pause(300);
    assert.ok(!player.entities.has(behind), `a bandit at ${hidden} is shown`);
    assert.notEqual(player.hexes.get(`${hidden}`)?.state, 2);

    const refused = await player.command('attack', { units: soldiers, target: behind });
    assert.equal(refused.payload.code, 'unknown_target');
    const accepted = await player.command('attack', { units: soldiers, target: before });
    assert.equal(accepted.type, 'ack', JSON.stringify(accepted));
});

test('eyes change by server commands, and at once what is shown and may be attacked', { timeout: 300000 }, async () => {
    const [soldier] = player.mine('soldier');
    const at = [...land].filter(([, { open }]) => open).map(([hex]) => hex.split(',').map(Number))
        .find((hex) => player.mine().some((e) => sees(e, hex)) && ![...player.entities.values()].some((e) => `${e.pos}` === `${hex}`));
    const raw = await put('spied', at), id = publicId('npc', raw);
    let keys = 0;
    const set = (entity, change) => world('SetEntity', { key: Buffer.from(`eyes ${keys++}`).toString('base64'), entity, changes: [change] });
    // Whoever is remembered is not shown.
    const isShown = () => player.entities.has(id) && !player.entities.get(id).is_stale;
    const shown = (what, wanted) => waitFor(what, () => isShown() === wanted);
    const attack = async () => (await player.command('attack', { units: [soldier.id], target: id })).payload.code ?? 'ack';

    await shown('the bandit', true);
    await set(raw, { stealthed: true });
    await shown('nobody: it hides', false);
    assert.equal(await attack(), 'unknown_target');
    for (const e of player.mine()) await set(publicRaw(e.id), { sightType: 'SIGHT_DETECTOR' });
    await shown('it again: all are detectors', true);
    assert.equal(await attack(), 'ack');
    await player.command('stop', { units: [soldier.id] });
    for (const e of player.mine()) await set(publicRaw(e.id), { sightHexes: 0 });
    await shown('nobody: nobody sees', false);
    await waitFor('all is fog', () => player.count(2) === 0); // one goes blind after the other
    assert.equal(await attack(), 'unknown_target');
    for (const e of player.mine()) await set(publicRaw(e.id), { sightAsType: true });
    await set(raw, { sightAsType: true });
    await shown('all as in the beginning', true);

    const refused = await game.call('world', 'SetEntity', { session: 'main', key: 'AA==', entity: raw, changes: [{ sightHexes: 33 }] }, operator);
    assert.equal(refused.status, 400);
    const denied = await game.call('world', 'SetEntity', { session: 'main', key: 'AQ==', entity: raw, changes: [{ stealthed: true }] }, await game.token('nobody'));
    assert.equal(denied.status, 403);
});
