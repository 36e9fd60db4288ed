import { $, element, redraw, releasedOf, words } from './dom.js';
import { resourceIcon } from './icons.js';
import { ownerColor } from './sprites.js';

const CHAT_LINES_MAX = 200;
const TOAST_MS = 3500;
const PEEK_MS = 6000;       // a line of the chat stays over a phone's map so long
const PEEK_LINES = 2;

/** Everything around the map but the selection. */
export class Panels {
  #unread = 0;
  #lastWhisper = null;  // who said something to this player alone: an id
  #peekTimer = null;
  #said = '';           // what was said last: it is not lost if it is refused
  #rosterReleased = releasedOf($('roster-list'), 'li');
  #rosterWaits = false; // to be drawn

  constructor(game, actions) {
    this.game = game;
    this.state = game.state;
    this.actions = actions;
    $('chat-form').addEventListener('submit', event => {
      event.preventDefault();
      const text = $('chat-input').value.trim();
      const problem = text && this.#say(text);
      if (problem) this.toast(problem);
      else {
        this.#said = text;
        $('chat-input').value = '';
      }
      if (!this.#isNarrow()) $('map').focus();
    });
    $('help-toggle').addEventListener('click', () => $('help').showModal());
    $('chat-toggle').addEventListener('click', () => this.openChat(!$('chat').classList.contains('open')));
    $('roster-toggle').addEventListener('click', () => $('roster').classList.toggle('open'));
    $('announcement-close').addEventListener('click', () => { $('announcement').hidden = true; });
    for (const [id, action] of [['zoom-in', () => actions.zoom(1.35)], ['zoom-out', () => actions.zoom(1 / 1.35)], ['go-home', actions.home]])
      $(id).addEventListener('click', action);
    $('box-mode').addEventListener('click', () => this.#setPressed($('box-mode'), actions.toggleBox()));
  }

  #isNarrow() {
    return window.matchMedia('(max-width: 760px)').matches;
  }

  #setPressed(button, pressed) {
    button.setAttribute('aria-pressed', String(pressed));
  }

  show() {
    for (const id of ['topbar', 'roster', 'minimap', 'chat', 'tools', 'chat-toggle']) $(id).hidden = false;
  }

  // --- top -----------------------------------------------------------------------------------------

  resources(changed) {
    const bar = $('resources');
    for (const item of bar.querySelectorAll('.resource')) if (!this.state.resources.has(item.dataset.item)) item.remove();
    for (const [item, amount] of this.state.resources) {
      let node = bar.querySelector(`[data-item="${CSS.escape(item)}"]`);
      if (!node) {
        node = element('span', { className: 'resource' }, resourceIcon(item), element('span', { className: 'name' }, words(item)), element('b'));
        node.dataset.item = item;
        bar.append(node);
      }
      node.title = `${words(item)}: ${amount.toLocaleString('en')}`;
      node.lastChild.textContent = amount.toLocaleString('en');
      if (changed && item in changed) {
        node.classList.remove('changed');
        void node.offsetWidth; // begins the animation anew
        node.classList.add('changed');
      }
    }
  }

  tick(tick) {
    $('tick').textContent = tick.toLocaleString('en');
  }

  latency(ms) {
    $('latency').textContent = `${Math.round(ms)} ms`;
    $('latency').dataset.quality = ms < 120 ? 'good' : ms < 300 ? 'fair' : 'bad';
  }

  /** @param {string} connection 'connecting', 'online', 'offline' @param {string} session the session's state */
  status(connection, session, hasPlayed) {
    const online = connection === 'online';
    const halted = online && session !== 'running';
    $('connection').dataset.state = halted ? 'paused' : connection;
    $('connection').title = halted ? `The session is ${session}` : `Connection: ${connection}`;
    $('connection-text').textContent = halted ? session : online ? 'online' : 'offline';
    let text = '';
    if (!online && hasPlayed) text = 'Reconnecting…';
    else if (halted) text = session === 'stopping' ? 'The server is stopping' : 'The session is paused';
    $('banner').hidden = !text;
    $('banner').dataset.state = online ? 'paused' : 'offline';
    if ($('banner-text').textContent !== text) $('banner-text').textContent = text;
    if (!text) $('banner-more').textContent = '';
    else if (halted) $('banner-more').textContent = 'It goes on by itself.';
  }

  retry({ attempt, delayMs, error }) {
    const why = error ? `${error.message} ` : '';
    $('banner-more').textContent = why + (attempt > 1 || error ? `Attempt ${attempt}, in ${(delayMs / 1000).toFixed(1)} s` : '');
  }

  announcement({ message }) {
    $('announcement-text').textContent = message;
    $('announcement').hidden = false;
    this.#line('announcement', message);
  }

  /** Something was refused that is not answered one by one, such as a line of the chat, which can be said again later. */
  refused({ code, message }) {
    this.toast(message);
    if (!/^(chat_|not_online$)/.test(code)) return;
    if (!$('chat-input').value) $('chat-input').value = this.#said;
    this.#said = '';
  }

  toast(text, kind = '') {
    const node = element('div', { className: `toast ${kind}` }, text);
    $('toasts').append(node);
    while ($('toasts').children.length > 4) $('toasts').firstChild.remove();
    setTimeout(() => node.remove(), TOAST_MS);
  }

  // --- who is here -----------------------------------------------------------------------------

  joined({ username }) {
    this.#line('system', `${username} has joined.`);
    this.roster();
  }

  left({ username }) {
    this.#line('system', `${username} has left.`);
    this.roster();
  }

  /** Colours are those of the empires met so far; the others' are not known yet: grey. */
  async roster() {
    $('roster-count').textContent = $('roster-toggle-count').textContent = this.game.playerCount;
    if (this.#rosterWaits) return;
    this.#rosterWaits = true;
    await this.#rosterReleased();
    this.#rosterWaits = false;
    this.#drawRoster();
  }

  #drawRoster() {
    const { players, playerId } = this.game;
    const idByName = new Map([...this.state.empires].map(([id, name]) => [name, id]));
    const sorted = [...players].sort(([a, x], [b, y]) => (b === playerId) - (a === playerId) || x.localeCompare(y));
    redraw($('roster-list'), ...sorted.map(([id, name]) => {
      const empire = id === playerId ? this.state.empireId : idByName.get(name) ?? null;
      const swatch = element('span', { className: 'swatch' });
      swatch.style.background = ownerColor(empire, this.state.empireId);
      const row = element('li', { title: empire ? name : `${name} (not met yet)` }, swatch, element('span', {}, name));
      if (id === playerId) row.append(element('small', {}, 'you'));
      else row.append(this.#roundButton('…', `Say something to ${name} alone`, () => this.whisperTo(name)),
        this.#roundButton('✉', `Write to ${name}`, () => this.actions.writeTo(id, name)));
      if (empire) {
        row.className = 'met';
        row.addEventListener('click', () => this.actions.visit(empire));
      }
      return row;
    }));
  }

  #roundButton(text, title, action) {
    const button = element('button', { type: 'button', className: 'round', title }, text);
    button.setAttribute('aria-label', title);
    button.addEventListener('click', event => {
      event.stopPropagation();
      action();
    });
    return button;
  }

  // --- chat ----------------------------------------------------------------------------------------

  /** Who is online and is meant by the beginning of a text: [id, the rest]. Names may have spaces: the longest fits best. */
  #addressee(text) {
    const lower = text.toLowerCase();
    const fits = [...this.game.players].filter(([, name]) => lower === name.toLowerCase() || lower.startsWith(`${name.toLowerCase()} `));
    const [best] = fits.sort(([, a], [, b]) => b.length - a.length || text.startsWith(b) - text.startsWith(a));
    return best ? [best[0], text.slice(best[1].length).trim()] : [null, ''];
  }

  /** Says what was typed, or what is wrong with it. */
  #say(text) {
    const [, command, rest] = text.match(/^\/(\S+)\s*([^]*)$/) ?? [];
    const offline = 'Not connected: not sent.';
    if (!command) return this.actions.chat(text) ? '' : offline;
    if (command === 'w' || command === 'r') {
      const [player, words] = command === 'w' ? this.#addressee(rest) : [this.#lastWhisper, rest];
      if (!player) return command === 'w' ? 'Nobody of that name is online. Write a mail instead?' : 'Nobody has said anything to you alone.';
      if (!words) return 'Say something: /w name words.';
      return this.game.whisper(player, words) ? '' : offline;
    }
    if (command === 'a') {
      const [group] = this.game.groups;
      if (!group) return 'You are in no alliance.';
      return this.game.chat(rest, group.id) ? '' : offline;
    }
    return `There is no /${command}.`;
  }

  /** Begins to say something to one player; what was typed already is for that one. */
  whisperTo(name) {
    this.openChat(true);
    const typed = $('chat-input').value;
    $('chat-input').value = `/w ${name} ${typed.startsWith('/') ? '' : typed}`;
  }

  openChat(open) {
    $('chat').classList.toggle('open', open);
    document.body.classList.toggle('chat-open', open);
    this.#setPressed($('chat-toggle'), open);
    if (open) {
      this.#countUnread(0);
      $('chat-peek').replaceChildren();
      $('chat-log').scrollTop = $('chat-log').scrollHeight;
      $('chat-input').focus();
    } else {
      $('chat-input').blur();
    }
  }

  /** A line of what happened. */
  note(text) {
    this.#line('system', text);
  }

  chat({ username, message, player_id: id, group, to }) {
    const own = id === this.game.playerId;
    const kind = group ? 'group' : to ? 'whisper' : '';
    if (to && !own) this.#lastWhisper = id;
    // Of one's own whisper, whom it was for.
    const name = to && own ? this.game.players.get(to) ?? 'somebody' : username;
    this.#line(`${own ? 'own' : ''} ${kind}`.trim(), message, name, to ? own ? 'to ' : 'from ' : '');
    if (id === this.game.playerId || !this.#isNarrow() || $('chat').classList.contains('open')) return;
    this.#countUnread(this.#unread + 1);
    const peek = $('chat-peek');
    peek.append(element('li', {}, element('b', {}, `${username}: `), message));
    while (peek.children.length > PEEK_LINES) peek.firstChild.remove();
    clearTimeout(this.#peekTimer);
    this.#peekTimer = setTimeout(() => peek.replaceChildren(), PEEK_MS);
  }

  #countUnread(count) {
    this.#unread = count;
    $('chat-unread').textContent = count > 99 ? '99+' : count;
    $('chat-unread').hidden = count === 0;
  }

  #line(className, text, username, before = '') {
    const log = $('chat-log');
    const atEnd = log.scrollTop + log.clientHeight >= log.scrollHeight - 8;
    const line = element('li', { className });
    if (username) {
      const name = element('b', { title: `Say something to ${username} alone` }, username);
      name.addEventListener('click', () => this.whisperTo(username));
      line.append(before, name, ': ');
    }
    line.append(text);
    log.append(line);
    while (log.children.length > CHAT_LINES_MAX) log.firstChild.remove();
    if (atEnd) log.scrollTop = log.scrollHeight;
  }
}
