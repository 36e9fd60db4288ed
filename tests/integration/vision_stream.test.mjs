// Parts of the vision stream, over the documented wire: a reader that serves some empires is told of
// these, exactly and of nothing else, whatever the set changes to and whoever is killed.

import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { StreamFollower } from '../support/follow.mjs';
import { RpcClient, StreamReader, decode } from '../support/rpc.mjs';
import { PATIENCE_MS, ROOT, servicesEnv, startMariadb, startProgram, tempDir, waitFor } from '../support/servers.mjs';

const SESSION = 'main';
const WAIT_MS = PATIENCE_MS; // ends what hangs, measures nothing
const SUBSCRIPTIONS_MAX = 4;
const HEAD_BYTES = 48; // of a frame with nothing in it, and of the lengths of its columns

let mariadb, directory, env, world, vision, worldRpc, visionRpc, whole;
const players = [];
const frames = new Map(); // tick -> { told: Map of empire -> what it was told, bytes } of the whole stream
let newest = 0; // tick of these

async function start(name) {
    const folder = join(ROOT, 'services', name);
    const text = readFileSync(join(folder, `${name}.yaml`), 'utf8')
        .replace('schema: schema', `schema: ${join(folder, 'schema')}`)
        .replace(/max: 16( +# at once)/, `max: ${SUBSCRIPTIONS_MAX}$1`)
        .replace('rules: rules', `rules: ${join(folder, 'rules')}`);
    const config = name === 'vision' ? join(directory, `${name}.yaml`) : join(folder, `${name}.yaml`);
    if (name === 'vision') writeFileSync(config, text);
    const program = startProgram(`mmorts-${name}`, ['--config', config], { env });
    program.http = `http://${env[`MMORTS_${name.toUpperCase()}_HTTP`]}`;
    return program;
}

const ready = (program) => program.waitReady(`${program.http}/readyz`, WAIT_MS);

// Of one moment.
async function metrics(...names) {
    const text = await (await fetch(`${vision.http}/metrics`)).text();
    return names.map((name) => Number(text.match(new RegExp(`^mmorts_vision_${name} (\\S+)$`, 'm'))?.[1]));
}

const metric = async (name) => (await metrics(name))[0];

// A frame's rows by empire, as plain text that can be compared.
function byEmpire(frame) {
    const told = new Map();
    const at = { hex: 0, entered: 0, left: 0, remembered: 0, forgotten: 0 };
    const some = (kind, e, row) => Array.from({ length: frame[`${kind}_count`][e] ?? 0 }, () => row(at[kind]++));
    const { remembered: m } = frame;
    frame.empire.forEach((empire, e) => told.set(empire, JSON.stringify([
        some('hex', e, (i) => [frame.hex_q[i], frame.hex_r[i], frame.hex_state[i], frame.hex_terrain[i]]),
        some('entered', e, (i) => frame.entered[i]),
        some('left', e, (i) => String(frame.left[i])),
        some('remembered', e, (i) => Object.keys(m).map((column) => String(m[column][i]))),
        some('forgotten', e, (i) => String(frame.forgotten[i])),
    ])));
    assert.deepEqual([at.hex, at.entered, at.left, at.forgotten],
        [frame.hex_q.length, frame.entered.length, frame.left.length, frame.forgotten.length], 'no row is nobody\'s');
    return told;
}

const readFrame = (body) => decode('mmorts.frame.VisionFrame', body);
const ticksPass = async (count) => {
    const from = newest;
    await waitFor(`${count} ticks`, WAIT_MS, () => newest >= from + count);
};

function followWhole() {
    whole = new StreamReader({
        url: env.MMORTS_VISION_STREAM, client: visionRpc, stream: 'vision', session: SESSION,
        epoch: '1', seq: '0', // nowhere: of no epoch there is
        filter: Buffer.from([0x10, players[0].empire]), // GetViewRequest { empire }
        onSnapshot() {},
        onMessage({ tick, body }) {
            frames.set(Number(tick), { told: byEmpire(readFrame(body)), bytes: body.length });
            newest = Math.max(newest, Number(tick));
        },
    });
}

const call = (method, fields) => visionRpc.call(`mmorts.vision.Vision/${method}`, { session: SESSION, ...fields });

// A subscriber that follows its part: messages, with the sets that it asked for and from which seq on.
class Subscriber {
    constructor(name) {
        this.name = name;
        this.revision = 0;
        this.sets = []; // { epoch, seq, empires }: what messages behind seq are to tell of
        this.messages = [];
    }

    async serve(empires) {
        const reply = await call('Serve', { subscriber: this.name, revision: ++this.revision, empires: [...empires].sort((a, b) => a - b) });
        this.sets.push({ epoch: reply.epoch, seq: reply.seq, empires: new Set(empires) });
        assert.equal(reply.stream, `vision/${this.name}`);
        return reply;
    }

    follow(reply, { onUnknown } = {}) {
        this.follower = new StreamFollower({
            client: visionRpc, stream: reply.stream, session: SESSION, epoch: reply.epoch, seq: reply.seq, onUnknown,
            onMessage: (message) => this.messages.push({ ...message, frame: readFrame(message.body) }),
        });
    }

    view(empire, revision = this.revision) {
        return call('GetView', { empire, subscriber: this.name, revision });
    }

    setOf({ epoch, seq }) {
        return this.sets.findLast((set) => set.epoch === epoch && set.seq < seq).empires;
    }

    // Every message against the whole stream's frame of its tick; how many there were.
    check() {
        let rows = 0;
        for (const message of this.messages) {
            const told = byEmpire(message.frame);
            if (message.seq === 1n) { // an epoch's first says of which tick views are, and nothing of what the tick has changed
                assert.equal(told.size, 0);
                continue;
            }
            const all = frames.get(Number(message.tick));
            if (!all) continue; // the whole stream was not followed yet
            const served = this.setOf(message);
            assert.deepEqual(told, new Map([...all.told].filter(([empire]) => served.has(empire))), `${this.name} at tick ${message.tick}`);
            rows += told.size;
        }
        for (let i = 1; i < this.messages.length; i++) {
            const [before, now] = [this.messages[i - 1], this.messages[i]];
            if (before.epoch === now.epoch) assert.equal(now.tick, before.tick + 1n, 'a message for every tick');
        }
        return rows;
    }

    async caughtUp() {
        const tick = newest;
        await waitFor(`${this.name} at tick ${tick}`, WAIT_MS, () => this.messages.at(-1)?.tick >= tick);
    }

    // Of some change at least, in ticks that can be checked: the scouts stand still now and then.
    async toldOfChanges() {
        await waitFor(`${this.name} to be told of a change`, WAIT_MS, () =>
            this.messages.some(({ tick, frame }) => frame.empire.length > 0 && frames.has(Number(tick))));
        await this.caughtUp();
        assert.ok(this.check() > 0);
    }

    async end() {
        this.follower?.close();
        await this.serve([]);
    }
}

// Everybody's scout walks to and fro.
let walking = true, walk;
async function walkAll() {
    for (let turn = 0; walking; turn++) {
        for (const player of players) {
            const [dq, dr] = [[6, 0], [0, 6], [-6, 0], [0, -6]][(turn + player.empire) % 4];
            await worldRpc.call('mmorts.world.World/SubmitCommands', {
                session: SESSION,
                commands: [{ player_id: player.playerId, client_seq: ++player.seq, units: player.scouts, move: { target: { q: player.home[0] + dq, r: player.home[1] + dr } } }],
            }).catch(() => {});
        }
        await ticksPass(40).catch(() => {});
    }
}

async function scoutsOf(empire) {
    const { body } = await worldRpc.call('mmorts.stream.Stream/Snapshot', { stream: 'tick', session: SESSION });
    const frame = decode('mmorts.frame.TickFrame', body);
    const scout = frame.catalogue.types.name.indexOf('scout');
    return frame.spawned.id.filter((_, i) => frame.spawned.owner[i] === empire && frame.spawned.type[i] === scout).map(String);
}

before(async () => {
    mariadb = await startMariadb();
    directory = tempDir();
    env = await servicesEnv(['world', 'vision', 'auth'], { mariadb, directory, session: SESSION });
    [world, vision] = await Promise.all([start('world'), start('vision')]);
    await ready(world);
    worldRpc = new RpcClient(env.MMORTS_WORLD_RPC);
    visionRpc = new RpcClient(env.MMORTS_VISION_RPC);
    await ready(vision);
    for (let i = 0; i < 6; i++) {
        const playerId = String(2000 + i);
        const reply = await worldRpc.call('mmorts.world.World/Join', { session: SESSION, player_id: playerId, username: `player${i}` }, { idempotent: true });
        players.push({ playerId, empire: reply.empire, home: [reply.home_q, reply.home_r], seq: 0 });
    }
    for (const player of players) {
        await waitFor('its scouts', WAIT_MS, async () => (player.scouts = await scoutsOf(player.empire)).length > 0);
        await waitFor('vision to know of it', WAIT_MS, () => call('GetView', { empire: player.empire }));
    }
    followWhole();
    await waitFor('the whole stream', WAIT_MS, () => frames.size > 0);
    walk = walkAll();
});

after(async () => {
    walking = false;
    whole?.close();
    worldRpc?.close();
    visionRpc?.close();
    await walk;
    await Promise.all([world?.stop(), vision?.stop()]);
    await mariadb?.stop();
});

const empires = (...which) => which.map((i) => players[i].empire);

test('each reader is told of its empires, every tick, and gets bytes for no others', async () => {
    const [one, rest, twin, none] = ['one', 'rest', 'twin', 'none'].map((name) => new Subscriber(name));
    const sets = new Map([[one, empires(0)], [rest, empires(1, 2, 3, 4, 5)], [twin, empires(1, 2, 3, 4, 5)], [none, []]]);
    for (const [subscriber, set] of sets) subscriber.follow(await subscriber.serve(set));
    const counts = () => metrics('part_frames_total', 'part_encodings_total');
    const [framesBefore, encodedBefore] = await counts();
    // In the same ticks: those of one and of the rest are, together, what the whole stream carries.
    const told = (subscriber, tick) => subscriber.messages.find((m) => Number(m.tick) === tick);
    const common = () => [...frames.keys()].filter((tick) => [...sets.keys()].every((subscriber) => told(subscriber, tick)));
    await waitFor('100 ticks that all were told of', WAIT_MS, () => common().length >= 100);
    await waitFor('that many frames', WAIT_MS, async () => (await counts())[0] >= framesBefore + 4 * 80);
    const [framesAfter, encodedAfter] = await counts();
    assert.equal(await metric('subscriptions'), 4);
    assert.equal(await metric('subscribed_empires'), 11);
    for (const subscriber of sets.keys()) {
        await (subscriber === none ? subscriber.caughtUp() : subscriber.toldOfChanges());
        assert.equal(subscriber.check() > 0, subscriber !== none, `${subscriber.name} is told something`);
        assert.equal(subscriber.follower.counts.gaps, 0);
    }
    // Four parts, of which two are the same: three are encoded.
    assert.equal((encodedAfter - encodedBefore) / (framesAfter - framesBefore), 3 / 4, `of ${framesAfter - framesBefore}`);

    const ticks = common();
    const bytes = (subscriber) => ticks.reduce((sum, tick) => sum + told(subscriber, tick).body.length, 0);
    const all = ticks.reduce((sum, tick) => sum + frames.get(tick).bytes, 0);
    assert.ok(bytes(one) + bytes(rest) <= all + HEAD_BYTES * ticks.length, `${bytes(one)} and ${bytes(rest)} of ${all}`);
    assert.ok(bytes(one) < bytes(rest), 'one of six');
    assert.equal(bytes(twin), bytes(rest));
    assert.ok(bytes(none) <= 8 * ticks.length, `${bytes(none)} bytes of nothing`);
    for (const subscriber of sets.keys()) await subscriber.end();
});

test('the set changes between two messages, and a view is continued by those behind it', async () => {
    const reader = new Subscriber('one');
    reader.revision = 100;
    reader.follow(await reader.serve(empires(0, 1)));
    const mine = players[2].empire;
    await assert.rejects(reader.view(mine), { code: 'FAILED_PRECONDITION' }, 'not served');
    for (let i = 0; i < 10; i++) {
        await ticksPass(3);
        await reader.serve(i % 2 ? empires(0, 1) : empires(2, 3));
    }
    await assert.rejects(reader.view(mine), { code: 'FAILED_PRECONDITION' }, 'served no longer');
    await assert.rejects(reader.view(mine, reader.revision + 1), { code: 'FAILED_PRECONDITION' }, 'a set that has not come');
    const reply = await reader.serve(empires(2));
    const from = await reader.view(mine);
    assert.equal(from.epoch, reply.epoch);
    assert.ok(from.seq >= reply.seq && from.view.tick >= reply.tick);
    await waitFor('land to change', WAIT_MS, () => reader.messages.filter((m) => m.seq > from.seq && m.frame.hex_q.length > 0).length > 20);
    const to = await reader.view(mine);
    await waitFor('messages up to the view', WAIT_MS, () => reader.follower.seq >= to.seq);
    const state = new Map(from.view.hex_q.map((q, i) => [`${q},${from.view.hex_r[i]}`, from.view.hex_state[i]]));
    for (const { frame, tick } of reader.messages.filter((m) => m.seq > from.seq && m.seq <= to.seq)) {
        assert.ok(tick > from.view.tick && tick <= to.view.tick);
        frame.hex_q.forEach((q, i) => state.set(`${q},${frame.hex_r[i]}`, frame.hex_state[i]));
    }
    assert.deepEqual([...state].sort(), to.view.hex_q.map((q, i) => [`${q},${to.view.hex_r[i]}`, to.view.hex_state[i]]).sort());
    await ticksPass(2);
    await reader.toldOfChanges();
    await reader.end();
});

test('what makes no sense is refused and changes nothing', async () => {
    const reader = new Subscriber('one');
    reader.revision = 200;
    reader.follow(await reader.serve(empires(0, 1)));
    const good = { subscriber: 'one', revision: 300, empires: empires(0) };
    const rows = [
        [{ session: 'other' }, 'NOT_FOUND'],
        [{ session: '' }, 'NOT_FOUND'],
        [{ subscriber: '' }, 'INVALID_ARGUMENT'],
        [{ subscriber: 'One' }, 'INVALID_ARGUMENT'],
        [{ subscriber: 'a/b' }, 'INVALID_ARGUMENT'],
        [{ subscriber: 'ä' }, 'INVALID_ARGUMENT'],
        [{ subscriber: 'x'.repeat(33) }, 'INVALID_ARGUMENT'],
        [{ revision: 0 }, 'INVALID_ARGUMENT'],
        [{ empires: [0] }, 'INVALID_ARGUMENT'],
        [{ empires: [2, 1] }, 'INVALID_ARGUMENT'],
        [{ empires: [1, 1] }, 'INVALID_ARGUMENT'],
        [{ empires: [65537] }, 'INVALID_ARGUMENT'],
        [{ empires: [1, 4294967295] }, 'INVALID_ARGUMENT'],
        [{ revision: 200 }, 'FAILED_PRECONDITION'], // older
        [{ revision: reader.revision }, 'FAILED_PRECONDITION'], // another set of the same revision
    ];
    for (const [fields, code] of rows)
        await assert.rejects(call('Serve', { ...good, ...fields }), { code }, JSON.stringify(fields));
    await assert.rejects(call('GetView', { empire: players[0].empire, subscriber: 'nobody' }), { code: 'FAILED_PRECONDITION' });
    await assert.rejects(call('GetView', { empire: players[0].empire, subscriber: 'x'.repeat(5000), revision: 1 }), { code: 'FAILED_PRECONDITION' });
    await assert.rejects(call('GetView', { empire: 60000, subscriber: 'one', revision: 1 }), { code: 'NOT_FOUND' });
    // The same once more is no change.
    const again = await call('Serve', { ...good, revision: reader.revision, empires: empires(0, 1) });
    assert.ok(again.lease_ms > 0);
    await ticksPass(3);
    await reader.toldOfChanges();
    const http = await fetch(`${vision.http}/rpc/Vision/Serve`, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: '{}' });
    assert.equal(http.status, 401, 'not for everybody');
    await reader.end();
});

test('there are so many at most; one that is not read is forgotten, one that is read is not', async () => {
    const kept = new Subscriber('kept');
    // Those of the tests before, which nobody reads, go first.
    kept.follow(await waitFor('a place', WAIT_MS, () => kept.serve(empires(0))));
    await waitFor('the end of the others', WAIT_MS, async () => await metric('subscriptions') === 1);
    const expired = await metric('subscriptions_expired_total');
    const fillers = []; // read until there was one too many
    try {
        while (await metric('subscriptions') < SUBSCRIPTIONS_MAX) {
            const filler = new Subscriber(`filler${fillers.length}`);
            fillers.push(filler);
            filler.follow(await filler.serve(empires(1)));
        }
        await assert.rejects(new Subscriber('beyond').serve(empires(1)), { code: 'RESOURCE_EXHAUSTED' });
    } finally {
        for (const filler of fillers) filler.follower?.close();
    }
    await waitFor('the end of those that nobody reads', WAIT_MS, async () => await metric('subscriptions') === 1);
    assert.ok(await metric('subscriptions_expired_total') >= expired + SUBSCRIPTIONS_MAX - 1);
    await new Subscriber('beyond').serve(empires(1));
    await kept.toldOfChanges();
    assert.equal(kept.follower.counts.gaps, 0, 'reading is what renews it');
    await kept.end();
});

test('vision is killed: its readers are told, say what they serve, and go on', async () => {
    const reader = new Subscriber('one');
    reader.revision = 400;
    let unknown = 0;
    const onUnknown = async () => {
        unknown++;
        await assert.rejects(reader.view(players[0].empire), { code: /FAILED_PRECONDITION|UNAVAILABLE/ });
        await reader.serve(empires(0, 1)).catch((error) => { if (error.code !== 'UNAVAILABLE') throw error; });
    };
    reader.follow(await reader.serve(empires(0, 1)), { onUnknown });
    const before = await reader.view(players[0].empire);
    await ticksPass(10);
    await vision.kill();
    vision = await start('vision');
    await ready(vision);
    await waitFor('the stream of the new process', WAIT_MS, () => reader.messages.at(-1)?.epoch !== before.epoch && reader.messages.length > 20);
    assert.ok(unknown > 0 && reader.follower.counts.gaps > 0);
    const from = await reader.view(players[0].empire);
    assert.notEqual(from.epoch, before.epoch);
    assert.ok(from.view.tick >= before.view.tick);
    await ticksPass(40);
    await reader.toldOfChanges();
    assert.ok(reader.messages.some((m) => m.epoch === from.epoch && m.seq > from.seq));
    await reader.end();
});

test('SIGTERM does not wait for calls that wait', async () => {
    const reader = new Subscriber('one');
    reader.revision = 1000;
    walking = false;
    await walk;
    await world.stop(); // no ticks: a call waits as long as it may
    await waitFor('vision to miss world', WAIT_MS, async () => (await fetch(`${vision.http}/readyz`)).status === 503);
    const reply = await reader.serve(empires(0));
    const { epoch } = reply;
    const asked = visionRpc.call('mmorts.stream.Stream/Replay', { stream: reply.stream, session: SESSION, epoch: String(epoch), from_seq: '1000000', wait_ms: 10000 });
    assert.equal((await asked).snapshot_needed, true, 'nobody waits for what is not next');
    const { newest_seq: seq } = await asked;
    const waits = visionRpc.call('mmorts.stream.Stream/Replay', { stream: reply.stream, session: SESSION, epoch: String(epoch), from_seq: String(seq + 1n), wait_ms: 10000 }, { deadlineMs: 40000 })
        .then((r) => r.messages.length, (error) => error.code);
    await call('GetView', { empire: players[0].empire }); // the call before has arrived
    const exit = await vision.stop();
    assert.equal(exit.code, 0, vision.log());
    assert.ok([0, 'UNAVAILABLE'].includes(await waits));
    assert.ok(!/draining took too long/.test(vision.log()), vision.log());
});
