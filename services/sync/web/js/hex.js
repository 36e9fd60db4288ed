// Axial hexes, pointy-top: the same directions and formulas as the server's libcommon/hex.
// Source: https://www.redblobgames.com/grids/hexagons/

export const SIZE = 30; // px from a hex's centre to its corner, at zoom 1
const SQRT3 = Math.sqrt(3);

export const DIRECTIONS = [[1, 0], [1, -1], [0, -1], [-1, 0], [-1, 1], [0, 1]];

export const key = (q, r) => `${q},${r}`;

export const toPixel = (q, r) => ({ x: SIZE * SQRT3 * (q + r / 2), y: SIZE * 1.5 * r });

/** The hex that holds a point of the map plane. */
export function fromPixel(x, y) {
  const r = y / (SIZE * 1.5);
  const q = x / (SIZE * SQRT3) - r / 2;
  let rq = Math.round(q), rr = Math.round(r);
  const rs = Math.round(-q - r);
  const dq = Math.abs(rq - q), dr = Math.abs(rr - r), ds = Math.abs(rs + q + r);
  if (dq > dr && dq > ds) rq = -rr - rs;
  else if (dr > ds) rr = -rq - rs;
  return [rq, rr];
}

export function distance([aq, ar], [bq, br]) {
  const dq = aq - bq, dr = ar - br;
  return Math.max(Math.abs(dq), Math.abs(dr), Math.abs(dq + dr));
}

/** Corner offsets of a hex around its centre, in order. */
export const CORNERS = Array.from({ length: 6 }, (_, i) => {
  const angle = Math.PI / 180 * (60 * i - 30);
  return [SIZE * Math.cos(angle), SIZE * Math.sin(angle)];
});

/** Adds a hex's outline to a canvas path. */
export function trace(path, x, y, scale = 1) {
  path.moveTo(x + CORNERS[0][0] * scale, y + CORNERS[0][1] * scale);
  for (let i = 1; i < 6; i++) path.lineTo(x + CORNERS[i][0] * scale, y + CORNERS[i][1] * scale);
  path.closePath();
}

/** A number in [0, 1) that belongs to a hex: for variety that stays the same. */
export function noise(q, r, salt = 0) {
  let h = Math.imul(q, 374761393) ^ Math.imul(r, 668265263) ^ Math.imul(salt + 1, 2147483647);
  h = Math.imul(h ^ (h >>> 13), 1274126177);
  return ((h ^ (h >>> 16)) >>> 0) / 4294967296;
}
