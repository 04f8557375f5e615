// The hosted flow: the bridge leads from signIn() to the session.

import { findOtherAccount } from './account.js';
import { returnAddress } from './address.js';
import { deliver } from './deliver.js';
import { failed, refusal, TEXT } from './result.js';
import { randomString, sha256 } from './secrets.js';
import { RecentValues, SIGN_IN_LIFETIME } from './storage.js';

/** @import { Arrival } from './address.js' */
/** @import { Bridge } from './bridge.js' */
/** @import { Page } from './page.js' */
/** @import { Flow } from './sign-in.js' */
/** @import { Store } from './storage.js' */
/** @import { Tokens } from './tokens.js' */
/** @import { Result, Session, HostedOptions } from '../tikbridge.js' */

/**
 * @param {Page} page
 * @param {Bridge} bridge
 * @param {HostedOptions} options
 * @param {'web' | 'native'} platform
 * @param {Store[]} stores
 * @param {Tokens} tokens
 * @returns {Flow}
 */
export function createHostedFlow(page, bridge, { supabase, setSession, scheme }, platform, stores, tokens) {
  /** The verifiers of sign-ins under way. */
  const verifiers = new RecentValues(stores, 'tikbridge.flows', SIGN_IN_LIFETIME);

  /** @type {Flow['begin']} */
  async function begin({ redirectTo, selectAccount, replaceSession }) {
    const obstacle = supabase && !replaceSession ? await findOtherAccount(supabase) : null;
    if (obstacle) return obstacle;
    const verifier = randomString();
    /** @type {Record<string, string>} */
    const parameters = { platform, challenge: await sha256(verifier) };
    if (selectAccount) parameters.select_account = '1';
    if (platform === 'web') parameters.redirect_to = returnAddress(redirectTo);
    else if (scheme) parameters.scheme = scheme;
    verifiers.add(verifier);
    return bridge.startAddress(parameters);
  }

  /**
   * @param {Arrival} arrival
   * @returns {Promise<Result>}
   */
  async function resultOf(arrival) {
    if (arrival.handoff) return redeem(arrival.handoff);
    // Anybody can write an address: its words count during a sign-in only.
    const description = verifiers.isEmpty() ? '' : arrival.description;
    return refusal(arrival.error, description, arrival.id);
  }

  /**
   * A handoff does not say whose it is, so the verifiers kept here are tried in turn.
   * @param {string} handoff
   * @returns {Promise<Result>}
   */
  async function redeem(handoff) {
    /** @type {Result} */
    let result = failed('handoff_invalid', TEXT.notStartedHere);
    for (const verifier of verifiers.all()) {
      const answer = await bridge.redeem(handoff, verifier);
      if (!answer.error) {
        verifiers.remove(verifier);
        const session = /** @type {Session} */ (answer);
        return deliver(page, 'setSession', () => giveToApp(session));
      }
      result = refusal(answer.error, answer.error_description, answer.request_id);
      if (answer.error !== 'handoff_invalid') break;
    }
    return result;
  }

  /**
   * @param {Session} session
   * @returns {Promise<Result>}
   */
  async function giveToApp(session) {
    const { access_token, refresh_token } = session;
    const taken = await (setSession ? setSession(session) : supabase.auth.setSession({ access_token, refresh_token }));
    if (taken?.error) throw taken.error;
    tokens.keep(session);
    return { status: 'signed_in', session };
  }

  return { isProvider: false, isUnderWay: () => !verifiers.isEmpty(), begin, resultOf };
}
