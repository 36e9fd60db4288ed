import { Connection } from './connection.js';
import { distance } from './hex.js';
import { Input } from './input.js';
import { GameStateManager } from './state.js';
import { Panels } from './ui.js';
import { MapView } from './view.js';

const $ = id => document.getElementById(id);
const TOKEN_KEY = 'mmorts.token';

const state = new GameStateManager();
const view = new MapView($('map'), state);
let connection = null;
let connectionState = 'offline';
let paused = false;
let minimap = null;

// --- what the player does -------------------------------------------------------------------------

const selectedEntities = () => [...view.selected].map(id => state.entities.get(id)).filter(Boolean);
const selectedUnits = () => selectedEntities().filter(e => state.isMine(e) && e.kind === 'unit');

function select(entities) {
  view.selected = new Set(entities.map(e => e.id));
}

async function order(command, fields) {
  try {
    return await connection.command(command, fields);
  } catch (error) {
    panels.toast(error.message);
    return null;
  }
}

function move(hex, queued) {
  const units = selectedUnits();
  if (!units.length) return;
  view.markers.push({ q: hex[0], r: hex[1], age: 0 });
  order('move', { units: units.map(e => e.id), target: hex, queued });
}

const actions = {
  chat: text => connection.chat(text),
  train: (building, recipe) => order('train', { building, recipe, cycles: 1 }),
  cancel: job => order('cancel', { job }),
  stop: () => order('stop', { units: selectedUnits().map(e => e.id) }),
  click(entity, hex, { shift, order: isOrder, double }) {
    const sendsUnits = selectedUnits().length > 0;
    if (isOrder) return move(hex, shift);
    if (entity && double && state.isMine(entity))
      return select([...state.entities.values()].filter(e => state.isMine(e) && e.type === entity.type && distance(e.pos, entity.pos) < 20));
    if (entity && (state.isMine(entity) || !sendsUnits)) return select([entity]);
    if (sendsUnits) return move(hex, shift);
    select([]);
  },
  box(entities) {
    const units = entities.filter(e => state.isMine(e) && e.kind === 'unit');
    if (units.length) select(units);
  },
  key(name, event) {
    if (!connection) return;
    if (name === 'escape') select([]);
    if (name === 'h') view.centerOn(state.home);
    if (name === 'enter') { event.preventDefault(); $('chat-input').focus(); }
  },
};

const panels = new Panels(state, actions);
const input = new Input(view, actions);
$('minimap').addEventListener('pointerdown', event => {
  const box = $('minimap').getBoundingClientRect();
  if (minimap) Object.assign(view.camera, minimap.toMap((event.clientX - box.left) * $('minimap').width / box.width, (event.clientY - box.top) * $('minimap').height / box.height));
});

// --- what the server says -------------------------------------------------------------------------

let hasCentered = false;

function onMessage(message) {
  state.apply(message);
  const { payload } = message;
  switch (message.type) {
    case 'welcome':
      setPaused(payload.session_status.state);
      if (!hasCentered) view.centerOn(payload.home);
      hasCentered = true;
      break;
    case 'session_status': setPaused(payload.state); break;
    case 'roster': panels.roster(payload.players); break;
    case 'player_joined': panels.joined(payload); break;
    case 'player_left': panels.left(payload); break;
    case 'chat': panels.chat(payload); break;
    case 'announcement': panels.announcement(payload); break;
    case 'error':
      if (payload.seq === undefined) panels.toast(payload.message || payload.code);
      break;
  }
}

function setPaused(sessionState) {
  paused = sessionState !== 'running';
  panels.status({ connection: connectionState, paused });
}

state.addEventListener('change', ({ detail }) => {
  if (detail.what === 'resources') panels.resources(detail.detail);
  if (detail.what === 'jobs') panels.shown = '';
});

// --- getting in ---------------------------------------------------------------------------------

async function loadConfig() {
  const response = await fetch('config.json');
  return response.json();
}

function enter(token) {
  const url = new URL('ws', location.href);
  url.protocol = location.protocol === 'https:' ? 'wss:' : 'ws:';
  connection = new Connection(url.href, token);
  connection.addEventListener('message', ({ detail }) => onMessage(detail));
  connection.addEventListener('latency', ({ detail }) => panels.status({ latency: detail }));
  connection.addEventListener('state', ({ detail }) => {
    connectionState = detail;
    panels.status({ connection: detail, paused: paused && detail === 'online' });
    if (detail !== 'online') return;
    $('login').hidden = true;
    panels.show();
  });
  connection.addEventListener('refused', ({ detail }) => {
    if (detail.code !== 'replaced') localStorage.removeItem(TOKEN_KEY);
    $('login').hidden = false;
    $('login-button').disabled = false;
    $('login-error').textContent = detail.message;
  });
  connection.connect();
}

async function logIn(loginUrl, username) {
  const response = await fetch(new URL('/api/login', loginUrl), {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ username }),
  });
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(answer.message || 'The login server refuses this name.');
  return answer.token;
}

async function start() {
  const config = await loadConfig();
  $('login-form').addEventListener('submit', async event => {
    event.preventDefault();
    $('login-button').disabled = true;
    $('login-error').textContent = '';
    try {
      const token = await logIn(config.login_url, $('login-name').value.trim());
      localStorage.setItem(TOKEN_KEY, token);
      enter(token);
    } catch (error) {
      $('login-error').textContent = error instanceof TypeError ? 'The login server does not answer.' : error.message;
      $('login-button').disabled = false;
    }
  });
  const token = localStorage.getItem(TOKEN_KEY);
  if (token) enter(token);
}

// --- every frame --------------------------------------------------------------------------------

let last = performance.now();
let sinceMinimap = 0;

function frame(now) {
  const delta = Math.min(100, now - last);
  last = now;
  state.interpolate(delta);
  input.step(delta);
  for (const id of view.selected) if (!state.entities.has(id)) view.selected.delete(id);
  $('map').classList.toggle('can-order', selectedUnits().length > 0);
  view.draw(now);
  sinceMinimap += delta;
  if (sinceMinimap > 250 && !$('minimap').hidden) {
    sinceMinimap = 0;
    minimap = view.drawMinimap($('minimap'));
    panels.status({ tick: state.tick });
    panels.selection(selectedEntities());
  }
  requestAnimationFrame(frame);
}

// For the browser's console and for automated play.
window.mmorts = { state, view, actions, get connection() { return connection; } };

start().catch(error => { $('login-error').textContent = `The game cannot be loaded: ${error.message}`; });
requestAnimationFrame(frame);
