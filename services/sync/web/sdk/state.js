import { saysOnlyNames } from './connection.js';
import { Emitter } from './emitter.js';
import { distance, key, toPoint } from './hex.js';

/** What a hex is to the player; the protocol's numbers. */
export const SHROUD = 0, FOG = 1, VISIBLE = 2;

const TICKS_PER_HEX = 6; // of a unit whose type says nothing
const PLAIN_COST = 100;  // of a terrain that says nothing
const CATCH_UP_MS = 250; // for a way of which not every step was told
const OVER_MAX = 256;    // jobs: no more commands wait for their answers

/**
 * What the client knows of the game, from the server's messages alone. It knows nothing of sockets or
 * screens: feed it messages, call `interpolate` once a frame if positions are drawn.
 *
 * A full state (after connecting, or when the server found the client too far behind) is built aside
 * and takes the place of the old one when it is complete, so that nothing flickers.
 *
 * Emits 'change' with `{what, detail}`: 'reset' (another full state took over; `hexes` with all
 * of them follows), 'map', 'hexes' (array of [q, r]), 'entities', 'resources' (the changed amounts),
 * 'jobs', 'empires', 'events' (what happened in sight).
 */
export class GameStateManager extends Emitter {
  #next = null; // {hexes, entities}: the full state that is being received
  #jobsAnew = false; // the next update lists all jobs there are
  #over = new Set(); // jobs that ended last: the answer to who ordered one may come behind

  constructor() {
    super();
    this.#clear();
  }

  #clear() {
    this.tick = 0;
    this.complete = false;     // a full state was received
    this.deferred = 0;         // of so many entities and hexes there is news that comes later
    this.empireId = null;
    this.home = [0, 0];
    this.entities = new Map(); // id -> entity
    this.hexes = new Map();    // "q,r" -> {q, r, terrain, state}
    this.resources = new Map();
    this.jobs = new Map();     // id -> job
    this.empires = new Map();  // id -> name
    this.types = new Map();    // name -> {name, kind, sight, health, ticks_per_hex}
    this.terrains = new Map(); // name -> {name, cost}
    this.recipes = [];
    this.tickMs = 50;
  }

  /** Forgets everything. */
  reset() {
    this.#next = null;
    this.#clear();
    this.#tell('reset');
  }

  #tell(what, detail) {
    this.emit('change', { what, detail });
  }

  /** Applies any message of the server; those that are not about the game's state are ignored. */
  apply(message) {
    switch (message.type) {
      case 'welcome': this.#onWelcome(message.payload); break;
      case 'map': this.#onMap(message); break;
      case 'resumed': this.#onResumed(message); break;
      case 'explored_hexes': this.#onExplored(message); break;
      case 'entity_snapshot': this.#onSnapshot(message.entity); break;
      case 'entity_cached': this.#onCached(message); break;
      case 'update': this.#onUpdate(message); break;
    }
  }

  #onWelcome(payload) {
    if (this.empireId !== null && this.empireId !== payload.empire_id) this.reset();
    this.empireId = payload.empire_id;
    this.home = payload.home;
    this.empires.set(payload.empire_id, payload.username);
    if (!payload.resumed) this.#beginFull();
  }

  /** What was missed follows as an update. */
  #onResumed({ empires }) {
    for (const { id, name } of empires || []) this.empires.set(id, name);
    this.#jobsAnew = true;
  }

  #beginFull() {
    this.#jobsAnew = false;
    this.#next = { hexes: new Map(), entities: new Map() };
  }

  #onMap(map) {
    this.tickMs = 1000 / (map.tick_rate || 20);
    this.types = new Map((map.types || []).map(type => [type.name, type]));
    this.terrains = new Map((map.terrains || []).map(terrain => [terrain.name, terrain]));
    this.recipes = map.recipes || [];
    this.#tell('map');
  }

  #onExplored({ hexes, reset }) {
    if (reset) this.#beginFull();
    const into = this.#next?.hexes ?? this.hexes;
    for (const { hex: [q, r], terrain } of hexes) {
      const known = into.get(key(q, r));
      if (known) known.terrain = terrain;
      else into.set(key(q, r), { q, r, terrain, state: FOG });
    }
    if (!this.#next) this.#tell('hexes', hexes.map(({ hex }) => hex));
  }

  #onSnapshot(data) {
    const into = this.#next?.entities ?? this.entities;
    into.set(data.id, { ...create(data), stale: data.is_stale !== false });
    if (!this.#next) this.#tell('entities');
  }

  #onCached(message) {
    const entity = this.entities.get(message.entity_id);
    if (!entity) return;
    entity.stale = true;
    entity.lastSeen = message.last_seen;
    entity.expiresAt = message.expires_at || null;
    this.#settle(entity);
    this.#tell('entities');
  }

  /** Puts an entity where it is known to be, without a way there. */
  #settle(entity) {
    Object.assign(entity, toPoint(entity.pos[0], entity.pos[1]), { from: null });
  }

  #onUpdate(update) {
    // While another full state comes in, its ticks count: nothing of the old one is left after it.
    if (update.tick < this.tick && !this.#next) return;
    this.tick = update.tick;
    this.deferred = update.deferred || 0;
    const before = this.entities;
    if (update.full) this.#endFull();
    const jobsAnew = this.#jobsAnew && !saysOnlyNames(update);
    if (jobsAnew) {
      this.#jobsAnew = false;
      this.jobs.clear();
    }
    for (const { id, name } of update.empires || []) this.empires.set(id, name);
    for (const data of update.appeared || []) this.#appear(data, before.get(data.id));
    for (const data of update.changed || []) {
      const entity = this.entities.get(data.id);
      if (entity) this.#merge(entity, data);
    }
    for (const id of update.disappeared || []) this.entities.delete(id);
    const resources = this.#onResources(update);
    for (const job of update.jobs || []) this.#onJob(job);
    this.#tellUpdate(jobsAnew ? { jobs: [], ...update } : update, this.#onVision(update.vision || []), resources);
  }

  #tellUpdate(update, hexes, resources) {
    if (update.full) {
      this.complete = true;
      this.#tell('reset');
      this.#tell('hexes', [...this.hexes.values()].map(({ q, r }) => [q, r]));
    } else if (hexes.length) {
      this.#tell('hexes', hexes);
    }
    if (update.resources || update.full) this.#tell('resources', resources);
    if (update.jobs || update.full) this.#tell('jobs', update.jobs || []);
    if (update.empires) this.#tell('empires');
    if (update.appeared || update.disappeared || update.changed || update.full) this.#tell('entities');
    if (update.events) this.#tell('events', update.events);
  }

  /** The state that was built aside takes over; who is in sight is in the update itself. */
  #endFull() {
    if (this.#next) {
      this.entities = this.#next.entities;
      this.hexes = this.#next.hexes;
      this.#next = null;
    } else {
      this.entities = new Map([...this.entities].filter(([, entity]) => entity.stale));
      for (const hex of this.hexes.values()) if (hex.state === VISIBLE) hex.state = FOG;
    }
    this.jobs.clear();
  }

  #appear(data, before) {
    const entity = create(data);
    // Seen until now under the old state: it goes on from where it was drawn.
    if (before && !before.stale && (before.x !== entity.x || before.y !== entity.y))
      this.#walk(entity, before, CATCH_UP_MS);
    this.entities.set(data.id, entity);
  }

  #walk(entity, { x, y }, moveMs) {
    Object.assign(entity, { x, y, from: { x, y }, moveMs, movedMs: 0 });
  }

  /** @returns {Array} the hexes that are now something else */
  #onVision(vision) {
    const changed = [];
    for (const { hex: [q, r], state, terrain } of vision) {
      const known = this.hexes.get(key(q, r));
      if (known) {
        known.state = state;
        if (terrain) known.terrain = terrain;
      } else if (state !== SHROUD) {
        this.hexes.set(key(q, r), { q, r, terrain: terrain || null, state });
      }
      changed.push([q, r]);
    }
    return changed;
  }

  /** @returns {object} the amounts that are now different */
  #onResources(update) {
    const before = this.resources, changed = {};
    if (update.full) this.resources = new Map();
    for (const [item, amount] of Object.entries(update.resources || {})) {
      if (before.get(item) !== amount) changed[item] = amount;
      this.resources.set(item, amount);
    }
    return changed;
  }

  #onJob(job) {
    if (job.event === 'started' || job.event === 'progress') this.jobs.set(job.job, { ...this.jobs.get(job.job), ...job });
    else this.#endJob(job.job);
  }

  #endJob(job) {
    this.jobs.delete(job);
    this.#over.add(job);
    if (this.#over.size > OVER_MAX) this.#over.delete(this.#over.values().next().value);
  }

  /** A job was accepted: it is known as waiting until an update tells of it. One of which that told before is left alone. */
  jobWaits(job, building, recipe) {
    if (this.jobs.has(job) || this.#over.has(job)) return;
    this.jobs.set(job, { event: 'waiting', job, building, recipe, start_tick: 0, end_tick: 0 });
    this.#tell('jobs', []);
  }

  /** A cancellation was accepted. */
  jobIsCancelled(job) {
    if (this.jobs.delete(job)) this.#tell('jobs', []);
  }

  #merge(entity, data) {
    if (data.pos && (data.pos[0] !== entity.pos[0] || data.pos[1] !== entity.pos[1])) {
      const steps = distance(entity.pos, data.pos);
      entity.pos = data.pos;
      this.#walk(entity, entity, steps > 1 ? CATCH_UP_MS : this.#stepMs(entity));
    }
    if (data.health !== undefined) entity.health = data.health;
    if (data.owner !== undefined) entity.owner = data.owner;
    if (data.type !== undefined) entity.type = data.type;
    Object.assign(entity.data, data.data);
  }

  /** How long the step into the entity's present hex takes, as the server reckons it. */
  #stepMs(entity) {
    const ticks = this.types.get(entity.type)?.ticks_per_hex || TICKS_PER_HEX;
    const cost = this.terrainAt(entity.pos)?.cost || PLAIN_COST;
    return ticks * cost / PLAIN_COST * this.tickMs;
  }

  /** Moves drawn positions (x, y) towards the known ones: call once a frame with the time since the last. */
  interpolate(deltaMs) {
    for (const entity of this.entities.values()) {
      if (!entity.from) continue;
      entity.movedMs += deltaMs;
      const to = toPoint(entity.pos[0], entity.pos[1]);
      const t = Math.min(1, entity.movedMs / entity.moveMs);
      entity.x = entity.from.x + (to.x - entity.from.x) * t;
      entity.y = entity.from.y + (to.y - entity.from.y) * t;
      if (t === 1) entity.from = null;
    }
  }

  isMine(entity) {
    return entity.owner !== null && entity.owner === this.empireId;
  }

  /** The player's own entities, all or of one type. */
  mine(type) {
    return [...this.entities.values()].filter(e => this.isMine(e) && (!type || e.type === type));
  }

  /** What is in a hex, units first. */
  at([q, r]) {
    return [...this.entities.values()].filter(e => e.pos[0] === q && e.pos[1] === r)
      .sort((a, b) => (a.kind === 'unit' ? 0 : 1) - (b.kind === 'unit' ? 0 : 1));
  }

  /** What is known of a hex: {q, r, terrain, state}, or undefined under the shroud. */
  hexAt([q, r]) {
    return this.hexes.get(key(q, r));
  }

  /** The terrain of a known hex: {name, cost}. */
  terrainAt(hex) {
    return this.terrains.get(this.hexAt(hex)?.terrain);
  }

  /** True if the hex is known and units can walk there. */
  isPassable(hex) {
    return (this.terrainAt(hex)?.cost ?? 0) > 0;
  }
}

function create(data) {
  return {
    id: data.id,
    type: data.type ?? 'unknown', // of a type that the map does not name neither is told
    kind: data.kind ?? 'unknown',
    owner: data.owner || null,
    pos: data.pos,
    health: data.health ?? data.data?.health ?? null,
    data: { ...data.data },
    stale: Boolean(data.is_stale),
    lastSeen: data.last_seen ?? null,
    expiresAt: data.expires_at || null,
    ...toPoint(data.pos[0], data.pos[1]),
    from: null,
    moveMs: 0,
    movedMs: 0,
  };
}
