import { $, element, redraw, releasedOf } from './dom.js';

const POLICIES = [['invite', 'by invitation'], ['apply', 'by application'], ['open', 'open to all']];

/** What stands in the named fields of a part of the page, to be put into those of the same names. */
function fieldsOf(part) {
  const before = [...part.querySelectorAll('input, select')], active = document.activeElement;
  return {
    restore() {
      for (const old of before) {
        const field = part.querySelector(`${old.localName}[name=${old.name}]`);
        if (!field || (field.options && ![...field.options].some(option => option.value === old.value))) continue;
        field.value = old.value;
        if (old !== active) continue;
        field.focus();
        field.setSelectionRange?.(old.selectionStart, old.selectionEnd);
      }
    },
  };
}

/** The panel of one's alliance: who is in it, who may come in, and what there is to join. */
export class AlliancePanel {
  #list = [];
  #shown = ''; // what the panel was drawn from
  #released = releasedOf($('alliance-body'));

  /** @param {(promise: Promise) => Promise} attempt shows what is refused */
  constructor(game, attempt) {
    this.game = game;
    this.attempt = attempt;
    $('alliance-toggle').addEventListener('click', () => this.toggle());
  }

  get isOpen() {
    return !$('alliance').hidden;
  }

  async toggle() {
    $('alliance').hidden = this.isOpen;
    $('alliance-toggle').setAttribute('aria-pressed', String(this.isOpen));
    if (!this.isOpen) return;
    this.show(); // what is known already
    await this.#refresh();
  }

  /** What there is to join is asked for when it is looked at. */
  async #refresh() {
    if (!this.game.groups.length) this.#list = await this.attempt(this.game.listGroups()) ?? [];
    this.show();
  }

  async #act(action, fields) {
    await this.attempt(this.game.group(action, fields));
    if (this.isOpen) await this.#refresh();
  }

  #button(text, action, fields, className = '') {
    const button = element('button', { type: 'button', className }, text);
    button.addEventListener('click', () => this.#act(action, fields));
    return button;
  }

  /** Draws what is known, if it is something else than before. What the player is filling in stays. */
  async show() {
    $('alliance-toggle').classList.toggle('calls', this.game.invited.some(g => g.pending?.some(p => !p.application)));
    await this.#released();
    if (!this.isOpen) return;
    const { groups: [mine], invited } = this.game;
    const shown = JSON.stringify([mine, invited, ...(mine ? this.game.players : this.#list)]);
    if (shown === this.#shown) return;
    this.#shown = shown;
    const fields = fieldsOf($('alliance-body'));
    redraw($('alliance-body'), ...(mine ? this.#mine(mine) : this.#none()));
    fields.restore();
  }

  /** A group that is no more is not to be joined. */
  forget(id) {
    this.#list = this.#list.filter(group => group.id !== id);
  }

  #title({ name, tag }) {
    return element('h2', {}, tag ? `[${tag}] ${name}` : name);
  }

  #mine(group) {
    const id = group.id, me = group.members.find(m => m.player_id === this.game.playerId);
    const leads = me?.role === 'leader', officer = leads || me?.role === 'officer';
    const rows = group.members.map(member => {
      const row = element('li', {}, element('span', { title: member.username }, member.username), element('small', {}, member.role));
      if (member === me) return row;
      const fields = { group: id, player: member.player_id };
      if (leads) row.append(this.#button(member.role === 'officer' ? 'demote' : 'promote', 'role', { ...fields, role: member.role === 'officer' ? 'member' : 'officer' }));
      if (leads || (officer && member.role === 'member')) row.append(this.#button('send away', 'kick', fields));
      return row;
    });
    const parts = [this.#title(group), element('ul', { className: 'members' }, ...rows)];
    if (officer) parts.push(...this.#doors(group));
    parts.push(...this.#calls(false));
    const foot = element('p', { className: 'foot' }, this.#button('Leave', 'leave', { group: id }));
    if (leads) foot.append(this.#button('Disband', 'disband', { group: id }, 'danger'));
    parts.push(foot);
    return parts;
  }

  /** Who waits, and who could be invited. */
  #doors(group) {
    const id = group.id;
    const waiting = (group.pending ?? []).map(one => {
      const fields = { group: id, player: one.player_id };
      const row = element('li', {}, element('span', { title: one.username }, one.username), element('small', {}, one.application ? 'asks to join' : 'invited'));
      if (one.application) row.append(this.#button('take in', 'invite', fields));
      row.append(this.#button(one.application ? 'refuse' : 'withdraw', 'refuse', fields));
      return row;
    });
    const known = new Set([...group.members, ...(group.pending ?? [])].map(one => one.player_id));
    const others = [...this.game.players].filter(([player]) => !known.has(player)).sort(([, a], [, b]) => a.localeCompare(b));
    const form = element('form', {}, element('select', { name: 'player' },
      ...others.map(([player, name]) => element('option', { value: player }, name))), element('button', {}, 'Invite'));
    form.addEventListener('submit', event => {
      event.preventDefault();
      this.#act('invite', { group: id, player: form.elements.player.value });
    });
    return [...(waiting.length ? [element('ul', {}, ...waiting)] : []), ...(others.length ? [form] : [])];
  }

  /** Who invites the player, and where it has applied; who is in a group has to leave it before it is `free` to join. */
  #calls(free) {
    const calls = this.game.invited.map(group => {
      const applied = group.pending?.some(p => p.application);
      const row = element('li', {}, element('span', { title: group.name }, group.name), element('small', {}, applied ? 'applied' : 'invites you'));
      if (!applied && free) row.append(this.#button('join', 'join', { group: group.id }, 'primary'));
      row.append(this.#button(applied ? 'withdraw' : 'decline', 'decline', { group: group.id }));
      return row;
    });
    return calls.length ? [element('ul', {}, ...calls)] : [];
  }

  #none() {
    const { invited } = this.game;
    const open = this.#list.filter(group => group.policy !== 'invite' && !invited.some(one => one.id === group.id)).map(group =>
      element('li', {}, element('span', { title: group.name }, group.name), element('small', {}, `${group.member_count} of ${group.members_max}`),
        this.#button(group.policy === 'open' ? 'join' : 'apply', 'join', { group: group.id })));
    const form = element('form', { className: 'found' },
      element('input', { name: 'name', placeholder: 'Name', required: true, minLength: 3, maxLength: 32 }),
      element('input', { name: 'tag', placeholder: 'Tag', maxLength: 5, size: 5 }),
      element('select', { name: 'policy' }, ...POLICIES.map(([value, text]) => element('option', { value }, text))),
      element('button', { className: 'primary' }, 'Found'));
    form.addEventListener('submit', event => {
      event.preventDefault();
      const { name, tag, policy } = Object.fromEntries(new FormData(form));
      this.#act('create', { name, policy, ...(tag ? { tag } : {}) });
    });
    return [element('h2', {}, 'No alliance'), ...this.#calls(true),
      ...(open.length ? [element('h3', {}, 'To join'), element('ul', {}, ...open)] : []), element('h3', {}, 'Found one'), form];
  }
}
