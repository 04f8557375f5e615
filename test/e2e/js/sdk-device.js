// What sdk_test.go puts into a page before its own scripts run: the native side of Despia, and a hand on
// the timers that wait for a deeplink, and for the app.

window.arrival = location.href;

const commands = [];
let despia;
Object.defineProperty(window, 'despia', {
  get: () => despia,
  set(value) {
    if (typeof value === 'string') commands.push(value);
    else despia = value;
  },
});

const { setTimeout, clearTimeout } = window;
const held = new Map();
let lastHeld = 0;
window.setTimeout = (callback, delay, ...rest) => {
  if (delay !== 1500 && delay !== 10_000) return setTimeout(callback, delay, ...rest);
  held.set(--lastHeld, { callback, delay });
  return lastHeld;
};
window.clearTimeout = (id) => (held.delete(id), clearTimeout(id));

/** Lets a time be over. Returns whether anybody waited. */
function end(delay) {
  const over = [...held].filter(([, timer]) => timer.delay === delay);
  for (const [id] of over) held.delete(id);
  for (const [, { callback }] of over) callback();
  return over.length > 0;
}

/** The grace of 1.5 s. */
window.endGrace = () => end(1500);
/** The time limit of 10 s. */
window.endTimeLimit = () => end(10_000);

/** Hides the app, as the secure browser does, or shows it again. */
window.setVisible = (visible) => {
  Object.defineProperty(document, 'visibilityState', { configurable: true, value: visible ? 'visible' : 'hidden' });
  document.dispatchEvent(new Event('visibilitychange'));
};
window.commands = commands;
