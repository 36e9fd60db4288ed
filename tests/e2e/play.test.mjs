// Two people play in real browsers, from the login to the chat; what they see is photographed into
// build/screenshots/.

import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { launchBrowser } from '../support/browser.mjs';
import { Game, patience, settings } from '../support/game.mjs';
import { BUILD, waitFor } from '../support/servers.mjs';

const PICTURES = join(BUILD, 'screenshots');
const LAPTOP = { width: 1366, height: 768 };
const PHONE = { width: 412, height: 892 };

let game, browser;
const players = {};

before(async () => {
    mkdirSync(PICTURES, { recursive: true });
    game = await Game.start({ services: settings({ sync: patience }) });
    browser = await launchBrowser();
});

after(async () => {
    await browser?.close();
    await game?.stop();
});

// Opens the page as a new person, logs in through the form, waits for the first full update.
async function enter(name, viewport, options = {}) {
    const context = await browser.newContext({ viewport, ...options });
    const page = await context.newPage();
    const faults = [];
    page.on('pageerror', (error) => faults.push(error.message));
    page.on('console', (message) => message.type() === 'error' && faults.push(message.text()));
    await page.goto(game.url);
    await page.fill('#login-name', name);
    await page.click('#login-button');
    await page.waitForFunction(() => window.mmorts.state.tick > 0 && window.mmorts.state.entities.size > 0);
    players[name] = { page, faults };
    return page;
}

// Evaluated in the page: what the player knows.
const knows = (page) => page.evaluate(() => {
    const { state } = window.mmorts;
    const hexes = [...state.hexes.values()];
    return {
        visible: hexes.filter((h) => h.state === 2).length,
        explored: hexes.length,
        tick: state.tick,
        gold: state.resources.get('gold'),
        mine: [...state.entities.values()].filter((e) => state.isMine(e)).map(({ id, type, kind, pos }) => ({ id, type, kind, pos })),
        others: [...state.entities.values()].filter((e) => e.owner && !state.isMine(e)).length,
    };
});

// Clicks a place of the map, given as a hex, after bringing it to the middle of the screen.
async function clickHex(page, hex) {
    const point = await page.evaluate(([q, r]) => {
        const { view } = window.mmorts;
        view.centerOn([q, r]);
        view.camera.zoom = 1;
        return { x: view.width / 2, y: view.height / 2 };
    }, hex);
    await page.mouse.click(point.x, point.y);
}

test('the form is not sent before the page knows where to', { timeout: 300000 }, async () => {
    const page = await (await browser.newContext({ viewport: LAPTOP })).newPage();
    let release;
    const held = new Promise((resolve) => { release = resolve; });
    await page.route('**/config.json', async (route) => {
        await held;
        await route.continue();
    });
    await page.goto(game.url);
    await page.fill('#login-name', 'hasty');
    await page.press('#login-name', 'Enter');
    assert.ok(await page.isDisabled('#login-button'));
    release();
    await page.click('#login-button'); // as soon as it can be pressed
    await page.waitForFunction(() => window.mmorts.state.entities.size > 0);
    assert.equal(page.url(), game.url);
    await page.context().close();
});

test('two players log in and each sees its own surroundings, black shroud elsewhere', { timeout: 300000 }, async () => {
    const ada = await enter('ada', LAPTOP);
    const bob = await enter('bob', LAPTOP);
    for (const page of [ada, bob]) {
        const known = await knows(page);
        assert.ok(known.visible > 100, `sees ${known.visible} hexes`);
        const types = known.mine.map((e) => e.type);
        for (const type of ['settlement', 'scout', 'worker', 'soldier']) assert.ok(types.includes(type), `${types} has a ${type}`);
    }
    const [a, b] = await Promise.all([ada, bob].map((page) => page.evaluate(() => [...window.mmorts.state.hexes.keys()])));
    assert.ok(a.filter((hex) => !b.includes(hex)).length > 50, 'they see different places');
    // Far from everything the picture is black.
    const dark = await ada.evaluate(() => {
        const { view } = window.mmorts;
        const { x, y } = view.camera;
        Object.assign(view.camera, { x: x + 100000, y: y + 100000 });
        view.draw(0);
        const data = view.ctx.getImageData(0, 0, view.canvas.width, view.canvas.height).data;
        Object.assign(view.camera, { x, y });
        let brightest = 0;
        for (let i = 0; i < data.length; i += 4) brightest = Math.max(brightest, data[i], data[i + 1], data[i + 2]);
        return brightest;
    });
    assert.ok(dark < 20, `shroud is black, brightest ${dark}`);
    await ada.screenshot({ path: join(PICTURES, 'home.png') });
});

test('a scout\'s march opens the fog, and what it leaves behind dims', { timeout: 300000 }, async () => {
    const { page } = players.ada;
    const before = await knows(page);
    const scout = before.mine.find((e) => e.type === 'scout');
    await clickHex(page, scout.pos);
    assert.deepEqual(await page.evaluate(() => [...window.mmorts.view.selected]), [scout.id]);
    // Outwards from home, to a passable hex that is in sight but far.
    const target = await page.evaluate(() => {
        const { state } = window.mmorts;
        const d = (a, b) => Math.max(Math.abs(a[0] - b[0]), Math.abs(a[1] - b[1]), Math.abs(a[0] + a[1] - b[0] - b[1]));
        const free = [...state.hexes.values()].filter((h) => (state.terrains.get(h.terrain)?.cost || 0) > 0 && !state.at([h.q, h.r]).length);
        free.sort((p, o) => d([o.q, o.r], state.home) - d([p.q, p.r], state.home));
        return [free[0].q, free[0].r];
    });
    await clickHex(page, target);
    await waitFor('the scout at its target', async () => {
        const known = await knows(page);
        const now = known.mine.find((e) => e.id === scout.id);
        return now.pos[0] === target[0] && now.pos[1] === target[1];
    });
    const after = await knows(page);
    assert.ok(after.explored > before.explored + 20, `explored ${before.explored} -> ${after.explored}`);
    await page.evaluate((hex) => window.mmorts.view.centerOn(hex), target);
    await page.screenshot({ path: join(PICTURES, 'scouting.png') });
});

test('training a soldier takes gold at once; the soldier appears after its duration', { timeout: 300000 }, async () => {
    const { page } = players.ada;
    const before = await knows(page);
    const settlement = before.mine.find((e) => e.type === 'settlement');
    await clickHex(page, settlement.pos);
    await page.waitForSelector('[data-recipe=train_soldier]');
    const duration = await page.evaluate(() => window.mmorts.state.recipes.find((r) => r.name === 'train_soldier').duration_ticks);
    // The page itself notes what it is told and when: a look from outside may come late.
    await page.evaluate(({ gold }) => {
        const { game, state } = window.mmorts;
        const soldiers = () => state.mine('soldier').length, first = soldiers();
        window.trained = { first };
        game.on('update', ({ tick }) => {
            const [job] = state.jobs.values();
            if (job?.start_tick) window.trained.job ??= { ...job };
            if (state.resources.get('gold') < gold) window.trained.paid ??= { soldiers: soldiers() };
            if (soldiers() > first) window.trained.done ??= { tick, soldiers: soldiers() };
        });
        const look = () => { window.trained.shown ||= document.querySelector('.job progress') !== null; };
        new MutationObserver(look).observe(document.querySelector('#selection'), { childList: true, subtree: true });
    }, before);
    await page.click('[data-recipe=train_soldier]');
    await page.waitForFunction(() => window.trained.shown);
    await page.screenshot({ path: join(PICTURES, 'training.png') });
    const { first, job, paid, done } = await waitFor('the soldier', async () => {
        const trained = await page.evaluate(() => window.trained);
        return trained.done && trained;
    });
    assert.equal(paid.soldiers, first, 'the soldier is not there at once');
    assert.equal(done.soldiers, first + 1);
    assert.equal(job.end_tick - job.start_tick, duration);
    assert.ok(done.tick >= job.end_tick, `begun in tick ${job.start_tick}, there in ${done.tick}, not after ${duration} ticks`);
});

test('both chat and see each other in the roster', { timeout: 300000 }, async () => {
    const { page: ada } = players.ada;
    const { page: bob } = players.bob;
    await ada.fill('#chat-input', 'Hello, neighbour <b>friend</b>!');
    await ada.press('#chat-input', 'Enter');
    await bob.waitForFunction(() => document.querySelector('#chat-log').textContent.includes('Hello, neighbour'));
    assert.equal(await bob.locator('#chat-log b b').count(), 0, 'a message is text, never markup');
    await bob.fill('#chat-input', 'Well met.');
    await bob.press('#chat-input', 'Enter');
    await ada.waitForFunction(() => document.querySelector('#chat-log').textContent.includes('Well met.'));
    await ada.waitForFunction(() => ['ada', 'bob'].every((name) => document.querySelector('#roster-list').textContent.includes(name)));
    await ada.evaluate(() => { window.mmorts.view.centerOn(window.mmorts.state.home); window.mmorts.view.camera.zoom = 0.85; });
    await ada.waitForTimeout(400); // the picture, not the test: lets a few frames be drawn
    await ada.screenshot({ path: join(PICTURES, 'play.png') });
});

test('a reload comes back to the same empire and everything explored', { timeout: 300000 }, async () => {
    const { page } = players.ada;
    const before = await knows(page);
    await page.reload();
    await page.waitForFunction(() => window.mmorts.state.entities.size > 0 && window.mmorts.state.tick > 0);
    const after = await knows(page);
    assert.ok(after.tick >= before.tick);
    assert.ok(after.explored >= before.explored, `explored ${before.explored} -> ${after.explored}`);
    assert.deepEqual(after.mine.map((e) => e.id).sort(), before.mine.map((e) => e.id).sort());
});

test('sync is killed: the page says so and comes back by itself to the same state', { timeout: 300000 }, async () => {
    const { page, faults } = players.ada;
    const before = await knows(page);
    const restarts = game.process('sync').restarts;
    // The outage may be shorter than a look from outside: the page itself notes what it shows.
    await page.evaluate(() => {
        const { state } = window.mmorts;
        window.shown = [];
        const note = () => {
            if (!document.querySelector('#banner').hidden)
                window.shown.push({ text: document.querySelector('#banner-text').textContent, entities: state.entities.size });
        };
        new MutationObserver(note).observe(document.querySelector('#banner'), { attributes: true, childList: true, subtree: true });
    });
    await game.kill('sync');
    await page.waitForFunction(() => window.shown.length > 0);
    await page.screenshot({ path: join(PICTURES, 'reconnecting.png') });
    await page.waitForSelector('#banner', { state: 'hidden' });
    await page.waitForFunction((tick) => window.mmorts.state.tick > tick, before.tick);
    await page.waitForFunction(() => window.mmorts.state.resources.has('gold')); // production's stream may come last
    const shown = await page.evaluate(() => window.shown);
    assert.ok(shown.some(({ text }) => text === 'Reconnecting…'), JSON.stringify(shown));
    assert.ok(shown.every(({ entities }) => entities >= before.mine.length), 'what is known stays on the screen');
    await waitFor('one restart', () => game.process('sync').restarts === restarts + 1);
    const after = await knows(page);
    const ids = ({ mine }) => mine.map((e) => e.id).sort();
    assert.deepEqual(ids(after), ids(before));
    assert.ok(after.explored >= before.explored, `explored ${before.explored} -> ${after.explored}`);
    assert.equal(after.gold, before.gold);
    await page.waitForSelector('#connection[data-state=online]', { state: 'attached' });
    await page.waitForFunction(() => document.querySelector('#roster-list').textContent.includes('bob'));
    // The others are back as well, and what their browsers complained of until then has been told.
    for (const { page: each } of Object.values(players)) await each.waitForFunction((tick) => window.mmorts.state.tick > tick, after.tick);
    // The browser itself complains of the attempts in vain; nothing else may be among the faults.
    const own = faults.filter((fault) => !/WebSocket connection to .* failed/.test(fault));
    for (const { faults: list } of Object.values(players)) list.length = 0;
    assert.deepEqual(own, []);
});

test('a paused session is announced and goes on', { timeout: 300000 }, async () => {
    const { page } = players.ada;
    const { pid } = game.process('mariadb');
    process.kill(pid, 'SIGSTOP'); // nothing can be made durable: the session pauses
    try {
        await page.waitForFunction(() => !document.querySelector('#banner').hidden
            && document.querySelector('#banner-text').textContent === 'The session is paused');
        await page.screenshot({ path: join(PICTURES, 'paused.png') });
    } finally {
        process.kill(pid, 'SIGCONT');
    }
    await page.waitForSelector('#banner', { state: 'hidden' });
    const { tick } = await knows(page);
    await page.waitForFunction((then) => window.mmorts.state.tick > then, tick);
});

test('several kinds selected: counted by kind, and one of them picked', { timeout: 300000 }, async () => {
    const { page } = players.bob;
    const home = await page.evaluate(() => {
        const { view, state, actions } = window.mmorts;
        actions.select([]);
        view.centerOn(state.home);
        view.camera.zoom = 1;
        return { x: view.width / 2, y: view.height / 2 };
    });
    await page.keyboard.down('Shift');
    await page.mouse.move(home.x - 120, home.y - 110);
    await page.mouse.down();
    await page.mouse.move(home.x + 120, home.y + 110, { steps: 4 });
    await page.mouse.up();
    await page.keyboard.up('Shift');
    await page.waitForSelector('.chip[data-type=soldier]');
    assert.equal(await page.locator('.chip').count(), 3);
    await page.screenshot({ path: join(PICTURES, 'selection.png') });
    await page.click('.chip[data-type=worker]');
    await page.waitForFunction(() => document.querySelector('#selection-head').textContent.includes('2 workers'));
    const types = await page.evaluate(() => [...window.mmorts.view.selected].map((id) => window.mmorts.state.entities.get(id).type));
    assert.deepEqual(types, ['worker', 'worker']);
});

test('the queue of a building shows what waits', { timeout: 300000 }, async () => {
    const { page } = players.bob;
    const { mine } = await knows(page);
    await clickHex(page, mine.find((e) => e.type === 'settlement').pos);
    await page.keyboard.press('Escape');
    await clickHex(page, mine.find((e) => e.type === 'settlement').pos);
    await page.waitForSelector('[data-recipe=train_worker]');
    // All in the page, which a slow machine's test may be long behind: five are ordered, and as soon as the page knows of all
    // of them, and shows who waits (four, if none is done by then), the last one is cancelled. What it was told of each is kept.
    const { last, rows, waits, atWork } = await page.evaluate(async () => {
        const { game, state } = window.mmorts;
        const known = new Set();
        window.begun = new Set();
        const look = () => state.jobs.forEach((job) => {
            known.add(job.job);
            if (job.start_tick) window.begun.add(job.job);
        });
        game.on('update', look);
        game.on('change', look);
        const waiting = () => [...state.jobs.values()].filter((job) => !job.start_tick);
        const shown = () => [...document.querySelectorAll('.job.waits button')];
        for (let i = 0; i < 5; i++) document.querySelector('[data-recipe=train_worker]').click();
        while (known.size < 5 || shown().length === 0 || shown().length !== waiting().length) await new Promise(requestAnimationFrame);
        const last = waiting().at(-1).job, rows = shown().length, atWork = document.querySelectorAll('.job progress').length;
        shown().at(-1).click();
        return { last, rows, waits: 5 - window.begun.size, atWork };
    });
    assert.equal(rows, waits, 'those that have not begun wait');
    assert.ok(atWork <= 1, 'one is at work');
    await page.screenshot({ path: join(PICTURES, 'queue.png') });
    await page.waitForFunction((id) => !window.mmorts.state.jobs.has(id) &&
        ![...window.mmorts.state.jobs.values()].some(({ job }) => job === id), last);
    assert.ok(!(await page.evaluate((id) => window.begun.has(id), last)), 'it never began');
});

test('the view follows a drag on the minimap, and every zoom draws something', { timeout: 300000 }, async () => {
    const { page } = players.bob;
    const box = await page.locator('#minimap').boundingBox();
    const camera = () => page.evaluate(() => ({ ...window.mmorts.view.camera }));
    await page.mouse.move(box.x + 30, box.y + 30);
    await page.mouse.down();
    const pressed = await camera();
    await page.mouse.move(box.x + 130, box.y + 90, { steps: 5 });
    await page.mouse.up();
    const dragged = await camera();
    assert.ok(dragged.x > pressed.x + 100 && dragged.y > pressed.y + 50, `${pressed.x},${pressed.y} -> ${dragged.x},${dragged.y}`);
    for (const zoom of [0.2, 0.4, 0.8, 2]) {
        const colors = await page.evaluate(async (value) => {
            const { view, state } = window.mmorts;
            view.centerOn(state.home);
            view.camera.zoom = value;
            // Of each frame a few milliseconds are for new land: a slow machine takes more of them.
            for (const end = performance.now() + 60000; ;) {
                for (let i = 0; i < 20; i++) await new Promise(requestAnimationFrame);
                const { data } = view.ctx.getImageData(0, 0, view.canvas.width, view.canvas.height);
                const seen = new Set();
                for (let i = 0; i < data.length; i += 64) seen.add(data[i] << 16 | data[i + 1] << 8 | data[i + 2]);
                if (seen.size > 100 || performance.now() > end) return seen.size;
            }
        }, zoom);
        assert.ok(colors > 100, `${colors} colours at zoom ${zoom}`);
    }
});

test('it is playable on a phone', { timeout: 300000 }, async () => {
    const page = await enter('cleo', PHONE, { hasTouch: true, isMobile: true, deviceScaleFactor: 2 });
    const known = await knows(page);
    const settlement = known.mine.find((e) => e.type === 'settlement');
    const point = await page.evaluate((pos) => {
        const { view } = window.mmorts;
        view.centerOn(pos);
        view.canvas.addEventListener('pointerdown', () => { window.pressed = { from: performance.now() }; });
        view.canvas.addEventListener('pointerup', () => { window.pressed.ms = performance.now() - window.pressed.from; });
        return { x: view.width / 2, y: view.height / 2 };
    }, settlement.pos);
    // A machine that is busy elsewhere in the middle of it makes a long press of a tap.
    await waitFor('a tap that was short', async () => {
        await page.touchscreen.tap(point.x, point.y);
        return page.evaluate(() => window.pressed.ms < 300);
    });
    await page.waitForSelector('[data-recipe=train_worker]');
    for (const id of ['tick', 'latency', 'connection', 'chat-toggle', 'box-mode']) await page.waitForSelector(`#${id}`, { state: 'visible' });
    const overflow = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
    assert.ok(overflow <= 0, `the page is ${overflow} px too wide`);
    await page.screenshot({ path: join(PICTURES, 'phone.png') });

    assert.ok(!(await page.locator('#chat').isVisible()), 'the chat leaves the map free');
    await players.bob.page.evaluate(() => window.mmorts.actions.chat('Anyone there?'));
    await page.waitForFunction(() => document.querySelector('#chat-unread').textContent === '1');
    await page.locator('#chat-toggle').tap();
    await page.fill('#chat-input', 'Here, on a phone.');
    await page.press('#chat-input', 'Enter');
    await players.bob.page.waitForFunction(() => document.querySelector('#chat-log').textContent.includes('on a phone'));
    assert.ok(!(await page.locator('#chat-unread').isVisible()));
    await page.screenshot({ path: join(PICTURES, 'phone-chat.png') });
    await page.locator('#chat-toggle').tap();

    // A finger draws a box after a long press, or at once while the button is down.
    const draw = (hold) => page.evaluate(async ([x, y, ms]) => {
        const { view, actions } = window.mmorts;
        actions.select([]);
        const send = (type, dx) => view.canvas.dispatchEvent(new PointerEvent(type, {
            pointerId: 7, pointerType: 'touch', isPrimary: true, button: 0, buttons: 1, bubbles: true, clientX: x + dx, clientY: y + dx,
        }));
        view.canvas.setPointerCapture = () => {}; // there is no real finger to capture
        send('pointerdown', -90);
        await new Promise((resolve) => setTimeout(resolve, ms));
        send('pointermove', 90);
        send('pointerup', 90);
        delete view.canvas.setPointerCapture;
        return view.selected.size;
    }, [point.x, point.y, hold]);
    assert.equal(await draw(0), 0, 'a quick drag moves the view');
    await page.evaluate((pos) => window.mmorts.view.centerOn(pos), settlement.pos);
    assert.equal(await draw(600), 6, 'a long press first: a box');
    await page.locator('#box-mode').tap();
    assert.equal(await draw(0), 6, 'with the button down: a box');
    await page.locator('#box-mode').tap();
});

test('the pages had no script errors', () => {
    for (const [name, { faults }] of Object.entries(players)) assert.deepEqual(faults, [], name);
});
