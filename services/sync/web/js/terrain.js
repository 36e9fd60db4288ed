import { SIZE, noise, trace } from './grid.js';

// How land looks, drawn from shapes: no image files to load.

const TERRAIN = {
  dead: { base: [40, 40, 46], detail: rocks },
  plains: { base: [124, 146, 82], detail: grass },
  forest: { base: [92, 126, 74], detail: trees },
  hills: { base: [150, 134, 92], detail: mounds },
  desert: { base: [200, 172, 114] },
  lake: { base: [58, 104, 142], detail: waves },
  water: { base: [58, 104, 142], detail: waves },
  mountain: { base: [112, 106, 102], detail: peaks },
};
// A terrain that we have no picture of still has a colour of its own.
const OTHERS = [[118, 128, 96], [142, 118, 102], [104, 126, 132], [150, 146, 110]];

const lookOf = terrain => {
  if (TERRAIN[terrain]) return TERRAIN[terrain];
  let sum = 0;
  for (const c of terrain || '') sum += c.charCodeAt(0);
  return { base: OTHERS[sum % OTHERS.length] };
};

const shade = ([r, g, b], amount, alpha = 1) => `rgba(${r + amount | 0},${g + amount | 0},${b + amount | 0},${alpha})`;

/** The plain colour of a terrain, for small maps. */
export const terrainColor = terrain => shade(lookOf(terrain).base, terrain === 'forest' ? -22 : 0);

/** One hex of land; `detailed` with its decoration. */
export function drawTerrain(ctx, q, r, x, y, terrain, detailed) {
  const look = lookOf(terrain);
  const vary = (noise(q, r) - 0.5) * 12 + (noise(Math.floor(q / 3), Math.floor(r / 3), 7) - 0.5) * 8;
  ctx.fillStyle = shade(look.base, vary);
  ctx.beginPath();
  trace(ctx, x, y, 1.02);
  ctx.fill();
  if (!detailed) {
    if (terrain === 'forest') canopy(ctx, q, r, x, y);
    return;
  }
  ctx.strokeStyle = shade(look.base, vary - 12, 0.7);
  ctx.lineWidth = 1;
  ctx.beginPath();
  trace(ctx, x, y, 0.985);
  ctx.stroke();
  look.detail?.(ctx, q, r, x, y, look.base);
}

function spots(q, r, count, salt, spread = 1.1) {
  return Array.from({ length: count }, (_, i) => ({
    x: (noise(q, r, salt + 2 * i) - 0.5) * SIZE * spread,
    y: (noise(q, r, salt + 2 * i + 1) - 0.5) * SIZE * spread,
  })).sort((a, b) => a.y - b.y);
}

function grass(ctx, q, r, x, y, base) {
  ctx.strokeStyle = shade(base, 24);
  ctx.lineWidth = 1.2;
  ctx.beginPath();
  for (const spot of spots(q, r, 3, 10, 1.2)) {
    ctx.moveTo(x + spot.x - 2, y + spot.y);
    ctx.lineTo(x + spot.x - 3, y + spot.y - 4);
    ctx.moveTo(x + spot.x + 1, y + spot.y);
    ctx.lineTo(x + spot.x + 2, y + spot.y - 5);
  }
  ctx.stroke();
  if (noise(q, r, 17) < 0.82) return;
  for (const spot of spots(q, r, 4, 120, 0.8)) {
    ctx.fillStyle = noise(q, r, spot.x | 0) > 0.5 ? '#e9dfa6' : '#d9a7a0';
    ctx.fillRect(x + spot.x, y + spot.y, 1.8, 1.8);
  }
}

const LEAVES = [[52, 104, 62], [64, 118, 66], [44, 92, 66], [84, 124, 58]];
// Places of a wood's trees, back to front, so that they never stand in one heap.
const STANDS = [[-12, -10], [4, -14], [15, -4], [-3, -1], [-16, 6], [10, 9], [-4, 15]];

function trees(ctx, q, r, x, y) {
  STANDS.forEach(([dx, dy], i) => {
    if (noise(q, r, 30 + i) < 0.14) return;
    const px = x + dx + (noise(q, r, 40 + i) - 0.5) * 7, py = y + dy + (noise(q, r, 50 + i) - 0.5) * 5;
    const leaf = LEAVES[noise(q, r, 60 + i) * LEAVES.length | 0];
    const size = 0.85 + noise(q, r, 70 + i) * 0.4;
    if (noise(q, r, 80) < 0.55) conifer(ctx, px, py, size, leaf);
    else broadleaf(ctx, px, py, size, leaf);
  });
}

function trunk(ctx, x, y, size) {
  ctx.fillStyle = 'rgba(14,24,12,.3)';
  ctx.beginPath();
  ctx.ellipse(x + 3 * size, y + 0.5, 6.5 * size, 2.6 * size, 0, 0, 7);
  ctx.fill();
  ctx.fillStyle = '#6a4c2e';
  ctx.fillRect(x - 1.1 * size, y - 4 * size, 2.2 * size, 4.5 * size);
}

function conifer(ctx, x, y, size, leaf) {
  trunk(ctx, x, y, size);
  for (const [w, from, to] of [[6.4, -3, -12], [5, -8, -16.5], [3.4, -13, -21]]) {
    for (const [amount, left, right] of [[-8, -w, w], [18, -w, -w * 0.1]]) {
      ctx.fillStyle = shade(leaf, amount);
      ctx.beginPath();
      ctx.moveTo(x, y + to * size);
      ctx.lineTo(x + right * size, y + from * size);
      ctx.lineTo(x + left * size, y + from * size);
      ctx.fill();
    }
  }
}

function broadleaf(ctx, x, y, size, leaf) {
  trunk(ctx, x, y, size);
  for (const [dx, dy, radius, amount] of [[0, -9, 7, -14], [-1, -10, 6, 4], [-2.2, -11.6, 3.6, 24]]) {
    ctx.fillStyle = shade(leaf, amount);
    ctx.beginPath();
    ctx.arc(x + dx * size, y + dy * size, radius * size, 0, 7);
    ctx.fill();
  }
}

/** A wood from afar. */
function canopy(ctx, q, r, x, y) {
  for (const [i, [dx, dy]] of STANDS.entries()) {
    if (noise(q, r, 30 + i) < 0.14) continue;
    ctx.fillStyle = shade(LEAVES[noise(q, r, 60 + i) * LEAVES.length | 0], -4);
    ctx.beginPath();
    ctx.arc(x + dx, y + dy - 6, 7.5, 0, 7);
    ctx.fill();
  }
}

function mounds(ctx, q, r, x, y, base) {
  for (const spot of spots(q, r, 3, 50, 0.9)) {
    const w = 8 + noise(q, r, spot.x | 0) * 5, px = x + spot.x, py = y + spot.y + 4;
    ctx.fillStyle = shade(base, 18);
    ctx.beginPath();
    ctx.ellipse(px, py, w, w * .72, 0, Math.PI, 0);
    ctx.fill();
    ctx.fillStyle = shade(base, -18);
    ctx.beginPath();
    ctx.ellipse(px + w * .35, py, w * .65, w * .62, 0, Math.PI * 1.35, 0);
    ctx.fill();
  }
}

function rocks(ctx, q, r, x, y, base) {
  for (const spot of spots(q, r, 3, 150)) {
    ctx.fillStyle = shade(base, 12);
    ctx.beginPath();
    ctx.moveTo(x + spot.x - 5, y + spot.y + 2);
    ctx.lineTo(x + spot.x - 1, y + spot.y - 5);
    ctx.lineTo(x + spot.x + 5, y + spot.y + 2);
    ctx.fill();
  }
}

function peaks(ctx, q, r, x, y, base) {
  for (const spot of spots(q, r, 2, 70)) {
    const px = x + spot.x * .6, py = y + spot.y * .4 + 8;
    ctx.fillStyle = shade(base, -16);
    ctx.beginPath();
    ctx.moveTo(px - 11, py);
    ctx.lineTo(px, py - 22);
    ctx.lineTo(px + 11, py);
    ctx.fill();
    ctx.fillStyle = '#dfe3e6';
    ctx.beginPath();
    ctx.moveTo(px - 3.5, py - 15);
    ctx.lineTo(px, py - 22);
    ctx.lineTo(px + 3.5, py - 15);
    ctx.fill();
  }
}

function waves(ctx, q, r, x, y, base) {
  ctx.strokeStyle = shade(base, 30, 0.8);
  ctx.lineWidth = 1.3;
  ctx.beginPath();
  for (const spot of spots(q, r, 3, 90)) {
    ctx.moveTo(x + spot.x - 6, y + spot.y);
    ctx.quadraticCurveTo(x + spot.x - 3, y + spot.y - 3, x + spot.x, y + spot.y);
    ctx.quadraticCurveTo(x + spot.x + 3, y + spot.y + 3, x + spot.x + 6, y + spot.y);
  }
  ctx.stroke();
}
