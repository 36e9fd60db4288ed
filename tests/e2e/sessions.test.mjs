// Several sessions in one game: players choose one by its name when they connect, the launcher runs
// what the directory wants, and nobody notices what happens in another.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { after, before, test } from 'node:test';
import { launchBrowser } from '../support/browser.mjs';
import { Game, Player, hexDistance } from '../support/game.mjs';
import { WORLD_SEED, waitFor } from '../support/servers.mjs';

const TICK_MS = 50;
const LATE_TICKS = 400; // that a busy machine makes up for

let game, operator;

before(async () => {
    game = await Game.start({ test: true, sessions: 4, env: { MMORTS_SOCIAL_MAIL_BOX: '49' } });
    operator = await game.token('operator', { permissions: 512 });
});

after(async () => {
    await game?.stop();
});

// Not the map of `main`, but the same in every run.
const ARENA_SEED = WORLD_SEED === '0' ? '0' : `${WORLD_SEED}1`;
const create = (session, more = {}, key = randomUUID()) =>
    game.call('world', 'CreateSession', { session, key: Buffer.from(key).toString('base64'), ...more }, operator);

async function stateOf(session) {
    const { body } = await game.call('world', 'ListSessions', {});
    return body.sessions.find((one) => one.session === session)?.state?.replace('SESSION_STATE_', '');
}

const listed = (session, state) => waitFor(`${session} ${state}`, async () => (await stateOf(session)) === state);

async function connect(username, session) {
    return new Player(`${game.socketUrl}?session=${session}`, await game.token(username));
}

async function join(username, session) {
    const player = await game.join(username, { url: `${game.socketUrl}?session=${session}` });
    assert.equal(player.welcome.session_id, session);
    return player;
}

async function refused(player, code, word) {
    const error = await player.waitFor('error');
    assert.equal(error.payload.code, word);
    assert.deepEqual(await player.waitClosed(), { code, reason: word });
    assert.ok(!player.messages.some((m) => m.type === 'welcome'), 'refused, yet welcomed');
}

// Orders the scout to a place so far from where it stands, open and in sight, and waits until it is seen to move.
async function march(player, by) {
    const [{ id }] = player.mine('scout');
    const scout = () => player.entities.get(id);
    await player.until('its last order to be carried out', () => scout().data.activity === 'idle');
    const from = scout().pos;
    const isTaken = (hex) => [...player.entities.values()].some((e) => `${e.pos}` === hex);
    const free = [...player.hexes].filter(([hex, { state, terrain }]) => state === 2 && terrain === 'plains' && !isTaken(hex))
        .map(([hex]) => hex.split(',').map(Number));
    // About a home the land is always open. And nobody is to stand in the way.
    const isOpen = (hex) => free.filter((one) => hexDistance(one, from) + hexDistance(one, hex) === by).length >= by
        && [...player.entities.values()].every((e) => e.id === id || hexDistance(e.pos, from) + hexDistance(e.pos, hex) > by);
    const [target] = free.filter((hex) => hexDistance(hex, from) === by && isOpen(hex))
        .sort((a, b) => hexDistance(a, player.welcome.home) - hexDistance(b, player.welcome.home));
    const answer = await player.command('move', { units: [id], target });
    assert.equal(answer.type, 'ack', JSON.stringify(answer));
    await player.until(`a step from ${from} to ${target}`, () => `${scout().pos}` !== `${from}`);
}

// Whatever was said to a player, as one text.
const heard = (player) => player.messages.map((m) => JSON.stringify(m)).join('\n');

test('who may create a session, and which', async () => {
    const body = { session: 'arena', key: Buffer.from('k').toString('base64') };
    assert.equal((await game.call('world', 'CreateSession', body)).status, 401);
    assert.equal((await game.call('world', 'CreateSession', body, await game.token('somebody'))).status, 403);
    assert.equal((await create('Arena!')).status, 400);
    assert.equal((await create('main')).status, 409);
    assert.equal(await stateOf('arena'), undefined);
});

test('a session that nobody runs yet, and one that is not there', async () => {
    // The launcher looks for new sessions; for this moment it does not.
    game.program.signal('SIGSTOP');
    try {
        assert.equal((await create('arena', { max_players: 2, seed: ARENA_SEED }, 'the arena')).status, 200);
        await refused(await connect('early', 'arena'), 1013, 'session_away');
    } finally {
        game.program.signal('SIGCONT');
    }
    await refused(await connect('early', 'elsewhere'), 4404, 'unknown_session');
    await refused(await connect('early', 'x'.repeat(100)), 4404, 'unknown_session');
    await listed('arena', 'RUNNING');
    // Again by the same key: the same one.
    assert.equal((await create('arena', { max_players: 2, seed: ARENA_SEED }, 'the arena')).status, 200);
    assert.equal((await create('arena', { max_players: 3, seed: ARENA_SEED }, 'the arena')).status, 409);
});

test('two sessions at once, through kill -9 of each', { timeout: 300000 }, async () => {
    await waitFor('processes of the arena', () => ['world', 'vision', 'production', 'social']
        .every((name) => game.process(`${name}.arena`)?.state === 'ready'));
    // Settled for the game, so for each of its sessions; the map is the session's own.
    const settings = readFileSync(`/proc/${game.process('social.arena').pid}/environ`, 'utf8').split('\0')
        .filter((entry) => /^MMORTS_(SOCIAL_MAIL_|WORLD_SEED)/.test(entry));
    assert.deepEqual(settings, ['MMORTS_SOCIAL_MAIL_BOX=49']);
    const ada = await join('ada', 'main');
    const both = await join('both', 'main');
    const bob = await join('bob', 'arena');
    const again = await join('both', 'arena'); // the same player in another session: another empire
    await refused(await connect('late', 'arena'), 4429, 'session_full');

    await march(ada, 3);
    await march(bob, 3);
    await march(again, 3);
    bob.chat('the arena is ours');
    ada.chat('the main road');
    await again.waitFor('chat', (m) => m.payload.message === 'the arena is ours');
    await both.waitFor('chat', (m) => m.payload.message === 'the main road');

    // Each session's worlds, talk and people are its own.
    const of = { main: [ada, both], arena: [bob, again] };
    const ids = (players) => new Set(players.flatMap((p) => p.mine().map((e) => e.id)));
    assert.notEqual(both.welcome.empire_id, again.welcome.empire_id);
    assert.ok(ids(of.arena).size > 4);
    for (const [mine, others] of [['main', 'arena'], ['arena', 'main']])
        for (const player of of[mine])
            for (const id of ids(of[others])) assert.ok(!heard(player).includes(id), `${mine} heard of ${id} of ${others}`);
    assert.ok(!heard(ada).includes('the arena is ours') && !heard(bob).includes('the main road'));
    assert.ok(!heard(ada).includes('"bob"') && !heard(bob).includes('"ada"'));

    // A killed world of one session stops nothing in the other; its players go on when it is back.
    for (const [victim, idle, calm] of [['world.arena', bob, ada], ['world', ada, bob], ['vision.arena', bob, ada]]) {
        const { tick } = idle;
        const calmTick = calm.tick, began = performance.now();
        await game.killAndWait(victim);
        await idle.until(`ticks after the kill of ${victim}`, () => idle.tick > tick + 20);
        await calm.until('ticks', () => calm.tick > calmTick);
        const most = calmTick + (performance.now() - began) / TICK_MS + LATE_TICKS;
        assert.ok(calm.tick < most, `its time went on as ever: tick ${calmTick}, then ${calm.tick}, not ${most}`);
        await march(idle, 2);
        await march(calm, 2);
        assert.equal(idle.closed, null);
        assert.equal(calm.closed, null);
    }
    const [[sessions]] = await game.query('world', 'SELECT COUNT(DISTINCT session) FROM journal');
    assert.equal(Number(sessions), 2);
    await waitFor('one room', async () => await game.metric('sync', 'mmorts_sync_rooms') === 1);
    await waitFor('the list for players', async () => {
        const { sessions } = await (await fetch(`${game.url}sessions.json`)).json();
        return JSON.stringify(sessions) === JSON.stringify([
            { session: 'arena', state: 'running', empires: 2, max_players: 2 },
            { session: 'main', state: 'running', empires: 2, max_players: 0 },
        ]);
    });
    await waitFor('four players', async () => await game.metric('sync', 'mmorts_sync_players') === 4);

    // A ban reaches a player wherever it plays.
    const moderator = await game.token('moderator', { permissions: 256 });
    const banned = await game.call('auth', 'Ban', { player_id: bob.welcome.player_id, until_ms: String(Date.now() + 60000), reason: 'e2e' }, moderator);
    assert.equal(banned.status, 200, JSON.stringify(banned.body));
    assert.equal((await bob.waitClosed()).code, 4403);
    for (const player of [ada, both, again]) player.close();
});

test('an ended session', { timeout: 300000 }, async () => {
    assert.equal((await game.call('world', 'EndSession', { session: 'main' }, operator)).status, 400);
    assert.equal((await game.call('world', 'EndSession', { session: 'arena' }, operator)).status, 200);
    await waitFor('end of the arena', () => !game.process('world.arena'));
    await refused(await connect('again', 'arena'), 4404, 'unknown_session');
    await waitFor('a list without it', async () => !(await (await fetch(`${game.url}sessions.json`)).text()).includes('arena'));
    // The game itself goes on, and its place is free.
    const ada = await join('ada', 'main');
    await march(ada, 2);
    ada.close();
    assert.equal((await create('garden')).status, 200);
    await listed('garden', 'RUNNING');
});

test('a world that has not read the directory yet does not say that a session is unknown', { timeout: 300000 }, async () => {
    const letGo = await game.holdLock('world', 'BEGIN', 'SELECT session FROM directory FOR UPDATE');
    try {
        await game.killAndWait('world');
        await refused(await connect('eager', 'garden'), 1013, 'unavailable');
    } finally {
        await letGo();
    }
    (await join('eager', 'garden')).close();
});

test('in the browser: another session is chosen from the list, or by its name', { timeout: 300000 }, async () => {
    await listed('garden', 'RUNNING');
    const browser = await launchBrowser();
    try {
        const faults = [];
        const page = await (await browser.newContext({ viewport: { width: 1366, height: 768 } })).newPage();
        page.on('pageerror', (error) => faults.push(error.message));
        const plays = (session) => page.waitForFunction((name) => window.mmorts?.state.entities.size > 0 &&
            document.querySelector('#session-name').textContent === name && document.querySelector('#login').hidden, session);
        const login = async () => {
            await page.fill('#login-name', 'gus');
            await page.click('#login-button');
        };
        await page.goto(game.url);
        await login();
        await plays('main');
        const home = await page.evaluate(() => window.mmorts.state.empireId);
        const choose = async (session) => {
            await page.click('#session-toggle');
            await page.click(`#session-list button:has(b:text-is("${session}"))`);
            await plays(session);
        };
        // The list is some seconds old at most: the page shows what there is when it is looked at.
        await waitFor('garden in the list', async () => {
            await page.click('#session-toggle');
            await page.waitForSelector('#session-list button');
            const running = await page.evaluate(() => [...document.querySelectorAll('#session-list button')].some((b) => b.textContent.includes('garden') && !b.disabled));
            await page.click('#session-close');
            return running;
        });
        await choose('garden');
        assert.match(page.url(), /[?&]session=garden/);
        assert.notEqual(await page.evaluate(() => window.mmorts.state.empireId), home, 'another world, another empire');
        await choose('main');
        assert.equal(await page.evaluate(() => window.mmorts.state.empireId), home);
        await page.click('#session-toggle');
        await page.fill('#session-id', 'No Such!');
        await page.click('#session-form button');
        await page.waitForFunction(() => document.querySelector('#session-error').textContent.includes('small letters'));
        await page.fill('#session-id', 'nowhere');
        await page.click('#session-form button');
        await page.waitForFunction(() => document.querySelector('#login-error')?.textContent.includes('no such session'));
        await page.click('#login-session');
        await page.click('#session-list button:has(b:text-is("main"))');
        await plays('main'); // without logging in again
        assert.deepEqual(faults, []);
    } finally {
        await browser.close();
    }
});

test('a session whose world cannot be kept running is given up; the game is not', { timeout: 300000 }, async () => {
    const ada = await join('ada', 'main');
    for (let pid = 0; game.process('world.garden').state !== 'failed';) {
        const now = game.process('world.garden').pid;
        if (now && now !== pid) process.kill((pid = now), 'SIGKILL');
        await new Promise((resolve) => setTimeout(resolve, 50));
    }
    assert.equal(game.status().state, 'ready');
    await listed('garden', 'AWAY');
    await refused(await connect('late', 'garden'), 1013, 'session_away');
    await march(ada, 2);
    assert.equal((await game.call('world', 'EndSession', { session: 'garden' }, operator)).status, 200);
    await waitFor('end of the garden', () => !game.process('world.garden'));
    assert.equal(game.status().state, 'ready');
    ada.close();
});

test('a session whose port somebody takes before it listens gets others', { timeout: 300000 }, async () => {
    let session, port, squatter;
    for (let i = 1; !squatter; i++) {
        if (session) await game.call('world', 'EndSession', { session }, operator);
        session = `orchard-${i}`;
        assert.equal((await create(session)).status, 200);
        // Waits for its world, so that there is time; as a rule.
        ({ port } = await waitFor('its vision', () => game.process(`vision.${session}`)));
        squatter = await new Promise((done) => {
            const server = createServer();
            server.once('error', () => done(null));
            server.listen(port, '127.0.0.1', () => done(server));
        });
    }
    await waitFor('another port', () => game.process(`vision.${session}`)?.port !== port && game.process(`vision.${session}`)?.state === 'ready');
    assert.match(game.program.log(), new RegExp(`another program listens at its port ${port}: the session gets others`));
    const ada = await join('ada', session);
    await march(ada, 1);
    ada.close();
    squatter.close();
});
