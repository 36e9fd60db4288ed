// Two visions of one session on one database: the newer takes over, the older finds that out at its
// next write, changes nothing and ends.

import assert from 'node:assert/strict';
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { RpcClient } from '../support/rpc.mjs';
import { ROOT, freePort, servicesEnv, startMariadb, startProgram, tempDir, waitFor } from '../support/servers.mjs';

const SESSION = 'main';
const EXIT_FENCED = 3;
const TABLES = ['sessions', 'explored', 'remembered', 'sharing', 'alliances', 'checkpoints', 'checkpoint_parts', 'writers'];

let mariadb, directory, env, world, worldRpc;
const empires = [];
const started = [];

// Writes nothing by itself for an hour, so that whatever changes is not its doing.
function quietConfig() {
    const folder = join(ROOT, 'services/vision');
    const text = readFileSync(join(folder, 'vision.yaml'), 'utf8')
        .replace(/(save_interval|checkpoint_interval|replay_max): \S+/g, '$1: 3600s')
        .replace('schema: schema', `schema: ${join(folder, 'schema')}`);
    const path = join(directory, 'quiet.yaml');
    writeFileSync(path, text);
    return path;
}

async function startVision({ quiet = false } = {}) {
    const name = `vision${started.length}`;
    const own = { MMORTS_VISION_HTTP: `127.0.0.1:${await freePort()}` };
    for (const kind of ['RPC', 'STREAM']) own[`MMORTS_VISION_${kind}`] = `ipc://${directory}/${name}.${kind}`;
    const config = quiet ? quietConfig() : join(ROOT, 'services/vision/vision.yaml');
    const vision = startProgram('mmorts-vision', ['--config', config], { env: { ...env, ...own }, name });
    started.push(vision);
    vision.ready = () => vision.waitReady(`http://${own.MMORTS_VISION_HTTP}/readyz`);
    vision.rpc = new RpcClient(own.MMORTS_VISION_RPC);
    return vision;
}

async function joinWorld(name) {
    const reply = await worldRpc.call('mmorts.world.World/Join', {
        session: SESSION, player_id: String(1000 + empires.length), username: name,
    }, { idempotent: true });
    empires.push(reply.empire);
    return reply.empire;
}

const rows = (sql) => mariadb.query(sql, 'mmorts_vision');
const sums = () => rows(`CHECKSUM TABLE ${TABLES.join(', ')}`);
const epoch = async () => Number((await rows('SELECT epoch FROM writers'))[0]?.[0]);
const explored = async (empire) => (await rows(`SELECT chunk_a FROM explored WHERE empire = ${empire}`)).length;

// Stops it, all its threads, and waits until the server is done with everything that it was sent.
async function standStill(program) {
    program.signal('SIGSTOP');
    const tasks = `/proc/${program.pid}/task`;
    await waitFor('its threads to stand still', () =>
        readdirSync(tasks).every((task) => /\) [Tt] [^)]*$/.test(readFileSync(`${tasks}/${task}/stat`, 'utf8'))));
    const port = `:${mariadb.port.toString(16).toUpperCase().padStart(4, '0')}`;
    const unread = () => readFileSync('/proc/net/tcp', 'utf8').split('\n').map((line) => line.trim().split(/\s+/))
        .filter(([, local, , , queues]) => local?.endsWith(port) && !queues.endsWith(':00000000'));
    await waitFor('its statements to end', async () => unread().length === 0
        && (await rows("SELECT id FROM information_schema.processlist WHERE db = DATABASE() AND command <> 'Sleep' AND id <> CONNECTION_ID()")).length === 0);
}

before(async () => {
    mariadb = await startMariadb();
    directory = tempDir();
    env = await servicesEnv(['world', 'auth'], { mariadb, directory, session: SESSION });
    world = startProgram('mmorts-world', ['--config', join(ROOT, 'services/world/world.yaml')], { env });
    await world.waitReady(`http://${env.MMORTS_WORLD_HTTP}/readyz`);
    worldRpc = new RpcClient(env.MMORTS_WORLD_RPC);
});

after(async () => {
    worldRpc?.close();
    for (const vision of started) vision.rpc.close();
    await Promise.all([world, ...started].map((program) => program?.stop()));
    await mariadb?.stop();
});

test('a second vision takes over: the first writes nothing more and ends with status 3', async () => {
    const first = await startVision();
    await first.ready();
    const ada = await joinWorld('ada');
    await waitFor('what ada explored to be saved', () => explored(ada));
    assert.equal(await epoch(), 1);

    // It stands still, between two writes: so it cannot notice anything before there is something to be seen.
    await waitFor('the first between two writes', async () => {
        await standStill(first);
        const free = await rows('SELECT epoch FROM writers FOR UPDATE NOWAIT').then(() => true, () => false);
        if (!free) first.signal('SIGCONT');
        return free;
    });
    let second, before;
    try {
        second = await startVision({ quiet: true });
        await second.ready(); // and has written what it writes at its start
        assert.equal(await epoch(), 2);
        before = await sums();
        await joinWorld('bob'); // both have something to write
        assert.equal(first.exit, null);
    } finally {
        first.signal('SIGCONT');
    }
    const exit = await first.wait();
    assert.deepEqual(exit, { code: EXIT_FENCED, signal: null }, first.log());
    assert.match(first.log(), /another process has taken this session over.*epoch=1/);
    assert.deepEqual(await sums(), before, 'the first has written after the second took over');

    assert.equal((await second.stop()).code, 0, second.log());
    assert.notDeepEqual(await sums(), before, 'the second may write');
    assert.ok(await explored(empires[1]));
});

test('sight ordered from the former process is not lent', async () => {
    const order = { session: SESSION, from_empire: empires[0], to_empire: empires[1] };
    const first = await startVision({ quiet: true });
    await first.ready();
    const second = await startVision({ quiet: true });
    await second.ready();
    await assert.rejects(first.rpc.call('mmorts.vision.Vision/ShareVision', order), /taken this session over/);
    assert.deepEqual(await first.wait(), { code: EXIT_FENCED, signal: null }, first.log());
    assert.deepEqual(await rows('SELECT * FROM sharing'), []);
    await second.rpc.call('mmorts.vision.Vision/ShareVision', order);
    assert.equal((await rows('SELECT * FROM sharing')).length, 1);
});
