// The JavaScript harness that other tests stand on.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import test from 'node:test';

import {
    ROOT,
    freePort,
    freePorts,
    getServers,
    portName,
    startMariadb,
    startProgram,
    startRedis,
    takePort,
    tempDir,
    uniqueName,
    waitFor,
} from '../support/servers.mjs';

test('MariaDB keeps its data and port over kill and restart', async () => {
    const server = await startMariadb();
    const { port } = server;
    assert.ok(port < 32768);
    await server.query('CREATE DATABASE kept; CREATE TABLE kept.t (n INT); INSERT INTO kept.t VALUES (41), (1)');
    assert.deepEqual(await server.kill(), { code: null, signal: 'SIGKILL' });
    await assert.rejects(server.query('SELECT 1'));
    await server.start();
    assert.equal(server.port, port);
    assert.deepEqual(await server.query('SELECT SUM(n), NULL FROM t', 'kept'), [['42', 'NULL']]);
    assert.equal((await server.stop()).code, 0);
});

test('a durable Redis comes back with its data, a volatile one without, a password is asked for', async () => {
    const [durable, fleeting] = await Promise.all([startRedis({ password: 's3cret', durable: true }), startRedis()]);
    await durable.command('SET', 'a', '1');
    await fleeting.command('SET', 'a', '1');
    durable.password = '';
    assert.match(await durable.command('GET', 'a'), /NOAUTH/);
    durable.password = 's3cret';
    await Promise.all([durable.kill(), fleeting.kill()]);
    await Promise.all([durable.start(), fleeting.start()]);
    assert.equal(await durable.command('GET', 'a'), '1');
    assert.equal(await fleeting.command('GET', 'a'), '');
    await Promise.all([durable.kill(), fleeting.kill()]);
});

test('a port is given once on this machine, and only if nobody listens', async () => {
    const port = await freePort();
    const names = () => readFileSync('/proc/net/unix', 'utf8').split('\n').map((line) => line.split(' ').at(-1));
    assert.ok(names().includes(`@${portName(port)}`), 'the name that process.c looks for');
    assert.equal(await takePort(port), false, 'it is ours');
    const first = await freePorts(60);
    for (let i = 0; i < 60; i++) assert.ok(names().includes(`@${portName(first + i)}`), `one of many, ${first + i}`);
    const squatter = createServer();
    await new Promise((done) => squatter.listen(0, '127.0.0.1', done));
    const taken = squatter.address().port;
    assert.equal(await takePort(taken), false, 'somebody listens');
    assert.ok(!names().includes(`@${portName(taken)}`), 'what was not given is not kept');
    await new Promise((done) => squatter.close(done));
});

test('the shared pair answers', async () => {
    const { mariadb, redis } = await getServers();
    assert.deepEqual(await mariadb.query('SELECT 1'), [['1']]);
    assert.equal(await redis.command('PING'), 'PONG');
    assert.notEqual(uniqueName('db'), uniqueName('db'));
});

test('a program gets arguments and environment, its log and end are seen', async () => {
    const program = startProgram('sh', ['-c', 'echo "$0 $GREETING"; exit 7', 'hello'], { env: { GREETING: 'world' } });
    const [, who] = await program.waitLog(/hello (\w+)\n/);
    assert.equal(who, 'world');
    assert.deepEqual(await program.wait(), { code: 7, signal: null });
    await assert.rejects(program.waitLog('never said'), /sh ended; its log:\nhello world/);
});

test('a program that does not end is killed at the deadline', async () => {
    const program = startProgram('sh', ['-c', "trap '' TERM; echo up; while :; do sleep 1; done"]);
    await program.waitLog('up');
    await assert.rejects(program.stop(200), /did not end within 200 ms/);
    assert.equal(program.exit.signal, 'SIGKILL');
});

test('readiness is waited for, and its absence reported', async () => {
    const port = await freePort();
    const script = `require('http').createServer((q, a) => { a.statusCode = q.url == '/readyz' ? 200 : 503; a.end(); })
        .listen(${port}, '127.0.0.1')`;
    const program = startProgram('node', ['-e', script]);
    await program.waitReady(`http://127.0.0.1:${port}/readyz`);
    await assert.rejects(program.waitReady(`http://127.0.0.1:${port}/other`, 100), /no 200 from/);
    await program.kill();
});

test('children die with a harness that is killed, and its exit removes what it made', async () => {
    const script = (end) => `
        import { startProgram, tempDir } from ${JSON.stringify(`${ROOT}/tests/support/servers.mjs`)};
        const program = startProgram('sh', ['-c', 'echo $$; exec sleep 1000']);
        await program.waitLog(/\\d+\\n/);
        process.stdout.write(program.pid + ' ' + tempDir());
        ${end}`;
    // What a killed harness leaves is below this directory, which is ours.
    const env = { ...process.env, TMPDIR: tempDir() };
    for (const end of ["process.kill(process.pid, 'SIGKILL')", 'process.exit(0)']) {
        const result = spawnSync('node', ['--input-type=module', '-e', script(end)], { encoding: 'utf8', env });
        const [pid, directory] = result.stdout.split(' ');
        assert.match(pid, /^\d+$/, result.stderr);
        await waitFor('end of the child', () => {
            const stat = `/proc/${pid}/stat`;
            return !existsSync(stat) || / Z /.test(readFileSync(stat, 'utf8'));
        });
        if (result.signal === null) assert.ok(!existsSync(directory));
    }
});

test('what a sanitizer has found is said at the end, wherever it was written', () => {
    const script = `
        import { mkdirSync, writeFileSync } from 'node:fs';
        import { startProgram, tempDir } from ${JSON.stringify(`${ROOT}/tests/support/servers.mjs`)};
        const directory = tempDir();
        for (const name of ['/log', '/a-directory.log']) mkdirSync(directory + name);
        for (const [file, text] of [['a.log', 'quiet'], ['b.log', 'b.c:1:2: runtime error: planted'],
            ['c.log.1', 'ERROR: AddressSanitizer: planted']]) writeFileSync(directory + '/log/' + file, text);
        const [ended, running] = ['exit', 'sleep 1000'].map((end) => startProgram('sh', ['-c', 'echo SUMMARY: LeakSanitizer: planted; ' + end]));
        await ended.wait();
        await running.waitLog('planted');
        process.exit(0);`;
    const { stderr } = spawnSync('node', ['--input-type=module', '-e', script], { encoding: 'utf8' });
    const logs = [...stderr.matchAll(/^test harness: a sanitizer's report in (\S+):$/gm)].map((match) => match[1]);
    assert.deepEqual(logs.sort(), ['log/b.log', 'log/c.log.1', 'sh.log', 'sh.log'], stderr);
    assert.doesNotMatch(stderr, /no logs:/);
});
