// What one client was told, message by message, against what its empire was allowed to know at the
// tick of each message (tests/support/fog.mjs). Reports everything that is too much, and everything
// that is missing. Strict on purpose: a message type, key or id that is not known to be harmless is
// a violation, so that whoever adds one has to say here why a player may see it.

import { Truth } from './fog.mjs';

const ENTITY_ID = /^(unit|building|resource|npc|entity)_[0-9a-z]{13}$/;
const EMPIRE_ID = /^empire_[0-9a-z]{13}$/;
const ANY_ID = /\b(?:unit|building|resource|npc|entity|empire)_[0-9a-z]{13}\b/g;
const ACTIVITIES = ['idle', 'moving', 'attacking', 'gathering', 'building', 'repairing'];

const KEYS = {
    entity: ['id', 'type', 'kind', 'pos', 'owner', 'health', 'data'],
    remembered: ['id', 'type', 'kind', 'pos', 'owner', 'data', 'is_stale', 'cache_mode', 'last_seen', 'expires_at'],
    data: ['activity', 'progress', 'amount', 'rank', 'carried', 'target', 'health'],
    own: ['carried', 'target'],
    update: ['type', 'tick', 'full', 'appeared', 'changed', 'disappeared', 'vision', 'resources', 'jobs', 'events', 'empires', 'deferred'],
    message: {
        // resume: drawn by lot; resumed, reason: of the client's own former connection.
        welcome: ['player_id', 'username', 'session_id', 'empire_id', 'home', 'next_seq', 'session_status', 'resume', 'resumed', 'reason'],
        // Who plays is public; of their empires it says nothing.
        roster: ['player_count', 'players'],
        players: ['player_count', 'joined', 'left'],
        player_joined: ['player_id', 'username', 'player_count'],
        player_left: ['player_id', 'username', 'player_count'],
        chat: ['player_id', 'username', 'message', 'timestamp'],
        announcement: ['message', 'timestamp'],
        groups: ['groups', 'invited'],
        mailbox: ['unread', 'total'],
        session_status: ['state', 'player_count', 'max_players', 'server_tick', 'uptime'],
        pong: ['timestamp', 'server_tick'],
        ack: ['seq', 'tick', 'job'],
        error: ['code', 'message', 'seq', 'retry_after_ms'], // when it may order again: of its own orders
    },
};

// A short text of everything a client should know of a look, to see whether anything changed.
function signature(look) {
    look.signature ??= JSON.stringify([
        [...look.hexes].sort(),
        [...look.entities.values()].map((e) => [e.id, e.q, e.r, e.owner, e.health]).sort(),
    ]);
    return look.signature;
}

export class LeakCheck {
    // stocks: tests/support/stocks.mjs. lateTicks: how long a change may wait for its message.
    constructor({ timeline, stocks, empire, lateTicks = 2, outages = [] }) {
        Object.assign(this, { timeline, stocks, empire, lateTicks, outages });
        this.violations = [];
        this.counts = { messages: 0, updates: 0, appeared: 0, changed: 0, disappeared: 0, hexes: 0, cached: 0, remembered: 0 };
        this.reset();
        this.tick = 0;
    }

    reset() {
        this.entities = new Map(); // id -> { pos, owner, health, stale }
        this.hexes = new Map(); // "q,r" -> { state, terrain }
        this.resources = new Map();
        this.early = []; // messages before the first update
        this.complete = false;
    }

    // All messages of a client, in order. Returns the violations.
    run(messages) {
        for (const message of messages) this.take(message);
        return this.violations;
    }

    wrong(kind, text) {
        this.violations.push({ kind, tick: this.tick, text });
    }

    get truth() {
        return this.timeline.truth;
    }

    get self() {
        return this.truth.empires.get(this.empire);
    }

    onlyKeys(what, object, keys) {
        for (const key of Object.keys(object)) if (!keys.includes(key)) this.wrong('unknown key', `${what}: ${key}`);
    }

    take({ receivedMs, ...message }) {
        this.counts.messages++;
        if (message.type === 'update' && message.tick < this.tick) this.wrong('time', `tick ${message.tick} after ${this.tick}`);
        // What comes before the full state is of that state's tick, which only it tells.
        if (message.type === 'update') {
            for (const early of this.early.splice(0)) this.scanIds(early, message.tick);
            this.scanIds(message, message.tick);
        } else if (this.complete) {
            // What came and went between two updates, and is remembered, goes before the update: seen in the tick that it
            // names, as is looked at below.
            this.scanIds(message, Math.max(this.tick, message.payload?.tick ?? message.entity?.last_seen ?? 0));
        } else {
            this.early.push(message);
        }
        switch (message.type) {
        case 'update':
            this.update(message);
            break;
        case 'map':
            break; // the rules of the game; ids and keys of entities do not occur, which scanIds saw
        case 'explored_hexes':
            this.explored(message);
            break;
        case 'entity_snapshot':
            this.remembered(message.entity);
            break;
        case 'entity_cached':
            this.cached(message);
            break;
        default:
            this.session(message);
        }
    }

    // Wherever an id stands, even within a text: only of what was seen by then.
    scanIds(message, tick) {
        const firsts = this.timeline.firsts.get(this.empire);
        for (const id of JSON.stringify(message).match(ANY_ID) ?? []) {
            if (EMPIRE_ID.test(id)) {
                if (!this.met(id, tick)) this.wrong('empire id', `${id} in ${message.type}`);
            } else if (!(firsts.entities.get(id) <= tick)) {
                this.wrong('entity id', `${id} in ${message.type}`);
            }
        }
    }

    met(id, tick) {
        if (id === this.self.id) return true;
        const other = [...this.truth.empires.values()].find((e) => e.id === id);
        return other !== undefined && this.timeline.firsts.get(this.empire).met.get(other.number) <= tick;
    }

    session(message) {
        const keys = KEYS.message[message.type];
        if (!keys) {
            this.wrong('unknown message', message.type);
            return;
        }
        this.onlyKeys(message.type, message, ['type', 'payload']);
        this.onlyKeys(message.type, message.payload, keys);
        if (message.type === 'roster') {
            for (const player of message.payload.players) this.onlyKeys('roster', player, ['player_id', 'username']);
        }
        if (message.type === 'groups') {
            // Nobody here founds one.
            const { groups, invited } = message.payload;
            if (groups.length + invited.length > 0) this.wrong('group', JSON.stringify(message.payload));
        }
        if (message.type !== 'welcome') return;
        this.reset();
        const { payload } = message;
        if (payload.empire_id !== this.self.id) this.wrong('empire id', `welcome to ${payload.empire_id}`);
        if (`${payload.home}` !== `${this.self.home}`) this.wrong('position', `home ${payload.home}`);
    }

    // --- what is remembered and explored ---------------------------------------------------------

    terrainIs(hex, name) {
        if (this.truth.terrains[this.truth.terrain.get(hex)] !== name) this.wrong('terrain', `${hex} is not ${name}`);
    }

    explored(message) {
        this.onlyKeys(message.type, message, ['type', 'reset', 'hexes']);
        if (message.reset) this.hexes.clear();
        const firsts = this.timeline.firsts.get(this.empire).hexes;
        for (const { hex, terrain, ...rest } of message.hexes) {
            this.onlyKeys('explored hex', rest, []);
            this.counts.hexes++;
            // Of which tick is told only by the full update that follows: looked at there.
            if (!firsts.has(`${hex}`)) this.wrong('hex', `explored ${hex} was never seen`);
            this.terrainIs(`${hex}`, terrain);
            this.hexes.set(`${hex}`, { state: 1, terrain });
        }
    }

    remembered(entity) {
        this.counts.remembered++;
        this.onlyKeys('entity_snapshot', entity, KEYS.remembered);
        const seen = this.timeline.look(entity.last_seen, this.empire)?.entities.get(entity.id);
        if (!seen) {
            this.wrong('entity', `remembers ${entity.id}, which was not in sight at ${entity.last_seen}`);
            return;
        }
        if (!Truth.remembered(seen.type)) this.wrong('entity', `remembers ${entity.id}, a ${seen.type.name}`);
        this.sameFields(entity, seen);
        this.entities.set(entity.id, { pos: entity.pos, owner: entity.owner, health: entity.data?.health, stale: true });
    }

    cached(message) {
        this.counts.cached++;
        this.onlyKeys(message.type, message, ['type', 'entity_id', 'cache_mode', 'last_seen', 'expires_at']);
        const entity = this.entities.get(message.entity_id);
        if (!entity || entity.stale) {
            this.wrong('entity', `${message.entity_id} is remembered but was not in sight`);
            return;
        }
        const seen = this.timeline.look(message.last_seen, this.empire)?.entities.get(message.entity_id);
        if (!seen) this.wrong('entity', `${message.entity_id} was not in sight at ${message.last_seen}`);
        entity.stale = true;
    }

    // --- updates -----------------------------------------------------------------------------------

    // What was told about an entity equals the truth.
    sameFields(told, truth) {
        const is = (what, have, want, kind = 'field') => {
            if (have !== undefined && `${have}` !== `${want}`) this.wrong(kind, `${told.id}: ${what} ${have}, not ${want}`);
        };
        is('pos', told.pos, [truth.q, truth.r], 'position');
        is('type', told.type, truth.type.name);
        is('kind', told.kind, truth.type.kind);
        is('health', told.health ?? told.data?.health, truth.health, 'health');
        const owner = truth.owner ? this.truth.empires.get(truth.owner).id : undefined;
        if (told.owner !== undefined && told.owner !== null) is('owner', told.owner, owner, 'owner');
        if (!told.data) return;
        this.onlyKeys(told.id, told.data, KEYS.data);
        is('activity', told.data.activity, ACTIVITIES[truth.activity]);
        is('progress', told.data.progress, truth.progress);
        is('amount', told.data.amount, truth.amount);
        is('rank', told.data.rank, truth.rank);
        for (const key of KEYS.own) {
            if (told.data[key] !== undefined && truth.owner !== this.empire) this.wrong('private', `${told.id}: ${key}`);
        }
    }

    update(update) {
        this.counts.updates++;
        this.onlyKeys('update', update, KEYS.update);
        const look = this.timeline.look(update.tick, this.empire);
        if (!look) {
            this.wrong('time', `no truth of tick ${update.tick}`);
            return;
        }
        this.checkSilence(update.tick);
        this.tick = update.tick;
        if (update.full) this.full(update.tick);
        for (const told of update.appeared ?? []) this.appeared(told, look);
        for (const told of update.changed ?? []) this.changed(told, look);
        for (const id of update.disappeared ?? []) this.disappeared(id, look);
        for (const told of update.vision ?? []) this.hex(told, look);
        for (const told of update.empires ?? []) this.empireNamed(told);
        for (const told of update.events ?? []) this.event(told, look);
        for (const told of update.jobs ?? []) this.job(told);
        for (const [item, amount] of Object.entries(update.resources ?? {})) this.resource(item, amount);
        // A client that just came is told its own name before the full state.
        if (update.full) this.complete = true;
        // One that has nothing but names goes before something else of its tick.
        const isOnlyNames = update.empires && Object.keys(update).every((key) => ['type', 'tick', 'empires'].includes(key));
        if (this.complete && !isOnlyNames) this.compare(look);
    }

    full(tick) {
        for (const [id, entity] of this.entities) if (!entity.stale) this.entities.delete(id);
        for (const hex of this.hexes.values()) if (hex.state === 2) hex.state = 1;
        const firsts = this.timeline.firsts.get(this.empire).hexes;
        for (const hex of this.hexes.keys()) {
            if (firsts.get(hex) > tick) this.wrong('hex', `explored ${hex} before it was seen`);
        }
    }

    appeared(told, look) {
        this.counts.appeared++;
        this.onlyKeys('appeared', told, KEYS.entity);
        const truth = look.entities.get(told.id);
        if (!truth) {
            this.wrong('entity', `${told.id} appeared out of sight`);
            return;
        }
        this.sameFields(told, truth);
        if ((told.owner === undefined) !== (truth.owner === 0)) this.wrong('owner', `${told.id}: ${told.owner}`);
        this.entities.set(told.id, { pos: told.pos, owner: told.owner, health: told.health, stale: false });
    }

    changed(told, look) {
        this.counts.changed++;
        this.onlyKeys('changed', told, KEYS.entity);
        const truth = look.entities.get(told.id);
        const entity = this.entities.get(told.id);
        if (!truth) this.wrong('entity', `${told.id} changed out of sight`);
        else this.sameFields(told, truth);
        if (!entity || entity.stale) {
            this.wrong('entity', `${told.id} changed without having appeared`);
            return;
        }
        for (const key of ['pos', 'owner', 'health']) if (told[key] !== undefined) entity[key] = told[key];
    }

    disappeared(id, look) {
        this.counts.disappeared++;
        if (!this.entities.has(id)) this.wrong('entity', `${id} disappeared, of which nothing was known`);
        if (look.entities.has(id)) this.wrong('entity', `${id} disappeared and is in sight`);
        this.entities.delete(id);
    }

    hex({ hex, state, terrain, ...rest }, look) {
        this.counts.hexes++;
        this.onlyKeys('vision', rest, []);
        const key = `${hex}`;
        const known = this.hexes.get(key);
        if (state === 2 && !look.hexes.has(key)) this.wrong('hex', `${hex} is not in sight`);
        if (state === 1 && look.hexes.has(key)) this.wrong('hex', `${hex} is in sight`);
        if (state !== 1 && state !== 2) this.wrong('hex', `${hex}: state ${state}`);
        // What was seen between two updates is told as what it is now, and what it is like.
        const seen = known || (terrain !== undefined && this.timeline.firsts.get(this.empire).hexes.get(key) < this.tick);
        if (state === 1 && !seen) this.wrong('hex', `${hex} was never seen`);
        if (terrain !== undefined) this.terrainIs(key, terrain);
        this.hexes.set(key, { state, terrain: terrain ?? known?.terrain });
    }

    empireNamed({ id, name, ...rest }) {
        this.onlyKeys('empires', rest, []);
        const other = [...this.truth.empires.values()].find((e) => e.id === id);
        if (!this.met(id, this.tick) || other.name !== name) this.wrong('empire', `${id} is ${name}`);
    }

    event(told, look) {
        const before = this.timeline.look(this.tick - 1, this.empire);
        for (const id of [told.entity, told.other]) {
            if (id !== undefined && !look.entities.has(id) && !before?.entities.has(id)) this.wrong('event', `${told.event} of ${id}`);
        }
    }

    job(told) {
        const building = [...this.truth.entities.values()].find((e) => e.id === told.building);
        if (building && building.owner !== this.empire) this.wrong('private', `job ${told.job} of another's ${told.building}`);
        if (this.stocks.jobs.get(told.job) !== this.empire) this.wrong('private', `job ${told.job} of another`);
    }

    resource(item, amount) {
        this.resources.set(item, amount);
        if (!this.stocks.had(this.empire, item, amount)) this.wrong('private', `${amount} ${item}, which it never had`);
    }

    // --- nothing missing -----------------------------------------------------------------------------

    // Since the last update nothing was to be told for longer than it may wait.
    checkSilence(until) {
        if (!this.complete) return;
        const last = this.timeline.look(this.tick, this.empire);
        for (let tick = this.tick + 1; tick <= until - this.lateTicks; tick++) {
            const look = this.timeline.look(tick, this.empire);
            if (!look || this.outages.some(([from, to]) => tick >= from && tick <= to)) continue;
            if (signature(look) === signature(last)) continue;
            this.wrong('late', `what changed at ${tick} was told at ${until}`);
            return;
        }
    }

    // What the client has been told, all together, is what there is to know.
    compare(look) {
        for (const hex of look.hexes) {
            if (this.hexes.get(hex)?.state !== 2) this.wrong('missing hex', hex);
            if (!this.hexes.get(hex)?.terrain) this.wrong('missing terrain', hex);
        }
        for (const [hex, { state }] of this.hexes) if (state === 2 && !look.hexes.has(hex)) this.wrong('hex', `${hex} stays in sight`);
        for (const [id, truth] of look.entities) {
            const entity = this.entities.get(id);
            if (!entity || entity.stale) this.wrong('missing entity', `${id}, a ${truth.type.name}`);
            else this.sameFields({ id, ...entity }, truth);
        }
        for (const [id, entity] of this.entities) {
            if (!entity.stale && !look.entities.has(id)) this.wrong('entity', `${id} stays in sight`);
        }
        this.compareMemories(look);
    }

    // Buildings never move, and none is destroyed in these games: what was seen and is not is remembered.
    compareMemories(look) {
        for (const [id, first] of this.timeline.firsts.get(this.empire).entities) {
            if (first > this.tick || look.entities.has(id)) continue;
            const entity = [...this.truth.entities.values()].find((e) => e.id === id);
            if (entity && Truth.remembered(entity.type) && !this.entities.get(id)?.stale) this.wrong('missing memory', id);
        }
    }
}

export const isEntityId = (text) => ENTITY_ID.test(text);
