// Who is signed in already.

import { failed, TEXT } from './result.js';
import { inTime } from './time-limit.js';

/** @import { Failed, SupabaseClientLike } from '../tikbridge.js' */

const PROVIDER = 'custom:tiktok';

/**
 * Looks for somebody who is signed in by other means than TikTok. A TikTok session would take the place of
 * theirs, and an anonymous account would be lost for good.
 * @param {SupabaseClientLike} supabase
 * @returns {Promise<Failed | null>} Why TikTok may not take over.
 */
export async function findOtherAccount(supabase) {
  let session;
  try {
    const { data, error } = await inTime(supabase.auth.getSession(), 'getSession');
    // A session that could not be refreshed is still there.
    if (error?.name === 'AuthRetryableFetchError') {
      return { ...failed('network_error', TEXT.noConnection), cause: error };
    }
    session = data.session;
  } catch (cause) {
    return { ...failed('invalid_session', TEXT.tryAgain), cause };
  }
  if (!session || isOfTikTok(session)) return null;
  return failed('already_signed_in', isGuest(session) ? TEXT.guest : TEXT.alreadySignedIn);
}

/**
 * Whoever signs out of an anonymous account cannot get back in.
 * @param {{ access_token: string, user?: any }} session
 * @returns {boolean}
 */
function isGuest(session) {
  return [readUser(session), readClaims(session)].some(({ is_anonymous }) => is_anonymous === true);
}

/**
 * @param {{ access_token: string, user?: any }} session
 * @returns {boolean}
 */
function isOfTikTok(session) {
  return [readUser(session), readClaims(session)].some(({ app_metadata, identities }) => {
    const providers = [app_metadata?.provider, app_metadata?.providers, identities?.map(({ provider }) => provider)];
    return Boolean(app_metadata?.tiktok) || providers.flat().includes(PROVIDER);
  });
}

/** @typedef {{ app_metadata?: any, identities?: { provider: string }[], is_anonymous?: boolean }} Facts */

/**
 * With the option userStorage of supabase-js, a session may have a user that throws.
 * @param {{ user?: any }} session
 * @returns {Facts}
 */
function readUser(session) {
  try {
    const { app_metadata, identities, is_anonymous } = session.user;
    return { app_metadata, identities, is_anonymous };
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
