import { Connection, saysOnlyNames } from './connection.js';
import { Emitter } from './emitter.js';
import { GameError } from './errors.js';
import { GameStateManager } from './state.js';

/** Messages that are passed on as events of their type, with the payload. */
const SESSION_EVENTS = new Set(['chat', 'announcement', 'player_joined', 'player_left', 'players', 'roster', 'session_status', 'groups',
  'group_created', 'group_joined', 'group_left', 'group_kicked', 'group_role', 'group_disbanded', 'group_invited', 'group_applied',
  'group_declined', 'group_policy', 'mail', 'mailbox', 'missed']);

/** The server takes no command for more. */
const UNITS_MAX = 100;

/** The server takes no longer message; what a mail's own words leave of it is for the rest of the command. */
const MAIL_BYTES_MAX = 3900;

/**
 * A player: a connection, the state it keeps up to date, and the commands.
 *
 * Emits what its connection does ('state', 'retry', 'latency', 'refused'), 'ready' (a full state is there: after
 * the first connect, and whenever what was missed could not be told), 'resumed' (what was missed while the connection
 * was lost has been told: the state is up to date again), 'update' (every update, applied), 'change' (of the state), the session's messages under their types
 * ('chat', 'announcement', 'player_joined', 'player_left', 'players', 'roster', 'session_status', 'groups', 'group_joined' and what else
 * happens to groups, 'mail' when one comes in, 'mailbox' when the counts change, 'missed' when the line was too slow for some of these), 'welcome', and 'error' (GameError that
 * answers no command, such as chat_rate_limited).
 */
export class GameClient extends Emitter {
  #resuming = false;  // what was missed is being told
  #current = false;   // everything was told on this connection, or what was missed
  #focus = null;      // the hex that the player looks at

  /** @param {object} options as of Connection */
  constructor(options) {
    super();
    this.state = new GameStateManager();
    this.connection = new Connection(options);
    this.players = new Map();  // player id -> name, of who is online; of very many a part
    this.playerCount = 0;      // how many are online
    this.groups = [];          // of which the player is a member, with all members
    this.invited = [];         // which it was invited to, or has applied to
    this.mailbox = { unread: 0, total: 0 };
    this.playerId = null;
    this.username = null;
    this.session = null;       // the last session status
    this.state.on('change', change => this.emit('change', change));
    this.connection.on('message', message => this.#onMessage(message));
    this.connection.on('state', state => { this.#current &&= state === 'online'; });
    for (const type of ['state', 'retry', 'latency', 'refused'])
      this.connection.on(type, detail => this.emit(type, detail));
  }

  /**
   * Connects and stays connected. Resolves when the full state is there, or what was missed since the last connection
   * (at once if that is so), rejects with the GameError of a refusal, or with `closed`; in between it waits and tries
   * again, however long that takes.
   */
  connect() {
    if (this.#current) return Promise.resolve(this);
    return new Promise((resolve, reject) => {
      const offs = [
        this.once('ready', () => finish(resolve, this)),
        this.once('resumed', () => finish(resolve, this)),
        this.once('refused', error => finish(reject, error)),
        this.on('state', state => state === 'closed' && finish(reject, new GameError('closed', 'The game was left.'))),
      ];
      const finish = (action, value) => {
        for (const off of offs) off();
        action(value);
      };
      this.connection.connect();
    });
  }

  /** Leaves the game. */
  close() {
    this.connection.close();
  }

  #onMessage(message) {
    this.state.apply(message);
    const { type, payload } = message;
    switch (type) {
      case 'welcome':
        this.playerId = payload.player_id;
        this.username = payload.username;
        this.session = payload.session_status;
        this.#resuming = false;
        if (this.#focus) this.#sayFocus();
        this.emit('welcome', payload);
        break;
      case 'update':
        if (message.full) {
          this.#current = true;
          this.emit('ready', this.state);
        }
        if (this.#resuming && !saysOnlyNames(message)) {
          this.#resuming = false;
          this.#current = true;
          this.emit('resumed', this.state);
        }
        this.emit('update', message);
        break;
      case 'resumed': this.#resuming = true; break;
      case 'players':
        this.playerCount = payload.player_count;
        for (const one of payload.left ?? []) this.players.delete(one);
        for (const one of payload.joined ?? []) this.players.set(one.player_id, one.username);
        break;
      case 'roster':
        this.playerCount = payload.player_count ?? payload.players.length;
        this.players = new Map(payload.players.map(p => [p.player_id, p.username]));
        break;
      case 'groups': Object.assign(this, { groups: payload.groups, invited: payload.invited }); break;
      case 'mail':
      case 'mailbox': this.mailbox = { unread: payload.unread, total: payload.total }; break;
      case 'player_joined':
        this.playerCount = payload.player_count ?? this.playerCount + !this.players.has(payload.player_id);
        this.players.set(payload.player_id, payload.username);
        break;
      case 'player_left':
        this.players.delete(payload.player_id);
        this.playerCount = payload.player_count ?? Math.max(this.playerCount - 1, this.players.size);
        break;
      case 'session_status': this.session = payload; break;
      case 'error':
        if (payload.seq === undefined) this.emit('error', new GameError(payload.code, payload.message, payload));
        break;
    }
    if (SESSION_EVENTS.has(type)) this.emit(type, payload);
  }

  /** Any command of the protocol; resolves with its acknowledgement, rejects with a GameError. */
  command(name, fields) {
    return this.connection.command(name, fields);
  }

  /** The same for all of them, by as many commands as it takes; resolves with the last one's acknowledgement. */
  async #order(name, list, fields, field = 'units') {
    const acks = [];
    for (let i = 0; i < Math.max(list.length, 1); i += UNITS_MAX)
      acks.push(this.command(name, { [field]: list.slice(i, i + UNITS_MAX), ...fields }));
    return (await Promise.all(acks)).at(-1);
  }

  /** Sends units (ids, as many as there are) to a hex; `queued`: after what they are doing. */
  move(units, target, { queued = false } = {}) {
    return this.#order('move', units, { target, queued });
  }

  /** Sends units after an enemy that is in sight (an id). */
  attack(units, target, { queued = false } = {}) {
    return this.#order('attack', units, { target, queued });
  }

  /** A move on which the units fight whom they meet. */
  attackMove(units, target, { queued = false } = {}) {
    return this.#order('attack_move', units, { target, queued });
  }

  /** Sets workers to work on a resource node in sight (an id). */
  gather(units, target, { queued = false } = {}) {
    return this.#order('gather', units, { target, queued });
  }

  /**
   * Has workers build a type of building on a hex in sight. Resolves when it is paid and begun; rejects with
   * `cannot_afford` if the stock does not cover the cost that `state.types` names.
   */
  build(units, building, target, { queued = false } = {}) {
    return this.command('build', { units: units.slice(0, UNITS_MAX), building, target, queued });
  }

  /** Sets workers to work on an own building (an id) that is damaged or not complete. */
  repair(units, target, { queued = false } = {}) {
    return this.#order('repair', units, { target, queued });
  }

  /** Gives up an own building that is not complete; what it cost comes back. */
  cancelBuild(building) {
    return this.command('cancel_build', { building });
  }

  /** From hex to hex and over again, fighting whom the units meet; with one hex between it and where they are. */
  patrol(units, points, { queued = false } = {}) {
    return this.#order('patrol', units, { points, queued });
  }

  /** Here and there within so many hexes, until told otherwise. */
  wander(units, radius, { queued = false } = {}) {
    return this.#order('wander', units, { radius, queued });
  }

  /** Where those who are trained in own buildings (ids) go; on a resource in sight, workers gather. */
  rally(buildings, target) {
    return this.#order('rally', buildings, { target }, 'buildings');
  }

  stop(units) {
    return this.#order('stop', units, {});
  }

  /** Starts a recipe in a building, or queues it there; the acknowledgement has the job's id. */
  train(building, recipe, cycles = 1) {
    // A job of before the reconnect may be over. What is open of it is told anyway, as of all jobs.
    return this.connection.command('train', { building, recipe, cycles },
      (ack, again) => again || this.state.jobWaits(ack.job, building, recipe));
  }

  /** A job that is over when it is cancelled is not known any more. */
  async cancel(job) {
    try {
      return await this.connection.command('cancel', { job }, () => this.state.jobIsCancelled(job));
    } catch (error) {
      if (error.code === 'unknown_job') this.state.jobIsCancelled(job);
      throw error;
    }
  }

  #sayFocus() {
    this.connection.send({ type: 'focus', payload: { hex: this.#focus } });
  }

  /**
   * The hex that the player looks at, or null: what happens near it is told first where the connection may not be sent
   * everything at once. It is told to the server when it is another one, and again after every reconnect.
   */
  focus(hex) {
    if (`${hex}` === `${this.#focus}`) return;
    this.#focus = hex;
    this.#sayFocus();
  }

  #say(payload) {
    try {
      return this.connection.send({ type: 'chat', payload });
    } catch { // no message takes it: far longer than the server takes
      this.emit('error', new GameError('chat_too_long', 'The text is too long.'));
      return false;
    }
  }

  /** Says something to everybody, or to a group; false without a connection. Refusals come as 'error' events. */
  chat(text, group) {
    return this.#say({ message: text, group });
  }

  /** Says something to one player (an id) who is online, and to nobody else. Refused like chat, also as `not_online`. */
  whisper(player, text) {
    return this.#say({ message: text, to: player });
  }

  /**
   * Anything about groups (alliances): 'create' {name, tag, policy}, 'invite' {group, player}, 'join' {group}, 'decline',
   * 'refuse' {group, player}, 'leave', 'kick' {group, player}, 'role' {group, player, role}, 'disband', 'policy' {group, policy}.
   * What comes of it is in `groups` and `invited` by the time of the 'groups' event.
   */
  group(action, fields = {}) {
    return this.command('group', { action, ...fields });
  }

  /** A command that is answered with a message of this type before it is acknowledged: that message's payload. */
  async #ask(type, name, fields) {
    const answers = new Map(); // by the number of the command, which is known when it is acknowledged
    const off = this.connection.on('message', message => { if (message.type === type) answers.set(message.payload.seq, message.payload); });
    try {
      const { seq } = await this.command(name, fields);
      return answers.get(seq) ?? {};
    } finally {
      off();
    }
  }

  /** Groups that there are, without their members; `after`: the id of the last one known. */
  async listGroups(after) {
    return (await this.#ask('group_list', 'group', { action: 'list', after })).groups ?? [];
  }

  // --- mail ----------------------------------------------------------------------------------------

  /**
   * Sends mail, once, whatever becomes of the connection. To {player: id} or {name} of anybody who was ever here, or {group: id},
   * to all its other members. Resolves with how many it was delivered to, and how many of a group had no room for it.
   */
  async sendMail({ player, name, group }, { subject, body }) {
    if (new TextEncoder().encode(JSON.stringify({ subject, body })).length > MAIL_BYTES_MAX)
      throw new GameError('mail_too_long', 'The subject or the text is too long.');
    const to = group ? { action: 'send_group', group } : { action: 'send', to: player, to_name: player ? undefined : name };
    const { delivered = 1, full = 0 } = await this.#ask('mail_sent', 'mail', { ...to, subject, body });
    return { delivered, full };
  }

  /** One's mail, the newest first, without the texts; `before`: the id of the last one known. */
  async inbox({ before, limit } = {}) {
    const { mails = [], more = false, unread, total } = await this.#ask('mail_list', 'mail', { action: 'list', before, limit });
    if (total !== undefined) this.mailbox = { unread, total };
    return { mails, more };
  }

  /** A mail (its id) with its `body`; it counts as read. */
  async readMail(id) {
    return (await this.#ask('mail_text', 'mail', { action: 'read', mail: id })).mail;
  }

  /** @param {number[]} ids at most 50; what is gone already is no error */
  deleteMail(ids) {
    return this.command('mail', { action: 'delete', mails: ids });
  }

  /** Calls the listener with every mail that comes in. @returns what takes it off again */
  onMail(listener) {
    return this.on('mail', ({ mail }) => listener(mail));
  }
}
