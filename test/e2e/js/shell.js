// What apps_test.go puts into every page before its own scripts run. In a web view, despiaCommand is
// there: the native side of Despia, which takes what is assigned to window.despia.

if (window.despiaCommand) {
  let value;
  Object.defineProperty(window, 'despia', {
    get: () => value,
    set(next) {
      if (typeof next === 'string') window.despiaCommand(next);
      else value = next;
    },
  });
}

/** Hides the page, as Android does behind a Custom Tab, or shows it again. */
window.setVisible = (visible) => {
  Object.defineProperty(document, 'visibilityState', { configurable: true, value: visible ? 'visible' : 'hidden' });
  document.dispatchEvent(new Event('visibilitychange'));
};

/** What moved by itself, how far (in the unit of layout shifts), and from where to where. */
window.shifted = [];
new PerformanceObserver((list) => {
  for (const { hadRecentInput, value, sources } of list.getEntries()) {
    if (hadRecentInput) continue;
    window.shifted.push([value, ...sources.map(({ node, previousRect, currentRect }) =>
      [node?.id || node?.nodeName, node?.textContent, JSON.stringify(previousRect), JSON.stringify(currentRect)].join(' '))].join('\n'));
  }
}).observe({ type: 'layout-shift', buffered: true });
