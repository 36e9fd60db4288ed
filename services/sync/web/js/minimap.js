import { VISIBLE } from '../sdk/index.js';
import { SIZE, toPixel } from './grid.js';
import { ownerColor } from './sprites.js';
import { terrainColor } from './terrain.js';

/** The whole known world, small. A press or a drag on it moves the view. */
export class Minimap {
  #ground = document.createElement('canvas'); // the land alone, made again when more is known
  #dirty = true;
  #frame = null;                              // {scale, x, y}: the map point in the middle

  constructor(canvas, view) {
    this.canvas = canvas;
    this.view = view;
    this.state = view.state;
    this.state.on('change', ({ what }) => { if (what === 'hexes' || what === 'reset') this.#dirty = true; });
    canvas.addEventListener('pointerdown', event => {
      canvas.setPointerCapture(event.pointerId);
      this.#look(event);
    });
    canvas.addEventListener('pointermove', event => { if (event.buttons & 1) this.#look(event); });
  }

  #look(event) {
    if (!this.#frame) return;
    const box = this.canvas.getBoundingClientRect();
    const x = (event.clientX - box.left) / box.width - .5, y = (event.clientY - box.top) / box.height - .5;
    this.view.camera.x = x * this.canvas.width / this.#frame.scale + this.#frame.x;
    this.view.camera.y = y * this.canvas.height / this.#frame.scale + this.#frame.y;
  }

  #at(x, y) {
    const { scale, x: cx, y: cy } = this.#frame;
    return [(x - cx) * scale + this.canvas.width / 2, (y - cy) * scale + this.canvas.height / 2];
  }

  #drawGround() {
    const { canvas } = this;
    let x0 = Infinity, y0 = Infinity, x1 = -Infinity, y1 = -Infinity;
    for (const { q, r } of this.state.hexes.values()) {
      const { x, y } = toPixel(q, r);
      x0 = Math.min(x0, x); x1 = Math.max(x1, x); y0 = Math.min(y0, y); y1 = Math.max(y1, y);
    }
    const scale = Math.min(canvas.width / (x1 - x0 + 4 * SIZE), canvas.height / (y1 - y0 + 4 * SIZE));
    this.#frame = { scale, x: (x0 + x1) / 2, y: (y0 + y1) / 2 };
    this.#ground.width = canvas.width;
    this.#ground.height = canvas.height;
    const ctx = this.#ground.getContext('2d');
    const dot = Math.max(1.5, SIZE * 1.85 * scale);
    for (const known of this.state.hexes.values()) {
      const { x, y } = toPixel(known.q, known.r);
      const [px, py] = this.#at(x, y);
      ctx.globalAlpha = known.state === VISIBLE ? 1 : .5;
      ctx.fillStyle = terrainColor(known.terrain);
      ctx.fillRect(px - dot / 2, py - dot / 2, dot, dot);
    }
    this.#dirty = false;
  }

  draw() {
    if (!this.state.hexes.size) return;
    if (this.#dirty) this.#drawGround();
    const { canvas, view } = this;
    const ctx = canvas.getContext('2d');
    ctx.fillStyle = '#07090d';
    ctx.fillRect(0, 0, canvas.width, canvas.height);
    ctx.drawImage(this.#ground, 0, 0);
    for (const entity of this.state.entities.values()) {
      if (entity.kind === 'resource') continue;
      const [px, py] = this.#at(entity.x * SIZE, entity.y * SIZE);
      const size = entity.kind === 'building' ? 10 : 6;
      ctx.fillStyle = 'rgba(7,9,13,.8)';
      ctx.fillRect(px - size / 2 - 1, py - size / 2 - 1, size + 2, size + 2);
      ctx.fillStyle = ownerColor(entity.owner, this.state.empireId);
      ctx.fillRect(px - size / 2, py - size / 2, size, size);
    }
    const a = view.toMap(0, 0), b = view.toMap(view.width, view.height);
    const [ax, ay] = this.#at(a.x, a.y), [bx, by] = this.#at(b.x, b.y);
    ctx.strokeStyle = 'rgba(255,243,207,.85)';
    ctx.lineWidth = 2;
    ctx.strokeRect(ax, ay, bx - ax, by - ay);
  }
}
