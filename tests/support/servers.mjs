// Private servers and programs for the JavaScript tests; the C tests have servers.h and process.h.
// Nothing outlives the test: what still runs at exit is killed, each child gets SIGKILL when this
// process dies in any way, temporary directories are removed. Everything is on 127.0.0.1.

import { execFile, spawn } from 'node:child_process';
import { randomBytes, randomInt } from 'node:crypto';
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, readdirSync, rmSync, statSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { after } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

export const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), '../..');
export const BUILD = resolve(ROOT, process.env.B || 'build');
const SERVER_SH = join(ROOT, 'tests/support/server.sh');

// How long to wait for what must come: far longer than it takes on a machine that is slow and busy
// with others besides. A wait that ends sooner makes a test that fails by chance.
export const PATIENCE_MS = 120000;
const POLL_PAUSE_MS = 10;
const LINGER_MS = 60000;
const LOG_LINES_SHOWN = 40;
const START_TRIES = 5; // a free port may be taken between the look and the start

const running = new Set();
const directories = new Set();

// The files, no directories, below a directory whose path in there matches.
const filesBelow = (directory, pattern) => readdirSync(directory, { recursive: true })
    .map(String).filter((file) => pattern.test(file) && statSync(join(directory, file), { throwIfNoEntry: false })?.isFile());

// What our programs, and the services of a launcher, said last.
function showLogs() {
    for (const directory of directories) {
        for (const file of filesBelow(directory, /\.log$/)) {
            const text = readFileSync(join(directory, file), 'utf8').trimEnd();
            if (text.includes('\0')) continue; // a database's
            const lines = text.split('\n').slice(-LOG_LINES_SHOWN);
            process.stderr.write(`\n--- the end of ${file}\n${lines.map((line) => line.slice(0, 400)).join('\n')}\n`);
        }
    }
}

// What a sanitizer found must fail the test: tests/run.sh looks for this line. Services that a launcher runs write logs
// of their own below its directory, and who died of it runs again a moment later.
function reportSanitizers() {
    for (const directory of directories) {
        for (const file of filesBelow(directory, /\.log(\.1)?$/)) {
            const text = readFileSync(join(directory, file), 'utf8');
            const found = text.search(/Sanitizer: |: runtime error: /);
            if (found < 0) continue;
            const start = text.lastIndexOf('\n', Math.max(0, found - 200)) + 1;
            process.stderr.write(`\ntest harness: a sanitizer's report in ${file}:\n${text.slice(start, found + 20000)}\n`);
        }
    }
}

process.on('exit', () => {
    for (const child of running) child.child.kill('SIGKILL');
    try {
        reportSanitizers();
        if (process.exitCode) showLogs();
    } catch (error) {
        process.stderr.write(`no logs: ${error.message}\n`);
    }
    for (const directory of directories) {
        try {
            rmSync(directory, { recursive: true, force: true, maxRetries: 5 });
        } catch (error) { // who was killed above may still be at it: that is no failure of the test
            process.stderr.write(`${directory} is left: ${error.message}\n`);
        }
    }
});
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(130));

// A test that failed may have left programs, which would keep this process alive until its time limit. Comes after
// what the test file itself does at its end.
if (/\.test\.mjs$/.test(process.argv[1] ?? '')) {
    queueMicrotask(() => after(() => {
        for (const child of running) child.kill();
        const giveUp = () => {
            process.stderr.write('test harness: something is still open after the last test\n');
            process.exit(process.exitCode || 1);
        };
        setTimeout(giveUp, LINGER_MS).unref();
    }));
}

export const pause = (ms) => new Promise((done) => setTimeout(done, ms));

// waitFor(what, [timeoutMs,] condition): calls `condition` until it gives something truthy, and returns
// that. An exception counts as "not yet"; at the deadline the last one is part of the error.
export async function waitFor(what, ...rest) {
    const condition = rest.pop();
    const [timeoutMs = PATIENCE_MS] = rest;
    const deadline = performance.now() + timeoutMs;
    let last;
    for (;;) {
        try {
            const value = await condition();
            if (value) return value;
            last = undefined;
        } catch (error) {
            last = error;
        }
        if (performance.now() >= deadline) {
            throw new Error(`no ${what} within ${timeoutMs} ms`, { cause: last });
        }
        await pause(POLL_PAUSE_MS);
    }
}

// A new empty directory with a short path, removed at exit.
export function tempDir() {
    const directory = mkdtempSync(join(tmpdir(), 'mmt-'));
    directories.add(directory);
    return directory;
}

// "<prefix>_<something no other test uses>": for databases and key prefixes.
export const uniqueName = (prefix) => `${prefix}_${randomBytes(6).toString('hex')}`;

// Of the worlds' maps: the same in every run. WORLD_SEED=N takes another, 0 one that nobody knows.
export const WORLD_SEED = process.env.WORLD_SEED ?? '3';

function listens(...address) {
    return new Promise((done) => {
        const server = createServer();
        server.once('error', () => done(null));
        server.listen(...address, () => done(server));
    });
}

// As long as such a name can be, for some versions of Node fill it up with zeros.
export const portName = (port) => `mmorts-test-port-${port}`.padEnd(107, '.');

const claims = new Map(); // of ports

// Makes a TCP port ours until this process ends, if nobody listens on it or has taken it so: whoever gets it may not
// listen yet, or stop for a while, and meanwhile no other test on this machine is to be given it. Who has a port holds
// the socket of that name; process.c knows it too.
export async function takePort(port) {
    const claim = await listens(`\0${portName(port)}`);
    if (!claim) return false;
    claim.unref();
    const probe = await listens(port, '127.0.0.1');
    if (probe) await new Promise((done) => probe.close(done));
    else claim.close();
    if (probe) claims.set(port, claim);
    return probe !== null;
}

// The first of so many TCP ports in a row, below the ephemeral range, that are ours.
export async function freePorts(count) {
    for (let i = 0; i < 1000; i++) {
        const first = randomInt(20000, 32001 - count);
        let taken = 0;
        while (taken < count && await takePort(first + taken)) taken++;
        if (taken === count) return first;
        while (taken > 0) claims.get(first + --taken).close();
    }
    throw new Error(`no ${count} free ports`);
}

export const freePort = () => freePorts(1);

// The environment in which services use these servers and each other over sockets in `directory`, one of each in
// `names` ("world"), with free ports for their operators. Redis may be left out: then nobody is where they look for it.
export async function servicesEnv(names, { mariadb, redis, directory, session = 'main' }) {
    const env = {
        MMORTS_DB_HOST: mariadb.host, MMORTS_DB_PORT: String(mariadb.port),
        MMORTS_DB_USER: mariadb.user, MMORTS_DB_PASSWORD: mariadb.password,
        MMORTS_REDIS_HOST: redis?.host ?? '127.0.0.1', MMORTS_REDIS_PORT: String(redis?.port ?? await freePort()),
        MMORTS_SESSION: session, MMORTS_WORLD_SEED: WORLD_SEED,
    };
    for (const name of names) {
        env[`MMORTS_${name.toUpperCase()}_RPC`] = `ipc://${directory}/${name}.rpc`;
        env[`MMORTS_${name.toUpperCase()}_STREAM`] = `ipc://${directory}/${name}.stream`;
        env[`MMORTS_${name.toUpperCase()}_HTTP`] = `127.0.0.1:${await freePort()}`;
    }
    return env;
}

// A running program. Its stdout and stderr go to a log file.
export class Program {
    constructor(command, args, { env = {}, cwd = ROOT, name = basename(command) } = {}) {
        this.name = name;
        this.logPath = join(tempDir(), `${name}.log`);
        const log = openSync(this.logPath, 'a');
        // setpriv asks the kernel to kill the program when this process dies.
        this.child = spawn('setpriv', ['--pdeathsig', 'KILL', command, ...args], {
            cwd,
            env: { ...process.env, ...env },
            stdio: ['ignore', log, log],
        });
        closeSync(log);
        running.add(this);
        this.exit = null; // { code, signal } when it has ended
        this.signalled = new Set(); // what it was sent
        this.ended = new Promise((done) => {
            const end = (code, signal) => {
                if (this.exit) return;
                this.exit = { code, signal };
                running.delete(this);
                this.#reportCrash();
                done(this.exit);
            };
            this.child.once('exit', end);
            this.child.once('error', () => end(127, null));
        });
    }

    get pid() {
        return this.child.pid;
    }

    log() {
        return existsSync(this.logPath) ? readFileSync(this.logPath, 'utf8') : '';
    }

    // Ended by a signal that nobody here has sent it: whatever the test makes of that, this is why.
    #reportCrash() {
        const { signal } = this.exit;
        if (signal && !this.signalled.has(signal)) {
            process.stderr.write(`\n${this.name} ended by ${signal}; its log:\n${this.log()}\n`);
        }
    }

    // As waitFor, but gives up when the program ends; both errors show the log.
    async #waitWhileRunning(what, timeoutMs, condition) {
        const deadline = performance.now() + timeoutMs;
        for (;;) {
            const ended = this.exit !== null; // asked first: what it wrote last is then in the log
            const late = performance.now() >= deadline;
            const value = await condition().catch(() => null);
            if (value) return value;
            const problem = ended ? 'ended' : late && `gave no ${what} within ${timeoutMs} ms`;
            if (problem) throw new Error(`${this.name} ${problem}; its log:\n${this.log()}`);
            await pause(POLL_PAUSE_MS);
        }
    }

    // Waits until the log has a match of the pattern (a string or RegExp), and returns the match.
    waitLog(pattern, timeoutMs = PATIENCE_MS) {
        const find = async () =>
            pattern instanceof RegExp ? this.log().match(pattern) : this.log().includes(pattern) && [pattern];
        return this.#waitWhileRunning(`line ${pattern}`, timeoutMs, find);
    }

    // Waits until GET <url> answers 200.
    async waitReady(url, timeoutMs = PATIENCE_MS) {
        await this.#waitWhileRunning(`200 from ${url}`, timeoutMs, async () => {
            const answer = await fetch(url, { signal: AbortSignal.timeout(10000) });
            await answer.arrayBuffer();
            return answer.status === 200 && 'ready';
        });
    }

    signal(name) {
        if (this.exit) return;
        this.signalled.add(name);
        this.child.kill(name);
    }

    // The program's end as { code, signal }. At the deadline it is killed and an error thrown.
    async wait(timeoutMs = PATIENCE_MS) {
        let timer;
        const late = new Promise((done) => {
            timer = setTimeout(done, timeoutMs, null);
        });
        const exit = await Promise.race([this.ended, late]);
        clearTimeout(timer);
        if (exit) return exit;
        await this.kill();
        throw new Error(`${this.name} did not end within ${timeoutMs} ms; its log:\n${this.log()}`);
    }

    async stop(timeoutMs = PATIENCE_MS) {
        this.signal('SIGTERM');
        return this.wait(timeoutMs);
    }

    async kill() {
        this.signal('SIGKILL');
        return this.ended;
    }

    // Lets this process end while the program runs (which is then killed).
    unref() {
        this.child.unref();
    }
}

// Starts a built program ("mmorts-world"), or any other by its path or name.
export function startProgram(command, args = [], options = {}) {
    const built = join(BUILD, 'bin', command);
    return new Program(existsSync(built) ? built : command, args, { name: basename(command), ...options });
}

// A server with a data directory of its own, that can be stopped, killed and started again.
class Server {
    constructor(ready, commandLine, address) {
        this.ready = ready;
        this.commandLine = commandLine;
        this.directory = tempDir();
        Object.assign(this, { host: '127.0.0.1', port: 0, ...address });
    }

    async startOnFreePort() {
        for (let i = 0; ; i++) {
            this.port = await freePort();
            try {
                await this.start();
                return this;
            } catch (error) {
                if (i + 1 === START_TRIES) throw error;
            }
        }
    }

    // On the same port and data; returns when it accepts connections.
    async start() {
        const args = this.commandLine(this);
        this.program = new Program(SERVER_SH, args, { name: args[0] });
        try {
            await this.program.waitLog(this.ready);
        } catch (error) {
            await this.program.kill();
            throw error;
        }
    }

    stop() {
        return this.program.stop();
    }

    kill() {
        return this.program.kill();
    }

    async restart() {
        await this.stop();
        await this.start();
    }
}

const run = promisify(execFile);

// Runs SQL with the `mariadb` command on a server { host, port, user, password }; rows as arrays
// of strings ('NULL' for NULL).
export async function query(server, sql, database) {
    const args = ['--protocol=tcp', '-h', server.host, '-P', String(server.port), '-u', server.user];
    args.push('--batch', '--skip-column-names', '-e', sql);
    if (database) args.push(database);
    const env = { ...process.env, MYSQL_PWD: server.password };
    const { stdout } = await run('mariadb', args, { env, maxBuffer: 64 << 20 });
    return stdout.split('\n').slice(0, -1).map((line) => line.split('\t'));
}

// A connection that has run the statements, and keeps what they locked until the function that this resolves with is
// called (again does no harm).
export async function holdLock(server, database, ...statements) {
    const args = ['--protocol=tcp', '-h', server.host, '-P', String(server.port), '-u', server.user, '--batch', '--unbuffered', '--skip-column-names', database];
    const child = spawn('mariadb', args, { env: { ...process.env, MYSQL_PWD: server.password }, stdio: ['pipe', 'pipe', 'inherit'] });
    let out = '';
    const ended = new Promise((done) => child.once('exit', done));
    child.stdout.on('data', (text) => { out += text; });
    child.stdin.write(`${statements.join(';\n')};\nSELECT 'locked';\n`);
    await waitFor('the lock', () => out.includes('locked'));
    return async () => {
        child.stdin.end();
        await ended;
    };
}

// Runs one Redis command with `redis-cli` on a server { host, port, password }; its raw output.
export async function redisCommand(server, ...command) {
    const args = ['-h', server.host, '-p', String(server.port), ...command];
    const env = { ...process.env };
    if (server.password) env.REDISCLI_AUTH = server.password;
    const { stdout } = await run('redis-cli', args, { env });
    return stdout.replace(/\n$/, '');
}

// { host, port, user, password }, stop(), kill(), start(), restart(), query(sql, database).
export async function startMariadb() {
    const server = new Server(
        'ready for connections',
        (s) => ['mariadb', s.directory, String(s.port), s.user, s.password],
        { user: 'mmorts', password: randomBytes(12).toString('hex') },
    );
    server.query = (sql, database) => query(server, sql, database);
    return server.startOnFreePort();
}

// { host, port, password }, stop(), kill(), start(), restart(), command(...words). `durable`: with
// an append-only file synced at every write, so that a killed server comes back with its data.
export async function startRedis({ password = '', durable = false } = {}) {
    const server = new Server(
        'Ready to accept connections',
        (s) => ['redis', s.directory, String(s.port), s.password, durable ? 'durable' : 'volatile'],
        { password },
    );
    server.command = (...words) => redisCommand(server, ...words);
    return server.startOnFreePort();
}

let ownPair;

// The pair that a test without special wishes uses, as { mariadb, redis } with query() and
// command(): shared with the other tests of a run (so use unique names), or started for this
// process when the test is run by hand.
export async function getServers() {
    const env = process.env;
    if (env.MM_TEST_DB_HOST && env.MM_TEST_REDIS_HOST) {
        const mariadb = {
            host: env.MM_TEST_DB_HOST,
            port: Number(env.MM_TEST_DB_PORT),
            user: env.MM_TEST_DB_USER,
            password: env.MM_TEST_DB_PASSWORD,
            query: (sql, database) => query(mariadb, sql, database),
        };
        const redis = {
            host: env.MM_TEST_REDIS_HOST,
            port: Number(env.MM_TEST_REDIS_PORT),
            password: env.MM_TEST_REDIS_PASSWORD ?? '',
            command: (...words) => redisCommand(redis, ...words),
        };
        return { mariadb, redis };
    }
    ownPair ??= Promise.all([startMariadb(), startRedis()]).then(([mariadb, redis]) => {
        mariadb.program.unref();
        redis.program.unref();
        return { mariadb, redis };
    });
    return ownPair;
}
