// Two productions of one session on one database: the newer takes over, the older finds that out at
// its next write, changes nothing and ends.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { RpcClient } from '../support/rpc.mjs';
import { ROOT, freePort, servicesEnv, startMariadb, startProgram, tempDir, waitFor } from '../support/servers.mjs';

const EXIT_FENCED = 3;

let mariadb, directory, env, world, worldRpc;
const started = [];

async function start(service, name) {
    const own = { [`MMORTS_${service.toUpperCase()}_HTTP`]: `127.0.0.1:${await freePort()}` };
    for (const kind of ['RPC', 'STREAM']) own[`MMORTS_${service.toUpperCase()}_${kind}`] = `ipc://${directory}/${name}.${kind}`;
    const program = startProgram(`mmorts-${service}`, ['--config', join(ROOT, `services/${service}/${service}.yaml`)],
        { env: { ...env, ...own }, name });
    started.unshift(program);
    program.settings = own;
    await program.waitReady(`http://${own[`MMORTS_${service.toUpperCase()}_HTTP`]}/readyz`);
    return program;
}

const rows = (sql) => mariadb.query(sql, 'mmorts_production');
const epoch = async () => Number((await rows('SELECT epoch FROM owners'))[0][0]);

before(async () => {
    mariadb = await startMariadb();
    directory = tempDir();
    env = await servicesEnv(['vision', 'auth', 'social'], { mariadb, directory });
    world = await start('world', 'world');
    Object.assign(env, world.settings);
    worldRpc = new RpcClient(world.settings.MMORTS_WORLD_RPC);
});

after(async () => {
    worldRpc?.close();
    for (const program of started) await program.stop();
    await mariadb?.stop();
});

test('the older one ends at its next write, and the newer one has written it', async () => {
    const older = await start('production', 'older');
    const earlier = await epoch();
    const newer = await start('production', 'newer');
    assert.equal(await epoch(), earlier + 1);
    // Both hear of the new empire and write down what it starts with.
    const { empire } = await worldRpc.call('mmorts.world.World/Join', { session: 'main', player_id: '1000', username: 'ann' }, { idempotent: true });
    assert.deepEqual(await older.wait(), { code: EXIT_FENCED, signal: null }, older.log());
    await waitFor('the new empire', async () =>
        (await rows(`SELECT 1 FROM empires WHERE empire = ${empire}`)).length === 1);
    await newer.waitReady(`http://${newer.settings.MMORTS_PRODUCTION_HTTP}/readyz`);
    assert.equal(newer.exit, null, newer.log());
});
