const CLICK_PX = 6;          // less movement than this is a click
const DOUBLE_CLICK_MS = 320;
const LONG_PRESS_MS = 380;
const PAN_PX_PER_MS = 0.7;
const KEY_ZOOM_PER_MS = 0.0016;

/**
 * Turns pointer, wheel and keys into: panning and zooming of the view, and calls of
 * actions.click(entity, hex, {shift, order, double}), actions.box(entities, {shift}), actions.key(name, event).
 * Mouse, touch and pen alike. A box is drawn with shift held, after a long press, or while `boxMode` is on.
 */
export class Input {
  constructor(view, actions) {
    this.view = view;
    this.actions = actions;
    this.boxMode = false;
    this.pointers = new Map();
    this.keys = new Map(); // that are held: by where they are, for what they say may change with Shift
    this.goesByTab = false; // from button to button; who clicks one, and then Enter, wants the chat
    this.lastClick = { time: 0, x: 0, y: 0 };
    const canvas = view.canvas;
    canvas.addEventListener('pointerdown', e => this.#down(e));
    canvas.addEventListener('pointermove', e => this.#move(e));
    canvas.addEventListener('pointerup', e => this.#up(e));
    canvas.addEventListener('pointercancel', e => {
      this.#drop(e.pointerId);
      view.box = null;
    });
    canvas.addEventListener('pointerleave', () => { view.hover = null; });
    canvas.addEventListener('contextmenu', e => e.preventDefault());
    canvas.addEventListener('wheel', e => {
      e.preventDefault();
      view.zoomAt(e.clientX, e.clientY, Math.exp(-e.deltaY * 0.0014));
    }, { passive: false });
    window.addEventListener('keydown', e => this.#key(e, true));
    window.addEventListener('keyup', e => this.#key(e, false));
    window.addEventListener('blur', () => this.keys.clear());
    window.addEventListener('pointerdown', () => { this.goesByTab = false; }, true);
  }

  #down(e) {
    this.view.canvas.focus({ preventScroll: true });
    this.view.canvas.setPointerCapture(e.pointerId);
    const pointer = {
      x: e.clientX, y: e.clientY, startX: e.clientX, startY: e.clientY,
      moved: false, box: e.button === 0 && (e.shiftKey || this.boxMode), timer: null,
    };
    this.pointers.set(e.pointerId, pointer);
    if (e.pointerType !== 'mouse' && this.pointers.size === 1)
      pointer.timer = setTimeout(() => this.#longPress(pointer), LONG_PRESS_MS);
    if (this.pointers.size > 1) {
      for (const other of this.pointers.values()) {
        clearTimeout(other.timer);
        other.box = false;
      }
      this.view.box = null;
    }
  }

  #longPress(pointer) {
    if (pointer.moved || this.pointers.size !== 1) return;
    pointer.box = true;
    navigator.vibrate?.(15);
    this.view.box = { x0: pointer.x - 12, y0: pointer.y - 12, x1: pointer.x + 12, y1: pointer.y + 12 };
  }

  #move(e) {
    if (e.pointerType === 'mouse') this.view.hover = this.view.hexAt(e.clientX, e.clientY);
    const pointer = this.pointers.get(e.pointerId);
    if (!pointer) return;
    const dx = e.clientX - pointer.x, dy = e.clientY - pointer.y;
    if (Math.hypot(e.clientX - pointer.startX, e.clientY - pointer.startY) > CLICK_PX) {
      pointer.moved = true;
      clearTimeout(pointer.timer);
    }
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

  #drop(id) {
    const pointer = this.pointers.get(id);
    clearTimeout(pointer?.timer);
    this.pointers.delete(id);
    return pointer;
  }

  #up(e) {
    const pointer = this.#drop(e.pointerId);
    if (!pointer) return;
    const { box } = this.view;
    this.view.box = null;
    if (box) {
      if (pointer.moved) this.actions.box(this.view.entitiesInBox(box), { shift: e.shiftKey });
    } else if (!pointer.moved) {
      const last = this.lastClick;
      const double = e.timeStamp - last.time < DOUBLE_CLICK_MS && Math.hypot(e.clientX - last.x, e.clientY - last.y) < 2 * CLICK_PX;
      this.lastClick = { time: e.timeStamp, x: e.clientX, y: e.clientY };
      this.actions.click(this.view.entityAt(e.clientX, e.clientY), this.view.hexAt(e.clientX, e.clientY), { shift: e.shiftKey, order: e.button === 2, double });
    }
  }

  #key(e, isDown) {
    const place = e.code || e.key;
    if (!isDown) { // wherever it is let go
      this.keys.delete(place);
      return;
    }
    if (e.key === 'Tab') this.goesByTab = true;
    if (e.target.matches?.('input, textarea, select')) {
      if (e.key === 'Escape') e.target.blur();
      return;
    }
    if (e.ctrlKey || e.metaKey || e.altKey) return;
    if (e.key === 'Enter' && this.goesByTab && e.target.matches?.('button')) return; // which presses it
    const name = e.key.toLowerCase(), isHeld = this.keys.has(place);
    this.keys.set(place, name);
    if (!isHeld) this.actions.key(name, e);
  }

  /** Pans and zooms while keys are held; call once a frame. */
  step(deltaMs) {
    const keys = [...this.keys.values()];
    const held = (...names) => names.some(name => keys.includes(name)) ? 1 : 0;
    const dx = held('a', 'arrowleft') - held('d', 'arrowright');
    const dy = held('w', 'arrowup') - held('s', 'arrowdown');
    if (dx || dy) this.view.pan(dx * deltaMs * PAN_PX_PER_MS, dy * deltaMs * PAN_PX_PER_MS);
    const zoom = held('+', '=', 'e') - held('-', 'q');
    if (zoom) this.view.zoomAt(this.view.width / 2, this.view.height / 2, Math.exp(zoom * deltaMs * KEY_ZOOM_PER_MS));
  }
}
