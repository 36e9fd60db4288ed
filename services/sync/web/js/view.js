import { Fog, SHROUD_COLOR } from './fog.js';
import { SIZE, fromPixel, toPixel, trace } from './grid.js';
import { Land } from './land.js';
import { drawEntity, drawHealth, drawScaffold, drawToken, ownerColor } from './sprites.js';
import { VISIBLE } from '../sdk/index.js';

const ZOOM_MIN = 0.16, ZOOM_MAX = 2.2;
const TOKEN_ZOOM = 0.5;     // below, units and buildings are drawn as tokens
const CLUSTER_ZOOM = 0.34;  // below, neighbouring tokens of one kind are one with a number
const CLUSTER_PX = 22;
const NAME_ZOOM = 0.26;
const STRIKE_MS = 220;
const STRIKES_MAX = 200;       // more at once are not told apart anyway
const MARKER_MS = 650;
const FONT = '"Palatino Linotype", Palatino, "URW Palladio L", Georgia, serif';

/** The map on a canvas: camera, land, fog, entities. */
export class MapView {
  constructor(canvas, state) {
    this.canvas = canvas;
    this.ctx = canvas.getContext('2d', { alpha: false });
    this.state = state;
    this.camera = { x: 0, y: 0, zoom: 1 };
    this.selected = new Set();
    this.hover = null;        // hex under the pointer
    this.box = null;          // {x0, y0, x1, y1} in screen px while a box is drawn
    this.placing = null;      // type of building that a click would begin under the pointer
    this.markers = [];        // {q, r, color, ms} orders just given
    this.strikes = [];        // {from, to, ms} ids of who struck whom just now
    new ResizeObserver(() => this.#resize()).observe(canvas);
    this.#resize();
    this.land = new Land(state, this.ratio);
    this.fog = new Fog(state);
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
      const d = Math.hypot(entity.x * SIZE - x, entity.y * SIZE - y);
      const limit = entity.kind === 'building' ? Math.max(SIZE * .9, reach) : reach;
      const score = d + (entity.kind === 'unit' ? 0 : entity.kind === 'building' ? 12 : 40);
      if (d <= limit && score < bestScore) { best = entity; bestScore = score; }
    }
    return best;
  }

  #between(a, b, margin = 0) {
    const x0 = (a.x - margin) / SIZE, y0 = (a.y - margin) / SIZE, x1 = (b.x + margin) / SIZE, y1 = (b.y + margin) / SIZE;
    const found = [];
    for (const e of this.state.entities.values())
      if (e.x >= x0 && e.x <= x1 && e.y >= y0 && e.y <= y1) found.push(e);
    return found;
  }

  entitiesInBox({ x0, y0, x1, y1 }) {
    return this.#between(this.toMap(Math.min(x0, x1), Math.min(y0, y1)), this.toMap(Math.max(x0, x1), Math.max(y0, y1)));
  }

  mark([q, r], color = '232,184,74') {
    this.markers.push({ q, r, color, ms: performance.now() });
  }

  strike(from, to) {
    if (this.strikes.length < STRIKES_MAX) this.strikes.push({ from, to, ms: performance.now() });
  }

  #screenSpace() {
    this.ctx.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
  }

  #mapSpace() {
    const { x, y, zoom } = this.camera;
    const s = this.ratio * zoom;
    this.ctx.setTransform(s, 0, 0, s, this.ratio * (this.width / 2 - x * zoom), this.ratio * (this.height / 2 - y * zoom));
  }

  draw(timeMs) {
    const { ctx, camera } = this;
    this.#screenSpace();
    ctx.fillStyle = SHROUD_COLOR;
    ctx.fillRect(0, 0, this.width, this.height);
    this.#mapSpace();
    const a = this.toMap(0, 0), b = this.toMap(this.width, this.height);
    const inView = this.#between(a, b, 60);
    this.land.draw(ctx, a, b, camera.zoom);
    // What lies about belongs to the land: fog dims it too.
    if (camera.zoom >= TOKEN_ZOOM)
      for (const e of inView) if (e.kind === 'resource') this.#drawOne(e, timeMs);
    this.fog.draw(ctx, a, b);
    this.#drawHover();
    this.#drawOrders(timeMs);
    if (camera.zoom >= TOKEN_ZOOM) this.#drawEntities(inView, timeMs);
    else this.#drawTokens(inView);
    if (camera.zoom >= TOKEN_ZOOM) this.#drawStrikes();
    this.#screenSpace();
    this.#drawNames(inView);
    this.#drawBox();
  }

  #drawHover() {
    if (!this.hover || !this.state.hexAt(this.hover)) return;
    const { ctx } = this;
    const { x, y } = toPixel(...this.hover);
    ctx.strokeStyle = 'rgba(255,244,214,.55)';
    ctx.lineWidth = 1.6;
    ctx.beginPath();
    trace(ctx, x, y, .96);
    ctx.stroke();
    if (!this.placing) return;
    const [q, r] = this.hover;
    const free = this.state.hexAt(this.hover).state === VISIBLE && !this.#between({ x: x - 2, y: y - 2 }, { x: x + 2, y: y + 2 }).some(e => e.kind !== 'unit');
    ctx.fillStyle = free ? 'rgba(120,200,120,.3)' : 'rgba(229,96,77,.35)';
    ctx.fill();
    ctx.globalAlpha = .6;
    drawEntity(ctx, { id: `${q},${r}`, type: this.placing, kind: 'building', data: {} }, x, y, ownerColor(this.state.empireId, this.state.empireId), 0,
      this.ratio * this.camera.zoom > 1.1 ? 2 : 1);
    ctx.globalAlpha = 1;
  }

  #drawOrders(timeMs) {
    const { ctx, state } = this;
    const thin = Math.max(1, 1 / this.camera.zoom);
    ctx.setLineDash([6 * thin, 6 * thin]);
    ctx.lineDashOffset = -timeMs / 60 % (12 * thin);
    ctx.lineWidth = 1.8 * thin;
    ctx.strokeStyle = ctx.fillStyle = 'rgba(255,236,186,.75)';
    for (const id of this.selected) {
      const entity = state.entities.get(id);
      const target = entity?.data.target;
      if (!target || (entity.data.activity !== 'moving' && entity.kind !== 'building')) continue;
      const to = toPixel(target[0], target[1]);
      ctx.beginPath();
      ctx.moveTo(entity.x * SIZE, entity.y * SIZE);
      ctx.lineTo(to.x, to.y);
      ctx.stroke();
      ctx.beginPath();
      ctx.arc(to.x, to.y, 4 * thin, 0, 7);
      ctx.fill();
    }
    ctx.setLineDash([]);
    const now = performance.now();
    this.markers = this.markers.filter(marker => now - marker.ms < MARKER_MS);
    for (const { q, r, color, ms } of this.markers) {
      const age = (now - ms) / MARKER_MS;
      const { x, y } = toPixel(q, r);
      ctx.strokeStyle = `rgba(${color},${1 - age})`;
      ctx.lineWidth = 3 * thin;
      ctx.beginPath();
      trace(ctx, x, y, .35 + age * .65);
      ctx.stroke();
    }
  }

  #drawStrikes() {
    const { ctx, state } = this;
    const now = performance.now();
    this.strikes = this.strikes.filter(strike => now - strike.ms < STRIKE_MS);
    ctx.lineWidth = Math.max(2, 2 / this.camera.zoom);
    for (const { from, to, ms } of this.strikes) {
      const a = state.entities.get(from), b = state.entities.get(to);
      if (!a || !b) continue;
      const age = (now - ms) / STRIKE_MS;
      const along = t => [(a.x + (b.x - a.x) * t) * SIZE, (a.y + (b.y - a.y) * t) * SIZE - 8];
      ctx.strokeStyle = `rgba(255,244,214,${1 - age})`;
      ctx.beginPath();
      ctx.moveTo(...along(age * .8));
      ctx.lineTo(...along(Math.min(1, age * .8 + .35)));
      ctx.stroke();
    }
  }

  #drawOne(entity, timeMs) {
    const { ctx } = this;
    const { progress = 1000 } = entity.data;
    ctx.globalAlpha = entity.stale ? .5 : progress < 1000 ? .3 + .6 * progress / 1000 : 1;
    drawEntity(ctx, entity, entity.x * SIZE, entity.y * SIZE, ownerColor(entity.owner, this.state.empireId), timeMs,
      this.ratio * this.camera.zoom > 1.1 ? 2 : 1);
    ctx.globalAlpha = 1;
  }

  #drawEntities(inView, timeMs) {
    const { ctx, state } = this;
    const layer = e => (e.kind === 'building' ? 0 : 1);
    const shown = inView.filter(e => e.kind !== 'resource').sort((p, o) => layer(p) - layer(o) || p.y - o.y);
    for (const entity of shown) {
      const x = entity.x * SIZE, y = entity.y * SIZE;
      if (this.selected.has(entity.id)) this.#drawRing(entity, x, y);
      this.#drawOne(entity, timeMs);
      const full = state.types.get(entity.type)?.health;
      if (entity.stale || entity.health === null || !full) continue;
      const { progress = 1000 } = entity.data;
      if (progress < 1000) drawScaffold(ctx, x, y, progress / 1000);
      if (entity.health < full || this.selected.has(entity.id))
        drawHealth(ctx, x, y - (entity.kind === 'building' ? 42 : 24), Math.max(0, entity.health / full));
    }
    for (const id of this.selected) {
      const entity = state.entities.get(id);
      if (entity?.kind === 'resource') this.#drawRing(entity, entity.x * SIZE, entity.y * SIZE);
    }
  }

  #drawRing(entity, x, y) {
    const { ctx } = this;
    ctx.strokeStyle = '#fff3cf';
    ctx.fillStyle = 'rgba(255,243,207,.16)';
    ctx.lineWidth = 2.2;
    ctx.beginPath();
    if (entity.kind === 'unit') ctx.ellipse(x, y + 10, 19, 10.5, 0, 0, 7);
    else trace(ctx, x, y, .95);
    ctx.fill();
    ctx.stroke();
  }

  /** From afar: tokens of one size on the screen; from very far, one for those that stand together. */
  #drawTokens(inView) {
    const { ctx, state, camera } = this;
    this.#screenSpace();
    const clusters = new Map();
    for (const entity of inView) {
      if (entity.kind === 'resource') continue;
      const at = this.toScreen(entity.x * SIZE, entity.y * SIZE);
      let name = entity.id;
      if (camera.zoom < CLUSTER_ZOOM && entity.kind === 'unit') {
        // A grid that is fixed to the map, so that panning does not regroup them.
        const cell = CLUSTER_PX / camera.zoom / SIZE;
        name = `${Math.floor(entity.x / cell)},${Math.floor(entity.y / cell)},${entity.owner},${entity.type},${entity.stale}`;
      }
      const cluster = clusters.get(name) ?? { entity, x: 0, y: 0, count: 0, isSelected: false };
      cluster.x += at.x;
      cluster.y += at.y;
      cluster.count++;
      cluster.isSelected ||= this.selected.has(entity.id);
      clusters.set(name, cluster);
    }
    const sorted = [...clusters.values()].sort((p, o) => (p.entity.kind === 'building' ? 0 : 1) - (o.entity.kind === 'building' ? 0 : 1));
    for (const { entity, x, y, count, isSelected } of sorted)
      drawToken(ctx, entity, x / count, y / count, ownerColor(entity.owner, state.empireId), isSelected, count);
  }

  #drawNames(inView) {
    const { ctx, state, camera } = this;
    if (camera.zoom < NAME_ZOOM) return;
    ctx.font = `600 ${camera.zoom > 0.8 ? 14 : 12}px ${FONT}`;
    ctx.textAlign = 'center';
    ctx.lineJoin = 'round';
    for (const entity of inView) {
      const name = entity.type === 'settlement' && state.empires.get(entity.owner);
      if (!name) continue;
      const { x, y } = this.toScreen(entity.x * SIZE, entity.y * SIZE);
      const below = camera.zoom >= TOKEN_ZOOM ? 30 * camera.zoom + 5 : -15;
      ctx.globalAlpha = entity.stale ? .7 : 1;
      ctx.lineWidth = 3.5;
      ctx.strokeStyle = 'rgba(8,10,14,.85)';
      ctx.strokeText(name, x, y + below);
      ctx.fillStyle = ownerColor(entity.owner, state.empireId);
      ctx.fillText(name, x, y + below);
    }
    ctx.globalAlpha = 1;
  }

  #drawBox() {
    if (!this.box) return;
    const { x0, y0, x1, y1 } = this.box;
    this.ctx.strokeStyle = '#e8b84a';
    this.ctx.fillStyle = 'rgba(232,184,74,.14)';
    this.ctx.lineWidth = 1.5;
    this.ctx.fillRect(x0, y0, x1 - x0, y1 - y0);
    this.ctx.strokeRect(x0, y0, x1 - x0, y1 - y0);
  }
}
