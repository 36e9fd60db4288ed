// Axial hexes [q, r], pointy-top: the same directions and formulas as the server's libcommon/hex.
// Source: https://www.redblobgames.com/grids/hexagons/
// Points of the plane are in units of a hex's radius (centre to corner), y downwards.

const SQRT3 = Math.sqrt(3);

/** The six neighbours' offsets, in the order that the protocol counts them. */
export const DIRECTIONS = [[1, 0], [1, -1], [0, -1], [-1, 0], [-1, 1], [0, 1]];

/** A string that stands for a hex, for maps and sets. */
export const key = (q, r) => `${q},${r}`;

/** The centre of a hex in the plane. */
export const toPoint = (q, r) => ({ x: SQRT3 * (q + r / 2), y: 1.5 * r });

/** The hex that holds a point of the plane, as [q, r]. */
export function fromPoint(x, y) {
  const r = y / 1.5;
  const q = x / SQRT3 - r / 2;
  let rq = Math.round(q), rr = Math.round(r);
  const rs = Math.round(-q - r);
  const dq = Math.abs(rq - q), dr = Math.abs(rr - r), ds = Math.abs(rs + q + r);
  if (dq > dr && dq > ds) rq = -rr - rs;
  else if (dr > ds) rr = -rq - rs;
  return [rq + 0, rr + 0]; // no negative zeros
}

/** Steps from one hex to another. */
export function distance([aq, ar], [bq, br]) {
  const dq = aq - bq, dr = ar - br;
  return Math.max(Math.abs(dq), Math.abs(dr), Math.abs(dq + dr));
}

/** The six hexes around one. */
export const neighbors = ([q, r]) => DIRECTIONS.map(([dq, dr]) => [q + dq, r + dr]);

/** All hexes within `radius` steps: 3·radius·(radius+1)+1 of them. */
export function disc([q, r], radius) {
  const hexes = [];
  for (let dr = -radius; dr <= radius; dr++)
    for (let dq = Math.max(-radius, -radius - dr); dq <= Math.min(radius, radius - dr); dq++)
      hexes.push([q + dq, r + dr]);
  return hexes;
}
