// What GoTrue says when the provider flow fails, in the codes and the words of the SDK: GoTrue's own are
// for developers.

import { failed, TEXT } from './result.js';

/** @import { Failed } from '../tikbridge.js' */

/** Without a verifier, older versions of supabase-js ask GoTrue with an empty one. */
const NO_VERIFIER = /^(pkce_code_verifier_not_found|validation_failed)$/;

/** @type {[own: string, text: string, gotrue: RegExp][]} */
const KNOWN = [
  // supabase-js keeps one verifier: the last.
  ['invalid_state', TEXT.startedAgain, /^bad_code_verifier$/],
  ['invalid_state', TEXT.startedAgain, NO_VERIFIER],
  ['invalid_state', TEXT.tooLate, /^(flow_state_\w+|bad_oauth_\w+)$/],
  ['user_banned', TEXT.banned, /^user_banned$/],
  ['sign_in_refused', TEXT.refused, /^(signup|provider)_disabled$/],
  ['rate_limited', TEXT.busy, /^over_\w+_rate_limit$/],
  ['supabase_unavailable', TEXT.notAnswering, /^(request_timeout|temporarily_unavailable)$/],
  ['identity_already_exists', TEXT.linked, /^identity_already_exists$/],
  ['manual_linking_disabled', TEXT.setUp, /^manual_linking_disabled$/],
  // The page /return of the bridge says these.
  ['implicit_flow', TEXT.setUp, /^implicit_flow$/],
  ['scheme_not_allowed', TEXT.setUp, /^scheme_not_allowed$/],
];

/**
 * @param {string | undefined} code
 * @returns {Failed}
 */
export function explainCode(code = '') {
  const [own, text] = KNOWN.find(([, , gotrue]) => gotrue.test(code)) ?? ['internal', TEXT.broken];
  return failed(own, text);
}

/**
 * @param {any} cause An error of supabase-js.
 * @returns {Failed}
 */
export function explainError(cause) {
  const offline = cause?.name === 'AuthRetryableFetchError';
  return { ...(offline ? failed('network_error', TEXT.noConnection) : explainCode(cause?.code)), cause };
}

/** @param {any} error */
export function lacksVerifier(error) {
  return NO_VERIFIER.test(error?.code);
}
