// What index.d.ts promises is there, and what is there it names.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import * as sdk from '../../../../../../services/sync/web/sdk/index.js';

const DIRECTORY = new URL('../../../../../../services/sync/web/sdk/', import.meta.url);
const read = (name) => readFileSync(new URL(name, DIRECTORY), 'utf8');
const types = read('index.d.ts').replace(/\/\*[^]*?\*\//g, '').replace(/\/\/.*/g, '');

// The names of a declaration's members, by whether they are called.
function members(declaration) {
    const [, body] = types.match(new RegExp(`^export ${declaration}\\b[^]*?\\{\n([^]*?)^\\}`, 'm'));
    const found = [...body.matchAll(/^ {2}(?:readonly |const |function )?(\w+)\??(\(|<|:)/gm)].map(([, name, mark]) => ({ name, isCalled: mark !== ':' }));
    return {
        methods: found.filter(({ name, isCalled }) => isCalled && name !== 'constructor').map(({ name }) => name),
        fields: found.filter(({ isCalled }) => !isCalled).map(({ name }) => name),
    };
}

const same = (there, named, what) => assert.deepEqual([...new Set(there)].sort(), [...new Set(named)].sort(), what);

const options = { url: 'ws://game.example/ws', token: 'jwt', WebSocket: class {} };
const made = {
    GameError: new sdk.GameError('no'), Emitter: new sdk.Emitter(), GameStateManager: new sdk.GameStateManager(),
    Connection: new sdk.Connection(options), BinaryDecoder: new sdk.BinaryDecoder(), GameClient: new sdk.GameClient(options),
};

test('everything that is exported has a type, and nothing else', () => {
    const values = [...types.matchAll(/^export (?:class|const|function|namespace) (\w+)/gm)].map(([, name]) => name);
    same(Object.keys(sdk), values);
    same(Object.keys(sdk.hex), [...members('namespace hex').methods, ...members('namespace hex').fields], 'hex');
});

test('the classes have the methods and fields that are named', () => {
    for (const [name, one] of Object.entries(made)) {
        const { methods, fields } = members(`class ${name}`);
        same(Object.getOwnPropertyNames(sdk[name].prototype).filter((method) => method !== 'constructor'), methods, `methods of ${name}`);
        same(Object.keys(one), fields, `fields of ${name}`);
    }
});

test('every event has a type', () => {
    const source = read('client.js');
    const [, passedOn] = source.match(/SESSION_EVENTS = new Set\(\[([^]*?)\]\)/);
    const emitted = [...source.matchAll(/this\.emit\('(\w+)'/g), ...passedOn.matchAll(/'(\w+)'/g)].map(([, name]) => name);
    const named = [...members('interface ClientEvents').fields, ...members('interface ConnectionEvents').fields];
    same([...emitted, 'state', 'retry', 'latency', 'refused'], named);
});

test('entities and jobs are as they are named', () => {
    const { state } = made.GameClient;
    const job = { event: 'started', job: 'job_1', building: 'building_1', recipe: 'train_scout', start_tick: 1, end_tick: 9, cycles_completed: 0, reason: '' };
    state.apply({ type: 'update', tick: 1, full: true, appeared: [{ id: 'npc_1', type: 'wolf', kind: 'npc', pos: [0, 0], health: 1, data: {} }], jobs: [job] });
    same(Object.keys(state.entities.get('npc_1')), members('interface Entity').fields, 'Entity');
    same(Object.keys(state.jobs.get('job_1')), members('interface Job').fields, 'Job');
    const [, kinds] = types.match(/type Kind = ([^;]*);/);
    same([...kinds.matchAll(/'(\w+)'/g)].map(([, kind]) => kind), [...read('binary.js').match(/KINDS = \[(.*)\]/)[1].matchAll(/'(\w+)'/g)].map(([, kind]) => kind), 'Kind');
});
