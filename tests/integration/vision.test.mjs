// World and vision as real processes on a real MariaDB: what vision answers against a brute-force
// truth read from world's tick stream, through restarts, kills and a lost database.

import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { Truth, distance, followTicks, publicId } from '../support/fog.mjs';
import { RpcClient, StreamReader, decode } from '../support/rpc.mjs';
import { PATIENCE_MS, ROOT, servicesEnv, startMariadb, startProgram, tempDir, waitFor } from '../support/servers.mjs';

const SESSION = 'main';
const VISIBLE = 'VISIBILITY_VISIBLE';
// Of everything that is waited for: it ends what hangs, it measures nothing.
const WAIT_MS = PATIENCE_MS;
// Longer ago than anything that vision is asked about: the truth of every tick would fill the memory in time.
const HISTORY_TICKS = 2000;

let mariadb, directory, env, world, vision, worldRpc, visionRpc, reader;
let truth;
let history; // tick -> Map of empire -> { hexes, entities, memory }, the memory as `remembered` was then
let everSeen; // empire -> Map of "q,r" -> first tick
let firstTick = 0, lastTick = 0; // of the truth, since its reader began anew
let remembered; // empire -> Map of id -> entity as last seen
const slots = new Map(); // of every entity there ever was, by its id
const shares = []; // { from, to, since, until }
const players = [];

const IMPASSABLE = ['dead', 'lake'];
const configOf = (name) => join(ROOT, `services/${name}/${name}.yaml`);

// Vision that writes nothing because of the time, only because something happened.
function quietConfig() {
    const text = readFileSync(configOf('vision'), 'utf8')
        .replace(/(save_interval|checkpoint_interval|replay_max): \S+/g, '$1: 3600s')
        .replace('schema: schema', `schema: ${join(ROOT, 'services/vision/schema')}`);
    const path = join(directory, 'quiet.yaml');
    writeFileSync(path, text);
    return path;
}

async function start(name, { config = configOf(name) } = {}) {
    const program = startProgram(`mmorts-${name}`, ['--config', config], { env });
    const port = env[`MMORTS_${name.toUpperCase()}_HTTP`].split(':')[1];
    program.http = `http://127.0.0.1:${port}`;
    return program;
}

const ready = (program) => program.waitReady(`${program.http}/readyz`, WAIT_MS);

async function metric(program, name) {
    const text = await (await fetch(`${program.http}/metrics`)).text();
    return Number(text.match(new RegExp(`^${name} (\\S+)$`, 'm'))?.[1]);
}

function lenders(empire, tick) {
    return shares.filter((s) => s.to === empire && s.since <= tick && tick < s.until).map((s) => s.from);
}

// The truth after a tick, for every empire.
function remember(tick) {
    for (const entity of truth.entities.values()) slots.set(entity.raw, entity.slot);
    const looks = new Map();
    for (const { empire } of players) {
        const { hexes, entities } = truth.look(empire);
        for (const lender of lenders(empire, tick)) {
            for (const hex of truth.look(lender).hexes) hexes.add(hex);
        }
        for (const entity of truth.entities.values()) {
            if (hexes.has(`${entity.q},${entity.r}`)) entities.set(entity.id, { ...entity });
        }
        const seen = everSeen.get(empire);
        for (const hex of hexes) if (!seen.has(hex)) seen.set(hex, tick);
        const memory = remembered.get(empire);
        // After a restart of world ticks are missing: what was in sight before them was seen last then.
        for (const [id, entity] of history.get(lastTick)?.get(empire)?.entities ?? []) {
            if (Truth.remembered(entity.type)) memory.set(id, entity);
        }
        for (const id of entities.keys()) memory.delete(id);
        looks.set(empire, { hexes, entities, memory: new Map(memory) });
    }
    history.set(tick, looks);
    history.delete(tick - HISTORY_TICKS);
    lastTick = tick;
}

let held = null; // ticks that wait, or null

function take(frame, tick) {
    truth.apply(frame);
    if (frame.snapshot) firstTick = tick;
    remember(tick);
}

async function follow() {
    reader = await followTicks({
        url: env.MMORTS_WORLD_STREAM,
        client: worldRpc,
        session: SESSION,
        take: (frame, { tick }) => (held ? held.push([frame, tick]) : take(frame, tick)),
    });
}

// While it is not known yet from which tick on something holds, the truth of no tick is worked out.
async function holdingTruth(ask) {
    held = [];
    try {
        return await ask();
    } finally {
        const waiting = held;
        held = null;
        for (const [frame, tick] of waiting) take(frame, tick);
    }
}

// Vision has come to that tick at least.
const visionAt = (tick) => waitFor(`vision at tick ${tick}`, WAIT_MS, async () => (await metric(vision, 'mmorts_vision_tick')) >= tick);

// Until the truth is so many ticks further: something may happen meanwhile.
async function ticksPass(count) {
    const from = truth.tick;
    await waitFor(`${count} ticks`, WAIT_MS, () => truth.tick >= from + count);
}

// Its truth is worked out from its first tick on, however long the answer takes: vision may tell of any of them.
function join_(name) {
    return holdingTruth(async () => {
        const playerId = String(1000 + players.length);
        const reply = await worldRpc.call('mmorts.world.World/Join', { session: SESSION, player_id: playerId, username: name }, { idempotent: true });
        const player = { playerId, empire: reply.empire, home: [reply.home_q, reply.home_r], seq: 0 };
        everSeen.set(player.empire, new Map());
        remembered.set(player.empire, new Map());
        players.push(player);
        return player;
    });
}

function own(player, type) {
    return [...truth.entities.values()].filter((e) => e.owner === player.empire && (!type || e.type.name === type));
}

async function march(player, type, [q, r]) {
    const units = own(player, type).map((e) => e.raw);
    const reply = await worldRpc.call('mmorts.world.World/SubmitCommands', {
        session: SESSION,
        commands: [{ player_id: player.playerId, client_seq: ++player.seq, units, move: { target: { q, r } } }],
    }, { idempotent: true });
    return reply.results[0];
}

// Another player's neighbourhood, or wherever one gets nearest to it.
async function visit(player, other) {
    for (const [dq, dr] of [[3, 0], [0, 3], [-3, 0], [0, -3], [4, -2], [-4, 2], [5, 0], [2, 2]]) {
        const result = await march(player, 'scout', [other.home[0] + dq, other.home[1] + dr]);
        if (result.reason === 'COMMAND_OK') return;
    }
    throw new Error('no way to the other player');
}

// To the nearest land that nobody of this player has seen, and that there is a way to.
async function explore(player) {
    const seen = everSeen.get(player.empire), [scout] = own(player, 'scout');
    const far = ([q, r]) => distance(scout.q, scout.r, q, r);
    const unseen = [...truth.terrain].filter(([hex, terrain]) => !seen.has(hex) && !IMPASSABLE.includes(truth.terrains[terrain]))
        .map(([hex]) => hex.split(',').map(Number)).sort((a, b) => far(a) - far(b));
    // Not one beside the other: where one cannot be reached its neighbours cannot either.
    for (let i = 0; i < unseen.length; i = 2 * i + 1) {
        const result = await march(player, 'scout', unseen[i]);
        if (result.reason === 'COMMAND_OK') return;
    }
    throw new Error('no way to anywhere new');
}

// Everybody's scout stands where it is, and vision knows that: what is explored is the same in the last ticks that a
// reader gets from a world that is killed, however few of them reach it.
async function rest() {
    const scouts = () => players.map((player) => own(player, 'scout')[0]).map(({ q, r }) => [q, r]);
    let since = 0, before = '';
    await waitFor('scouts that stand', WAIT_MS, async () => {
        if (String(scouts()) === before) return truth.tick >= since + 30;
        before = String(scouts());
        for (const [i, player] of players.entries()) since = Number((await march(player, 'scout', scouts()[i])).tick);
        return false;
    });
    await visionAt(truth.tick);
}

// What vision answers about an empire against the truth of the same tick.
async function agree(player, { rpc = visionRpc } = {}) {
    const ask = () => rpc.call('mmorts.vision.Vision/GetView', { session: SESSION, empire: player.empire });
    let reply = await ask();
    // Of a world that was started again it may have heard before we did, and speak of a tick that we have missed.
    for (const end = performance.now() + WAIT_MS; reply.view.tick < firstTick && performance.now() < end; reply = await ask()) await ticksPass(1);
    const { view } = reply;
    const tick = Number(view.tick);
    const look = await waitFor(`truth of tick ${tick}`, WAIT_MS, () => history.get(tick)?.get(player.empire));
    const visible = [], explored = [];
    view.hex_q.forEach((q, i) => {
        const hex = `${q},${view.hex_r[i]}`;
        explored.push(hex);
        if (view.hex_state[i] === VISIBLE) visible.push(hex);
        assert.equal(view.hex_terrain[i] - 1, truth.terrain.get(hex), `terrain of ${hex}`);
    });
    assert.deepEqual(visible.sort(), [...look.hexes].sort(), `visible hexes at tick ${tick}`);
    const known = [...everSeen.get(player.empire)].filter(([, first]) => first <= tick).map(([hex]) => hex);
    const missing = known.filter((hex) => !new Set(explored).has(hex));
    assert.deepEqual(missing, [], `explored hexes lost at tick ${tick}`);
    assert.equal(explored.length, known.length, `explored hexes beyond the truth at tick ${tick}`);
    const slots = [...look.entities.values()].map((e) => e.slot).sort((a, b) => a - b);
    assert.deepEqual([...view.entered].sort((a, b) => a - b), slots, `entities in sight at tick ${tick}`);
    return { view, tick, reply };
}

// `still`: only of what does not walk. Creatures that left sight in ticks which one of the two readers
// did not get before world was killed are remembered elsewhere.
function checkMemories(player, view, { still = false } = {}) {
    const counts = (type) => !still || type.kind === 'building';
    const have = view.remembered.id.map((id, i) => `${id} ${view.remembered.q[i]},${view.remembered.r[i]}`)
        .filter((_, i) => counts(truth.types[view.remembered.type[i]])).sort();
    const { memory } = history.get(Number(view.tick)).get(player.empire);
    const want = [...memory.values()].filter((e) => counts(e.type)).map((e) => `${e.raw} ${e.q},${e.r}`).sort();
    assert.deepEqual(have, want, `remembered entities at tick ${view.tick}`);
}

before(async () => {
    mariadb = await startMariadb();
    directory = tempDir();
    env = await servicesEnv(['world', 'vision', 'auth'], { mariadb, directory, session: SESSION });
    env.MMORTS_WORLD_GUARD = 'false'; // scouts come home from their visits
    truth = new Truth();
    history = new Map();
    everSeen = new Map();
    remembered = new Map();
    [world, vision] = await Promise.all([start('world'), start('vision')]);
    await ready(world);
    worldRpc = new RpcClient(env.MMORTS_WORLD_RPC);
    visionRpc = new RpcClient(env.MMORTS_VISION_RPC);
    await follow();
    await ready(vision);
});

after(async () => {
    reader?.close();
    worldRpc?.close();
    visionRpc?.close();
    await Promise.all([world?.stop(), vision?.stop()]);
    await mariadb?.stop();
});

test('views equal the truth while scouts march', async () => {
    const [ada, bob, eve] = [await join_('ada'), await join_('bob'), await join_('eve')];
    await waitFor('units of all', WAIT_MS, () => [ada, bob, eve].every((p) => own(p).length > 0 && history.get(truth.tick)?.has(p.empire)));
    // It is told of them by another connection than we are.
    await waitFor('vision to know all', WAIT_MS, () => Promise.all([ada, bob, eve].map(({ empire }) =>
        visionRpc.call('mmorts.vision.Vision/GetView', { session: SESSION, empire }))));
    await visit(ada, bob);
    await visit(bob, ada);
    for (let i = 0; i < 30; i++) {
        for (const player of [ada, bob, eve]) await agree(player);
        await ticksPass(1);
    }
    const { view } = await agree(ada);
    checkMemories(ada, view);
});

test('a scouted settlement is remembered', async () => {
    const [ada, bob] = players;
    const settlement = own(bob, 'settlement')[0];
    await waitFor('sight of the settlement', WAIT_MS, () => history.get(truth.tick)?.get(ada.empire).entities.has(settlement.id));
    await march(ada, 'scout', ada.home);
    await waitFor('a memory of it', WAIT_MS, () => remembered.get(ada.empire).has(settlement.id));
    await waitFor('the same in vision', WAIT_MS, async () => {
        const { view } = await agree(ada);
        return view.remembered.id.map(String).includes(settlement.raw);
    });
    checkMemories(ada, (await agree(ada)).view);
});

test('questions about hexes, areas and entities', async () => {
    const [ada, bob] = players;
    const ask = (method, fields) => visionRpc.call(`mmorts.vision.Vision/${method}`, { session: SESSION, empire: ada.empire, ...fields });
    const settlement = own(ada, 'settlement')[0];
    assert.equal((await ask('CanSee', { entity: settlement.raw })).visible, true);
    assert.equal((await ask('CanSee', { entity: '12345' })).visible, false);
    assert.equal((await ask('CanSee', { q: settlement.q, r: settlement.r })).state, VISIBLE);
    const hidden = own(bob, 'settlement')[0];
    const answer = await ask('CanSee', { entity: hidden.raw });
    assert.deepEqual([answer.visible, answer.state], [false, 'VISIBILITY_SHROUD'], 'nothing of an entity out of sight');
    const area = await ask('GetVisibleArea', { q: settlement.q, r: settlement.r, radius_hexes: 3 });
    assert.ok(area.q.length > 0 && area.q.length <= 37 && area.state.every((s) => s !== 'VISIBILITY_SHROUD'));
    await assert.rejects(ask('GetVisibleArea', { radius_hexes: 65 }), { code: 'INVALID_ARGUMENT' });
    await assert.rejects(ask('CanSee', { empire: 999 }), { code: 'NOT_FOUND' });
    await assert.rejects(ask('CanSee', { session: 'other' }), { code: 'NOT_FOUND' });
});

test('explanations say by which observer, and why not', async () => {
    const [ada, bob] = players;
    const explain = (fields) => visionRpc.call('mmorts.vision.Vision/Explain', { session: SESSION, empire: ada.empire, ...fields });
    const settlement = own(ada, 'settlement')[0], hidden = own(bob, 'settlement')[0];
    const mine = await explain({ entity: settlement.raw });
    assert.deepEqual([mine.visible, mine.reason, mine.owner], [true, 'SEEN_OWN_ENTITY', ada.empire]);
    const hex = await explain({ q: settlement.q, r: settlement.r });
    assert.equal(hex.reason, 'SEEN_OWN_SIGHT');
    assert.equal(hex.sources.length, hex.source_count);
    const itself = hex.sources.find((source) => String(source.entity) === settlement.raw);
    assert.deepEqual([itself.empire, itself.q, itself.r, itself.distance_hexes, itself.share], [ada.empire, settlement.q, settlement.r, 0, 'SIGHT_SHARE_OWN']);
    const unseen = await explain({ entity: hidden.raw });
    assert.equal(unseen.visible, false);
    assert.deepEqual([unseen.q, unseen.r, unseen.source_count], [hidden.q, hidden.r, 0]);
    const known = remembered.get(ada.empire).has(hidden.id);
    assert.equal(unseen.reason, known ? 'UNSEEN_FOG' : 'UNSEEN_SHROUD');
    assert.deepEqual((unseen.remembered?.id ?? []).map(String), known ? [hidden.raw] : []);
    assert.equal((await explain({ entity: '12345' })).reason, 'UNSEEN_NO_ENTITY');
    assert.equal((await explain({ q: 30000, r: -20000 })).reason, 'UNSEEN_NO_MAP');
    await assert.rejects(explain({ q: 2000000000, r: 2000000000 }), { code: 'INVALID_ARGUMENT' });
    await assert.rejects(explain({ empire: 999 }), { code: 'NOT_FOUND' });
    const http = await fetch(`${vision.http}/rpc/Vision/Explain`, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: '{}' });
    assert.equal(http.status, 401, 'not for everybody');
});

test('what is explored and remembered, page by page', async () => {
    const [ada] = players;
    const page = (fields) => visionRpc.call('mmorts.vision.Vision/GetCache', { session: SESSION, empire: ada.empire, ...fields });
    const readAll = async () => {
        const hexes = [], memories = [], rows = [];
        for (let page_token = ''; ;) {
            const reply = await page({ page_token, page_size: 3 });
            for (const chunk of reply.chunks) {
                assert.ok(chunk.hex_q.length > 0 && Number(chunk.first_seen) <= Number(chunk.last_seen));
                chunk.hex_q.forEach((q, i) => {
                    hexes.push(`${q},${chunk.hex_r[i]}`);
                    assert.equal(chunk.hex_terrain[i] - 1, truth.terrain.get(hexes.at(-1)));
                });
            }
            reply.remembered?.id.forEach((id, i) => memories.push(`${id} ${reply.remembered_type[i]}`));
            rows.push(reply.chunks.length + (reply.remembered?.id.length ?? 0));
            page_token = reply.next_page_token;
            if (!page_token) return { hexes, memories: memories.sort(), rows };
        }
    };
    const memoriesOf = (view) => view.remembered.id.map((id, i) => `${id} ${truth.types[view.remembered.type[i]].name}`).sort();
    await rest();
    // Creatures come into sight and leave it also between two pages.
    const { hexes, rows, view, tick } = await waitFor('pages that tell of one moment', WAIT_MS, async () => {
        const before = (await agree(ada)).view;
        const read = await readAll();
        const after = await agree(ada);
        if (String(memoriesOf(before)) !== String(memoriesOf(after.view))) return null;
        assert.deepEqual(read.memories, memoriesOf(after.view));
        return { ...read, ...after };
    });
    assert.ok(rows.slice(0, -1).every((n) => n === 3) && rows.length > 1, `pages of ${rows}`);
    assert.equal(new Set(hexes).size, hexes.length, 'no hex twice');
    const explored = view.hex_q.map((q, i) => `${q},${view.hex_r[i]}`);
    assert.deepEqual(hexes.sort(), explored.sort(), `what is explored at tick ${tick}, by scouts that stand`);
    await assert.rejects(page({ page_size: 501 }), { code: 'INVALID_ARGUMENT' });
    for (const page_token of ['x', 'c', 'c12', 'cffffffffffffffffff', 'mFFFFFFFFFFFFFFFF'])
        await assert.rejects(page({ page_token }), { code: 'INVALID_ARGUMENT' });
    await assert.rejects(page({ empire: 999 }), { code: 'NOT_FOUND' });
});

test('the vision stream has a frame for every tick and leads from view to view', async () => {
    const [ada, bob] = players;
    const frames = [];
    const from = await agree(ada);
    const stream = new StreamReader({
        url: env.MMORTS_VISION_STREAM,
        client: visionRpc,
        stream: 'vision',
        session: SESSION,
        epoch: from.reply.epoch,
        seq: from.reply.seq,
        onSnapshot: () => assert.fail('the view was in the ring'),
        onMessage: ({ tick, body }) => frames.push({ tick: Number(tick), frame: decode('mmorts.frame.VisionFrame', body) }),
    });
    await march(ada, 'scout', bob.home);
    await ticksPass(30);
    const to = await agree(ada);
    await waitFor('frames up to the view', WAIT_MS, () => frames.at(-1)?.tick >= to.tick);
    stream.close();
    const state = new Map(from.view.hex_q.map((q, i) => [`${q},${from.view.hex_r[i]}`, from.view.hex_state[i]]));
    const entities = new Set(from.view.entered.map((slot) => slot));
    let expected = from.tick;
    for (const { frame, tick } of frames.filter((f) => f.tick <= to.tick)) {
        assert.equal(tick, ++expected, 'no tick without a frame');
        let hex = 0, entered = 0, left = 0;
        frame.empire.forEach((empire, e) => {
            for (let i = 0; i < frame.hex_count[e]; i++, hex++) {
                if (empire === ada.empire) state.set(`${frame.hex_q[hex]},${frame.hex_r[hex]}`, frame.hex_state[hex]);
            }
            for (let i = 0; i < frame.entered_count[e]; i++, entered++) if (empire === ada.empire) entities.add(frame.entered[entered]);
            for (let i = 0; i < frame.left_count[e]; i++, left++) if (empire === ada.empire) entities.delete(slots.get(String(frame.left[left])));
        });
    }
    const want = new Map(to.view.hex_q.map((q, i) => [`${q},${to.view.hex_r[i]}`, to.view.hex_state[i]]));
    assert.deepEqual([...state].sort(), [...want].sort());
    assert.deepEqual([...entities].sort((a, b) => a - b), [...to.view.entered].sort((a, b) => a - b));
});

test('lent sight, also after a kill', async () => {
    const [, bob, eve] = players;
    const change = async (method, fields) => {
        return visionRpc.call(`mmorts.vision.Vision/${method}`, { session: SESSION, from_empire: bob.empire, to_empire: eve.empire, ...fields });
    };
    await assert.rejects(change('ShareVision', { to_empire: bob.empire }), { code: 'INVALID_ARGUMENT' });
    await assert.rejects(change('ShareVision', { to_empire: 77 }), { code: 'NOT_FOUND' });
    const share = { from: bob.empire, to: eve.empire, since: Infinity, until: Infinity };
    shares.push(share);
    await holdingTruth(async () => {
        await visionAt(truth.tick); // by its ticks it is a change to come
        share.since = Number((await change('ShareVision', {})).tick);
        assert.ok(share.since > truth.tick, 'not from before it was asked for');
    });
    await waitFor('lent sight', WAIT_MS, () => truth.tick > share.since);
    await agree(eve);
    await vision.kill();
    vision = await start('vision');
    await ready(vision);
    await agree(eve);
    await agree(bob);
    await march(bob, 'scout', bob.home);
    await ticksPass(10);
    await agree(eve);
    await holdingTruth(async () => {
        await visionAt(truth.tick);
        share.until = Number((await change('StopSharing', {})).tick);
    });
    await waitFor('the end of it', WAIT_MS, () => truth.tick > share.until);
    await agree(eve);
    await march(bob, 'scout', players[0].home);
    await ticksPass(10);
    await vision.kill(); // what bob saw since is not eve's, in the replay neither
    vision = await start('vision');
    await ready(vision);
    await agree(eve);
});

test('SIGTERM while scouts march: nothing is forgotten, what was missed is made up', async () => {
    const [ada, bob] = players;
    await visit(ada, bob);
    await visit(bob, ada);
    await ticksPass(10);
    const exit = await vision.stop();
    assert.equal(exit.code, 0, vision.log());
    await ticksPass(30);
    vision = await start('vision');
    await ready(vision);
    for (const player of players) await agree(player);
    const { view } = await agree(ada);
    checkMemories(ada, view);
});

test('kill -9, again and again: nothing that was seen is lost', async () => {
    const [ada, bob, eve] = players;
    await march(eve, 'scout', ada.home);
    let memories = 0;
    for (let i = 0; i < 3; i++) {
        await visit(ada, i % 2 ? bob : eve);
        await march(bob, 'scout', i % 2 ? bob.home : ada.home);
        await ticksPass(20);
        await vision.kill();
        await ticksPass(6 * i);
        vision = await start('vision');
        await ready(vision);
        for (const player of players) {
            const { view } = await agree(player);
            checkMemories(player, view);
            memories += view.remembered.id.length;
        }
    }
    assert.ok(memories > 0, 'nobody remembered anything: nothing was tested');
    assert.equal(await metric(vision, 'mmorts_vision_frames_refused_total'), 0);
    assert.equal(await metric(vision, 'mmorts_vision_resyncs_total'), 0, 'replayed, not begun anew');
});

test('world killed, then vision, before the next save is due: nothing is lost', async () => {
    const [ada] = players;
    const saves = () => metric(vision, 'mmorts_vision_saves_total');
    const restart = async (config) => {
        vision = await start('vision', { config });
        await ready(vision);
    };
    // By time it would be saved in an hour: what is saved, is because world went.
    const quiet = quietConfig();
    assert.equal((await vision.stop()).code, 0, vision.log());
    await restart(quiet);
    for (const wait of [0, 1]) {
        await explore(ada);
        await waitFor('newly explored land', WAIT_MS, async () => (await metric(vision, 'mmorts_vision_unsaved_rows')) > 0);
        await rest();
        assert.ok((await metric(vision, 'mmorts_vision_unsaved_rows')) > 0, 'nothing was saved because of the time');
        const before = await saves();
        const resyncsBefore = await metric(vision, 'mmorts_vision_resyncs_total');
        await world.kill();
        reader.close();
        await waitFor('the save', WAIT_MS, async () => (await saves()) > before &&
            (await metric(vision, 'mmorts_vision_unsaved_rows')) === 0);
        if (wait) {
            world = await start('world');
            await waitFor("world's new stream, and the checkpoint of it", WAIT_MS, async () =>
                (await metric(vision, 'mmorts_vision_resyncs_total')) > resyncsBefore && (await saves()) > before + 1);
        }
        await vision.kill();
        if (!wait) world = await start('world');
        await ready(world);
        worldRpc.close();
        worldRpc = new RpcClient(env.MMORTS_WORLD_RPC);
        await follow();
        await restart(quiet);
        for (const player of players) await agree(player);
    }
    assert.equal((await vision.stop()).code, 0, vision.log());
    await restart();
});

test('world killed alone: a new epoch, and views go on from its state', async () => {
    const [ada, bob] = players;
    await visit(ada, bob);
    await ticksPass(10);
    await rest();
    const { reply } = await agree(ada);
    await world.kill();
    world = await start('world');
    await ready(world);
    await waitFor('the stream under another epoch', WAIT_MS, async () => {
        const after = await visionRpc.call('mmorts.vision.Vision/GetView', { session: SESSION, empire: ada.empire });
        return after.epoch !== reply.epoch && after.view.tick > reply.view.tick;
    });
    await ready(vision);
    await waitFor('ticks again', WAIT_MS, () => truth.tick > Number(reply.view.tick) + 20);
    for (const player of players) {
        const { view } = await agree(player);
        checkMemories(player, view, { still: true });
    }
    await visit(bob, ada);
    await ticksPass(20);
    for (const player of players) await agree(player);
    assert.equal(await metric(vision, 'mmorts_vision_frames_refused_total'), 0);
});

test('world killed too: what was saved is there', async () => {
    await rest();
    await waitFor('all to be saved', WAIT_MS, async () => (await metric(vision, 'mmorts_vision_unsaved_rows')) === 0);
    await Promise.all([world.kill(), vision.kill()]);
    reader.close();
    history.clear();
    [world, vision] = await Promise.all([start('world'), start('vision')]);
    await ready(world);
    worldRpc.close();
    worldRpc = new RpcClient(env.MMORTS_WORLD_RPC);
    await follow();
    await ready(vision);
    for (const player of players) await agree(player);
});

test('MariaDB goes and comes: views go on, and what was explored meanwhile is saved', async () => {
    const [ada, bob] = players;
    await visit(ada, bob);
    await mariadb.stop();
    // There may be no ticks now.
    for (const program of [world, vision])
        await waitFor('its absence to be noticed', WAIT_MS, async () => (await fetch(`${program.http}/readyz`)).status === 503);
    await visionRpc.call('mmorts.vision.Vision/GetView', { session: SESSION, empire: ada.empire });
    await mariadb.start();
    await ready(vision);
    await ready(world);
    await visit(bob, ada);
    await ticksPass(20);
    for (const player of players) await agree(player);
    await waitFor('all to be saved', WAIT_MS, async () => (await metric(vision, 'mmorts_vision_unsaved_rows')) < 5);
});

test('ids are told as sync tells them', () => {
    assert.equal(publicId('unit', '0'), 'unit_0000000000000');
    assert.equal(publicId('unit', '18446744073709551615'), 'unit_fzzzzzzzzzzzz');
});
