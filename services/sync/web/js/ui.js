import { ownerColor, resourceColor } from './art.js';

const $ = id => document.getElementById(id);
const CHAT_LINES_MAX = 200;
const TOAST_MS = 3500;

function element(tag, properties = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
}

const words = name => name.replace(/_/g, ' ');

/** The panels around the map. Text from players only ever goes in as text. */
export class Panels {
  constructor(state, actions) {
    this.state = state;
    this.actions = actions;
    this.players = new Map();
    this.shown = '';
    $('chat-form').addEventListener('submit', event => {
      event.preventDefault();
      const text = $('chat-input').value.trim();
      if (text && actions.chat(text)) $('chat-input').value = '';
      $('map').focus();
    });
    $('help-toggle').addEventListener('click', () => $('help').showModal());
  }

  show() {
    for (const id of ['topbar', 'roster', 'minimap', 'chat']) $(id).hidden = false;
  }

  resources(changed) {
    const bar = $('resources');
    for (const [item, amount] of this.state.resources) {
      let node = bar.querySelector(`[data-item="${CSS.escape(item)}"]`);
      if (!node) {
        node = element('span', { className: 'resource', title: words(item) }, element('i'), element('b'));
        node.dataset.item = item;
        node.firstChild.style.background = resourceColor(item);
        bar.append(node);
      }
      node.lastChild.textContent = amount.toLocaleString('en');
      node.classList.toggle('changed', Boolean(changed && item in changed));
    }
    this.shown = '';
  }

  status({ tick, latency, connection, paused }) {
    if (tick !== undefined) $('tick').textContent = `tick ${tick}`;
    if (latency !== undefined) $('latency').textContent = `${Math.round(latency)} ms`;
    if (connection !== undefined) {
      $('connection').dataset.state = paused ? 'paused' : connection;
      $('connection').title = paused ? 'The session is paused' : connection;
    }
  }

  roster(players) {
    this.players = new Map(players.map(player => [player.player_id, player.username]));
    this.#drawRoster();
  }

  joined({ player_id, username }) {
    if (!this.players.has(player_id)) this.#line('system', `${username} has joined.`);
    this.players.set(player_id, username);
    this.#drawRoster();
  }

  left({ player_id, username }) {
    if (this.players.delete(player_id)) this.#line('system', `${username} has left.`);
    this.#drawRoster();
  }

  #drawRoster() {
    $('roster-count').textContent = this.players.size;
    const idByName = new Map([...this.state.empires].map(([id, name]) => [name, id]));
    $('roster-list').replaceChildren(...[...this.players.values()].sort().map(name => {
      const swatch = element('span', { className: 'swatch' });
      swatch.style.background = ownerColor(idByName.get(name) || null, this.state.empireId);
      return element('li', {}, swatch, name);
    }));
  }

  chat({ username, message }) {
    this.#line('', message, username);
  }

  announcement({ message }) {
    this.#line('announcement', message);
  }

  #line(className, text, username) {
    const log = $('chat-log');
    const atEnd = log.scrollTop + log.clientHeight >= log.scrollHeight - 8;
    const line = element('li', { className });
    if (username) line.append(element('b', {}, `${username}: `));
    line.append(text);
    log.append(line);
    while (log.children.length > CHAT_LINES_MAX) log.firstChild.remove();
    if (atEnd) log.scrollTop = log.scrollHeight;
  }

  toast(text, kind = '') {
    const node = element('div', { className: `toast ${kind}` }, text);
    $('toasts').append(node);
    while ($('toasts').children.length > 4) $('toasts').firstChild.remove();
    setTimeout(() => node.remove(), TOAST_MS);
  }

  /** The panel of what is selected; rebuilt only when what it says changes. */
  selection(entities) {
    const panel = $('selection');
    panel.hidden = entities.length === 0;
    if (!entities.length) { this.shown = ''; return; }
    const signature = JSON.stringify([entities.map(e => [e.id, e.health, e.stale, e.data.activity]), [...this.state.jobs.values()].map(j => [j.job, j.start_tick])]);
    if (signature !== this.shown) {
      this.shown = signature;
      const types = new Map();
      for (const e of entities) types.set(e.type, (types.get(e.type) || 0) + 1);
      const title = [...types].map(([type, n]) => n > 1 ? `${n} ${words(type)}s` : words(type)).join(', ');
      const owner = entities[0].owner ? this.state.empires.get(entities[0].owner) || 'unknown' : 'nobody';
      $('selection-head').replaceChildren(element('b', {}, title), element('small', {}, entities[0].stale ? `${owner} · as last seen` : owner));
      $('selection-body').replaceChildren(...this.#selectionBody(entities));
    }
    for (const bar of panel.querySelectorAll('progress[data-start]'))
      bar.value = Math.min(1, Math.max(0, (this.state.tick - bar.dataset.start) / (bar.dataset.end - bar.dataset.start)));
  }

  #selectionBody(entities) {
    const nodes = [];
    const only = entities.length === 1 ? entities[0] : null;
    const full = only && this.state.types.get(only.type)?.health;
    if (full && only.health !== null && only.kind !== 'resource')
      nodes.push(element('progress', { className: 'health', max: full, value: only.health, title: `${only.health} of ${full}` }));
    if (only && this.state.isMine(only) && only.kind === 'building') nodes.push(...this.#training(only), this.#queue(only));
    const mine = entities.filter(e => this.state.isMine(e) && e.kind === 'unit');
    if (mine.length) {
      nodes.push(element('small', {}, [...new Set(mine.map(e => e.data.activity || 'idle'))].join(', ')));
      nodes.push(element('button', { onclick: () => this.actions.stop() }, 'Stop'));
    }
    return nodes;
  }

  #training(building) {
    return this.state.recipes.filter(recipe => recipe.buildings.includes(building.type)).map(recipe => {
      const inputs = Object.entries(recipe.inputs || {});
      const short = inputs.some(([item, amount]) => (this.state.resources.get(item) || 0) < amount);
      const cost = element('small', { className: short ? 'short' : '' }, inputs.map(([item, amount]) => `${amount} ${item}`).join(' · ') || 'free');
      const seconds = element('small', {}, `${Math.round(recipe.duration_ticks * this.state.tickMs / 1000)} s`);
      const button = element('button', { className: 'train', disabled: short, onclick: () => this.actions.train(building.id, recipe.name) },
        element('b', {}, words(recipe.unit || recipe.name)), cost, seconds);
      button.dataset.recipe = recipe.name;
      return button;
    });
  }

  #queue(building) {
    const list = element('div', { className: 'queue' });
    for (const job of this.state.jobs.values()) {
      if (job.building !== building.id) continue;
      const bar = element('progress', { max: 1, value: 0 });
      bar.dataset.start = job.start_tick;
      bar.dataset.end = job.end_tick;
      list.append(element('div', { className: 'job' }, words(job.recipe),
        element('button', { className: 'icon', title: 'Cancel', onclick: () => this.actions.cancel(job.job) }, '×'), bar));
    }
    return list;
  }
}
