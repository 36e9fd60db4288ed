// What clients of the SDK know, in a form in which two of them can be compared tick by tick.

export const sorted = (list) => list.map((one) => JSON.stringify(one)).sort();

// A field that is null and none told at all mean the same.
const told = (data) => Object.entries(data).filter(([, value]) => value !== null).sort();

function picture({ entities, hexes, resources, jobs, empires, deferred }) {
    return {
        entities: sorted([...entities.values()].map(({ id, type, kind, owner, pos, health, stale, lastSeen, expiresAt, data }) =>
            [id, type, kind, owner, pos, health, stale, stale && lastSeen, stale && expiresAt, told(data)])),
        hexes: sorted([...hexes.values()].map(({ q, r, terrain, state }) => [q, r, terrain, state])),
        resources: sorted([...resources]),
        jobs: sorted([...jobs.values()].filter(({ event }) => event !== 'waiting').map(told)),
        empires: sorted([...empires]),
        deferred,
    };
}

// From now on `client.pictures` has what the client knew after each tick in which it was told something.
export function keepPictures(client) {
    client.pictures = new Map();
    client.on('update', ({ tick }) => client.state.complete && client.pictures.set(tick, picture(client.state)));
}

// From `from` on, the ticks in which each of the clients was told something.
export function ticksOfAll(clients, from) {
    const [first, ...others] = clients;
    return [...first.pictures.keys()].filter((tick) => tick >= from && others.every(({ pictures }) => pictures.has(tick)));
}

// What it knew at every tick from `from` to `to`: what it was told last.
export function picturesAt(client, from, to) {
    const states = [];
    let known = client.pictures.get(Math.max(...[...client.pictures.keys()].filter((tick) => tick < from)));
    for (let tick = from; tick <= to; tick++) states.push(known = client.pictures.get(tick) ?? known);
    return states;
}
