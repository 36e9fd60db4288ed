// World and vision as real processes that speak mutual TLS: calls and the tick stream pass, and
// whoever has no certificate of the authority, or shows another's name, stays outside.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { connect } from 'node:tls';
import { ROOT, freePort, servicesEnv, startMariadb, startProgram, tempDir, waitFor } from '../support/servers.mjs';

const directory = tempDir();
const file = (name) => join(directory, name);
let mariadb, another;

function openssl(...args) {
    execFileSync('openssl', args, { cwd: directory, stdio: ['ignore', 'ignore', 'pipe'] });
}

function makeAuthority(name) {
    openssl('req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2',
        '-subj', `/CN=${name}`, '-keyout', `${name}.key`, '-out', `${name}.crt`);
}

// NAME.pem: certificate and key in one file, as rpc.tls.cert_key wants them.
function makeCertificate(name, authority, host, days = 2) {
    openssl('req', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-subj', `/CN=${name}`,
        '-keyout', `${name}.key`, '-out', `${name}.csr`);
    writeFileSync(file(`${name}.ext`), `subjectAltName=DNS:${host}\n`);
    openssl('x509', '-req', '-in', `${name}.csr`, '-CA', `${authority}.crt`, '-CAkey', `${authority}.key`,
        '-set_serial', '1', '-days', String(days), '-extfile', `${name}.ext`, '-out', `${name}.crt`);
    writeFileSync(file(`${name}.pem`), readFileSync(file(`${name}.crt`)) + readFileSync(file(`${name}.key`)));
}

async function addresses() {
    const env = await servicesEnv(['world', 'vision', 'auth', 'social'], { mariadb, directory });
    for (const name of Object.keys(env).filter((key) => /_(RPC|STREAM)$/.test(key)))
        env[name] = `tls+tcp://localhost:${await freePort()}`;
    return { ...env, MMORTS_TLS_CA: file('house.crt') };
}

function start(name, env, certificate) {
    const program = startProgram(`mmorts-${name}`, ['--config', join(ROOT, `services/${name}/${name}.yaml`)],
        { env: { ...env, MMORTS_TLS_CERT_KEY: file(`${certificate}.pem`) } });
    program.http = `http://${env[`MMORTS_${name.toUpperCase()}_HTTP`]}`;
    return program;
}

const ready = (program) => program.waitReady(`${program.http}/readyz`);
const waitingFor = async (program) => (await (await fetch(`${program.http}/readyz`)).json()).waiting_for;

async function metric(program, name) {
    const text = await (await fetch(`${program.http}/metrics`)).text();
    const line = text.split('\n').find((candidate) => candidate.startsWith(`${name} `));
    assert.ok(line, `no metric ${name}`);
    return Number(line.slice(name.length + 1));
}

// Resolves with whether the server, after the handshake, speaks to whoever shows this certificate:
// nng greets first. With none, or a stranger's, it hangs up.
function isGreeted(url, certificate) {
    const { hostname, port } = new URL(url.replace('tls+tcp', 'https'));
    const pem = certificate && readFileSync(file(`${certificate}.pem`));
    return new Promise((done) => {
        const socket = connect({
            host: '127.0.0.1', port, servername: hostname, rejectUnauthorized: false,
            ...(pem && { cert: pem, key: pem }),
        });
        const end = (greeted) => {
            done(greeted);
            socket.destroy();
        };
        socket.once('data', (data) => end(data.subarray(0, 3).equals(Buffer.from([0, 0x53, 0x50]))));
        socket.once('error', () => end(false));
        socket.once('close', () => end(false));
        socket.once('secureConnect', () => socket.write(Buffer.from([0, 0x53, 0x50, 0, 0, 0x30, 0, 0])));
    });
}

before(async () => {
    [mariadb, another] = await Promise.all([startMariadb(), startMariadb()]);
    makeAuthority('house');
    makeAuthority('stranger');
    makeCertificate('world', 'house', 'localhost');
    makeCertificate('vision', 'house', 'localhost');
    makeCertificate('elsewhere', 'house', 'elsewhere.example');
    makeCertificate('intruder', 'stranger', 'localhost');
    makeCertificate('old', 'house', 'localhost', -1);
    writeFileSync(file('mixed.pem'), readFileSync(file('vision.crt')) + readFileSync(file('world.key')));
});

after(() => Promise.all([mariadb?.stop(), another?.stop()]));

test('calls and streams pass between services with certificates, and nobody else is let in', async () => {
    const env = await addresses();
    const world = start('world', env, 'world');
    const vision = start('vision', env, 'vision');
    await Promise.all([ready(world), ready(vision)]);
    assert.equal(await metric(vision, 'mmorts_peer_connected{peer="world"}'), 1);

    assert.equal(await isGreeted(env.MMORTS_WORLD_RPC, 'vision'), true, 'a peer of the house is greeted');
    assert.equal(await isGreeted(env.MMORTS_WORLD_RPC, null), false, 'without a certificate: RPC');
    assert.equal(await isGreeted(env.MMORTS_WORLD_RPC, 'intruder'), false, "a stranger's certificate: RPC");
    assert.equal(await isGreeted(env.MMORTS_WORLD_STREAM, null), false, 'without a certificate: stream');
    assert.equal(await isGreeted(env.MMORTS_WORLD_STREAM, 'intruder'), false, "a stranger's certificate: stream");

    // They are there for one another again after a restart.
    await world.kill();
    const again = start('world', env, 'world');
    await ready(again);
    await ready(vision);
    assert.deepEqual(await vision.stop(), { code: 0, signal: null });

    // A process with a stranger's certificate runs, but never gets to world.
    const intruder = start('vision', env, 'intruder');
    await waitFor('an answer', async () => (await waitingFor(intruder)).length === 1);
    assert.equal(await metric(intruder, 'mmorts_peer_connected{peer="world"}'), 0);
    assert.deepEqual(await intruder.stop(), { code: 0, signal: null });
    assert.deepEqual(await again.stop(), { code: 0, signal: null });
});

test("a server by name has to show that name; by number, the authority's word is enough", async () => {
    const env = await addresses();
    const world = start('world', env, 'elsewhere');
    await ready(world);
    // With a database of its own: of two visions of one session the later one would take it over.
    const byName = start('vision', { ...env, MMORTS_DB_PORT: String(another.port), MMORTS_DB_PASSWORD: another.password }, 'vision');
    await waitFor('an answer', async () => (await waitingFor(byName)).length > 0);

    const byNumber = { ...env, MMORTS_VISION_HTTP: `127.0.0.1:${await freePort()}` };
    for (const name of ['MMORTS_WORLD_RPC', 'MMORTS_WORLD_STREAM']) {
        byNumber[name] = env[name].replace('localhost', '127.0.0.1');
    }
    for (const name of ['MMORTS_VISION_RPC', 'MMORTS_VISION_STREAM']) {
        byNumber[name] = `tls+tcp://127.0.0.1:${await freePort()}`;
    }
    const vision = start('vision', byNumber, 'vision');
    await ready(vision);
    assert.equal(await metric(byName, 'mmorts_peer_connected{peer="world"}'), 0);
    assert.deepEqual(await byName.stop(), { code: 0, signal: null });
    assert.deepEqual(await vision.stop(), { code: 0, signal: null });
    assert.deepEqual(await world.stop(), { code: 0, signal: null });
});

test('--check-config tells what is missing', async () => {
    const env = await addresses();
    const check = async (changes) => {
        const program = startProgram('mmorts-vision',
            ['--config', join(ROOT, 'services/vision/vision.yaml'), '--check-config'],
            { env: { ...env, MMORTS_TLS_CERT_KEY: file('vision.pem'), ...changes } });
        const { code } = await program.wait();
        return `${code} ${program.log().replaceAll(/^.*vision.yaml:\d+: /gm, '').trim()}`;
    };
    assert.equal(await check({}), '0 OK');
    assert.equal(await check({ MMORTS_TLS_CA: '' }), '2 rpc.tls.ca: is needed for tls+tcp:// addresses');
    assert.equal(await check({ MMORTS_TLS_CERT_KEY: '' }), '2 rpc.tls.cert_key: is needed for tls+tcp:// addresses');
    for (const [setting, name, why] of [
        ['MMORTS_TLS_CA', 'none.crt', 'rpc.tls.ca: %s cannot be read'],
        ['MMORTS_TLS_CA', 'vision.key', 'rpc.tls.ca: %s holds no certificate'],
        ['MMORTS_TLS_CERT_KEY', 'none.pem', 'rpc.tls.cert_key: %s cannot be read'],
        ['MMORTS_TLS_CERT_KEY', 'vision.key', 'rpc.tls.cert_key: %s holds no certificate'],
        ['MMORTS_TLS_CERT_KEY', 'vision.crt', 'rpc.tls.cert_key: %s holds no private key without a pass phrase'],
        ['MMORTS_TLS_CERT_KEY', 'mixed.pem', "rpc.tls.cert_key: %s holds a private key that is not its first certificate's"],
        ['MMORTS_TLS_CERT_KEY', 'old.pem', 'rpc.tls.cert_key: %s holds a certificate that has expired'],
    ]) {
        assert.equal(await check({ [setting]: file(name) }), `2 ${why.replace('%s', file(name))}`);
    }
    assert.match(await check({ MMORTS_WORLD_RPC: 'world:7110' }), /^2 peers.world: must be tcp:/);
});
