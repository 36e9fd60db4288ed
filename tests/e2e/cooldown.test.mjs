// What a player may not command again so soon: refused with the time to wait, whichever way it is
// asked, and also by a world that was killed in between.

import assert from 'node:assert/strict';
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import WebSocket from 'ws';
import { GameClient } from '../../services/sync/web/sdk/index.js';
import { Game, patience } from '../support/game.mjs';
import { PATIENCE_MS, ROOT, tempDir, waitFor } from '../support/servers.mjs';

const TICK_MS = 50;
const STOP_TICKS = 100;
const WANDER_TICKS = 12000;

let game;

before(async () => {
    const services = join(tempDir(), 'services');
    cpSync(join(ROOT, 'services'), services, { recursive: true, filter: (path) => !/\/(core|web)\//.test(path) });
    const types = join(services, 'world/game/types.yaml');
    const text = readFileSync(types, 'utf8');
    const changed = text.replace('cooldown: {}', `cooldown: {stop: ${STOP_TICKS}, wander: ${WANDER_TICKS}}`);
    assert.notEqual(changed, text);
    writeFileSync(types, changed);
    const sync = join(services, 'sync/sync.yaml');
    writeFileSync(sync, patience(readFileSync(sync, 'utf8')));
    game = await Game.start({ services });
});

after(() => game?.stop());

test('too soon is refused with the time to wait, and then it is taken', { timeout: 300000 }, async () => {
    const player = await game.join('hasty');
    const [unit] = player.mine('scout').map(({ id }) => id);
    // Both at once, in one piece: nothing that holds up this test, or sync, comes between them.
    player.socket._socket.cork();
    const answers = [player.command('stop', { units: [unit] })];
    const seq = player.nextSeq;
    answers.push(player.command('stop', { units: [unit] }));
    player.socket._socket.uncork();
    const [first, second] = await Promise.all(answers);
    assert.equal(first.type, 'ack', JSON.stringify(first));
    assert.equal(second.type, 'error', JSON.stringify(second));
    assert.equal(second.payload.code, 'cooldown');
    assert.equal(second.payload.seq, seq);
    const wait = second.payload.retry_after_ms;
    assert.ok(wait > 0 && wait <= STOP_TICKS * TICK_MS && wait % TICK_MS === 0, `${wait} ms`);
    // What was taken is answered as before; another kind is taken at once.
    assert.deepEqual((await player.command('stop', { units: [unit] }, first.payload.seq)).payload, first.payload);
    assert.equal((await player.command('move', { units: [unit], target: player.mine('scout')[0].pos })).type, 'ack');
    const end = first.payload.tick + STOP_TICKS; // as the world counts: what players are told may be behind
    await player.until('the end of the cooldown', () => player.tick >= end);
    assert.equal((await player.command('stop', { units: [unit] })).type, 'ack');
    player.close();
});

test('a client is told by the SDK, and a world that was killed remembers', { timeout: 300000 }, async () => {
    const client = new GameClient({ url: game.socketUrl, token: () => game.token('roamer'), WebSocket, commandTimeoutMs: PATIENCE_MS });
    try {
        await client.connect();
        const { state } = client;
        if (!state.mine('worker').length) await new Promise((done) => client.once('update', done));
        const [unit] = state.mine('worker').map(({ id }) => id);
        await client.wander([unit], 3);
        const refusal = () => client.wander([unit], 3).then(() => assert.fail('taken'), (error) => error);
        const before = await refusal();
        assert.equal(before.code, 'cooldown');
        assert.ok(before.retryAfterMs > WANDER_TICKS * TICK_MS - PATIENCE_MS, `${before.retryAfterMs}`);
        await game.killAndWait('world');
        let after;
        await waitFor('an answer of the new world', async () => (after = await refusal()).code !== 'unavailable');
        assert.equal(after.code, 'cooldown', after.message);
        assert.ok(after.retryAfterMs < before.retryAfterMs && after.retryAfterMs > before.retryAfterMs - 2 * PATIENCE_MS,
            `${before.retryAfterMs}, then ${after.retryAfterMs}`);
    } finally {
        client.close();
    }
});
