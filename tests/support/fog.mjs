// The truth about who may see what, for tests that check what was really shown: world's tick frames
// applied to plain maps, and sight computed from raw positions, from scratch. Knows nothing of how
// vision or sync work and shares no code with them.

import { proto } from './rpc.mjs';

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

const PREFIX = ['entity', 'unit', 'building', 'resource', 'npc'];
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

const enums = (name) => proto.lookupEnum(`mmorts.frame.${name}`).values;
const ATTRIBUTE = enums('Attribute');
const KIND = enums('Kind');
const DETECTOR = enums('SightType').SIGHT_DETECTOR;
const FLAG = enums('TypeFlag');

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

    #catalogue({ types, terrains, chunkRadius }) {
        this.types = types.name.map((name, i) => ({
            name,
            kind: types.kind[i],
            sight: types.sightHexes[i],
            detects: types.sightType[i] === DETECTOR,
            healthMax: types.healthMax[i],
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
                player: columns.playerId[i],
                name: columns.name[i],
                home: [columns.homeQ[i], columns.homeR[i]],
            });
        });
    }

    #chunks({ q, r, cells }) {
        const bytes = typeof cells === 'string' ? Buffer.from(cells, 'base64') : cells;
        q.forEach((centre, c) => {
            this.cells.forEach(([dq, dr], i) => {
                this.terrain.set(`${centre + dq},${r[c] + dr}`, bytes[c * this.cells.length + i]);
            });
        });
    }

    #spawned(columns) {
        columns.entity.forEach((slot, i) => {
            const type = this.types[columns.type[i]];
            this.entities.set(slot, {
                slot,
                id: publicId(PREFIX[type.kind], columns.id[i]),
                raw: columns.id[i],
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
                targetQ: 0,
                targetR: 0,
                stealthed: (type.flags & FLAG.TYPE_FLAG_STEALTH) !== 0,
            });
        });
    }

    #column({ attribute, entity, value }) {
        const field = {
            [ATTRIBUTE.ATTRIBUTE_HEALTH]: 'health',
            [ATTRIBUTE.ATTRIBUTE_OWNER]: 'owner',
            [ATTRIBUTE.ATTRIBUTE_SIGHT_HEXES]: 'sight',
            [ATTRIBUTE.ATTRIBUTE_SIGHT_ENABLED]: 'enabled',
            [ATTRIBUTE.ATTRIBUTE_STEALTHED]: 'stealthed',
            [ATTRIBUTE.ATTRIBUTE_ACTIVITY]: 'activity',
            [ATTRIBUTE.ATTRIBUTE_PROGRESS]: 'progress',
            [ATTRIBUTE.ATTRIBUTE_AMOUNT]: 'amount',
            [ATTRIBUTE.ATTRIBUTE_CARRIED]: 'carried',
            [ATTRIBUTE.ATTRIBUTE_TARGET_Q]: 'targetQ',
            [ATTRIBUTE.ATTRIBUTE_TARGET_R]: 'targetR',
        }[attribute];
        if (!field) return;
        const flag = field === 'enabled' || field === 'stealthed';
        entity.forEach((slot, i) => {
            this.entities.get(slot)[field] = flag ? value[i] !== 0 : value[i];
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
                if (entity.type.detects) detected.add(hex);
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
        return type.kind === KIND.KIND_BUILDING || type.kind === KIND.KIND_NPC ||
            (type.kind === KIND.KIND_UNIT && (type.flags & (FLAG.TYPE_FLAG_HERO | FLAG.TYPE_FLAG_ENDGAME)) !== 0);
    }
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
