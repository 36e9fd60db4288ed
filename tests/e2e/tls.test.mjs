// The players' port with TLS of its own: programs, a browser, handshakes that never end, a new certificate while
// everybody plays on.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { copyFileSync, cpSync, readFileSync, writeFileSync } from 'node:fs';
import { get } from 'node:https';
import { connect as connectTcp } from 'node:net';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { connect as connectTls } from 'node:tls';
import { launchBrowser } from '../support/browser.mjs';
import { Game, Player, patience, stopReading } from '../support/game.mjs';
import { tempDir, waitFor } from '../support/servers.mjs';

const HANDSHAKES_EACH = 32, SURPLUS = 8;
let game, directory, ca, port, socketUrl;

// A certificate for 127.0.0.1 that signs itself.
function certify(name) {
    const [certificate, key] = [join(directory, `${name}.pem`), join(directory, `${name}.key`)];
    execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2',
        '-keyout', key, '-out', certificate, '-subj', `/CN=${name}`, '-addext', 'subjectAltName=IP:127.0.0.1'], { stdio: 'ignore' });
    return { certificate, key, pem: readFileSync(certificate) };
}

before(async () => {
    directory = tempDir();
    const first = certify('first');
    ca = first.pem;
    copyFileSync(first.certificate, join(directory, 'now.pem'));
    copyFileSync(first.key, join(directory, 'now.key'));
    // The launcher passes no such setting on: sync's own file has to name them.
    const services = join(directory, 'services');
    cpSync('services', services, { recursive: true });
    const yaml = join(services, 'sync/sync.yaml');
    writeFileSync(yaml, patience(readFileSync(yaml, 'utf8')).replace('${MMORTS_SYNC_CERTIFICATE:-}', '../../now.pem')
        .replace('${MMORTS_SYNC_KEY:-}', '../../now.key'));
    game = await Game.start({ test: true, services });
    ({ port } = new URL(game.url));
    socketUrl = `wss://127.0.0.1:${port}/ws`;
});

after(() => game?.stop());

const join_ = (username, options = {}) => game.join(username, { url: socketUrl, ca, ...options });

const plays = async (player) => {
    const answer = await player.command('stop', { units: [player.mine('scout')[0].id] });
    assert.equal(answer.type, 'ack', JSON.stringify(answer));
    const from = player.messages.length;
    await player.waitFor('update', () => true, { from });
};

// The certificate a new connection is shown, and what was agreed on.
function handshake(options = {}) {
    return new Promise((resolve, reject) => {
        const socket = connectTls({ host: '127.0.0.1', port, ca, rejectUnauthorized: false, ...options }, () => {
            resolve({ name: socket.getPeerCertificate().subject.CN, version: socket.getProtocol(), alpn: socket.alpnProtocol });
            socket.destroy();
        });
        socket.on('error', reject);
    });
}

test('a program plays over wss, its server proven by its certificate', async () => {
    const player = await join_('ada');
    await plays(player);
    player.send({ type: 'leave' });
    assert.deepEqual(await player.waitClosed(), { code: 1000, reason: 'leave' });
    const stranger = new Player(socketUrl, 'a.b.c'); // knows no such authority
    await waitFor('refusal', () => stranger.error);
    assert.match(stranger.error.message, /self-signed|certificate/);
});

test('files are served over https', async () => {
    const page = await new Promise((resolve, reject) => {
        get({ host: '127.0.0.1', port, path: '/', ca }, (answer) => {
            let text = '';
            answer.on('data', (data) => { text += data; }).on('end', () => resolve({ status: answer.statusCode, text }));
        }).on('error', reject);
    });
    assert.equal(page.status, 200);
    assert.match(page.text, /<html/);
});

test('TLS 1.2 and 1.3, nothing older and nothing plain', async () => {
    for (const version of ['TLSv1.2', 'TLSv1.3'])
        assert.equal((await handshake({ minVersion: version, maxVersion: version })).version, version);
    await assert.rejects(handshake({ minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' }));
    // Of 1.2 authenticated encryption alone.
    const cipher = (ciphers) => handshake({ maxVersion: 'TLSv1.2', ciphers });
    assert.equal((await cipher('ECDHE-ECDSA-AES256-SHA384:ECDHE-ECDSA-AES128-SHA:ECDHE-ECDSA-AES128-GCM-SHA256')).version, 'TLSv1.2');
    await assert.rejects(cipher('ECDHE-ECDSA-AES256-SHA384:ECDHE-ECDSA-AES128-SHA'), /handshake/);
    assert.equal((await handshake({ ALPNProtocols: ['h2', 'http/1.1'] })).alpn, 'http/1.1');
    await assert.rejects(fetch(`http://127.0.0.1:${port}/config.json`));
});

test('a client that does not read holds nobody up, and is told everything when it reads again', async () => {
    const witness = await join_('witness');
    const sleeper = await join_('sleeper', { compression: false });
    await stopReading(game, sleeper);
    await plays(witness);
    sleeper.socket._socket.resume();
    sleeper.send({ type: 'ping', payload: { timestamp: 99 } });
    await sleeper.waitFor('pong', (m) => m.payload.timestamp === 99);
    await sleeper.until('a whole state', () => sleeper.tick >= witness.tick - 5 && sleeper.mine().length > 0);
    await plays(sleeper);
    for (const player of [witness, sleeper]) player.close();
});

// Clients that begin a handshake and say no more. Who is sent away unheard has its connection reset, for what it said was not read.
function beginHandshakes(count) {
    return Array.from({ length: count }, () => {
        const socket = connectTcp(port, '127.0.0.1');
        const one = { said: false, refused: false, closed: false };
        // The beginning of a ClientHello.
        socket.on('connect', () => socket.write(Buffer.from([0x16, 3, 1]), () => { one.said = true; }));
        socket.on('error', (error) => { one.refused = error.code === 'ECONNRESET'; });
        socket.on('close', () => { one.closed = true; });
        return one;
    });
}

test('handshakes that never end are few and cut off in time; who plays is not touched', { timeout: 600000 }, async () => {
    const player = await join_('patient');
    const { pid } = game.process('sync');
    let silent;
    // Sync finds all of them at once: none runs out before the last has come.
    process.kill(pid, 'SIGSTOP');
    try {
        silent = beginHandshakes(HANDSHAKES_EACH + SURPLUS);
        await waitFor('the beginnings', () => silent.every(({ said }) => said));
    } finally {
        process.kill(pid, 'SIGCONT');
    }
    const refused = () => silent.filter((one) => one.refused).length;
    await waitFor('the surplus to be refused', () => refused() >= SURPLUS);
    await plays(player);
    await waitFor('the end of the others', () => silent.every(({ closed }) => closed));
    assert.equal(refused(), SURPLUS, 'the others were heard');
    await plays(player);
    await plays(await join_('late'));
    player.close();
});

test('a new certificate takes over without a restart; one that is none does not', async () => {
    const player = await join_('steady');
    const { pid } = game.process('sync');
    const shown = async () => (await handshake()).name;
    assert.equal(await shown(), 'first');
    const second = certify('second');
    copyFileSync(second.certificate, join(directory, 'now.pem'));
    process.kill(pid, 'SIGHUP'); // the key is still the first one's
    await waitFor('the complaint', () => /TLS cannot be set up/.test(game.logOf('sync')));
    assert.equal(await shown(), 'first');
    copyFileSync(second.key, join(directory, 'now.key'));
    process.kill(pid, 'SIGHUP');
    await waitFor('the second certificate', async () => await shown() === 'second');
    writeFileSync(join(directory, 'now.pem'), 'nonsense');
    process.kill(pid, 'SIGHUP');
    await plays(player);
    assert.equal(await shown(), 'second');
    await plays(await join_('newcomer', { ca: second.pem }));
    assert.equal(game.process('sync').pid, pid);
    player.close();
});

test('a browser plays over https', async () => {
    const browser = await launchBrowser();
    try {
        const page = await (await browser.newContext({ ignoreHTTPSErrors: true })).newPage();
        const sockets = [];
        page.on('websocket', (socket) => sockets.push(socket.url()));
        await page.goto(`https://127.0.0.1:${port}/`);
        await page.fill('#login-name', 'browser');
        await page.click('#login-button');
        await page.waitForFunction(() => window.mmorts.state.tick > 0 && window.mmorts.state.entities.size > 0);
        assert.ok(sockets.length > 0 && sockets.every((url) => url.startsWith('wss:')), `${sockets}`);
    } finally {
        await browser.close();
    }
});
