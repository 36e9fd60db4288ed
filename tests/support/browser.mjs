// The browser of the tests: Debian's Chromium, without a window, and quiet: it asks nobody for anything.

import { chromium } from 'playwright-core';

// The caller closes it. `more`: further arguments of its command line.
export const launchBrowser = (...more) => chromium.launch({
    executablePath: '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
        '--disable-component-update', '--disable-sync', ...more],
});

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
