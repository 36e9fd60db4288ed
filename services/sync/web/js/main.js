import { GameClient, hex } from '../sdk/index.js';
import { $, words } from './dom.js';
import { SIZE } from './grid.js';
import { Input } from './input.js';
import { Minimap } from './minimap.js';
import { SelectionPanel } from './selection.js';
import { Panels } from './ui.js';
import { AlliancePanel } from './alliance.js';
import { MailPanel } from './mail.js';
import { SessionPicker, chosenSession } from './sessions.js';
import { MapView } from './view.js';

const TOKEN_KEY = 'mmorts.token';
// Refusals that have to do with the session, or with where else one plays: the token is as good as before.
const KEEP_TOKEN = new Set(['replaced', 'already_connected', 'too_many_connections', 'unknown_session', 'session_full', 'server_full']);
const GROUP_RADIUS = 20;      // hexes: a double click selects a kind so far around
const PANELS_MS = 200;        // between two looks at what the panels show

const socketUrl = new URL('ws', location.href);
socketUrl.protocol = location.protocol === 'https:' ? 'wss:' : 'ws:';
// This page's own: in another window of the browser somebody else may be playing.
let token = '';
const encoding = new URLSearchParams(location.search).get('encoding') === 'json' ? 'json' : 'binary';
const game = new GameClient({ url: socketUrl.href, encoding, session: chosenSession() || undefined, token: () => token });
const { state } = game;
const view = new MapView($('map'), state);
const minimap = new Minimap($('minimap'), view);
let hasPlayed = false;
let player = null;            // whose page it is: the id

// --- what the player does -------------------------------------------------------------------------

const selectedEntities = () => [...view.selected].map(id => state.entities.get(id)).filter(Boolean);
const selectedUnits = () => selectedEntities().filter(e => state.isMine(e) && e.kind === 'unit');
const ids = entities => entities.map(e => e.id);

function select(entities) {
  if (mode) setMode(null);
  view.selected = new Set(ids(entities));
}

async function attempt(command) {
  try {
    return await command;
  } catch (error) {
    panels.toast(error.message);
    return null;
  }
}

const myBuildings = () => selectedEntities().filter(e => state.isMine(e) && e.kind === 'building');
const buildersOf = type => selectedUnits().filter(e => state.types.get(e.type)?.builds?.includes(type));
const isBuilder = entity => Boolean(state.types.get(entity.type)?.builds?.length);
/** What a builder can work on: one's own, damaged or not complete. */
const wantsWork = entity => entity?.kind === 'building' && state.isMine(entity) && !entity.stale &&
  ((entity.data.progress ?? 1000) < 1000 || entity.health < (state.types.get(entity.type)?.health ?? 0));

/**
 * What the next click on the map means, if not the usual: {name: 'build', type}, 'patrol' (with the points so
 * far), 'repair' or 'rally'. Escape, or an order, ends it.
 */
let mode = null;

function setMode(next) {
  mode = next;
  view.placing = mode?.name === 'build' ? mode.type : null;
  $('map').dataset.mode = mode?.name ?? '';
  selection.setMode(mode);
}

const MODES = {
  build(entity, at, shift) {
    const builders = buildersOf(mode.type);
    if (!builders.length) return setMode(null);
    view.mark(at, '120,200,120');
    attempt(game.build(ids(builders), mode.type, at, { queued: shift }));
    if (!shift) setMode(null);
  },
  patrol(entity, at, shift) {
    view.mark(at, '120,170,232');
    mode.points.push(at);
    if (shift && mode.points.length < 8) return;
    const units = selectedUnits();
    if (units.length) attempt(game.patrol(ids(units), mode.points));
    setMode(null);
  },
  repair(entity, at, shift) {
    if (wantsWork(entity)) repair(entity, shift);
    else panels.toast('Nothing to repair there.');
    setMode(null);
  },
  rally(entity, at) {
    rally(at);
    setMode(null);
  },
};

function repair(entity, queued) {
  view.mark(entity.pos, '120,200,120');
  return attempt(game.repair(ids(selectedUnits().filter(isBuilder)), entity.id, { queued }));
}

function rally(at) {
  const buildings = myBuildings();
  if (!buildings.length) return;
  view.mark(at, '120,170,232');
  attempt(game.rally(ids(buildings), at));
}

function move(target, queued) {
  const units = selectedUnits();
  if (!units.length) return;
  view.mark(target);
  attempt(game.move(ids(units), target, { queued }));
}

/** Of what the selected builders can build the first, or the one after that which is being placed. */
function nextBuilding() {
  const types = [...new Set(selectedUnits().flatMap(e => state.types.get(e.type)?.builds ?? []))];
  return types[(types.indexOf(mode?.type) + 1) % types.length];
}

const isEnemy = entity => entity.kind === 'npc' || (entity.owner && !state.isMine(entity) && entity.kind !== 'resource');

/** What a click with units selected means there: setting upon an enemy, work for workers, or going there. */
function order(entity, at, queued) {
  const units = selectedUnits();
  const workers = units.filter(e => e.type === 'worker');
  if (wantsWork(entity) && units.some(isBuilder)) return repair(entity, queued);
  if (entity?.kind === 'resource' && workers.length) {
    view.mark(entity.pos, '120,200,120');
    return attempt(game.gather(ids(workers), entity.id, { queued }));
  }
  if (!units.length || !entity || !isEnemy(entity)) return move(at, queued);
  view.mark(entity.pos, '224,88,64');
  attempt(game.attack(ids(units), entity.id, { queued }));
}

function lookAt(entities) {
  if (!entities.length) return;
  const mean = axis => entities.reduce((sum, e) => sum + e[axis], 0) / entities.length * SIZE;
  Object.assign(view.camera, { x: mean('x'), y: mean('y') });
}

/** Selects the next of one's units that does nothing, and goes there. */
function nextIdle() {
  const idle = state.mine().filter(e => e.kind === 'unit' && (e.data.activity ?? 'idle') === 'idle');
  if (!idle.length) return;
  const at = idle.findIndex(e => view.selected.has(e.id));
  const next = idle[(at + 1) % idle.length];
  select([next]);
  lookAt([next]);
}

const actions = {
  select,
  chat: text => game.chat(text),
  writeTo: (player, name) => mail.write({ player, name }),
  train: (building, recipe) => attempt(game.train(building, recipe)),
  cancel: job => attempt(game.cancel(job)),
  build(type) {
    if (type && buildersOf(type).length) setMode({ name: 'build', type });
  },
  patrol: () => { if (selectedUnits().length) setMode({ name: 'patrol', points: [] }); },
  repair: () => { if (selectedUnits().some(isBuilder)) setMode({ name: 'repair' }); },
  rally: () => { if (myBuildings().length) setMode({ name: 'rally' }); },
  cancelBuild: building => attempt(game.cancelBuild(building)),
  endMode: () => setMode(null),
  stop: () => { if (selectedUnits().length) attempt(game.stop(ids(selectedUnits()))); },
  look: () => lookAt(selectedEntities()),
  home: () => view.centerOn(state.home),
  zoom: factor => view.zoomAt(view.width / 2, view.height / 2, factor),
  toggleBox: () => { input.boxMode = !input.boxMode; return input.boxMode; },
  visit(empire) {
    const theirs = [...state.entities.values()].filter(e => e.owner === empire);
    lookAt(theirs.filter(e => e.kind === 'building').slice(0, 1).concat(theirs).slice(0, 1));
  },
  click(entity, at, { shift, order: orders, double }) {
    if (mode && orders) return setMode(null);
    if (mode) return MODES[mode.name](entity, at, shift);
    const sendsUnits = selectedUnits().length > 0;
    if (orders && !sendsUnits) return rally(at);
    if (orders) return order(entity, at, shift);
    // A site takes workers on; a building that is only damaged is selected, and repaired by R or the other button.
    if (entity && (entity.data.progress ?? 1000) < 1000 && wantsWork(entity) && selectedUnits().some(isBuilder)) return repair(entity, shift);
    if (entity && double && state.isMine(entity))
      return select(state.mine(entity.type).filter(e => hex.distance(e.pos, entity.pos) < GROUP_RADIUS));
    if (entity && (state.isMine(entity) || !sendsUnits)) return select([entity]);
    if (sendsUnits) return order(entity, at, shift);
    select([]);
  },
  box(entities, { shift }) {
    const units = entities.filter(e => state.isMine(e) && e.kind === 'unit');
    if (shift) units.push(...selectedUnits());
    if (units.length) select(units);
  },
  key(name, event) {
    if (!hasPlayed || $('help').open || $('sessions').open) return;
    const keys = {
      escape: () => mode ? setMode(null) : mail.isOpen ? mail.toggle(false) : alliance.isOpen ? alliance.toggle() : select([]),
      b: () => actions.build(nextBuilding()),
      p: actions.patrol,
      r: () => selectedUnits().length ? actions.repair() : actions.rally(),
      h: actions.home,
      x: actions.stop,
      c: actions.look,
      '.': nextIdle,
      '?': () => $('help').showModal(),
      f: () => select(state.mine().filter(e => e.kind === 'unit' && e.type !== 'worker' && e.type !== 'scout')),
      m: () => mail.toggle(),
      enter: () => panels.openChat(true),
    };
    if (!keys[name]) return;
    event.preventDefault();
    keys[name]();
  },
};

const panels = new Panels(game, actions);
const alliance = new AlliancePanel(game, promise => promise.catch(error => { panels.toast(error.message); }));
const mail = new MailPanel(game, promise => promise.catch(error => { panels.toast(error.message); }), (text, kind) => panels.toast(text, kind), () => {
  if (alliance.isOpen) alliance.toggle();
  $('toasts').replaceChildren();
});
$('alliance-toggle').addEventListener('click', () => { if (alliance.isOpen) mail.toggle(false); });
const selection = new SelectionPanel(state, actions);
const input = new Input(view, actions);

// --- what the server says -------------------------------------------------------------------------

const showStatus = () => panels.status(game.connection.state, game.session?.state, hasPlayed);

game.on('state', showStatus);
game.on('session_status', showStatus);
game.on('retry', retry => {
  panels.retry(retry);
  if (!hasPlayed) $('login-error').textContent = `${retry.error?.message ?? 'The game does not answer.'} Trying again…`;
});
game.on('latency', ms => panels.latency(ms));
game.on('roster', () => panels.roster());
game.on('players', () => panels.roster());
game.on('player_joined', player => panels.joined(player));
game.on('player_left', player => panels.left(player));
game.on('chat', line => panels.chat(line));
game.on('missed', ({ messages }) => panels.note(`The connection was too slow: ${messages} messages are missing here.`));
for (const type of ['groups', 'roster', 'players', 'player_joined', 'player_left']) game.on(type, () => alliance.show()); // who may be invited
game.on('group_disbanded', ({ group }) => alliance.forget(group.id));
game.on('mailbox', () => mail.changed());
game.onMail(one => mail.arrived(one));
const HAPPENED = {
  group_joined: 'has joined', group_left: 'has left', group_kicked: 'was sent away from', group_disbanded: 'has disbanded',
  group_invited: 'is invited to', group_applied: 'asks to join',
};
for (const [type, words] of Object.entries(HAPPENED))
  game.on(type, ({ group, player }) => panels.note(`${player.username} ${words} ${group.name}.`));
game.on('announcement', announcement => panels.announcement(announcement));
game.on('error', error => panels.refused(error));
game.on('change', ({ what, detail }) => {
  if (what === 'resources') panels.resources(detail);
  if (what === 'empires') panels.roster();
  if (what === 'events') for (const { event, entity, other } of detail) {
    if (event === 'attack' && other) view.strike(entity, other);
    const built = event === 'built' && state.entities.get(entity);
    if (built && state.isMine(built)) panels.toast(`${words(built.type)} complete.`, 'info');
  }
  if (what === 'jobs') for (const job of detail) if (job.event === 'failed') panels.toast(`Production failed: ${job.reason || job.recipe}`);
});
game.on('welcome', ({ home, player_id: id }) => {
  if (player !== null && player !== id) { // what was said and written to somebody else is not for this one
    location.reload();
    return;
  }
  player = id;
  if (!hasPlayed) view.centerOn(home);
  hasPlayed = true;
  coverGame(false);
  panels.show();
  panels.roster();
  showStatus();
});
game.on('refused', error => {
  if (!KEEP_TOKEN.has(error.code) && localStorage.getItem(TOKEN_KEY) === token) localStorage.removeItem(TOKEN_KEY);
  showLogin(error.code === 'replaced' ? 'You are playing in another window.' : error.message);
});
window.addEventListener('online', () => game.connection.retryNow());
document.addEventListener('visibilitychange', () => { if (!document.hidden) game.connection.retryNow(); });

// --- getting in ---------------------------------------------------------------------------------

/** What is behind the login cannot be reached by the keyboard either. */
function coverGame(isCovered) {
  $('login').hidden = !isCovered;
  for (const part of document.body.children) if (!part.matches('#login, #notices, dialog, script')) part.inert = isCovered;
}

function showLogin(message) {
  hasPlayed = false;
  showStatus();
  coverGame(true);
  $('login-button').disabled = false;
  $('login-error').textContent = message;
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

// A refusal is told by its event.
const enter = () => void game.connect().catch(() => {});

async function start() {
  const config = await (await fetch('config.json')).json();
  new SessionPicker(config.session);
  $('login-form').addEventListener('submit', async event => {
    event.preventDefault();
    $('login-button').disabled = true;
    $('login-error').textContent = '';
    try {
      token = await logIn(config.login_url, $('login-name').value.trim());
      localStorage.setItem(TOKEN_KEY, token);
      game.connection.retryNow();
      enter();
    } catch (error) {
      $('login-error').textContent = error instanceof TypeError ? 'The login server does not answer.' : error.message;
      $('login-button').disabled = false;
    }
  });
  $('login-button').disabled = false; // until here the form would be sent as any other, and the page be loaded anew
  token = localStorage.getItem(TOKEN_KEY) ?? '';
  if (token) enter();
}

// --- every frame --------------------------------------------------------------------------------

let last = performance.now();
let sincePanels = 0;

function frame(now) {
  requestAnimationFrame(frame); // first: whatever one frame stumbles over, the next one comes
  const delta = Math.min(100, now - last);
  last = now;
  state.interpolate(delta);
  input.step(delta);
  view.draw(now);
  sincePanels += delta;
  if (sincePanels > PANELS_MS && hasPlayed) {
    sincePanels = 0;
    for (const id of view.selected) if (!state.entities.has(id)) view.selected.delete(id);
    $('map').classList.toggle('can-order', selectedUnits().length > 0);
    minimap.draw();
    panels.tick(state.tick);
    game.focus(view.hexAt(view.width / 2, view.height / 2));
    selection.show(selectedEntities());
  }
}

// For the browser's console and for automated play.
window.mmorts = { game, state, view, actions, connection: game.connection };

coverGame(true);
start().catch(error => { $('login-error').textContent = `The game cannot be loaded: ${error.message}`; });
requestAnimationFrame(frame);
