import { BINARY_PROTOCOL, BinaryDecoder, encodeMessage } from './binary.js';
import { Emitter } from './emitter.js';
import { GameError } from './errors.js';

const BACKOFF_MS = [200, 500, 1000, 2000, 4000];
const RESTART_MS = 100;      // the server said that it restarts
const PING_MS = 2000;
const SILENCE_MS = 10000;    // pings are answered: so much silence means that the line is dead
const WELCOME_MS = 20000;    // from connecting to the welcome; the server itself gives up after 15 s
const COMMAND_TIMEOUT_MS = 15000;
const PENDING_MAX = 256;
const MESSAGE_BYTES_MAX = 4096; // the server ends a connection that sends a longer one
/** In a row, with `retry_after_ms`: whatever held the player is gone by then, or it lives. The own connection, if the
 *  line broke without a word, may live on for the server until it misses the pings. */
const HELD_TRIES = 3, HELD_TRIES_LOST = 15;
const OPEN = 1;              // WebSocket.OPEN; an injected constructor need not have the constant
const RESTARTS = 1012;
const LOST = 1006;

/** Close codes after which trying again is of no use: left, sent away by an operator, refused, replaced. */
export const FINAL_CLOSE_CODES = new Set([1000, 1008, 4401, 4403, 4404, 4409]);

/** An update that goes before others of its tick, and after which its tick is not told yet. */
export const saysOnlyNames = update => Boolean(update.empires) && Object.keys(update).length === 3;

/** What is offered to the server for an encoding, before the token. */
const PROTOCOLS = new Map([['binary', [BINARY_PROTOCOL]], ['json', []]]);

/** A message in the encoding that the server selected; throws a GameError if it would not be taken. */
function encode(socket, message) {
  const bytes = socket.protocol === BINARY_PROTOCOL ? encodeMessage(message) : null;
  const data = bytes ?? JSON.stringify(message);
  if ((bytes ?? new TextEncoder().encode(data)).length > MESSAGE_BYTES_MAX)
    throw new GameError('too_large', `A message has at most ${MESSAGE_BYTES_MAX} bytes.`);
  return data;
}

/**
 * The connection to the sync service: connects, reconnects with back-off and the last tick, sends
 * again what was not acknowledged. A command keeps its sequence number through every reconnect, so
 * the server carries it out once however often it arrives.
 *
 * Emits 'message' (every parsed message), 'state' ('connecting', 'online', 'offline', 'closed'), 'retry'
 * ({attempt, delayMs, error}: why, if the server said so), 'latency' (ms), 'refused' (GameError; it stays closed).
 */
export class Connection extends Emitter {
  #options;
  #socket = null;
  #attempt = 0;
  #held = 0;            // refusals in a row that said when to try again
  #lost = false;        // it was online before, and did not leave
  #nextSeq = 1;
  #unsent = [];         // commands that never left, without a number yet
  #pending = new Map(); // seq -> command that was sent and is not answered
  #pingTimer = null;
  #retryTimer = null;
  #welcomeTimer = null;
  #heardMs = 0;
  #lastError = null;
  #closed = true;
  #opening = 0;         // counts the attempts: one that was given up while it waited for its token goes no further
  #online = false;
  #decoder = null;      // of binary messages: of this connection, and those that it resumed
  #resume = null;       // the token for going on where this connection stops
  #settledTick;
  #whole = false;       // everything was told: not while a full state is coming in

  /**
   * @param {object} options
   * @param {string} options.url       ws:// or wss:// address of the game's /ws
   * @param {string | (() => string | Promise<string>)} options.token  the login server's token, or
   *   what gets one: asked before every connection, so that a long game outlives a short token
   * @param {string} [options.session] the session to play in
   * @param {'binary' | 'json'} [options.encoding] what to ask the server for; messages look the same, their bytes
   *   do not. A server that knows no other speaks JSON
   * @param {Function} [options.WebSocket] the constructor, where the platform has none of its own
   * @param {number} [options.commandTimeoutMs] after which a command is given up
   * @param {number[]} [options.backoffMs] waits between attempts; the last one is repeated
   * @param {() => number} [options.random] in [0, 1): spreads the waits of many clients
   */
  constructor(options) {
    super();
    this.#options = {
      WebSocket: globalThis.WebSocket,
      commandTimeoutMs: COMMAND_TIMEOUT_MS,
      backoffMs: BACKOFF_MS,
      random: Math.random,
      encoding: 'binary',
      ...options,
    };
    if (!PROTOCOLS.has(this.#options.encoding)) throw new TypeError(`no such encoding: ${this.#options.encoding}`);
    if (typeof this.#options.WebSocket !== 'function')
      throw new TypeError('this platform has no WebSocket: pass one as options.WebSocket');
    new URL(this.#options.url); // throws a TypeError if it is none
    this.lastTick = 0;    // everything was told up to it, but for what was deferred
    this.#settledTick = 0; // everything was told up to it
    this.state = 'closed';
  }

  #setState(state) {
    if (state === this.state) return;
    this.state = state;
    this.emit('state', state);
  }

  /** Opens the connection and keeps it open until `close` or a refusal. */
  connect() {
    if (!this.#closed) return;
    this.#closed = false;
    this.#attempt = this.#held = 0;
    this.#lost = false;
    this.#open();
  }

  /** Tries again at once if it waits for the next attempt; for 'the network is back' events. */
  retryNow() {
    if (this.#retryTimer === null) return;
    clearTimeout(this.#retryTimer);
    this.#attempt = 0;
    this.#open();
  }

  async #open() {
    this.#retryTimer = null;
    this.#lastError = null;
    this.#setState('connecting');
    const { token, WebSocket } = this.#options;
    const attempt = ++this.#opening;
    let jwt;
    try {
      jwt = typeof token === 'function' ? await token() : token;
    } catch (error) {
      if (attempt !== this.#opening) return;
      if (error instanceof GameError) this.#refuse(error);
      else this.#retry(LOST, new GameError('no_token', error?.message));
      return;
    }
    if (attempt !== this.#opening) return;
    if (!jwt) {
      this.#refuse(new GameError('missing_token', 'There is no token to enter with.'));
      return;
    }
    const protocols = PROTOCOLS.get(this.#options.encoding);
    let socket;
    try {
      socket = new WebSocket(this.#address(), [...protocols, 'access_token', jwt]);
    } catch (error) { // no address for a WebSocket, or not from this page, or what no token can be: and so it stays
      this.#refuse(new GameError('cannot_connect', error.message));
      return;
    }
    socket.binaryType = 'arraybuffer';
    this.#socket = socket;
    this.#decoder ??= new BinaryDecoder();
    // A socket that was given up may still speak.
    const ours = handler => event => { if (this.#socket === socket) handler(event); };
    socket.onmessage = ours(event => this.#onData(event.data));
    socket.onclose = ours(event => this.#onClose(event.code, event.reason));
    socket.onerror = () => {}; // the close that follows says all there is to know
    this.#welcomeTimer = setTimeout(() => this.#giveUp(), WELCOME_MS);
  }

  #address() {
    const url = new URL(this.#options.url);
    if (this.#options.session) url.searchParams.set('session', this.#options.session);
    if (this.lastTick) url.searchParams.set('last_tick', this.lastTick);
    if (this.lastTick && this.#resume && this.#whole) {
      url.searchParams.set('resume', this.#resume);
      if (this.#settledTick !== this.lastTick) url.searchParams.set('settled_tick', this.#settledTick);
    }
    return url.href;
  }

  /** Closes for good. Commands without an answer fail with `closed`. */
  close() {
    if (this.#closed) return;
    const socket = this.#stop();
    try {
      if (socket?.readyState === OPEN) socket.send(encode(socket, { type: 'leave' }));
    } finally {
      socket?.close(1000);
    }
    this.#failAll(new GameError('closed', 'The connection was closed.'));
    this.#setState('closed');
  }

  /** Ends all activity; gives the socket, which is no longer listened to. */
  #stop() {
    this.#closed = true;
    this.#opening++;
    clearTimeout(this.#retryTimer);
    this.#retryTimer = null;
    return this.#detach();
  }

  #detach() {
    clearTimeout(this.#welcomeTimer);
    clearInterval(this.#pingTimer);
    const socket = this.#socket;
    this.#socket = null;
    this.#online = false;
    return socket;
  }

  #onData(data) {
    this.#heardMs = Date.now();
    let message;
    try {
      message = typeof data === 'string' ? JSON.parse(data) : this.#decoder.decode(data);
    } catch {
      this.#resume = null;
      this.#decoder = null;
      this.#giveUp(); // what follows could not be understood either
      return;
    }
    switch (message.type) {
      case 'map': this.#decoder.onMap(message); break;
      case 'welcome': this.#onWelcome(message.payload); break;
      case 'explored_hexes': this.#whole &&= !message.reset; break;
      case 'update': this.#onUpdate(message); break;
      case 'going_away': this.#resume = message.payload.resume ?? this.#resume; break;
      case 'pong': this.emit('latency', Date.now() - message.payload.timestamp); break;
      case 'ack': this.#settle(message.payload.seq, command => command.resolve(message.payload)); break;
      case 'error': this.#onError(message.payload); break;
    }
    this.emit('message', message);
  }

  /** One of nothing but names goes before something else of its tick. */
  #onUpdate(update) {
    this.#whole ||= update.full === true;
    if (saysOnlyNames(update) || update.tick < this.lastTick) return;
    this.lastTick = update.tick;
    if (!update.deferred) this.#settledTick = update.tick;
  }

  #onWelcome({ next_seq: nextSeq, resume = null, resumed = false }) {
    this.#resume = resume;
    if (!resumed) {
      this.#decoder = new BinaryDecoder();
      this.#whole = false; // what was known does not count any more
    }
    clearTimeout(this.#welcomeTimer);
    clearInterval(this.#pingTimer);
    this.#attempt = this.#held = 0;
    this.#lost = true;
    this.#nextSeq = Math.max(this.#nextSeq, nextSeq);
    this.#online = true;
    const ping = () => {
      if (Date.now() - this.#heardMs > SILENCE_MS) this.#giveUp();
      else this.send({ type: 'ping', payload: { timestamp: Date.now() } });
    };
    this.#pingTimer = setInterval(ping, PING_MS);
    ping();
    this.#sendCommands();     // what was given before goes before what is given by who hears of it,
    this.#setState('online'); // last: or who closes
  }

  #onError(payload) {
    const error = new GameError(payload.code, payload.message, payload);
    if (payload.seq === undefined) this.#lastError = error;
    else this.#settle(payload.seq, command => command.reject(error));
  }

  /** The line is dead: does not wait for a close that may take minutes. */
  #giveUp() {
    const socket = this.#detach();
    socket?.close();
    this.#retry(LOST);
  }

  #onClose(code, reason) {
    this.#detach();
    const said = this.#lastError?.code === reason ? this.#lastError : undefined;
    if (!FINAL_CLOSE_CODES.has(code) || this.#isHeld(said)) this.#retry(code, said);
    else this.#refuse(said ?? new GameError(reason || 'closed', reason));
  }

  /** Whether it is refused for now: what holds the player may be dead. */
  #isHeld(error) {
    return error?.retryAfterMs !== undefined && this.#held++ < (this.#lost ? HELD_TRIES_LOST : HELD_TRIES);
  }

  #refuse(error) {
    this.#stop();
    this.#failAll(error);
    this.emit('refused', error);
    if (this.#closed) this.#setState('closed'); // who heard of it may have tried again, with another token
  }

  /** @param {GameError} [error] why, if the server said so */
  #retry(code, error) {
    this.#setState('offline');
    const { backoffMs, random } = this.#options;
    const wait = code === RESTARTS && this.#attempt === 0
      ? RESTART_MS : backoffMs[Math.min(this.#attempt, backoffMs.length - 1)];
    // Not before the server's time; spread behind it.
    const delayMs = Math.max(wait * (0.75 + random() / 2), (error?.retryAfterMs ?? 0) * (1 + random() / 4));
    this.#attempt++;
    this.#retryTimer = setTimeout(() => this.#open(), delayMs);
    this.emit('retry', { attempt: this.#attempt, delayMs, error });
  }

  #settle(seq, action) {
    const command = this.#pending.get(seq);
    if (!command) return;
    this.#pending.delete(seq);
    clearTimeout(command.timer);
    action(command);
  }

  #failAll(error) {
    const commands = [...this.#pending.values(), ...this.#unsent];
    this.#pending.clear();
    this.#unsent = [];
    for (const { timer, reject } of commands) {
      clearTimeout(timer);
      reject(error);
    }
  }

  /** What is not answered, again under its number; then what waited, under new numbers. */
  #sendCommands() {
    for (const command of [...this.#pending.values()]) {
      command.again = true;
      this.#transmit(command);
    }
    for (const command of this.#unsent.splice(0)) this.#sendFirst(command);
  }

  // A number is given when the command first leaves: until the welcome, the server's idea of the
  // next one is not known (the player may have played elsewhere in the meantime).
  #sendFirst(command) {
    const seq = this.#nextSeq++;
    command.seq = seq;
    command.message = { type: 'command', payload: { ...command.fields, seq, command: command.name } };
    this.#pending.set(seq, command);
    this.#transmit(command);
  }

  #transmit(command) {
    let data;
    try {
      data = encode(this.#socket, command.message);
    } catch (error) {
      this.#settle(command.seq, () => command.reject(error));
      return;
    }
    this.#socket.send(data);
  }

  #forget(command) {
    if (command.seq === null) this.#unsent = this.#unsent.filter(other => other !== command);
    else this.#pending.delete(command.seq);
  }

  /** Sends a message if there is a connection; false otherwise. Throws a GameError, `too_large`, if it is too long. */
  send(message) {
    if (!this.#online || this.#socket?.readyState !== OPEN) return false;
    this.#socket.send(encode(this.#socket, message));
    return true;
  }

  /**
   * A command, sent now or as soon as there is a connection.
   * @param {string} name
   * @param {object} [fields]
   * @param {(ack: object, again: boolean) => void} [accepted] called with the acknowledgement before any message that came
   *   after it is looked at; whoever awaits the promise goes on only when all that came in the same piece was. `again`: the command
   *   was sent on an earlier connection, too, and may have been carried out long ago
   * @returns {Promise<object>} the acknowledgement's payload; rejects with a GameError
   */
  command(name, fields = {}, accepted = () => {}) {
    if (this.#closed) return Promise.reject(new GameError('closed', 'There is no connection.'));
    if (this.#pending.size + this.#unsent.length >= PENDING_MAX)
      return Promise.reject(new GameError('too_many', 'Too many commands wait for their answers.'));
    let said; // as it is now, whatever becomes of the caller's lists until it is sent, or sent again
    try {
      said = JSON.parse(JSON.stringify(fields));
    } catch (error) {
      return Promise.reject(new GameError('invalid', error.message));
    }
    return new Promise((resolve, reject) => {
      const command = {
        name, fields: said, seq: null, message: null, timer: null, again: false, reject,
        resolve: ack => {
          resolve(ack);
          accepted(ack, command.again);
        },
      };
      command.timer = setTimeout(() => {
        this.#forget(command);
        reject(new GameError('timeout', 'The server did not answer.'));
      }, this.#options.commandTimeoutMs);
      if (this.#online && this.#socket.readyState === OPEN) this.#sendFirst(command);
      else this.#unsent.push(command);
    });
  }
}
