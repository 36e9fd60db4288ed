/**
 * The binary encoding of the client protocol (docs/client-protocol.md): messages of the server become the JSON
 * messages that they stand for, and messages of the client become bytes.
 */

/** The subprotocol that asks for it. */
export const BINARY_PROTOCOL = 'mmorts.bin.v1';

const DIGITS = '0123456789abcdefghjkmnpqrstvwxyz';
const KINDS = ['unknown', 'unit', 'building', 'resource', 'npc'];
const DIRECTIONS = [[1, 0], [1, -1], [0, -1], [-1, 0], [-1, 1], [0, 1]];
const ACTIVITIES = ['idle', 'moving', 'attacking', 'gathering', 'building', 'repairing'];
const JOB_EVENTS = ['started', 'progress', 'completed', 'failed', 'cancelled', 'ended'];
const EVENTS = [null, 'attack', 'death', 'deposit', 'built'];
const ATTACK = 1, DEPOSIT = 3;
const MODES = ['permanent', 'timed'];
const PALETTE_BITS = [0, 1, 2, 4, 8];
const RUN_MAX = 1 << 20;  // hexes
const UTF8 = new TextDecoder();

const formatId = (kind, value) => {
  let digits = '';
  for (let shift = 60n; shift >= 0n; shift -= 5n) digits += DIGITS[Number(value >> shift & 31n)];
  return `${kind}_${digits}`;
};

/** @returns {bigint | null} null if it is no id, or not one of that kind */
function parseId(text, wanted) {
  const [, kind, digits] = typeof text === 'string' && /^([a-z]+)_([0-9a-f][0-9a-hjkmnp-tv-z]{12})$/.exec(text) || [];
  if (!digits || (wanted && kind !== wanted)) return null;
  return [...digits].reduce((value, digit) => value << 5n | BigInt(DIGITS.indexOf(digit)), 0n);
}

// --- reading --------------------------------------------------------------------------------------

class Reader {
  constructor(data) {
    this.view = new DataView(data.buffer ?? data, data.byteOffset ?? 0, data.byteLength);
    this.at = 0;
  }

  get left() {
    return this.view.byteLength - this.at;
  }

  u8() {
    return this.view.getUint8(this.at++);  // a RangeError beyond the end
  }

  u64() {
    const value = this.view.getBigUint64(this.at, true);
    this.at += 8;
    return value;
  }

  /** A number; those above 2^53, which do not occur in a sound message, lose their last bits. */
  varint() {
    let value = 0, scale = 1;
    for (let i = 0; i < 10; i++, scale *= 128) {
      const byte = this.u8();
      value += (byte & 127) * scale;
      if (byte < 128) return value;
    }
    throw new RangeError('a varint is too long');
  }

  /** The same to the last bit. */
  bigVarint() {
    let value = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = this.u8();
      value |= BigInt(byte & 127) << shift;
      if (byte < 128) return value;
    }
    throw new RangeError('a varint is too long');
  }

  zigzag() {
    const value = this.varint();
    return value % 2 ? -(value + 1) / 2 : value / 2;
  }

  text() {
    return UTF8.decode(this.bytes(this.varint()));
  }

  bytes(length) {
    if (length > this.left) throw new RangeError('the message ends early');
    const bytes = new Uint8Array(this.view.buffer, this.view.byteOffset + this.at, length);
    this.at += length;
    return bytes;
  }

  /** @returns {[number, number] | null} a hex's difference from another; null: no hex any more */
  near() {
    const byte = this.u8();
    if (byte === 0) return [this.zigzag(), this.zigzag()];
    if (byte === 1) return null;
    if (byte < 16 || !(byte & 15)) throw new RangeError('no such difference');
    return [(byte >> 4) - 8, (byte & 15) - 8];
  }

  nearHex([q, r]) {
    const near = this.near();
    if (!near) throw new RangeError('a hex is missing');
    return [q + near[0], r + near[1]];
  }
}

const playerId = (reader) => `${reader.bigVarint()}`;
const player = (reader) => ({ player_id: playerId(reader), username: reader.text() });

const among = (list, index, what) => {
  if (list[index] === undefined || list[index] === null) throw new RangeError(`no such ${what}: ${index}`);
  return list[index];
};

/** What of the stream a decoder has to remember: as long as connections resume each other, one; else one for each. */
export class BinaryDecoder {
  #types = [];     // of the last `map`
  #terrains = [];
  #tick = 0;
  #origin = [0, 0];
  #empires = [];   // ids; number 1 is the first
  #entities = [];  // by number: {id, kind, pos}
  #was = new Map(); // number -> entity before this update, where it is another one now

  /** Tells it of a `map` message: types and terrains are numbered as they stand there. */
  onMap(map) {
    this.#types = map.types ?? [];
    this.#terrains = (map.terrains ?? []).map(({ name }) => name);
  }

  /**
   * @param {ArrayBuffer | Uint8Array} data one binary message
   * @returns {object} the JSON message that it stands for
   * @throws {RangeError} it is not as the protocol says: the connection is of no use any more
   */
  decode(data) {
    const reader = new Reader(data);
    const type = reader.u8();
    const message = type >= 0x80 ? this.#update(reader, type) : this.#other(reader, type);
    if (reader.left) throw new RangeError('the message goes on behind its end');
    return message;
  }

  #other(reader, type) {
    switch (type) {
      case 1: return this.#explored(reader);
      case 2: return this.#snapshot(reader);
      case 3: return {
        type: 'entity_cached', entity_id: this.#entity(reader.varint()).id, ...this.#cache(reader),
      };
      case 4: {
        const payload = { seq: reader.varint(), tick: reader.varint() };
        if (reader.left) payload.job = formatId('job', reader.u64());
        return { type: 'ack', payload };
      }
      case 5: return { type: 'pong', payload: { timestamp: reader.zigzag(), server_tick: reader.varint() } };
      case 6: return this.#resumed(reader);
      case 7: return { type: 'roster', payload: { player_count: reader.varint(), players: this.#list(reader, () => player(reader)) } };
      case 8: {
        const payload = { player_count: reader.varint() };
        const joined = this.#list(reader, () => player(reader)), left = this.#list(reader, () => playerId(reader));
        if (joined.length) payload.joined = joined;
        if (left.length) payload.left = left;
        return { type: 'players', payload };
      }
      default: throw new RangeError(`no such message: ${type}`);
    }
  }

  /** Empires that were named behind the first so many may have been missed, and are named again. */
  #resumed(reader) {
    const message = { type: 'resumed', tick: reader.varint() };
    const known = reader.varint();
    if (known > this.#empires.length) throw new RangeError('empires are missing');
    this.#tick = message.tick;
    this.#empires.length = known;
    const empires = this.#list(reader, () => this.#empire(reader));
    if (empires.length) message.empires = empires;
    return message;
  }

  #entity(number) {
    return among(this.#entities, number, 'entity');
  }

  /** @returns {string | null} an empire's id */
  #owner(reader) {
    const number = reader.varint();
    return number ? among(this.#empires, number - 1, 'empire') : null;
  }

  #hex(reader) {
    return [this.#origin[0] + reader.zigzag(), this.#origin[1] + reader.zigzag()];
  }

  #cache(reader) {
    return { cache_mode: among(MODES, reader.u8(), 'cache mode'), last_seen: reader.varint(), expires_at: reader.varint() };
  }

  #snapshot(reader) {
    const number = reader.varint();
    const type = number ? among(this.#types, number - 1, 'type') : null;
    const entity = { id: formatId(type?.kind ?? 'unknown', reader.u64()) };
    if (type) Object.assign(entity, { type: type.name, kind: type.kind });
    const owner = this.#owner(reader);
    entity.pos = this.#hex(reader);
    if (owner) entity.owner = owner;
    Object.assign(entity, { is_stale: true }, this.#cache(reader), { data: { health: reader.zigzag() } });
    return { type: 'entity_snapshot', entity };
  }

  // --- explored hexes ---

  #explored(reader) {
    const message = { type: 'explored_hexes', hexes: [] };
    const flags = reader.u8();
    if (flags > 1) throw new RangeError('no such flags');
    if (flags) {
      message.reset = true;
      this.#tick = 0;
      this.#origin = [reader.zigzag(), reader.zigzag()];
      this.#empires = [];
      this.#entities = [];
    }
    for (let column = 0, row = 0; reader.left;) {
      column += reader.zigzag();
      row += reader.zigzag();
      this.#tile(reader, column, row, message.hexes);
    }
    return message;
  }

  #tile(reader, column, row, hexes) {
    const mode = reader.u8();
    const width = among(PALETTE_BITS, mode >> 1, 'tile mode');
    const bitmap = mode & 1 ? reader.bytes(32) : null;
    const palette = width < 8 ? reader.bytes(width ? reader.u8() : 1) : null;
    for (let i = 0, bits = 0, have = 0; i < 256; i++) {
      if (bitmap && !(bitmap[i >> 3] >> (i & 7) & 1)) continue;
      if (width && !have) {
        bits = reader.u8();
        have = 8;
      }
      const value = bits & (1 << width) - 1;
      bits >>= width;
      have -= width;
      const hex = { hex: [column * 16 + (i & 15), row * 16 + (i >> 4)] };
      const terrain = this.#terrains[palette ? among(palette, value, 'terrain') : value];
      if (terrain !== undefined) hex.terrain = terrain;
      hexes.push(hex);
    }
  }

  // --- updates ---

  #update(reader, flags) {
    const more = flags & 0x40 ? reader.u8() : 0;
    if (flags & 0x20 || more & 0xe0) throw new RangeError('no such flags');
    this.#tick += flags & 0x01 ? reader.varint() : 1;
    this.#was.clear();
    const update = { type: 'update', tick: this.#tick };
    if (more & 0x10) update.deferred = reader.varint();
    if (more & 0x01) update.full = true;
    if (more & 0x02) update.empires = this.#list(reader, () => this.#empire(reader));
    if (flags & 0x02) update.disappeared = this.#disappeared(reader);
    if (flags & 0x04) update.appeared = this.#list(reader, () => this.#appeared(reader));
    if (flags & 0x08) update.vision = this.#vision(reader);
    if (flags & 0x10) update.events = this.#list(reader, () => this.#event(reader));
    if (more & 0x04)
      update.resources = Object.fromEntries(this.#list(reader, () => [reader.text(), reader.zigzag()]));
    if (more & 0x08) update.jobs = this.#list(reader, () => this.#job(reader));
    if (reader.left) update.changed = this.#changed(reader);
    return update;
  }

  #list(reader, read) {
    const list = [];
    for (let count = reader.varint(); count > 0; count--) list.push(read());
    return list;
  }

  #empire(reader) {
    const empire = { id: formatId('empire', reader.u64()), name: reader.text() };
    this.#empires.push(empire.id);
    return empire;
  }

  #disappeared(reader) {
    const head = reader.varint(), ids = [];
    for (let i = 0, next = 0; i < Math.floor(head / 2); i++) {
      next += reader.varint();
      ids.push(this.#entity(next++).id);
    }
    if (head % 2) {
      for (let count = reader.varint(); count > 0; count--)
        ids.push(formatId(among(KINDS, reader.u8(), 'kind'), reader.u64()));
    }
    return ids;
  }

  #appeared(reader) {
    const number = reader.varint(), owner = this.#owner(reader), pos = this.#hex(reader);
    const type = among(this.#types, reader.varint(), 'type');
    const id = formatId(type.kind, reader.u64()), flags = reader.u8(), data = {};
    if (flags & 0x01) data.activity = among(ACTIVITIES, reader.u8(), 'activity');
    else if (type.kind !== 'resource') data.activity = ACTIVITIES[0];
    const health = flags & 0x02 ? reader.zigzag() : type.health;
    if (flags & 0x04) data.progress = reader.varint();
    if (flags & 0x08) data.amount = reader.zigzag();
    else if (type.kind === 'resource') data.amount = 0;
    if (flags & 0x10) data.carried = reader.zigzag();
    if (flags & 0x20) data.target = reader.nearHex(pos);
    if (flags & 0x40) data.rank = reader.u8();
    if (this.#entities[number] && !this.#was.has(number)) this.#was.set(number, this.#entities[number]);
    this.#entities[number] = { id, pos };
    const entity = { id, type: type.name, kind: type.kind, pos, health, data };
    if (owner) entity.owner = owner;
    return entity;
  }

  #vision(reader) {
    const hexes = [];
    let last = this.#origin;
    for (let group = 8; group & 8;) {
      group = reader.u8();
      if ((group & 3) === 3) throw new RangeError('no such state');
      const runs = group >> 4 < 15 ? (group >> 4) + 1 : reader.varint() + 16;
      const first = [last[0] + reader.zigzag(), last[1] + reader.zigzag()];
      for (let i = 0; i < runs; i++) last = this.#run(reader, group, i === 0 ? first : null, last, hexes);
    }
    return hexes;
  }

  /** @returns {[number, number]} the run's last hex */
  #run(reader, group, first, last, hexes) {
    const head = reader.u8(), low = head < 252 ? head % 12 : reader.u8();
    if (head > 252 || low > 11) throw new RangeError('no such run');
    const length = head < 252 ? Math.floor(head / 12) + 1 : reader.varint() + 22;
    if (length > RUN_MAX) throw new RangeError('a run without end');
    const [dq, dr] = DIRECTIONS[low >> 1];
    let [q, r] = first ?? (low & 1 ? reader.nearHex(last) : [last[0] + dq, last[1] + dr]);
    for (let i = 0; i < length; i++) {
      if (i > 0) {
        q += dq;
        r += dr;
      }
      const hex = { hex: [q, r], state: group & 3 };
      const terrain = group & 4 ? this.#terrains[reader.u8()] : undefined;
      if (terrain !== undefined) hex.terrain = terrain;
      hexes.push(hex);
    }
    return [q, r];
  }

  #event(reader) {
    const head = reader.u8(), kind = head & 15, number = reader.varint();
    const entity = head & 0x10 && this.#was.get(number) || this.#entity(number);
    const event = { event: among(EVENTS, kind, 'event'), entity: entity.id };
    if (head & 0x20) event.other = this.#entity(reader.varint()).id;
    if (kind === ATTACK || kind === DEPOSIT) event.value = reader.zigzag();
    if (kind === DEPOSIT) {
      const type = reader.varint();
      if (type) event.resource = among(this.#types, type - 1, 'type').name;
    }
    return event;
  }

  #job(reader) {
    const job = { event: among(JOB_EVENTS, reader.u8(), 'job event'), job: formatId('job', reader.u64()) };
    const building = reader.u64();
    if (building) job.building = formatId('building', building);
    Object.assign(job, {
      recipe: reader.text(), start_tick: reader.varint(), end_tick: reader.varint(), cycles_completed: reader.varint(),
    });
    const reason = reader.text();
    if (reason) job.reason = reason;
    return job;
  }

  #changed(reader) {
    const changed = [];
    for (let next = 0; reader.left;) {
      const head = reader.u8(), what = head & 7;
      next += head >> 3 < 31 ? head >> 3 : 31 + reader.varint();
      const entity = this.#entity(next++);
      const change = { id: entity.id };
      if (what < 6) {
        const [dq, dr] = DIRECTIONS[what];
        change.pos = entity.pos = [entity.pos[0] + dq, entity.pos[1] + dr];
      } else {
        if (what === 7) change.owner = this.#owner(reader);
        this.#fields(reader, entity, change);
      }
      changed.push(change);
    }
    return changed;
  }

  #fields(reader, entity, change) {
    const fields = reader.u8(), data = {};
    if (fields & 0x01) {
      const near = reader.u8();
      reader.at--;
      // Far from where it was: the hex itself.
      entity.pos = near ? reader.nearHex(entity.pos) : reader.nearHex([0, 0]);
      change.pos = entity.pos;
    }
    if (fields & 0x02) change.health = reader.zigzag();
    if (fields & 0x04) data.rank = reader.u8();
    if (fields & 0x08) data.activity = among(ACTIVITIES, reader.u8(), 'activity');
    if (fields & 0x10) data.progress = reader.varint();
    if (fields & 0x20) data.amount = reader.zigzag();
    if (fields & 0x40) data.carried = reader.zigzag();
    if (fields & 0x80) {
      const near = reader.near();
      data.target = near && [entity.pos[0] + near[0], entity.pos[1] + near[1]];
    }
    if (fields & 0xfc) change.data = data;
  }
}

// --- writing --------------------------------------------------------------------------------------

class Writer {
  bytes = [];

  u8(value) {
    this.bytes.push(value);
    return this;
  }

  varint(value) {
    for (; value >= 128; value = Math.floor(value / 128)) this.bytes.push(value % 128 + 128);
    return this.u8(value);
  }

  zigzag(value) {
    return this.varint(value < 0 ? -2 * value - 1 : 2 * value);
  }

  u64(value) {
    for (let i = 0n; i < 64n; i += 8n) this.bytes.push(Number(value >> i & 255n));
    return this;
  }

  text(value) {
    const bytes = new TextEncoder().encode(value);
    this.varint(bytes.length);
    return this.raw(bytes);
  }

  raw(bytes) {
    for (const byte of bytes) this.bytes.push(byte);
    return this;
  }
}

const isSafe = value => Number.isSafeInteger(value) && Math.abs(value) <= Number.MAX_SAFE_INTEGER / 2;
const isCount = value => isSafe(value) && value >= 0;
const isHex = hex => Array.isArray(hex) && hex.length === 2 && hex.every(isSafe);
const isFlag = value => value === undefined || typeof value === 'boolean';

function writeOrders(writer, { seq, units, queued }, kind = 'unit') {
  const ids = Array.isArray(units) ? units.map(id => parseId(id, kind)) : [null];
  if (ids.includes(null) || !isFlag(queued)) return false;
  writer.varint(seq).u8(queued ? 1 : 0).varint(ids.length);
  for (const id of ids) writer.u64(id);
  return true;
}

function writeToHex(writer, payload) {
  if (!isHex(payload.target) || !writeOrders(writer, payload)) return false;
  writer.zigzag(payload.target[0]).zigzag(payload.target[1]);
  return true;
}

const writeTo = kind => (writer, payload) => {
  const target = parseId(payload.target, kind);
  if (target === null || !writeOrders(writer, payload)) return false;
  writer.u64(target);
  return true;
};

function writeBuild(writer, payload) {
  if (typeof payload.building !== 'string' || !writeToHex(writer, payload)) return false;
  writer.text(payload.building);
  return true;
}

function writePatrol(writer, payload) {
  const { points } = payload;
  if (!Array.isArray(points) || !points.every(isHex) || !writeOrders(writer, payload)) return false;
  writer.varint(points.length);
  for (const [q, r] of points) writer.zigzag(q).zigzag(r);
  return true;
}

function writeWander(writer, payload) {
  if (!isCount(payload.radius) || !writeOrders(writer, payload)) return false;
  writer.varint(payload.radius);
  return true;
}

const writeRally = (writer, payload) =>
  isHex(payload.target) && writeOrders(writer, { ...payload, units: payload.buildings }, 'building') &&
  Boolean(writer.zigzag(payload.target[0]).zigzag(payload.target[1]));

function writeCancelBuild(writer, { seq, building }) {
  const id = parseId(building, 'building');
  if (id === null) return false;
  writer.varint(seq).u64(id);
  return true;
}

function writeTrain(writer, { seq, building, recipe, cycles = 1 }) {
  const id = parseId(building, 'building');
  if (id === null || typeof recipe !== 'string' || !isCount(cycles)) return false;
  writer.varint(seq).u64(id).varint(cycles).text(recipe);
  return true;
}

function writeCancel(writer, { seq, job, refund }) {
  const id = parseId(job, 'job');
  if (id === null || !isFlag(refund)) return false;
  writer.varint(seq).u64(id).u8(refund === false ? 0 : 1);
  return true;
}

const COMMANDS = new Map([
  ['move', [0x10, writeToHex]], ['stop', [0x11, writeOrders]], ['attack', [0x12, writeTo()]],
  ['attack_move', [0x13, writeToHex]], ['gather', [0x14, writeTo('resource')]], ['train', [0x15, writeTrain]],
  ['cancel', [0x16, writeCancel]], ['build', [0x17, writeBuild]], ['repair', [0x18, writeTo('building')]],
  ['cancel_build', [0x19, writeCancelBuild]], ['patrol', [0x1a, writePatrol]], ['wander', [0x1b, writeWander]],
  ['rally', [0x1c, writeRally]],
]);

function writeMessage(writer, { type, payload = {} }) {
  switch (type) {
    case 'ping':
      if (!isSafe(payload.timestamp)) return false;
      writer.u8(0x01).zigzag(payload.timestamp);
      return true;
    case 'chat':
      if (typeof payload.message !== 'string' || payload.group !== undefined || payload.to !== undefined) return false;
      writer.u8(0x02).raw(new TextEncoder().encode(payload.message));
      return true;
    case 'join': writer.u8(0x03); return true;
    case 'leave': writer.u8(0x04); return true;
    case 'focus': {
      const { hex } = payload;
      if (hex === null || hex === undefined) writer.u8(0x06);
      else if (isHex(hex)) writer.u8(0x05).zigzag(hex[0]).zigzag(hex[1]);
      else return false;
      return true;
    }
    case 'command': {
      const [first, write] = COMMANDS.get(payload.command) ?? [];
      return Boolean(write) && isCount(payload.seq) && write(writer.u8(first), payload);
    }
    default: return false;
  }
}

/**
 * @returns {Uint8Array | null} the message in bytes; null if it cannot be said in them (an unknown command, an id
 *   that is none): as JSON the server answers it with the right error
 */
export function encodeMessage(message) {
  const writer = new Writer();
  return writeMessage(writer, message) ? Uint8Array.from(writer.bytes) : null;
}
