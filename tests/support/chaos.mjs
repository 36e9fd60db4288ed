// What the chaos tests share: a game whose recipes are quick, so that many units are made while
// things break, a crowd of players that give orders without pause, and the account at the end.

import assert from 'node:assert/strict';
import { cpSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { decode } from './rpc.mjs';
import { PATIENCE_MS, ROOT, startProgram, tempDir, waitFor } from './servers.mjs';
import { Watched } from './watched.mjs';

const START_STOCK = 5000; // of each item
export const UNITS = ['worker', 'scout', 'soldier'];
const SAVED_WITHIN_MS = 60000; // vision.yaml, store.save_interval, and what a slow database takes
const TRAINED_MAX = 14; // of one player: more would stand in the way of those that are sent around
const TARGET_RING = 4; // hexes from home: open land all around (map.yaml, homes.clearing)

// The services' settings, but a unit takes two seconds and everybody is rich.
export function quickServices() {
    const directory = join(tempDir(), 'services');
    const isSetting = (path) => statSync(path).isDirectory() || !/\.[ch]$|Dockerfile$|README/.test(path);
    cpSync(join(ROOT, 'services'), directory, { recursive: true, filter: isSetting });
    const path = join(directory, 'production/recipes.yaml');
    const text = readFileSync(path, 'utf8')
        .replace(/duration: \d+s/g, 'duration: 2s')
        .replace(/(starting_stock:\n)((?: .*\n)+)/, (_, head, lines) => head + lines.replace(/\d+/g, START_STOCK));
    assert.match(text, /gold: 5000/);
    writeFileSync(path, text);
    // Nobody counts as gone because a restart takes long on a busy machine.
    const social = join(directory, 'social/social.yaml');
    const patient = readFileSync(social, 'utf8').replace('MMORTS_SOCIAL_LEASE:-15s', 'MMORTS_SOCIAL_LEASE:-600s');
    assert.match(patient, /LEASE:-600s/);
    writeFileSync(social, patient);
    return directory;
}

// mulberry32: seeded, so that a failing run can be repeated.
export function randomFrom(seed) {
    let state = seed >>> 0;
    const random = () => {
        state = (state + 0x6d2b79f5) >>> 0;
        let x = Math.imul(state ^ (state >>> 15), state | 1);
        x ^= x + Math.imul(x ^ (x >>> 7), x | 61);
        return ((x ^ (x >>> 14)) >>> 0) / 4294967296;
    };
    random.below = (n) => Math.floor(random() * n);
    random.pick = (list) => list[random.below(list.length)];
    return random;
}

// "job_0123456789abc" as the hexadecimal digits that the ledger has.
function jobDigits(job) {
    let id = 0n;
    for (const digit of job.slice('job_'.length)) id = id * 32n + BigInt('0123456789abcdefghjkmnpqrstvwxyz'.indexOf(digit));
    return id.toString(16).padStart(16, '0');
}

// All hexes at that distance.
export function ring([q, r], radius) {
    const directions = [[1, 0], [1, -1], [0, -1], [-1, 0], [-1, 1], [0, 1]];
    const hexes = [];
    let [at, ar] = [q + directions[4][0] * radius, r + directions[4][1] * radius];
    for (const [dq, dr] of directions) {
        for (let i = 0; i < radius; i++) {
            hexes.push([at, ar]);
            at += dq;
            ar += dr;
        }
    }
    return hexes;
}

// The observed players, and what they do.
export class Crowd {
    static async join(game, names, random) {
        const crowd = new Crowd();
        Object.assign(crowd, { game, random, phase: 'start', places: new Map(), writtenMs: 0, asked: 0, acked: 0, codes: new Map() });
        crowd.players = await Promise.all(names.map((name) => Watched.join(game, name, () => crowd.phase)));
        crowd.startUnits = new Map();
        for (const player of crowd.players) {
            crowd.startUnits.set(player, new Map(UNITS.map((type) => [type, player.countOwn(type)])));
            // Each of the first units has its own place on the ring, and goes there and across.
            const targets = ring(player.home, TARGET_RING);
            const units = UNITS.flatMap((type) => player.player.mine(type)).map((unit) => unit.id).sort();
            assert.equal(units.length, 6, `${player.name} begins with six units`);
            crowd.places.set(player, units.map((unit, i) => ({ unit, at: targets[i * 2], across: targets[i * 2 + 12] })));
        }
        return crowd;
    }

    #note(code) {
        this.asked++;
        if (code === 'ack') this.acked++;
        else this.codes.set(code, (this.codes.get(code) || 0) + 1);
    }

    // Sends one of the player's units to the other side of its home.
    async #move(player) {
        const place = this.random.pick(this.places.get(player));
        [place.at, place.across] = [place.across, place.at];
        this.#note(await player.move(place.unit, place.at));
    }

    async #train(player) {
        if (player.jobs.size >= TRAINED_MAX) return;
        this.#note(await player.train(`train_${this.random.pick(UNITS)}`));
    }

    // Everybody gives an order at this moment, some train. Resolves when all have their final answers. A
    // player's orders go one after another, as the order of what is repeated must not change.
    burst() {
        return Promise.all(this.players.map(async (player) => {
            const train = this.random() < 0.35 ? this.#train(player) : null;
            await this.#move(player);
            await train;
        }));
    }

    // Every player sees the game go on.
    async alive(timeoutMs) {
        const ticks = this.players.map((player) => player.tick);
        await Promise.all(this.players.map((player, i) => player.pastTick(ticks[i], timeoutMs)));
    }

    // World and vision die at the same moment: what was explored just now need not be saved yet.
    bothDie() {
        const from = Math.max(performance.now() - SAVED_WITHIN_MS, this.writtenMs);
        for (const player of this.players) player.exploredUnsavedFrom = from;
    }

    // Vision has ended in order: what was seen until now is written.
    written() {
        this.writtenMs = performance.now();
    }

    // From now on all that was seen is to stay.
    saved() {
        for (const player of this.players) player.exploredUnsavedFrom = Infinity;
    }

    closes() {
        return this.players.reduce((sum, player) => sum + player.closes.length, 0);
    }

    // `from` says something that `to` hears, in at most that time.
    async chat(from, to, timeoutMs) {
        const began = performance.now();
        let round = 0, nextMs = 0;
        await waitFor(`chat from ${from.name} to ${to.name}`, timeoutMs, () => {
            if (!from.connected || !to.connected) return false;
            const heard = to.player.messages.findLast((m) => m.type === 'chat' && m.payload.message.startsWith(`hello from ${from.name} `));
            if (heard?.receivedMs > began) return true;
            if (performance.now() >= nextMs) {
                from.player.chat(`hello from ${from.name} ${++round} ${this.phase}`);
                nextMs = performance.now() + 1000;
            }
            return false;
        });
    }

    faults() {
        return this.players.flatMap((player) => player.faults);
    }

    // What the player must own: the beginning less the cost of each acknowledged job.
    static stock(player) {
        const stock = {};
        for (const item of Object.keys(player.player.resources)) stock[item] = START_STOCK;
        for (const recipe of player.jobs.values())
            for (const [item, amount] of Object.entries(player.recipes.get(recipe).inputs)) stock[item] -= amount;
        return stock;
    }

    stop() {
        for (const player of this.players) player.stop();
    }
}

// Fifty computer players, beside those that are watched.
export function startBots(game, count) {
    const report = join(tempDir(), 'report.json');
    const program = startProgram('mmorts-bots', ['--url', game.socketUrl, '--login', game.status().login_url,
        '-n', String(count), '--report', report]);
    return {
        program,
        async playing() {
            await waitFor(`${count} bots in the game`, async () => await game.metric('sync', 'mmorts_sync_players') >= count);
        },
        // Its own verdict: no tick went back, nothing unknown changed, nothing was malformed.
        async stop() {
            const { code } = await program.stop();
            const figures = JSON.parse(readFileSync(report, 'utf8'));
            assert.equal(code, 0, `the bots saw something wrong:\n${program.log().slice(-2000)}`);
            assert.equal(figures.ticks_back, 0);
            assert.ok(figures.acks > 0);
            return figures;
        },
    };
}

// --- the account at the end ----------------------------------------------------------------------

// Everything that was acknowledged is there, once. Call it when nothing is under way any more.
export async function audit(crowd) {
    const { game, players } = crowd;
    await ordersCarriedOut(game, players);
    await waitFor('the end of all jobs', async () => {
        const [[jobs], [spawns]] = [await game.query('production', 'SELECT COUNT(*) FROM jobs'),
            await game.query('production', 'SELECT COUNT(*) FROM outbox')];
        return jobs[0] === '0' && spawns[0] === '0';
    });
    await ledgerAddsUp(game);
    for (const player of players) {
        await unitsAreThere(crowd, player);
        await jobsWerePaid(game, player);
    }
}

// Every acknowledged order was written down, once, with the tick it was acknowledged for; and the last
// ones were seen carried out.
async function ordersCarriedOut(game, players) {
    const written = new Map();
    for (const [tick, inputs] of await game.query('world', 'SELECT tick, HEX(inputs) FROM journal')) {
        for (const { command } of decode('mmorts.world.JournalEntry', Buffer.from(inputs, 'hex')).inputs ?? []) {
            if (!command) continue;
            const key = `${command.player_id} ${command.client_seq}`;
            assert.ok(!written.has(key), `order ${key} was carried out twice`);
            written.set(key, `${tick} ${command.move?.target.q ?? 0},${command.move?.target.r ?? 0}`);
        }
    }
    // What lies behind the oldest snapshot is no longer kept. Asked last: another one may be taken at any time.
    const [[oldest]] = await game.query('world', 'SELECT COALESCE(MIN(tick), 0) FROM snapshots');
    for (const player of players) {
        const id = player.player.welcome.player_id;
        const kept = player.moves.filter((move) => move.tick > Number(oldest));
        assert.ok(kept.length > 0);
        for (const { seq, target, tick } of kept)
            assert.equal(written.get(`${id} ${seq}`), `${tick} ${target}`, `order ${seq} of ${player.name} in the journal`);
        await waitFor(`${player.name}'s last orders seen`, () => [...player.orders.values()].every((order) => order.seen));
    }
}

// The stock is the sum of its changes, and no job was paid, or yielded, twice. (Who gathers brings the same
// again and again.)
async function ledgerAddsUp(game) {
    const wrong = await game.query('production', `SELECT i.empire, i.item, i.amount, SUM(l.delta) AS total
        FROM inventories i LEFT JOIN ledger l USING (session, empire, item) GROUP BY i.session, i.empire, i.item
        HAVING total IS NULL OR total <> i.amount`);
    assert.deepEqual(wrong, [], 'stocks that are not the sum of their changes');
    const twice = await game.query('production', `SELECT empire, item, cause, COUNT(*) FROM ledger
        WHERE cause REGEXP '^(founding|job |made |refund )' GROUP BY session, empire, item, cause HAVING COUNT(*) > 1`);
    assert.deepEqual(twice, [], 'changes that were made twice');
}

// The units of the beginning and one for each acknowledged job; no more even a little later.
async function unitsAreThere(crowd, player) {
    const expected = new Map(UNITS.map((type) => [type, crowd.startUnits.get(player).get(type) +
        [...player.jobs.values()].filter((recipe) => recipe === `train_${type}`).length]));
    await waitFor(`${player.name}'s units`, () => UNITS.every((type) => player.countOwn(type) >= expected.get(type)))
        .catch(() => {}); // said better below
    await player.pastTick(player.tick + 5, PATIENCE_MS);
    for (const [type, count] of expected) {
        assert.equal(player.countOwn(type), count, `${type}s of ${player.name}, who has ${player.jobs.size} acknowledged jobs`);
        assert.equal(player.player.mine(type).length, count, `${type}s in ${player.name}'s present state`);
    }
}

async function jobsWerePaid(game, player) {
    let empire;
    for (const [job, recipe] of player.jobs) {
        const rows = await game.query('production', `SELECT empire, item, delta FROM ledger WHERE cause = 'job ${jobDigits(job)}/1'`);
        empire ??= rows[0]?.[0];
        const paid = Object.fromEntries(rows.map(([, item, delta]) => [item, -Number(delta)]));
        assert.deepEqual(paid, player.recipes.get(recipe).inputs, `what ${player.name} paid for ${recipe} ${job}`);
        assert.ok(rows.every((row) => row[0] === empire));
    }
    if (!empire) return;
    const [[causes]] = await game.query('production', `SELECT COUNT(DISTINCT cause) FROM ledger WHERE empire = ${empire} AND cause LIKE 'job %'`);
    assert.equal(Number(causes), player.jobs.size, `jobs of ${player.name} in the ledger: one for each acknowledgement`);
    const stock = Object.fromEntries((await game.query('production', `SELECT item, amount FROM inventories WHERE empire = ${empire}`))
        .map(([item, amount]) => [item, Number(amount)]));
    assert.deepEqual(stock, Crowd.stock(player), `the stock of ${player.name}`);
    await waitFor(`${player.name}'s news of its stock`, () => isDeepStrictEqual(player.player.resources, stock)).catch((error) => {
        throw new Error(`told of ${JSON.stringify(player.player.resources)}, not ${JSON.stringify(stock)}`, { cause: error });
    });
}
