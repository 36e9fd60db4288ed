const BACKOFF_MS = [200, 500, 1000, 2000, 4000];
const PING_MS = 2000;
const COMMAND_TIMEOUT_MS = 10000;

/** An error that the server has a code for. */
export class GameError extends Error {
  constructor(code, message) {
    super(message || code);
    this.code = code;
  }
}

/** Close codes after which trying again is of no use. */
const FINAL_CLOSE = new Set([4401, 4403, 4404, 4409, 1000]);

/**
 * The connection to the sync service: connects, reconnects with back-off, sends again what was not
 * acknowledged. Events: 'message' (detail: the parsed message), 'state' ('connecting', 'online',
 * 'offline'), 'latency' (ms), 'refused' (GameError; it stays closed).
 */
export class Connection extends EventTarget {
  #socket = null;
  #attempt = 0;
  #nextSeq = 1;
  #pending = new Map(); // seq -> {text, resolve, reject, timer}
  #pingTimer = null;
  #retryTimer = null;
  #lastError = null;
  #closed = false;

  constructor(url, token) {
    super();
    this.url = url;
    this.token = token;
    this.lastTick = 0;
  }

  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  connect() {
    this.#emit('state', 'connecting');
    const url = this.lastTick ? `${this.url}?last_tick=${this.lastTick}` : this.url;
    const socket = new WebSocket(url, ['access_token', this.token]);
    this.#socket = socket;
    this.#lastError = null;
    socket.onmessage = event => this.#onMessage(JSON.parse(event.data));
    socket.onclose = event => this.#onClose(event);
  }

  close() {
    this.#closed = true;
    clearTimeout(this.#retryTimer);
    clearInterval(this.#pingTimer);
    this.#socket?.close(1000);
  }

  #onMessage(message) {
    switch (message.type) {
      case 'welcome':
        this.#attempt = 0;
        this.#nextSeq = Math.max(this.#nextSeq, message.payload.next_seq);
        this.#emit('state', 'online');
        this.#startPings();
        break;
      case 'update':
        this.lastTick = message.tick;
        break;
      case 'pong':
        this.#emit('latency', Date.now() - message.payload.timestamp);
        break;
      case 'ack':
        this.#settle(message.payload.seq, pending => pending.resolve(message.payload));
        break;
      case 'error':
        this.#lastError = new GameError(message.payload.code, message.payload.message);
        if (message.payload.seq !== undefined)
          this.#settle(message.payload.seq, pending => pending.reject(this.#lastError));
        break;
    }
    this.#emit('message', message);
    // After the state was rebuilt, what is not acknowledged is sent again under its old number.
    if (message.type === 'welcome') for (const { text } of this.#pending.values()) this.#socket.send(text);
  }

  #onClose(event) {
    clearInterval(this.#pingTimer);
    if (this.#closed) return;
    this.#emit('state', 'offline');
    if (FINAL_CLOSE.has(event.code)) {
      const error = this.#lastError || new GameError(event.reason || 'closed', event.reason);
      for (const seq of [...this.#pending.keys()]) this.#settle(seq, pending => pending.reject(error));
      this.#emit('refused', error);
      return;
    }
    const wait = event.code === 1012 ? 100 : BACKOFF_MS[Math.min(this.#attempt++, BACKOFF_MS.length - 1)];
    this.#retryTimer = setTimeout(() => this.connect(), wait * (0.75 + Math.random() / 2));
  }

  #startPings() {
    clearInterval(this.#pingTimer);
    const ping = () => this.send({ type: 'ping', payload: { timestamp: Date.now() } });
    this.#pingTimer = setInterval(ping, PING_MS);
    ping();
  }

  #settle(seq, action) {
    const pending = this.#pending.get(seq);
    if (!pending) return;
    this.#pending.delete(seq);
    clearTimeout(pending.timer);
    action(pending);
  }

  /** Sends a message if connected; false otherwise. */
  send(message) {
    if (this.#socket?.readyState !== WebSocket.OPEN) return false;
    this.#socket.send(JSON.stringify(message));
    return true;
  }

  /** A command; resolves with the acknowledgement, rejects with a GameError. Survives reconnects. */
  command(command, fields) {
    const seq = this.#nextSeq++;
    const text = JSON.stringify({ type: 'command', payload: { seq, command, ...fields } });
    return new Promise((resolve, reject) => {
      const timer = setTimeout(
        () => this.#settle(seq, pending => pending.reject(new GameError('timeout', 'The server did not answer.'))),
        COMMAND_TIMEOUT_MS);
      this.#pending.set(seq, { text, resolve, reject, timer });
      if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(text);
    });
  }

  chat(text) {
    return this.send({ type: 'chat', payload: { message: text } });
  }
}
