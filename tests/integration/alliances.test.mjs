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
    const reply = await rpc.world.call('mmorts.world.World/Join', { session: SESSION, player_id: player.playerId, username: player.name });
    player.empire = reply.empire;
}

function player(name) {
    return players[name] = { name, playerId: String(1000 + Object.keys(players).length) };
}

async function found(leader, name, policy = 'GROUP_INVITE_ONLY') {
    const reply = await rpc.social.call('mmorts.social.Social/CreateGroup', { session: SESSION, actor: member(leader), kind: 'alliance', name, policy });
    assert.equal(reply.reason, 'GROUP_OK', reply.message);
    return reply.group.id;
}

async function act(group_id, actor, action, fields = {}) {
    const reply = await rpc.social.call('mmorts.social.Social/ActOnGroup', { session: SESSION, actor: member(actor), group_id, action, ...fields });
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

const soldiers = (...empires) => empires.map((empire) => [...truth.entities.values()].filter((e) => e.owner === empire && e.type.name === 'soldier'));

test('allies stand side by side; once they are none, they fight', async () => {
    const { ada, bob } = players;
    const [q, r] = truth.empires.get(ada.empire).home;
    const spawn = (key, empire) => rpc.world.call('mmorts.world.World/Spawn', {
        session: SESSION, key: Buffer.from(key), type: 'soldier', empire, count: 1, place: { q: q + 3, r },
    });
    await spawn('a', ada.empire);
    await spawn('b', bob.empire);
    await waitFor('both', PATIENCE_MS, () => soldiers(ada.empire, bob.empire).every((own) => own.length > 0));
    await pause(2500);
    const hurt = () => soldiers(ada.empire, bob.empire).flat().filter((e) => e.health < e.type.healthMax).length;
    assert.equal(hurt(), 0, 'allies');
    await act(group, bob, 'GROUP_LEAVE');
    await waitFor('a fight', PATIENCE_MS, () => hurt() > 0 || soldiers(ada.empire, bob.empire).some((own) => own.length === 0));
    await act(group, ada, 'GROUP_INVITE', { target: member(bob) });
    await act(group, bob, 'GROUP_JOIN');
    await sees(bob, ada, bob);
});

test('without social, Redis and its own memory vision still knows who is allied', async () => {
    const { ada, bob } = players;
    await Promise.all([programs.vision.kill(), programs.social.kill()]);
    await redis.stop();
    await start('vision');
    await sees(ada, ada, bob);
    await redis.start();
    await start('social');
    await sees(ada, ada, bob);
});

test('what changed while vision was away is made up', async () => {
    const { ada, bob, eve } = players;
    await programs.vision.kill();
    await act(group, bob, 'GROUP_LEAVE');
    await act(group, ada, 'GROUP_INVITE', { target: member(eve) });
    await act(group, eve, 'GROUP_JOIN');
    await start('vision');
    await sees(ada, ada, eve);
    await sees(bob, bob);
    await sees(eve, ada, eve);
});

test('what changed while Redis was away is made up', async () => {
    const { ada, bob, eve } = players;
    await redis.stop();
    await act(group, ada, 'GROUP_INVITE', { target: member(bob) });
    await act(group, bob, 'GROUP_JOIN');
    await redis.start();
    await sees(bob, ada, bob, eve);
    await sees(ada, ada, bob, eve);
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
    const reply = await rpc.social.call('mmorts.social.Social/CreateGroup', { session: SESSION, actor: member(ada), kind: 'chess_club', name: 'Chess', policy: 'GROUP_OPEN' });
    await act(reply.group.id, bob, 'GROUP_JOIN');
    group = await found(ada, 'Another');
    await act(group, ada, 'GROUP_INVITE', { target: member(players.eve) });
    await act(group, players.eve, 'GROUP_JOIN');
    await sees(ada, ada, players.eve); // so the club's events have been read
    await sees(bob, bob);
    await act(reply.group.id, ada, 'GROUP_DISBAND');
    await sees(ada, ada, players.eve);
});
