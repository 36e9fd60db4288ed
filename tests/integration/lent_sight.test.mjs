// World, vision and social as real processes: whom an empire is shown by others' eyes it may aim at,
// as long as it is shown, whoever of the services is killed and comes back.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { Truth, followTicks } from '../support/fog.mjs';
import { settings } from '../support/game.mjs';
import { RpcClient } from '../support/rpc.mjs';
import { BUILD, PATIENCE_MS, servicesEnv, startMariadb, startProgram, startRedis, tempDir, waitFor } from '../support/servers.mjs';

const SESSION = 'main';

let mariadb, redis, directory, env, programs = {}, rpc = {}, reader, truth;
const players = {};
let soldier, prey, group; // ada's, eve's settlement, an alliance

// World keeps the journal from the beginning: in it is counted, at the end, what it was told.
const services = settings({ world: (text) => text.replace('keep: 3 ', 'keep: 100 ') });
const configOf = (name) => join(services, name, `${name}.yaml`);

async function start(name) {
    const program = startProgram(`mmorts-${name}`, ['--config', configOf(name)], { env });
    programs[name] = program;
    await program.waitReady(`http://${env[`MMORTS_${name.toUpperCase()}_HTTP`]}/readyz`, PATIENCE_MS);
}

const world = (method, request, options) => rpc.world.call(`mmorts.world.World/${method}`, { session: SESSION, ...request }, options);
const vision = (method, request) => rpc.vision.call(`mmorts.vision.Vision/${method}`, { session: SESSION, ...request }, { idempotent: true });
const member = (player) => ({ player_id: player.playerId, username: player.name, display_id: '' });

async function enter(name) {
    const player = players[name] = { name, playerId: String(1000 + Object.keys(players).length) };
    const reply = await world('Join', { player_id: player.playerId, username: name }, { idempotent: true });
    Object.assign(player, { empire: reply.empire, seq: BigInt(reply.next_client_seq) });
}

async function spawn(type, owner, q, r) {
    const reply = await world('Spawn', {
        key: Buffer.from(`${type} ${q} ${r}`), type, empire: owner.empire, count: 1, place: { q, r },
    }, { idempotent: true });
    return reply.entities[0];
}

// What becomes of an order to ada's soldier to attack it. In the same tick it is stopped: so it gets nowhere, however
// long this test takes, where it would see its prey by itself, or fight.
async function attack() {
    const commands = [{ attack: { target: prey } }, { stop: {} }].map((order) =>
        ({ player_id: players.ada.playerId, client_seq: String(++players.ada.seq), units: [soldier], ...order }));
    const { results } = await world('SubmitCommands', { commands }, { idempotent: true });
    return results[0].reason;
}

// One that world cannot take now is given again.
const answers = (reason) => waitFor(`an attack to be answered ${reason}`, PATIENCE_MS, async () => await attack() === reason);
const accepted = () => answers('COMMAND_OK');
const refused = () => answers('COMMAND_UNKNOWN_TARGET');

const shown = (yes) => waitFor(`ada to be shown it: ${yes}`, PATIENCE_MS, async () => {
    const reply = await vision('CanSee', { empire: players.ada.empire, entity: prey }).catch(() => null);
    return reply?.visible === yes;
});

const share = () => vision('ShareVision', { from_empire: players.bob.empire, to_empire: players.ada.empire });
const stopSharing = () => vision('StopSharing', { from_empire: players.bob.empire, to_empire: players.ada.empire });

const social = (method, request) => rpc.social.call(`mmorts.social.Social/${method}`, { session: SESSION, ...request }, { idempotent: true });

async function act(actor, action, fields = {}) {
    const reply = await social('ActOnGroup', { group_id: group, actor: member(actor), action, ...fields });
    assert.equal(reply.reason, 'GROUP_OK', reply.message);
}

before(async () => {
    [mariadb, redis] = await Promise.all([startMariadb(), startRedis()]);
    directory = tempDir();
    env = await servicesEnv(['world', 'vision', 'social', 'auth'], { mariadb, redis, directory, session: SESSION });
    env.MMORTS_WORLD_GUARD = 'false'; // bob's tower stands near eve's soldiers
    truth = new Truth();
    await Promise.all(['world', 'vision', 'social'].map(start));
    for (const name of ['world', 'vision', 'social']) rpc[name] = new RpcClient(env[`MMORTS_${name.toUpperCase()}_RPC`]);
    reader = await followTicks({ url: env.MMORTS_WORLD_STREAM, client: rpc.world, session: SESSION, take: (frame) => truth.apply(frame) });
    for (const name of ['ada', 'bob', 'eve']) await enter(name);
    const settlement = () => [...truth.entities.values()].find((e) => e.owner === players.eve.empire && e.type.name === 'settlement');
    await waitFor("eve's settlement", PATIENCE_MS, settlement);
    prey = settlement().raw;
    const home = (player) => truth.empires.get(player.empire).home;
    soldier = await spawn('soldier', players.ada, home(players.ada)[0] + 2, home(players.ada)[1]);
    await spawn('tower', players.bob, home(players.eve)[0] + 5, home(players.eve)[1]);
});

after(async () => {
    reader?.close();
    for (const client of Object.values(rpc)) client.close();
    await Promise.all(Object.values(programs).map((program) => program.stop()));
    await Promise.all([mariadb?.stop(), redis?.stop()]);
});

test('what is not shown is no target', async () => {
    await waitFor('bob to see it', PATIENCE_MS, async () => {
        const reply = await vision('CanSee', { empire: players.bob.empire, entity: prey }).catch(() => null);
        return reply?.visible;
    });
    assert.equal(await attack(), 'COMMAND_UNKNOWN_TARGET');
});

test('what is lent by order is a target until it is lent no more', async () => {
    await share();
    await shown(true);
    await accepted();
    await stopSharing();
    await shown(false);
    await refused();
});

test('what allies lend is a target as long as they are allies', async () => {
    const reply = await social('CreateGroup', { actor: member(players.ada), kind: 'alliance', name: 'Eyes', policy: 'GROUP_OPEN' });
    assert.equal(reply.reason, 'GROUP_OK', reply.message);
    group = reply.group.id;
    await act(players.bob, 'GROUP_JOIN');
    await shown(true);
    await accepted();
    await act(players.bob, 'GROUP_LEAVE');
    await shown(false);
    await refused();
});

test('world knows it by itself after it was killed', async () => {
    await share();
    await shown(true);
    await accepted();
    await programs.vision.kill();
    try {
        await programs.world.kill();
        await start('world');
        await accepted();
    } finally {
        await start('vision');
    }
    await shown(true);
    await accepted();
});

test('what changes while world is away, it is told when it is back', async () => {
    await programs.world.kill();
    try {
        await stopSharing();
    } finally {
        await start('world');
    }
    await shown(false);
    await refused();
    await share();
    await shown(true);
    await accepted();
});

test('what world was told by somebody else is put right when vision comes', async () => {
    await programs.vision.kill(); // which says it again whenever it has caught up with the ticks
    try {
        await world('SetSharing', { first: 1, last: 1000 }, { idempotent: true });
        await refused();
    } finally {
        await start('vision');
    }
    await shown(true);
    await accepted();
});

test('a replay of the session comes to the same, what was lent included', async () => {
    const replay = (...args) => promisify(execFile)(join(BUILD, 'bin/mmorts-replay'), ['--config', configOf('world'), ...args], { env: { ...process.env, ...env }, maxBuffer: 1 << 26 });
    const { stdout } = await replay('--list', '--inputs');
    const told = stdout.match(/setSharing|set_sharing/g) ?? [];
    // One row for each change: what is told again and is so already leaves none.
    assert.ok(told.length >= 8 && told.length < 16, `${told.length} times`);
    await replay('--audit', '50');
});

test('no more than 256 lend to one empire', async () => {
    const { ada } = players;
    await Promise.all(Array.from({ length: 256 }, (_, i) => enter(`lender${i}`)));
    const lenders = Object.values(players).filter((p) => p.name.startsWith('lender')).map((p) => p.empire);
    const order = (from_empire, mutual = false) => vision('ShareVision', { from_empire, to_empire: ada.empire, mutual });
    await waitFor('vision to know them', PATIENCE_MS, () => Promise.all(lenders.map((empire) => vision('CanSee', { empire, entity: prey }))).then(() => true, () => false));
    // One is written after the other, and who waits for ten seconds is sent away.
    for (const from of lenders.slice(1)) await order(from); // with bob that makes 256
    await assert.rejects(order(lenders[0]), /already/);
    await assert.rejects(order(players.eve.empire, true), /already/);
    await order(lenders[1]); // who lends already may be told so again
    await stopSharing();
    await order(lenders[0]);
    await refused(); // and by then world knows that bob lends no more
});
