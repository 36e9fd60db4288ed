// A player who comes in again and again is told to wait, and nobody else is.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import WebSocket from 'ws';
import { GameClient } from '../../services/sync/web/sdk/index.js';
import { Game, Player, settings } from '../support/game.mjs';

const LOGINS = 6;
const RETRY_MS = 60000 / LOGINS;

let game;

before(async () => {
    game = await Game.start({ services: settings({ sync: (text) => text.replace('logins_per_minute: 60', `logins_per_minute: ${LOGINS}`) }) });
});

after(() => game?.stop());

test('logins of one player are limited', { timeout: 300000 }, async () => {
    const token = await game.token('restless');
    const outcomes = [];
    let refused;
    while (!refused) {
        const player = new Player(game.socketUrl, token);
        const { type, payload } = await player.until('an answer', () => player.messages.find((message) => ['welcome', 'error'].includes(message.type)));
        outcomes.push(type);
        if (type === 'error' && payload.code !== 'unavailable') refused = { payload, closed: await player.waitClosed() };
        player.terminate();
        // On a slow machine one becomes free meanwhile, but not many.
        assert.ok(outcomes.length < 100, outcomes.join());
    }
    assert.ok(outcomes.length > LOGINS, outcomes.join());
    assert.equal(refused.payload.code, 'rate_limited');
    assert.ok(refused.payload.retry_after_ms > 0 && refused.payload.retry_after_ms <= RETRY_MS, `${refused.payload.retry_after_ms}`);
    assert.deepEqual(refused.closed, { code: 4429, reason: 'rate_limited' });
    const other = await game.join('calm');
    other.close();
    // The SDK waits as it was told, and gets in.
    const client = new GameClient({ url: game.socketUrl, token, WebSocket });
    await client.connect();
    assert.ok(client.state.tick > 0);
    client.close();
});
