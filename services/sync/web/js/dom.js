/** Shorthands for the page. Text only ever goes in as text. */
export const $ = id => document.getElementById(id);

export function element(tag, properties = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
}

/**
 * Of a panel whose buttons are replaced with what it shows: one that is another one when it is let go would not be clicked.
 * @returns {() => Promise} what resolves when none is pressed
 */
export function releasedOf(panel) {
  let pressed = null, release;
  panel.addEventListener('pointerdown', event => {
    if (event.target.closest('button')) pressed ??= new Promise(resolve => { release = resolve; });
  });
  for (const type of ['pointerup', 'pointercancel'])
    window.addEventListener(type, () => setTimeout(() => { // the click comes first
      release?.();
      pressed = null;
    }));
  return () => pressed ?? Promise.resolve();
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
