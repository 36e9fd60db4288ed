import { hex } from '../sdk/index.js';
import { SIZE, toPixel } from './grid.js';
import { drawTerrain } from './terrain.js';

// Two sets of pictures of the land: near ones with every tree, far ones for a zoomed-out view.
const NEAR_ZOOM = 0.55;
const NEAR = { side: 512, detailed: true, kept: 40 };   // side in px of the map plane
const FAR = { side: 1024, detailed: false, kept: 60 };
const FAR_SCALE = 0.5;
const OVERHANG = SIZE * 1.2;    // a hex's picture reaches so far from its centre
const DRAW_MS = 4;              // of one frame for hexes that were not drawn yet

/** The land, drawn once into pictures; what becomes known later is added to them. */
export class Land {
  #state;
  #levels;
  #frame = 0;
  #terrains = new Map(); // what is drawn or waits to be: key -> terrain

  constructor(state, ratio) {
    this.#state = state;
    this.#levels = [
      { ...NEAR, scale: ratio > 1.4 ? 1.75 : 1.25, tiles: new Map() },
      { ...FAR, scale: FAR_SCALE, tiles: new Map() },
    ];
    state.on('change', ({ what, detail }) => {
      if (what === 'reset') this.#forgetChanged();
      else if (what === 'hexes') for (const [q, r] of detail) this.#learn(q, r);
    });
  }

  /** Another full state: what is drawn stays if it is still so, which is nearly always. */
  #forgetChanged() {
    for (const [name, terrain] of this.#terrains) {
      if (this.#state.hexes.get(name)?.terrain === terrain) continue;
      this.#terrains.clear();
      for (const { tiles } of this.#levels) tiles.clear();
      return;
    }
  }

  #learn(q, r) {
    const name = hex.key(q, r);
    const terrain = this.#state.hexes.get(name)?.terrain;
    if (!terrain || this.#terrains.get(name) === terrain) return;
    this.#terrains.set(name, terrain);
    // The rows below overlap this one with their tree tops: they are drawn again, over it.
    const again = [[q, r], [q - 1, r + 1], [q, r + 1]].filter(at => this.#terrains.has(hex.key(...at)));
    for (const level of this.#levels) for (const at of again) this.#await(level, at);
  }

  #await({ tiles, side }, [q, r]) {
    const { x, y } = toPixel(q, r);
    const names = new Set();
    for (const dx of [-OVERHANG, OVERHANG]) for (const dy of [-OVERHANG, OVERHANG])
      names.add(hex.key(Math.floor((x + dx) / side), Math.floor((y + dy) / side)));
    for (const name of names) tiles.get(name)?.waiting.push([q, r]);
  }

  /** All known hexes of a tile, from the back to the front. */
  #inTile({ side }, tx, ty) {
    const found = [];
    const stepX = SIZE * Math.sqrt(3), stepY = SIZE * 1.5;
    const r1 = Math.ceil(((ty + 1) * side + OVERHANG) / stepY);
    for (let r = Math.floor((ty * side - OVERHANG) / stepY); r <= r1; r++) {
      const q1 = Math.ceil(((tx + 1) * side + OVERHANG) / stepX - r / 2);
      for (let q = Math.floor((tx * side - OVERHANG) / stepX - r / 2); q <= q1; q++)
        if (this.#state.hexes.has(hex.key(q, r))) found.push([q, r]);
    }
    return found;
  }

  #tile(level, tx, ty) {
    const name = hex.key(tx, ty);
    let tile = level.tiles.get(name);
    if (!tile) {
      tile = { canvas: null, waiting: this.#inTile(level, tx, ty), used: 0 };
      level.tiles.set(name, tile);
    }
    tile.used = this.#frame;
    return tile;
  }

  #work(level, tile, tx, ty, deadline) {
    if (!tile.canvas) {
      tile.canvas = document.createElement('canvas');
      tile.canvas.width = tile.canvas.height = Math.round(level.side * level.scale);
    }
    const ctx = tile.canvas.getContext('2d');
    const scale = tile.canvas.width / level.side;
    ctx.setTransform(scale, 0, 0, scale, -tx * level.side * scale, -ty * level.side * scale);
    let done = 0;
    while (done < tile.waiting.length && (done % 8 || performance.now() < deadline)) {
      const [q, r] = tile.waiting[done++];
      const terrain = this.#state.hexes.get(hex.key(q, r))?.terrain;
      const { x, y } = toPixel(q, r);
      if (terrain) drawTerrain(ctx, q, r, x, y, terrain, level.detailed);
    }
    tile.waiting.splice(0, done);
  }

  #drawLevel(ctx, level, a, b, deadline) {
    const { side } = level;
    let complete = true;
    for (let ty = Math.floor(a.y / side); ty <= Math.floor(b.y / side); ty++)
      for (let tx = Math.floor(a.x / side); tx <= Math.floor(b.x / side); tx++) {
        const tile = this.#tile(level, tx, ty);
        if (tile.waiting.length) this.#work(level, tile, tx, ty, deadline);
        if (tile.waiting.length) complete = false;
        if (tile.canvas) ctx.drawImage(tile.canvas, tx * side, ty * side, side, side);
      }
    return complete;
  }

  #evict({ tiles, kept }) {
    if (tiles.size <= kept) return;
    const old = [...tiles].filter(([, tile]) => tile.used < this.#frame).sort(([, p], [, o]) => p.used - o.used);
    for (const [name] of old.slice(0, tiles.size - kept)) tiles.delete(name);
  }

  /** Draws the land between two points of the map plane; what takes too long comes in later frames. */
  draw(ctx, a, b, zoom) {
    this.#frame++;
    const deadline = performance.now() + DRAW_MS;
    const [near, far] = this.#levels;
    if (zoom < NEAR_ZOOM || !this.#isReady(near, a, b)) this.#drawLevel(ctx, far, a, b, deadline);
    if (zoom >= NEAR_ZOOM) this.#drawLevel(ctx, near, a, b, deadline);
    this.#evict(near);
    this.#evict(far);
  }

  #isReady({ tiles, side }, a, b) {
    for (let ty = Math.floor(a.y / side); ty <= Math.floor(b.y / side); ty++)
      for (let tx = Math.floor(a.x / side); tx <= Math.floor(b.x / side); tx++) {
        const tile = tiles.get(hex.key(tx, ty));
        if (!tile || tile.waiting.length > 50) return false;
      }
    return true;
  }
}
