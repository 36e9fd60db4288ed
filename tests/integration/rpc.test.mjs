// The client that was written from docs/rpc.md against the C server; and the same server over HTTP.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import test from 'node:test';
import { decode, encode, requestEnvelope, RpcClient, StreamReader } from '../support/rpc.mjs';
import { BUILD, freePort, ROOT, startProgram, tempDir, waitFor } from '../support/servers.mjs';

const ECHO = 'mmorts.test.Echo';
const NEVER = '18446744073709551615'; // so many calls are never carried out
const rejectsWith = (promise, code) => assert.rejects(promise, (error) => error.code === code);

async function startServer({ tcp = true, epoch = 5, ring = 0, urls = null } = {}) {
    const directory = tempDir();
    const addresses = urls ?? {
        rpc: tcp ? `tcp://127.0.0.1:${await freePort()}` : `ipc://${directory}/rpc`,
        stream: tcp ? `tcp://127.0.0.1:${await freePort()}` : `ipc://${directory}/stream`,
        http: `127.0.0.1:${await freePort()}`,
    };
    const server = startProgram(join(BUILD, 'tests/integration/plain_rpc'), [
        '--serve', addresses.rpc,
        `stream=${addresses.stream}`, `http=${addresses.http}`, `epoch=${epoch}`, `ring=${ring}`,
    ]);
    await server.waitLog('serving');
    return Object.assign(server, addresses, { urls: addresses });
}

for (const tcp of [true, false]) {
    test(`calls over ${tcp ? 'tcp' : 'ipc'}`, async (t) => {
        const server = await startServer({ tcp });
        const client = new RpcClient(server.rpc, { service: 'from-js' });
        t.after(() => (client.close(), server.kill()));

        const reply = await client.call(
            `${ECHO}/Echo`,
            { text: 'grüße', data: Buffer.from([0, 255]), value: '18446744073709551615' },
            {
                deadlineMs: 60000,
                playerId: '12345678901',
                traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
            },
        );
        assert.equal(reply.text, 'grüße');
        assert.deepEqual(reply.data, Buffer.from([0, 255]));
        assert.equal(reply.value, 18446744073709551615n);
        assert.equal(reply.caller_service, 'from-js');
        assert.equal(reply.caller_player_id, 12345678901n);
        assert.ok(reply.deadline_left_ms > 1000 && reply.deadline_left_ms <= 60000, `${reply.deadline_left_ms} ms`);
        assert.match(reply.traceparent, /^00-0af7651916cd43dd8448eb211c80319c-(?!b7ad6b7169203331)/);

        // Replies in any order: the slow one holds nobody up. The first two are held until the last is carried out.
        const order = [];
        const after = Number(reply.executions) + 3;
        await Promise.all(
            [{ after, delay_ms: 1000 }, { after, delay_ms: 20 }, {}].map(async (fields, i) => {
                await client.call(`${ECHO}/Echo`, fields);
                order.push(i);
            }),
        );
        assert.deepEqual(order, [2, 1, 0]);

        // A reply of many TCP segments.
        const large = await client.call(`${ECHO}/Echo`, { reply_bytes: 5_000_000 });
        assert.equal(large.data.length, 5_000_000);
    });
}

test('every error code, details, deadlines, unknown methods', async (t) => {
    const server = await startServer();
    const client = new RpcClient(server.rpc);
    t.after(() => (client.close(), server.kill()));
    for (let code = 1; code <= 16; code++) {
        await assert.rejects(client.call(`${ECHO}/Echo`, { fail_code: code, text: 'x' }), (error) => {
            assert.equal(error.reason, 'failed as asked: x');
            assert.deepEqual(error.details, { asked: 'yes' });
            return true;
        });
    }
    await rejectsWith(client.call(`${ECHO}/Echo`, { after: NEVER }, { deadlineMs: 50 }), 'DEADLINE_EXCEEDED');
    const raw = (method, options, body = Buffer.alloc(0)) =>
        client.exchange(requestEnvelope(method, body, { deadlineMs: 60000, ...options }), 60000);
    await rejectsWith(raw(`${ECHO}/Nothing`, {}), 'UNIMPLEMENTED');
    await rejectsWith(raw('Echo', {}), 'INVALID_ARGUMENT');
    await rejectsWith(raw(`${ECHO}/Echo`, { deadlineMs: 0 }), 'INVALID_ARGUMENT');
    await rejectsWith(raw(`${ECHO}/Echo`, { requestId: Buffer.alloc(3) }), 'INVALID_ARGUMENT');
    await rejectsWith(raw(`${ECHO}/Echo`, {}, Buffer.from([0x0a, 1, 0xff])), 'INVALID_ARGUMENT');
    await rejectsWith(client.exchange(Buffer.from('garbage'), 60000), 'INVALID_ARGUMENT');
    assert.equal((await raw(`${ECHO}/Echo`, {})).code, 'OK');
});

test('a repeated request id of a mutating method is answered from memory', async (t) => {
    const server = await startServer();
    const client = new RpcClient(server.rpc);
    t.after(() => (client.close(), server.kill()));
    const requestId = randomBytes(16);
    const first = await client.call(`${ECHO}/Add`, { value: 1 }, { requestId });
    const second = await client.call(`${ECHO}/Add`, { value: 1 }, { requestId });
    assert.equal(first.executions, 1n);
    assert.equal(second.executions, 1n);
    const other = await client.call(`${ECHO}/Add`, { value: 1 });
    assert.equal(other.executions, 2n);
    await rejectsWith(client.call(`${ECHO}/Add`, { value: 2 }, { requestId }), 'INVALID_ARGUMENT');
});

test('a killed server: retried only if idempotent', async (t) => {
    const server = await startServer();
    const client = new RpcClient(server.rpc);
    t.after(() => client.close());
    const { process } = await client.call(`${ECHO}/Echo`);
    // That process does not answer, and has begun both when it dies: those that come behind them count them.
    const [plain, retried] = [{}, { idempotent: true }].map((options) =>
        client.call(`${ECHO}/Echo`, { not_from: process }, { deadlineMs: 120000, ...options }),
    );
    const plainFails = rejectsWith(plain, 'UNAVAILABLE');
    let asked = 0n;
    await waitFor('both to begin', async () => (await client.call(`${ECHO}/Echo`)).executions === 3n + ++asked);
    await server.kill();
    await plainFails;
    const next = await startServer({ urls: server.urls });
    t.after(() => next.kill());
    assert.equal((await retried).process, next.pid);
});

test('a client that is closed ends its calls at once, also those that would try again', async (t) => {
    const server = await startServer();
    const [client, nowhere] = [server.rpc, `tcp://127.0.0.1:${await freePort()}`].map((url) => new RpcClient(url));
    t.after(() => (client.close(), nowhere.close(), server.kill()));
    const ends = (one, fields) => assert.rejects(one.call(`${ECHO}/Echo`, fields, { idempotent: true }), { code: 'UNAVAILABLE' });
    const held = ends(client, { after: NEVER }), unsent = ends(nowhere);
    await client.call(`${ECHO}/Echo`); // which comes behind the one that is held
    const begun = ends(client);
    client.close();
    nowhere.close();
    await Promise.all([held, unsent, begun, ends(client)]);
});

test('hostile connections do not disturb the others', async (t) => {
    const server = await startServer();
    const client = new RpcClient(server.rpc);
    t.after(() => (client.close(), server.kill()));
    const port = Number(server.rpc.split(':').pop());
    const hello = Buffer.from([0, 0x53, 0x50, 0, 0, 0x30, 0, 0]);
    const huge = Buffer.from('ffffffffffffffff', 'hex');
    const oversize = Buffer.from('0000000000200000', 'hex');
    for (const bytes of [
        Buffer.from('GET / HTTP/1.1\r\n\r\n'),
        Buffer.from([0, 0x53, 0x50, 0, 0, 0x20, 0, 0]), // a PUB socket
        Buffer.concat([hello, huge]),
        Buffer.concat([hello, oversize]),
        Buffer.concat([hello, Buffer.alloc(8)]), // a message without an id
    ]) {
        const socket = connect(port, '127.0.0.1');
        const closed = new Promise((done) => socket.once('close', done));
        socket.on('error', () => {});
        socket.resume();
        socket.write(bytes);
        await closed; // by the server
        assert.equal((await client.call(`${ECHO}/Echo`, { text: 'still there' })).text, 'still there');
    }
});

// --- streams ---------------------------------------------------------------------------------------

// A reader that checks that nothing is missing and nothing twice.
function follow(server, client, options = {}) {
    const seen = { value: 0n, messages: 0, snapshots: 0 };
    const reader = new StreamReader({
        url: server.stream,
        client,
        stream: 'echo',
        session: 'main',
        silenceMs: 100,
        ...options,
        onMessage({ body, tick }) {
            const { value } = decode('mmorts.test.EchoRequest', body);
            if (seen.snapshots > 0 || seen.messages > 0) assert.equal(value, seen.value + 1n);
            assert.equal(tick, value);
            seen.value = value;
            seen.messages++;
        },
        onSnapshot({ body }) {
            seen.value = decode('mmorts.test.EchoRequest', body).value;
            seen.snapshots++;
        },
    });
    const reach = (value) =>
        waitFor(`value ${value}`, () => seen.value === BigInt(value) && reader.state === 'LIVE');
    return { reader, seen, reach };
}

for (const tcp of [true, false]) {
    test(`a stream over ${tcp ? 'tcp' : 'ipc'}: live, gaps, a burst larger than all buffers`, async (t) => {
        const server = await startServer({ tcp, ring: 100000 });
        const client = new RpcClient(server.rpc);
        const { reader, seen, reach } = follow(server, client);
        t.after(() => (reader.close(), client.close(), server.kill()));
        const publish = (count) => client.call(`${ECHO}/PublishTo`, { value: count });
        await reach(0);
        for (let i = 1; i <= 20; i++) {
            await publish(1);
            await reach(i);
        }
        assert.equal(seen.messages, 20);
        assert.equal(seen.snapshots, 1);
        await publish(20000);
        await reach(20020);
        assert.equal(seen.messages, 20020);
        assert.equal(seen.snapshots, 1);
    });
}

test('a stream whose ring is passed, and whose publisher restarts', async (t) => {
    const server = await startServer({ ring: 8 });
    const client = new RpcClient(server.rpc);
    const { reader, seen, reach } = follow(server, client);
    t.after(() => (reader.close(), client.close()));
    await reach(0);
    // Far more than the sockets hold; a reader that kept up all the same is passed by some later burst.
    for (let bursts = 1; seen.snapshots < 2 && bursts <= 50; bursts++) {
        await client.call(`${ECHO}/PublishTo`, { value: 20000 });
        await reach(bursts * 20000);
    }
    assert.ok(seen.snapshots >= 2, `${seen.snapshots} snapshots`);
    await server.kill();
    await waitFor('state DOWN', () => reader.state === 'DOWN');
    const next = await startServer({ urls: server.urls, epoch: 6 });
    t.after(() => next.kill());
    await waitFor('the new epoch', () => reader.epoch === 6n && reader.state === 'LIVE');
    assert.equal(seen.value, 0n); // a new process has published nothing
    await client.call(`${ECHO}/PublishTo`, { value: 3 });
    await reach(3);
});

test('a reader goes on where it stopped', async (t) => {
    const server = await startServer({ epoch: 77 });
    const client = new RpcClient(server.rpc);
    await client.call(`${ECHO}/PublishTo`, { value: 50 });
    const { reader, seen, reach } = follow(server, client, { epoch: 77n, seq: 20n });
    t.after(() => (reader.close(), client.close(), server.kill()));
    await reach(50);
    assert.equal(seen.messages, 30);
    assert.equal(seen.snapshots, 0);
});

// --- the page itself -------------------------------------------------------------------------------

// The hexadecimal examples of docs/rpc.md, in order: lines of an indented block, comments cut off.
function examplesOfThePage() {
    const blocks = [];
    let block = null;
    for (const line of readFileSync(join(ROOT, 'docs/rpc.md'), 'utf8').split('\n')) {
        const hex = /^ {4,}((?:[0-9a-f]{2} )*[0-9a-f]{2})(?: {2,}.*)?$/.exec(line);
        if (hex) {
            block ??= [];
            block.push(hex[1].replaceAll(' ', ''));
        } else if (block) {
            blocks.push(Buffer.from(block.join(''), 'hex'));
            block = null;
        }
    }
    return blocks.filter((bytes) => bytes.length > 8);
}

test('the examples of the page are what is sent', () => {
    const framed = (payload) => {
        const length = Buffer.alloc(8);
        length.writeBigUInt64BE(BigInt(payload.length));
        return Buffer.concat([length, payload]);
    };
    const id = Buffer.from('80000001', 'hex');
    const body = encode('mmorts.stream.ReplayRequest', { stream: 'tick', session: 'main', from_seq: 1 });
    const request = requestEnvelope('mmorts.stream.Stream/Replay', body, {
        deadlineMs: 1000,
        requestId: Buffer.from('000102030405060708090a0b0c0d0e0f', 'hex'),
        caller: { service: 'example' },
    });
    const replay = encode('mmorts.stream.ReplayReply', { epoch: 5, oldest_seq: 1, snapshot_needed: true });
    const expected = [
        framed(Buffer.concat([id, request])),
        framed(Buffer.concat([id, encode('mmorts.rpc.Reply', { body: replay })])),
        framed(Buffer.concat([id, encode('mmorts.rpc.Reply', {
            code: 5, message: 'no stream x of session main here' })])),
        framed(encode('mmorts.stream.StreamMessage', {
            stream: 'tick', session: 'main', epoch: 5, seq: 1, tick: 1200, body: Buffer.from([10, 0]) })),
    ];
    assert.deepEqual(examplesOfThePage(), expected);
});

// --- HTTP ------------------------------------------------------------------------------------------

test('the same methods over HTTP', async (t) => {
    const server = await startServer();
    t.after(() => server.kill());
    const post = async (path, body, headers = {}) => {
        const response = await fetch(`http://${server.http}/rpc/${path}`, {
            method: 'POST',
            headers: { 'Content-Type': 'application/json', ...headers },
            body: typeof body === 'string' || body instanceof Uint8Array ? body : JSON.stringify(body),
        });
        const bytes = Buffer.from(await response.arrayBuffer());
        const isJson = response.headers.get('content-type').startsWith('application/json');
        return { status: response.status, body: isJson ? JSON.parse(bytes) : bytes, response };
    };
    const as = (token) => ({ Authorization: `Bearer ${token}` });

    let answer = await post('Echo/Echo', { text: 'ü', value: '7', replyBytes: 0 });
    assert.equal(answer.status, 200);
    assert.equal(answer.body.text, 'ü');
    assert.equal(answer.body.value, '7');
    assert.equal((await post(`${ECHO}/Echo`, '')).status, 200); // the full name, an empty body

    // Who may.
    answer = await post('Echo/Add', {});
    assert.deepEqual([answer.status, answer.body.code], [401, 'UNAUTHENTICATED']);
    assert.equal(answer.response.headers.get('www-authenticate'), 'Bearer');
    assert.equal((await post('Echo/Add', {}, as('nonsense'))).status, 401);
    assert.equal((await post('Echo/Add', {}, { Authorization: 'Basic eDp5' })).status, 401);
    assert.equal((await post('Echo/Add', {}, as('away'))).status, 503);
    answer = await post('Echo/Add', {}, as('player-7'));
    assert.deepEqual([answer.status, answer.body.callerPlayerId], [200, '7']);
    assert.equal((await post('Echo/Secret', {}, as('player-7'))).status, 403);
    assert.equal((await post('Echo/Secret', {}, as('secret-7'))).status, 200);
    // Without a policy only the operator may: the streams' methods too.
    assert.equal((await post('Echo/Operate', {}, as('secret-7'))).status, 403);
    assert.equal((await post('Echo/Operate', {}, as('operator-7'))).status, 200);
    assert.equal((await post('Stream/Replay', { stream: 'echo', session: 'main' }, as('player-7'))).status, 403);
    answer = await post('Stream/Replay', { stream: 'echo', session: 'main' }, as('operator-7'));
    assert.deepEqual(answer.body, { epoch: '5', oldestSeq: '1', snapshotNeeded: true });

    // Errors.
    answer = await post('Echo/Echo', { failCode: 5, text: 'x' });
    assert.equal(answer.status, 404);
    assert.deepEqual(answer.body, { code: 'NOT_FOUND', message: 'failed as asked: x', details: { asked: 'yes' } });
    answer = await post('Echo/Echo', { nothing: 1 });
    assert.deepEqual([answer.status, answer.body.message], [400, 'nothing: no such field']);
    assert.equal((await post('Echo/Echo', '{')).status, 400);
    assert.equal((await post('Echo/Nothing', {})).status, 501);
    assert.equal((await post('Echo/Echo', 'x=1', { 'Content-Type': 'text/plain' })).status, 400);
    assert.equal((await post('Echo/Echo', { text: 'x'.repeat(1 << 20) })).status, 413);
    assert.equal((await post('Echo/Echo', {}, { 'X-Deadline-Ms': '0' })).status, 400);
    assert.equal((await fetch(`http://${server.http}/rpc/Echo/Echo`)).status, 405);

    // The request id; packed messages.
    const id = { ...as('player-7'), 'X-Request-Id': randomBytes(16).toString('hex') };
    const first = await post('Echo/Add', { text: 'once' }, id);
    const second = await post('Echo/Add', { text: 'once' }, id);
    assert.equal(first.body.executions, second.body.executions);
    answer = await post('Echo/Echo', encode('mmorts.test.EchoRequest', { text: 'packed' }), {
        'Content-Type': 'application/protobuf' });
    assert.equal(decode('mmorts.test.EchoReply', answer.body).text, 'packed');

    // Clients that leave before the answer, which is held until they have left.
    const clients = 20;
    const after = String(Number((await post('Echo/Echo', {})).body.executions) + 2 * clients);
    await Promise.all(Array.from({ length: clients }, async () => {
        const signal = AbortSignal.timeout(20);
        await assert.rejects(fetch(`http://${server.http}/rpc/Echo/Echo`, { method: 'POST', signal,
            headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ after }) }));
    }));
    for (let i = 0; i < 2 * clients; i++) assert.equal((await post('Echo/Echo', {})).status, 200);
});

test('GET /rpc describes what there is', async (t) => {
    const server = await startServer();
    t.after(() => server.kill());
    const description = await (await fetch(`http://${server.http}/rpc`)).json();
    const echo = description.services.find((service) => service.name === ECHO);
    const secret = echo.methods.find((method) => method.name === 'Secret');
    assert.deepEqual(secret, {
        name: 'Secret', path: '/rpc/Echo/Secret', input: `${ECHO}Request`, output: `${ECHO}Reply`,
        access: 'permission', permission: '4', mutating: false, idempotent: false,
    });
    const access = Object.fromEntries(echo.methods.map((method) => [method.name, method.access]));
    assert.deepEqual(access, {
        Echo: 'public', Add: 'player', Secret: 'permission', Operate: 'operator', PublishTo: 'public' });
    const reply = description.messages.find((message) => message.name === 'mmorts.stream.ReplayReply');
    assert.deepEqual(reply.fields.at(-1), {
        name: 'messages', json: 'messages', number: 5, type: 'message', repeated: true,
        of: 'mmorts.stream.StreamMessage' });
});
