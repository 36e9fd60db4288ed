import { $, element, releasedOf, when } from './dom.js';

const PAGE = 20;
const BODY_MAX = 1000;

/** The panel of one's mail: a list, one mail that is read, or one that is written. */
export class MailPanel {
  #mails = [];
  #more = false;
  #shown = 'list';    // 'list', 'mail' or 'write'
  #turn = 0;          // counts what was chosen to be shown: an answer that comes when that is something else shows nothing
  #counted = '';      // the counts that the list was true at
  #fetching = false;
  #draft = null;
  #released = releasedOf($('mail-body'));

  /**
   * @param {(promise: Promise) => Promise} attempt shows what is refused, and then gives null or undefined
   * @param {() => void} onOpen makes room for it
   */
  constructor(game, attempt, toast, onOpen) {
    Object.assign(this, { game, attempt, toast, onOpen });
    $('mail-toggle').addEventListener('click', () => this.toggle());
  }

  get isOpen() {
    return !$('mail').hidden;
  }

  async toggle(open = !this.isOpen) {
    this.#open(open);
    if (open && this.#shown !== 'write') await this.#list(); // what is being written stays
  }

  #open(open) {
    $('mail').hidden = !open;
    $('mail-toggle').setAttribute('aria-pressed', String(open));
    if (open) this.onOpen();
  }

  #choose(what) {
    this.#shown = what;
    return ++this.#turn;
  }

  /** The counts were told, which something may have changed: mail that came or was read elsewhere, or while the line was lost. */
  async changed() {
    this.count();
    if (this.isOpen && this.#shown === 'list' && !this.#fetching && this.#counted !== JSON.stringify(this.game.mailbox)) await this.#fetch();
  }

  /** The counts, after something has changed them. */
  count() {
    const { unread } = this.game.mailbox;
    $('mail-unread').textContent = unread > 99 ? '99+' : unread;
    $('mail-unread').hidden = unread === 0;
    $('mail-toggle').title = unread ? `Mail (${unread} unread)` : 'Mail';
  }

  /** One came in. */
  arrived(mail) {
    this.count();
    if (!this.isOpen) this.toast(`Mail from ${mail.from.username}: ${mail.subject.length > 40 ? `${mail.subject.slice(0, 39)}…` : mail.subject}`, 'info');
    if (this.#shown === 'list' && !this.#mails.some(one => one.id === mail.id)) {
      this.#mails = [mail, ...this.#mails].sort((a, b) => b.id - a.id);
      this.#counted = JSON.stringify(this.game.mailbox);
      this.#drawList();
    }
  }

  /** Begins a mail to a player: {player, name}, or to the alliance: {group, name}. Words that were written already are for them. */
  write(to = {}, subject = '') {
    this.#open(true);
    const form = this.#shown === 'write' && $('mail').querySelector('form');
    const before = form ? Object.fromEntries(new FormData(form)) : {};
    this.#draft = { ...to, subject: subject || before.subject, body: before.body };
    this.#choose('write');
    this.#draw();
    $('mail').querySelector(to.name ? subject ? 'textarea' : '[name=subject]' : '[name=to]').focus();
  }

  async #list() {
    this.#choose('list');
    this.#draw();
    await this.#fetch();
  }

  async #fetch() {
    this.#fetching = true;
    const page = await this.attempt(this.game.inbox({ limit: PAGE }));
    this.#fetching = false;
    if (!page) return;
    ({ mails: this.#mails, more: this.#more } = page);
    this.#counted = JSON.stringify(this.game.mailbox);
    this.count();
    await this.#drawList();
  }

  async #older() {
    const page = await this.attempt(this.game.inbox({ limit: PAGE, before: this.#mails.at(-1)?.id }));
    if (!page) return;
    this.#mails = [...this.#mails, ...page.mails.filter(mail => !this.#mails.some(one => one.id === mail.id))];
    this.#more = page.more;
    await this.#drawList();
  }

  async #read(head) {
    const turn = ++this.#turn;
    const mail = await this.attempt(this.game.readMail(head.id));
    if (!mail) return;
    head.read = true;
    if (turn !== this.#turn) return;
    this.#choose('mail');
    $('mail-body').replaceChildren(...this.#mail(mail));
  }

  async #delete(id) {
    const turn = this.#turn;
    if (await this.attempt(this.game.deleteMail([id])) && turn === this.#turn) await this.#list();
  }

  async #send(form) {
    const turn = this.#turn;
    const to = form.elements.to.value.trim();
    const { subject, body } = Object.fromEntries(new FormData(form));
    const [group] = this.game.groups;
    // A name that was filled in for somebody means that player, also if others are called so.
    const address = group && to === this.#allianceName(group) ? { group: group.id }
      : this.#draft?.player && to === this.#draft.name ? { player: this.#draft.player } : { name: to };
    form.elements.send.disabled = true;
    const sent = await this.attempt(this.game.sendMail(address, { subject, body }));
    form.elements.send.disabled = false;
    if (!sent) return;
    this.toast(sent.full ? `Sent to ${sent.delivered}; ${sent.full} had no room.` : 'Sent.', 'info');
    if (turn === this.#turn) await this.#list();
  }

  #allianceName({ name }) {
    return `Alliance: ${name}`;
  }

  #button(text, action, className = '') {
    const button = element('button', { type: 'button', className }, text);
    button.addEventListener('click', action);
    return button;
  }

  /** The list has changed: it is drawn if it is (still) what is shown. */
  async #drawList() {
    await this.#released();
    if (this.#shown === 'list') this.#draw();
  }

  #draw() {
    $('mail-body').replaceChildren(...this.#shown === 'write' ? this.#form() : this.#heads());
  }

  #heads() {
    const rows = this.#mails.map(mail => {
      const button = element('button', { type: 'button', className: mail.read ? 'head' : 'head unread' },
        element('b', {}, mail.from.username), element('time', {}, when(mail.timestamp)),
        element('span', {}, mail.group ? `[${mail.group.name}] ${mail.subject}` : mail.subject));
      button.addEventListener('click', () => this.#read(mail));
      return element('li', {}, button);
    });
    const title = element('h2', {}, element('span', {}, 'Mail'), this.#button('Write', () => this.write(), 'primary'));
    const parts = [title, rows.length ? element('ul', {}, ...rows) : element('p', { className: 'empty' }, 'No mail.')];
    if (this.#more) parts.push(this.#button('Older', () => this.#older(), 'wide'));
    return parts;
  }

  #mail(mail) {
    const reply = () => this.write({ player: mail.from.player_id, name: mail.from.username },
      mail.subject.startsWith('Re: ') ? mail.subject : `Re: ${mail.subject}`.slice(0, 80));
    return [
      element('h2', {}, this.#button('‹', () => this.#list(), 'icon'), element('span', {}, mail.subject)),
      element('p', { className: 'from' }, element('b', {}, mail.from.username),
        element('span', {}, mail.group ? ` to all of ${mail.group.name}` : ''), element('time', {}, when(mail.timestamp))),
      element('p', { className: 'text' }, mail.body),
      element('p', { className: 'foot' }, this.#button('Reply', reply, 'primary'), this.#button('Delete', () => this.#delete(mail.id), 'danger')),
    ];
  }

  #form() {
    const { players, playerId, groups: [group] } = this.game;
    const names = [...players].filter(([id]) => id !== playerId).map(([, name]) => name).sort((a, b) => a.localeCompare(b));
    if (group) names.unshift(this.#allianceName(group));
    const draft = this.#draft ?? {};
    const form = element('form', {},
      element('input', { name: 'to', placeholder: 'To', required: true, maxLength: 64, value: draft.name ?? '', autocomplete: 'off' }),
      element('datalist', { id: 'mail-names' }, ...names.map(name => element('option', { value: name }))),
      element('input', { name: 'subject', placeholder: 'Subject', required: true, maxLength: 80, value: draft.subject ?? '', autocomplete: 'off' }),
      element('textarea', { name: 'body', placeholder: 'Your words', required: true, maxLength: BODY_MAX, rows: 8, value: draft.body ?? '' }),
      element('p', { className: 'foot' }, element('button', { name: 'send', className: 'primary' }, 'Send'),
        this.#button('Discard', () => this.#list())));
    form.elements.to.setAttribute('list', 'mail-names');
    form.elements.to.setAttribute('aria-label', 'To');
    form.elements.subject.setAttribute('aria-label', 'Subject');
    form.elements.body.setAttribute('aria-label', 'Text');
    form.addEventListener('submit', event => {
      event.preventDefault();
      this.#send(form);
    });
    return [element('h2', {}, this.#button('‹', () => this.#list(), 'icon'), element('span', {}, 'Write')), form];
  }
}
