// The launcher with its real MariaDB and Redis and stand-ins for our own programs, which say what
// happens to them. That the real services play together under it is shown by the end-to-end tests.
import assert from 'node:assert/strict';
import { chmodSync, copyFileSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import test, { afterEach, before } from 'node:test';

import { BUILD, PATIENCE_MS, Program, ROOT, freePorts, query, redisCommand, startProgram, tempDir, waitFor } from '../support/servers.mjs';

const SERVICES = ['auth', 'world', 'vision', 'sync', 'production', 'social'];
const PROGRAMS = ['login', ...SERVICES];

// What the services' files take from the environment, and of these, what the launcher says itself and what it keeps
// from its services: certificates are for addresses that it does not use, and sessions are what it runs.
const VARIABLES = new Set(readdirSync(join(ROOT, 'services'), { recursive: true }).filter((path) => path.endsWith('.yaml'))
    .flatMap((path) => [...readFileSync(join(ROOT, 'services', path), 'utf8').matchAll(/\$\{(MMORTS_\w+)/g)].map(([, name]) => name)));
const OWN = /^MMORTS_(\w+_(RPC|HTTP|STREAM)|DB_\w+|REDIS_(HOST|PORT|PASSWORD)|LOGIN_URL|SYNC_(LISTEN|REUSE_PORT|EMPIRES))$/;
const WITHHELD = ['MMORTS_SESSION', 'MMORTS_SYNC_CERTIFICATE', 'MMORTS_SYNC_KEY', 'MMORTS_TLS_CA', 'MMORTS_TLS_CERT_KEY'];

// A file <name>.<trouble> in its directory makes trouble. What dies at once is a shell, which takes no time worth
// speaking of: the launcher counts deaths within half a minute.
const STAND_IN = `#!/bin/sh
name=\${0##*/mmorts-} directory=\${0%/*}
echo "$name start" >>"$directory/notes"
if [ -e "$directory/$name.crash" ]; then echo 'a crash, as ordered'; exit 3; fi
if [ -e "$directory/$name.misconfigured" ]; then echo 'services.yaml:3: unknown setting'; exit 2; fi
exec '${process.execPath}' "$directory/stand-in.cjs" "$name" "$@"
`;

// Answers every request with 200 once it listens, or, as services do, says what it waits for.
const STANDING_IN = `
const fs = require('fs'), http = require('http'), path = require('path');
const name = process.argv[2];
const trouble = (kind) => fs.existsSync(path.join(path.dirname(process.argv[1]), name + '.' + kind));
const note = (what) => fs.appendFileSync(path.join(path.dirname(process.argv[1]), 'notes'), name + ' ' + what + '\\n');
process.on('SIGTERM', () => { note('SIGTERM'); if (!trouble('stubborn')) process.exit(0); });
const address = name === 'login' ? process.argv[process.argv.indexOf('--listen') + 1]
    : process.env['MMORTS_' + name.toUpperCase() + '_HTTP'];
const [host, port] = address.split(':');
fs.writeFileSync(path.join(path.dirname(process.argv[1]), name + '.env'), JSON.stringify(process.env));
http.createServer((request, response) => {
    if (!trouble('unready')) return response.end('ok');
    response.statusCode = 503;
    response.end(JSON.stringify({ service: name, ready: false, waiting_for: ['peace'] }) + '\\n');
}).listen(Number(port), host);
`;

class House {
    constructor() {
        this.root = tempDir();
        this.bin = join(this.root, 'bin');
        this.data = join(this.root, 'play');
        this.statusPath = join(this.root, 'status.json');
        mkdirSync(this.bin);
        copyFileSync(join(BUILD, 'bin/mmorts-launcher'), join(this.bin, 'mmorts-launcher'));
        chmodSync(join(this.bin, 'mmorts-launcher'), 0o755);
        writeFileSync(join(this.bin, 'stand-in.cjs'), STANDING_IN);
        for (const name of PROGRAMS) {
            writeFileSync(join(this.bin, `mmorts-${name}`), STAND_IN, { mode: 0o755 });
        }
        for (const name of SERVICES) {
            mkdirSync(join(this.root, 'services', name), { recursive: true });
            writeFileSync(join(this.root, 'services', name, `${name}.yaml`), '');
        }
    }

    async choosePorts() {
        this.base = await freePorts(61);
        this.players = this.base + 60;
    }

    // Of these, how the game is played is a setting of whoever starts the launcher; where things are is the launcher's.
    launch(...more) {
        writeFileSync(this.notesPath, '');
        rmSync(this.statusPath, { force: true });
        const args = ['--data', this.data, '--base-port', String(this.base), '--players-port', String(this.players),
            '--status-file', this.statusPath, '--start-within', '3600', ...more];
        const env = Object.fromEntries([...VARIABLES].map((name) => [name, `given ${name}`]));
        // However many others there are.
        for (let i = 0; i < 500; i++) env[`OTHER_${i}`] = `${i}`;
        this.launcher = new Program(join(this.bin, 'mmorts-launcher'), args, { env });
        return this.launcher;
    }

    get notesPath() {
        return join(this.bin, 'notes');
    }

    notes() {
        return readFileSync(this.notesPath, 'utf8').trim().split('\n');
    }

    status() {
        return JSON.parse(readFileSync(this.statusPath, 'utf8'));
    }

    trouble(name, kind) {
        writeFileSync(join(this.bin, `${name}.${kind}`), '');
    }

    atPeace(name, kind) {
        rmSync(join(this.bin, `${name}.${kind}`), { force: true });
    }

    async ready() {
        // Makes a database first.
        const status = await waitFor('readiness', 2 * PATIENCE_MS, () =>
            this.launcher.exit ? { state: 'ended' } : this.status().state === 'ready' && this.status());
        assert.equal(status.state, 'ready', this.launcher.log());
        return status;
    }
}

const exists = (pid) => {
    try {
        process.kill(pid, 0);
        // A zombie that nobody has reaped yet does not count, but for one whose other threads still end: they have its ports.
        return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8')) || readdirSync(`/proc/${pid}/task`).length > 1;
    } catch {
        return false;
    }
};

let house;
before(async () => {
    house = new House();
    await house.choosePorts();
});
// A test that failed leaves the next one nothing of its own.
afterEach(async () => {
    for (const name of PROGRAMS) for (const kind of ['crash', 'misconfigured', 'stubborn', 'unready']) house.atPeace(name, kind);
    if (!house.launcher || house.launcher.exit) return;
    const processes = existsSync(house.statusPath) ? Object.values(house.status().processes) : [];
    await house.launcher.kill();
    await waitFor('the end of all children', () => processes.every((one) => !exists(one.pid)));
});

test('starts in order, restarts what dies, keeps the state, stops in order', async () => {
    house.launch();
    let status = await house.ready();
    assert.equal(status.url, `http://127.0.0.1:${house.players}/`);
    assert.match(house.launcher.log(), new RegExp(`http://127.0.0.1:${house.players}/`));
    assert.deepEqual(Object.keys(status.processes).sort(), ['mariadb', 'redis', ...PROGRAMS].sort());
    for (const [name, one] of Object.entries(status.processes)) {
        assert.ok(exists(one.pid), name);
        assert.equal(one.restarts, 0);
        assert.ok(existsSync(one.log), one.log);
    }

    const starts = house.notes().map((note) => note.split(' ')[0]);
    assert.equal(starts[0], 'login');
    assert.ok(starts.indexOf('auth') < starts.indexOf('world'));
    assert.ok(starts.indexOf('world') < starts.indexOf('vision'));
    assert.equal(starts.at(-1), 'sync');

    // What a service is told is enough to reach the servers; the passwords are nobody else's to read.
    const env = JSON.parse(readFileSync(join(house.bin, 'world.env'), 'utf8'));
    assert.match(env.MMORTS_WORLD_RPC, /^ipc:\/\//);
    assert.equal(env.MMORTS_SYNC_LISTEN, `127.0.0.1:${house.players}`);
    assert.equal(env.MMORTS_DB_HOST, '127.0.0.1');
    assert.equal(env.OTHER_499, '499');
    const withheld = [...VARIABLES].filter((name) => env[name] === undefined);
    assert.deepEqual(withheld.sort(), WITHHELD);
    for (const name of VARIABLES) {
        if (withheld.includes(name)) continue;
        // A setting that tools/launcher/plan.c does not know would stop here on its way to the service.
        assert.equal(env[name] === `given ${name}`, !OWN.test(name), `${name}=${env[name]}`);
    }
    const database = { host: env.MMORTS_DB_HOST, port: env.MMORTS_DB_PORT, user: env.MMORTS_DB_USER, password: env.MMORTS_DB_PASSWORD };
    const redis = { host: env.MMORTS_REDIS_HOST, port: env.MMORTS_REDIS_PORT, password: env.MMORTS_REDIS_PASSWORD };
    await query(database, 'CREATE DATABASE mmorts_test; CREATE TABLE mmorts_test.t (x INT); INSERT INTO mmorts_test.t VALUES (42)');
    assert.equal(await redisCommand(redis, 'SET', 'key', 'kept'), 'OK');
    assert.equal(statSync(join(house.data, 'secrets')).mode & 0o777, 0o600);
    assert.equal(statSync(house.data).mode & 0o077, 0);
    await assert.rejects(query({ ...database, password: '' }, 'SELECT 1'));
    await assert.rejects(query({ ...database, user: 'root', password: '' }, 'SELECT 1'));

    // A second launcher on the same data would ruin it.
    const second = startProgram(join(house.bin, 'mmorts-launcher'), ['--data', house.data]);
    assert.equal((await second.wait()).code, 1);
    assert.match(second.log(), /already runs/);

    for (const name of ['world', 'redis', 'mariadb', 'sync']) {
        const { pid } = house.status().processes[name];
        const killed = performance.now();
        process.kill(pid, 'SIGKILL');
        await waitFor(`${name}'s return`, () => {
            const one = house.status().processes[name];
            return one.pid !== pid && one.state === 'ready' && one.restarts === 1;
        });
        if (name === 'world') assert.ok(performance.now() - killed < 60000, `back after ${performance.now() - killed} ms`);
    }
    status = await house.ready();

    // The terminal tells everyone, and so may who started the launcher: both at once are one wish.
    for (const name of ['SIGSTOP', 'SIGINT', 'SIGTERM', 'SIGCONT']) house.launcher.signal(name);
    assert.equal((await house.launcher.wait()).code, 0);
    assert.match(house.launcher.log(), /Stopped\.\n$/);
    assert.doesNotMatch(house.launcher.log(), /Killing/);
    for (const one of Object.values(status.processes)) assert.ok(!exists(one.pid));
    assert.equal(house.status().state, 'stopped');
    const stops = house.notes().filter((note) => note.endsWith('SIGTERM')).map((note) => note.split(' ')[0]);
    assert.equal(stops.length, PROGRAMS.length);
    assert.equal(stops[0], 'sync');
    assert.equal(stops.at(-1), 'login');
    assert.ok(stops.indexOf('vision') < stops.indexOf('world'));
    assert.ok(stops.indexOf('world') < stops.indexOf('auth'));

    house.launch();
    await house.ready();
    assert.deepEqual(await query(database, 'SELECT x FROM mmorts_test.t'), [['42']]);
    assert.equal(await redisCommand(redis, 'GET', 'key'), 'kept');
});

test('takes its children with it when it is killed', async () => {
    house.launch();
    const { processes } = await house.ready();
    await house.launcher.kill();
    await waitFor('the end of all children', () => Object.values(processes).every((one) => !exists(one.pid)));
});

test('starts again after that, and a second Ctrl-C kills', async () => {
    house.trouble('social', 'stubborn');
    house.launch();
    const { processes } = await house.ready();
    house.launcher.signal('SIGINT');
    await waitFor("social's deafness", () => house.notes().includes('social SIGTERM'));
    assert.ok(exists(processes.social.pid));
    // One that comes at once counts as the first.
    const killing = setInterval(() => house.launcher.signal('SIGINT'), 100);
    const { code } = await house.launcher.wait();
    clearInterval(killing);
    assert.equal(code, 0);
    assert.match(house.launcher.log(), /Killing\./);
    assert.doesNotMatch(house.launcher.log(), /died/);
    for (const one of Object.values(processes)) assert.ok(!exists(one.pid));
});

test('gives up loudly on what dies again and again', async () => {
    house.launch();
    const { processes } = await house.ready();
    house.trouble('production', 'crash');
    process.kill(processes.production.pid, 'SIGKILL');
    assert.equal((await house.launcher.wait()).code, 1);
    assert.match(house.launcher.log(), /GIVING UP: production died 5 times within 30 s/);
    assert.ok(house.launcher.log().includes(processes.production.log), 'names the log');
    assert.match(house.launcher.log(), /\| a crash, as ordered/, 'shows its end');
    assert.equal(house.status().state, 'failed');
    for (const one of Object.values(processes)) assert.ok(!exists(one.pid));
});

test('does not retry what cannot work', async () => {
    house.trouble('vision', 'misconfigured');
    house.launch();
    assert.equal((await house.launcher.wait()).code, 1);
    assert.match(house.launcher.log(), /GIVING UP: vision cannot run \(exit status 2\)/);
    assert.match(house.launcher.log(), /unknown setting/);
    assert.equal(house.notes().filter((note) => note === 'vision start').length, 1);
});

test('names what does not become ready, and what it waits for', async () => {
    house.trouble('production', 'unready');
    house.launch('--start-within', '4');
    assert.equal((await house.launcher.wait()).code, 1);
    const log = house.launcher.log();
    // On a slow machine it is another that is named first, or production that has not even begun to listen.
    const [, late, why] = log.match(/^ {2}(\S+) +is not ready after 4 s: (.*)$/m);
    assert.match(why, late === 'production' ? /^(it waits for "peace"|.*at port \d+|port \d+ does not answer.*)$/ : /./);
    assert.match(log, new RegExp(`GIVING UP: ${late} does not become ready within 4 s \\(--start-within\\)`));
    assert.equal(house.status().state, 'failed');
});

test('waits less for the end of what never was ready', async () => {
    rmSync(join(house.bin, 'social.env'), { force: true });
    house.trouble('social', 'unready');
    house.trouble('social', 'stubborn');
    house.launch();
    await waitFor('social', () => existsSync(join(house.bin, 'social.env')));
    house.launcher.signal('SIGTERM');
    assert.equal((await house.launcher.wait()).code, 0);
    assert.match(house.launcher.log(), /social +does not end within 5 s and is killed/);
    assert.match(house.launcher.log(), /Stopped\.\n$/);
});

const squat = (port) => new Promise((done, failed) => {
    const squatter = createServer();
    squatter.once('error', failed);
    squatter.listen(port, '127.0.0.1', () => done(squatter));
});

test('names ports that are taken, before it starts anything', async () => {
    const uses = [[house.players, 'players'], [house.base + 22, 'vision'], [house.base + 6, 'mariadb']];
    const squatters = await Promise.all(uses.map(([port]) => squat(port)));
    const launcher = house.launch();
    assert.equal((await launcher.wait()).code, 1);
    for (const squatter of squatters) squatter.close();
    for (const [port, use] of uses) assert.match(launcher.log(), new RegExp(`port ${port}, for ${use}, cannot be used`));
    assert.equal(launcher.log().match(/cannot be used/g).length, uses.length);
    assert.match(launcher.log(), /--players-port/);
    assert.deepEqual(house.notes(), ['']);
});

test('names a port that somebody takes while it starts', async () => {
    house.trouble('login', 'unready'); // all others wait for it
    house.launch();
    await waitFor('the first stage', () => house.notes().includes('login start'));
    const squatter = await squat(house.base + 42);
    house.trouble('production', 'crash'); // as it would for want of its port
    house.atPeace('login', 'unready');
    assert.equal((await house.launcher.wait()).code, 1);
    squatter.close();
    assert.match(house.launcher.log(), /GIVING UP: production died 5 times/);
    assert.match(house.launcher.log(), new RegExp(`another program listens at port ${house.base + 42};`));
});

test('stops the others in order when it cannot start one', async () => {
    const log = join(house.data, 'log', 'vision.log');
    rmSync(log);
    mkdirSync(log);
    house.launch();
    assert.equal((await house.launcher.wait()).code, 1);
    rmSync(log, { recursive: true });
    assert.match(house.launcher.log(), /GIVING UP: vision cannot run \(not started: Is a directory\)/);
    const stops = house.notes().filter((note) => note.endsWith('SIGTERM')).map((note) => note.split(' ')[0]);
    assert.equal(stops.at(-1), 'login');
    assert.ok(stops.includes('world') && !stops.includes('sync'));
});

test('says why there is no database', async () => {
    const tools = tempDir();
    const make = join(tools, 'mariadb-install-db');
    const { PATH } = process.env;
    const start = (path) => startProgram(join(house.bin, 'mmorts-launcher'), ['--data', join(house.root, 'none')], { env: { PATH: path } });
    writeFileSync(make, "#!/bin/sh\necho '[ERROR] no room'\nseq 100\nexit 1\n", { mode: 0o755 });
    let launcher = start(`${tools}:${PATH}`);
    assert.equal((await launcher.wait()).code, 1);
    assert.match(launcher.log(), /\| \[ERROR\] no room\n(.*\n)*.*making the database failed; its log is \S+\/mariadb-install.log/);

    rmSync(make);
    symlinkSync(PATH.split(':').map((place) => join(place, 'setpriv')).find((path) => existsSync(path)), join(tools, 'setpriv'));
    launcher = start(tools);
    assert.equal((await launcher.wait()).code, 1);
    assert.match(launcher.log(), /mariadb\S* is not installed; tools\/install-packages.sh play installs it/);
});

test('refuses bad usage', async () => {
    for (const args of [['--bots', 'many'], ['--base-port', '80'], ['--start-within', '0'], ['--nonsense'], ['extra'], ['--players-port', '7106']]) {
        const launcher = startProgram('mmorts-launcher', args);
        assert.equal((await launcher.wait()).code, 2, args.join(' '));
        assert.ok(launcher.log().includes(args[0]), `${args[0]} is not named: ${launcher.log()}`);
    }
    for (const program of ['launcher', 'login', 'replay', 'bots', 'auth', 'world', 'vision', 'sync', 'production', 'social']) {
        for (const wrong of ['--nonsense', 'what-is-this']) {
            const one = startProgram(`mmorts-${program}`, [wrong]);
            assert.equal((await one.wait()).code, 2, `${program} ${wrong}`);
            assert.match(one.log(), new RegExp(`^.*${program}: .*${wrong}.*(\n.*)?--help tells`), `${program} ${wrong}`);
        }
    }
    const help = startProgram('mmorts-launcher', ['--help']);
    assert.equal((await help.wait()).code, 0);
    for (const option of ['--data', '--bots', '--base-port', '--players-port', '--services', '--status-file', '--start-within']) {
        assert.ok(help.log().includes(option), option);
    }
});
