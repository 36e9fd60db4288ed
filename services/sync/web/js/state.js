import { key, toPixel } from './hex.js';

/** What a hex is to the player; numbers of the protocol. */
export const SHROUD = 0, FOG = 1, VISIBLE = 2;

/**
 * What the client knows of the game, from the server's messages alone. Knows nothing of sockets or
 * screens, so that other clients can use it as it is.
 *
 * Events ('change' with a detail) tell a screen what to redraw: 'reset', 'hexes' (array of
 * [q, r]), 'entities', 'resources', 'jobs', 'empires'.
 */
export class GameStateManager extends EventTarget {
  constructor() {
    super();
    this.reset();
  }

  reset() {
    this.tick = 0;
    this.empireId = null;
    this.home = [0, 0];
    this.entities = new Map(); // id -> entity
    this.hexes = new Map();    // "q,r" -> {q, r, terrain, state}
    this.resources = new Map();
    this.jobs = new Map();     // id -> job
    this.empires = new Map();  // id -> name
    this.types = new Map();
    this.terrains = new Map();
    this.recipes = [];
    this.tickMs = 50;
    this.#tell('reset');
  }

  #tell(what, detail) {
    this.dispatchEvent(new CustomEvent('change', { detail: { what, detail } }));
  }

  /** Applies any message of the server; those that are not about the game's state are ignored. */
  apply(message) {
    switch (message.type) {
      case 'welcome':
        this.reset();
        this.empireId = message.payload.empire_id;
        this.home = message.payload.home;
        this.empires.set(this.empireId, message.payload.username);
        break;
      case 'map': this.#onMap(message); break;
      case 'explored_hexes': this.#onExplored(message.hexes); break;
      case 'entity_snapshot': this.#onSnapshot(message.entity); break;
      case 'entity_cached': this.#onCached(message); break;
      case 'update': this.#onUpdate(message); break;
    }
  }

  #onMap(map) {
    this.tickMs = 1000 / (map.tick_rate || 20);
    for (const type of map.types || []) this.types.set(type.name, type);
    for (const terrain of map.terrains || []) this.terrains.set(terrain.name, terrain);
    this.recipes = map.recipes || [];
    this.#tell('jobs');
  }

  #onExplored(hexes) {
    const changed = [];
    for (const { hex: [q, r], terrain } of hexes) {
      const known = this.hexes.get(key(q, r));
      if (known) known.terrain = terrain;
      else this.hexes.set(key(q, r), { q, r, terrain, state: FOG });
      changed.push([q, r]);
    }
    this.#tell('hexes', changed);
  }

  #onSnapshot(data) {
    const known = this.entities.get(data.id);
    if (known) this.#merge(known, data);
    else this.entities.set(data.id, this.#create(data));
    this.entities.get(data.id).stale = Boolean(data.is_stale);
    this.#tell('entities');
  }

  #onCached(message) {
    const entity = this.entities.get(message.entity_id);
    if (!entity) return;
    entity.stale = true;
    entity.lastSeen = message.last_seen;
    this.#tell('entities');
  }

  #onUpdate(update) {
    if (update.tick < this.tick) return;
    if (update.full) {
      for (const [id, entity] of this.entities) if (!entity.stale) this.entities.delete(id);
      for (const hex of this.hexes.values()) if (hex.state === VISIBLE) hex.state = FOG;
      this.jobs.clear();
    }
    this.tick = update.tick;
    for (const { id, name } of update.empires || []) this.empires.set(id, name);
    for (const data of update.appeared || []) this.entities.set(data.id, this.#create(data));
    for (const data of update.changed || []) {
      const entity = this.entities.get(data.id);
      if (entity) this.#merge(entity, data);
    }
    for (const id of update.disappeared || []) this.entities.delete(id);
    this.#onVision(update.vision || []);
    for (const [item, amount] of Object.entries(update.resources || {})) this.resources.set(item, amount);
    for (const job of update.jobs || []) this.#onJob(job);

    if (update.resources) this.#tell('resources', update.resources);
    if (update.jobs || update.full) this.#tell('jobs');
    if (update.empires) this.#tell('empires');
    if (update.appeared || update.disappeared || update.changed || update.full) this.#tell('entities');
    if (update.events) this.#tell('events', update.events);
  }

  #onVision(vision) {
    const changed = [];
    for (const { hex: [q, r], state, terrain } of vision) {
      const known = this.hexes.get(key(q, r));
      if (known) {
        known.state = state;
        if (terrain) known.terrain = terrain;
      } else if (state !== SHROUD) {
        this.hexes.set(key(q, r), { q, r, terrain: terrain || 'plains', state });
      }
      changed.push([q, r]);
    }
    if (changed.length) this.#tell('hexes', changed);
  }

  #onJob(job) {
    if (job.event === 'started' || job.event === 'progress') this.jobs.set(job.job, job);
    else this.jobs.delete(job.job);
  }

  #create(data) {
    const { x, y } = toPixel(data.pos[0], data.pos[1]);
    return {
      id: data.id, type: data.type, kind: data.kind, owner: data.owner || null,
      pos: data.pos, health: data.health ?? data.data?.health ?? null, data: { ...data.data },
      stale: Boolean(data.is_stale), lastSeen: data.last_seen ?? null,
      x, y, from: null, moveMs: 0, movedMs: 0,
    };
  }

  #merge(entity, data) {
    if (data.pos && (data.pos[0] !== entity.pos[0] || data.pos[1] !== entity.pos[1])) {
      entity.from = { x: entity.x, y: entity.y };
      entity.pos = data.pos;
      entity.moveMs = this.#stepMs(entity);
      entity.movedMs = 0;
    }
    if (data.health !== undefined) entity.health = data.health;
    if (data.owner !== undefined) entity.owner = data.owner;
    if (data.type !== undefined) entity.type = data.type;
    Object.assign(entity.data, data.data);
  }

  /** How long the step into the entity's present hex takes, as the server reckons it. */
  #stepMs(entity) {
    const ticks = this.types.get(entity.type)?.ticks_per_hex || 6;
    const terrain = this.hexes.get(key(entity.pos[0], entity.pos[1]))?.terrain;
    const cost = this.terrains.get(terrain)?.cost || 100;
    return ticks * cost / 100 * this.tickMs;
  }

  /** Moves drawn positions towards the known ones: call once a frame with the time since the last. */
  interpolate(deltaMs) {
    for (const entity of this.entities.values()) {
      if (!entity.from) continue;
      entity.movedMs += deltaMs;
      const to = toPixel(entity.pos[0], entity.pos[1]);
      const t = Math.min(1, entity.movedMs / entity.moveMs);
      entity.x = entity.from.x + (to.x - entity.from.x) * t;
      entity.y = entity.from.y + (to.y - entity.from.y) * t;
      if (t === 1) entity.from = null;
    }
  }

  isMine(entity) {
    return entity.owner !== null && entity.owner === this.empireId;
  }

  /** Entities in a hex, buildings last. */
  at([q, r]) {
    return [...this.entities.values()].filter(e => e.pos[0] === q && e.pos[1] === r)
      .sort((a, b) => (a.kind === 'unit' ? 0 : 1) - (b.kind === 'unit' ? 0 : 1));
  }
}
