// Who is signed in already.

import { failed, TEXT } from './result.js';
import { inTime } from './time-limit.js';

/** @import { Failed, SupabaseClientLike, SupabaseProviderClientLike } from '../tikbridge.js' */

/** @typedef {{ access_token: string, user?: any }} Account A session, as far as it is read. */

/**
 * Who is signed in. A session that could not be refreshed is still there, so that is a failure.
 * @param {SupabaseClientLike | SupabaseProviderClientLike} supabase
 * @returns {Promise<{ session?: Account | null, failure?: Failed }>}
 */
export async function currentSession(supabase) {
  try {
    const { data, error } = await inTime(supabase.auth.getSession(), 'getSession');
    if (error?.name === 'AuthRetryableFetchError') {
      return { failure: { ...failed('network_error', TEXT.noConnection), cause: error } };
    }
    return { session: data.session };
  } catch (cause) {
    return { failure: { ...failed('invalid_session', TEXT.tryAgain), cause } };
  }
}

/**
 * Looks for somebody who is signed in by other means than TikTok. A TikTok session would take the place of
 * theirs, and an anonymous account would be lost for good.
 * @param {SupabaseClientLike} supabase
 * @returns {Promise<Failed | null>} Why TikTok may not take over.
 */
export async function findOtherAccount(supabase) {
  const { session, failure } = await currentSession(supabase);
  return failure ?? otherAccount(session);
}

/**
 * @param {Account | null | undefined} session
 * @param {string} [provider]
 * @returns {Failed | null} Why TikTok may not take over.
 */
export function otherAccount(session, provider) {
  if (!session || isOfTikTok(session, provider)) return null;
  return failed('already_signed_in', isGuest(session) ? TEXT.guest : TEXT.alreadySignedIn);
}

/**
 * Whoever signs out of an anonymous account cannot get back in.
 * @param {Account} session
 * @returns {boolean}
 */
function isGuest(session) {
  return [readUser(session), readClaims(session)].some(({ is_anonymous }) => is_anonymous === true);
}

/**
 * @param {Account} session
 * @param {string} [provider] What the project calls TikTok.
 * @returns {boolean}
 */
export function isOfTikTok(session, provider = 'custom:tiktok') {
  return [readUser(session), readClaims(session)].some(({ app_metadata, identities }) => {
    const providers = [app_metadata?.provider, app_metadata?.providers, identities?.map(({ provider }) => provider)];
    return Boolean(app_metadata?.tiktok) || providers.flat().includes(provider);
  });
}

/**
 * @param {Account} session
 * @returns {boolean}
 */
export function hasEmail(session) {
  return [readUser(session), readClaims(session)].some(({ email }) => Boolean(email));
}

/**
 * Names a session as long as it lives, however often its tokens are refreshed.
 * @param {Account | null | undefined} session
 * @returns {string}
 */
export function sessionId(session) {
  return (session && readClaims(session).session_id) || '';
}

/**
 * @param {Account} session
 * @returns {string}
 */
export function userId(session) {
  return readClaims(session).sub || readUser(session).id || '';
}

/**
 * @typedef {object} Facts
 * @property {any} [app_metadata]
 * @property {string} [email]
 * @property {{ provider: string }[]} [identities]
 * @property {string} [id]
 * @property {boolean} [is_anonymous]
 * @property {string} [session_id]
 * @property {string} [sub]
 */

/**
 * With the option userStorage of supabase-js, a session may have a user that throws.
 * @param {{ user?: any }} session
 * @returns {Facts}
 */
function readUser(session) {
  try {
    const { app_metadata, email, id, identities, is_anonymous } = session.user;
    return { app_metadata, email, id, identities, is_anonymous };
  } catch {
    return {};
  }
}

/**
 * @param {{ access_token: string }} session
 * @returns {Facts}
 */
function readClaims({ access_token }) {
  try {
    const payload = access_token.split('.')[1].replaceAll('-', '+').replaceAll('_', '/');
    return JSON.parse(atob(payload));
  } catch {
    return {};
  }
}
