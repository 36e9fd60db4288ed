// The page when things come late, twice or at the wrong moment: nothing that a player does is lost, and
// nothing is shown that is not so.

import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import WebSocket from 'ws';
import { GameClient } from '../../services/sync/web/sdk/index.js';
import { launchBrowser, openGame, toasted } from '../support/browser.mjs';
import { Game, patience, settings } from '../support/game.mjs';
import { PATIENCE_MS } from '../support/servers.mjs';

const LAPTOP = { width: 1366, height: 768 };
const faults = [];
let game, browser, ada, page;

before(async () => {
    game = await Game.start({ services: settings({ sync: patience }) });
    browser = await launchBrowser();
    ada = new GameClient({ url: game.socketUrl, token: await game.token('ada'), WebSocket, commandTimeoutMs: PATIENCE_MS });
    await ada.connect();
    page = await openGame(browser, game.url, 'bob', faults);
    await game.knowsName('bob');
});

after(async () => {
    ada?.close();
    await browser?.close();
    await game?.stop();
});

afterEach(() => assert.deepEqual(faults.splice(0), []));

const text = (selector) => page.evaluate((s) => document.querySelector(s)?.textContent, selector);
const shows = (selector, words) => page.waitForFunction(([s, t]) => document.querySelector(s)?.textContent.includes(t), [selector, words]);
const home = () => page.evaluate(() => {
    const { state, view, actions } = window.mmorts;
    view.centerOn(state.home);
    actions.select(state.mine('settlement'));
});

// The answers to the next call of a method of the game come when the test lets them.
const hold = (method) => page.evaluate((name) => {
    const { game: client } = window.mmorts;
    const original = client[name].bind(client);
    window.held = false;
    client[name] = async (...args) => {
        delete client[name];
        const answer = await original(...args);
        await new Promise((resolve) => { window.letGo = resolve; window.held = true; });
        return answer;
    };
}, method);
const letGo = async () => {
    await page.waitForFunction(() => window.held);
    await page.evaluate(() => window.letGo());
    await page.evaluate(() => new Promise((resolve) => { setTimeout(resolve); })); // what hangs on it has gone on
};

test('a key is held until it is let go, wherever that is and whatever it says by then', { timeout: 300000 }, async () => {
    const camera = () => page.evaluate(() => ({ ...window.mmorts.view.camera }));
    const still = async () => {
        const before = await camera();
        await page.evaluate(() => new Promise((resolve) => { requestAnimationFrame(() => requestAnimationFrame(resolve)); }));
        assert.deepEqual(await camera(), before);
    };
    await page.focus('#map');
    await page.keyboard.down('w');
    await page.keyboard.press('Enter');
    await page.keyboard.up('w'); // over the chat's field
    await still();
    await page.keyboard.press('Escape');
    await page.focus('#map');
    await page.keyboard.down('a');
    await page.keyboard.down('Control');
    await page.keyboard.up('a');
    await page.keyboard.up('Control');
    await still();
    // As a keyboard says them: the sign depends on Shift.
    const say = (type, key, code) => page.evaluate(([t, init]) =>
        document.querySelector('#map').dispatchEvent(new KeyboardEvent(t, { ...init, bubbles: true })), [type, { key, code }]);
    await say('keydown', '+', 'Equal');
    await say('keyup', '=', 'Equal');
    await still();
    for (let i = 0; i < 2; i++) {
        await say('keydown', '?', 'Slash');
        await say('keyup', '/', 'Slash');
        assert.ok(await page.evaluate(() => document.querySelector('#help').open), `help, time ${i + 1}`);
        await page.keyboard.press('Escape');
        await page.waitForFunction(() => !document.querySelector('#help').open);
    }
});

test('who is at a button with the keyboard presses it, and stays there when it is drawn anew', { timeout: 300000 }, async () => {
    await home();
    await page.waitForSelector('#selection [data-recipe=train_scout]:not(:disabled)');
    await page.focus('#map');
    await page.keyboard.press('Tab'); // from now on it is the keyboard
    await page.focus('#selection [data-recipe=train_scout]');
    await page.keyboard.press('Enter');
    await page.waitForSelector('#selection .job');
    assert.equal(await page.evaluate(() => document.activeElement.dataset.recipe), 'train_scout');
    assert.equal(await page.evaluate(() => document.activeElement.id === 'chat-input'), false);
    await page.evaluate(() => document.querySelector('#selection .job button').click());
    await page.waitForFunction(() => !document.querySelector('#selection .job'));
    // After a click Enter is for the chat, as ever.
    await page.click('#go-home');
    await page.keyboard.press('Enter');
    assert.equal(await page.evaluate(() => document.activeElement.id), 'chat-input');
    await page.keyboard.press('Escape');
});

test('a place in the list of players that is pressed stays the same until it is let go', { timeout: 300000 }, async () => {
    const row = page.locator('#roster li:has-text("ada")');
    await row.hover();
    await row.locator('.round[title^=Say]').hover();
    await page.mouse.down();
    const cy = await game.join('cy');
    await page.waitForFunction(() => [...window.mmorts.game.players.values()].includes('cy'));
    await page.mouse.up();
    await page.waitForFunction(() => document.querySelector('#chat-input').value === '/w ada ');
    await shows('#roster-list', 'cy');
    cy.close();
    // What was typed already is not thrown away.
    await page.fill('#chat-input', 'half a line');
    await row.hover();
    await row.locator('.round[title^=Say]').click();
    assert.equal(await page.inputValue('#chat-input'), '/w ada half a line');
    await page.fill('#chat-input', '');
});

test('a line of the chat that is refused can be said again', { timeout: 300000 }, async () => {
    for (let i = 0; i < 15; i++) {
        await page.fill('#chat-input', `line ${i}`);
        await page.press('#chat-input', 'Enter');
    }
    await page.waitForFunction(() => /^line /.test(document.querySelector('#chat-input').value));
    const refused = await page.inputValue('#chat-input');
    assert.equal((await text('#chat-log')).includes(refused), false);
    await page.fill('#chat-input', '');
});

test('mail that is written stays, whatever is answered meanwhile', { timeout: 300000 }, async () => {
    for (const subject of ['first', 'second']) await ada.sendMail({ name: 'bob' }, { subject, body: `body of ${subject}` });
    await page.focus('#map');
    await page.keyboard.press('m');
    await shows('#mail', 'second');
    // A mail that was to be read comes when another one is being written.
    await hold('readMail');
    await page.click('#mail .head:has-text("first")');
    await page.click('#mail h2 button.primary');
    await page.fill('#mail [name=to]', 'ada');
    await page.fill('#mail [name=subject]', 'mine');
    await page.fill('#mail textarea', 'long words');
    await letGo();
    assert.equal(await page.inputValue('#mail textarea'), 'long words');
    // The panel is put away and looked at again.
    await page.click('#mail-toggle');
    await page.click('#mail-toggle');
    assert.equal(await page.inputValue('#mail textarea'), 'long words');
    await page.hover('#roster li:has-text("ada")');
    await page.click('#roster li:has-text("ada") .round[title^=Write]');
    assert.deepEqual(await page.evaluate(() => ['to', 'subject', 'body'].map((name) => document.querySelector(`#mail [name=${name}]`).value)), ['ada', 'mine', 'long words']);
    // One that was sent is acknowledged when the next one is being written.
    await hold('sendMail');
    await page.click('#mail [name=send]');
    await page.click('#mail h2 button.icon');
    await page.click('#mail h2 button.primary');
    await page.fill('#mail textarea', 'the next one');
    await letGo();
    await toasted(page, 'Sent.');
    assert.equal(await page.inputValue('#mail textarea'), 'the next one');
    // Of two that are wanted the last one is shown.
    await page.click('#mail .foot button:has-text("Discard")');
    await hold('readMail');
    await page.click('#mail .head:has-text("first")');
    await page.click('#mail .head:has-text("second")');
    await shows('#mail .text', 'body of second');
    await letGo();
    await shows('#mail .text', 'body of second');
    await page.click('#mail h2 button.icon');
    await shows('#mail', 'first');
});

test('mail that came while the line was lost is in the list that is looked at', { timeout: 300000 }, async () => {
    await page.evaluate(() => window.mmorts.connection.close());
    await ada.sendMail({ name: 'bob' }, { subject: 'meanwhile', body: 'b' });
    await page.evaluate(() => { window.mmorts.game.connect(); });
    await shows('#mail .head.unread', 'meanwhile');
    await page.focus('#map');
    await page.keyboard.press('m');
});

test('what there is to choose from can be read', { timeout: 300000 }, async () => {
    await page.click('#alliance-toggle');
    await page.waitForSelector('#alliance select');
    const looks = await page.evaluate(() => ['select', 'input', 'option'].map((one) => {
        const { color, backgroundColor } = getComputedStyle(document.querySelector(`#alliance ${one}`));
        return [color, backgroundColor];
    }));
    assert.deepEqual(looks[0], looks[1]);
    assert.notEqual(looks[2][0], looks[2][1]);
    // The pointer is over the button that is pressed: the dark sign stands on a full ground.
    assert.match(await page.evaluate(() => getComputedStyle(document.querySelector('#alliance-toggle:hover[aria-pressed=true]')).backgroundColor), /^rgb\(/);
    await page.focus('#map');
    await page.keyboard.press('Escape');
    assert.ok(await page.evaluate(() => document.querySelector('#alliance').hidden), 'Escape puts it away');
});

test('what one frame stumbles over does not stop the next', { timeout: 300000 }, async () => {
    await page.evaluate(() => {
        const { view } = window.mmorts;
        const draw = view.draw.bind(view);
        window.drawn = 0;
        view.draw = (now) => {
            if (window.drawn++ === 1) throw new Error('stumbles');
            draw(now);
        };
    });
    await page.waitForFunction(() => window.drawn > 5);
    assert.deepEqual(faults.splice(0), ['stumbles']);
});

test('a page stays its player\'s, whoever logs in in another window of the browser', { timeout: 300000 }, async () => {
    const beside = await page.context().newPage();
    await beside.goto(game.url);
    await beside.waitForFunction(() => window.mmorts.state.entities.size > 0); // the same player, in the newer window
    await shows('#login-error', 'another window');
    assert.ok(await page.evaluate(() => document.querySelector('#chat').inert && !document.querySelector('#login').inert));
    await page.fill('#login-name', 'dan');
    await page.click('#login-button');
    // Nothing of bob's is left for dan.
    await page.waitForFunction(() => window.mmorts?.game.username === 'dan' && window.mmorts.state.entities.size > 0);
    await page.waitForFunction(() => !document.querySelector('#chat-log').textContent.includes('line 1'));
    await beside.evaluate(() => window.mmorts.connection.close());
    await beside.evaluate(() => { window.mmorts.game.connect(); });
    await beside.waitForFunction(() => window.mmorts.connection.state === 'online');
    assert.deepEqual([await beside.evaluate(() => window.mmorts.game.username), await page.evaluate(() => window.mmorts.game.username)], ['bob', 'dan']);
    assert.equal(await page.evaluate(() => window.mmorts.connection.state), 'online');
    await beside.close();
});

test('who cannot come in yet is told why', { timeout: 300000 }, async () => {
    const context = await browser.newContext({ viewport: LAPTOP });
    const late = await context.newPage();
    let isAway = true;
    await late.routeWebSocket(/\/ws/, (line) => {
        if (!isAway) return line.connectToServer();
        line.send(JSON.stringify({ type: 'error', payload: { code: 'session_away', message: 'Nothing runs the session.' } }));
        line.close({ code: 1013, reason: 'session_away' });
    });
    await late.goto(game.url);
    await late.fill('#login-name', 'eve');
    await late.click('#login-button');
    await late.waitForFunction(() => document.querySelector('#login-error').textContent === 'Nothing runs the session. Trying again…');
    isAway = false;
    await late.waitForFunction(() => document.querySelector('#login').hidden);
    await context.close();
});
