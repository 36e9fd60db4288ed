const CLICK_PX = 6;          // less movement than this is a click
const DOUBLE_CLICK_MS = 320;
const PAN_PX_PER_MS = 0.7;

/**
 * Turns pointer, wheel and keys into: panning and zooming of the view, and calls of
 * actions.click(entity, hex, {shift, double}), actions.box(entities), actions.key(name).
 * Mouse, touch and pen alike.
 */
export class Input {
  constructor(view, actions) {
    this.view = view;
    this.actions = actions;
    this.pointers = new Map();
    this.keys = new Set();
    this.lastClick = { time: 0, x: 0, y: 0 };
    const canvas = view.canvas;
    canvas.addEventListener('pointerdown', e => this.#down(e));
    canvas.addEventListener('pointermove', e => this.#move(e));
    canvas.addEventListener('pointerup', e => this.#up(e));
    canvas.addEventListener('pointercancel', e => this.pointers.delete(e.pointerId));
    canvas.addEventListener('contextmenu', e => e.preventDefault());
    canvas.addEventListener('wheel', e => {
      e.preventDefault();
      view.zoomAt(e.clientX, e.clientY, Math.exp(-e.deltaY * 0.0014));
    }, { passive: false });
    window.addEventListener('keydown', e => this.#key(e, true));
    window.addEventListener('keyup', e => this.#key(e, false));
    window.addEventListener('blur', () => this.keys.clear());
  }

  #down(e) {
    this.view.canvas.focus({ preventScroll: true });
    this.view.canvas.setPointerCapture(e.pointerId);
    this.pointers.set(e.pointerId, { x: e.clientX, y: e.clientY, startX: e.clientX, startY: e.clientY, moved: false, box: e.shiftKey && e.button === 0 });
  }

  #move(e) {
    this.view.hover = this.view.hexAt(e.clientX, e.clientY);
    const pointer = this.pointers.get(e.pointerId);
    if (!pointer) return;
    const dx = e.clientX - pointer.x, dy = e.clientY - pointer.y;
    if (Math.hypot(e.clientX - pointer.startX, e.clientY - pointer.startY) > CLICK_PX) pointer.moved = true;
    if (this.pointers.size === 2) this.#pinch(e, pointer);
    else if (pointer.moved && pointer.box) this.view.box = { x0: pointer.startX, y0: pointer.startY, x1: e.clientX, y1: e.clientY };
    else if (pointer.moved) this.view.pan(dx, dy);
    pointer.x = e.clientX;
    pointer.y = e.clientY;
  }

  #pinch(e, pointer) {
    const other = [...this.pointers.values()].find(p => p !== pointer);
    const before = Math.hypot(pointer.x - other.x, pointer.y - other.y);
    const after = Math.hypot(e.clientX - other.x, e.clientY - other.y);
    this.view.pan((e.clientX - pointer.x) / 2, (e.clientY - pointer.y) / 2);
    if (before > 0) this.view.zoomAt((e.clientX + other.x) / 2, (e.clientY + other.y) / 2, after / before);
    pointer.moved = other.moved = true;
  }

  #up(e) {
    const pointer = this.pointers.get(e.pointerId);
    this.pointers.delete(e.pointerId);
    if (!pointer) return;
    if (this.view.box) {
      this.actions.box(this.view.entitiesInBox(this.view.box));
      this.view.box = null;
    } else if (!pointer.moved) {
      const last = this.lastClick;
      const double = e.timeStamp - last.time < DOUBLE_CLICK_MS && Math.hypot(e.clientX - last.x, e.clientY - last.y) < 2 * CLICK_PX;
      this.lastClick = { time: e.timeStamp, x: e.clientX, y: e.clientY };
      this.actions.click(this.view.entityAt(e.clientX, e.clientY), this.view.hexAt(e.clientX, e.clientY), { shift: e.shiftKey, order: e.button === 2, double });
    }
  }

  #key(e, isDown) {
    if (e.target instanceof HTMLInputElement) return;
    const name = e.key.toLowerCase();
    if (isDown) {
      if (!this.keys.has(name)) this.actions.key(name, e);
      this.keys.add(name);
    } else {
      this.keys.delete(name);
    }
  }

  /** Pans while movement keys are held; call once a frame. */
  step(deltaMs) {
    const held = (...names) => names.some(name => this.keys.has(name)) ? 1 : 0;
    const dx = held('a', 'arrowleft') - held('d', 'arrowright');
    const dy = held('w', 'arrowup') - held('s', 'arrowdown');
    if (dx || dy) this.view.pan(dx * deltaMs * PAN_PX_PER_MS, dy * deltaMs * PAN_PX_PER_MS);
  }
}
