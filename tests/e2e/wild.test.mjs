// Beyond the homes: a scout walks on until it sees a neutral camp, over land that comes into being
// before it. What it finds is photographed into build/screenshots/.

import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { launchBrowser } from '../support/browser.mjs';
import { Game, patience, settings } from '../support/game.mjs';
import { BUILD } from '../support/servers.mjs';

const PICTURES = join(BUILD, 'screenshots');
// Middles of the chunks that are two from every home: from the home in hexes, all round.
const MIDDLES = [[29, -28], [28, 1], [-1, 29], [-29, 28], [-28, -1], [1, -29]];
const LEGS = 10; // to each, of some ten hexes

let game, browser;

before(async () => {
    mkdirSync(PICTURES, { recursive: true });
    game = await Game.start({ services: settings({ sync: patience }), env: { MMORTS_WORLD_SEED: '17' } }); // camps in most of these chunks, also in the first
    browser = await launchBrowser();
});

after(async () => {
    await browser?.close();
    await game?.stop();
});

// Sends the scout to what is known nearest to a place, and waits until it is there; what it sees.
const leg = (page, middle) => page.evaluate(async ([dq, dr]) => {
    const { state, game } = window.mmorts;
    const scout = () => [...state.entities.values()].find((e) => state.isMine(e) && e.type === 'scout');
    const creatures = () => [...state.entities.values()].filter((e) => e.kind === 'npc').map(({ type, pos }) => ({ type, pos }));
    const off = ({ q, r }) => Math.max(...[q - state.home[0] - dq, r - state.home[1] - dr, q + r - state.home[0] - state.home[1] - dq - dr].map(Math.abs));
    const goal = [...state.hexes.values()]
        .filter((h) => (state.terrains.get(h.terrain)?.cost || 0) > 0 && !state.at([h.q, h.r]).length)
        .sort((a, b) => off(a) - off(b))[0];
    const ack = await game.move([scout().id], [goal.q, goal.r]).catch(() => null);
    while (ack && creatures().length === 0 && (state.tick <= ack.tick + 2 || scout().data.activity !== 'idle'))
        await new Promise((resolve) => { game.once('update', resolve); });
    return { creatures: creatures(), at: scout().pos, home: state.home };
}, middle);

test('a scout finds a camp beyond the homes', { timeout: 300000 }, async () => {
    const page = await (await browser.newContext({ viewport: { width: 1366, height: 768 } })).newPage();
    const faults = [];
    page.on('pageerror', (error) => faults.push(error.message));
    await page.goto(game.url);
    await page.fill('#login-name', 'ada');
    await page.click('#login-button');
    await page.waitForFunction(() => window.mmorts.state.tick > 0 && window.mmorts.state.entities.size > 0);
    let found = { creatures: [] };
    for (const middle of MIDDLES) {
        for (let i = 0; i < LEGS && found.creatures.length === 0; i++) found = await leg(page, middle);
    }
    assert.ok(found.creatures.length > 0, `nothing but ${JSON.stringify(found)}`);
    const { pos, type } = found.creatures[0];
    assert.match(type, /^(wolf|wolf_den|bandit|bandit_camp)$/);
    const far = Math.max(Math.abs(pos[0] - found.home[0]), Math.abs(pos[1] - found.home[1]),
        Math.abs(pos[0] + pos[1] - found.home[0] - found.home[1]));
    assert.ok(far > 15, `${type} is ${far} hexes from home`);
    await page.evaluate((at) => {
        window.mmorts.view.centerOn(at);
        window.mmorts.view.camera.zoom = 1;
    }, pos);
    await page.waitForTimeout(300);
    await page.screenshot({ path: join(PICTURES, 'camp.png') });
    assert.deepEqual(faults, []);
});
