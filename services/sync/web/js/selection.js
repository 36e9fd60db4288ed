import { $, element, plural, redraw, words } from './dom.js';
import { resourceIcon } from './icons.js';
import { iconOf, ownerColor } from './sprites.js';

/** The panel of what is selected; rebuilt only when what it says changes. */
export class SelectionPanel {
  #shown = '';
  #pressed = false; // a click has begun
  mode = null;

  constructor(state, actions) {
    this.state = state;
    this.actions = actions;
    state.on('change', ({ what }) => { if (what !== 'hexes' && what !== 'entities') this.#shown = ''; });
    // Where the button that was pressed is another one by the time it is let go, nothing is clicked.
    $('selection').addEventListener('pointerdown', () => { this.#pressed = true; });
    for (const type of ['pointerup', 'pointercancel']) window.addEventListener(type, () => setTimeout(() => { this.#pressed = false; }));
  }

  /** What the next click on the map means; see main.js. */
  setMode(mode) {
    this.mode = mode;
    this.#shown = '';
  }

  show(entities) {
    const panel = $('selection');
    panel.hidden = entities.length === 0;
    if (!entities.length) {
      this.#shown = '';
      return;
    }
    const signature = JSON.stringify(entities.map(e => [e.id, e.health, e.stale, e.data.activity, e.data.amount, e.data.carried, e.data.progress, e.data.rank]));
    if (signature !== this.#shown && !this.#pressed) {
      this.#shown = signature;
      const groups = this.#groups(entities);
      redraw($('selection-head'), ...this.#head(entities, groups));
      redraw($('selection-body'), ...groups.size > 1 ? this.#chips(groups) : [], ...this.#body(entities));
    }
    this.#moveBars(panel);
  }

  #moveBars(panel) {
    const { tick, tickMs } = this.state;
    for (const bar of panel.querySelectorAll('progress[data-start]')) {
      const start = Number(bar.dataset.start), end = Number(bar.dataset.end);
      bar.value = Math.min(1, Math.max(0, (tick - start) / (end - start)));
      const left = Math.max(0, Math.ceil((end - tick) * tickMs / 1000));
      bar.parentNode.querySelector('.left').textContent = `${left} s`;
    }
  }

  /** By type, the largest first. */
  #groups(entities) {
    const groups = new Map();
    for (const e of entities) groups.set(e.type, [...groups.get(e.type) ?? [], e]);
    return new Map([...groups].sort(([, a], [, b]) => b.length - a.length));
  }

  #head(entities, groups) {
    const [first] = entities;
    const mine = this.state.isMine(first);
    const owner = mine ? 'yours' : first.owner ? this.state.empires.get(first.owner) || 'unknown empire' : 'nobody’s';
    const title = groups.size === 1 ? plural(entities.length, first.type) : `${entities.length} units`;
    const icon = groups.size === 1 ? [iconOf(first.type, first.kind, ownerColor(first.owner, this.state.empireId))] : [];
    const close = element('button', { className: 'icon close', title: 'Deselect (Esc)', ariaLabel: 'Deselect', onclick: () => this.actions.select([]) }, '×');
    return [...icon, element('b', {}, title), element('small', {}, first.stale ? `${owner} · as last seen` : owner), close];
  }

  /** One button for every type; a click leaves only that type selected. */
  #chips(groups) {
    const row = element('div', { className: 'chips' });
    for (const [type, members] of groups) {
      const full = this.state.types.get(type)?.health;
      const health = full ? members.reduce((sum, e) => sum + (e.health ?? full), 0) / (full * members.length) : 1;
      const chip = element('button', { className: 'chip', title: `Only the ${words(type).toLowerCase()}s`, onclick: () => this.actions.select(members) },
        iconOf(type, members[0].kind, ownerColor(members[0].owner, this.state.empireId), 26),
        element('span', {}, `${members.length}`), element('progress', { className: 'health', max: 1, value: health }));
      chip.dataset.type = type;
      row.append(chip);
    }
    return [row];
  }

  #body(entities) {
    const nodes = [];
    const only = entities.length === 1 ? entities[0] : null;
    if (only) nodes.push(...this.#facts(only));
    if (only && this.state.isMine(only) && only.kind === 'building') nodes.push(...this.#ownBuilding(only));
    const mine = entities.filter(e => this.state.isMine(e) && e.kind === 'unit');
    if (mine.length) nodes.push(...this.#orders(mine), ...this.#building(mine));
    return nodes;
  }

  /** A site can be given up; what is complete trains, and has a rally point. */
  #ownBuilding(building) {
    if ((building.data.progress ?? 1000) < 1000) {
      const button = element('button', { title: 'Give it up; its cost comes back', onclick: () => this.actions.cancelBuild(building.id) }, 'Give up');
      button.id = 'give-up';
      return [button];
    }
    const training = this.#training(building);
    return [...training, ...training.length ? [this.#modeButton('rally', 'Rally point', 'Where those trained here go (R, or the other mouse button)')] : [], this.#queue(building)];
  }

  #modeButton(name, label, title) {
    const button = element('button', { title, onclick: () => this.mode?.name === name ? this.actions.endMode() : this.actions[name]() }, label);
    button.dataset.mode = name;
    button.ariaPressed = String(this.mode?.name === name);
    return button;
  }

  /** What the builders among the selected can build. */
  #building(mine) {
    const { types } = this.state;
    const names = [...new Set(mine.flatMap(e => types.get(e.type)?.builds ?? []))];
    return names.map(name => {
      const { cost = {}, build_ticks: ticks } = types.get(name) ?? {};
      const active = this.mode?.name === 'build' && this.mode.type === name;
      const button = this.#offer({
        name, kind: 'building', cost, ticks, owner: mine[0].owner,
        onclick: () => active ? this.actions.endMode() : this.actions.build(name),
      });
      button.dataset.build = name;
      button.ariaPressed = String(active);
      return button;
    });
  }

  #facts(entity) {
    const nodes = [];
    const { progress = 1000 } = entity.data;
    if (progress < 1000)
      nodes.push(element('div', { className: 'fact' },
        element('progress', { className: 'built', max: 1000, value: progress }), element('small', {}, `${Math.floor(progress / 10)} % built`)));
    const full = this.state.types.get(entity.type)?.health;
    if (full && entity.health !== null && entity.kind !== 'resource')
      nodes.push(element('div', { className: 'fact' },
        element('progress', { className: 'health', max: full, value: entity.health }), element('small', {}, `${entity.health} / ${full}`)));
    if (entity.data.amount) nodes.push(element('small', { className: 'fact' }, `${entity.data.amount.toLocaleString('en')} left to gather`));
    if (entity.data.rank) nodes.push(element('small', { className: 'fact' }, `veteran of rank ${entity.data.rank}`));
    if (entity.data.carried) nodes.push(element('small', { className: 'fact' }, `carries ${entity.data.carried}`));
    return nodes;
  }

  #orders(mine) {
    const doing = new Map();
    for (const e of mine) doing.set(e.data.activity || 'idle', (doing.get(e.data.activity || 'idle') ?? 0) + 1);
    const text = [...doing].map(([what, n]) => doing.size > 1 ? `${n} ${what}` : what).join(', ');
    return [
      element('small', { className: 'doing' }, text),
      element('button', { title: 'Stop (X)', onclick: () => this.actions.stop() }, 'Stop'),
      this.#modeButton('patrol', 'Patrol', 'Patrol (P): click where to; with Shift several places'),
      ...mine.some(e => this.state.types.get(e.type)?.builds?.length) ? [this.#modeButton('repair', 'Repair', 'Repair (R): click the building')] : [],
      element('button', { title: 'Look there (C)', onclick: () => this.actions.look() }, 'Look'),
    ];
  }

  /** A button for what costs something and takes its time. */
  #offer({ name, kind, cost, ticks, owner, onclick }) {
    const inputs = Object.entries(cost);
    const lacking = ([item, amount]) => (this.state.resources.get(item) || 0) < amount;
    const price = element('span', { className: 'cost' }, ...inputs.map(([item, amount]) =>
      element('span', { className: lacking([item, amount]) ? 'short' : '', title: words(item) }, resourceIcon(item), `${amount}`)));
    const seconds = Math.round(ticks * this.state.tickMs / 1000);
    const short = inputs.some(lacking);
    const needs = inputs.map(([item, amount]) => `${amount} ${words(item).toLowerCase()}`).join(', ') || 'nothing';
    return element('button', {
      className: 'train', disabled: short, title: `${words(name)}: ${needs}; ${seconds} s${short ? ' – not enough' : ''}`, onclick,
    }, ...kind ? [iconOf(name, kind, ownerColor(owner, this.state.empireId), 28)] : [],
    element('span', {}, element('b', {}, words(name)), element('small', {}, `${seconds} s`)), price);
  }

  #training(building) {
    return this.state.recipes.filter(recipe => recipe.buildings.includes(building.type)).map(recipe => {
      const button = this.#offer({
        name: recipe.unit || recipe.name, kind: recipe.unit && 'unit', cost: recipe.inputs || {}, ticks: recipe.duration_ticks,
        owner: building.owner, onclick: () => this.actions.train(building.id, recipe.name),
      });
      button.dataset.recipe = recipe.name;
      return button;
    });
  }

  #queue(building) {
    const list = element('div', { className: 'queue' });
    const jobs = [...this.state.jobs.values()].filter(job => job.building === building.id);
    jobs.sort((a, b) => (a.start_tick || Infinity) - (b.start_tick || Infinity));
    for (const job of jobs) {
      const recipe = this.state.recipes.find(r => r.name === job.recipe);
      const waits = !job.start_tick;
      const cancel = element('button', { className: 'icon', title: 'Cancel', ariaLabel: 'Cancel', onclick: () => this.actions.cancel(job.job) }, '×');
      cancel.dataset.cancel = job.job;
      const row = element('div', { className: waits ? 'job waits' : 'job' },
        element('span', {}, words(recipe?.unit || job.recipe)), element('small', { className: 'left' }, waits ? 'waits' : ''), cancel);
      if (!waits) {
        const bar = element('progress', { max: 1, value: 0 });
        bar.dataset.start = job.start_tick;
        bar.dataset.end = job.end_tick;
        row.append(bar);
      }
      list.append(row);
    }
    return list;
  }
}
