import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import { FOG, GameStateManager, VISIBLE, hex } from '../../../../../../services/sync/web/sdk/index.js';

const ME = 'empire_me', OTHER = 'empire_other';
const welcome = (fields) => ({
    type: 'welcome',
    payload: { player_id: '7', username: 'ada', empire_id: ME, home: [3, 4], next_seq: 1, ...fields },
});
const MAP = {
    type: 'map', chunk_radius: 9, tick_rate: 20,
    terrains: [{ name: 'dead', cost: 0 }, { name: 'plains', cost: 100 }, { name: 'forest', cost: 160 }],
    types: [{ name: 'scout', kind: 'unit', sight: 8, health: 60, ticks_per_hex: 5 }],
    recipes: [{ name: 'train_scout', buildings: ['settlement'], inputs: { gold: 40 }, unit: 'scout', duration_ticks: 120 }],
};
const scout = (id, pos, fields) => ({ id, type: 'scout', kind: 'unit', pos, owner: ME, health: 60, data: { activity: 'idle' }, ...fields });
const update = (tick, fields) => ({ type: 'update', tick, ...fields });

let state, changes;

function told(what) {
    return changes.filter((change) => change.what === what).map((change) => change.detail);
}

beforeEach(() => {
    state = new GameStateManager();
    for (const message of [
        welcome(), MAP,
        { type: 'explored_hexes', hexes: [{ hex: [0, 0], terrain: 'plains' }, { hex: [1, 0], terrain: 'forest' }, { hex: [0, 1], terrain: 'dead' }] },
        { type: 'entity_snapshot', entity: { id: 'building_x', type: 'settlement', kind: 'building', owner: OTHER, pos: [9, 9], is_stale: true, cache_mode: 'permanent', last_seen: 50, data: { health: 5000 } } },
        update(100, { empires: [{ id: OTHER, name: 'bob' }] }),
        update(100, { full: true, appeared: [scout('unit_a', [0, 0])], vision: [{ hex: [0, 0], state: 2 }, { hex: [1, 0], state: 2 }], resources: { gold: 500 } }),
    ]) state.apply(message);
    changes = [];
    state.on('change', (change) => changes.push(change));
});

test('what follows a connection makes the whole state', () => {
    assert.equal(state.tick, 100);
    assert.equal(state.complete, true);
    assert.deepEqual([state.empireId, state.home], [ME, [3, 4]]);
    assert.deepEqual([...state.empires], [[ME, 'ada'], [OTHER, 'bob']]);
    assert.deepEqual([...state.hexes.values()].map((h) => h.state), [VISIBLE, VISIBLE, FOG]);
    assert.deepEqual([...state.entities.keys()].sort(), ['building_x', 'unit_a']);
    const building = state.entities.get('building_x');
    assert.deepEqual([building.stale, building.lastSeen, building.health, building.owner], [true, 50, 5000, OTHER]);
    assert.equal(state.entities.get('unit_a').stale, false);
    assert.equal(state.resources.get('gold'), 500);
    assert.equal(state.recipes[0].name, 'train_scout');
    assert.equal(state.tickMs, 50);
});

test('questions about hexes and owners', () => {
    assert.equal(state.isPassable([1, 0]), true);
    assert.equal(state.isPassable([0, 1]), false, 'dead');
    assert.equal(state.isPassable([5, 5]), false, 'unknown');
    assert.equal(state.hexAt([5, 5]), undefined);
    assert.deepEqual(state.mine().map((e) => e.id), ['unit_a']);
    assert.deepEqual(state.mine('worker'), []);
    state.apply(update(101, { appeared: [{ id: 'resource_g', type: 'gold_mine', kind: 'resource', pos: [0, 0], data: { amount: 5 } }] }));
    assert.deepEqual(state.at([0, 0]).map((e) => e.id), ['unit_a', 'resource_g']);
    assert.equal(state.isMine(state.entities.get('resource_g')), false, 'nobody\'s');
});

test('appeared, changed and disappeared', () => {
    state.apply(update(101, { appeared: [scout('unit_b', [1, 0], { owner: OTHER })] }));
    state.apply(update(102, { changed: [{ id: 'unit_b', health: 12, data: { activity: 'attacking' } }, { id: 'unit_nobody_knows', health: 1 }] }));
    const unit = state.entities.get('unit_b');
    assert.deepEqual([unit.health, unit.type, unit.owner, unit.data.activity], [12, 'scout', OTHER, 'attacking']);
    state.apply(update(103, { changed: [{ id: 'unit_b', data: { progress: 400 } }] }));
    assert.deepEqual(unit.data, { activity: 'attacking', progress: 400 }, 'data is merged');
    assert.equal(state.entities.has('unit_nobody_knows'), false);
    state.apply(update(104, { changed: [{ id: 'unit_b', owner: null }] }));
    assert.equal(unit.owner, null);
    state.apply(update(105, { disappeared: ['unit_b'] }));
    assert.equal(state.entities.has('unit_b'), false);
    assert.equal(told('entities').length, 5);
});

test('deferred: how much is missing in the picture', () => {
    assert.equal(state.deferred, 0);
    state.apply(update(101, { deferred: 7 }));
    assert.equal(state.deferred, 7);
    state.apply(update(102, {}));
    assert.equal(state.deferred, 0);
});

test('vision: seen for the first time, fogged, seen again, shrouded hexes are not invented', () => {
    state.apply(update(101, { vision: [{ hex: [0, 0], state: 1 }, { hex: [7, 7], state: 2, terrain: 'plains' }, { hex: [8, 8], state: 0 }] }));
    assert.equal(state.hexAt([0, 0]).state, FOG);
    assert.equal(state.hexAt([0, 0]).terrain, 'plains');
    assert.deepEqual(state.hexAt([7, 7]), { q: 7, r: 7, terrain: 'plains', state: VISIBLE });
    assert.equal(state.hexAt([8, 8]), undefined);
    assert.deepEqual(told('hexes'), [[[0, 0], [7, 7], [8, 8]]]);
    state.apply(update(102, { vision: [{ hex: [0, 0], state: 2 }] }));
    assert.equal(state.hexAt([0, 0]).state, VISIBLE);
});

test('resources and jobs', () => {
    state.apply(update(101, { resources: { gold: 460 }, jobs: [{ event: 'started', job: 'job_1', building: 'building_h', recipe: 'train_scout', start_tick: 101, end_tick: 221 }] }));
    assert.equal(state.resources.get('gold'), 460);
    assert.deepEqual(told('resources'), [{ gold: 460 }]);
    state.apply(update(110, { jobs: [{ event: 'progress', job: 'job_1', start_tick: 101, end_tick: 230 }] }));
    assert.deepEqual([state.jobs.get('job_1').recipe, state.jobs.get('job_1').end_tick], ['train_scout', 230]);
    state.apply(update(120, { jobs: [{ event: 'started', job: 'job_2', building: 'b', recipe: 'r', start_tick: 1, end_tick: 2 }, { event: 'failed', job: 'job_2', reason: 'full' }] }));
    assert.deepEqual([...state.jobs.keys()], ['job_1']);
    for (const event of ['completed', 'cancelled', 'ended']) {
        state.apply(update(130, { jobs: [{ event: 'started', job: `job_${event}`, building: 'b', recipe: 'r', start_tick: 1, end_tick: 2 }] }));
        state.apply(update(131, { jobs: [{ event, job: `job_${event}` }] }));
    }
    assert.deepEqual([...state.jobs.keys()], ['job_1']);
});

test('a job waits from its acknowledgement until it starts', () => {
    state.jobWaits('job_w', 'building_h', 'train_scout');
    assert.deepEqual([state.jobs.get('job_w').event, state.jobs.get('job_w').start_tick], ['waiting', 0]);
    state.apply(update(101, { jobs: [{ event: 'started', job: 'job_w', building: 'building_h', recipe: 'train_scout', start_tick: 101, end_tick: 221 }] }));
    state.jobWaits('job_w', 'building_h', 'train_scout');
    assert.deepEqual([state.jobs.get('job_w').event, state.jobs.get('job_w').end_tick], ['started', 221], 'an ack that comes late changes nothing');
    state.jobIsCancelled('job_w');
    assert.equal(state.jobs.size, 0);
});

test('events are passed on', () => {
    const events = [{ event: 'attack', entity: 'unit_a', other: 'unit_b', value: 7 }];
    state.apply(update(101, { events }));
    assert.deepEqual(told('events'), [events]);
});

test('an update of the past changes nothing; the same one twice changes nothing more', () => {
    const later = update(110, { changed: [{ id: 'unit_a', pos: [1, 0] }], resources: { gold: 1 } });
    state.apply(later);
    state.apply(update(105, { changed: [{ id: 'unit_a', pos: [0, 0] }], disappeared: ['building_x'], resources: { gold: 999 } }));
    assert.deepEqual(state.entities.get('unit_a').pos, [1, 0]);
    assert.ok(state.entities.has('building_x'));
    assert.equal(state.resources.get('gold'), 1);
    assert.equal(state.tick, 110);
    state.apply(later);
    assert.deepEqual([state.entities.get('unit_a').pos, state.entities.size, state.tick], [[1, 0], 2, 110]);
});

test('cached: stays where it was seen, faded, until it appears or is named gone', () => {
    state.apply(update(101, { appeared: [scout('unit_b', [1, 0], { owner: OTHER })] }));
    state.apply(update(102, { changed: [{ id: 'unit_b', pos: [2, 0] }] }));
    state.interpolate(10);
    state.apply({ type: 'entity_cached', entity_id: 'unit_b', cache_mode: 'timed', last_seen: 102, expires_at: 500 });
    const unit = state.entities.get('unit_b');
    assert.deepEqual([unit.stale, unit.lastSeen, unit.expiresAt, unit.pos], [true, 102, 500, [2, 0]]);
    assert.deepEqual([unit.x, unit.y], Object.values(hex.toPoint(2, 0)), 'a memory does not walk');
    state.apply({ type: 'entity_cached', entity_id: 'unit_unknown', cache_mode: 'timed', last_seen: 1, expires_at: 0 });
    assert.equal(state.entities.size, 3);
    state.apply(update(110, { appeared: [scout('unit_b', [1, 0], { owner: OTHER })] }));
    assert.equal(state.entities.get('unit_b').stale, false);
    state.apply({ type: 'entity_cached', entity_id: 'unit_b', cache_mode: 'permanent', last_seen: 111, expires_at: 0 });
    assert.equal(state.entities.get('unit_b').expiresAt, null, 'never');
    state.apply(update(120, { disappeared: ['unit_b'] }));
    assert.equal(state.entities.has('unit_b'), false);
    state.apply({ type: 'entity_snapshot', entity: { id: 'unit_c', type: 'scout', kind: 'unit', owner: OTHER, pos: [4, 4], is_stale: true, last_seen: 5, data: { health: 3 } } });
    assert.equal(state.entities.get('unit_c').stale, true, 'a memory may also come while playing');
    state.apply({ type: 'entity_snapshot', entity: { id: 'unknown_d', pos: [4, 4], is_stale: true, last_seen: 5, data: { health: 3 } } });
    assert.deepEqual([state.entities.get('unknown_d').type, state.entities.get('unknown_d').kind], ['unknown', 'unknown'], 'of a type that the map does not name');
});

test('a new full state: the old one stays until it is complete, and nothing of it is left', () => {
    state.apply(update(101, { jobs: [{ event: 'started', job: 'job_1', building: 'b', recipe: 'r', start_tick: 1, end_tick: 2 }], resources: { wood: 5 } }));
    changes = [];
    state.apply(welcome());
    state.apply(MAP);
    state.apply({ type: 'explored_hexes', hexes: [{ hex: [0, 0], terrain: 'plains' }, { hex: [20, 0], terrain: 'forest' }] });
    state.apply({ type: 'entity_snapshot', entity: { id: 'building_y', type: 'settlement', kind: 'building', owner: OTHER, pos: [20, 0], is_stale: true } });
    assert.deepEqual([...state.entities.keys()].sort(), ['building_x', 'unit_a'], 'still the old one');
    assert.equal(state.hexes.size, 3);
    assert.equal(told('reset').length, 0);
    state.apply(update(200, { full: true, appeared: [scout('unit_a', [1, 0])], vision: [{ hex: [0, 0], state: 2 }], resources: { gold: 7 } }));
    assert.deepEqual([...state.entities.keys()].sort(), ['building_y', 'unit_a']);
    assert.deepEqual([...state.hexes.values()].map((h) => [h.q, h.r, h.state]), [[0, 0, VISIBLE], [20, 0, FOG]]);
    assert.deepEqual([...state.resources], [['gold', 7]]);
    assert.equal(state.jobs.size, 0);
    assert.deepEqual(changes.map((c) => c.what).slice(-5), ['reset', 'hexes', 'resources', 'jobs', 'entities']);
    assert.equal(told('hexes')[0].length, 2);
});

test('a full state without a welcome, announced by a reset of the explored hexes', () => {
    state.apply({ type: 'explored_hexes', reset: true, hexes: [{ hex: [5, 5], terrain: 'plains' }] });
    state.apply({ type: 'explored_hexes', hexes: [{ hex: [6, 5], terrain: 'plains' }] });
    assert.equal(state.hexes.size, 3);
    state.apply(update(150, { full: true, appeared: [scout('unit_z', [5, 5])] }));
    assert.deepEqual([...state.hexes.keys()], ['5,5', '6,5']);
    assert.deepEqual([...state.entities.keys()], ['unit_z']);
});

test('a full update alone replaces what is in sight and keeps memories', () => {
    state.apply(update(150, { full: true, appeared: [scout('unit_z', [5, 5])], vision: [{ hex: [1, 0], state: 2 }] }));
    assert.deepEqual([...state.entities.keys()].sort(), ['building_x', 'unit_z']);
    assert.deepEqual([...state.hexes.values()].map((h) => h.state), [FOG, VISIBLE, FOG]);
});

test('another empire after a reconnect forgets everything at once', () => {
    state.apply(welcome({ empire_id: 'empire_new', username: 'eve' }));
    assert.deepEqual([state.entities.size, state.hexes.size, state.tick, state.complete], [0, 0, 0, false]);
    assert.deepEqual([...state.empires], [['empire_new', 'eve']]);
});

test('a step takes as long as the unit and the terrain say', () => {
    const walks = (pos, ms) => {
        const unit = state.entities.get('unit_a');
        const from = { x: unit.x, y: unit.y }, to = hex.toPoint(...pos);
        state.apply(update(state.tick + 1, { changed: [{ id: 'unit_a', pos }] }));
        assert.deepEqual({ x: unit.x, y: unit.y }, from, 'starts where it was drawn');
        state.interpolate(ms / 2);
        assert.ok(Math.abs(unit.x - (from.x + to.x) / 2) < 1e-9, 'half the way after half the time');
        state.interpolate(ms / 2 - 1);
        assert.notEqual(unit.from, null, 'not there before its time');
        state.interpolate(1.001);
        assert.deepEqual([unit.x, unit.y, unit.from], [to.x, to.y, null]);
    };
    walks([1, 0], 5 * 50 * 1.6); // into the forest
    walks([0, 0], 5 * 50);       // back to the plains
});

test('a way of several hexes is caught up quickly, and a full state lets units go on from where they are drawn', () => {
    const unit = () => state.entities.get('unit_a');
    state.apply(update(101, { changed: [{ id: 'unit_a', pos: [4, 0] }] }));
    state.interpolate(250);
    assert.equal(unit().x, hex.toPoint(4, 0).x);
    state.apply(welcome());
    state.apply(update(110, { full: true, appeared: [scout('unit_a', [5, 0])] }));
    assert.equal(unit().x, hex.toPoint(4, 0).x, 'no jump');
    state.interpolate(250);
    assert.equal(unit().x, hex.toPoint(5, 0).x);
});

test('messages of the session and unknown ones are ignored', () => {
    for (const message of [{ type: 'chat', payload: {} }, { type: 'pong', payload: {} }, { type: 'of_tomorrow', payload: 5 }]) state.apply(message);
    assert.deepEqual(changes, []);
});

test('what was missed is added to the state of before; jobs that are not listed are over', () => {
    state.apply(update(101, { jobs: [{ event: 'started', job: 'job_a' }, { event: 'started', job: 'job_b' }] }));
    state.apply(welcome({ resumed: true }));
    state.apply({ type: 'resumed', tick: 150, empires: [{ id: 'empire_c', name: 'cy' }] });
    state.apply(update(150, { empires: [{ id: 'empire_d', name: 'dora' }] }));
    assert.deepEqual([...state.jobs.keys()], ['job_a', 'job_b'], 'names go before the difference');
    changes = [];
    state.apply(update(150, { appeared: [scout('unit_a', [1, 0])], disappeared: ['unit_unknown'], jobs: [{ event: 'started', job: 'job_b' }], resources: { gold: 7 } }));
    assert.deepEqual([...state.jobs.keys()], ['job_b']);
    assert.equal(told('jobs').length, 1);
    assert.equal(told('reset').length, 0);
    assert.deepEqual(state.entities.get('unit_a').pos, [1, 0]);
    assert.equal(state.entities.get('building_x').stale, true);
    assert.deepEqual([state.hexes.size, state.empires.get('empire_c'), state.empires.get(OTHER)], [3, 'cy', 'bob']);
});
