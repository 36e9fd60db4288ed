// A service that stands still (SIGSTOP: its sockets take what they are sent, and nothing is answered) while clients
// send at the full rate: they get typed errors and not a queue, what does not need that service goes on for everybody,
// and when it goes on, each command is carried out once, under the number that it was first sent with.

import assert from 'node:assert/strict';
import test, { after, before } from 'node:test';
import { Game, hexDistance, settings } from '../support/game.mjs';
import { pause, waitFor } from '../support/servers.mjs';

const COMMAND_MS = 10000;    // until sync answers for a service: much longer than a busy machine takes to answer
const UNANSWERED_MAX = 32;   // of one client
const BURST = 50;            // more than that, and than a client may send at once
const FLOODERS = 4;
const TOGETHER = 8;          // sent again at a time
const GROWN_BYTES_MAX = 128 * 2 ** 20; // of sync: it would be many times that if anything were queued for long
// What became of it is not known: it is sent again under its number. Nothing was done: under a new one.
const UNKNOWN = new Set(['timeout', 'unavailable']), NOTHING = new Set(['queue_full', 'rate_limited', 'mail_rate_limited']);

let game;

before(async () => {
    const services = settings({ sync: (text) => text.replace('command: 3s', `command: ${COMMAND_MS / 1000}s`) });
    game = await Game.start({ services, env: { MMORTS_SOCIAL_MAIL_MESSAGES: '1000' } });
});

after(() => game?.stop());

// A client that counts every answer to every command.
class Client {
    static async join(name) {
        const client = new Client();
        client.player = await game.join(name);
        client.sent = new Map(); // seq -> command
        client.answers = new Map(); // seq -> all its answers
        let read = 0;
        client.player.waiters.add(() => {
            for (; read < client.player.messages.length; read++) {
                const message = client.player.messages[read];
                if (client.sent.has(message.payload?.seq) && ['ack', 'error'].includes(message.type))
                    client.answers.get(message.payload.seq).push(message);
            }
        });
        return client;
    }

    send(command, seq = this.player.nextSeq++) {
        if (!this.sent.has(seq)) this.answers.set(seq, []);
        this.sent.set(seq, command);
        this.player.send({ type: 'command', payload: { seq, ...command } });
        return seq;
    }

    get seqs() {
        return [...this.sent.keys()];
    }

    // The answer that counts, if there is one.
    last(seq) {
        return this.answers.get(seq).find((m) => m.type === 'ack') ?? this.answers.get(seq).at(-1);
    }

    codes() {
        return [...this.answers.values()].flat().map((m) => m.payload.code ?? 'ack');
    }

    answered(times = 1) {
        return this.player.until('all answers', () => this.seqs.every((seq) => this.answers.get(seq).length >= times));
    }

    #is(seq, codes) {
        return this.answers.get(seq).some((m) => codes.has(m.payload.code)) && !this.#isFinal(seq);
    }

    #isFinal(seq) {
        return this.answers.get(seq).some((m) => m.type === 'ack' || !(UNKNOWN.has(m.payload.code) || NOTHING.has(m.payload.code)));
    }

    async #again(seqs) {
        for (let i = 0; i < seqs.length; i += TOGETHER) {
            const few = seqs.slice(i, i + TOGETHER), counts = few.map((seq) => this.answers.get(seq).length);
            for (const seq of few) this.send(this.sent.get(seq), seq);
            await this.player.until('answers', () => few.every((seq, k) => this.answers.get(seq).length > counts[k]));
            await pause(200); // no more messages a second than are read
        }
    }

    // Sends all again until each has an answer that counts. What may have been done comes first: of a number behind
    // that, nobody knows any more what was done before it.
    async settle() {
        for (let left = this.seqs; left.length > 0; left = this.seqs.filter((seq) => this.#is(seq, UNKNOWN))) {
            await this.#again(left.filter((seq) => this.#is(seq, UNKNOWN)));
        }
        for (let left = this.seqs; left.length > 0; left = this.seqs.filter((seq) => !this.#isFinal(seq))) {
            const anew = left.filter((seq) => this.#is(seq, NOTHING) && !this.#is(seq, UNKNOWN)).map((seq) => {
                const command = this.sent.get(seq), next = this.player.nextSeq++;
                this.sent.delete(seq);
                this.sent.set(next, command);
                this.answers.set(next, []);
                return next;
            });
            await this.#again(anew);
            await this.#again(this.seqs.filter((seq) => this.#is(seq, UNKNOWN)));
            await pause(100);
        }
    }

    get scout() {
        return this.player.mine('scout')[0];
    }

    order(i) {
        const { home } = this.player.welcome;
        return i % 3 ? { command: 'move', units: [this.scout.id], target: [home[0] + i % 4, home[1]] } : { command: 'stop', units: [this.scout.id] };
    }

    async moves() {
        const answer = await this.player.command('move', { units: [this.scout.id], target: this.player.welcome.home });
        assert.equal(answer.type, 'ack', JSON.stringify(answer));
    }

    ticksOn() {
        const { tick } = this.player;
        return this.player.until('more ticks', () => this.player.tick > tick + 20);
    }
}

const joinAll = (name, count = FLOODERS) => Promise.all(Array.from({ length: count }, (_, i) => Client.join(`${name}${i}`)));
const memory = () => game.metric('sync', 'process_resident_memory_bytes');

async function hears(from, to, text) {
    const at = to.player.messages.length;
    from.player.chat(text);
    await to.player.waitFor('chat', (m) => m.payload.message === text, { from: at });
}

// Runs `body` while the service stands still; sync keeps its size.
async function whileStopped(service, body) {
    const { pid } = game.process(service);
    const before = await memory();
    process.kill(pid, 'SIGSTOP');
    try {
        await body();
        const grown = await memory() - before;
        assert.ok(grown < GROWN_BYTES_MAX, `sync grew by ${grown} bytes`);
    } finally {
        process.kill(pid, 'SIGCONT');
    }
    assert.equal(game.process(service).pid, pid, 'it was not started anew');
}

function onlyErrors(clients, codes) {
    const seen = new Set(clients.flatMap((client) => client.codes()));
    for (const code of seen) assert.ok(codes.includes(code), `${[...seen]}`);
}

test('world: orders are answered in time, talk goes on, and every order is carried out once', { timeout: 600000 }, async () => {
    const clients = await joinAll('w'), [ada, bob] = await joinAll('talker', 2);
    await whileStopped('world', async () => {
        for (const client of clients) for (let i = 0; i < BURST; i++) client.send(client.order(i));
        await hears(ada, bob, 'while the world stands still');
        await Promise.all(clients.map((client) => client.answered()));
        for (const client of clients) {
            const codes = client.codes(), timeouts = codes.filter((code) => code === 'timeout').length;
            assert.ok(timeouts > 0 && timeouts <= UNANSWERED_MAX, `${timeouts} waited for an answer`);
            assert.ok(codes.filter((code) => code === 'queue_full').length > 0, 'the others were not taken');
        }
        onlyErrors(clients, ['timeout', 'queue_full', 'rate_limited']);
    });
    await Promise.all(clients.map((client) => client.settle()));
    for (const client of clients) {
        for (const seq of client.seqs) assert.equal(client.last(seq).type, 'ack', JSON.stringify(client.last(seq)));
        await client.ticksOn();
    }
    // Once more under their numbers: what came of them then.
    const [client] = clients;
    for (const seq of client.seqs.slice(-20)) {
        const { payload: { tick } } = client.last(seq);
        const { type, payload } = await client.player.command('again', client.sent.get(seq), seq);
        assert.deepEqual([type, payload.tick], ['ack', tick]);
    }
    for (const one of [...clients, ada, bob]) one.player.close();
});

test('production: buildings and training wait for it, nobody else does, and each is paid once', { timeout: 600000 }, async () => {
    const [mover, newcomer] = ['mover', 'newcomer'];
    const clients = await joinAll('p'), other = await Client.join(mover);
    const towers = new Map();
    await whileStopped('production', async () => {
        // A few buildings that are not paid: they hold up nobody's orders.
        const given = performance.now();
        for (const client of clients.slice(0, 2)) {
            const seq = client.send({ command: 'build', units: client.player.mine('worker').map((e) => e.id), building: 'tower', target: place(client.player) });
            towers.set(client, seq);
            for (let i = 0; i < 5; i++) client.send(client.sent.get(seq), seq);
        }
        await other.moves();
        for (const [client, seq] of towers)
            assert.ok(client.answers.get(seq).length === 0 || performance.now() - given >= COMMAND_MS, 'it waits for its payment');
        // As many as there can be: the world has places left for others.
        for (const client of clients.slice(2)) {
            const seq = client.send({ command: 'build', units: client.player.mine('worker').map((e) => e.id), building: 'tower', target: place(client.player) });
            towers.set(client, seq);
            for (let i = 1; i < UNANSWERED_MAX; i++) client.send(client.sent.get(seq), seq); // again: that waits as well
        }
        for (let i = 0; i < 5; i++) await other.moves();
        await other.ticksOn();
        (await Client.join(newcomer)).player.close();
        for (const client of clients) {
            const [{ id }] = client.player.mine('settlement');
            for (let i = 0; i < 25; i++) client.send({ command: 'train', building: id, recipe: 'train_scout', cycles: 1 });
        }
        await other.moves();
        await Promise.all(clients.map((client) => client.answered()));
        onlyErrors(clients, ['timeout', 'queue_full', 'rate_limited']);
    });
    await Promise.all(clients.map((client) => client.settle()));
    for (const client of clients) {
        const { payload: { code }, type } = client.last(towers.get(client));
        assert.ok(type === 'ack' || code === 'expired', code); // paid too late, it came back
        await client.player.until('the tower', () => client.player.mine('tower').length === (type === 'ack' ? 1 : 0));
        // A job for each training that was acknowledged, and no other.
        const jobs = client.seqs.map((seq) => client.last(seq).payload.job).filter(Boolean).sort();
        assert.equal(new Set(jobs).size, jobs.length);
        const told = () => [...client.player.jobs.keys()].sort();
        await client.player.until('its jobs', () => `${told()}` === `${jobs}`);
        await client.ticksOn();
        assert.deepEqual(told(), jobs);
        assert.equal(client.player.mine('tower').length, type === 'ack' ? 1 : 0);
    }
    for (const one of [...clients, other]) one.player.close();
});

// A hex in sight near home, on which nothing is.
function place({ hexes, entities, welcome: { home } }) {
    for (const [key, { terrain, state }] of hexes) {
        const hex = key.split(',').map(Number), far = hexDistance(hex, home);
        if (state === 2 && terrain === 'plains' && far >= 3 && far <= 5 && [...entities.values()].every((e) => hexDistance(e.pos, hex) > 1)) return hex;
    }
    throw new Error('no place for a tower');
}

test('social: talk and mail are answered in time, the game goes on, and each mail is sent once', { timeout: 600000 }, async () => {
    const clients = await joinAll('s'), reader = await Client.join('reader');
    const mails = 10;
    await game.knowsName('reader');
    await whileStopped('social', async () => {
        for (const client of clients) {
            const { username } = client.player.welcome;
            for (let i = 0; i < mails; i++)
                client.send({ command: 'mail', action: 'send', to: reader.player.welcome.player_id, subject: `${username} ${i}`, body: 'Are you there?' });
            for (let i = 0; i < 10; i++) client.player.chat(`${username} says ${i}`);
        }
        await Promise.all(clients.map((client) => client.moves()));
        await reader.ticksOn();
        (await Client.join('guest')).player.close();
        await Promise.all(clients.map((client) => client.answered()));
        onlyErrors(clients, ['timeout', 'queue_full', 'rate_limited', 'unavailable']);
        for (const { player } of clients)
            await player.waitFor('error', (m) => m.payload.seq === undefined && ['timeout', 'queue_full', 'unavailable'].includes(m.payload.code));
    });
    await Promise.all(clients.map((client) => client.settle()));
    for (const client of clients)
        for (const seq of client.seqs) assert.equal(client.last(seq).type, 'ack', JSON.stringify(client.last(seq)));
    const subjects = (await game.query('social', `SELECT t.subject FROM mails t JOIN mail_copies c ON c.mail_id = t.id
        WHERE c.player_id = ${reader.player.welcome.player_id}`)).map(([subject]) => subject);
    assert.equal(subjects.length, clients.length * mails);
    assert.equal(new Set(subjects).size, subjects.length, 'none twice');
    await hears(reader, clients[0], 'can you hear me?'); // the others may have said as much as they may
    const lines = clients[0].player.messages.filter((m) => m.type === 'chat').map((m) => m.payload.message);
    assert.equal(new Set(lines).size, lines.length, 'no line twice');
    for (const one of [...clients, reader]) one.player.close();
});

test('vision: orders are carried out, and shown when it goes on', { timeout: 600000 }, async () => {
    const clients = await joinAll('v');
    const targets = new Map();
    await whileStopped('vision', async () => {
        await hears(clients[0], clients[1], 'it is dark');
        for (const client of clients) {
            const { scout, player: { welcome: { home } } } = client;
            const target = [home[0] + 3, home[1]];
            targets.set(client, { id: scout.id, target });
            for (let i = 0; i < 30; i++) client.send({ command: 'move', units: [scout.id], target });
        }
        await Promise.all(clients.map((client) => client.answered()));
        onlyErrors(clients, ['ack', 'timeout', 'queue_full', 'rate_limited']);
        await waitFor('more ticks than sync keeps for it', async () => await game.metric('sync', 'mmorts_sync_views_live') === 0);
    });
    await Promise.all(clients.map((client) => client.settle()));
    for (const client of clients) {
        for (const seq of client.seqs) assert.equal(client.last(seq).type, 'ack', JSON.stringify(client.last(seq)));
        const { id, target } = targets.get(client);
        await client.player.until('the march', () => hexDistance(client.player.entities.get(id).pos, target) <= 2);
        await client.ticksOn();
        assert.equal(client.player.closed, null);
        client.player.close();
    }
});
