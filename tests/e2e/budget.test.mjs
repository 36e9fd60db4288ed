// A client that may be sent but few bytes a second, in either encoding: it is sent no more, told what
// matters first, of everything the newest value, of nothing too late, and everything in the end. What
// is true is heard from a process of sync beside it, at which the same player may be sent anything.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Game, settings } from '../support/game.mjs';
import { pause, waitFor } from '../support/servers.mjs';

// Bytes a second, bytes carried over, and about how many an entity or hex takes.
const BUDGETS = {
    json: { perSecond: 3000, carried: 15000, each: 100 },
    binary: { perSecond: 150, carried: 1000, each: 8 },
};
const SCOUTS = 30; // more than there are: they see far, so there is much to tell, also when ticks are slow
const PARTS = 80; // updates that leave something out
const TICK_RATE = 20;
const WEIGHTS = 17; // services/sync/core/backlog.h: nothing waits longer than so often what telling everything takes

// What is sent on a connection, as it is: bytes of frames and when they came.
function watch(player) {
    const frames = [];
    frames.beginMs = performance.now();
    player.socket.on('message', (data) => {
        const bytes = data.length + (data.length < 126 ? 2 : data.length < 65536 ? 4 : 10);
        frames.push({ bytes, ms: performance.now() });
    });
    return frames;
}

const bytesOf = (frames) => frames.reduce((sum, { bytes }) => sum + bytes, 0);

// By how much what had come was ever beyond what may come in the time. It is reckoned from one moment, so that what is
// late here does not count as early.
function beyond(frames, { perSecond, carried }) {
    let sum = 0, most = -Infinity;
    for (const { bytes, ms } of frames) {
        sum += bytes;
        most = Math.max(most, sum - perSecond * (ms - frames.beginMs) / 1000 - carried);
    }
    return most;
}

const updates = (player, from) => player.messages.slice(from).filter((m) => m.type === 'update');

const place = (entity) => entity && !entity.is_stale ? `${entity.pos} ${entity.health}` : 'not in sight';

// Keeps what the player knew after each tick: where everything in sight is, and the states of all hexes. What comes before
// an update is of the next tick.
function record(player) {
    const known = new Map();
    const look = () => {
        if (known.size > 0 && player.messages.at(-1).type !== 'update') return;
        known.set(player.tick, {
            entities: new Map([...player.entities].map(([id, entity]) => [id, place(entity)])),
            hexes: new Map([...player.hexes].map(([hex, { state }]) => [hex, state])),
        });
    };
    player.waiters.add(look);
    look();
    return known;
}

// The last thing known at each tick of [from, to].
function atEach(known, from, to) {
    let last = null;
    const states = [];
    for (const tick of [...known.keys()].filter((one) => one < from)) last = known.get(tick);
    for (let tick = from; tick <= to; tick++) states.push(last = known.get(tick) ?? last);
    return states;
}

// How many ticks on end the two differ in one and the same thing, at most.
function longestDifference(ours, theirs) {
    const since = new Map();
    let longest = 0;
    for (const [i, mine] of ours.entries()) {
        for (const part of ['entities', 'hexes']) {
            const none = part === 'entities' ? 'not in sight' : 0;
            for (const key of new Set([...mine[part].keys(), ...theirs[i][part].keys()])) {
                if ((mine[part].get(key) ?? none) === (theirs[i][part].get(key) ?? none)) since.delete(key);
                else if (!since.has(key)) since.set(key, i);
                else longest = Math.max(longest, i - since.get(key));
            }
        }
    }
    return longest;
}

// Every value that was told is the one that was true in that tick.
function checkNewest(told, truth) {
    let checked = 0;
    for (const { tick, appeared = [], changed = [], disappeared = [], vision = [] } of told) {
        const { entities, hexes } = truth.get(tick);
        for (const { id, pos, health } of [...appeared, ...changed]) {
            const [at, of] = (entities.get(id) ?? 'not in sight').split(' ');
            if (pos) assert.equal(`${pos}`, at, `${id} in tick ${tick}`);
            if (health !== undefined) assert.equal(`${health}`, of, `${id} in tick ${tick}`);
        }
        for (const id of disappeared) assert.equal(entities.get(id) ?? 'not in sight', 'not in sight', `${id} in tick ${tick}`);
        for (const { hex, state } of vision) assert.equal(state, hexes.get(`${hex}`) ?? 0, `${hex} in tick ${tick}`);
        checked += appeared.length + changed.length + vision.length;
    }
    return checked;
}

// All units there and back again: hexes come into sight and leave it all the time.
async function march(player, units, away) {
    for (const { id, pos: [q, r] } of units) {
        const answer = await player.command('patrol', { units: [id], points: [[q + away, r], [q, r]] });
        assert.ok(['ack', 'error'].includes(answer.type));
    }
}

for (const [encoding, budget] of Object.entries(BUDGETS)) {
    test(`${encoding}: few bytes a second`, { timeout: 600000 }, async (t) => {
        const services = settings({
            sync: (text) => Object.entries({ BYTES_PER_SECOND: budget.perSecond, BYTES_CARRIED: budget.carried, CONNECTIONS: 'allow' })
                .reduce((changed, [name, value]) => changed.replace(new RegExp(`(MMORTS_SYNC_${name}:-)\\w+`), `$1${value}`), text),
        });
        const game = await Game.start({ services, test: true, env: { MMORTS_WORLD_GUARD: 'false' } });
        const other = await game.startSync({ MMORTS_SYNC_CONNECTIONS: 'allow', MMORTS_SYNC_BYTES_PER_SECOND: '0' });
        try {
            await few(t, { game, other, budget, binary: encoding === 'binary' });
        } finally {
            await other.program.stop();
            await game.stop();
        }
    });
}

async function few(t, { game, other, budget, binary }) {
    const slow = await game.join('ada', { compression: false, binary });
    const witness = await game.join('ada', { url: other.socketUrl });
    const operator = await game.token('operator', { permissions: 512 });
    const [{ pos: [q, r] }] = slow.mine('settlement');
    const spawn = { session: 'main', key: 'c2NvdXRz', type: 'scout', empire: 1, count: SCOUTS, place: { q, r } };
    assert.equal((await game.call('world', 'Spawn', spawn, operator)).status, 200);
    await slow.until('its scouts', () => slow.mine('scout').length > SCOUTS);
    await pause(2500 * budget.carried / budget.perSecond); // what is told first is paid for, and what comes now kept
    const truth = record(witness), known = record(slow), frames = watch(slow), from = slow.messages.length;
    const units = slow.mine('scout').concat(slow.mine('soldier'), slow.mine('worker'));
    assert.ok(units.length > 0);

    await t.test('it is told that its picture is not complete, and sent no more than it may', async () => {
        slow.send({ type: 'focus', payload: { hex: [q, r] } });
        slow.send({ type: 'focus', payload: { hex: 'here' } });
        const [, wrong] = (await slow.waitFor('error')).payload.message.match(/'(\w+)'/);
        assert.equal(wrong, 'hex');
        await march(slow, units, 6);
        await slow.until('an update that defers something', () => updates(slow, from).some((m) => m.deferred > 0));
        const before = bytesOf(frames);
        assert.ok(before > budget.carried / 4, `what it had not used was kept: ${before} bytes came before`);
        await slow.until('many of them', () => updates(slow, from).filter((m) => m.deferred > 0).length > PARTS);
        assert.ok(frames.length > 10, `${frames.length} frames`);
        // Answers to commands count, but do not wait; an update may be one entity too long.
        const answers = 100 * units.length;
        assert.ok(beyond(frames, budget) < 500 + answers, `${beyond(frames, budget)} bytes beyond`);
        const metrics = async () => (await fetch(`http://127.0.0.1:${game.process('sync').port}/metrics`)).text();
        // Again and again all is told, and then something is owed anew.
        const text = await waitFor('what is owed', async () => {
            const now = await metrics();
            return /^mmorts_sync_clients_owed 1$/m.test(now) && now;
        });
        assert.match(text, /^mmorts_sync_throttled_total [1-9]/m);
        assert.match(text, /^mmorts_sync_deferred_total [1-9]/m);
        const bytes = Number(text.match(/^mmorts_sync_owed_bytes (\S+)$/m)[1]);
        assert.ok(bytes > 0 && bytes < 1 << 20, `${bytes} bytes`);
    });

    await t.test('its own units are told before the land', () => {
        const told = updates(slow, from).filter((m) => m.deferred > 0);
        const moves = told.filter((m) => (m.changed || []).some((e) => e.pos && units.some((u) => u.id === e.id)));
        assert.ok(moves.length > told.length / 3, `${moves.length} of ${told.length} updates speak of its own units`);
    });

    await t.test('what it is told late is the newest, and nothing is too late', async () => {
        const [begin] = truth.keys();
        // Of ticks that the other was told of, too, and not together with later ones.
        const both = () => updates(slow, from).filter((m) => m.tick > begin && truth.has(m.tick));
        await waitFor('much that both are told', () => both()
            .reduce((sum, { appeared = [], changed = [], vision = [] }) => sum + appeared.length + changed.length + vision.length, 0) > 50);
        const { tick } = slow;
        await waitFor('what was true then', () => witness.tick > tick);
        const told = updates(slow, from).filter((m) => m.tick > begin && m.tick <= tick);
        const first = told[0].tick;
        const whole = new Map(atEach(truth, first, tick).map((state, i) => [first + i, state]));
        assert.ok(checkNewest(told.filter((m) => truth.has(m.tick)), whole) > 50);
        // The most that was owed at once, told by a third of the bytes that there are.
        const most = Math.max(...told.map((m) => m.deferred ?? 0));
        const ticks = (most * budget.each * 3 / budget.perSecond + 1) * TICK_RATE;
        const longest = longestDifference(atEach(known, first, tick), [...whole.values()]);
        t.diagnostic(`${most} owed at once, one thing for ${longest} ticks`);
        assert.ok(longest > 1, 'something was deferred');
        assert.ok(longest < WEIGHTS * ticks, `one thing was not told for ${longest} ticks`);
    });

    await t.test('when things are quiet it is told everything', async () => {
        const answer = await slow.command('stop', { units: units.map((u) => u.id) });
        assert.equal(answer.type, 'ack', JSON.stringify(answer));
        // Who stops takes the step to its end.
        const rests = () => slow.tick > answer.payload.tick + TICK_RATE && slow.mine().every((e) => !e.data.target && [undefined, 'idle'].includes(e.data.activity));
        const complete = () => updates(slow, from).at(-1).deferred === undefined;
        await slow.until('a complete picture of who rests', () => rests() && complete());
        // The same as what a full state says, of the entities in sight.
        const before = [...slow.entities.values()].map((e) => [e.id, `${e.pos}`, e.health]).sort();
        const hexes = [...slow.hexes].filter(([, h]) => h.state === 2).map(([hex]) => hex).sort();
        const at = slow.messages.length;
        slow.send({ type: 'join' });
        await slow.waitFor('update', (m) => m.full, { from: at });
        assert.deepEqual([...slow.entities.values()].map((e) => [e.id, `${e.pos}`, e.health]).sort(), before);
        assert.deepEqual([...slow.hexes].filter(([, h]) => h.state === 2).map(([hex]) => hex).sort(), hexes);
    });
}
