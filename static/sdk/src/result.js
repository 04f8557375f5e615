/** @import { Cancelled, Failed, Result } from '../tikbridge.js' */

/** The words that the SDK adds to those of the bridge. All of them are for people. */
export const TEXT = {
  notStartedHere: 'This sign-in was not started here. Please sign in again.',
  noConnection: 'No connection. Please try again.',
  tryAgain: 'Please try again.',
  insecure: 'This page has no secure connection. Open it with https:// and try again.',
  alreadySignedIn: 'You are signed in with another account. Sign out first to continue with TikTok.',
  guest: 'You use this app as a guest. Signing in with TikTok would start a new account without what you have here.',
};

/** Errors that may be gone a moment later. */
const TEMPORARY = /^(network_error|rate_limited|\w+_unavailable)$/;

/**
 * @param {string} error
 * @param {string} [description]
 * @param {string} [requestId]
 * @returns {Failed}
 */
export function failed(error, description = '', requestId = '') {
  return { status: 'failed', error, error_description: description, request_id: requestId };
}

/**
 * What an error that came from elsewhere amounts to.
 * @param {string} error
 * @param {string} [description]
 * @param {string} [requestId]
 * @returns {Cancelled | Failed}
 */
export function refusal(error, description, requestId) {
  if (error === 'access_denied') return { status: 'cancelled' };
  return failed(/^\w{1,64}$/.test(error) ? error : 'internal', description, requestId);
}

/** @param {Result} result */
export function isTemporary(result) {
  return result.status === 'failed' && TEMPORARY.test(result.error);
}
