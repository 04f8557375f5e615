// What GoTrue says when the provider flow fails, in the codes and the words of the SDK: GoTrue's own are
// for developers.

import { failed, TEXT } from './result.js';

/** @import { Failed } from '../tikbridge.js' */

/** Without a verifier, older versions of supabase-js ask GoTrue with an empty one. */
const NO_VERIFIER = /^(pkce_code_verifier_not_found|validation_failed)$/;

/** @type {[gotrue: RegExp, text: string, own?: string][]} The codes without an own one are the same. */
const KNOWN = [
  [/^bad_code_verifier$/, TEXT.startedAgain, 'invalid_state'], // supabase-js keeps one verifier: the last
  [NO_VERIFIER, TEXT.startedAgain, 'invalid_state'],
  [/^(flow_state|bad_oauth|oauth_client_state)_/, TEXT.tooLate, 'invalid_state'],
  [/^user_banned$/, TEXT.banned],
  [/^(signup_disabled|unknown)$/, TEXT.refused, 'sign_in_refused'], // unknown: by a hook
  [/^(provider_disabled|oauth_provider_not_supported)$/, TEXT.setUp, 'supabase_misconfigured'],
  [/^over_\w+_rate_limit$/, TEXT.busy, 'rate_limited'],
  [/^(request_timeout|temporarily_unavailable)$/, TEXT.broken, 'supabase_unavailable'],
  [/^identity_already_exists$/, TEXT.linked],
  // The page /return of the bridge says the other two.
  [/^(manual_linking_disabled|implicit_flow|scheme_not_allowed)$/, TEXT.setUp],
];

/**
 * @param {string | undefined} code
 * @returns {Failed}
 */
export function explainCode(code = '') {
  const [, text, own = code] = KNOWN.find(([gotrue]) => gotrue.test(code)) ?? [, TEXT.broken, 'internal'];
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
