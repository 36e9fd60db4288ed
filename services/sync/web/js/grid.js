import { hex } from '../sdk/index.js';

// The map plane in pixels, at zoom 1: hex.js of the SDK, scaled.

export const SIZE = 30; // px from a hex's centre to its corner

export const toPixel = (q, r) => {
  const { x, y } = hex.toPoint(q, r);
  return { x: x * SIZE, y: y * SIZE };
};

/** The hex that holds a point of the map plane. */
export const fromPixel = (x, y) => hex.fromPoint(x / SIZE, y / SIZE);

/** Corner offsets of a hex around its centre, in order. */
const CORNERS = Array.from({ length: 6 }, (_, i) => {
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
