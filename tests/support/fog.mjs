// The truth about who may see what, for tests that check what was really shown: world's tick frames
// applied to plain maps, and sight computed from raw positions, from scratch. Knows nothing of how
// vision or sync work and shares no code with them.

import { StreamReader, decode } from './rpc.mjs';

const MASK = (1n << 64n) - 1n;
const DIGITS = '0123456789abcdefghjkmnpqrstvwxyz'; // Crockford's base32

// The text of a public id: prefix and 13 digits, most significant first.
export function publicId(prefix, id) {
    let rest = BigInt(id) & MASK;
    let text = '';
    for (let i = 0; i < 13; i++) {
        text = DIGITS[Number(rest & 31n)] + text;
        rest >>= 5n;
    }
    return `${prefix}_${text}`;
}

export const distance = (aq, ar, bq, br) => {
    const dq = aq - bq, dr = ar - br;
    return Math.max(Math.abs(dq), Math.abs(dr), Math.abs(dq + dr));
};

// The offsets of a disc by rows: r ascending, then q ascending (the order of a chunk's cells).
export function disc(radius) {
    const offsets = [];
    for (let r = -radius; r <= radius; r++) {
        for (let q = Math.max(-radius, -r - radius); q <= Math.min(radius, -r + radius); q++) offsets.push([q, r]);
    }
    return offsets;
}

// mmorts.frame.TypeFlag, a set of bits.
const FLAG = { HERO: 1, ENDGAME: 2, SETTLEMENT: 4, STEALTH: 8 };

const SIGHT_DETECTOR = 2; // mmorts.frame.SightType

const FIELDS = {
    ATTRIBUTE_HEALTH: 'health',
    ATTRIBUTE_OWNER: 'owner',
    ATTRIBUTE_SIGHT_HEXES: 'sight',
    ATTRIBUTE_SIGHT_ENABLED: 'enabled',
    ATTRIBUTE_STEALTHED: 'stealthed',
    ATTRIBUTE_SIGHT_TYPE: 'sense',
    ATTRIBUTE_ACTIVITY: 'activity',
    ATTRIBUTE_PROGRESS: 'progress',
    ATTRIBUTE_AMOUNT: 'amount',
    ATTRIBUTE_CARRIED: 'carried',
    ATTRIBUTE_RANK: 'rank',
    ATTRIBUTE_TARGET_Q: 'targetQ',
    ATTRIBUTE_TARGET_R: 'targetR',
};

export class Truth {
    constructor() {
        this.tick = 0;
        this.clear();
    }

    clear() {
        this.entities = new Map(); // slot -> entity
        this.terrain = new Map(); // "q,r" -> terrain number, of every hex that world has made
        this.empires = new Map(); // number -> { id, name, home }
        this.types = [];
        this.terrains = [];
    }

    apply(frame) {
        if (frame.snapshot) this.clear();
        this.tick = Number(frame.tick);
        if (frame.catalogue) this.#catalogue(frame.catalogue);
        if (frame.empires) this.#empires(frame.empires);
        if (frame.chunks) this.#chunks(frame.chunks);
        for (const slot of frame.despawned) this.entities.delete(slot);
        if (frame.spawned) this.#spawned(frame.spawned);
        if (frame.moved) {
            frame.moved.entity.forEach((slot, i) => {
                Object.assign(this.entities.get(slot), { q: frame.moved.q[i], r: frame.moved.r[i] });
            });
        }
        for (const column of frame.columns) this.#column(column);
    }

    #catalogue({ types, terrains, chunk_radius: chunkRadius }) {
        this.types = types.name.map((name, i) => ({
            name,
            kind: types.kind[i].replace('KIND_', '').toLowerCase(),
            sight: types.sight_hexes[i],
            detects: types.sight_type[i] === 'SIGHT_DETECTOR',
            healthMax: types.health_max[i],
            flags: types.flags[i],
        }));
        this.terrains = terrains.name;
        this.cells = disc(chunkRadius);
    }

    #empires(columns) {
        columns.empire.forEach((number, i) => {
            this.empires.set(number, {
                number,
                id: publicId('empire', columns.id[i]),
                player: String(columns.player_id[i]),
                name: columns.name[i],
                home: [columns.home_q[i], columns.home_r[i]],
            });
        });
    }

    #chunks({ q, r, cells }) {
        q.forEach((centre, c) => {
            this.cells.forEach(([dq, dr], i) => {
                this.terrain.set(`${centre + dq},${r[c] + dr}`, cells[c * this.cells.length + i]);
            });
        });
    }

    #spawned(columns) {
        columns.entity.forEach((slot, i) => {
            const type = this.types[columns.type[i]];
            this.entities.set(slot, {
                slot,
                id: publicId(type.kind, columns.id[i]),
                raw: String(columns.id[i]),
                type,
                owner: columns.owner[i],
                q: columns.q[i],
                r: columns.r[i],
                health: type.healthMax,
                sight: type.sight,
                enabled: true,
                activity: 0,
                progress: 1000,
                amount: 0,
                carried: 0,
                rank: 0,
                targetQ: 0,
                targetR: 0,
                detects: type.detects,
                stealthed: (type.flags & FLAG.STEALTH) !== 0,
            });
        });
    }

    #column({ attribute, entity, value }) {
        const field = FIELDS[attribute];
        if (!field) return;
        const flag = field === 'enabled' || field === 'stealthed';
        entity.forEach((slot, i) => {
            const entity = this.entities.get(slot);
            entity[field] = flag ? value[i] !== 0 : value[i];
            if (field === 'sense') entity.detects = value[i] === SIGHT_DETECTOR;
        });
    }

    // What the empire sees now: { hexes: Set of "q,r", entities: Map of id -> copy }.
    look(empire) {
        const hexes = new Set(), detected = new Set();
        for (const entity of this.entities.values()) {
            if (entity.owner !== empire || !entity.enabled || entity.sight <= 0) continue;
            for (const [dq, dr] of disc(entity.sight)) {
                const hex = `${entity.q + dq},${entity.r + dr}`;
                if (!this.terrain.has(hex)) continue;
                hexes.add(hex);
                if (entity.detects) detected.add(hex);
            }
        }
        const entities = new Map();
        for (const entity of this.entities.values()) {
            const hex = `${entity.q},${entity.r}`;
            if (entity.owner === empire || (hexes.has(hex) && (!entity.stealthed || detected.has(hex)))) {
                entities.set(entity.id, { ...entity });
            }
        }
        return { hexes, entities };
    }

    empireByPlayer(player) {
        return [...this.empires.values()].find((empire) => empire.player === String(player));
    }

    // Whether an entity of this type is remembered when it leaves sight (vision's default policy).
    static remembered(type) {
        return type.kind === 'building' || type.kind === 'npc' ||
            (type.kind === 'unit' && (type.flags & (FLAG.HERO | FLAG.ENDGAME)) !== 0);
    }
}

// Follows world's tick stream: `take(frame, { tick, isSnapshot })` for each frame, in order.
// Resolves with the reader when the first is there.
export function followTicks({ url, client, session = 'main', take }) {
    return new Promise((resolve) => {
        const each = (isSnapshot) => ({ tick, body }) => {
            take(decode('mmorts.frame.TickFrame', body), { tick: Number(tick), isSnapshot });
            resolve(reader);
        };
        const reader = new StreamReader({ url, client, stream: 'tick', session, onSnapshot: each(true), onMessage: each(false) });
    });
}

// The truth of every tick, for the empires named; what a client was told is checked against it
// afterwards, when it is known what was allowed at the tick that a message speaks of.
export class Timeline {
    constructor(truth) {
        this.truth = truth;
        this.ticks = new Map(); // tick -> Map of empire -> { hexes, entities }
        this.first = Infinity;
        this.last = 0;
        this.firsts = new Map(); // empire -> { hexes, entities, met }, each a Map to the first tick
    }

    follow(empire) {
        if (!this.firsts.has(empire)) this.firsts.set(empire, { hexes: new Map(), entities: new Map(), met: new Map() });
    }

    record() {
        const { tick } = this.truth;
        const looks = new Map();
        for (const [empire, firsts] of this.firsts) {
            const look = this.truth.look(empire);
            looks.set(empire, look);
            for (const hex of look.hexes) if (!firsts.hexes.has(hex)) firsts.hexes.set(hex, tick);
            for (const [id, entity] of look.entities) {
                if (!firsts.entities.has(id)) firsts.entities.set(id, tick);
                if (entity.owner && !firsts.met.has(entity.owner)) firsts.met.set(entity.owner, tick);
            }
        }
        this.ticks.set(tick, looks);
        this.first = Math.min(this.first, tick);
        this.last = Math.max(this.last, tick);
    }

    look(tick, empire) {
        return this.ticks.get(tick)?.get(empire);
    }
}
