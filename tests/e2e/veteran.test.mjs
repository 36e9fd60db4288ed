// Whoever kills is promoted, and all who see it are told: in the update in which that happens, and
// whoever comes later in the full state; in either encoding.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import WebSocket from 'ws';
import { GameClient } from '../../services/sync/web/sdk/index.js';
import { Game, patience, settings } from '../support/game.mjs';
import { PATIENCE_MS, waitFor } from '../support/servers.mjs';

const KILLS = 3; // types.yaml, combat.ranks

let game, operator;

before(async () => {
    game = await Game.start({ services: settings({ sync: patience }), test: true, env: { MMORTS_WORLD_GUARD: 'false' } }); // only who is told to kills
    operator = await game.token('operator', { permissions: 512 });
});

after(() => game?.stop());

async function world(method, body) {
    const answer = await game.call('world', method, { session: 'main', ...body }, operator);
    assert.equal(answer.status, 200, JSON.stringify(answer.body));
    return answer.body;
}

const client = (encoding) => new GameClient({ url: game.socketUrl, token: () => game.token('hunter'), WebSocket, encoding, commandTimeoutMs: PATIENCE_MS });
const veteran = (known) => [...known.state.entities.values()].find((e) => e.data.rank > 0);

test('a soldier that killed three is shown as a veteran', { timeout: 300000 }, async () => {
    const first = client('binary');
    try {
        await first.connect();
        await waitFor('soldiers', () => first.state.mine('soldier').length === 3);
        const [soldier] = first.state.mine('soldier');
        assert.equal(soldier.data.rank, undefined);
        const { length } = first.state.mine();
        for (let i = 0; i < KILLS; i++) {
            const { entities: [raw] } = await world('Spawn', {
                key: Buffer.from(`prey ${i}`).toString('base64'), type: 'wolf_den', empire: 0, count: 1,
                place: { q: soldier.pos[0] + 1, r: soldier.pos[1] },
            });
            await world('SetEntity', { key: Buffer.from(`weak ${i}`).toString('base64'), entity: raw, changes: [{ health: 1 }] });
            const den = await waitFor('the prey', () => [...first.state.entities.values()].find((e) => e.type === 'wolf_den'));
            await first.attack([soldier.id], den.id);
            await waitFor('its end', () => ![...first.state.entities.values()].some((e) => e.type === 'wolf_den'));
        }
        await waitFor('the promotion', () => first.state.entities.get(soldier.id).data.rank === 1);
        assert.equal(veteran(first).id, soldier.id, 'nobody else');
        assert.equal(first.state.mine().length, length);
    } finally {
        first.close();
    }
    for (const encoding of ['json', 'binary']) {
        const later = client(encoding);
        try {
            await later.connect();
            await waitFor(`the veteran in ${encoding}`, () => veteran(later)?.data.rank === 1);
        } finally {
            later.close();
        }
    }
});
