// Buildings in a real browser: chosen, placed, worked on, complete, used and given up, by clicks and
// keys; photographed into build/screenshots/. Then the money: whatever is killed between the order and
// the site, a building is paid once or not at all.

import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { launchBrowser, toasted } from '../support/browser.mjs';
import { Game, hexDistance, patience, settings } from '../support/game.mjs';
import { BUILD, waitFor } from '../support/servers.mjs';

const PICTURES = join(BUILD, 'screenshots');
const START = { gold: 500, wood: 400, stone: 200, food: 300 };
const BARRACKS = { wood: 150, stone: 50 };
const TOWER = { wood: 40, stone: 60 };

let game, browser, page;
const faults = [];

before(async () => {
    mkdirSync(PICTURES, { recursive: true });
    game = await Game.start({ services: settings({ sync: patience }) }); // a page does not click again when it is told to try again
    browser = await launchBrowser();
    page = await (await browser.newContext({ viewport: { width: 1366, height: 768 } })).newPage();
    page.on('pageerror', (error) => faults.push(error.message));
    page.on('console', (message) => message.type() === 'error' && faults.push(message.text()));
    await page.goto(game.url);
    await page.fill('#login-name', 'mason');
    await page.click('#login-button');
    await page.waitForFunction(() => window.mmorts.state.tick > 0 && window.mmorts.state.resources.size > 0);
});

after(async () => {
    await browser?.close();
    await game?.stop();
});

const mine = (type) => page.evaluate((name) => window.mmorts.state.mine(name).map(({ id, pos, data, health }) => ({ id, pos, data, health })), type);
const stock = () => page.evaluate(() => Object.fromEntries(window.mmorts.state.resources));

async function pointAt(hex) {
    return page.evaluate(([q, r]) => {
        const { view } = window.mmorts;
        view.centerOn([q, r]);
        view.camera.zoom = 1;
        return { x: view.width / 2, y: view.height / 2 };
    }, hex);
}

async function clickHex(hex, options) {
    const { x, y } = await pointAt(hex);
    await page.mouse.click(x, y, options);
}

// A hex in sight about home on which nothing is, also on the hexes around it; a little further if those at that
// distance are all taken just now.
const freePlace = (distance) => waitFor('a free place', () => page.evaluate((wanted) => {
    const { state } = window.mmorts;
    const d = (a, b) => Math.max(Math.abs(a[0] - b[0]), Math.abs(a[1] - b[1]), Math.abs(a[0] + a[1] - b[0] - b[1]));
    const far = (h) => d([h.q, h.r], state.home);
    const [hex] = [...state.hexes.values()].filter((h) => h.state === 2 && (state.terrains.get(h.terrain)?.cost || 0) > 0 &&
        far(h) >= wanted && far(h) <= wanted + 3 && [...state.entities.values()].every((e) => d(e.pos, [h.q, h.r]) > 1))
        .sort((a, b) => far(a) - far(b));
    return hex && [hex.q, hex.r];
}, distance));

const chooseWorkers = () => page.evaluate(() => window.mmorts.actions.select(window.mmorts.state.mine('worker')));

test('workers build barracks where the player clicks; it costs what the button says', { timeout: 300000 }, async () => {
    await chooseWorkers();
    await page.waitForSelector('[data-build=barracks]');
    await page.screenshot({ path: join(PICTURES, 'build-menu.png') });
    await page.click('[data-build=barracks]');
    const place = await freePlace(3);
    const { x, y } = await pointAt(place);
    await page.mouse.move(x, y);
    await page.waitForFunction(() => window.mmorts.view.placing === 'barracks' && window.mmorts.view.hover);
    await page.waitForTimeout(300); // the picture, not the test
    await page.screenshot({ path: join(PICTURES, 'placing.png') });
    // The page itself notes how it grows: a look from outside may come late.
    await page.evaluate(() => {
        const { game, state } = window.mmorts;
        window.grown = [];
        game.on('update', () => {
            const [site] = state.mine('barracks');
            if (site) window.grown.push([site.data.progress ?? 1000, site.health]);
        });
    });
    await page.mouse.click(x, y);
    const [site] = await waitFor('the site', async () => { const list = await mine('barracks'); return list.length && list; });
    assert.deepEqual(site.pos, place);
    await waitFor('the price taken', async () => {
        const now = await stock();
        return now.wood === START.wood - BARRACKS.wood && now.stone === START.stone - BARRACKS.stone;
    });
    await page.evaluate((id) => window.mmorts.actions.select([window.mmorts.state.entities.get(id)]), site.id);
    await waitFor('half of the work', async () => ((await mine('barracks'))[0].data.progress ?? 1000) > 450);
    await page.waitForTimeout(300); // the picture, not the test
    await page.screenshot({ path: join(PICTURES, 'site.png') });
    await waitFor('barracks', async () => ((await mine('barracks'))[0].data.progress ?? 1000) === 1000);
    assert.equal((await mine('barracks'))[0].health, 800);
    const grown = await page.evaluate(() => window.grown);
    const [begun] = grown, half = grown.filter(([progress]) => progress > begun[0] + 50 && progress < 1000);
    assert.ok(begun[0] < 1000, `it is not complete at once: ${begun}`);
    assert.ok(half.length > 0 && half.every(([, health]) => health > begun[1] && health < 800), `health grows from ${begun}: ${half[0]} to ${half.at(-1)}`);
    await toasted(page, 'Barracks complete');
});

test('what is complete trains, and sends those trained to its rally point', { timeout: 300000 }, async () => {
    const [barracks] = await mine('barracks');
    const before = (await mine('soldier')).map(({ id }) => id);
    await clickHex(barracks.pos);
    await page.waitForSelector('[data-recipe=train_soldier]');
    const rally = await freePlace(5);
    await clickHex(rally, { button: 'right' });
    await waitFor('the rally point', async () => `${(await mine('barracks'))[0].data.target}` === `${rally}`);
    await page.click('[data-recipe=train_soldier]');
    await page.screenshot({ path: join(PICTURES, 'barracks.png') });
    await waitFor('the soldier at the rally point', async () =>
        (await mine('soldier')).some(({ id, pos }) => !before.includes(id) && `${pos}` === `${rally}`));
});

test('a site that is given up gives back its price', { timeout: 300000 }, async () => {
    const { wood, stone } = await stock();
    await chooseWorkers();
    await page.keyboard.press('b'); // the first kind, then on to the tower
    for (let i = 0; i < 3 && await page.evaluate(() => window.mmorts.view.placing) !== 'tower'; i++) await page.keyboard.press('b');
    const place = await freePlace(4);
    await clickHex(place);
    const [site] = await waitFor('the site', async () => { const list = await mine('tower'); return list.length && list; });
    await waitFor('the price taken', async () => (await stock()).wood === wood - TOWER.wood);
    // Nobody works on it any more: it is not complete however long this takes.
    await page.evaluate(() => window.mmorts.game.stop(window.mmorts.state.mine('worker').map(({ id }) => id)));
    await page.evaluate((id) => window.mmorts.actions.select([window.mmorts.state.entities.get(id)]), site.id);
    // A click takes its time, and what the panel says may change meanwhile.
    await page.hover('#give-up');
    await page.mouse.down();
    await page.evaluate(async () => {
        window.mmorts.state.emit('change', { what: 'jobs', detail: [] });
        for (let i = 0; i < 3; i++) await new Promise((done) => { requestAnimationFrame(done); });
    });
    await page.mouse.up();
    await waitFor('the price back', async () => {
        const now = await stock();
        return now.wood === wood && now.stone === stone && (await mine('tower')).length === 0;
    });
});

test('patrols walk on and on; a place out of sight is refused in words', { timeout: 300000 }, async () => {
    const [soldier] = await mine('soldier');
    await clickHex(soldier.pos);
    await page.keyboard.press('p');
    const ends = [soldier.pos, await freePlace(2)];
    await clickHex(ends[1]);
    for (const end of [ends[1], ends[0], ends[1]])
        await waitFor(`the patrol at ${end}`, async () =>
            hexDistance((await mine('soldier')).find(({ id }) => id === soldier.id).pos, end) <= 1);
    // Far from where anybody walks: what is in the fog for the page may be in the soldier's sight by now.
    const error = await page.evaluate(async () => {
        const { game, state } = window.mmorts;
        const workers = state.mine('worker').map((e) => e.id);
        return game.build(workers, 'tower', [state.home[0] + 16, state.home[1]]).then(() => null, (e) => e.code);
    });
    assert.equal(error, 'not_seen');
    assert.deepEqual(faults, []);
});

// --- the money ----------------------------------------------------------------------------------

// Played with the usual settings: what takes too long is answered so.
let usual;
const beginAnew = () => usual ??= (async () => {
    await page.close();
    await game.stop();
    game = await Game.start();
})();

// Sends a command until it is answered for good, under one number, through whatever dies meanwhile.
async function insist(player, command, fields) {
    const seq = player.nextSeq++;
    for (;;) {
        const answer = await player.command(command, fields, seq).catch(() => null);
        if (answer && !['unavailable', 'timeout', 'rate_limited', 'paused'].includes(answer.payload.code)) return answer;
        await new Promise((resolve) => setTimeout(resolve, 200));
    }
}

// Of a place about the settlement that was not used yet.
function place(player, used) {
    const [home] = player.mine('settlement');
    for (const key of player.hexes.keys()) {
        const hex = key.split(',').map(Number);
        const near = hexDistance(hex, home.pos);
        const taken = [...player.entities.values()].some((e) => hexDistance(e.pos, hex) < 1);
        if (near < 3 || near > 5 || taken || used.has(key) || player.hexes.get(key).terrain !== 'plains') continue;
        used.add(key);
        return hex;
    }
    throw new Error('no place left');
}

const cost = (towers) => Object.fromEntries(Object.entries(START).map(([item, amount]) => [item, amount - towers * (TOWER[item] ?? 0)]));

async function settled(player, towers) {
    const wanted = cost(towers);
    await waitFor(`a stock less ${towers} towers`, () => Object.entries(wanted).every(([item, amount]) => player.resources[item] === amount))
        .catch((error) => { throw new Error(`${JSON.stringify(player.resources)}, not ${JSON.stringify(wanted)}`, { cause: error }); });
}

test('killed between the order and the payment, or the payment and the site: paid once, built once', { timeout: 300000 }, async () => {
    await beginAnew();
    const player = await game.join('miser');
    const used = new Set();
    const workers = () => player.mine('worker').map(({ id }) => id);
    const towers = () => player.mine('tower').length;
    for (const [round, victim] of ['world', 'production', 'world'].entries()) {
        // Production stands still with the bill on its way to it, and one of the two is killed.
        const { pid } = game.process('production'), target = place(player, used);
        process.kill(pid, 'SIGSTOP');
        const given = insist(player, 'build', { units: workers(), building: 'tower', target });
        await new Promise((resolve) => setTimeout(resolve, 300));
        if (victim === 'production') {
            await game.killAndWait('production');
        } else {
            game.kill('world');
            process.kill(pid, 'SIGCONT');
        }
        let answer = await given;
        // Where a restart takes long it is paid too late, and comes back; then it is built by one who waits for nobody.
        if (answer.payload.code === 'expired') {
            await settled(player, round);
            assert.equal(towers(), round);
            answer = await insist(player, 'build', { units: workers(), building: 'tower', target: place(player, used) });
        }
        assert.equal(answer.type, 'ack', `round ${round}: ${JSON.stringify(answer.payload)}`);
        await waitFor(`tower ${round + 1}`, () => towers() === round + 1);
        await settled(player, round + 1);
    }
    const refused = await insist(player, 'build', { units: workers(), building: 'tower', target: place(player, used) });
    assert.equal(refused.payload.code, 'cannot_afford', 'stone is used up');
    assert.equal(towers(), 3);
    await settled(player, 3);
    player.terminate();
});

// The launcher restarts a service four times within half a minute.
test('killed at any moment, again and again: the ledger adds up', { timeout: 300000 }, async () => {
    await beginAnew();
    const player = await game.join('gambler');
    const used = new Set();
    const workers = () => player.mine('worker').map(({ id }) => id);
    for (let round = 0; round < 4; round++) {
        const victim = round % 2 ? 'world' : 'production';
        // Once it is begun nobody works on it: it is not complete when it is given up, however long a restart takes.
        const building = insist(player, 'build', { units: workers(), building: 'tower', target: place(player, used) }).then(async (answer) => {
            if (answer.type === 'ack') assert.equal((await insist(player, 'stop', { units: workers() })).type, 'ack');
            return answer;
        });
        await new Promise((resolve) => setTimeout(resolve, [40, 70, 100, 130][round]));
        await game.killAndWait(victim);
        const answer = await building;
        // Too late is possible on a slow machine, and then it has come back.
        assert.ok(answer.type === 'ack' || answer.payload.code === 'expired', JSON.stringify(answer.payload));
        const [site] = answer.type === 'ack' ? await player.until('the site', () => { const list = player.mine('tower'); return list.length && list; }) : [];
        if (!site) continue;
        assert.equal((await insist(player, 'cancel_build', { building: site.id })).type, 'ack');
        await player.until('the site is gone', () => player.mine('tower').length === 0);
    }
    // What was paid too late comes back when it has been paid, which may be after the answer.
    let sums;
    await waitFor('a ledger that adds up', async () => {
        await settled(player, 0);
        sums = await game.query('production', `SELECT item, SUM(delta) FROM ledger WHERE empire =
            (SELECT MAX(empire) FROM empires) GROUP BY item`);
        return Object.entries(START).every(([item, sum]) => sums.some((row) => row[0] === item && Number(row[1]) === sum));
    }).catch((error) => { throw new Error(`the ledger has ${JSON.stringify(sums)}`, { cause: error }); });
    assert.equal(sums.length, Object.keys(START).length);
    player.terminate();
});
