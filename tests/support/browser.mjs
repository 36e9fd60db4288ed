// The browser of the tests: Debian's Chromium, without a window, and quiet: it asks nobody for anything.

import { chromium } from 'playwright-core';

// The caller closes it. `more`: further arguments of its command line.
export const launchBrowser = (...more) => chromium.launch({
    executablePath: '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
        '--disable-component-update', '--disable-sync', ...more],
});
