// TikTok's own tokens, which the bridge refreshes. They are kept beside the session: supabase-js drops them when
// it refreshes that.

import { currentSession, userId } from './account.js';
import { inBrowser } from './environment.js';
import { exclusively } from './lock.js';
import { failed, TEXT } from './result.js';
import { browserStores } from './storage.js';

/** @import { Account } from './account.js' */
/** @import { Answer, Bridge } from './bridge.js' */
/** @import { Page } from './page.js' */
/** @import { AccessToken, AccessTokenOptions, Failed } from '../tikbridge.js' */

const KEY = 'tikbridge.tokens';

/** What is about to expire is not given away, in milliseconds. */
const MARGIN = 60_000;

/**
 * @typedef {object} Kept
 * @property {string} user Whose they are.
 * @property {string} [token]
 * @property {string} [refreshToken] None once TikTok has said that the grant is over.
 * @property {number} [expiresAt] In milliseconds. GoTrue does not say it, so there the first use refreshes.
 * @property {string[]} [scopes] That the person granted. GoTrue does not say them either.
 */

export class Tokens {
  /**
   * @param {Page} page
   * @param {Bridge} bridge
   * @param {any} options TikTokSignInOptions
   */
  constructor(page, bridge, { supabase, getSession, storage }) {
    this.page = page;
    this.bridge = bridge;
    const [, allTabs = page.store] = browserStores();
    this.store = storage ?? allTabs;
    const auth = supabase?.auth ?? { getSession: async () => ({ data: { session: await getSession?.() } }) };
    this.findSession = () => currentSession({ auth });
    // Without a session in other events, it may just be out of reach.
    if (inBrowser) auth.onAuthStateChange?.((/** @type {string} */ event, /** @type {any} */ session) => {
      if (session || event === 'SIGNED_OUT') this.keptFor(session);
    });
  }

  /**
   * Keeps what a sign-in brought.
   * @param {any} session
   */
  keep(session) {
    if (session.provider_refresh_token) this.write(fromAnswer(userId(session), session));
  }

  /**
   * @param {AccessTokenOptions} [options]
   * @returns {Promise<AccessToken>}
   */
  async accessToken({ scopes = [] } = {}) {
    const tokens = await this.fresh();
    if ('error' in tokens) return tokens;
    const { token = '', scopes: granted = [], expiresAt = 0 } = tokens;
    if (scopes.some((scope) => !granted.includes(scope))) return failed('not_granted', TEXT.notGranted);
    return { token, scopes: granted, expires_at: Math.floor(expiresAt / 1000) };
  }

  /** @returns {Promise<Failed | null>} */
  async revoke() {
    const { session, kept, failure } = await this.find();
    if (failure) return failure;
    const result = await this.spend(session, kept, 'revoke');
    return 'error' in result ? result : null;
  }

  /**
   * Who asks for the same refresh meanwhile gets the same.
   * @private
   * @returns {Promise<Kept | Failed>}
   */
  async fresh() {
    const { session, kept, failure } = await this.find();
    if (failure) return failure;
    const { refreshToken = '' } = kept;
    if (isFresh(kept)) return kept;
    const { refreshes } = this.page;
    const refresh = refreshes.get(refreshToken) ?? this.spend(session, kept, 'token');
    refreshes.set(refreshToken, refresh);
    return refresh.finally(() => refreshes.delete(refreshToken));
  }

  /**
   * @private
   * @returns {Promise<{ session: Account, kept: Kept, failure?: undefined } | { [name: string]: any, failure: Failed }>}
   */
  async find() {
    const { session, failure } = await this.findSession();
    if (failure) return { failure };
    const kept = this.keptFor(session);
    if (!session) return { failure: failed('signed_out', TEXT.signedOut) };
    return kept ? { session, kept } : { failure: failed('not_granted', TEXT.notGranted) };
  }

  /**
   * Uses a refresh token, in one tab at a time: TikTok takes each once.
   * @private
   * @param {Account} session
   * @param {Kept} asked
   * @param {'token' | 'revoke'} route
   * @returns {Promise<Kept | Failed>}
   */
  spend({ access_token }, { user }, route) {
    return exclusively(KEY, async () => {
      const kept = this.read();
      if (kept?.user !== user) return failed('signed_out', TEXT.signedOut);
      if (route === 'token' && isFresh(kept)) return kept; // another tab was faster
      if (!kept.refreshToken) return failed('revoked', TEXT.revoked);
      const body = { provider_refresh_token: kept.refreshToken };
      const answer = await this.bridge.post(route, body, 'provider_token', access_token);
      const now = this.read();
      if (now?.refreshToken !== kept.refreshToken) { // somebody signed in or out meanwhile
        return now?.user === user ? now : failed('signed_out', TEXT.signedOut);
      }
      const { error, error_description, request_id } = answer;
      if (error && error !== 'invalid_grant') {
        return failed(error === 'access_denied' ? 'signed_out' : error, error_description, request_id);
      }
      const next = error || route === 'revoke' ? { user } : fromAnswer(user, answer);
      this.write(next);
      return error ? failed('revoked', error_description, request_id) : next;
    });
  }

  /**
   * Throws away what is somebody else's.
   * @private
   * @param {Account | null | undefined} session
   * @returns {Kept | null}
   */
  keptFor(session) {
    const kept = this.read();
    if (!kept || (session && kept.user === userId(session))) return kept;
    this.write(null);
    return null;
  }

  /**
   * @private
   * @returns {Kept | null}
   */
  read() {
    try {
      return JSON.parse(this.store.getItem(KEY) ?? 'null');
    } catch {
      return null; // somebody else wrote here
    }
  }

  /**
   * @private
   * @param {Kept | null} kept
   */
  write(kept) {
    try {
      this.store.setItem(KEY, JSON.stringify(kept));
    } catch { // it is full: what it has is no longer good
      this.store = this.page.store;
      this.store.setItem(KEY, JSON.stringify(kept));
    }
  }
}

/** @param {Kept} kept */
function isFresh({ expiresAt = 0 }) {
  return expiresAt - MARGIN > Date.now();
}

/**
 * @param {string} user
 * @param {Answer} answer
 * @returns {Kept}
 */
function fromAnswer(user, { provider_token, provider_refresh_token, provider_expires_in, provider_scopes }) {
  return {
    user,
    token: provider_token,
    refreshToken: provider_refresh_token,
    expiresAt: provider_expires_in && Date.now() + provider_expires_in * 1000,
    scopes: provider_scopes,
  };
}
