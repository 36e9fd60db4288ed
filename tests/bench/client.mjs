// The web client's frame time with much to show, in a headless browser that has no graphics card:
//
//   node tests/bench/client.mjs
//
// 5,000 explored hexes, 300 entities that walk all the time, 20 updates a second, the view panning. Prints
// figures as the other benchmarks do and writes them to build/bench/client.json. `draw` is what the page
// itself spends, `frame` the time between two pictures, which a busy machine makes longer.

import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { extname, join } from 'node:path';
import { createRequire } from 'node:module';
import { BUILD, ROOT } from '../support/servers.mjs';

const { chromium } = createRequire(join(ROOT, 'tests/'))('playwright-core');
const WEB = join(ROOT, 'services/sync/web');
const TYPES = { '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml', '.json': 'application/json' };
const HEXES = 5000, ENTITIES = 300, FRAMES = 240;

const server = createServer((request, response) => {
    const path = request.url === '/' ? '/index.html' : request.url;
    if (path === '/config.json') return response.setHeader('Content-Type', TYPES['.json']).end('{"login_url":"http://127.0.0.1:1"}');
    try {
        const body = readFileSync(join(WEB, path));
        return response.setHeader('Content-Type', TYPES[extname(path)]).end(body);
    } catch {
        return response.writeHead(404).end();
    }
});
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));

const browser = await chromium.launch({
    executablePath: '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
});
const page = await (await browser.newContext({ viewport: { width: 1366, height: 768 } })).newPage();
await page.goto(`http://127.0.0.1:${server.address().port}/`);
await page.waitForFunction(() => window.mmorts);

// Runs in the page. Messages go in where the socket would give them.
function play({ hexes, entities, frames, zoom }) {
    const { game, view, state } = window.mmorts;
    const say = (message) => game.connection.emit('message', message);
    const side = Math.ceil(Math.sqrt(hexes));
    const at = (i) => [(i % side) - Math.floor(i / side / 2), Math.floor(i / side)];
    const terrains = ['plains', 'plains', 'forest', 'hills', 'lake'];
    const all = Array.from({ length: hexes }, (_, i) => ({ hex: at(i), terrain: terrains[(i * 7919 >> 3) % 5] }));
    const units = Array.from({ length: entities }, (_, i) => ({
        id: `unit_${i}`, type: ['scout', 'worker', 'soldier'][i % 3], kind: 'unit', owner: `empire_${i % 5}`, health: 40,
        pos: at(Math.floor(i * hexes / entities)), data: { activity: 'moving' },
    }));
    say({ type: 'welcome', payload: { player_id: '1', username: 'ada', empire_id: 'empire_0', home: at(hexes / 2 + side / 2), next_seq: 1, session_status: { state: 'running' } } });
    say({ type: 'map', tick_rate: 20, terrains: terrains.map((name) => ({ name, cost: 100 })), recipes: [],
        types: ['scout', 'worker', 'soldier'].map((name) => ({ name, kind: 'unit', health: 60, ticks_per_hex: 8 })) });
    say({ type: 'explored_hexes', hexes: all });
    say({ type: 'update', tick: 1, full: true, appeared: units, vision: all.filter((_, i) => i % 3).map(({ hex }) => ({ hex, state: 2 })) });

    let tick = 1;
    const ticker = setInterval(() => {
        tick++;
        const moved = units.filter((_, i) => (i + tick) % 8 === 0).map((unit) => {
            unit.pos = [unit.pos[0] + (tick >> 3 & 1 ? 1 : -1), unit.pos[1]];
            return { id: unit.id, pos: unit.pos };
        });
        const vision = all.slice(tick * 40 % hexes, tick * 40 % hexes + 40).map(({ hex }) => ({ hex, state: 1 + tick % 2 }));
        say({ type: 'update', tick, changed: moved, vision });
    }, 50);
    const draw = [], frame = [];
    const drawView = view.draw.bind(view);
    view.draw = (now) => {
        const start = performance.now();
        drawView(now);
        draw.push(performance.now() - start);
    };
    view.centerOn(state.home);
    view.camera.zoom = zoom;
    return new Promise((resolve) => {
        let last = performance.now();
        const step = (now) => {
            frame.push(now - last);
            last = now;
            view.pan(Math.sin(frame.length / 40) * 14, Math.cos(frame.length / 40) * 9);
            if (frame.length < frames) return requestAnimationFrame(step);
            clearInterval(ticker);
            delete view.draw;
            return resolve({ draw: draw.slice(30), frame: frame.slice(30), hexes: state.hexes.size, entities: state.entities.size });
        };
        requestAnimationFrame(step);
    });
}

const figures = {};
const quantile = (values, q) => [...values].sort((a, b) => a - b)[Math.floor(q * (values.length - 1))];
console.log(`web client: ${HEXES} explored hexes, ${ENTITIES} walking entities, 20 updates a second, 1366x768, no GPU`);
for (const [name, zoom] of [['near', 1], ['mid', 0.5], ['far', 0.2]]) {
    const result = await page.evaluate(play, { hexes: HEXES, entities: ENTITIES, frames: FRAMES, zoom });
    assert.deepEqual([result.hexes, result.entities], [HEXES, ENTITIES]);
    for (const what of ['draw', 'frame'])
        for (const [label, q] of [['p50', 0.5], ['p99', 0.99]]) figures[`client.${what}.${name}.${label}`] = quantile(result[what], q);
}
for (const [name, value] of Object.entries(figures)) console.log(`${name} ${value.toFixed(2)} ms`);
mkdirSync(join(BUILD, 'bench'), { recursive: true });
writeFileSync(join(BUILD, 'bench/client.json'), `${JSON.stringify(figures, null, 2)}\n`);
await browser.close();
server.close();
