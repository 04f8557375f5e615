/** False where a server renders the page. */
export const inBrowser = typeof document === 'object';

/** Is this the web view of an app wrapped by Despia? */
export function isDespia() {
  return inBrowser && /despia/i.test(navigator.userAgent);
}
