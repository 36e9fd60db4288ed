// Several connections of one player: what becomes of them is the operators' choice.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import WebSocket from 'ws';
import { GameClient } from '../../services/sync/web/sdk/index.js';
import { Game, Player, patience, settings } from '../support/game.mjs';
import { PATIENCE_MS, pause, waitFor } from '../support/servers.mjs';

const connections = (word) => (text) => text.replace('MMORTS_SYNC_CONNECTIONS:-replace', `MMORTS_SYNC_CONNECTIONS:-${word}`);
const policy = (word) => settings({ sync: (text) => patience(connections(word)(text)) });

async function connect(game, name, options) {
    return new Player(game.socketUrl, await game.token(name), options);
}

async function refused(player, code, word) {
    assert.equal((await player.waitFor('error')).payload.code, word);
    assert.deepEqual(await player.waitClosed(), { code, reason: word });
    assert.ok(!player.messages.some((m) => m.type === 'welcome'));
}

// A client that is asked whether it lives has this time to answer: more than a busy machine holds up a living one for.
const ANSWER_MS = 30000;
const answers = (ms) => (text) => text.replace('answer: 4s', `answer: ${ms / 1000}s`).replace('idle: 45s', 'idle: 600s');

// Comes in; or resolves with the refusal.
async function knock(game, name, url = game.socketUrl) {
    const player = new Player(url, await game.token(name));
    await player.until('an answer', () => player.welcome || player.closed);
    if (player.welcome) return { player };
    const { payload } = await player.waitFor('error');
    return { refusal: payload, closed: player.closed };
}

test('one connection at a time: the second is refused, not the first', { timeout: 300000 }, async () => {
    const game = await Game.start({ services: settings({ sync: (text) => answers(ANSWER_MS)(connections('refuse')(text)) }) });
    try {
        const first = await game.join('ada');
        const pings = [];
        first.socket.on('ping', (data) => pings.push(`${data}`));
        // Nobody knows yet whether the first one lives: the second is to come again when that is known.
        const { refusal, closed } = await knock(game, 'ada');
        assert.equal(refusal.code, 'already_connected');
        assert.deepEqual(closed, { code: 4409, reason: 'already_connected' });
        assert.ok(refusal.retry_after_ms > 0 && refusal.retry_after_ms <= ANSWER_MS + 250, `${refusal.retry_after_ms}`);
        // It does: there is nothing to come again for.
        await waitFor('a refusal for good', async () => {
            const again = await knock(game, 'ada');
            assert.equal(again.refusal?.code, 'already_connected');
            if (again.refusal.retry_after_ms === undefined) return true;
            await pause(1000);
            return false;
        });
        await refused(await connect(game, 'ada'), 4409, 'already_connected');
        assert.equal(pings[0], 'mmorts?');
        const { tick } = first;
        await first.until('more ticks', () => first.tick > tick);
        const other = await game.join('bob');
        first.close();
        await first.waitClosed();
        const again = await game.join('ada');
        assert.equal(again.welcome.empire_id, first.welcome.empire_id);
        assert.equal(other.closed, null);
    } finally {
        await game.stop();
    }
});

// The line of a connection breaks without a word: its socket neither reads nor answers any more, and says nothing.
const breakLine = (player) => player.socket._socket.pause();

// Comes again and again until it is let in; resolves with the player and with the refusals.
async function insist(game, name, url) {
    const refusals = [];
    const player = await waitFor('the next one in', async () => {
        const answer = await knock(game, name, url);
        if (!answer.refusal) return answer.player;
        refusals.push(answer.refusal);
        await pause(Math.min(answer.refusal.retry_after_ms, 1000));
        return null;
    });
    return { player, refusals };
}

// The one that broke has made way for the next one, which plays.
async function tookOver(dead, player) {
    await player.waitFor('update', (m) => m.full);
    const answer = await player.command('stop', { units: [player.mine('scout')[0].id] });
    assert.equal(answer.type, 'ack', JSON.stringify(answer));
    assert.equal(dead.closed, null, 'it knows of nothing');
    dead.socket._socket.resume();
    assert.equal((await dead.waitClosed()).code, 1006);
    assert.equal(player.closed, null);
}

for (const [word, code] of [['refuse', 'already_connected'], ['allow', 'too_many_connections']]) {
    test(`a connection that is silently dead keeps its player out for a moment only (${word})`, { timeout: 300000 }, async () => {
        const one = (text) => text.replace('connections_max: 4', 'connections_max: 1');
        const game = await Game.start({ services: settings({ sync: (text) => one(answers(1000)(connections(word)(text))) }) });
        try {
            const witness = await game.join('witness');
            const dead = await game.join('ada');
            breakLine(dead);
            const { player, refusals } = await insist(game, 'ada');
            assert.ok(refusals.length >= 1, 'the dead one may have lived');
            for (const refusal of refusals) {
                assert.equal(refusal.code, code);
                assert.ok(refusal.retry_after_ms > 0 && refusal.retry_after_ms <= 1250, `${refusal.retry_after_ms}`);
            }
            await tookOver(dead, player);
            assert.equal(witness.closed, null);
        } finally {
            await game.stop();
        }
    });
}

test('one connection at a time: one that is silently dead at another process keeps its player out for a moment only', { timeout: 300000 }, async () => {
    // The other process lives, however busy the machine is.
    const silent = (text) => text.replace('MMORTS_SYNC_SILENT:-4s', 'MMORTS_SYNC_SILENT:-600s');
    const services = settings({
        sync: (text) => silent(answers(1000)(connections('refuse')(text))),
        social: (text) => text.replace('MMORTS_SOCIAL_LEASE:-15s', 'MMORTS_SOCIAL_LEASE:-600s'),
    });
    const game = await Game.start({ services });
    let other;
    try {
        other = await game.startSync({}, services);
        const { player: dead } = await insist(game, 'ada', other.socketUrl);
        await dead.waitFor('update', (m) => m.full);
        breakLine(dead);
        const { player, refusals } = await insist(game, 'ada');
        assert.ok(refusals.length >= 1, 'the dead one may have lived');
        for (const refusal of refusals) assert.equal(refusal.code, 'already_connected');
        await tookOver(dead, player);
    } finally {
        await other?.program.kill();
        await game.stop();
    }
});

// No lease ends and nobody is cut off for silence while this goes on, so what a player is waiting for is that the other
// process counts as dead: after a time that a busy machine does not hold up a living one for.
const SILENT_MS = 20000;
const patient = () => settings({
    sync: (text) => connections('refuse')(text).replace('MMORTS_SYNC_SILENT:-4s', `MMORTS_SYNC_SILENT:-${SILENT_MS / 1000}s`)
        .replace('idle: 45s', 'idle: 600s').replace('answer: 4s', `answer: ${ANSWER_MS / 1000}s`),
    social: (text) => text.replace('MMORTS_SOCIAL_LEASE:-15s', 'MMORTS_SOCIAL_LEASE:-600s'),
});

// Comes in by itself as soon as it may; resolves with the client and with the refusals on the way.
async function enter(game, name) {
    const client = new GameClient({ url: game.socketUrl, token: () => game.token(name), WebSocket, commandTimeoutMs: PATIENCE_MS });
    const refusals = [];
    client.on('retry', ({ error }) => error && refusals.push(error));
    await client.connect();
    for (const { code, retryAfterMs } of refusals) {
        assert.equal(code, 'already_connected');
        assert.ok(retryAfterMs > 0 && retryAfterMs <= SILENT_MS, `${retryAfterMs}`);
    }
    return { client, refusals };
}

test('one connection at a time: a process that is stopped, or dies, keeps its players from others for a moment only', { timeout: 600000 }, async () => {
    const services = patient();
    const game = await Game.start({ services });
    let other;
    try {
        other = await game.startSync({}, services);
        const witness = await game.join('witness');
        const come = () => game.join('ada', { url: other.socketUrl });
        const older = await come();
        const rival = await connect(game, 'ada');
        await refused(rival, 4409, 'already_connected');
        const { retry_after_ms: after } = rival.messages.find((m) => m.type === 'error').payload;
        assert.ok(after > 0 && after <= SILENT_MS, `${after}`);
        assert.equal(older.closed, null);

        // Stopped it can say nothing, neither to its player nor to social.
        other.program.signal('SIGSTOP');
        const { client: newer } = await enter(game, 'ada');
        assert.equal(older.closed, null, 'its process does not know yet');
        other.program.signal('SIGCONT');
        assert.deepEqual(await older.waitClosed(), { code: 4409, reason: 'replaced' });
        await refused(new Player(other.socketUrl, await game.token('ada')), 4409, 'already_connected');
        const [scout] = newer.state.mine('scout');
        assert.ok((await newer.move([scout.id], [scout.pos[0] + 1, scout.pos[1]])).tick > 0);
        const left = witness.waitFor('player_left', (m) => m.payload.username === 'ada');
        newer.close();
        await left;
        assert.equal(witness.messages.filter((m) => m.type === 'player_joined' && m.payload.username === 'ada').length, 1,
            'who changes the process does not come and go');

        const last = await come();
        await other.program.kill();
        assert.equal((await last.waitClosed()).code, 1006);
        const { client: again } = await enter(game, 'ada');
        again.close();
    } finally {
        await other?.program.kill();
        await game.stop();
    }
});

test('several connections of one player', async (t) => {
    const game = await Game.start({ services: policy('allow') });
    try {
        await several(t, game);
    } finally {
        await game.stop();
    }
});

const picture = (player) => JSON.stringify([
    [...player.entities.values()].map((e) => [e.id, e.pos, e.owner, e.health, Boolean(e.is_stale)]).sort(),
    [...player.hexes].map(([hex, { state, terrain }]) => [hex, state, terrain]).sort(),
    Object.entries(player.resources).sort(),
]);

async function several(t, game) {
    const first = await game.join('ada');
    const second = await game.join('ada', { compression: false });
    const bob = await game.join('bob');
    const count = (player, type, find) => player.messages.filter((m) => m.type === type && find(m)).length;

    await t.test('both are told the same', async () => {
        assert.equal(first.welcome.empire_id, second.welcome.empire_id);
        const [scout] = first.mine('scout');
        const [q, r] = scout.pos;
        const from = second.messages.length;
        const answer = await first.command('move', { units: [scout.id], target: [q + 4, r] });
        assert.equal(answer.type, 'ack', JSON.stringify(answer));
        const moved = (player) => player.until('a march', () => {
            const now = player.entities.get(scout.id);
            return `${now.pos}` !== `${[q, r]}` && now.data.activity === 'idle';
        });
        await Promise.all([moved(first), moved(second)]);
        await first.until('the same picture', () => picture(first) === picture(second));
        assert.equal(count({ messages: second.messages.slice(from) }, 'ack', () => true), 0, 'who did not ask is not answered');
    });

    await t.test('chat reaches each connection once, and who joined is told once', async () => {
        bob.chat('hello, both of you');
        const heard = (player) => player.waitFor('chat', (m) => m.payload.message === 'hello, both of you');
        await Promise.all([heard(first), heard(second), heard(bob)]);
        bob.chat('and again');
        await Promise.all([first, second, bob].map((p) => p.waitFor('chat', (m) => m.payload.message === 'and again')));
        for (const player of [first, second, bob])
            assert.equal(count(player, 'chat', (m) => m.payload.message === 'hello, both of you'), 1);
        await Promise.all([first, second].map((p) => p.hears('joined', bob.welcome.player_id)));
        for (const player of [first, second])
            assert.equal(count(player, 'player_joined', (m) => m.payload.username === 'bob'), 1);
        assert.ok(count(first, 'player_joined', (m) => m.payload.username === 'ada') <= 1);
    });

    await t.test('groups and jobs are told to both', async () => {
        const made = await first.command('group', { action: 'create', name: 'The Lot', tag: 'LOT', policy: 'open' });
        assert.equal(made.type, 'ack', JSON.stringify(made));
        await Promise.all([first, second].map((p) => p.waitFor('group_created')));
        await Promise.all([first, second].map((p) => p.waitFor('groups', (m) => m.payload.groups.length === 1)));
        const [settlement] = second.mine('settlement');
        const trained = await second.command('train', { building: settlement.id, recipe: 'train_scout', cycles: 1 });
        if (trained.type === 'ack')
            await Promise.all([first, second].map((p) => p.until('the job', () => p.jobs.has(trained.payload.job))));
        else
            assert.match(trained.payload.code, /unknown_recipe|not_enough|wrong_building/);
    });

    await t.test('orders given on both at the same time are all carried out, once', async () => {
        assert.ok(Math.abs(first.welcome.next_seq - second.welcome.next_seq) >= 2 ** 20);
        const [scout] = first.mine('scout');
        const [q, r] = scout.pos;
        const orders = [];
        for (let i = 0; i < 40; i++) {
            const player = i % 2 ? first : second;
            const seq = player.nextSeq++;
            const command = i % 3 ? ['move', { units: [scout.id], target: [q + (i % 4), r] }] : ['stop', { units: [scout.id] }];
            orders.push({ player, seq, command, answer: player.command(...command, seq) });
            if (i % 8 === 7) await pause(250);
        }
        const ticks = [];
        for (const { answer } of orders) {
            const { type, payload } = await answer;
            assert.equal(type, 'ack', JSON.stringify(payload));
            ticks.push(payload.tick);
        }
        // Again under its number, on the other connection too: the same answer, nothing new.
        const [{ seq, command }] = orders.slice(-1);
        for (const player of [first, second]) {
            const { type, payload } = await player.command(...command, seq);
            assert.deepEqual([type, payload.tick], ['ack', ticks.at(-1)]);
        }
    });

    await t.test('no more than the bound', async () => {
        const more = [await game.join('ada'), await game.join('ada')];
        await refused(await connect(game, 'ada'), 4429, 'too_many_connections');
        for (const player of more) player.close();
        await Promise.all(more.map((player) => player.waitClosed()));
        const again = await game.join('ada');
        again.close();
    });

    await t.test('one of them leaves, the player stays', async () => {
        const from = bob.messages.length;
        second.close();
        await second.waitClosed();
        const { tick } = first;
        await first.until('a second of ticks', () => first.tick > tick + 20);
        assert.equal(bob.messages.slice(from).filter((m) => m.type === 'player_left').length, 0);
        first.close();
        await bob.hears('left', first.welcome.player_id, from);
    });
}

// Who is online, as a client puts it together.
function online(player) {
    let names = new Set(), total = 0;
    const nameOf = new Map();
    for (const { type, payload } of player.messages) {
        if (type === 'roster') names = new Set(payload.players.map((p) => p.username));
        if (['roster', 'players', 'player_joined', 'player_left'].includes(type)) total = payload.player_count;
        if (type === 'players') {
            for (const id of payload.left ?? []) names.delete(nameOf.get(id));
            for (const one of payload.joined ?? []) names.add(one.username);
        }
        for (const one of payload?.players ?? payload?.joined ?? []) nameOf.set(one.player_id, one.username);
        if (type === 'player_joined') {
            nameOf.set(payload.player_id, payload.username);
            names.add(payload.username);
        }
        if (type === 'player_left') names.delete(payload.username);
    }
    return { names, total };
}

// Of many who come: by name so many at once and so many a second, the others together once a second. The list comes again
// only if the server lost sight of who is online, as it may on a busy machine.
function checkRates(told, count, ms) {
    const of = (type) => told.filter((m) => m.type === type);
    const seconds = Math.ceil(ms / 1000);
    const figures = `${of('player_joined').length} by name, ${of('players').length} together, ${of('roster').length} lists in ${seconds} s`;
    assert.ok(of('player_joined').length <= 41 + 10 * seconds, figures);
    assert.ok(of('players').length <= 2 + seconds, figures);
    // The one at joining, and the one that sync asks for when it hears social's news for the first time, which may come later.
    assert.ok(of('roster').length <= 2 + seconds / 2, figures);
    if (of('player_joined').length < count) assert.ok(of('players').length + of('roster').length > 0, `the others together: ${figures}`);
    return { of, figures };
}

// Of the first ninety, whom the list has room for: each once, however told.
function checkNews(told, ms) {
    const { of, figures } = checkRates(told, 90, ms);
    if (of('roster').length > 1) return;
    assert.ok(of('player_joined').length >= 30, `the first ones by name: ${figures}`);
    const names = told.flatMap(({ type, payload }) => (type === 'player_joined' ? [payload] : type === 'players' ? payload.joined ?? [] : []))
        .map((one) => one.username).filter((name) => name !== 'witness');
    assert.deepEqual([names.length, new Set(names).size], [90, 90], 'what differs, and not the list again');
    if (of('player_joined').length < 90) assert.ok(of('players').some((m) => m.payload.joined?.length > 0), `the others together: ${figures}`);
}

test('who came and went while social was away does not stay on the list of those who came in meanwhile', { timeout: 300000 }, async () => {
    const game = await Game.start({ services: settings({ sync: patience }) });
    try {
        const { pid } = game.process('social');
        process.kill(pid, 'SIGKILL');
        const next = await waitFor("social's next process", () => ![0, pid].includes(game.process('social').pid) && game.process('social').pid);
        process.kill(next, 'SIGSTOP'); // before it hears of anybody
        let gone, witness;
        try {
            gone = await game.join('gone');
            witness = await game.join('witness');
            assert.ok(online(witness).names.has('gone'), 'whoever plays is shown');
            gone.close();
            await gone.waitClosed();
        } finally {
            process.kill(next, 'SIGCONT');
        }
        await witness.hears('left', gone.welcome.player_id);
        await witness.until('the witness alone', () => online(witness).total === 1 && online(witness).names.size === 1);
    } finally {
        await game.stop();
    }
});

test('many who come and go at once are not told of one by one', { timeout: 300000 }, async () => {
    // Whoever came in and was sent away, as a machine that is too slow for so many would have it, would be told twice.
    const game = await Game.start({ services: settings({ sync: patience }) });
    try {
        const witness = await game.join('witness');
        const began = performance.now();
        const crowd = (from, count) => Promise.all(Array.from({ length: count }, (_, i) => game.join(`p${from + i}`)));
        const news = (from) => witness.messages.slice(from).filter((m) => /^player|^roster/.test(m.type));
        const first = await crowd(0, 90);
        // As many as a list has room for: in the end it is exact.
        await witness.until('all of them', () => online(witness).names.size === 91 && online(witness).total === 91);
        checkNews(news(0), performance.now() - began);

        // More than that: how many there are, and a hundred names.
        const from = witness.messages.length, more = performance.now();
        const second = await crowd(90, 60);
        // The last of those who are named may come with the count of all, before the others are told together.
        await witness.until('the count', () => online(witness).total === 151 && online(witness).names.size === 100 &&
            news(from).some((m) => ['players', 'roster'].includes(m.type)));
        checkRates(news(from), 60, performance.now() - more);
        const late = await game.join('late', { binary: true });
        const list = await late.waitFor('roster');
        assert.equal(list.payload.players.length, 100);
        assert.deepEqual(new Set(list.payload.players.map((p) => p.username)), online(witness).names, 'all know the same hundred');

        // One of them alone is named again, and another one takes the place.
        await witness.until('the late one', () => online(witness).total === 152);
        const before = online(witness).names, here = witness.messages.length;
        const gone = first.pop();
        gone.close();
        await witness.hears('left', gone.welcome.player_id, here);
        for (const player of [witness, late])
            await player.until('another one', () => online(player).names.size === 100 && !online(player).names.has('p89'));
        assert.equal([...online(witness).names].filter((name) => !before.has(name)).length, 1);
        assert.deepEqual(online(late).names, online(witness).names, 'in either encoding');
        for (const player of [...first, ...second]) player.close();
        for (const player of [witness, late])
            await player.until('nobody else', () => online(player).total === 2 && online(player).names.size === 2);
        assert.deepEqual([...online(late).names].sort(), ['late', 'witness']);
    } finally {
        await game.stop();
    }
});
