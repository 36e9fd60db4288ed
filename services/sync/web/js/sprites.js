// Units, buildings and resources, drawn from shapes and kept as pictures, one of each look.

const OWN = '#e8b84a';
const NOBODY = '#8b8f98';
const WILD = '#c8553d'; // creatures, which are nobody's
const LAIR = /den|camp|lair|nest/;
const HUES = [210, 0, 280, 160, 325, 100, 20, 190];

/** An empire's colour: gold for the player's own, else one that belongs to its id. */
export function ownerColor(owner, ownId) {
  if (!owner) return NOBODY;
  if (owner === ownId) return OWN;
  let h = 2166136261;
  for (const c of owner) h = Math.imul(h ^ c.charCodeAt(0), 16777619);
  return `hsl(${HUES[(h >>> 3) % HUES.length] + (h >>> 12) % 20 - 10},64%,60%)`;
}

const PICTURE = 84;  // px of a picture's side, at scale 1
const CENTER_Y = 48; // of the entity's hex in it

const pictures = new Map();

/** The picture of an entity's type in a colour; draw it with `drawPicture`. */
function picture(type, kind, color, scale) {
  const name = `${type}|${kind}|${color}|${scale}`;
  let canvas = pictures.get(name);
  if (canvas) return canvas;
  if (pictures.size > 400) pictures.clear();
  canvas = document.createElement('canvas');
  canvas.width = canvas.height = PICTURE * scale;
  const ctx = canvas.getContext('2d');
  ctx.scale(scale, scale);
  ctx.translate(PICTURE / 2, CENTER_Y);
  if (kind === 'building') building(ctx, type, color);
  else if (kind === 'resource') resource(ctx, type);
  else if (kind === 'npc' && LAIR.test(type)) lair(ctx, type);
  else if (kind === 'npc') unit(ctx, 'creature', WILD);
  else unit(ctx, type, color);
  pictures.set(name, canvas);
  return canvas;
}

/** Any entity with its hex's centre at (x, y). */
export function drawEntity(ctx, entity, x, y, color, timeMs, scale) {
  const bob = entity.kind === 'unit' && entity.from ? Math.abs(Math.sin(timeMs / 110 + x)) * -2.2 : 0;
  const image = picture(entity.type, entity.kind, color, scale);
  ctx.drawImage(image, x - PICTURE / 2, y - CENTER_Y + bob, PICTURE, PICTURE);
}

/** A small picture of a type for the panels. */
export function iconOf(type, kind, color, side = 34) {
  const canvas = document.createElement('canvas');
  canvas.className = 'type-icon';
  canvas.width = canvas.height = side * 2;
  canvas.style.width = canvas.style.height = `${side}px`;
  const view = kind === 'unit' ? 38 : 60;
  canvas.getContext('2d').drawImage(picture(type, kind, color, 3),
    (PICTURE - view) / 2 * 3, (CENTER_Y - view / 2 + (kind === 'unit' ? 0 : -7)) * 3, view * 3, view * 3, 0, 0, side * 2, side * 2);
  return canvas;
}

function shadow(ctx, y, w) {
  ctx.fillStyle = 'rgba(0,0,0,.35)';
  ctx.beginPath();
  ctx.ellipse(0, y, w, w * .38, 0, 0, 7);
  ctx.fill();
}

// --- units ---------------------------------------------------------------------------------------

const FRAMES = {
  scout(ctx, s) { // a lozenge
    ctx.moveTo(0, -15 * s); ctx.lineTo(15 * s, 0); ctx.lineTo(0, 15 * s); ctx.lineTo(-15 * s, 0); ctx.closePath();
  },
  worker(ctx, s) { ctx.arc(0, 0, 12.5 * s, 0, 7); },
  soldier(ctx, s) { // a shield
    ctx.moveTo(-12 * s, -12 * s); ctx.lineTo(12 * s, -12 * s); ctx.lineTo(12 * s, 1 * s);
    ctx.quadraticCurveTo(11 * s, 10 * s, 0, 15 * s); ctx.quadraticCurveTo(-11 * s, 10 * s, -12 * s, 1 * s); ctx.closePath();
  },
  champion(ctx, s) { // a star
    for (let i = 0; i < 10; i++) ctx.lineTo(Math.sin(i * Math.PI / 5) * (i % 2 ? 9 : 16) * s, -Math.cos(i * Math.PI / 5) * (i % 2 ? 9 : 16) * s);
    ctx.closePath();
  },
  creature(ctx, s) { // a fang
    ctx.moveTo(-13 * s, -10 * s); ctx.quadraticCurveTo(0, -16 * s, 13 * s, -10 * s); ctx.lineTo(0, 15 * s); ctx.closePath();
  },
  other(ctx, s) { ctx.rect(-11 * s, -11 * s, 22 * s, 22 * s); },
};

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
  champion(ctx) { // a sword upright
    ctx.beginPath();
    ctx.moveTo(0, -7); ctx.lineTo(0, 6); ctx.moveTo(-4, 3); ctx.lineTo(4, 3);
    ctx.stroke();
  },
  creature(ctx) { // two eyes
    for (const x of [-4, 4]) { ctx.beginPath(); ctx.ellipse(x, -4, 2.6, 1.7, x * .12, 0, 7); ctx.fill(); }
  },
  other(ctx) {
    ctx.beginPath(); ctx.arc(0, 0, 4, 0, 7); ctx.fill();
  },
};

function unit(ctx, type, color) {
  shadow(ctx, 14, 11);
  ctx.beginPath();
  (FRAMES[type] || FRAMES.other)(ctx, 1);
  ctx.fillStyle = '#161c27';
  ctx.fill();
  ctx.lineWidth = 5;
  ctx.strokeStyle = 'rgba(8,10,14,.85)';
  ctx.stroke();
  ctx.lineWidth = 2.8;
  ctx.strokeStyle = color;
  ctx.stroke();
  ctx.fillStyle = ctx.strokeStyle = '#f4efe1';
  ctx.lineWidth = 2;
  ctx.lineCap = ctx.lineJoin = 'round';
  (GLYPHS[type] || GLYPHS.other)(ctx);
}

/** A unit or building from afar: the frame of its kind, filled with its colour; px of the screen. */
export function drawToken(ctx, entity, x, y, color, isSelected, count) {
  ctx.save();
  ctx.translate(x, y);
  ctx.beginPath();
  if (entity.kind === 'npc') color = WILD;
  if (entity.kind === 'building' || (entity.kind === 'npc' && LAIR.test(entity.type))) {
    ctx.moveTo(-8, 7); ctx.lineTo(-8, -2); ctx.lineTo(0, -10); ctx.lineTo(8, -2); ctx.lineTo(8, 7); ctx.closePath();
  } else {
    (FRAMES[entity.kind === 'npc' ? 'creature' : entity.type] || FRAMES.other)(ctx, 0.46);
  }
  ctx.globalAlpha = entity.stale ? 0.5 : 1;
  ctx.fillStyle = color;
  ctx.strokeStyle = isSelected ? '#fff8e2' : 'rgba(8,10,14,.95)';
  ctx.lineWidth = isSelected ? 2.4 : 1.8;
  ctx.fill();
  ctx.stroke();
  if (count > 1) {
    ctx.font = '700 11px system-ui, sans-serif';
    ctx.textAlign = 'left';
    ctx.lineWidth = 3;
    ctx.strokeStyle = 'rgba(8,10,14,.9)';
    ctx.strokeText(count, 7, -3);
    ctx.fillStyle = '#fff8e2';
    ctx.fillText(count, 7, -3);
  }
  ctx.restore();
}

// --- buildings -----------------------------------------------------------------------------------

const WALL = '#d3c6a6', WALL_DARK = '#a99a78', DOOR = '#5e4b30', LINE = 'rgba(20,14,6,.65)';

function block(ctx, x, y, w, h) {
  ctx.fillStyle = WALL;
  ctx.fillRect(x, y, w, h);
  ctx.fillStyle = WALL_DARK;
  ctx.fillRect(x + w * .68, y, w * .32, h);
  ctx.strokeRect(x, y, w, h);
}

function gable(ctx, x, y, w, h, color) {
  ctx.fillStyle = color;
  ctx.beginPath();
  ctx.moveTo(x - 2, y); ctx.lineTo(x + w / 2, y - h); ctx.lineTo(x + w + 2, y);
  ctx.closePath();
  ctx.fill();
  ctx.fillStyle = 'rgba(0,0,0,.2)';
  ctx.beginPath();
  ctx.moveTo(x + w / 2, y); ctx.lineTo(x + w / 2, y - h); ctx.lineTo(x + w + 2, y);
  ctx.closePath();
  ctx.fill();
  ctx.stroke();
}

function building(ctx, type, color) {
  shadow(ctx, 17, 25);
  ctx.lineWidth = 1;
  ctx.strokeStyle = LINE;
  if (type === 'settlement' || type === 'capital') {
    for (const x of [-21, 8]) {
      block(ctx, x, 3, 13, 14);
      gable(ctx, x, 3, 13, 9, color);
    }
    block(ctx, -9, -9, 18, 26);
    for (let i = 0; i < 3; i++) block(ctx, -9 + i * 6.5, -14, 5, 5);
    ctx.fillStyle = DOOR;
    ctx.beginPath();
    ctx.moveTo(-3.5, 17); ctx.lineTo(-3.5, 10); ctx.arc(0, 10, 3.5, Math.PI, 0); ctx.lineTo(3.5, 17);
    ctx.fill();
    ctx.fillRect(-1.2, -4, 2.4, 5);
    ctx.strokeStyle = '#3b2f1c';
    ctx.lineWidth = 1.4;
    ctx.beginPath(); ctx.moveTo(0, -14); ctx.lineTo(0, -33); ctx.stroke();
    ctx.fillStyle = color;
    ctx.beginPath(); ctx.moveTo(0, -33); ctx.quadraticCurveTo(7, -35, 14, -29); ctx.quadraticCurveTo(7, -28, 0, -23); ctx.fill();
  } else if (type === 'tower') {
    block(ctx, -8, -18, 16, 35);
    for (let i = 0; i < 3; i++) block(ctx, -10 + i * 7.2, -24, 5.5, 6);
    ctx.fillStyle = DOOR;
    ctx.fillRect(-1.2, -10, 2.4, 7);
    ctx.fillRect(-3, 9, 6, 8);
    ctx.strokeStyle = '#3b2f1c';
    ctx.lineWidth = 1.4;
    ctx.beginPath(); ctx.moveTo(0, -24); ctx.lineTo(0, -36); ctx.stroke();
    ctx.fillStyle = color;
    ctx.beginPath(); ctx.moveTo(0, -36); ctx.lineTo(11, -32.5); ctx.lineTo(0, -29); ctx.fill();
  } else {
    block(ctx, -17, -1, 34, 18);
    gable(ctx, -17, -1, 34, 14, color);
    ctx.fillStyle = DOOR;
    ctx.fillRect(-4, 6, 8, 11);
  }
}

// A cave in a mound; tents, where people live.
function lair(ctx, type) {
  shadow(ctx, 13, 20);
  ctx.lineWidth = 1.4;
  ctx.strokeStyle = LINE;
  if (/camp/.test(type)) {
    for (const [x, y, s] of [[-9, 8, 11], [9, 9, 10], [0, 14, 13]]) {
      ctx.fillStyle = '#8a4a35';
      ctx.beginPath(); ctx.moveTo(x - s, y); ctx.lineTo(x, y - s * 1.5); ctx.lineTo(x + s, y); ctx.closePath();
      ctx.fill(); ctx.stroke();
      ctx.fillStyle = '#24120c';
      ctx.beginPath(); ctx.moveTo(x - s * .28, y); ctx.lineTo(x, y - s * .8); ctx.lineTo(x + s * .28, y); ctx.fill();
    }
    return;
  }
  ctx.fillStyle = '#6b5a4a';
  ctx.beginPath(); ctx.moveTo(-20, 14); ctx.quadraticCurveTo(-16, -14, 0, -15); ctx.quadraticCurveTo(17, -13, 20, 14); ctx.closePath();
  ctx.fill(); ctx.stroke();
  ctx.fillStyle = '#15100c';
  ctx.beginPath(); ctx.ellipse(1, 8, 9, 8, 0, Math.PI, 0); ctx.fill();
  ctx.fillStyle = WILD;
  for (const x of [-2, 4]) { ctx.beginPath(); ctx.arc(x, 5, 1.3, 0, 7); ctx.fill(); }
}

// --- resources -----------------------------------------------------------------------------------

function resource(ctx, type) {
  if (/gold|stone|iron|mine|quarry/.test(type)) {
    shadow(ctx, 10, 16);
    const [light, dark, glint] = /gold/.test(type) ? ['#eac559', '#b0811f', '#fff3bd'] : ['#bcc2ca', '#7b828c', '#eef1f4'];
    for (const [x, y, s] of [[-9, 5, 8], [8, 6, 9], [-1, -3, 11]]) {
      ctx.fillStyle = light;
      ctx.beginPath();
      ctx.moveTo(x - s, y + s * .6); ctx.lineTo(x - s * .4, y - s * .7); ctx.lineTo(x + s * .5, y - s * .6); ctx.lineTo(x + s, y + s * .6);
      ctx.fill();
      ctx.fillStyle = dark;
      ctx.beginPath();
      ctx.moveTo(x + s * .1, y + s * .6); ctx.lineTo(x + s * .5, y - s * .6); ctx.lineTo(x + s, y + s * .6);
      ctx.fill();
      ctx.fillStyle = glint;
      ctx.fillRect(x - s * .35, y - s * .45, s * .4, 1.6);
    }
    return;
  }
  shadow(ctx, 11, 17);
  for (const [x, y, s] of [[-9, 6, 11], [9, 6, 11], [0, 11, 14]]) {
    ctx.fillStyle = '#6a4c2e';
    ctx.fillRect(x - 1.4, y - 4, 2.8, 6);
    for (const [dx, fill] of [[s * .62, '#24573a'], [-s * .1, '#3f8455']]) {
      ctx.fillStyle = fill;
      ctx.beginPath();
      ctx.moveTo(x, y - s * 1.9); ctx.lineTo(x + dx, y - 2); ctx.lineTo(x - s * .62, y - 2);
      ctx.fill();
    }
  }
  // Cut logs tell a wood to be felled from the forest around it.
  for (const [x, y] of [[-15, 13], [-10, 15]]) {
    ctx.fillStyle = '#8a5f36';
    ctx.fillRect(x, y - 3, 10, 4);
    ctx.fillStyle = '#d8b27c';
    ctx.beginPath();
    ctx.arc(x, y - 1, 2.1, 0, 7);
    ctx.fill();
  }
}

/** A health bar above an entity; `share` is 0..1. */
export function drawHealth(ctx, x, y, share) {
  ctx.fillStyle = 'rgba(0,0,0,.7)';
  ctx.fillRect(x - 14, y, 28, 5);
  ctx.fillStyle = share > .6 ? '#69c17c' : share > .3 ? '#e8b84a' : '#e5604d';
  ctx.fillRect(x - 13, y + 1, 26 * share, 3);
}

/** About a building that is not complete: poles, planks, and below how far it is; `share` is 0..1. */
export function drawScaffold(ctx, x, y, share) {
  ctx.strokeStyle = '#a87c46';
  ctx.lineWidth = 2;
  ctx.beginPath();
  for (const dx of [-20, 0, 20]) { ctx.moveTo(x + dx, y + 18); ctx.lineTo(x + dx, y - 18); }
  for (const dy of [-12, 3]) { ctx.moveTo(x - 23, y + dy); ctx.lineTo(x + 23, y + dy); }
  ctx.stroke();
  ctx.fillStyle = 'rgba(0,0,0,.75)';
  ctx.fillRect(x - 21, y + 21, 42, 6);
  ctx.fillStyle = '#e8b84a';
  ctx.fillRect(x - 20, y + 22, 40 * share, 4);
}
