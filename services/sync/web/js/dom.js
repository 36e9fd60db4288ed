/** Shorthands for the page. Text only ever goes in as text. */
export const $ = id => document.getElementById(id);

export function element(tag, properties = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
}

/**
 * Of a panel whose buttons are replaced with what it shows: one that is another one when it is let go would not be clicked.
 * @param {string} [what] can be pressed there
 * @returns {() => Promise} what resolves when none is pressed
 */
export function releasedOf(panel, what = 'button') {
  let pressed = null, release;
  panel.addEventListener('pointerdown', event => {
    if (event.target.closest(what)) pressed ??= new Promise(resolve => { release = resolve; });
  });
  for (const type of ['pointerup', 'pointercancel'])
    window.addEventListener(type, () => setTimeout(() => { // the click comes first
      release?.();
      pressed = null;
    }));
  return () => pressed ?? Promise.resolve();
}

/** What a button is for, said so that another one for the same is known by it. */
const purpose = button => JSON.stringify(Object.keys(button.dataset).length ? { ...button.dataset }
  : [button.title, button.textContent, button.closest('li')?.textContent]);

/** Replaces what a part of the page shows. Who is at one of its buttons with the keyboard is at the one that takes its place. */
export function redraw(part, ...children) {
  const active = part.querySelector('button:focus-visible');
  const wanted = active && purpose(active);
  part.replaceChildren(...children);
  if (active) [...part.querySelectorAll('button')].find(button => purpose(button) === wanted)?.focus({ preventScroll: true });
}

/** A name of the server's for people: "gold_mine" is "Gold mine". */
export function words(name) {
  const text = name.replace(/_/g, ' ');
  return text.charAt(0).toUpperCase() + text.slice(1);
}

export const plural = (count, name) => count === 1 ? words(name) : `${count} ${words(name).toLowerCase()}s`;

/** A time of the past for people: of today the time of day, else the date. */
export function when(ms, now = new Date()) {
  const date = new Date(ms);
  return date.toDateString() === now.toDateString()
    ? date.toLocaleTimeString('en-GB', { hour: '2-digit', minute: '2-digit' })
    : date.toLocaleDateString('en', { day: 'numeric', month: 'short' });
}
