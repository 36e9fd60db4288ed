// A client that may be sent but few bytes a second: it is sent no more, told what matters first, and
// everything in the end.

import assert from 'node:assert/strict';
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { Game } from '../support/game.mjs';
import { pause, tempDir } from '../support/servers.mjs';

const SERVICES = new URL('../../services', import.meta.url).pathname;
const PER_SECOND = 1000, CARRIED = 1000;

function settings() {
    const directory = join(tempDir(), 'services');
    cpSync(SERVICES, directory, { recursive: true, filter: (path) => !/\.[ch]$/.test(path) });
    const file = join(directory, 'sync/sync.yaml'), text = readFileSync(file, 'utf8');
    const changed = text.replace(/bytes_per_second: \S+/, `bytes_per_second: ${PER_SECOND}`)
        .replace(/bytes_carried: \S+/, `bytes_carried: ${CARRIED}`);
    assert.notEqual(changed, text);
    writeFileSync(file, changed);
    return directory;
}

// What is sent on a connection, as it is: bytes of frames and when they came.
function watch(player) {
    const frames = [];
    player.socket.on('message', (data) => {
        const bytes = data.length + (data.length < 126 ? 2 : data.length < 65536 ? 4 : 10);
        frames.push({ bytes, ms: performance.now() });
    });
    return frames;
}

// By how much the most that came in any time is beyond what may come in it.
function beyond(frames) {
    let most = -Infinity;
    for (let from = 0; from < frames.length; from++) {
        for (let to = from, sum = 0; to < frames.length; to++) {
            sum += frames[to].bytes;
            const seconds = (frames[to].ms - frames[from].ms) / 1000;
            most = Math.max(most, sum - PER_SECOND * seconds - CARRIED);
        }
    }
    return most;
}

const updates = (player, from) => player.messages.slice(from).filter((m) => m.type === 'update');

// All units there and back again: hexes come into sight and leave it all the time.
async function march(player, units, away) {
    for (const { id, pos: [q, r] } of units) {
        const answer = await player.command('patrol', { units: [id], points: [[q + away, r], [q, r]] });
        assert.ok(['ack', 'error'].includes(answer.type));
    }
}

test('few bytes a second', async (t) => {
    const game = await Game.start({ services: settings() });
    try {
        const slow = await game.join('ada', { compression: false });
        await pause(3000); // what is told first is over, and paid for
        const frames = watch(slow), from = slow.messages.length;
        const units = slow.mine('scout').concat(slow.mine('soldier'), slow.mine('worker'));
        assert.ok(units.length > 0);

        await t.test('it is told that its picture is not complete, and sent no more than it may', async () => {
            await march(slow, units, 6);
            await slow.until('an update that defers something', () => updates(slow, from).some((m) => m.deferred > 0));
            await pause(6000);
            assert.ok(frames.length > 10, `${frames.length} frames`);
            // Answers to commands count, but do not wait; an update may be one entity too long.
            const answers = 100 * units.length;
            assert.ok(beyond(frames) < 500 + answers, `${beyond(frames)} bytes beyond`);
            const text = await (await fetch(`http://127.0.0.1:${game.process('sync').port}/metrics`)).text();
            assert.match(text, /^mmorts_sync_clients_owed 1$/m);
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

        await t.test('when things are quiet it is told everything', async () => {
            const answer = await slow.command('stop', { units: units.map((u) => u.id) });
            assert.equal(answer.type, 'ack', JSON.stringify(answer));
            const complete = () => updates(slow, from).at(-1).deferred === undefined;
            await slow.until('a complete picture', complete, 60000);
            // The same as what a full state says, of the entities in sight.
            const before = [...slow.entities.values()].map((e) => [e.id, `${e.pos}`, e.health]).sort();
            const hexes = [...slow.hexes].filter(([, h]) => h.state === 2).map(([hex]) => hex).sort();
            const at = slow.messages.length;
            slow.send({ type: 'join' });
            await slow.waitFor('update', (m) => m.full, { from: at });
            assert.deepEqual([...slow.entities.values()].map((e) => [e.id, `${e.pos}`, e.health]).sort(), before);
            assert.deepEqual([...slow.hexes].filter(([, h]) => h.state === 2).map(([hex]) => hex).sort(), hexes);
        });
    } finally {
        await game.stop();
    }
});
