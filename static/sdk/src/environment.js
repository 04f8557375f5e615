/** False where a server renders the page. */
export const inBrowser = typeof document === 'object';

/** Is this the web view of an app wrapped by Despia? */
export function isDespia() {
  return inBrowser && /despia/i.test(navigator.userAgent);
}

/**
 * Opens Despia's secure browser above the app. Without Despia's function, what is assigned to window.despia
 * is taken for a command.
 * @param {string} address
 * @param {((command: string) => unknown) | undefined} despia
 */
export function openSecureBrowser(address, despia) {
  const command = 'oauth://?url=' + encodeURIComponent(address);
  if (despia) despia(command);
  else Object.assign(window, { despia: command });
}
