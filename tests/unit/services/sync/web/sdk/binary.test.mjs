import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { BinaryDecoder, encodeMessage } from '../../../../../../services/sync/web/sdk/index.js';

// The encoding's own tests (tests/unit/services/sync/core/test_binary.c) hold the server to these messages and to
// what they mean.
const vectors = JSON.parse(readFileSync(new URL('../../../../../support/wire_vectors.json', import.meta.url)));
const map = {
    types: [
        { name: 'scout', kind: 'unit', health: 60 }, { name: 'soldier', kind: 'unit', health: 100 },
        { name: 'settlement', kind: 'building', health: 5000 }, { name: 'gold', kind: 'resource', health: 1 },
        { name: 'hero', kind: 'unit', health: 300 },
    ],
    terrains: [{ name: 'dead' }, { name: 'plains' }, { name: 'forest "x"' }],
};
const bytes = (hex) => Uint8Array.from(Buffer.from(hex, 'hex'));

function decoder() {
    const made = new BinaryDecoder();
    made.onMap(map);
    return made;
}

test('every message of a session means what its JSON says', () => {
    const decodes = decoder();
    for (const [i, { binary, json }] of vectors.entries()) {
        const message = decodes.decode(i % 2 ? bytes(binary) : bytes(binary).buffer);
        assert.deepEqual(message, json, `message ${i}: ${binary}`);
    }
});

test("the documentation's example", () => {
    const decodes = decoder();
    decodes.decode(bytes('01010000'));
    // Ten soldiers at (0, 0), numbers 0 to 9; tick 5.
    const soldier = (number) => `${number.toString(16).padStart(2, '0')}00000001${'00'.repeat(8)}00`;
    decodes.decode(bytes(`85050a${[...Array(10).keys()].map(soldier).join('')}`));
    const { tick, changed } = decodes.decode(bytes('80032a14'));
    assert.equal(tick, 6);
    assert.deepEqual(changed.map(({ pos }) => pos), [[-1, 0], [0, -1], [-1, 1]]);
});

test('what is deferred is counted, behind the tick', () => {
    const decodes = decoder();
    decodes.decode(bytes('01010000'));
    assert.deepEqual(decodes.decode(bytes('c110078002')), { type: 'update', tick: 7, deferred: 256 });
    assert.deepEqual(decodes.decode(bytes('80')), { type: 'update', tick: 8 }, 'everything is told');
    assert.throws(() => decodes.decode(bytes('c020')), RangeError);
});

test('who is online', () => {
    const decodes = decoder();
    assert.deepEqual(decodes.decode(bytes('07e8070207036164618102026279')), {
        type: 'roster', payload: { player_count: 1000, players: [{ player_id: '7', username: 'ada' }, { player_id: '257', username: 'by' }] },
    });
    assert.deepEqual(decodes.decode(bytes('080301ffffffffffffffffff010161020708')), {
        type: 'players', payload: { player_count: 3, joined: [{ player_id: '18446744073709551615', username: 'a' }], left: ['7', '8'] },
    });
    assert.deepEqual(decodes.decode(bytes('08050000')), { type: 'players', payload: { player_count: 5 } });
    for (const broken of ['07', '0701', '070101', '0805', '080500', '08050001', '0805000000', '0705010703616461ff'])
        assert.throws(() => decodes.decode(bytes(broken)), RangeError, broken);
});

test('what is cut short or goes on too long is refused, whatever message it is', () => {
    let refused = 0;
    for (const [i, { binary }] of vectors.entries()) {
        const data = bytes(binary);
        for (const length of new Set([0, 1, data.length >> 1, data.length - 1])) {
            if (length === data.length) continue;
            const decodes = decoder();
            for (const { binary: before } of vectors.slice(0, i)) decodes.decode(bytes(before));
            // An update without its last change is an update: it ends where a change ends.
            try {
                decodes.decode(data.subarray(0, length));
            } catch (error) {
                assert.ok(error instanceof RangeError, error.stack);
                refused++;
            }
        }
    }
    assert.ok(refused > vectors.length, `${refused} refused`);
});

test('arbitrary bytes are decoded or refused, never anything else', () => {
    let state = 12345;
    const random = () => (state = (Math.imul(state, 1103515245) + 12345) >>> 0) >>> 8;
    for (let round = 0; round < 3000; round++) {
        const decodes = decoder();
        for (const { binary } of vectors.slice(0, 1 + random() % 8)) decodes.decode(bytes(binary));
        const data = bytes(vectors[random() % vectors.length].binary);
        for (let i = 0; i < 3 && data.length; i++) data[random() % data.length] = random() & 255;
        try {
            decodes.decode(data);
        } catch (error) {
            assert.ok(error instanceof RangeError, error.stack);
        }
    }
});

// The same bytes are read by tests/unit/services/sync/test_command_binary.c.
test('messages of the client', () => {
    const unit = 'unit_0000000000001', hex = (message) => Buffer.from(encodeMessage(message)).toString('hex');
    const command = (payload) => ({ type: 'command', payload: { seq: 300, ...payload } });
    const id = (low) => `${low}${'00'.repeat(7)}`;
    const cases = [
        [{ type: 'ping', payload: { timestamp: 1699999999123 } }, '01a692abfef962'],
        [{ type: 'chat', payload: { message: 'hä' } }, '0268c3a4'],
        [{ type: 'join' }, '03'],
        [{ type: 'leave' }, '04'],
        [{ type: 'focus', payload: { hex: [12, -5] } }, '051809'],
        [{ type: 'focus', payload: { hex: null } }, '06'],
        [command({ command: 'move', units: [unit], target: [12, -5], queued: true }), `10ac020101${id('01')}1809`],
        [command({ command: 'stop', units: [unit, unit] }), `11ac020002${id('01')}${id('01')}`],
        [command({ command: 'attack', units: [unit], target: 'building_0000000000002' }), `12ac020001${id('01')}${id('02')}`],
        [command({ command: 'attack_move', units: [unit], target: [-1, 0] }), `13ac020001${id('01')}0100`],
        [command({ command: 'gather', units: [unit], target: 'resource_000000000000z' }), `14ac020001${id('01')}${id('1f')}`],
        [command({ command: 'build', units: [unit], building: 'tower', target: [12, -5], queued: true }), `17ac020101${id('01')}180905746f776572`],
        [command({ command: 'repair', units: [unit], target: 'building_0000000000002' }), `18ac020001${id('01')}${id('02')}`],
        [command({ command: 'cancel_build', building: 'building_0000000000002' }), `19ac02${id('02')}`],
        [command({ command: 'patrol', units: [unit], points: [[12, -5], [-1, 0]] }), `1aac020001${id('01')}0218090100`],
        [command({ command: 'wander', units: [unit], radius: 5 }), `1bac020001${id('01')}05`],
        [command({ command: 'rally', buildings: ['building_0000000000002'], target: [12, -5] }), `1cac020001${id('02')}1809`],
        [command({ command: 'train', building: 'building_0000000000002', recipe: 'train_scout', cycles: 3 }), `15ac02${id('02')}030b747261696e5f73636f7574`],
        [command({ command: 'cancel', job: 'job_fzzzzzzzzzzzz', refund: false }), '16ac02ffffffffffffffff00'],
        [command({ command: 'cancel', job: 'job_0000000000001' }), `16ac02${id('01')}01`],
    ];
    for (const [message, expected] of cases) assert.equal(hex(message), expected, JSON.stringify(message));
});

test('what cannot be said in bytes is left to JSON', () => {
    const command = (payload) => encodeMessage({ type: 'command', payload: { seq: 1, ...payload } });
    const unit = 'unit_0000000000001';
    for (const payload of [
        { command: 'dance' }, { command: 'move', units: [unit], target: [1.5, 0] }, { command: 'move', units: 'all', target: [1, 0] },
        { command: 'move', units: ['scout_0000000000001'], target: [1, 0] }, { command: 'stop', units: ['unit_000000000000u'] },
        { command: 'attack', units: [unit], target: 'unit_g000000000000' }, { command: 'gather', units: [unit], target: unit },
        { command: 'train', building: unit, recipe: 'x' }, { command: 'cancel', job: 7 }, { command: 'stop', units: [unit], queued: 'no' },
        { command: 'stop', units: [unit], seq: -1 },
    ]) assert.equal(command(payload), null, JSON.stringify(payload));
    assert.equal(encodeMessage({ type: 'dance' }), null);
    assert.equal(encodeMessage({ type: 'focus', payload: { hex: [0.5, 1] } }), null);
});
