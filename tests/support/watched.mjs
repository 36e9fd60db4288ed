// A player for tests in which things break: comes back by itself, sends again what was not
// answered, and checks all the time what must hold whatever dies. What does not hold is kept in
// `faults`, with what was going on at that moment.

import WebSocket from 'ws';
import { Player, hexDistance } from './game.mjs';
import { PATIENCE_MS, pause } from './servers.mjs';

// Hexes: somebody may stand on the target, then a place near it is as good (world's move.c).
const AT_TARGET = 2;
// Ticks that nobody sees: a restart of world goes on behind all that it may have shown.
const UNSEEN_TICKS = 20;

const RETRY_MS = 100;
const COMMAND_AGAIN_MS = 250; // four a second: fewer than a player may train
const ANSWER_WITHIN_MS = 60000; // with an open connection, even when a service is away
const COMMAND_WITHIN_MS = PATIENCE_MS;

// "Not now": the command is sent again under its number, as the protocol allows.
const TRANSIENT = new Set(['unavailable', 'timeout', 'rate_limited', 'paused', 'queue_full', 'internal']);

export class Watched {
    // `phase()` names what is going on, for the reports.
    constructor(game, name, phase = () => '') {
        Object.assign(this, { game, name, phase });
        this.faults = [];
        this.closes = []; // { code, reason, phase }, of connections that had played
        this.refusals = []; // of attempts to come back
        this.connections = 0;
        this.tick = 0;
        this.own = new Map(); // id -> type, of all that ever were
        this.explored = new Map(); // hex -> when it was first seen (performance.now())
        this.exploredUnsavedFrom = Infinity; // what was first seen since then may be shroud again
        this.recipes = new Map(); // name -> recipe
        this.left = []; // { name, phase }: who was said to have left
        this.errors = new Map(); // code -> count, of answers to commands
        this.answers = new Map(); // seq -> the last ack or error
        this.statuses = []; // states of the session as they were told
        this.orders = new Map(); // unit -> { target, tick, seen }, the last acknowledged
        this.moves = []; // { seq, unit, target, tick }, all acknowledged ones
        this.jobs = new Map(); // job -> recipe, acknowledged
        this.slowestAnswerMs = 0;
        this.awayMs = [];
        this.stopped = false;
    }

    static async join(game, name, phase) {
        const watched = new Watched(game, name, phase);
        watched.token = await game.token(name);
        await watched.#enter();
        return watched;
    }

    fault(text) {
        if (this.faults.length < 20) this.faults.push(`${this.name}: ${text} [${this.phase()}]`);
    }

    get empire() {
        return this.player.welcome.empire_id;
    }

    get home() {
        return this.player.welcome.home;
    }

    get connected() {
        return this.isPlaying && !this.player.closed;
    }

    // --- the connection ---------------------------------------------------------------------------

    async #connect() {
        const url = this.tick ? `${this.game.socketUrl}?last_tick=${this.tick}` : this.game.socketUrl;
        const player = new Player(url, this.token);
        this.player = player;
        this.isPlaying = false;
        let read = 0;
        player.waiters.add(() => {
            while (read < player.messages.length) this.#check(player, player.messages[read++]);
            if (read > 2000) { // the last ones are kept, for the reports of what a wait waited for
                player.messages.splice(0, 1000);
                read -= 1000;
            }
            if (player.closed && this.player === player && this.isPlaying) this.#lost(player);
        });
        await player.until('the full state', () => this.isPlaying);
        this.connections++;
        if (this.lostMs) this.awayMs.push(performance.now() - this.lostMs);
        this.lostMs = 0;
    }

    // On a busy machine a player may be told to try again.
    async #enter() {
        for (const end = performance.now() + PATIENCE_MS; ;) {
            try {
                await this.#connect();
                return;
            } catch (error) {
                if (this.player.closed?.code !== 1013 || performance.now() > end) throw error;
                await pause(RETRY_MS);
            }
        }
    }

    #lost(player) {
        this.isPlaying = false;
        if (this.stopped) return;
        this.lostMs = performance.now();
        this.closes.push({ ...player.closed, phase: this.phase() });
        this.#comeBack();
    }

    async #comeBack() {
        while (!this.stopped && !this.isPlaying) {
            await pause(RETRY_MS);
            await this.#connect().catch((error) => this.refusals.push(error.message));
        }
    }

    // A new connection in place of the present one: all of the state comes anew.
    async reconnect() {
        const old = this.player;
        await this.#enter();
        old.terminate();
    }

    stop() {
        this.stopped = true;
        if (this.player.socket.readyState === WebSocket.OPEN) this.player.send({ type: 'leave' });
        else this.player.terminate();
    }

    // --- what must hold ---------------------------------------------------------------------------

    #check(player, message) {
        if (player !== this.player) return;
        switch (message.type) {
        case 'welcome':
            this.#checkTick(message.payload.session_status.server_tick, 'welcome');
            if (this.empireSeen && this.empireSeen !== message.payload.empire_id)
                this.fault(`another empire: ${this.empireSeen}, then ${message.payload.empire_id}`);
            this.empireSeen = message.payload.empire_id;
            break;
        case 'update':
            this.#checkUpdate(player, message);
            break;
        case 'map':
            for (const recipe of message.recipes) this.recipes.set(recipe.name, recipe);
            break;
        case 'ack':
        case 'error':
            if (message.payload.seq) this.answers.set(message.payload.seq, message);
            break;
        case 'player_left':
            this.left.push({ name: message.payload.username, phase: this.phase() });
            break;
        case 'session_status':
            this.statuses.push({ state: message.payload.state, phase: this.phase() });
            break;
        case 'binary':
            this.fault('a binary message');
            break;
        }
    }

    #checkTick(tick, where) {
        if (!(tick >= this.tick)) this.fault(`tick ${this.tick} went back to ${tick} in ${where}`);
    }

    #checkUpdate(player, update) {
        this.#checkTick(update.tick, 'update');
        this.tick = Math.max(this.tick, update.tick);
        const empire = player.welcome?.empire_id;
        for (const entity of update.appeared || []) {
            if (entity.owner !== empire) continue;
            if (this.own.has(entity.id) && this.own.get(entity.id) !== entity.type)
                this.fault(`${entity.id} was a ${this.own.get(entity.id)} and is a ${entity.type}`);
            this.own.set(entity.id, entity.type);
        }
        for (const id of update.disappeared || []) if (this.own.has(id)) this.fault(`own ${id} disappeared`);
        for (const { hex, state } of update.vision || []) {
            if (state > 0) this.#saw(`${hex}`);
            else if (!this.#mayBeShroud(`${hex}`)) this.fault(`${hex} went back to shroud`);
        }
        if (update.full) this.#checkFull(player);
        this.#checkOrders(player);
    }

    // Whatever was known before is in the full state.
    #checkFull(player) {
        const hexes = [...this.explored.keys()].filter((hex) => !(player.hexes.get(hex)?.state > 0) && !this.#mayBeShroud(hex));
        if (hexes.length > 0) this.fault(`${hexes.length} of ${this.explored.size} explored hexes are shroud again, such as ${hexes[0]}`);
        for (const [hex, { state }] of player.hexes) if (state > 0) this.#saw(hex);
        for (const [id, type] of this.own) {
            const entity = player.entities.get(id);
            if (!entity || entity.is_stale) this.fault(`own ${type} ${id} is gone`);
        }
        this.isPlaying = true;
    }

    #saw(hex) {
        if (!this.explored.has(hex)) this.explored.set(hex, performance.now());
    }

    // Never seen, or so lately that it need not be saved yet; then it is forgotten here, too.
    #mayBeShroud(hex) {
        const seenMs = this.explored.get(hex);
        return seenMs === undefined || (seenMs >= this.exploredUnsavedFrom && this.explored.delete(hex));
    }

    // An order that was acknowledged shows: the unit is on its way to the target, or there.
    #checkOrders(player) {
        for (const [id, order] of this.orders) {
            const unit = player.entities.get(id);
            if (order.seen || this.tick < order.tick || !unit) continue;
            order.seen = `${unit.data?.target}` === `${order.target}` || hexDistance(unit.pos, order.target) <= AT_TARGET;
            // It may have come and gone, or been pushed aside, in ticks that were skipped.
            if (!order.seen && this.tick > order.tick + UNSEEN_TICKS) this.orders.delete(id);
        }
    }

    // --- commands ---------------------------------------------------------------------------------

    // Sends until there is a final answer: the ack's payload, or the error's for what was refused.
    async command(command, fields) {
        await this.#untilConnected();
        const seq = this.player.nextSeq++;
        const deadline = performance.now() + COMMAND_WITHIN_MS;
        for (;;) {
            const answer = await this.#try(seq, command, fields);
            if (answer && !(answer.type === 'error' && TRANSIENT.has(answer.payload.code))) return answer;
            if (this.stopped) throw new Error(`${this.name} stopped before the answer to ${command} ${seq}`);
            if (performance.now() > deadline) throw new Error(`${this.name}: ${command} ${seq} got no final answer: ${JSON.stringify(answer)}`);
            await pause(COMMAND_AGAIN_MS);
        }
    }

    async #untilConnected() {
        const deadline = performance.now() + COMMAND_WITHIN_MS;
        while (!this.connected) {
            if (this.game.program.exit) throw new Error(`the launcher has ended:\n${this.game.program.log()}`);
            if (performance.now() > deadline) throw new Error(`${this.name} cannot connect: ${JSON.stringify([this.closes, this.refusals.slice(-3)])}`);
            await pause(10);
        }
    }

    // One attempt: the answer, or null if the connection was lost.
    async #try(seq, command, fields) {
        await this.#untilConnected();
        const player = this.player;
        player.nextSeq = Math.max(player.nextSeq, seq + 1);
        const began = performance.now();
        let answer = null;
        this.answers.delete(seq);
        const look = () => this.answers.get(seq);
        player.send({ type: 'command', payload: { seq, command, ...fields } });
        try {
            answer = await player.until(`answer to ${command} ${seq}`, look, ANSWER_WITHIN_MS);
        } catch {
            if (!player.closed && player === this.player) this.fault(`no answer to ${command} ${seq} in ${ANSWER_WITHIN_MS} ms`);
            return null;
        }
        this.slowestAnswerMs = Math.max(this.slowestAnswerMs, performance.now() - began);
        if (answer.type === 'error') this.errors.set(answer.payload.code, (this.errors.get(answer.payload.code) || 0) + 1);
        return answer;
    }

    // Orders one unit to a hex: 'ack', or the code of the refusal.
    async move(unit, target) {
        this.orders.delete(unit);
        const answer = await this.command('move', { units: [unit], target, queued: false });
        if (answer.type !== 'ack') return answer.payload.code;
        const { seq, tick } = answer.payload;
        this.moves.push({ seq, unit, target, tick });
        this.orders.set(unit, { target, tick, seen: false });
        return 'ack';
    }

    // The same for one cycle of a recipe in the settlement.
    async train(recipe) {
        const settlement = this.player.mine('settlement')[0];
        const answer = await this.command('train', { building: settlement.id, recipe, cycles: 1 });
        if (answer.type !== 'ack') return answer.payload.code;
        const { job } = answer.payload;
        if (this.jobs.has(job)) this.fault(`job ${job} was given to two orders`);
        this.jobs.set(job, recipe);
        return 'ack';
    }

    // --- questions --------------------------------------------------------------------------------

    countOwn(type) {
        return [...this.own.values()].filter((one) => one === type).length;
    }

    // Resolves when an update with a later tick than `tick` has come.
    async pastTick(tick, timeoutMs) {
        const deadline = performance.now() + timeoutMs;
        while (!(this.connected && this.tick > tick)) {
            if (performance.now() > deadline) throw new Error(`${this.name} is still at tick ${this.tick}, wanted past ${tick}`);
            await pause(5);
        }
    }
}
