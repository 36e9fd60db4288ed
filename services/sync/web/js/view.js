import { SIZE, fromPixel, key, toPixel, trace } from './hex.js';
import { drawEntity, drawHealth, drawTerrain, ownerColor } from './art.js';
import { FOG, VISIBLE } from './state.js';

const TILE = 512;        // px of map plane per cached picture of the land
const ZOOM_MIN = 0.22, ZOOM_MAX = 2.2;
const MARGIN = SIZE * 1.2;

/**
 * The map on a canvas: camera, land, fog, entities. The land is drawn once into tiles and again only
 * where more of it becomes known; fog and entities are drawn every frame.
 */
export class MapView {
  constructor(canvas, state) {
    this.canvas = canvas;
    this.ctx = canvas.getContext('2d', { alpha: false });
    this.state = state;
    this.camera = { x: 0, y: 0, zoom: 1 };
    this.selected = new Set();
    this.hover = null;        // hex under the pointer
    this.box = null;          // {x0, y0, x1, y1} in screen px while a box is drawn
    this.markers = [];        // {q, r, age} orders just given
    this.tiles = new Map();   // "tx,ty" -> {canvas, dirty}
    this.byTile = new Map();  // "tx,ty" -> hexes
    state.addEventListener('change', ({ detail }) => {
      if (detail.what === 'reset') { this.tiles.clear(); this.byTile.clear(); }
      if (detail.what === 'hexes') for (const [q, r] of detail.detail) this.#learn(q, r);
    });
    new ResizeObserver(() => this.#resize()).observe(canvas);
    this.#resize();
  }

  #resize() {
    const ratio = Math.min(window.devicePixelRatio || 1, 2);
    this.canvas.width = Math.round(this.canvas.clientWidth * ratio);
    this.canvas.height = Math.round(this.canvas.clientHeight * ratio);
    this.ratio = ratio;
  }

  get width() { return this.canvas.clientWidth; }
  get height() { return this.canvas.clientHeight; }

  centerOn([q, r]) {
    Object.assign(this.camera, toPixel(q, r));
  }

  pan(dx, dy) {
    this.camera.x -= dx / this.camera.zoom;
    this.camera.y -= dy / this.camera.zoom;
  }

  /** Zooms by a factor, keeping the map point under (sx, sy) where it is. */
  zoomAt(sx, sy, factor) {
    const before = this.toMap(sx, sy);
    this.camera.zoom = Math.min(ZOOM_MAX, Math.max(ZOOM_MIN, this.camera.zoom * factor));
    const after = this.toMap(sx, sy);
    this.camera.x += before.x - after.x;
    this.camera.y += before.y - after.y;
  }

  toMap(sx, sy) {
    const { x, y, zoom } = this.camera;
    return { x: (sx - this.width / 2) / zoom + x, y: (sy - this.height / 2) / zoom + y };
  }

  toScreen(x, y) {
    const c = this.camera;
    return { x: (x - c.x) * c.zoom + this.width / 2, y: (y - c.y) * c.zoom + this.height / 2 };
  }

  hexAt(sx, sy) {
    const { x, y } = this.toMap(sx, sy);
    return fromPixel(x, y);
  }

  /** The entity under the pointer: units before buildings before the rest. */
  entityAt(sx, sy) {
    const { x, y } = this.toMap(sx, sy);
    const reach = Math.max(16, 14 / this.camera.zoom);
    let best = null, bestScore = Infinity;
    for (const entity of this.state.entities.values()) {
      const d = Math.hypot(entity.x - x, entity.y - y);
      const limit = entity.kind === 'building' ? SIZE * .9 : reach;
      const score = d + (entity.kind === 'unit' ? 0 : entity.kind === 'building' ? 12 : 40);
      if (d <= limit && score < bestScore) { best = entity; bestScore = score; }
    }
    return best;
  }

  entitiesInBox({ x0, y0, x1, y1 }) {
    const a = this.toMap(Math.min(x0, x1), Math.min(y0, y1));
    const b = this.toMap(Math.max(x0, x1), Math.max(y0, y1));
    return [...this.state.entities.values()].filter(e => e.x >= a.x && e.x <= b.x && e.y >= a.y && e.y <= b.y);
  }

  #tilesOf(x, y) {
    const names = new Set();
    for (const dx of [-MARGIN, MARGIN]) for (const dy of [-MARGIN, MARGIN])
      names.add(`${Math.floor((x + dx) / TILE)},${Math.floor((y + dy) / TILE)}`);
    return names;
  }

  #learn(q, r) {
    const { x, y } = toPixel(q, r);
    for (const name of this.#tilesOf(x, y)) {
      let hexes = this.byTile.get(name);
      if (!hexes) this.byTile.set(name, hexes = new Map());
      const hex = this.state.hexes.get(key(q, r));
      if (!hex || hexes.get(key(q, r)) === hex.terrain) continue;
      hexes.set(key(q, r), hex.terrain);
      const tile = this.tiles.get(name);
      if (tile) tile.dirty = true;
    }
  }

  #tile(tx, ty) {
    const name = `${tx},${ty}`;
    const hexes = this.byTile.get(name);
    if (!hexes) return null;
    let tile = this.tiles.get(name);
    if (!tile) {
      const canvas = document.createElement('canvas');
      canvas.width = canvas.height = TILE;
      this.tiles.set(name, tile = { canvas, dirty: true });
    }
    if (tile.dirty) {
      const ctx = tile.canvas.getContext('2d');
      ctx.setTransform(1, 0, 0, 1, -tx * TILE, -ty * TILE);
      ctx.clearRect(tx * TILE, ty * TILE, TILE, TILE);
      const known = [...hexes.keys()].map(name => this.state.hexes.get(name)).filter(Boolean);
      known.sort((a, b) => a.r - b.r || a.q - b.q);
      for (const { q, r, terrain } of known) {
        const { x, y } = toPixel(q, r);
        drawTerrain(ctx, q, r, x, y, terrain);
      }
      tile.dirty = false;
    }
    return tile.canvas;
  }

  draw(timeMs) {
    const { ctx, camera } = this;
    ctx.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    ctx.fillStyle = '#07090d';
    ctx.fillRect(0, 0, this.width, this.height);
    const s = this.ratio * camera.zoom;
    ctx.setTransform(s, 0, 0, s, this.ratio * (this.width / 2 - camera.x * camera.zoom), this.ratio * (this.height / 2 - camera.y * camera.zoom));
    const a = this.toMap(0, 0), b = this.toMap(this.width, this.height);
    this.#drawLand(a, b);
    this.#drawFog(a, b);
    this.#drawOrders();
    this.#drawEntities(a, b, timeMs);
    ctx.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    this.#drawBox();
  }

  #drawLand(a, b) {
    for (let ty = Math.floor(a.y / TILE); ty <= Math.floor(b.y / TILE); ty++)
      for (let tx = Math.floor(a.x / TILE); tx <= Math.floor(b.x / TILE); tx++) {
        const picture = this.#tile(tx, ty);
        if (picture) this.ctx.drawImage(picture, tx * TILE, ty * TILE);
      }
  }

  #eachHexIn(a, b, visit) {
    const r0 = Math.floor((a.y - SIZE) / (SIZE * 1.5)), r1 = Math.ceil((b.y + SIZE) / (SIZE * 1.5));
    const step = SIZE * Math.sqrt(3);
    for (let r = r0; r <= r1; r++) {
      const q0 = Math.floor(a.x / step - r / 2) - 1, q1 = Math.ceil(b.x / step - r / 2) + 1;
      for (let q = q0; q <= q1; q++) visit(q, r, this.state.hexes.get(key(q, r)));
    }
  }

  #drawFog(a, b) {
    const { ctx } = this;
    const fog = new Path2D(), edge = new Path2D();
    this.#eachHexIn(a, b, (q, r, hex) => {
      if (!hex) return;
      const { x, y } = toPixel(q, r);
      if (hex.state === FOG) trace(fog, x, y, 1.02);
      const nearShroud = [[1, 0], [1, -1], [0, -1], [-1, 0], [-1, 1], [0, 1]]
        .some(([dq, dr]) => !this.state.hexes.has(key(q + dq, r + dr)));
      if (nearShroud) trace(edge, x, y, 1.02);
    });
    ctx.fillStyle = 'rgba(9,12,22,.58)';
    ctx.fill(fog);
    ctx.fillStyle = 'rgba(7,9,13,.38)';
    ctx.fill(edge);
    if (this.hover && this.state.hexes.has(key(...this.hover))) {
      const { x, y } = toPixel(...this.hover);
      ctx.strokeStyle = 'rgba(255,244,214,.55)';
      ctx.lineWidth = 1.6;
      ctx.beginPath();
      trace(ctx, x, y, .96);
      ctx.stroke();
    }
  }

  #drawOrders() {
    const { ctx, state } = this;
    ctx.setLineDash([5, 6]);
    ctx.lineWidth = 1.6;
    ctx.strokeStyle = 'rgba(255,236,186,.6)';
    for (const id of this.selected) {
      const entity = state.entities.get(id);
      const target = entity?.data.target;
      if (!target || entity.data.activity === 'idle') continue;
      const to = toPixel(target[0], target[1]);
      ctx.beginPath();
      ctx.moveTo(entity.x, entity.y);
      ctx.lineTo(to.x, to.y);
      ctx.stroke();
    }
    ctx.setLineDash([]);
    this.markers = this.markers.filter(marker => (marker.age += 1) < 40);
    for (const { q, r, age } of this.markers) {
      const { x, y } = toPixel(q, r);
      ctx.strokeStyle = `rgba(232,184,74,${1 - age / 40})`;
      ctx.lineWidth = 3;
      ctx.beginPath();
      trace(ctx, x, y, .35 + age / 60);
      ctx.stroke();
    }
  }

  #drawEntities(a, b, timeMs) {
    const { ctx, state } = this;
    const inView = [...state.entities.values()].filter(e => e.x > a.x - 60 && e.x < b.x + 60 && e.y > a.y - 60 && e.y < b.y + 60);
    const layer = { resource: 0, building: 1 };
    inView.sort((p, o) => (layer[p.kind] ?? 2) - (layer[o.kind] ?? 2) || p.y - o.y);
    for (const entity of inView) {
      const color = ownerColor(entity.owner, state.empireId);
      if (this.selected.has(entity.id)) {
        ctx.strokeStyle = '#fff3cf';
        ctx.lineWidth = 2;
        ctx.beginPath();
        if (entity.kind === 'building') trace(ctx, entity.x, entity.y, .95);
        else ctx.ellipse(entity.x, entity.y + 7, 17, 9, 0, 0, 7);
        ctx.stroke();
      }
      ctx.globalAlpha = entity.stale ? .45 : 1;
      drawEntity(ctx, entity, entity.x, entity.y, color, timeMs);
      ctx.globalAlpha = 1;
      const full = state.types.get(entity.type)?.health;
      if (!entity.stale && entity.health !== null && full && (entity.health < full || this.selected.has(entity.id)) && entity.kind !== 'resource')
        drawHealth(ctx, entity.x, entity.y - (entity.kind === 'building' ? 34 : 21), Math.max(0, entity.health / full));
      if (entity.type === 'settlement' && this.camera.zoom > .4) this.#drawName(entity, color);
    }
  }

  #drawName(entity, color) {
    const name = this.state.empires.get(entity.owner);
    if (!name) return;
    const { ctx } = this;
    ctx.font = '600 13px "Palatino Linotype", Palatino, Georgia, serif';
    ctx.textAlign = 'center';
    ctx.lineWidth = 3;
    ctx.strokeStyle = 'rgba(8,10,14,.85)';
    ctx.strokeText(name, entity.x, entity.y + 34);
    ctx.fillStyle = color;
    ctx.fillText(name, entity.x, entity.y + 34);
  }

  #drawBox() {
    if (!this.box) return;
    const { x0, y0, x1, y1 } = this.box;
    this.ctx.strokeStyle = '#e8b84a';
    this.ctx.fillStyle = 'rgba(232,184,74,.12)';
    this.ctx.lineWidth = 1;
    this.ctx.fillRect(x0, y0, x1 - x0, y1 - y0);
    this.ctx.strokeRect(x0, y0, x1 - x0, y1 - y0);
  }

  /** The whole known world, small, with the view's frame. Returns the mapping for clicks. */
  drawMinimap(canvas) {
    const ctx = canvas.getContext('2d');
    ctx.fillStyle = '#07090d';
    ctx.fillRect(0, 0, canvas.width, canvas.height);
    let x0 = Infinity, y0 = Infinity, x1 = -Infinity, y1 = -Infinity;
    const points = [];
    for (const hex of this.state.hexes.values()) {
      const { x, y } = toPixel(hex.q, hex.r);
      points.push({ x, y, hex });
      x0 = Math.min(x0, x); x1 = Math.max(x1, x); y0 = Math.min(y0, y); y1 = Math.max(y1, y);
    }
    if (!points.length) return null;
    const scale = Math.min(canvas.width / (x1 - x0 + 4 * SIZE), canvas.height / (y1 - y0 + 4 * SIZE));
    const at = (x, y) => [(x - (x0 + x1) / 2) * scale + canvas.width / 2, (y - (y0 + y1) / 2) * scale + canvas.height / 2];
    const dot = Math.max(1.5, SIZE * 1.8 * scale);
    const colors = { forest: '#3e603e', hills: '#8a7a54', lake: '#345c80', water: '#345c80', dead: '#14161c', mountain: '#68625e' };
    for (const { x, y, hex } of points) {
      const [px, py] = at(x, y);
      ctx.globalAlpha = hex.state === VISIBLE ? 1 : .45;
      ctx.fillStyle = colors[hex.terrain] || '#748a4e';
      ctx.fillRect(px - dot / 2, py - dot / 2, dot, dot);
    }
    ctx.globalAlpha = 1;
    for (const entity of this.state.entities.values()) {
      if (entity.kind === 'resource') continue;
      const [px, py] = at(entity.x, entity.y);
      const size = entity.kind === 'building' ? 5 : 3;
      ctx.fillStyle = ownerColor(entity.owner, this.state.empireId);
      ctx.fillRect(px - size / 2, py - size / 2, size, size);
    }
    const a = this.toMap(0, 0), b = this.toMap(this.width, this.height);
    const [ax, ay] = at(a.x, a.y), [bx, by] = at(b.x, b.y);
    ctx.strokeStyle = 'rgba(255,243,207,.8)';
    ctx.strokeRect(ax, ay, bx - ax, by - ay);
    return { toMap: (px, py) => ({ x: (px - canvas.width / 2) / scale + (x0 + x1) / 2, y: (py - canvas.height / 2) / scale + (y0 + y1) / 2 }) };
  }
}
