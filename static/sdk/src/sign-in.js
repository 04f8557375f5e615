import { Bridge } from './bridge.js';
import { inBrowser, isDespia, openSecureBrowser } from './environment.js';
import { createHostedFlow } from './hosted.js';
import { createProviderFlow } from './provider.js';
import { failed, isTemporary, TEXT } from './result.js';
import { canHash } from './secrets.js';
import { browserStores, RecentValues, SIGN_IN_LIFETIME } from './storage.js';
import { Tokens } from './tokens.js';

/** @import { Arrival } from './address.js' */
/** @import { Page } from './page.js' */
/** @import { AccessTokenOptions, Failed, LinkOptions, Result, SignInOptions } from '../tikbridge.js' */
/** @import { TikTokProviderSignIn, TikTokSignIn } from '../tikbridge.js' */

/**
 * @typedef {object} Flow A way to sign in: hosted or provider.
 * @property {boolean} isProvider
 * @property {() => boolean} isUnderWay Could somebody come back from a sign-in?
 * @property {(options: SignInOptions) => Promise<string | Failed>} begin Returns the address to open.
 * @property {(options: LinkOptions) => Promise<string | Failed>} [beginLink] The same, to link TikTok.
 * @property {(arrival: Arrival) => Promise<Result>} resultOf
 * @property {() => Promise<Result | null>} [findResult] Of a sign-in that left nothing to handle.
 */

/**
 * @param {Page} page
 * @param {any} options TikTokSignInOptions; a check of provider does not tell TypeScript which.
 * @returns {TikTokSignIn | TikTokProviderSignIn}
 */
export function createSignIn(page, options) {
  const platform = isDespia() ? 'native' : 'web';
  const stores = [page.store, ...(options.storage ? [options.storage] : browserStores())];
  /** The ends of the ids of arrivals that are done with. */
  const handled = new RecentValues(stores, 'tikbridge.arrivals', SIGN_IN_LIFETIME);
  const bridge = new Bridge(options.bridgeUrl);
  const tokens = new Tokens(page, bridge, options);
  const flow = options.provider
    ? createProviderFlow(page, options, platform, tokens)
    : createHostedFlow(page, bridge, options, platform, stores, tokens);

  if (platform === 'native' && flow.isUnderWay()) watchAddress();

  /**
   * @param {SignInOptions} [signInOptions]
   * @returns {Promise<Failed | null>}
   */
  function signIn(signInOptions = {}) {
    return start(() => flow.begin(signInOptions));
  }

  /**
   * @param {LinkOptions} [linkOptions]
   * @returns {Promise<Failed | null>}
   */
  function link(linkOptions = {}) {
    return start(() => flow.beginLink(linkOptions));
  }

  /**
   * @param {() => Promise<string | Failed>} begin
   * @returns {Promise<Failed | null>} Why a sign-in cannot begin.
   */
  async function start(begin) {
    page.handleArrival = handleArrival;
    page.retry = undefined;
    const address = canHash() ? await begin() : failed('insecure_context', TEXT.insecure);
    if (typeof address !== 'string') {
      page.tell(address);
      return address;
    }
    page.awayFrom = platform;
    if (platform === 'web') {
      location.assign(address);
    } else {
      watchAddress();
      openSecureBrowser(address, options.despia);
    }
    return null;
  }

  /** @returns {Promise<Result | null>} */
  async function handleRedirect() {
    if (!inBrowser) return null;
    page.handleArrival = handleArrival;
    const result = handleArrival() ?? page.latestInProgress();
    if (result) return result;
    if (page.retry) return page.run('retry', page.retry);
    return flow.findResult?.() ?? null;
  }

  /** @param {(result: Result) => void} callback */
  function onResult(callback) {
    page.handleArrival = handleArrival;
    page.subscribers.add(callback);
    return () => {
      page.subscribers.delete(callback);
    };
  }

  function watchAddress() {
    page.watchAddress(flow.isUnderWay);
  }

  /** @returns {Promise<Result> | null | undefined} undefined: it was handled before. */
  function handleArrival() {
    const arrival = page.takeArrival(flow.isProvider);
    if (!arrival) return null;
    // A router may put the old address back.
    const mark = arrival.id.slice(-32);
    if (page.inProgress.has(arrival.id) || handled.all().includes(mark)) return page.inProgress.get(arrival.id);

    page.awayFrom = '';
    return page.run(arrival.id, async function attempt() {
      page.retry = undefined;
      const result = await flow.resultOf(arrival);
      if (arrival.handoff && isTemporary(result)) page.retry = attempt;
      else handled.add(mark);
      return result;
    });
  }

  const object = {
    signIn,
    handleRedirect,
    onResult,
    /** @param {AccessTokenOptions} [wanted] */
    accessToken: (wanted) => tokens.accessToken(wanted),
    revoke: () => tokens.revoke(),
  };
  return flow.beginLink ? { ...object, link } : object;
}
