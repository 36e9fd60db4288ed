// Alliances as players have them: through the SDK, the real services behind it.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import WebSocket from 'ws';
import { GameClient } from '../../services/sync/web/sdk/index.js';
import { launchBrowser, openGame } from '../support/browser.mjs';
import { Game, patience, settings } from '../support/game.mjs';
import { encode } from '../support/rpc.mjs';
import { PATIENCE_MS, pause, waitFor } from '../support/servers.mjs';

const clients = {};
let game, browser, alone; // how many hexes each sees by its own eyes

async function enter(username, encoding = 'binary') {
    const client = new GameClient({ url: game.socketUrl, token: () => game.token(username), WebSocket, encoding, commandTimeoutMs: PATIENCE_MS });
    client.happened = [];
    for (const type of ['joined', 'left', 'kicked', 'role', 'disbanded', 'invited', 'declined', 'created'])
        client.on(`group_${type}`, (detail) => client.happened.push(`${type} ${detail.player.username}`));
    client.lines = [];
    client.on('chat', (line) => client.lines.push(line));
    client.errors = [];
    client.on('error', (error) => client.errors.push(error.code));
    clients[username] = client;
    await client.connect();
    return client;
}

const visible = (client) => [...client.state.hexes.values()].filter((h) => h.state === 2).length;
const settles = (what, condition) => waitFor(what, condition);
const refused = (promise, code) => assert.rejects(promise, { code });

before(async () => {
    // Memberships are not read anew by the way: what vision takes from events alone is all that it knows.
    game = await Game.start({ services: settings({ sync: patience, vision: (text) => text.replace('reread: 30s', 'reread: 1h') }) });
    await enter('ada', 'json');
    await enter('bob', 'binary');
    await enter('eve');
});

after(async () => {
    for (const client of Object.values(clients)) client.close();
    await browser?.close();
    await game?.stop();
});

test('founded, invited, joined: both see what each sees', { timeout: 300000 }, async () => {
    const { ada, bob, eve } = clients;
    await settles('a roster of three', () => ada.players.size === 3);
    alone = visible(bob);
    await refused(ada.group('create', { name: 'x' }), 'invalid_name');
    await ada.group('create', { name: 'The Lot', tag: 'LOT' });
    await settles('the group', () => ada.groups.length === 1);
    const { id } = ada.groups[0];
    assert.deepEqual(ada.groups[0].members, [{ player_id: ada.playerId, username: 'ada', role: 'leader' }]);
    assert.deepEqual((await bob.listGroups()).map((g) => [g.id, g.name, g.member_count, g.members]), [[id, 'The Lot', 1, undefined]]);
    await refused(bob.group('create', { name: 'the lot' }), 'name_taken');
    await refused(bob.group('join', { group: id }), 'not_open');
    await refused(ada.group('invite', { group: id, player: '999999' }), 'unknown_target');
    await ada.group('invite', { group: id, player: bob.playerId });
    await settles('the invitation', () => bob.invited.length === 1 && bob.happened.includes('invited bob'));
    await settles('who waits', () => ada.groups[0].pending?.[0].username === 'bob');
    assert.deepEqual(eve.invited, []);
    await bob.group('join', { group: id });
    await settles('two members', () => [ada, bob].every((c) => c.groups[0]?.members.length === 2));
    await settles('word of who joined', () => ada.happened.includes('joined bob'));
    await settles('sight of both', () => visible(bob) === 2 * alone && visible(ada) === 2 * alone);
    await settles('what stands at bob\'s, in ada\'s eyes', () => [...ada.state.entities.values()].some((e) => e.owner === bob.state.empireId));
    assert.equal(visible(eve), alone);
    assert.deepEqual(eve.happened, []);
});

test('what is said to the group is heard by its members alone', { timeout: 300000 }, async () => {
    const { ada, bob, eve } = clients;
    const { id } = ada.groups[0];
    bob.chat('to us alone', id);
    await settles('the line', () => ada.lines.some((line) => line.message === 'to us alone' && line.group === id));
    bob.chat('to all');
    await settles('the next line', () => eve.lines.some((line) => line.message === 'to all' && !line.group));
    assert.ok(!eve.lines.some((line) => line.message === 'to us alone'));
    eve.chat('let me in', id);
    await settles('a refusal', () => eve.errors.includes('unknown_target'));
});

test('a new connection knows its groups; social dying changes nothing', { timeout: 300000 }, async () => {
    const { ada } = clients;
    await game.killAndWait('social');
    clients.bob.close();
    const bob = await enter('bob');
    await settles('its group', () => bob.groups[0]?.members.length === 2);
    await settles('the sight', () => visible(bob) === 2 * alone && visible(ada) === 2 * alone);
});

test('sent away: at once blind for each other', { timeout: 300000 }, async () => {
    const { ada, bob, eve } = clients;
    const { id } = ada.groups[0];
    await refused(bob.group('kick', { group: id, player: ada.playerId }), 'forbidden');
    await refused(bob.group('disband', { group: id }), 'forbidden');
    await ada.group('kick', { group: id, player: bob.playerId });
    await settles('the end of it', () => bob.groups.length === 0 && bob.happened.includes('kicked bob'));
    await settles('own sight only', () => visible(bob) === alone && visible(ada) === alone);
    await ada.group('policy', { group: id, policy: 'open' });
    await eve.group('join', { group: id });
    await settles('sight of both', () => visible(ada) === 2 * alone && visible(eve) === 2 * alone);
    await ada.group('leave', { group: id });
    await settles('a new leader', () => eve.groups[0]?.members.length === 1 && eve.groups[0].members[0].role === 'leader');
    await eve.group('disband', { group: id });
    await settles('nothing', () => eve.groups.length === 0 && ada.groups.length === 0);
    await settles('a list without it', async () => (await eve.listGroups()).length === 0);
    await settles('own sight only, again', () => [ada, bob, eve].every((client) => visible(client) === alone));
});

test('in the browser: founded, invited and joined by the panel', { timeout: 300000 }, async () => {
    browser = await launchBrowser();
    const faults = [];
    const open = async (name) => {
        const page = await openGame(browser, game.url, name, faults);
        await page.click('#alliance-toggle');
        return page;
    };
    const fay = await open('fay');
    const body = (page, words, is = true) => page.waitForFunction(([text, wanted]) =>
        document.querySelector('#alliance-body').textContent.includes(text) === wanted, [words, is]);
    await fay.fill('#alliance input[name=name]', 'Wings');
    await fay.fill('#alliance input[name=tag]', 'WNG');
    // What comes in meanwhile does not disturb who fills in a form.
    const { ada } = clients;
    await settles('word of fay', () => [...ada.players.values()].includes('fay'));
    await ada.group('create', { name: 'Flock' });
    await settles('the group', () => ada.groups.length === 1);
    const { id } = ada.groups[0];
    const player = [...ada.players].find(([, name]) => name === 'fay')[0];
    try {
        await ada.group('invite', { group: id, player });
        await body(fay, 'Flock');
        assert.equal(await fay.evaluate(() => document.activeElement.name), 'tag');
        // A button that is pressed stays the same one until it is let go.
        await fay.hover('#alliance form.found button');
        await fay.mouse.down();
        await ada.group('refuse', { group: id, player });
        await fay.waitForFunction(() => window.mmorts.game.invited.length === 0);
        await fay.mouse.up();
    } finally {
        await ada.group('disband', { group: id });
    }
    await body(fay, 'Flock', false);
    await fay.waitForFunction(() => document.querySelector('#alliance h2')?.textContent === '[WNG] Wings');
    const gil = await open('gil'); // and may be invited, though he came after the panel was drawn
    await fay.waitForFunction(() => [...document.querySelectorAll('#alliance option')].some((o) => o.textContent === 'gil'));
    await fay.selectOption('#alliance select[name=player]', { label: 'gil' });
    await fay.click('#alliance form button');
    await body(gil, 'invites you');
    const own = await gil.evaluate(() => [...window.mmorts.state.hexes.values()].filter((h) => h.state === 2).length);
    await gil.click('#alliance li button.primary');
    for (const page of [fay, gil])
        await page.waitForFunction(() => document.querySelectorAll('#alliance .members li').length === 2);
    await gil.waitForFunction((n) => [...window.mmorts.state.hexes.values()].filter((h) => h.state === 2).length === 2 * n, own);
    await gil.click('#alliance .foot button');
    await gil.waitForFunction(() => document.querySelector('#alliance h2')?.textContent === 'No alliance');
    await fay.waitForFunction(() => document.querySelector('#chat-log').textContent.includes('gil has left Wings.'));

    // Who is invited, or has applied, sees it as long as it is true, also who is in a group.
    await ada.group('create', { name: 'Flight', policy: 'apply' });
    await settles('the group', () => ada.groups[0]?.name === 'Flight');
    const flight = ada.groups[0].id;
    await gil.click('#alliance-toggle');
    await gil.click('#alliance-toggle'); // what there is to join is asked for when it is looked at
    await gil.click('#alliance li:has-text("Flight") button');
    await body(gil, 'applied');
    await ada.group('invite', { group: flight, player });
    await body(fay, 'Flight');
    assert.deepEqual(await fay.$$eval('#alliance li:has-text("Flight") button', (all) => all.map((b) => b.textContent)), ['decline']);
    await ada.group('disband', { group: flight });
    for (const page of [fay, gil]) {
        await body(page, 'Flight', false);
        await page.waitForFunction(() => window.mmorts.game.invited.length === 0);
        assert.equal(await page.$('#alliance-toggle.calls'), null);
    }
    assert.equal(await fay.$eval('#alliance h2', (title) => title.textContent), '[WNG] Wings');
    assert.deepEqual(faults, []);
});

test('what an ally shows may be aimed at, as long as it is shown', { timeout: 300000 }, async () => {
    const { ada, bob } = clients;
    const nodes = () => [...ada.state.entities.values()].filter((e) => e.id.startsWith('resource_') && !e.stale).map((e) => e.id);
    const [{ id: worker, pos: home }] = ada.state.mine('worker');
    const own = new Set(nodes());
    // Orders may be carried to the server all at once that were given one after another.
    const answer = async (order) => {
        for (;;) {
            const word = await order().then(() => 'ack', (error) => error.code);
            if (word !== 'rate_limited') return word;
            await pause(200);
        }
    };
    const gather = (target) => answer(() => ada.gather([worker], target));
    await ada.group('create', { name: 'Eyes' });
    await settles('the group', () => ada.groups.length === 1);
    const { id } = ada.groups[0];
    await ada.group('policy', { group: id, policy: 'open' });
    await bob.group('join', { group: id });
    await settles('a node of bob\'s', () => nodes().some((node) => !own.has(node)));
    const target = nodes().find((node) => !own.has(node));
    await settles('the order to be taken', async () => await gather(target) === 'ack');
    // Back to where it came from, however far it got: it is to see nothing else than before.
    assert.equal(await answer(() => ada.move([worker], home)), 'ack');
    await settles('the worker at home', () => `${ada.state.entities.get(worker).pos}` === `${home}`);
    await bob.group('leave', { group: id });
    await settles('it to be hidden', () => !nodes().includes(target));
    await settles('the order to be refused', async () => await gather(target) === 'unknown_target');
    assert.equal(await gather([...own][0]), 'ack', 'a node of her own');
});

// A copy of yesterday was put in place of social's database, say.
test('events whose numbers begin anew are followed', { timeout: 300000 }, async () => {
    const { ada, bob } = clients;
    const { id } = ada.groups[0];
    const own = visible(bob);
    await bob.group('join', { group: id });
    await settles('sight of both', () => visible(bob) > own);
    await game.query('social', 'UPDATE group_sequences SET seq = 0');
    await bob.group('leave', { group: id });
    await settles('only his own sight', () => visible(bob) === own);
});

// Social publishes an event again if it does not know that it has (`social.proto`).
test('what is published twice is told once', { timeout: 300000 }, async () => {
    const { eve } = clients;
    const publish = (seq, mark = 0) => {
        const player = { player_id: eve.playerId, username: 'eve' };
        const event = encode('mmorts.social.Event', { group: { seq, mark: String(mark), kind: 'GROUP_DECLINED', group_id: '77', group_kind: 'alliance',
            name: `The ${seq}th${mark || ''}`, tag: '', player, by_player: eve.playerId, to_players: [eve.playerId] } });
        return game.redis('EVAL', `return redis.call('PUBLISH', KEYS[1], string.char(${[...event]}))`, '1', 'social.events.main');
    };
    const told = [];
    eve.on('group_declined', ({ group }) => told.push(group.name));
    for (const seq of [900, 902, 900, 901, 902, 901, 903]) await publish(seq);
    await settles('the last of them', () => told.includes('The 903th'));
    assert.deepEqual(told, [900, 902, 901, 903].map((seq) => `The ${seq}th`));
    // Social's database was set back: the numbers are those of others.
    told.length = 0;
    for (const [seq, mark] of [[901, 5], [902, 6], [901, 5], [903, 7], [902, 6], [904, 8]]) await publish(seq, mark);
    await settles('the last of them', () => told.includes('The 904th8'));
    assert.deepEqual(told, ['The 901th5', 'The 902th6', 'The 903th7', 'The 904th8']);
});
