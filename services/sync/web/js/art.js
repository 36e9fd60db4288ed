import { SIZE, noise, trace } from './hex.js';

// Everything that is drawn is drawn here, from shapes: no image files to load.

const TERRAIN = {
  dead:   { base: [16, 18, 24] },
  plains: { base: [116, 138, 78], detail: grass },
  forest: { base: [62, 96, 62], detail: trees },
  hills:  { base: [138, 122, 84], detail: hills },
  desert: { base: [196, 168, 110] },
  lake:   { base: [52, 92, 128], detail: waves },
  water:  { base: [52, 92, 128], detail: waves },
  mountain: { base: [104, 98, 94], detail: peaks },
};
const UNKNOWN_TERRAIN = { base: [110, 118, 90] };

function shade([r, g, b], amount) {
  return `rgb(${r + amount | 0},${g + amount | 0},${b + amount | 0})`;
}

/** One hex of land, with its decoration. */
export function drawTerrain(ctx, q, r, x, y, terrain) {
  const look = TERRAIN[terrain] || UNKNOWN_TERRAIN;
  const vary = (noise(q, r) - 0.5) * 16;
  ctx.fillStyle = shade(look.base, vary);
  ctx.beginPath();
  trace(ctx, x, y, 1.02);
  ctx.fill();
  ctx.strokeStyle = shade(look.base, vary - 14);
  ctx.lineWidth = 1;
  ctx.beginPath();
  trace(ctx, x, y, 0.98);
  ctx.stroke();
  look.detail?.(ctx, q, r, x, y, look.base);
}

function spots(q, r, count, salt) {
  return Array.from({ length: count }, (_, i) => ({
    x: (noise(q, r, salt + 2 * i) - 0.5) * SIZE * 1.1,
    y: (noise(q, r, salt + 2 * i + 1) - 0.5) * SIZE * 1.1,
  })).sort((a, b) => a.y - b.y);
}

function grass(ctx, q, r, x, y, base) {
  ctx.strokeStyle = shade(base, 22);
  ctx.lineWidth = 1.2;
  ctx.beginPath();
  for (const spot of spots(q, r, 3, 10)) {
    ctx.moveTo(x + spot.x - 2, y + spot.y);
    ctx.lineTo(x + spot.x - 3, y + spot.y - 4);
    ctx.moveTo(x + spot.x + 1, y + spot.y);
    ctx.lineTo(x + spot.x + 2, y + spot.y - 5);
  }
  ctx.stroke();
}

function trees(ctx, q, r, x, y, base) {
  for (const spot of spots(q, r, 6, 30)) {
    const h = 9 + noise(q, r, spot.x | 0) * 6;
    ctx.fillStyle = 'rgba(0,0,0,.25)';
    ctx.beginPath();
    ctx.ellipse(x + spot.x + 2, y + spot.y + 1, 5, 2.2, 0, 0, 7);
    ctx.fill();
    ctx.fillStyle = shade(base, -18 + noise(q, r, spot.y | 0) * 22);
    ctx.beginPath();
    ctx.moveTo(x + spot.x, y + spot.y - h);
    ctx.lineTo(x + spot.x + 5, y + spot.y);
    ctx.lineTo(x + spot.x - 5, y + spot.y);
    ctx.fill();
  }
}

function hills(ctx, q, r, x, y, base) {
  for (const spot of spots(q, r, 2, 50)) {
    const w = 9 + noise(q, r, 60) * 4;
    ctx.fillStyle = shade(base, 14);
    ctx.beginPath();
    ctx.ellipse(x + spot.x * .7, y + spot.y * .7 + 4, w, w * .7, 0, Math.PI, 0);
    ctx.fill();
    ctx.fillStyle = shade(base, -16);
    ctx.beginPath();
    ctx.ellipse(x + spot.x * .7 + w * .35, y + spot.y * .7 + 4, w * .65, w * .6, 0, Math.PI * 1.35, 0);
    ctx.fill();
  }
}

function peaks(ctx, q, r, x, y, base) {
  for (const spot of spots(q, r, 2, 70)) {
    const px = x + spot.x * .6, py = y + spot.y * .4 + 8;
    ctx.fillStyle = shade(base, -12);
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
  ctx.strokeStyle = shade(base, 30);
  ctx.lineWidth = 1.3;
  ctx.beginPath();
  for (const spot of spots(q, r, 3, 90)) {
    ctx.moveTo(x + spot.x - 6, y + spot.y);
    ctx.quadraticCurveTo(x + spot.x - 3, y + spot.y - 3, x + spot.x, y + spot.y);
    ctx.quadraticCurveTo(x + spot.x + 3, y + spot.y + 3, x + spot.x + 6, y + spot.y);
  }
  ctx.stroke();
}

const OWN = '#e8b84a';

/** An empire's colour: gold for the player's own, else one that belongs to its id. */
export function ownerColor(owner, ownId) {
  if (!owner) return '#8b8f98';
  if (owner === ownId) return OWN;
  let h = 0;
  for (const c of owner) h = Math.imul(h ^ c.charCodeAt(0), 16777619);
  return `hsl(${[210, 0, 280, 160, 325, 100][(h >>> 0) % 6] + (h >>> 8) % 24 - 12},62%,60%)`;
}

const RESOURCE_COLORS = { gold: '#e8b84a', wood: '#9a6b3f', stone: '#9aa0a8', food: '#b9cc5a' };
export const resourceColor = name => RESOURCE_COLORS[name] || '#7fb2c9';

/** Any entity, centred at (x, y). */
export function drawEntity(ctx, entity, x, y, color, timeMs) {
  if (entity.kind === 'building') building(ctx, entity, x, y, color);
  else if (entity.kind === 'resource') resource(ctx, entity, x, y);
  else unit(ctx, entity, x, y, color, timeMs);
}

function shadow(ctx, x, y, w) {
  ctx.fillStyle = 'rgba(0,0,0,.35)';
  ctx.beginPath();
  ctx.ellipse(x, y, w, w * .38, 0, 0, 7);
  ctx.fill();
}

function unit(ctx, entity, x, y, color, timeMs) {
  const bob = entity.from ? Math.sin(timeMs / 90) * 1.4 : 0;
  shadow(ctx, x, y + 11, 11);
  ctx.fillStyle = '#141a24';
  ctx.strokeStyle = color;
  ctx.lineWidth = 2.4;
  ctx.beginPath();
  ctx.arc(x, y + bob, 12.5, 0, 7);
  ctx.fill();
  ctx.stroke();
  ctx.save();
  ctx.translate(x, y + bob);
  ctx.fillStyle = ctx.strokeStyle = '#f0ebdd';
  ctx.lineWidth = 2;
  ctx.lineCap = ctx.lineJoin = 'round';
  (GLYPHS[entity.type] || GLYPHS.other)(ctx);
  ctx.restore();
}

const GLYPHS = {
  scout(ctx) { // an eye
    ctx.beginPath();
    ctx.moveTo(-8, 0); ctx.quadraticCurveTo(0, -8, 8, 0); ctx.quadraticCurveTo(0, 8, -8, 0);
    ctx.stroke();
    ctx.beginPath(); ctx.arc(0, 0, 2.6, 0, 7); ctx.fill();
  },
  worker(ctx) { // a pick
    ctx.beginPath();
    ctx.moveTo(-5, 7); ctx.lineTo(4, -4);
    ctx.moveTo(-3, -6); ctx.quadraticCurveTo(5, -7, 7, 2);
    ctx.stroke();
  },
  soldier(ctx) { // a sword
    ctx.beginPath();
    ctx.moveTo(-5, 6); ctx.lineTo(6, -6);
    ctx.moveTo(-6, 1); ctx.lineTo(-1, 6);
    ctx.moveTo(-7, 8); ctx.lineTo(-4, 5);
    ctx.stroke();
  },
  other(ctx) {
    ctx.beginPath(); ctx.arc(0, 0, 4, 0, 7); ctx.fill();
  },
};

function building(ctx, entity, x, y, color) {
  shadow(ctx, x, y + 17, 24);
  const wall = '#cdbf9f', dark = '#8b7d60', roof = color;
  ctx.lineWidth = 1;
  ctx.strokeStyle = 'rgba(20,14,6,.6)';
  const block = (bx, by, w, h, fill) => { ctx.fillStyle = fill; ctx.fillRect(x + bx, y + by, w, h); ctx.strokeRect(x + bx, y + by, w, h); };
  const gable = (bx, by, w, h) => {
    ctx.fillStyle = roof;
    ctx.beginPath();
    ctx.moveTo(x + bx - 2, y + by); ctx.lineTo(x + bx + w / 2, y + by - h); ctx.lineTo(x + bx + w + 2, y + by);
    ctx.closePath(); ctx.fill(); ctx.stroke();
  };
  if (entity.type === 'settlement' || entity.type === 'capital') {
    block(-20, 2, 13, 14, wall); gable(-20, 2, 13, 8);
    block(8, 3, 12, 13, wall); gable(8, 3, 12, 8);
    block(-8, -8, 17, 24, wall);
    for (let i = 0; i < 3; i++) block(-8 + i * 6.2, -12, 4.4, 4, wall);
    block(-3, 7, 7, 9, dark);
    ctx.strokeStyle = '#3b2f1c';
    ctx.beginPath(); ctx.moveTo(x, y - 12); ctx.lineTo(x, y - 27); ctx.stroke();
    ctx.fillStyle = color;
    ctx.beginPath(); ctx.moveTo(x, y - 27); ctx.lineTo(x + 11, y - 23.500); ctx.lineTo(x, y - 20); ctx.fill();
  } else {
    block(-16, -2, 32, 17, wall); gable(-16, -2, 32, 13); block(-4, 5, 8, 10, dark);
  }
}

function resource(ctx, entity, x, y) {
  shadow(ctx, x, y + 9, 13);
  if (/gold|stone|iron|mine|quarry/.test(entity.type)) {
    const tint = /gold/.test(entity.type) ? ['#e8c35a', '#b98a22'] : ['#b7bcc4', '#7d838c'];
    for (const [dx, dy, s] of [[-8, 4, 7], [6, 5, 8], [-1, -3, 9]]) {
      ctx.fillStyle = tint[0];
      ctx.beginPath();
      ctx.moveTo(x + dx - s, y + dy + s * .6); ctx.lineTo(x + dx - s * .3, y + dy - s * .7); ctx.lineTo(x + dx + s * .5, y + dy - s * .6); ctx.lineTo(x + dx + s, y + dy + s * .6);
      ctx.fill();
      ctx.fillStyle = tint[1];
      ctx.beginPath();
      ctx.moveTo(x + dx + s * .1, y + dy + s * .6); ctx.lineTo(x + dx + s * .5, y + dy - s * .6); ctx.lineTo(x + dx + s, y + dy + s * .6);
      ctx.fill();
    }
  } else {
    for (const [dx, dy, s] of [[-8, 6, 9], [8, 6, 10], [0, 8, 13]]) {
      ctx.fillStyle = '#5b3f24';
      ctx.fillRect(x + dx - 1.2, y + dy - 3, 2.4, 5);
      ctx.fillStyle = '#2f6a43';
      ctx.beginPath();
      ctx.moveTo(x + dx, y + dy - s * 1.9); ctx.lineTo(x + dx + s * .6, y + dy - 2); ctx.lineTo(x + dx - s * .6, y + dy - 2);
      ctx.fill();
    }
  }
}

/** A health bar above an entity; `share` is 0..1. */
export function drawHealth(ctx, x, y, share) {
  ctx.fillStyle = 'rgba(0,0,0,.65)';
  ctx.fillRect(x - 13, y, 26, 4);
  ctx.fillStyle = share > .6 ? '#69c17c' : share > .3 ? '#e8b84a' : '#e5604d';
  ctx.fillRect(x - 12, y + 1, 24 * share, 2);
}
