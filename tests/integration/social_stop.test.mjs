// Social, stopped while Redis has answered a part of what it was sent.
import assert from 'node:assert/strict';
import { connect, createServer } from 'node:net';
import { after, before, test } from 'node:test';
import { RpcClient } from '../support/rpc.mjs';
import { PATIENCE_MS, freePort, query, servicesEnv, startMariadb, startProgram, startRedis, tempDir, waitFor } from '../support/servers.mjs';

let mariadb, redis, gate, social, rpc;
let answered = false; // one of the events, and nothing since

// Between social and Redis: the first event of several is answered, and nothing any more.
function relay(client) {
    const server = connect(redis.port, redis.host);
    let still = false;
    for (const socket of [client, server]) socket.on('error', () => {}).on('close', () => { client.destroy(); server.destroy(); });
    client.on('data', (bytes) => {
        if (still) return;
        still = bytes.includes('PUBLISH\r\n');
        if (!still) server.write(bytes);
        else client.write(':0\r\n', () => { answered = true; });
    });
    server.on('data', (bytes) => still || client.write(bytes));
}

before(async () => {
    [mariadb, redis] = await Promise.all([startMariadb(), startRedis()]);
    const port = await freePort();
    gate = createServer(relay);
    await new Promise((done) => gate.listen(port, '127.0.0.1', done));
    const env = await servicesEnv(['social'], { mariadb, redis: { host: '127.0.0.1', port }, directory: tempDir() });
    social = startProgram('mmorts-social', ['--config', 'services/social/social.yaml'], { env: { ...env, MMORTS_SOCIAL_SWEEP: '60s' } });
    await social.waitReady(`http://${env.MMORTS_SOCIAL_HTTP}/readyz`, PATIENCE_MS);
    rpc = new RpcClient(env.MMORTS_SOCIAL_RPC);
});

after(async () => {
    rpc?.close();
    await social?.stop();
    gate?.close();
    await Promise.all([mariadb?.stop(), redis?.stop()]);
});

test('what was published is not taken out of the outbox of a database that is closed', async () => {
    const [ada, bob] = ['ada', 'bob'].map((username, i) => ({ player_id: String(i + 1), username, display_id: '' }));
    const kind = 'alliance', session = 'main';
    await query(mariadb, `SET @now = ROUND(UNIX_TIMESTAMP() * 1000);
        INSERT INTO player_groups VALUES (7, '${session}', '${kind}', 'The Lot', '', 0, @now);
        INSERT INTO group_members VALUES (7, 1, '${session}', '${kind}', 'ada', '', 3, @now), (7, 2, '${session}', '${kind}', 'bob', '', 1, @now)`, 'mmorts_social');
    const reply = await rpc.call('mmorts.social.Social/ActOnGroup', { session, group_id: '7', actor: ada, target: bob, action: 'GROUP_SET_ROLE', role: 'GROUP_ROLE_LEADER' }, { idempotent: true });
    assert.equal(reply.reason, 'GROUP_OK', reply.message);
    await waitFor('the events', () => answered);
    social.signal('SIGTERM');
    assert.deepEqual(await social.wait(), { code: 0, signal: null });
    const left = await query(mariadb, 'SELECT COUNT(*) FROM group_outbox', 'mmorts_social');
    assert.match(String(left), /^[12]\s*$/, 'they go out again');
});
