// What sdk_test.go puts into a page before its own scripts run: the native side of Despia, and a hand on
// the timer that waits for a deeplink.

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
const graces = new Map();
window.setTimeout = (callback, delay, ...rest) => {
  if (delay !== 1500) return setTimeout(callback, delay, ...rest);
  const id = -1 - graces.size;
  graces.set(id, callback);
  return id;
};
window.clearTimeout = (id) => (graces.delete(id), clearTimeout(id));

/** Lets the grace of 1.5 s be over. Returns whether anybody waited. */
window.endGrace = () => {
  const waiting = [...graces.values()];
  graces.clear();
  for (const callback of waiting) callback();
  return waiting.length > 0;
};

/** Hides the app, as the secure browser does, or shows it again. */
window.setVisible = (visible) => {
  Object.defineProperty(document, 'visibilityState', { configurable: true, value: visible ? 'visible' : 'hidden' });
  document.dispatchEvent(new Event('visibilitychange'));
};
window.commands = commands;
