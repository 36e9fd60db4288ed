import { $, element } from './dom.js';

const ID = /^[a-z0-9][a-z0-9-]{0,31}$/;
const STATES = { running: 'running', paused: 'paused', away: 'not running' };

/** Which session the page plays in: named in its address, so that a link leads into it; else the server's own. */
export const chosenSession = () => new URLSearchParams(location.search).get('session') ?? '';

/** The dialog that shows which sessions there are, and leads into another one. */
export class SessionPicker {
  /** @param {string} own the session that is played where none is chosen */
  constructor(own) {
    this.own = own;
    this.current = chosenSession() || own;
    $('session-toggle').addEventListener('click', () => this.open());
    $('login-session').addEventListener('click', () => this.open());
    $('help-session').addEventListener('click', () => {
      $('help').close();
      this.open();
    });
    $('session-form').addEventListener('submit', event => {
      event.preventDefault();
      const id = $('session-id').value.trim();
      if (ID.test(id)) this.#go(id);
      else $('session-error').textContent = 'A session is named in small letters, digits and -.';
    });
    $('session-close').addEventListener('click', () => $('sessions').close());
    $('session-name').textContent = $('login-session-name').textContent = this.current;
  }

  async open() {
    $('session-error').textContent = '';
    $('session-list').replaceChildren(element('li', { className: 'empty' }, 'Looking…'));
    if (!$('sessions').open) $('sessions').showModal();
    try {
      const response = await fetch('sessions.json', { cache: 'no-store' });
      if (!response.ok) throw new Error('The sessions are not known at the moment.');
      this.#show((await response.json()).sessions);
    } catch (error) {
      $('session-list').replaceChildren();
      $('session-error').textContent = error instanceof TypeError ? 'The server does not answer.' : error.message;
    }
  }

  #show(sessions) {
    $('session-list').replaceChildren(...sessions.map(({ session, state, empires, max_players: max }) => {
      const isHere = session === this.current;
      const full = max > 0 && empires >= max;
      const button = element('button', { type: 'button', disabled: state === 'away' && !isHere },
        element('b', {}, session), element('span', {}, max ? `${empires} of ${max} empires` : `${empires} ${empires === 1 ? 'empire' : 'empires'}`),
        element('small', { className: state }, isHere ? 'you are here' : full ? 'full' : STATES[state] ?? state));
      if (isHere) button.setAttribute('aria-current', 'true');
      button.addEventListener('click', () => isHere ? $('sessions').close() : this.#go(session));
      return element('li', {}, button);
    }));
  }

  /** The page begins anew: nothing of one game is of use in the other. */
  #go(session) {
    const address = new URL(location.href);
    if (session === this.own) address.searchParams.delete('session');
    else address.searchParams.set('session', session);
    location.assign(address);
  }
}
