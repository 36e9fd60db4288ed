import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hex } from '../../../../../../services/sync/web/sdk/index.js';

test('every hex is found at its centre and near its corners', () => {
    for (const [q, r] of hex.disc([0, 0], 12)) {
        const { x, y } = hex.toPoint(q, r);
        assert.deepEqual(hex.fromPoint(x, y), [q, r]);
        for (let corner = 0; corner < 6; corner++) {
            const angle = Math.PI / 180 * (60 * corner - 30);
            assert.deepEqual(hex.fromPoint(x + 0.97 * Math.cos(angle), y + 0.97 * Math.sin(angle)), [q, r]);
        }
    }
});

test('a point belongs to the hex whose centre is nearest', () => {
    const near = hex.disc([0, 0], 4);
    for (let x = -3; x <= 3; x += 0.37)
        for (let y = -3; y <= 3; y += 0.41) {
            const d = ([q, r]) => Math.hypot(hex.toPoint(q, r).x - x, hex.toPoint(q, r).y - y);
            const nearest = near.reduce((best, other) => (d(other) < d(best) ? other : best));
            assert.ok(d(hex.fromPoint(x, y)) - d(nearest) < 1e-9, `${x} ${y}`);
        }
});

test('distance is the number of steps, as counted by walking', () => {
    const steps = new Map([['0,0', 0]]);
    let rim = [[0, 0]];
    for (let n = 1; n <= 6; n++) {
        rim = rim.flatMap(hex.neighbors).filter(([q, r]) => !steps.has(hex.key(q, r)) && steps.set(hex.key(q, r), n));
        assert.equal(rim.length, 6 * n);
    }
    for (const [name, n] of steps) assert.equal(hex.distance([0, 0], name.split(',').map(Number)), n);
    assert.equal(hex.distance([3, -7], [-2, 5]), hex.distance([0, 0], [5, -12]));
});

test('a disc has all hexes within its radius, once', () => {
    for (let radius = 0; radius < 7; radius++) {
        const hexes = hex.disc([4, -2], radius);
        assert.equal(hexes.length, 3 * radius * (radius + 1) + 1);
        assert.equal(new Set(hexes.map(String)).size, hexes.length);
        for (const h of hexes) assert.ok(hex.distance(h, [4, -2]) <= radius);
    }
});
