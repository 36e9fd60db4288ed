// The browser of the tests: Debian's Chromium, without a window, and quiet: it asks nobody for anything.

import { chromium } from 'playwright-core';
import { PATIENCE_MS } from './servers.mjs';

// The caller closes it. `more`: further arguments of its command line. Whatever is waited for in its pages is
// waited for with patience.
export async function launchBrowser(...more) {
    const browser = await chromium.launch({
        executablePath: '/usr/bin/chromium',
        timeout: PATIENCE_MS,
        // A container's /dev/shm may be too small for it.
        args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
            '--disable-component-update', '--disable-sync', '--disable-dev-shm-usage', ...more],
    });
    const newContext = browser.newContext.bind(browser);
    browser.newContext = async (options) => {
        const context = await newContext(options);
        context.setDefaultTimeout(PATIENCE_MS);
        await context.addInitScript(noteToasts);
        return context;
    };
    return browser;
}

// Runs in each page: what is shown for a few seconds only is kept for who looks later.
function noteToasts() {
    window.toasted = [];
    const note = (records) => records.forEach(({ target, addedNodes }) => {
        if (target.id === 'toasts') window.toasted.push(...[...addedNodes].map((node) => node.textContent));
    });
    new MutationObserver(note).observe(document, { childList: true, subtree: true });
}

// The page shows, or has shown, a word on the edge of the map that has this text.
export const toasted = (page, text) =>
    page.waitForFunction((part) => window.toasted.some((one) => one.includes(part)), text);

// The page of a player who has just logged in, in a context of its own. What the page complains of is added to `faults`.
export async function openGame(browser, url, name, faults) {
    const page = await (await browser.newContext({ viewport: { width: 1366, height: 768 } })).newPage();
    page.on('pageerror', (error) => faults.push(error.message));
    page.on('console', (message) => message.type() === 'error' && faults.push(message.text()));
    await page.goto(url);
    await page.fill('#login-name', name);
    await page.click('#login-button');
    await page.waitForFunction(() => window.mmorts.state.entities.size > 0);
    return page;
}
