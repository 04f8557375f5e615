import { TEXT } from './result.js';

/** @import { Session } from '../tikbridge.js' */

/** Longer than the bridge itself takes to give up on others. */
const TIMEOUT = 20_000;

/** @typedef {Partial<Session> & { error?: string, error_description?: string, request_id?: string }} Answer */

/** The bridge's routes for apps. */
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
  redeem(handoff, verifier) {
    return this.post('redeem', { handoff, verifier }, 'access_token');
  }

  /**
   * @param {'redeem' | 'token' | 'revoke'} route
   * @param {Record<string, string>} body
   * @param {keyof Answer} sign What every good answer with a body has.
   * @param {string} [accessToken] Of the person's session.
   * @returns {Promise<Answer>}
   */
  async post(route, body, sign, accessToken) {
    try {
      const response = await fetch(this.base + route, {
        method: 'POST',
        headers: {
          'Content-Type': 'application/json',
          ...(accessToken && { Authorization: 'Bearer ' + accessToken }),
        },
        body: JSON.stringify(body),
        credentials: 'omit',
        cache: 'no-store',
        referrerPolicy: 'no-referrer',
        redirect: 'error',
        signal: AbortSignal.timeout?.(TIMEOUT),
      });
      if (response.status === 204) return {};
      const answer = await response.json();
      // An app's own backend may give no refresh token.
      if (answer.error || answer[sign]) return answer;
    } catch {
      // There was no answer, or it was not the bridge's.
    }
    return { error: 'network_error', error_description: TEXT.noConnection };
  }
}
