// Social's groups and vision's sharing as real processes: members of an alliance see what each of
// them sees, no more and no longer, whoever of the services, MariaDB and Redis goes and comes.

import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { Truth, followTicks } from '../support/fog.mjs';
import { RpcClient } from '../support/rpc.mjs';
import { PATIENCE_MS, ROOT, pause, servicesEnv, startMariadb, startProgram, startRedis, tempDir, waitFor } from '../support/servers.mjs';

const SESSION = 'main';
const VISIBLE = 'VISIBILITY_VISIBLE';

let mariadb, redis, directory, env, programs = {}, rpc = {}, reader, truth;
const history = new Map(); // tick -> Map of empire -> Set of hexes that it sees by itself
const players = {};

// Vision that hears of every change by an event, or when it comes back to who has missed events: nobody waits for it
// to read all memberships anew because of the time.
function attentiveConfig() {
    const folder = join(ROOT, 'services/vision'), path = join(directory, 'attentive.yaml');
    const text = readFileSync(join(folder, 'vision.yaml'), 'utf8').replace('schema: schema', `schema: ${join(folder, 'schema')}`);
    const attentive = text.replace('reread: 30s', 'reread: 3600s');
    assert.notEqual(attentive, text);
    writeFileSync(path, attentive);
    return path;
}

async function start(name) {
    const config = name === 'vision' ? attentiveConfig() : join(ROOT, `services/${name}/${name}.yaml`);
    const program = startProgram(`mmorts-${name}`, ['--config', config], { env });
    programs[name] = program;
    program.http = `http://${env[`MMORTS_${name.toUpperCase()}_HTTP`]}`;
    await program.waitReady(`${program.http}/readyz`, PATIENCE_MS);
}

async function follow() {
    reader = await followTicks({
        url: env.MMORTS_WORLD_STREAM, client: rpc.world, session: SESSION,
        take(frame, { tick }) {
            truth.apply(frame);
            history.set(tick, new Map([...truth.empires.keys()].map((empire) => [empire, truth.look(empire).hexes])));
            history.delete(tick - 1000);
        },
    });
}

const member = (player) => ({ player_id: player.playerId, username: player.name, display_id: '' });

async function enter(player) {
    const request = { session: SESSION, player_id: player.playerId, username: player.name };
    const reply = await rpc.world.call('mmorts.world.World/Join', request, { idempotent: true });
    Object.assign(player, { empire: reply.empire, seq: BigInt(reply.next_client_seq) });
}

function player(name) {
    return players[name] = { name, playerId: String(1000 + Object.keys(players).length) };
}

// Social refuses what it cannot write at the moment.
const social = (method, request) => rpc.social.call(`mmorts.social.Social/${method}`, { session: SESSION, ...request }, { idempotent: true });

async function found(leader, name, policy = 'GROUP_INVITE_ONLY') {
    const reply = await social('CreateGroup', { actor: member(leader), kind: 'alliance', name, policy });
    assert.equal(reply.reason, 'GROUP_OK', reply.message);
    return reply.group.id;
}

async function act(group_id, actor, action, fields = {}) {
    const reply = await social('ActOnGroup', { actor: member(actor), group_id, action, ...fields });
    assert.equal(reply.reason, 'GROUP_OK', reply.message);
    return reply;
}

async function view(empire) {
    const { view } = await rpc.vision.call('mmorts.vision.Vision/GetView', { session: SESSION, empire });
    const tick = Number(view.tick);
    await waitFor(`truth of tick ${tick}`, PATIENCE_MS, () => history.get(tick)?.has(empire));
    return { tick, hexes: view.hex_q.map((q, i) => `${q},${view.hex_r[i]}`).filter((_, i) => view.hex_state[i] === VISIBLE).sort() };
}

const union = (tick, seers) => [...new Set(seers.flatMap((p) => [...history.get(tick).get(p.empire)]))].sort();
const same = (a, b) => a.length === b.length && a.every((x, i) => x === b[i]);

// Waits until the player sees just what these do, and it stays so.
async function sees(who, ...seers) {
    await waitFor(`${who.name} to see what ${seers.map((p) => p.name)} see`, PATIENCE_MS, async () => {
        const { tick, hexes } = await view(who.empire).catch(() => ({})); // not known yet
        return tick && same(hexes, union(tick, seers));
    });
    for (let i = 0; i < 5; i++) {
        const { tick, hexes } = await view(who.empire);
        assert.deepEqual(hexes, union(tick, seers), `${who.name} at tick ${tick}`);
        await pause(40);
    }
}

before(async () => {
    [mariadb, redis] = await Promise.all([startMariadb(), startRedis()]);
    directory = tempDir();
    env = await servicesEnv(['world', 'vision', 'social', 'auth'], { mariadb, redis, directory, session: SESSION });
    truth = new Truth();
    await Promise.all(['world', 'vision', 'social'].map(start));
    for (const name of ['world', 'vision', 'social']) rpc[name] = new RpcClient(env[`MMORTS_${name.toUpperCase()}_RPC`]);
    await follow();
    for (const name of ['ada', 'bob', 'eve']) await enter(player(name));
});

after(async () => {
    reader?.close();
    for (const client of Object.values(rpc)) client.close();
    await Promise.all(Object.values(programs).map((program) => program.stop()));
    await Promise.all([mariadb?.stop(), redis?.stop()]);
});

let group;

test('who joins an alliance lends and borrows; others do not', async () => {
    const { ada, bob, eve } = players;
    for (const one of [ada, bob, eve]) await sees(one, one);
    group = await found(ada, 'The Alliance');
    await act(group, ada, 'GROUP_INVITE', { target: member(bob) });
    await sees(bob, bob); // to be invited is not to be in
    await act(group, bob, 'GROUP_JOIN');
    await sees(ada, ada, bob);
    await sees(bob, ada, bob);
    await sees(eve, eve);
    const settlement = [...truth.entities.values()].find((e) => e.owner === bob.empire && e.type.name === 'settlement');
    const why = await rpc.vision.call('mmorts.vision.Vision/Explain', { session: SESSION, empire: ada.empire, entity: settlement.raw });
    assert.equal(why.reason, 'SEEN_LENT');
    assert.ok(why.sources.every((s) => s.empire === bob.empire && s.share === 'SIGHT_SHARE_ALLIANCE' && String(s.alliance) === String(group)));
});

// --- what world makes of it ----------------------------------------------------------------------

const ownOf = (player, type) => [...truth.entities.values()].filter((e) => e.owner === player.empire && e.type.name === type);
const alive = (raw) => [...truth.entities.values()].find((e) => e.raw === raw);

async function spawn(key, player, [q, r]) {
    const reply = await rpc.world.call('mmorts.world.World/Spawn', {
        session: SESSION, key: Buffer.from(key), type: 'soldier', empire: player.empire, count: 1, place: { q, r },
    }, { idempotent: true });
    return String(reply.entities[0]);
}

// Until world says that bob's settlement is nobody for ada to attack; out of sight, and no target, unless they are allied.
async function worldKnows() {
    const { ada, bob } = players;
    const [target] = ownOf(bob, 'settlement').map((e) => e.raw);
    await waitFor('world to know them as allies', PATIENCE_MS, async () => {
        const units = ownOf(ada, 'soldier').slice(0, 1).map((e) => e.raw);
        const { results: [{ reason }] } = await rpc.world.call('mmorts.world.World/SubmitCommands', {
            session: SESSION, commands: [{ player_id: ada.playerId, client_seq: String(++ada.seq), units, attack: { target } }],
        }, { idempotent: true });
        return reason === 'COMMAND_INVALID';
    });
}

test('allies stand side by side; once they are none, they fight', async () => {
    const { ada, bob } = players;
    const [q, r] = truth.empires.get(ada.empire).home;
    await worldKnows();
    const both = [await spawn('a', ada, [q + 3, r]), await spawn('b', bob, [q + 3, r])];
    await waitFor('both', PATIENCE_MS, () => both.every(alive));
    const hurt = () => both.map(alive).filter((e) => !e || e.health < e.type.healthMax).length;
    const from = truth.tick;
    await waitFor('50 ticks', PATIENCE_MS, () => truth.tick >= from + 50);
    assert.equal(hurt(), 0, 'allies');
    await act(group, bob, 'GROUP_LEAVE');
    await waitFor('a fight', PATIENCE_MS, () => hurt() > 0);
    await sees(bob, bob); // or what is waited for below may be what was before
    await act(group, ada, 'GROUP_INVITE', { target: member(bob) });
    await act(group, bob, 'GROUP_JOIN');
    await sees(bob, ada, bob);
});

test('what changes while world is still being told of another change, it is told as well', async () => {
    const { ada, bob } = players;
    await worldKnows();
    const told = async () => {
        const text = await (await fetch(`${programs.world.http}/metrics`)).text();
        return Number(/^mmorts_rpc_served_total\{.*method="SetAlliances".*code="OK".*\} (\d+)$/m.exec(text)[1]);
    };
    // From which tick on it is in effect, as it is written.
    const allied = async () => {
        const [[since, until]] = await mariadb.query(`SELECT since_tick, until_tick FROM alliances WHERE empire = ${bob.empire} ORDER BY since_tick DESC LIMIT 1`, 'mmorts_vision');
        return until === '0' && Number(since);
    };
    const before = await told();
    let since;
    programs.world.signal('SIGSTOP'); // so it does not answer what it is told of the end
    try {
        await act(group, bob, 'GROUP_LEAVE');
        await waitFor('the end of the alliance', PATIENCE_MS, async () => !await allied());
        await act(group, ada, 'GROUP_INVITE', { target: member(bob) });
        await act(group, bob, 'GROUP_JOIN');
        since = await waitFor('the alliance', PATIENCE_MS, allied);
    } finally {
        programs.world.signal('SIGCONT');
    }
    await waitFor('world to be told', PATIENCE_MS, async () => await told() > before);
    await worldKnows();
    await waitFor(`vision at tick ${since}`, PATIENCE_MS, async () => (await view(bob.empire)).tick >= since);
    await sees(bob, ada, bob);
});

test('without social, Redis and its own memory vision still knows who is allied', async () => {
    const { ada, bob } = players;
    await Promise.all([programs.vision.kill(), programs.social.kill()]);
    await redis.stop();
    try {
        await start('vision');
        await sees(ada, ada, bob);
    } finally {
        await redis.start();
        await start('social');
    }
    await sees(ada, ada, bob);
});

test('what changed while vision was away is made up', async () => {
    const { ada, bob, eve } = players;
    await programs.vision.kill();
    try {
        await act(group, bob, 'GROUP_LEAVE');
        await act(group, ada, 'GROUP_INVITE', { target: member(eve) });
        await act(group, eve, 'GROUP_JOIN');
    } finally {
        await start('vision');
    }
    await sees(ada, ada, eve);
    await sees(bob, bob);
    await sees(eve, ada, eve);
});

test('what changed while Redis was away is made up', async () => {
    const { ada, bob, eve } = players;
    await redis.stop();
    try {
        await act(group, ada, 'GROUP_INVITE', { target: member(bob) });
        await act(group, bob, 'GROUP_JOIN');
    } finally {
        await redis.start();
    }
    await sees(bob, ada, bob, eve);
    await sees(ada, ada, bob, eve);
});

test('whoever is allied is asked for again if social did not say it in time', async () => {
    const { ada, bob, eve } = players;
    programs.vision.signal('SIGSTOP');
    try {
        await redis.command('CLIENT', 'KILL', 'TYPE', 'pubsub');
        await act(group, bob, 'GROUP_LEAVE');
        await waitFor('the event, which nobody hears', PATIENCE_MS, async () => (await mariadb.query('SELECT 1 FROM group_outbox', 'mmorts_social')).length === 0);
        programs.social.signal('SIGSTOP');
    } finally {
        programs.vision.signal('SIGCONT');
    }
    try {
        await programs.vision.waitLog('social does not say who is allied');
    } finally {
        programs.social.signal('SIGCONT');
    }
    await sees(bob, bob);
    await sees(ada, ada, eve);
    await act(group, ada, 'GROUP_INVITE', { target: member(bob) });
    await act(group, bob, 'GROUP_JOIN');
    await sees(bob, ada, bob, eve);
});

test('a member who has no empire yet is an ally as soon as there is one', async () => {
    const { ada, bob, eve } = players;
    const late = player('late');
    await act(group, ada, 'GROUP_INVITE', { target: member(late) });
    await act(group, late, 'GROUP_JOIN');
    await enter(late);
    await sees(late, ada, bob, eve, late);
    await sees(ada, ada, bob, eve, late);
});

test('who is sent away, and a disbanded alliance, lend nothing any more', async () => {
    const { ada, bob, eve, late } = players;
    await act(group, ada, 'GROUP_KICK', { target: member(bob) });
    await sees(bob, bob);
    await sees(ada, ada, eve, late);
    await act(group, ada, 'GROUP_DISBAND');
    for (const one of [ada, eve, late]) await sees(one, one);
    await programs.vision.kill();
    await start('vision');
    for (const one of [ada, bob, eve, late]) await sees(one, one);
});

test('a group of another kind is no alliance', async () => {
    const { ada, bob } = players;
    const reply = await social('CreateGroup', { actor: member(ada), kind: 'chess_club', name: 'Chess', policy: 'GROUP_OPEN' });
    await act(reply.group.id, bob, 'GROUP_JOIN');
    group = await found(ada, 'Another');
    await act(group, ada, 'GROUP_INVITE', { target: member(players.eve) });
    await act(group, players.eve, 'GROUP_JOIN');
    await sees(ada, ada, players.eve); // so the club's events have been read
    await sees(bob, bob);
    await act(reply.group.id, ada, 'GROUP_DISBAND');
    await sees(ada, ada, players.eve);
});
