/** @import { Cancelled, Failed, Result } from '../tikbridge.js' */

/** The words that the SDK adds to those of the bridge. All of them are for people. */
export const TEXT = {
  notStartedHere: 'This sign-in was not started here. Please sign in again.',
  noConnection: 'No connection. Please try again.',
  tryAgain: 'Please try again.',
  insecure: 'This page has no secure connection. Open it with https:// and try again.',
  alreadySignedIn: 'You are signed in with another account. Sign out first to continue with TikTok.',
  guest: 'You use this app as a guest. Signing in with TikTok would start a new account without what you have here.',
  broken: 'Something went wrong. Please try again.',
  startedAgain: 'This sign-in was started again, and only the latest one counts. Please sign in again.',
  tooLate: 'This sign-in took too long, or was used already. Please sign in again.',
  banned: 'This account is blocked. Please contact the people who make this app.',
  refused: 'This app does not let you sign in. Please contact the people who make this app.',
  busy: 'Too many sign-ins right now. Please try again in a minute.',
  setUp: 'Sign-in is not set up correctly. Please tell the people who make this app.',
  notSignedIn: 'Sign in first, then connect TikTok.',
  noEmail: 'Add an e-mail address to your account first, then connect TikTok.',
  notGranted: 'This app has no access to that on TikTok. Sign in with TikTok and allow it.',
  revoked: 'TikTok no longer gives this app access to your account. Please sign in with TikTok again.',
  signedOut: 'You are signed out. Please sign in again.',
  linked: 'This TikTok account is already connected to an account.',
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
