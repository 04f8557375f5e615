/** 256 random bits, in base64url. */
export function randomString() {
  return base64url(crypto.getRandomValues(new Uint8Array(32)));
}

/** Browsers hash on https and localhost only. */
export function canHash() {
  return Boolean(globalThis.crypto?.subtle);
}

/**
 * The SHA-256 of a text, in base64url.
 * @param {string} text
 */
export async function sha256(text) {
  const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text));
  return base64url(new Uint8Array(digest));
}

/** @param {Uint8Array} bytes */
function base64url(bytes) {
  return btoa(String.fromCharCode(...bytes)).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
}
