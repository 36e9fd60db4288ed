// The whole game for end-to-end tests: started by the launcher in a directory of its own, and
// players that speak the client protocol (docs/client-protocol.md) through npm `ws`.

import { randomBytes } from 'node:crypto';
import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import WebSocket from 'ws';
import { BINARY_PROTOCOL, BinaryDecoder } from '../../services/sync/web/sdk/index.js';
import { PATIENCE_MS, ROOT, WORLD_SEED, freePort, freePorts, holdLock, pause, query, redisCommand, startProgram, tempDir, waitFor } from './servers.mjs';

const START_TIMEOUT_MS = 2 * PATIENCE_MS; // makes a database and migrates six schemas
const START_TRIES = 5; // a free port may be taken between the look and the start
const START_WITHIN_S = 3600; // the launcher is more patient than we are
const PORTS = 60;
// Further sessions take the first free ports from there on, four each.
const SESSION_PORTS_FROM = 100, SESSION_PORTS = 4;

// A copy of the services' settings, for Game.start: `changes` has by service a function that gives another text of its file.
export function settings(changes) {
    const directory = join(tempDir(), 'services');
    const source = new URL('../../services', import.meta.url).pathname;
    cpSync(source, directory, { recursive: true, filter: (path) => !/\.[ch]$/.test(path) });
    for (const [service, change] of Object.entries(changes)) {
        const file = join(directory, service, `${service}.yaml`);
        const before = readFileSync(file, 'utf8');
        const text = change(before);
        if (text === before) throw new Error(`the setting to be changed in ${service}.yaml is not there`);
        writeFileSync(file, text);
    }
    return directory;
}

// Of sync.yaml, for `settings`: sync waits for answers, and for clients, as long as the tests do. What a player is
// told when they take too long is tested where they do.
export const patience = (text) => text.replace('command: 3s', 'command: 60s').replace('login: 15s', 'login: 60s').replace('behind: 30s', 'behind: 600s');

// Of every game: a Redis that was held up for a moment, by its disk or by others, has not gone. Who gives its connection up
// misses what is said meanwhile, lets nobody in and is told everything anew, all of it rightly; see kill-stores.
const PATIENT = { MMORTS_REDIS_TIMEOUT: '60s' };
// Nor do its stores wait for the disk (tests/run.sh).
const UNSYNCED = process.env.MM_TEST_PRELOAD ? { LD_PRELOAD: process.env.MM_TEST_PRELOAD } : {};

export const SERVICES = ['auth', 'world', 'vision', 'sync', 'production', 'social'];

export class Game {
    // Starts everything and waits until it is ready. `directory`: the state of an earlier game;
    // `services`: other settings than the usual ones; `test`: the login server's knobs are open; `syncs`: so many processes
    // of sync share the players; `sessions`: so many further ones at once.
    static async start({ bots = 0, env = {}, test = false, directory = tempDir(), services, syncs = 1, sessions = 0 } = {}) {
        const game = new Game();
        game.directory = directory;
        game.statusFile = join(directory, 'status.json');
        const more = [];
        if (bots) more.push('--bots', String(bots));
        if (test) more.push('--test');
        if (syncs > 1) more.push('--sync', String(syncs));
        if (services) more.push('--services', services);
        for (let i = 1; ; i++) {
            rmSync(game.statusFile, { force: true }); // of the game before
            // All of them: one whose service is dead for a moment must be there for the next one.
            const basePort = await freePorts(sessions ? SESSION_PORTS_FROM + sessions * SESSION_PORTS : PORTS + 1);
            game.program = startProgram('mmorts-launcher', ['--data', join(directory, 'play'), '--start-within', String(START_WITHIN_S), '--base-port', String(basePort),
                '--players-port', String(basePort + PORTS), '--status-file', game.statusFile, ...more], { env: { ...PATIENT, ...UNSYNCED, MMORTS_WORLD_SEED: WORLD_SEED, ...env } });
            try {
                await game.#started();
                return game;
            } catch (error) {
                if (i === START_TRIES || !/port \d+, for \w+, cannot be used/.test(game.program.log())) throw error;
            }
        }
    }

    async #started() {
        await waitFor('running game', START_TIMEOUT_MS, () => this.program.exit || this.status().state === 'ready').catch((error) => {
            throw new Error(`${error.message}\n${this.program.log()}`, { cause: error });
        });
        if (this.program.exit) throw new Error(`the launcher ended:\n${this.program.log()}`);
    }

    status() {
        return JSON.parse(readFileSync(this.statusFile, 'utf8'));
    }

    get url() {
        return this.status().url;
    }

    get socketUrl() {
        return `${this.url.replace('http', 'ws')}ws`;
    }

    process(name) {
        return this.status().processes[name];
    }

    logOf(name) {
        return readFileSync(this.process(name).log, 'utf8');
    }

    // A token for a player of that name; `claims` are knobs of the login stand-in's --test mode.
    async token(username, claims = {}) {
        const answer = await fetch(`${this.status().login_url}/api/login`, {
            method: 'POST',
            headers: { 'Content-Type': 'application/json' },
            body: JSON.stringify({ username, ...claims }),
        });
        const body = await answer.json();
        if (!answer.ok) throw new Error(`login of ${username}: ${JSON.stringify(body)}`);
        return body.token;
    }

    join(username, { url = this.socketUrl, ...options } = {}) {
        return this.enters(async () => new Player(url, await this.token(username), options));
    }

    // The player that `connect` makes, when it has been told everything. On a busy machine a service that is needed may be
    // away for a moment: then a player is told to try again, and another one is made.
    async enters(connect) {
        for (const end = performance.now() + PATIENCE_MS; ;) {
            const player = await connect();
            const full = await player.waitFor('update', (message) => message.full).catch((error) => {
                if (player.closed?.code !== 1013 || performance.now() > end) throw error;
            });
            if (full) return player;
            await pause(100); // so often an address may come in for long
        }
    }

    // Social has written down the player's name: from then on there is somebody of that name to write to. Nobody's
    // game waits for that.
    async knowsName(username) {
        const sql = `SELECT 1 FROM players WHERE username = '${username}'`;
        await waitFor(`${username} in social's list`, async () => (await this.query('social', sql)).length > 0);
    }

    // Calls a service's method over HTTP with the JSON mapping. What cannot be done now, or takes too long (a database that
    // stands still for two seconds is enough), is asked for again under its id, as docs/rpc.md has it.
    async call(service, method, body, token) {
        const { port } = this.process(service);
        const name = service[0].toUpperCase() + service.slice(1);
        const headers = { 'Content-Type': 'application/json', 'X-Request-Id': randomBytes(16).toString('hex') };
        if (token) headers.Authorization = `Bearer ${token}`;
        for (const end = performance.now() + PATIENCE_MS; ;) {
            const answer = await fetch(`http://127.0.0.1:${port}/rpc/${name}/${method}`, {
                method: 'POST', headers, body: JSON.stringify(body),
            });
            const result = { status: answer.status, body: await answer.json() };
            if (![503, 504].includes(result.status) || performance.now() > end) return result;
            await pause(200);
        }
    }

    // Not one that has only just died: the launcher may have had no time yet to write down the next one.
    async kill(name) {
        let one = this.process(name);
        if (one.state !== 'ready')
            one = await waitFor(`${name} to be ready`, () => this.process(name).state === 'ready' && this.process(name));
        process.kill(one.pid, 'SIGKILL');
        return one.pid;
    }

    // kill -9, and the milliseconds until the launcher finds it ready again.
    async killAndWait(name, timeoutMs = PATIENCE_MS) {
        const pid = await this.kill(name), began = performance.now();
        await waitFor(`${name}'s return`, timeoutMs, () => {
            const now = this.process(name);
            return now.pid !== pid && now.state === 'ready';
        });
        return performance.now() - began;
    }

    #secret(name) {
        return readFileSync(join(this.directory, 'play/secrets'), 'utf8').match(new RegExp(`^${name}=(.*)$`, 'm'))[1];
    }

    // One more instance of sync beside the launcher's, for the same game but at a port of its own: { program, socketUrl }.
    // The caller stops the program. `services`: other settings than the usual ones.
    async startSync(more = {}, services = join(ROOT, 'services')) {
        const directory = tempDir();
        const env = {
            MMORTS_REDIS_HOST: '127.0.0.1', MMORTS_REDIS_PORT: String(this.process('redis').port),
            MMORTS_REDIS_PASSWORD: this.#secret('MMORTS_REDIS_PASSWORD'), MMORTS_LOGIN_URL: this.status().login_url,
            MMORTS_SYNC_RPC: `ipc://${directory}/sync.rpc`, MMORTS_SYNC_HTTP: `127.0.0.1:${await freePort()}`,
            MMORTS_SYNC_LISTEN: `127.0.0.1:${await freePort()}`, ...PATIENT, ...more,
        };
        for (const name of ['auth', 'world', 'vision', 'production', 'social']) {
            env[`MMORTS_${name.toUpperCase()}_RPC`] = this.process(name).rpc;
            env[`MMORTS_${name.toUpperCase()}_STREAM`] = this.process(name).rpc.replace(/rpc$/, 'stream');
        }
        const program = startProgram('mmorts-sync', ['--config', join(services, 'sync/sync.yaml')], { env });
        await program.waitReady(`http://${env.MMORTS_SYNC_HTTP}/readyz`, START_TIMEOUT_MS);
        return { program, socketUrl: `ws://${env.MMORTS_SYNC_LISTEN}/ws` };
    }

    get #mariadb() {
        return { host: '127.0.0.1', port: this.process('mariadb').port, user: 'mmorts', password: this.#secret('MMORTS_DB_PASSWORD') };
    }

    // Rows of a query in the database of a service.
    query(service, sql) {
        return query(this.#mariadb, sql, `mmorts_${service}`);
    }

    // Runs statements in the database of a service, and keeps what they lock until the function that this resolves with is called.
    holdLock(service, ...statements) {
        return holdLock(this.#mariadb, `mmorts_${service}`, ...statements);
    }

    // A connection to the database of a service that keeps what the statements locked; see holdLock.
    lock(service, ...statements) {
        const password = this.#secret('MMORTS_DB_PASSWORD');
        const { port } = this.process('mariadb');
        return holdLock({ host: '127.0.0.1', port, user: 'mmorts', password }, `mmorts_${service}`, ...statements);
    }

    // What Redis answers to a command.
    redis(...command) {
        const { port } = this.process('redis');
        return redisCommand({ host: '127.0.0.1', port, password: this.#secret('MMORTS_REDIS_PASSWORD') }, ...command);
    }

    // The lines of a service's metrics.
    async metrics(service) {
        const answer = await fetch(`http://127.0.0.1:${this.process(service).port}/metrics`);
        return (await answer.text()).split('\n');
    }

    // The value of a service's metric (without labels, or with exactly those given).
    async metric(service, name) {
        const line = (await this.metrics(service)).find((one) => one.startsWith(`${name} `));
        if (!line) throw new Error(`${service} has no metric ${name}`);
        return Number(line.split(' ').at(-1));
    }

    async stop() {
        return this.program.stop();
    }
}

// A connected player: keeps every message and a model of what it has been told. `binary`: it is told in the binary
// encoding, and keeps what that says in JSON.
export class Player {
    constructor(url, token, { binary = false, protocols = [...(binary ? [BINARY_PROTOCOL] : []), 'access_token', token], headers, compression = true, ca } = {}) {
        this.decoder = binary ? new BinaryDecoder() : null;
        this.messages = [];
        this.closed = null; // { code, reason }
        this.waiters = new Set();
        this.nextSeq = 1;
        this.reset();
        this.socket = new WebSocket(url, protocols, { headers, perMessageDeflate: compression, ca });
        this.socket.on('message', (data, isBinary) => this.#take(data, isBinary));
        this.socket.on('close', (code, reason) => {
            this.closed = { code, reason: reason.toString() };
            this.#wake();
        });
        this.socket.on('error', (error) => {
            this.error = error;
            this.#wake();
        });
    }

    reset() {
        this.entities = new Map();
        this.hexes = new Map();
        this.resources = {};
        this.jobs = new Map();
        this.recipes = [];
    }

    #take(data, isBinary) {
        const message = !isBinary ? JSON.parse(data.toString()) : this.decoder?.decode(data) ?? { type: 'binary', data };
        if (message.type === 'map') this.decoder?.onMap(message);
        message.receivedMs = performance.now();
        this.messages.push(message);
        this.#apply(message);
        this.#wake();
    }

    #apply(message) {
        switch (message.type) {
        case 'welcome':
            this.reset();
            this.welcome = message.payload;
            this.nextSeq = Math.max(this.nextSeq, message.payload.next_seq);
            break;
        case 'map':
            this.map = message;
            this.recipes = message.recipes;
            break;
        case 'explored_hexes':
            if (message.reset) for (const known of [this.entities, this.hexes, this.jobs]) known.clear();
            for (const { hex, terrain } of message.hexes) this.hexes.set(`${hex}`, { terrain, state: 1 });
            break;
        case 'entity_snapshot':
            this.entities.set(message.entity.id, { ...message.entity });
            break;
        case 'entity_cached':
            if (this.entities.has(message.entity_id)) this.entities.get(message.entity_id).is_stale = true;
            break;
        case 'update':
            this.#applyUpdate(message);
            break;
        }
    }

    #applyUpdate(update) {
        if (update.full) {
            for (const [id, entity] of this.entities) if (!entity.is_stale) this.entities.delete(id);
            for (const hex of this.hexes.values()) if (hex.state === 2) hex.state = 1;
        }
        this.tick = update.tick;
        for (const entity of update.appeared || []) this.entities.set(entity.id, { ...entity, data: { ...entity.data } });
        for (const { data, ...fields } of update.changed || []) {
            const entity = this.entities.get(fields.id);
            if (entity) Object.assign(Object.assign(entity, fields).data ??= {}, data);
        }
        for (const id of update.disappeared || []) this.entities.delete(id);
        for (const { hex, state, terrain } of update.vision || []) {
            const known = this.hexes.get(`${hex}`) || {};
            this.hexes.set(`${hex}`, { terrain: terrain || known.terrain, state });
        }
        Object.assign(this.resources, update.resources);
        for (const job of update.jobs || []) this.jobs.set(job.job, job);
    }

    #wake() {
        for (const waiter of this.waiters) waiter();
    }

    // Resolves with what `find` gives as soon as it is truthy; looked at after every message. An exception counts as
    // "not yet": while everything is told anew, there may be nothing of what it looks for.
    until(what, find, timeoutMs = PATIENCE_MS) {
        return new Promise((resolve, reject) => {
            let last;
            const finish = (action, value) => {
                clearTimeout(timer);
                this.waiters.delete(look);
                action(value);
            };
            const look = () => {
                let value;
                try {
                    value = find();
                    last = undefined;
                } catch (error) {
                    last = error;
                }
                if (value) finish(resolve, value);
                else if (this.closed)
                    finish(reject, new Error(`closed (${this.closed.code} ${this.closed.reason}) before ${what}`, { cause: last }));
            };
            const timer = setTimeout(() => {
                const tail = this.messages.slice(-5).map((m) => JSON.stringify(m).slice(0, 300)).join('\n');
                finish(reject, new Error(`no ${what} within ${timeoutMs} ms; last messages:\n${tail}`, { cause: last }));
            }, timeoutMs);
            this.waiters.add(look);
            look();
        });
    }

    // The first message of the type, from index `from` on, that passes the test.
    waitFor(type, test = () => true, { timeoutMs, from = 0 } = {}) {
        return this.until(`${type} message`, () => this.messages.slice(from).find((m) => m.type === type && test(m)), timeoutMs);
    }

    waitClosed(timeoutMs = PATIENCE_MS) {
        return new Promise((resolve, reject) => {
            const timer = setTimeout(() => reject(new Error('not closed in time')), timeoutMs);
            const look = () => {
                if (!this.closed) return;
                clearTimeout(timer);
                this.waiters.delete(look);
                resolve(this.closed);
            };
            this.waiters.add(look);
            look();
        });
    }

    send(message) {
        this.socket.send(typeof message === 'string' || Buffer.isBuffer(message) ? message : JSON.stringify(message));
    }

    // Sends a command; resolves with its ack or error message. On a busy machine it may be answered that the answer
    // takes too long, orders may arrive all at once that were given one after another, or nothing can be made durable for
    // a while: then it is sent again under its number, as the protocol allows.
    async command(command, fields, seq = this.nextSeq++) {
        let from = this.messages.length;
        for (const end = performance.now() + PATIENCE_MS; ;) {
            this.send({ type: 'command', payload: { seq, command, ...fields } });
            const answer = await this.until(`answer to ${command}`, () =>
                this.messages.slice(from).find((m) => (m.type === 'ack' || m.type === 'error') && m.payload.seq === seq));
            if (!['timeout', 'unavailable', 'rate_limited', 'paused'].includes(answer.payload.code) || performance.now() > end) return answer;
            from = this.messages.indexOf(answer) + 1; // the real one may come while we pause
            await pause(200);
        }
    }

    // Resolves when it was told that somebody came ('joined') or went ('left'), alone or together with others, or by
    // another list of all who are there.
    hears(what, playerId, from = 0) {
        const names = (list) => list?.some((one) => (one.player_id ?? one) === playerId);
        return this.until(`word that ${playerId} has ${what}`, () => {
            let isHere = false;
            return this.messages.some(({ type, payload }, i) => {
                const wasHere = isHere;
                if (type === 'roster') isHere = names(payload.players);
                else if (type === 'players') isHere = names(payload.joined) || (isHere && !names(payload.left));
                else if (/^player_(joined|left)$/.test(type) && payload.player_id === playerId) isHere = type === 'player_joined';
                else return false;
                const told = (type === `player_${what}` && payload.player_id === playerId) || (type === 'players' && names(payload[what]));
                return i >= from && (told || (what === 'joined' ? isHere && !wasHere : wasHere && !isHere));
            });
        });
    }

    chat(text) {
        this.send({ type: 'chat', payload: { message: text } });
    }

    // The first of its own of that type, as soon as there is one: while everything is told anew there may be none.
    own(type) {
        return this.until(`${type} of its own`, () => this.mine(type)[0]);
    }

    mine(type) {
        return [...this.entities.values()].filter((e) => e.owner === this.welcome.empire_id && (!type || e.type === type));
    }

    count(state) {
        return [...this.hexes.values()].filter((hex) => hex.state === state).length;
    }

    close() {
        this.socket.close();
    }

    terminate() {
        this.socket.terminate();
    }
}

// The player reads no more, and asks for everything anew until its way out is full and stays so.
export async function stopReading(game, player) {
    player.socket._socket.pause();
    const isFull = async () => await game.metric('sync', 'mmorts_sync_waiting_bytes') > 0;
    await waitFor('a way out that is full', async () => {
        for (let i = 0; i < 20; i++) {
            player.send({ type: 'join' });
            await pause(50);
        }
        if (!await isFull()) return false;
        await pause(200); // what is on its way arrives
        return isFull();
    });
}

export function hexDistance([aq, ar], [bq, br]) {
    const dq = aq - bq, dr = ar - br;
    return Math.max(Math.abs(dq), Math.abs(dr), Math.abs(dq + dr));
}
