// The client SDK against the real game: the bot of its README, word for word, and a client that
// keeps its promises while the service it talks to is killed.

import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import WebSocket from 'ws';
import { GameClient, GameError, hex } from '../../services/sync/web/sdk/index.js';
import { Game, patience, settings } from '../support/game.mjs';
import { PATIENCE_MS, Program, ROOT, tempDir, waitFor } from '../support/servers.mjs';

const SDK = join(ROOT, 'services/sync/web/sdk');
const clients = [];
let game, services;

before(async () => {
    services = settings({ sync: patience });
    game = await Game.start({ services });
});

after(async () => {
    for (const client of clients) client.close();
    await game?.stop();
});

async function enter(username, token = () => game.token(username)) {
    const client = new GameClient({ url: game.socketUrl, token, WebSocket, commandTimeoutMs: PATIENCE_MS });
    clients.push(client);
    await client.connect();
    return client;
}

test('the bot of the README scouts and trains', { timeout: 300000 }, async () => {
    const [, code] = readFileSync(join(SDK, 'README.md'), 'utf8').match(/```js\n([^]*?)```/);
    assert.ok(code.trim().split('\n').length <= 24, 'twenty lines, as it says');
    // As somebody would have it who installed both packages.
    const directory = tempDir();
    mkdirSync(join(directory, 'node_modules/@mmorts'), { recursive: true });
    symlinkSync(SDK, join(directory, 'node_modules/@mmorts/client'));
    symlinkSync(join(ROOT, 'tests/node_modules/ws'), join(directory, 'node_modules/ws'));
    writeFileSync(join(directory, 'bot.mjs'), code);

    const before = await enter('robot');
    const explored = before.state.hexes.size;
    const scouts = before.state.mine('scout').length;
    before.close();
    const other = await game.startSync({ MMORTS_SYNC_CONNECTIONS: 'allow' }, services);
    const bot = new Program(process.execPath, [join(directory, 'bot.mjs'), game.socketUrl, await game.token('robot')], { name: 'bot' });
    // Another connection of the same player would end the bot's, but for one at a process that allows several.
    await waitFor('a bot that is online', () => bot.exit || bot.log().includes('online'));
    const witness = await game.join('robot', { url: other.socketUrl });
    const did = () => `${witness.mine('scout').length} of ${scouts} scouts, explored ${explored} -> ${witness.hexes.size}`;
    await waitFor('one more scout, and land explored', () => bot.exit
        || (witness.mine('scout').length > scouts && witness.hexes.size > explored + 20)).catch((error) => {
        throw new Error(`${did()}\n${bot.log()}`, { cause: error });
    });
    assert.equal(bot.exit, null, `${did()}\n${bot.log()}`);
    bot.child.kill('SIGKILL');
    await bot.ended;
    witness.close();
    await other.program.stop();
});

test('refusals are typed errors', { timeout: 300000 }, async () => {
    const stranger = new GameClient({ url: game.socketUrl, token: 'no.token.atall', WebSocket });
    await assert.rejects(stranger.connect(), (error) => error instanceof GameError && error.code === 'malformed_token');
    const ada = await enter('ada');
    await assert.rejects(ada.train('building_0000000000000', 'train_scout'), { name: 'GameError', code: 'unknown_building' });
    await assert.rejects(ada.command('dance', {}), { code: 'unknown_command' });
    const refused = new Promise((resolve) => ada.once('error', resolve));
    ada.chat('x'.repeat(501));
    assert.equal((await refused).code, 'chat_too_long');
    const replaced = new Promise((resolve) => ada.once('refused', resolve));
    const again = await enter('ada');
    assert.equal((await replaced).code, 'replaced');
    again.close();
});

test('commands given around a kill of sync are carried out once each', { timeout: 300000 }, async () => {
    // A sync that has not found production again answers what is for it `unavailable`.
    const findsProduction = async () => await game.metric('sync', 'mmorts_peer_connected{peer="production"}') === 1;
    const eve = await enter('eve', async () => {
        await waitFor('sync with production', findsProduction);
        return game.token('eve');
    });
    const { state } = eve;
    const [settlement] = state.mine('settlement');
    const recipe = state.recipes.find((r) => r.name === 'train_worker');
    const gold = await waitFor('the first stock', () => state.resources.get('gold'));
    const ticks = [];
    eve.on('update', ({ tick }) => ticks.push(tick));
    const states = [];
    eve.on('state', (connection) => states.push(connection));
    // One that may have arrived or not, and one for which there is nobody to hear it.
    const first = eve.train(settlement.id, recipe.name);
    await game.kill('sync');
    const offline = new Promise((resolve) => eve.on('state', (connection) => connection === 'offline' && resolve()));
    await offline;
    const second = eve.train(settlement.id, recipe.name);
    const acks = await Promise.all([first, second]);
    assert.notEqual(acks[0].job, acks[1].job);
    await waitFor('a whole state and both prices paid', () => state.complete && state.resources.get('gold') <= gold - 2 * recipe.inputs.gold);
    assert.equal(state.resources.get('gold'), gold - 2 * recipe.inputs.gold, 'each paid once');
    assert.deepEqual(ticks, [...ticks].sort((a, b) => a - b), 'no tick goes back');
    assert.deepEqual([states[0], states.at(-1)], ['offline', 'online']);
    assert.ok(hex.distance(state.home, settlement.pos) === 0);
    eve.close();
});
