// Production hears of buildings by a stream of its own, and a player may have seen one before it
// has: an order waits for the tick up to which its giver has seen the game.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { RpcClient } from '../support/rpc.mjs';
import { PATIENCE_MS, ROOT, freePort, servicesEnv, startMariadb, startProgram, tempDir } from '../support/servers.mjs';

let mariadb, directory, env, world, production, home, empire;
const started = [];

async function start(service) {
    const own = { [`MMORTS_${service.toUpperCase()}_HTTP`]: `127.0.0.1:${await freePort()}` };
    for (const kind of ['RPC', 'STREAM']) own[`MMORTS_${service.toUpperCase()}_${kind}`] = `ipc://${directory}/${service}.${kind}`;
    const program = startProgram(`mmorts-${service}`, ['--config', join(ROOT, `services/${service}/${service}.yaml`)],
        { env: { ...env, ...own }, name: service });
    started.unshift(program);
    Object.assign(env, own);
    await program.waitReady(`http://${own[`MMORTS_${service.toUpperCase()}_HTTP`]}/readyz`);
    return new RpcClient(own[`MMORTS_${service.toUpperCase()}_RPC`]);
}

let settled = 0;
const settle = () => world.call('mmorts.world.World/Spawn', {
    session: 'main', key: Buffer.from(`settlement ${settled++}`), type: 'settlement', empire, count: 1, place: home,
}, { idempotent: true });
const train = (building, seen_tick, deadlineMs = PATIENCE_MS) => production.call('mmorts.production.Production/StartJob', {
    session: 'main', empire, building, recipe: 'train_worker', cycles: 1, seen_tick,
}, { deadlineMs, idempotent: true });

before(async () => {
    mariadb = await startMariadb();
    directory = tempDir();
    env = await servicesEnv(['vision', 'auth', 'social'], { mariadb, directory });
    world = await start('world');
    production = await start('production');
    const joined = await world.call('mmorts.world.World/Join', { session: 'main', player_id: '1000', username: 'ann' }, { idempotent: true });
    ({ empire } = joined);
    home = { q: joined.home_q, r: joined.home_r };
});

after(async () => {
    world?.close();
    production?.close();
    for (const program of started) await program.stop();
    await mariadb?.stop();
});

test('who has seen a building may order there at once, whether production has heard of it or not', async () => {
    for (let i = 0; i < 5; i++) {
        const { entities: [building], tick } = await settle();
        const { reason, job } = await train(building, tick);
        assert.equal(reason, 'JOB_OK');
        assert.ok(Number(job.start_tick) >= Number(tick), `${job.start_tick}, not before ${tick}`);
    }
});

test('an order waits for the tick that was seen', async () => {
    const { entities: [building], tick } = await settle();
    const seen = Number(tick) + 40;
    const { reason, job } = await train(building, seen);
    assert.equal(reason, 'JOB_OK');
    assert.ok(Number(job.start_tick) >= seen, `${job.start_tick}, not before ${seen}`);
});

test('a tick that never comes keeps nobody out', async () => {
    const { entities: [building], tick } = await settle();
    // More than production takes at once, if it kept them for ever.
    for (let round = 0; round < 3; round++) {
        const answers = await Promise.allSettled(Array.from({ length: 60 }, () => train(building, '1000000000000', 300)));
        for (const { status } of answers) assert.equal(status, 'rejected');
    }
    assert.equal((await train(building, tick)).reason, 'JOB_OK');
});
