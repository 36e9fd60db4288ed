// A change of sharing takes effect in the tick that is written with it, however long the write takes and
// whenever vision is killed: what was shown before the kill and what a replay comes to are one history.
//
// World is paused: a tick passes with every spawn and despawn, and with what vision itself tells world (who lends whom
// sight). So it does not matter how fast this machine is, nor how long the database is made to wait.

import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, beforeEach, test } from 'node:test';
import { RpcClient, StreamReader, decode } from '../support/rpc.mjs';
import { PATIENCE_MS, ROOT, holdLock, servicesEnv, startMariadb, startProgram, startRedis, tempDir, waitFor } from '../support/servers.mjs';

const SESSION = 'main';
const FOG = 'VISIBILITY_FOG', SHROUD = 'VISIBILITY_SHROUD', VISIBLE = 'VISIBILITY_VISIBLE';
const DATABASE = 'mmorts_vision';

let mariadb, theirs; // vision's own, and that of the others, who do not wait when it does
let redis, directory, env, programs = {}, rpc = {}, ada, bob, eve;
let stream; // of vision's ticks, as long as that process lives
let steps = 0, places = 0;
let published; // the last tick in vision's stream
let told; // [{ tick, state }]: what ada was told of bob's home
const locks = [];

const world = (method, request, options) => rpc.world.call(`mmorts.world.World/${method}`, { session: SESSION, ...request }, options);
const vision = (method, request, options) => rpc.vision.call(`mmorts.vision.Vision/${method}`, { session: SESSION, ...request }, options);
const social = (method, request) => rpc.social.call(`mmorts.social.Social/${method}`, { session: SESSION, ...request });
const rows = (sql) => mariadb.query(sql, DATABASE);
const stateOf = async (empire, [q, r]) => (await vision('CanSee', { empire, q, r })).state;

async function metric(name) {
    const text = await (await fetch(`http://${env.MMORTS_VISION_HTTP}/metrics`)).text();
    return Number(text.match(new RegExp(`^mmorts_vision_${name} (\\S+)$`, 'm'))?.[1]);
}

// --- services ------------------------------------------------------------------------------------

// Writes nothing because of the time: a replay begins where the scenario did.
function visionConfig(holdMax) {
    const folder = join(ROOT, 'services/vision');
    const text = readFileSync(join(folder, 'vision.yaml'), 'utf8')
        .replace(/(save_interval|checkpoint_interval|replay_max): \S+/g, '$1: 3600s')
        .replace(/hold_max: \S+/, `hold_max: ${holdMax}`)
        .replace('schema: schema', `schema: ${join(folder, 'schema')}`);
    const path = join(directory, 'vision.yaml');
    writeFileSync(path, text);
    return path;
}

async function start(name, config = join(ROOT, `services/${name}/${name}.yaml`)) {
    const own = name === 'vision' ? { MMORTS_DB_HOST: mariadb.host, MMORTS_DB_PORT: String(mariadb.port), MMORTS_DB_PASSWORD: mariadb.password } : {};
    const program = startProgram(`mmorts-${name}`, ['--config', config], { env: { ...env, ...own } });
    programs[name] = program;
    await program.waitReady(`http://${env[`MMORTS_${name.toUpperCase()}_HTTP`]}/readyz`, PATIENCE_MS);
}

function take({ tick, body }) {
    published = Math.max(published, Number(tick));
    const frame = decode('mmorts.frame.VisionFrame', body);
    let hex = 0;
    frame.empire.forEach((empire, e) => {
        for (let i = 0; i < frame.hex_count[e]; i++, hex++) {
            if (empire === ada.empire && frame.hex_q[hex] === bob.home[0] && frame.hex_r[hex] === bob.home[1])
                told.push({ tick: Number(tick), state: frame.hex_state[hex] });
        }
    });
}

async function startVision(holdMax = '3600s') {
    await start('vision', visionConfig(holdMax));
    [published, told] = [0, []];
    stream = new StreamReader({
        url: env.MMORTS_VISION_STREAM, client: rpc.vision, stream: 'vision', session: SESSION,
        epoch: '1', seq: '0', // nowhere: of no epoch there is
        filter: Buffer.from([0x10, ada.empire]), // GetViewRequest { empire }
        onSnapshot: ({ tick }) => { published = Math.max(published, Number(tick)); },
        onMessage: take,
    });
    await waitFor("vision's stream", PATIENCE_MS, () => published > 0);
}

async function killVision() {
    await programs.vision.kill();
    stream.close();
}

// Killed and back: all from the checkpoint of before the scenario, and from world's ticks since.
async function replay() {
    await killVision();
    await startVision();
    assert.equal(await metric('resyncs_total'), 0, 'replayed, not begun anew');
}

// --- ticks ---------------------------------------------------------------------------------------

async function put(type, owner, [q, r]) {
    const key = Buffer.from(`step ${++steps}`);
    const reply = await world('Spawn', { key, type, empire: owner.empire, count: 1, place: { q, r } }, { idempotent: true });
    return { entity: reply.entities[0], tick: Number(reply.tick) };
}

const remove = async (entity) => Number((await world('Despawn', { entity }, { idempotent: true })).tick);

// One tick; gives its number.
async function step() {
    const { tick } = await put('soldier', eve, eve.home);
    return tick;
}

// Ticks pass, and vision follows, to that tick at least.
async function stepTo(tick) {
    while (await step() < tick);
    await waitFor(`vision to come to tick ${tick}`, PATIENCE_MS, () => published >= tick);
}

const stepBy = (count) => stepTo(published + count);

// --- the database made to wait ---------------------------------------------------------------------

// Keeps what the statements lock until the function that this resolves with is called.
async function lock(...statements) {
    const release = await holdLock(mariadb, DATABASE, ...statements);
    locks.push(release);
    return release;
}

const tableLocked = (table) => lock(`LOCK TABLES ${table} WRITE`);
// Statements go on; whoever commits waits.
const commitsLocked = () => lock('BACKUP STAGE START', 'BACKUP STAGE FLUSH', 'BACKUP STAGE BLOCK_DDL', 'BACKUP STAGE BLOCK_COMMIT');

async function waiters(state) {
    return mariadb.query(`SELECT id, state, info FROM information_schema.processlist WHERE db = '${DATABASE}' AND state LIKE '%${state}%' AND info NOT LIKE '%processlist%'`);
}
const someoneWaits = (state) => waitFor(`somebody in state ${state}`, PATIENCE_MS, async () => {
    const found = await waiters(state);
    return found.length > 0 && found;
});

// --- the scene -------------------------------------------------------------------------------------

// Until it succeeds: a database that is made to wait too long refuses, which changes nothing.
async function order(method) {
    for (const end = performance.now() + PATIENCE_MS; ;) {
        try {
            const reply = await vision(method, { from_empire: bob.empire, to_empire: ada.empire }, { deadlineMs: PATIENCE_MS });
            return Number(reply.tick);
        } catch (error) {
            if (performance.now() > end || !['UNAVAILABLE', 'DEADLINE_EXCEEDED', 'ABORTED'].includes(error.code)) throw error;
        }
    }
}

const effect = (state) => told.filter((t) => t.state === state).map((t) => t.tick);

// A place on the map that neither has ever seen.
async function unknownPlace() {
    for (; places < 200; places++) {
        const angle = places * 2.4, far = 12 + places / 4;
        const at = [bob.home[0] + Math.round(far * Math.cos(angle)), bob.home[1] + Math.round(far * Math.sin(angle))];
        const states = await Promise.all([ada, bob].map(({ empire }) => stateOf(empire, at)));
        const explained = await vision('Explain', { empire: bob.empire, q: at[0], r: at[1] });
        if (states.every((state) => state === SHROUD) && explained.reason === 'UNSEEN_SHROUD') return at;
    }
    throw new Error('all the map is known');
}

// Bob looks at it and is gone again. `seen`: vision tells that he sees it.
async function glance({ seen = true } = {}) {
    const at = await unknownPlace();
    const { entity } = await put('tower', bob, at);
    if (seen) await waitFor('bob to see the place', PATIENCE_MS, async () => (await stateOf(bob.empire, at)) === VISIBLE);
    const until = await remove(entity);
    if (seen) await waitFor('the end of it', PATIENCE_MS, () => published >= until);
    return { at, until };
}

async function joinWorld(name, id) {
    const reply = await world('Join', { player_id: String(id), username: name }, { idempotent: true });
    return { name, id: String(id), empire: reply.empire, home: [reply.home_q, reply.home_r] };
}

async function member(player, action) {
    const actor = { player_id: player.id, username: player.name, display_id: '' };
    if (action === 'create') {
        const reply = await social('CreateGroup', { actor, kind: 'alliance', name: 'Slow', policy: 'GROUP_OPEN' });
        assert.equal(reply.reason, 'GROUP_OK', reply.message);
        return reply.group.id;
    }
    const reply = await social('ActOnGroup', { actor, ...action });
    assert.equal(reply.reason, 'GROUP_OK', reply.message);
    return null;
}

before(async () => {
    [mariadb, theirs, redis] = await Promise.all([startMariadb(), startMariadb(), startRedis()]);
    directory = tempDir();
    env = await servicesEnv(['world', 'vision', 'social', 'auth'], { mariadb: theirs, redis, directory, session: SESSION });
    await Promise.all(['world', 'social'].map((name) => start(name)));
    for (const name of ['world', 'vision', 'social']) rpc[name] = new RpcClient(env[`MMORTS_${name.toUpperCase()}_RPC`]);
    ada = await joinWorld('ada', 1001);
    bob = await joinWorld('bob', 1002);
    eve = await joinWorld('eve', 1003);
    await world('PauseSession', {});
    await startVision();
});

// Each scenario begins with a checkpoint, and with nobody who lends anything, however the one before it has ended.
beforeEach(async () => {
    await Promise.all(locks.splice(0).map((release) => release()));
    if (!programs.vision.exit) assert.equal((await programs.vision.stop()).code, 0, programs.vision.log());
    stream.close();
    await startVision();
    if ((await rows('SELECT 1 FROM sharing WHERE until_tick = 0')).length > 0) await stepTo(await order('StopSharing'));
});

after(async () => {
    await Promise.all(locks.map((release) => release()));
    stream?.close();
    for (const client of Object.values(rpc)) client.close();
    await Promise.all(Object.values(programs).map((program) => program.stop()));
    await Promise.all([mariadb?.stop(), theirs?.stop(), redis?.stop()]);
});

test('an order takes effect in the tick that is answered and written', async () => {
    const asked = published;
    const tick = await order('ShareVision');
    const now = await metric('tick'); // its stream is another connection, and may come later than its answer
    assert.ok(tick >= asked + 4 && tick <= now + 4, `asked at ${asked}, from ${tick}, now ${now}`);
    await stepTo(tick);
    assert.deepEqual(effect(VISIBLE), [tick]);
    const written = () => rows('SELECT since_tick, until_tick FROM sharing');
    assert.deepEqual(await written(), [[String(tick), '0']]);
    assert.ok(await order('ShareVision') > tick, 'it is so by then');
    assert.deepEqual(await written(), [[String(tick), '0']], 'as it was');
    const end = await order('StopSharing');
    await stepTo(end);
    assert.deepEqual(effect(FOG), [end]);
    assert.deepEqual(await written(), [[String(tick), String(end)]]);
});

test('one whose statements wait takes effect after that, also in a replay', async () => {
    for (const [method, state] of [['ShareVision', VISIBLE], ['StopSharing', FOG]]) {
        const release = await tableLocked('sharing');
        const asked = published;
        const reply = order(method);
        await someoneWaits('lock');
        await stepBy(8);
        const { at } = await glance();
        await stepBy(2);
        assert.ok(published > asked + 8, 'ticks go on meanwhile');
        assert.deepEqual(effect(state), []);
        await release();
        const tick = await reply;
        await stepTo(tick);
        assert.deepEqual(effect(state), [tick]);
        const [[since, until]] = await rows('SELECT since_tick, until_tick FROM sharing ORDER BY since_tick DESC LIMIT 1');
        assert.equal(Number(state === VISIBLE ? since : until), tick, 'it is written as it was shown');
        const shown = await stateOf(ada.empire, at);
        assert.equal(shown, state === VISIBLE ? SHROUD : FOG, 'what bob saw before the change');
        await replay();
        assert.equal(await stateOf(ada.empire, at), shown, 'the same in the replay');
        assert.equal(await stateOf(ada.empire, bob.home), state);
    }
});

// World goes on for some ticks; the last one that vision tells of while it waits for the commit.
async function held() {
    await someoneWaits('backup lock');
    const asked = published;
    while (await step() < asked + 10);
    // If it had to begin again, with a tick further ahead, it takes some more.
    await waitFor('ticks that wait', PATIENCE_MS, async () => {
        if ((await metric('ticks_held')) > 0) return true;
        await step();
        return false;
    });
    await waitFor('the ticks before', PATIENCE_MS, async () => published === (await metric('tick')));
    assert.deepEqual(effect(VISIBLE), []);
    return published;
}

test('killed while it commits: nothing was shown of the tick from which it counts', async () => {
    const release = await commitsLocked();
    const reply = order('ShareVision').catch((error) => error);
    await held();
    const { at, until } = await glance({ seen: false });
    await killVision();
    const last = published;
    await release();
    // The server ends what it was told to commit, whoever has asked for it (unless that has waited too long).
    await waitFor('the end of all that was begun', PATIENCE_MS, async () => {
        const [[left]] = await mariadb.query(`SELECT count(*) FROM information_schema.processlist WHERE db = '${DATABASE}'`);
        return left === '0';
    });
    const [row] = await rows('SELECT since_tick FROM sharing WHERE until_tick = 0');
    const since = row ? Number(row[0]) : Infinity;
    assert.ok(since > last, `told up to ${last}, lent from ${since}`);
    await startVision();
    assert.equal(await stateOf(ada.empire, at), since < until ? FOG : SHROUD, `lent from ${since}, gone in ${until}`);
    assert.ok(await reply); // sent again by the client
    await stepTo(await order('StopSharing'));
});

test('a commit whose answer is lost is found out about before its tick is shown', async () => {
    const release = await commitsLocked();
    const reply = order('ShareVision');
    const [[id]] = await someoneWaits('backup lock');
    await mariadb.query(`KILL CONNECTION ${id}`);
    const last = await held();
    await release();
    const tick = await reply;
    assert.ok(tick > last, `told up to ${last}, lent from ${tick}`);
    await waitFor('what waited', PATIENCE_MS, () => published >= tick);
    assert.deepEqual(effect(VISIBLE), [tick]);
    assert.deepEqual(await rows('SELECT since_tick FROM sharing WHERE until_tick = 0'), [[String(tick)]]);
    await stepTo(await order('StopSharing'));
    assert.equal(await metric('holds_given_up_total'), 0);
});

test('ticks do not wait for a commit for ever; then it counts from a later tick', async () => {
    assert.equal((await programs.vision.stop()).code, 0, programs.vision.log());
    stream.close();
    await startVision('100ms');
    const release = await commitsLocked();
    const reply = order('ShareVision');
    await someoneWaits('backup lock');
    await waitFor('ticks that go on', PATIENCE_MS, async () => {
        await step();
        return (await metric('holds_given_up_total')) >= 1;
    });
    const { at } = await glance();
    assert.deepEqual(effect(VISIBLE), []);
    const last = published;
    await release();
    const tick = await reply;
    assert.ok(tick > last, `from ${tick}, behind ${last}`);
    await stepTo(tick);
    assert.deepEqual(effect(VISIBLE), [tick]);
    assert.deepEqual(await rows('SELECT since_tick FROM sharing WHERE until_tick = 0'), [[String(tick)]]);
    assert.equal(await stateOf(ada.empire, at), SHROUD);
    await replay();
    assert.equal(await stateOf(ada.empire, at), SHROUD);
    await stepTo(await order('StopSharing'));
});

test('an alliance is as exact as an order', async () => {
    const ally = async (empire, open) => {
        const [row] = await rows(`SELECT since_tick, until_tick FROM alliances WHERE empire = ${empire} ORDER BY since_tick DESC LIMIT 1`);
        return row && (row[1] === '0') === open ? Number(open ? row[0] : row[1]) : 0;
    };
    const group_id = await member(ada, 'create');
    await waitFor("ada's alliance", PATIENCE_MS, () => ally(ada.empire, true));
    for (const [action, state] of [['GROUP_JOIN', VISIBLE], ['GROUP_LEAVE', FOG]]) {
        const release = await tableLocked('alliances');
        await member(bob, { group_id, action });
        await someoneWaits('lock');
        await stepBy(8);
        const { at } = await glance();
        assert.deepEqual(effect(state), []);
        await release();
        const tick = await waitFor('the change', PATIENCE_MS, () => ally(bob.empire, state === VISIBLE));
        await stepTo(tick);
        assert.deepEqual(effect(state), [tick]);
        const shown = await stateOf(ada.empire, at);
        assert.equal(shown, state === VISIBLE ? SHROUD : FOG);
        await replay();
        assert.equal(await stateOf(ada.empire, at), shown);
        assert.equal(await stateOf(ada.empire, bob.home), state);
    }
});
