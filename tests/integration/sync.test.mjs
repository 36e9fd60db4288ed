// Sync by itself, with none of the services it needs: what it promises to clients, operators and
// supervisors all the same.

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { Player } from '../support/game.mjs';
import { RawSocket, TEXT, frame } from '../support/raw_ws.mjs';
import { freePort, getServers, startProgram, tempDir, waitFor } from '../support/servers.mjs';

const LOGIN_MS = 1500;
let servers;

before(async () => {
    servers = await getServers();
});

// A sync with these settings; its peers' sockets do not exist.
class Sync {
    static async start(settings = '', limits = '', loginMs = 300000) {
        const sync = new Sync();
        const directory = tempDir();
        const peer = (name) => `ipc://${directory}/${name}`;
        const names = ['auth', 'world', 'vision', 'production', 'social'];
        sync.http = await freePort();
        sync.players = await freePort();
        sync.config = join(directory, 'sync.yaml');
        writeFileSync(sync.config, [
            `rpc: {listen: "${peer('sync')}"}`,
            `http: {listen: "127.0.0.1:${sync.http}"}`,
            `peers: {${names.map((n) => `${n}: "${peer(n)}"`)}}`,
            `streams: {${['world', 'vision', 'production'].map((n) => `${n}: "${peer(`${n}.stream`)}"`)}}`,
            `redis: {host: ${servers.redis.host}, port: ${servers.redis.port}, password: "${servers.redis.password ?? ''}"}`,
            `timeouts: {login: ${loginMs}ms}`,
            `limits: {${limits}}`,
            `players:`,
            `  listen: "127.0.0.1:${sync.players}"`,
            `  web: ""`,
            settings,
        ].join('\n'));
        sync.program = startProgram('mmorts-sync', ['--config', sync.config]);
        await waitFor('listening sync', async () => (await fetch(`http://127.0.0.1:${sync.http}/healthz`)).ok);
        await waitFor('players\' port', async () => (await fetch(`http://127.0.0.1:${sync.players}/config.json`)).ok);
        return sync;
    }

    player(token = 'a.b.c', options = {}) {
        return new Player(`ws://127.0.0.1:${this.players}/ws`, token, options);
    }

    stop() {
        return this.program.stop();
    }
}

const opened = (player) => new Promise((resolve) => {
    player.socket.once('open', resolve);
    player.socket.once('error', resolve);
});

test('wrong settings are named with their line', async () => {
    const path = join(tempDir(), 'sync.yaml');
    writeFileSync(path, 'players:\n  listen: "127.0.0.1:1"\n  lisen: "x"\ntimeouts:\n  ping: 50s\n');
    const program = startProgram('mmorts-sync', ['--config', path, '--check-config']);
    const { code } = await program.wait();
    assert.equal(code, 2);
    assert.match(program.log(), /sync\.yaml:3: .*lisen/);
});

test('without the other services', async (t) => {
    const sync = await Sync.start();
    after(() => sync.stop());

    await t.test('it is not ready and says what is missing', async () => {
        const answer = await fetch(`http://127.0.0.1:${sync.http}/readyz`);
        assert.equal(answer.status, 503);
        assert.match(await answer.text(), /streams of world and vision/);
    });

    await t.test('no token is refused without asking anybody', async () => {
        const player = sync.player(null, { protocols: [] });
        assert.equal((await player.waitFor('error')).payload.code, 'missing_token');
        assert.deepEqual(await player.waitClosed(), { code: 4401, reason: 'missing_token' });
    });

    await t.test('who waits to be let in is answered meanwhile', async () => {
        // All in one piece: auth is waited for no longer than five seconds, for which anybody may stand still.
        const socket = new RawSocket(sync.players);
        const said = (message) => frame(TEXT, JSON.stringify(message));
        socket.write(Buffer.concat([
            Buffer.from(socket.request('/ws', { 'Sec-WebSocket-Protocol': 'access_token, a.b.c' })),
            said({ type: 'ping', payload: { timestamp: 5 } }),
            said({ type: 'command', payload: { seq: 9, command: 'stop', units: ['unit_0000000000000'] } }),
        ]));
        await socket.wait('two answers', () => socket.messages.length >= 2);
        const [pong, early] = socket.messages.map(({ data }) => JSON.parse(data));
        assert.deepEqual([pong.type, pong.payload.timestamp], ['pong', 5]);
        assert.deepEqual([early.type, early.payload.seq, early.payload.code], ['error', 9, 'unavailable']);
        socket.socket.destroy();
    });

    await t.test('who cannot be let in is told so, after the time that is set', async () => {
        const impatient = await Sync.start('', '', LOGIN_MS);
        const begin = performance.now();
        const player = impatient.player();
        const { payload } = await player.waitFor('error');
        // By its words not the end of a call to auth, which would be later.
        assert.deepEqual([payload.code, payload.message], ['unavailable', 'The game cannot be entered now; try again.']);
        assert.deepEqual(await player.waitClosed(), { code: 1013, reason: 'unavailable' });
        const took = performance.now() - begin;
        assert.ok(took >= LOGIN_MS - 100, `${took} ms`);
        await impatient.stop();
    });

    await t.test('it closes its clients before it ends', async () => {
        const player = sync.player();
        await opened(player);
        const stopped = sync.stop();
        assert.deepEqual(await player.waitClosed(), { code: 1012, reason: 'restart' });
        assert.equal((await stopped).code, 0);
    });
});

// Two players who wait to be let in, and what is said to a third one meanwhile. Nobody is let in here, so nobody waits
// longer than five seconds: if they were over for the two, there was room for the third, and it is tried again.
async function third(sync) {
    for (;;) {
        const first = [sync.player(), sync.player()];
        await Promise.all(first.map(opened));
        const last = sync.player();
        const { payload } = await last.waitFor('error');
        const closed = await last.waitClosed();
        if (payload.code !== 'unavailable' || !first.some((player) => player.closed)) return { first, error: payload, closed };
        for (const player of first) player.terminate();
    }
}

test('a full server says so', async () => {
    const sync = await Sync.start('', 'clients_max: 2');
    const { first, error, closed } = await third(sync);
    assert.equal(error.code, 'server_full');
    assert.deepEqual(closed, { code: 4429, reason: 'server_full' });
    first[0].terminate();
    // The place is free again.
    await waitFor('a free place', async () => {
        const next = sync.player();
        await opened(next);
        next.send({ type: 'ping', payload: { timestamp: 1 } });
        return next.until('an answer', () => next.messages.some((m) => m.type === 'pong'));
    });
    assert.ok([null, 'unavailable'].includes(first[1].closed && first[1].closed.reason), JSON.stringify(first[1].closed));
    await sync.stop();
});

test('one address gets its share', async () => {
    const sync = await Sync.start('', 'clients_per_address: 2');
    const { error } = await third(sync);
    assert.equal(error.code, 'server_full');
    assert.match(error.message, /address/);
    await sync.stop();
});

// Opens connections one after the other until one is refused; what the answer says.
async function untilRefused(open, most) {
    for (let count = 0; count <= most; count++) {
        const { status, retryAfter, body } = await open();
        if (status !== 101) return { count, status, retryAfter, body };
    }
    throw new Error(`none of ${most} was refused`);
}

// A handshake by hand: the answer's status and header, and what it says if it is a refusal.
function shakeHands(port, { localAddress = '127.0.0.1', forwarded = [] } = {}) {
    return new Promise((resolve, reject) => {
        const handshake = request({
            host: '127.0.0.1', port, path: '/ws', localAddress, agent: false,
            headers: {
                Connection: 'Upgrade', Upgrade: 'websocket', 'Sec-WebSocket-Version': '13',
                'Sec-WebSocket-Key': 'AAAAAAAAAAAAAAAAAAAAAA==', 'X-Forwarded-For': forwarded,
            },
        });
        handshake.on('upgrade', (answer, socket) => {
            socket.destroy();
            resolve({ status: answer.statusCode });
        });
        handshake.on('response', async (answer) => {
            let body = '';
            for await (const part of answer) body += part;
            resolve({ status: answer.statusCode, retryAfter: Number(answer.headers['retry-after']), body });
        });
        handshake.on('error', reject);
        handshake.end();
    });
}

test('one address opens so many connections in a time', async () => {
    const sync = await Sync.start('', 'clients_per_address: 5, handshakes_per_second: 1');
    const refused = await untilRefused(() => shakeHands(sync.players), 200);
    assert.ok(refused.count >= 6, `${refused.count} at once`);
    assert.equal(refused.status, 429);
    assert.equal(refused.retryAfter, 1);
    assert.match(refused.body, /too many connections/);
    assert.equal((await shakeHands(sync.players, { localAddress: '127.0.0.2' })).status, 101, 'another address has its own');
    await waitFor('the next one', async () => (await shakeHands(sync.players)).status === 101);
    await sync.stop();
});

test('a proxy says whom it speaks for, and nobody else does', async () => {
    const proxied = '  proxies: ["127.0.0.1", "10.0.0.0/8"]';
    const sync = await Sync.start(proxied, 'clients_per_address: 5, handshakes_per_second: 1');
    const behind = (...forwarded) => () => shakeHands(sync.players, { forwarded });
    assert.equal((await untilRefused(behind('192.0.2.1'), 200)).status, 429);
    // Others behind the same proxy have their own share, whatever the client itself says before it.
    for (const forwarded of [['192.0.2.2'], ['192.0.2.1, 192.0.2.3'], ['192.0.2.1', '192.0.2.4'], ['192.0.2.5, 10.1.2.3'], ['2001:db8::1']])
        assert.equal((await behind(...forwarded)()).status, 101, forwarded);
    const taken = ['192.0.2.1', '192.0.2.9, 192.0.2.1', '192.0.2.1,10.1.2.3', '::ffff:192.0.2.1'];
    const answers = await Promise.all(taken.map((forwarded) => untilRefused(behind(forwarded), 5)));
    assert.deepEqual(answers.map(({ status }) => status), taken.map(() => 429));
    // One network of IPv6 is one customer, who has more addresses than anybody can count.
    let next = 1;
    assert.equal((await untilRefused(() => behind(`2001:db8:1:1::${(next++).toString(16)}`)(), 200)).status, 429);
    // Who is no proxy is believed nothing.
    next = 1;
    const stranger = () => shakeHands(sync.players, { localAddress: '127.0.0.2', forwarded: [`192.0.2.${next++}`] });
    assert.equal((await untilRefused(stranger, 200)).status, 429);
    await sync.stop();
});

// What --check-config says to these lines below players:, with these variables.
async function check(lines, env = {}) {
    const path = join(tempDir(), 'sync.yaml');
    writeFileSync(path, `players:\n${lines}\n`);
    const program = startProgram('mmorts-sync', ['--config', path, '--check-config'], { env: { ...process.env, ...env } });
    return { code: (await program.wait()).code, log: program.log() };
}

test('what is no address of a proxy is named with its line', async () => {
    for (const wrong of ['proxy.example', '10.0.0.0/33', '10.0.0.1/8', '10.0.0', '', '::1/129', '1.2.3.4/', '1.2.3.4:80']) {
        const { code, log } = await check(`  proxies: ["127.0.0.1", "${wrong}"]`);
        assert.equal(code, 2, wrong);
        assert.match(log, /sync\.yaml:2: .*players\.proxies.*10\.0\.0\.0\/8/, wrong);
    }
});

test('what is no origin is named with its line', async () => {
    for (const wrong of ['game.example', 'https://game.example/', 'https://game.example/play', 'https://Game.example', '://x', 'https://a b'])
        for (const lines of [`  origins: ["null", "${wrong}"]`, '  origins: ${ORIGINS}']) {
            const { code, log } = await check(lines, { ORIGINS: `null, ${wrong}` });
            assert.equal(code, 2, wrong);
            assert.match(log, /sync\.yaml:2: .*players\.origins.*https:\/\/game\.example, found /, wrong);
        }
});

test('origins and proxies come from the environment, with commas between', async () => {
    const lines = '  origins: ${ORIGINS:-}\n  proxies: ${PROXIES:-}';
    for (const good of [{}, { ORIGINS: '', PROXIES: ' ' }, { ORIGINS: ' https://a.example:8443 ,http://[::1]', PROXIES: '10.0.0.0/8, ::1' }]) {
        const { code, log } = await check(lines, good);
        assert.equal(code, 0, log);
    }
    for (const [bad, pattern] of [
        [{ ORIGINS: 'https://a.example,,null' }, /sync\.yaml:2: players\.origins: text 2 of 3 is empty/],
        [{ PROXIES: '10.0.0.0/8,ten' }, /sync\.yaml:3: players\.proxies: .*found "ten"/],
    ]) {
        const { code, log } = await check(lines, bad);
        assert.equal(code, 2);
        assert.match(log, pattern);
    }
});

test('only listed origins connect', async () => {
    const sync = await Sync.start('  origins: "https://test.example, https://game.example"');
    const bad = sync.player('a.b.c', { headers: { Origin: 'https://evil.example' } });
    await waitFor('refusal', () => bad.error);
    assert.match(bad.error.message, /403/);
    for (const headers of [{ Origin: 'https://game.example' }, {}]) {
        const good = sync.player('a.b.c', { headers });
        await opened(good);
        assert.equal(good.error, undefined);
        good.terminate();
    }
    await sync.stop();
});
