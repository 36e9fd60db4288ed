/** Events without the browser's EventTarget, which Node 18 has only in part. */
export class Emitter {
  #listeners = new Map(); // type -> Set of functions

  /**
   * Calls the listener with every event of the type.
   * @returns {() => void} takes the listener off again
   */
  on(type, listener) {
    let set = this.#listeners.get(type);
    if (!set) this.#listeners.set(type, set = new Set());
    set.add(listener);
    return () => this.off(type, listener);
  }

  /** As `on`, for one event only. */
  once(type, listener) {
    const off = this.on(type, detail => {
      off();
      listener(detail);
    });
    return off;
  }

  off(type, listener) {
    this.#listeners.get(type)?.delete(listener);
  }

  /** A listener that throws is reported as an uncaught error and keeps the event from nobody. */
  emit(type, detail) {
    for (const listener of [...this.#listeners.get(type) ?? []]) {
      try {
        listener(detail);
      } catch (error) {
        queueMicrotask(() => { throw error; });
      }
    }
  }
}
