// Production was away while many jobs ended: it carries them out in transactions of a few, and is not
// ready before all is done.

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { RpcClient } from '../support/rpc.mjs';
import { ROOT, freePort, servicesEnv, startMariadb, startProgram, tempDir, waitFor } from '../support/servers.mjs';

const CHANGES = 6, TICKS_AWAY = 100;

let mariadb, directory, env, world;
const started = [];

async function start(service, config) {
    const name = service.toUpperCase();
    const own = { [`MMORTS_${name}_HTTP`]: `127.0.0.1:${await freePort()}` };
    for (const kind of ['RPC', 'STREAM']) own[`MMORTS_${name}_${kind}`] = `ipc://${directory}/${service}.${kind}`;
    const program = startProgram(`mmorts-${service}`, ['--config', config], { env: { ...env, ...own }, name: service });
    started.unshift(program);
    Object.assign(env, own);
    const http = `http://${own[`MMORTS_${name}_HTTP`]}`;
    await program.waitReady(`${http}/readyz`);
    return { program, http, rpc: new RpcClient(own[`MMORTS_${name}_RPC`]) };
}

// A recipe of one tick that needs nothing, and few changes to a transaction.
function writeSettings() {
    writeFileSync(join(directory, 'recipes.yaml'), `items: [gold]
recipes:
  - {name: dig, category: crafting, buildings: [settlement], outputs: [{item: gold, amount: 1}], duration: 50ms}
`);
    const config = join(directory, 'production.yaml');
    writeFileSync(config, `http: {listen: "\${MMORTS_PRODUCTION_HTTP}"}
rpc: {listen: "\${MMORTS_PRODUCTION_RPC}"}
stream: {listen: "\${MMORTS_PRODUCTION_STREAM}"}
peers: {auth: "\${MMORTS_AUTH_RPC}", world: "\${MMORTS_WORLD_RPC}"}
streams: {world: "\${MMORTS_WORLD_STREAM}"}
mariadb:
  host: \${MMORTS_DB_HOST}
  port: \${MMORTS_DB_PORT}
  user: \${MMORTS_DB_USER}
  password: \${MMORTS_DB_PASSWORD}
  schema: ${join(ROOT, 'services/production/schema')}
store: {catch_up: ${CHANGES}}
`);
    return config;
}

const worldTick = async () => Number((await world.rpc.call('mmorts.world.World/GetSession', { session: 'main' }, { idempotent: true })).tick);

async function metric(http, name) {
    const text = await (await fetch(`${http}/metrics`)).text();
    return Number(new RegExp(`^${name} (.*)$`, 'm').exec(text)[1]);
}

before(async () => {
    mariadb = await startMariadb();
    directory = tempDir();
    env = await servicesEnv(['vision', 'auth', 'social'], { mariadb, directory });
    world = await start('world', join(ROOT, 'services/world/world.yaml'));
});

after(async () => {
    world?.rpc.close();
    for (const program of started) await program.stop();
    await mariadb?.stop();
});

test('jobs that ended while production was away are all done, a few at a time', async () => {
    const config = writeSettings();
    let production = await start('production', config);
    const ask = (method, request) => production.rpc.call(`mmorts.production.Production/${method}`, { session: 'main', ...request }, { idempotent: true });
    const { empire, home_q, home_r } = await world.rpc.call('mmorts.world.World/Join', { session: 'main', player_id: '1000', username: 'ann' }, { idempotent: true });
    const { entities: [building], tick } = await world.rpc.call('mmorts.world.World/Spawn', {
        session: 'main', key: Buffer.from('one'), type: 'settlement', empire, count: 1, place: { q: home_q, r: home_r },
    }, { idempotent: true });
    const { reason } = await ask('StartJob', { empire, building, recipe: 'dig', cycles: 0, seen_tick: tick });
    assert.equal(reason, 'JOB_OK');

    await production.program.kill();
    production.rpc.close();
    const left = await worldTick();
    await waitFor('world to go on without it', async () => await worldTick() >= left + TICKS_AWAY);
    // No further: with so few changes to a transaction, production may not be as fast as world.
    await world.rpc.call('mmorts.world.World/PauseSession', { session: 'main' }, { idempotent: true });

    production = await start('production', config);
    const log = production.program.log();
    assert.match(log, /msg="there is much to catch up with"/);
    assert.match(log, /msg="caught up"/);
    // A cycle is three changes: the stock, the job, what is told of it.
    assert.ok(await metric(production.http, 'mmorts_production_transactions_total') >= TICKS_AWAY * 3 / (CHANGES + 3));
    const { amounts: [{ amount }] } = await ask('GetInventory', { empire });
    const { jobs: [job] } = await ask('ListJobs', { empire });
    assert.ok(Number(amount) >= TICKS_AWAY, `${amount} gold`);
    assert.ok(Number(job.cycles_completed) >= Number(amount), 'a cycle for each');
    production.rpc.close();
});
