import { TEXT } from './result.js';

/** @import { Session } from '../tikbridge.js' */

/** Longer than the bridge itself takes to give up on others. */
const TIMEOUT = 20_000;

/** @typedef {Partial<Session> & { error?: string, error_description?: string, request_id?: string }} Answer */

/** The bridge's routes of the hosted flow. */
export class Bridge {
  /** @param {string} url */
  constructor(url) {
    this.base = url.replace(/\/+$/, '') + '/api/auth/tiktok/';
  }

  /**
   * The address at which a sign-in begins.
   * @param {Record<string, string>} parameters
   */
  startAddress(parameters) {
    return this.base + 'start?' + new URLSearchParams(parameters);
  }

  /**
   * Trades a handoff for a session. A verifier that does not fit does not use the handoff up.
   * @param {string} handoff
   * @param {string} verifier
   * @returns {Promise<Answer>}
   */
  async redeem(handoff, verifier) {
    try {
      const response = await fetch(this.base + 'redeem', {
        method: 'POST',
        headers: { 'Content-Type': 'application/json' },
        body: JSON.stringify({ handoff, verifier }),
        credentials: 'omit',
        cache: 'no-store',
        referrerPolicy: 'no-referrer',
        redirect: 'error',
        signal: AbortSignal.timeout?.(TIMEOUT),
      });
      const answer = await response.json();
      // An app's own backend may give no refresh token.
      if (answer.error || answer.access_token) return answer;
    } catch {
      // There was no answer, or it was not the bridge's.
    }
    return { error: 'network_error', error_description: TEXT.noConnection };
  }
}
