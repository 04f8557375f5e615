import { findOtherAccount } from './account.js';
import { returnAddress } from './address.js';
import { Bridge } from './bridge.js';
import { inBrowser, isDespia } from './environment.js';
import { failed, isTemporary, refusal, TEXT } from './result.js';
import { canHash, randomString, sha256 } from './secrets.js';
import { browserStores, RecentValues } from './storage.js';
import { inTime } from './time-limit.js';

/** @import { Arrival } from './address.js' */
/** @import { Page } from './page.js' */
/** @import { Failed, Result, Session, SignInOptions, TikTokSignIn, TikTokSignInOptions } from '../tikbridge.js' */

/** How long a sign-in may take, as on the bridge. */
const LIFETIME = 10 * 60_000;

/**
 * @param {Page} page
 * @param {TikTokSignInOptions} options
 * @returns {TikTokSignIn}
 */
export function createSignIn(page, { bridgeUrl, supabase, setSession, scheme, despia, storage }) {
  const platform = isDespia() ? 'native' : 'web';
  const bridge = new Bridge(bridgeUrl);
  const stores = [page.store, ...(storage ? [storage] : browserStores())];
  /** The verifiers of sign-ins under way. */
  const verifiers = new RecentValues(stores, 'tikbridge.flows', LIFETIME);
  /** The ends of the ids of arrivals that are done with. */
  const handled = new RecentValues(stores, 'tikbridge.arrivals', LIFETIME);

  if (platform === 'native' && !verifiers.isEmpty()) watchAddress();

  /**
   * @param {SignInOptions} [options]
   * @returns {Promise<Failed | null>}
   */
  async function signIn({ redirectTo, selectAccount, replaceSession } = {}) {
    page.handleArrival = handleArrival;
    page.retry = undefined;
    const obstacle = await findObstacle(replaceSession);
    if (obstacle) {
      page.tell(obstacle);
      return obstacle;
    }
    const verifier = randomString();
    /** @type {Record<string, string>} */
    const parameters = { platform, challenge: await sha256(verifier) };
    if (selectAccount) parameters.select_account = '1';
    if (platform === 'web') parameters.redirect_to = returnAddress(redirectTo);
    else if (scheme) parameters.scheme = scheme;
    verifiers.add(verifier);
    page.awayFrom = platform;

    const address = bridge.startAddress(parameters);
    if (platform === 'web') {
      location.assign(address);
    } else {
      watchAddress();
      openSecureBrowser(address);
    }
    return null;
  }

  /**
   * @param {boolean | undefined} replaceSession
   * @returns {Promise<Failed | null>} Why a sign-in cannot begin.
   */
  async function findObstacle(replaceSession) {
    if (!canHash()) return failed('insecure_context', TEXT.insecure);
    return supabase && !replaceSession ? findOtherAccount(supabase) : null;
  }

  /** @returns {Promise<Result | null>} */
  async function handleRedirect() {
    if (!inBrowser) return null;
    page.handleArrival = handleArrival;
    const result = handleArrival() ?? page.latestInProgress();
    if (result) return result;
    return page.retry ? page.run('retry', page.retry) : null;
  }

  /** @param {(result: Result) => void} callback */
  function onResult(callback) {
    page.handleArrival = handleArrival;
    page.subscribers.add(callback);
    return () => {
      page.subscribers.delete(callback);
    };
  }

  /** Despia takes what is assigned to window.despia for a command. @param {string} address */
  function openSecureBrowser(address) {
    const command = 'oauth://?url=' + encodeURIComponent(address);
    if (despia) despia(command);
    else Object.assign(window, { despia: command });
  }

  function watchAddress() {
    page.watchAddress(() => !verifiers.isEmpty());
  }

  /** @returns {Promise<Result> | null | undefined} undefined: it was handled before. */
  function handleArrival() {
    const arrival = page.takeArrival();
    if (!arrival) return null;
    // A router may put the old address back.
    const mark = arrival.id.slice(-32);
    if (page.inProgress.has(arrival.id) || handled.all().includes(mark)) return page.inProgress.get(arrival.id);

    page.awayFrom = '';
    return page.run(arrival.id, async function attempt() {
      page.retry = undefined;
      const result = await resultOf(arrival);
      if (arrival.handoff && isTemporary(result)) page.retry = attempt;
      else handled.add(mark);
      return result;
    });
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
        return deliver(/** @type {Session} */ (answer));
      }
      result = refusal(answer.error, answer.error_description, answer.request_id);
      if (answer.error !== 'handoff_invalid') break;
    }
    return result;
  }

  /**
   * Gives the session to the app.
   * @param {Session} session
   * @returns {Promise<Result>}
   */
  async function deliver(session) {
    page.retry = undefined;
    const taken = giveToApp(session);
    try {
      await inTime(taken, 'setSession');
      return { status: 'signed_in', session };
    } catch (cause) {
      const retry = () => deliver(session);
      page.retry = retry;
      // After the time limit it may come to an end all the same.
      taken.then(() => {
        if (page.retry !== retry) return;
        page.retry = undefined;
        page.tell({ status: 'signed_in', session });
      }, () => {});
      return { ...failed('invalid_session', TEXT.tryAgain), cause };
    }
  }

  /** @param {Session} session */
  async function giveToApp(session) {
    const { access_token, refresh_token } = session;
    const taken = await (setSession ? setSession(session) : supabase.auth.setSession({ access_token, refresh_token }));
    if (taken?.error) throw taken.error;
  }

  return { signIn, handleRedirect, onResult };
}
