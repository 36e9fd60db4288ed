import { VISIBLE, hex } from '../sdk/index.js';
import { SIZE, noise, toPixel } from './grid.js';

const SIDE = 480;          // px of the map plane in one mask
const STEP = 6;            // px of the map plane per px of a mask: coarse, so that enlarging it blurs
const PX = SIDE / STEP;
const REACH = SIZE * 1.9;  // a hex changes the masks up to here from its centre
const MAKE_MS = 4;         // of one frame for masks that changed,
const MADE_MIN = 4;        // but so many at least: a slow machine must get on too
export const SHROUD_COLOR = '#07090d';
const FOG_COLOR = 'rgba(10,14,26,.56)';

/** A soft round brush: full up to `inner`, nothing from `outer` on (in hex radii). */
function brush(inner, outer) {
  const radius = outer * SIZE / STEP;
  const canvas = document.createElement('canvas');
  canvas.width = canvas.height = Math.ceil(radius * 2) + 2;
  const middle = canvas.width / 2;
  const ctx = canvas.getContext('2d');
  const gradient = ctx.createRadialGradient(middle, middle, inner * SIZE / STEP, middle, middle, radius);
  gradient.addColorStop(0, '#000');
  gradient.addColorStop(0.5, 'rgba(0,0,0,.55)');
  gradient.addColorStop(1, 'rgba(0,0,0,0)');
  ctx.fillStyle = gradient;
  ctx.fillRect(0, 0, canvas.width, canvas.height);
  return { canvas, middle };
}

function maskCanvas(width = PX, height = PX) {
  const canvas = document.createElement('canvas');
  canvas.width = width;
  canvas.height = height;
  return canvas;
}

/**
 * Fog and shroud with soft edges: coarse masks, out of which known and visible hexes are wiped with soft
 * brushes, enlarged over the land. A mask is made again only when a hex near it changes.
 */
export class Fog {
  #state;
  #masks = new Map(); // "tx,ty" -> {canvas, dirty}
  #whole = null;      // the masks in view side by side: {canvas, tx, ty, columns, rows}
  #stale = true;
  #turn = 0;
  #made = 0;          // masks in this frame
  #surrounded = new WeakSet();
  #scratch = maskCanvas();
  #inside = brush(0.85, 1.75);
  #rims = [brush(0.1, 0.98), brush(0.2, 1.02), brush(0.3, 1)];

  constructor(state) {
    this.#state = state;
    state.on('change', ({ what, detail }) => {
      if (what === 'reset') this.#masks.clear();
      if (what === 'reset') this.#stale = true;
      if (what === 'hexes') for (const [q, r] of detail) this.#touch(q, r);
    });
  }

  #touch(q, r) {
    const { x, y } = toPixel(q, r);
    // A hex also decides whether its neighbours lie at the rim.
    const reach = REACH + 2 * SIZE;
    for (let ty = Math.floor((y - reach) / SIDE); ty <= Math.floor((y + reach) / SIDE); ty++)
      for (let tx = Math.floor((x - reach) / SIDE); tx <= Math.floor((x + reach) / SIDE); tx++) {
        const mask = this.#masks.get(hex.key(tx, ty));
        if (mask) mask.dirty = true;
      }
    this.#stale = true;
  }

  /** True if all neighbours are known: from then on for ever. */
  #isInside(known) {
    if (this.#surrounded.has(known)) return true;
    const { q, r } = known;
    const inside = hex.DIRECTIONS.every(([dq, dr]) => this.#state.hexes.has(hex.key(q + dq, r + dr)));
    if (inside) this.#surrounded.add(known);
    return inside;
  }

  #wipe(ctx, { canvas, middle }, x, y) {
    ctx.drawImage(canvas, x - middle, y - middle);
  }

  /** The known hexes that reach into a mask, and how many there would be if all were known. */
  #near(tx, ty) {
    const found = [];
    let places = 0;
    const stepX = SIZE * Math.sqrt(3), stepY = SIZE * 1.5;
    const r1 = Math.ceil(((ty + 1) * SIDE + REACH) / stepY);
    for (let r = Math.floor((ty * SIDE - REACH) / stepY); r <= r1; r++) {
      const q1 = Math.ceil(((tx + 1) * SIDE + REACH) / stepX - r / 2);
      for (let q = Math.floor((tx * SIDE - REACH) / stepX - r / 2); q <= q1; q++) {
        places++;
        const known = this.#state.hexes.get(hex.key(q, r));
        if (known) found.push(known);
      }
    }
    return { found, places };
  }

  /** Fills a layer, unless it would be wiped as a whole, and wipes the hexes out of it. */
  #layer(ctx, color, tx, ty, hexes, all, brushOf) {
    ctx.globalCompositeOperation = 'copy';
    ctx.fillStyle = all ? 'transparent' : color;
    ctx.fillRect(0, 0, PX, PX);
    if (all) return;
    ctx.globalCompositeOperation = 'destination-out';
    for (const known of hexes) {
      const { x, y } = toPixel(known.q, known.r);
      this.#wipe(ctx, brushOf(known), (x - tx * SIDE) / STEP, (y - ty * SIDE) / STEP);
    }
  }

  // Most masks are all of one kind, which costs next to nothing.
  #make(mask, tx, ty) {
    const ctx = mask.canvas.getContext('2d'), shroud = this.#scratch.getContext('2d');
    const { found, places } = this.#near(tx, ty);
    const visible = found.filter(known => known.state === VISIBLE);
    this.#layer(ctx, FOG_COLOR, tx, ty, visible, visible.length === places, () => this.#inside);
    if (found.length < places || !found.every(known => this.#isInside(known))) {
      this.#layer(shroud, SHROUD_COLOR, tx, ty, found, false, known =>
        this.#isInside(known) ? this.#inside : this.#rims[noise(known.q, known.r, 5) * this.#rims.length | 0]);
      ctx.globalCompositeOperation = 'source-over';
      ctx.drawImage(this.#scratch, 0, 0);
    }
    mask.dirty = false;
  }

  #mask(tx, ty, deadline) {
    const name = hex.key(tx, ty);
    let mask = this.#masks.get(name);
    if (!mask) this.#masks.set(name, mask = { canvas: null, dirty: true });
    if (mask.dirty && (this.#made < MADE_MIN || performance.now() < deadline)) {
      this.#made++;
      mask.canvas ??= maskCanvas();
      this.#make(mask, tx, ty);
    }
    if (mask.dirty) this.#stale = true; // in a later frame
    return mask.canvas;
  }

  #assemble(tx, ty, columns, rows) {
    const whole = this.#whole;
    if (!this.#stale && whole && whole.tx === tx && whole.ty === ty && whole.columns === columns && whole.rows === rows) return;
    const canvas = whole && whole.columns === columns && whole.rows === rows ? whole.canvas : maskCanvas(columns * PX, rows * PX);
    const ctx = canvas.getContext('2d');
    const deadline = performance.now() + MAKE_MS;
    this.#made = 0;
    this.#stale = false;
    ctx.globalCompositeOperation = 'copy';
    ctx.fillStyle = SHROUD_COLOR;
    ctx.fillRect(0, 0, canvas.width, canvas.height);
    ctx.globalCompositeOperation = 'source-over';
    this.#turn++; // begins with another row every time, so that none waits for ever
    for (let i = 0; i < rows; i++)
      for (let column = 0; column < columns; column++) {
        const row = (i + this.#turn) % rows;
        const mask = this.#mask(tx + column, ty + row, deadline);
        if (!mask) continue;
        ctx.clearRect(column * PX, row * PX, PX, PX);
        ctx.drawImage(mask, column * PX, row * PX);
      }
    this.#whole = { canvas, tx, ty, columns, rows };
  }

  /** Draws fog and shroud between two points of the map plane. */
  draw(ctx, a, b) {
    const tx = Math.floor((a.x - SIZE) / SIDE), ty = Math.floor((a.y - SIZE) / SIDE);
    const columns = Math.floor((b.x + SIZE) / SIDE) - tx + 1, rows = Math.floor((b.y + SIZE) / SIDE) - ty + 1;
    this.#assemble(tx, ty, columns, rows);
    ctx.imageSmoothingEnabled = true;
    ctx.drawImage(this.#whole.canvas, tx * SIDE, ty * SIDE, columns * SIDE, rows * SIDE);
    if (this.#masks.size > 600) this.#masks.clear();
  }
}
