import { inBrowser } from './environment.js';
import { takeFromAddress, takeGoTrueAnswer } from './address.js';
import { browserStores, memoryStore, RecentValues, SIGN_IN_LIFETIME } from './storage.js';

/** @import { Arrival } from './address.js' */
/** @import { Result } from '../tikbridge.js' */

/** How long a handoff lives, as on the bridge. */
const HANDOFF_LIFETIME = 60_000;

/** From coming back to the app until its deeplink arrives. */
const GRACE = 1500;
const WATCH_INTERVAL = 500;

/** The state that all sign-in objects of a page share. */
export class Page {
  constructor() {
    this.store = memoryStore();
    const stores = browserStores();
    const [tabStore = this.store] = stores;
    /**
     * What has arrived and nobody has handled yet. This tab keeps it: the page may be loaded again before,
     * or the app may handle it with another copy of this script.
     */
    this.waiting = new RecentValues([this.store, tabStore], 'tikbridge.waiting', HANDOFF_LIFETIME);
    /** Sign-ins of the provider flow: the session before, and when they began. */
    this.providerFlows = new RecentValues([this.store, ...stores], 'tikbridge.provider', SIGN_IN_LIFETIME);
    /** @type {Set<string>} */
    this.takenCodes = new Set();
    /**
     * The search for a session that supabase-js made by itself.
     * @type {Promise<Result | null> | undefined}
     */
    this.finding = undefined;
    /**
     * Handles what has arrived, for the object that was used last.
     * @type {() => Promise<Result> | null | undefined}
     */
    this.handleArrival = () => null;
    /**
     * Does once more what failed and may work now.
     * @type {(() => Promise<Result>) | undefined}
     */
    this.retry = undefined;
    /**
     * Where the person was sent to TikTok, until something is known to have come of it.
     * @type {'web' | 'native' | ''}
     */
    this.awayFrom = '';
    /** @type {Set<(result: Result) => void>} */
    this.subscribers = new Set();
    /** @type {Map<string, Promise<Result>>} */
    this.inProgress = new Map();
    /**
     * Refreshes of TikTok's tokens, by the refresh token.
     * @type {Map<string, Promise<any>>}
     */
    this.refreshes = new Map();
    /** @type {string | undefined} The access token of the last session that was told of. */
    this.toldToken = undefined;
    this.graceTimer = 0;
    this.watchTimer = 0;
  }

  /**
   * Takes the bridge's answer out of the address before anything else of the page can read it. Notices
   * later when somebody comes back, and when a router changes the address of a page that stays.
   */
  listen() {
    if (!inBrowser) return;
    this.readAddress();
    addEventListener('popstate', () => this.look());
    addEventListener('pageshow', (event) => this.returned(event.persisted));
    addEventListener('focus', () => this.returned(false));
    addEventListener('blur', () => this.left());
    document.addEventListener('visibilitychange', () => {
      if (document.visibilityState === 'visible') this.returned(false);
      else this.left();
    });
    /** @type {any} */ (globalThis).navigation?.addEventListener('navigatesuccess', () => this.look());
  }

  /** Moves the answer of the bridge or of GoTrue from the address to what is waiting. */
  readAddress() {
    const [flow = ''] = this.providerFlows.all();
    const arrival = takeFromAddress() ?? takeGoTrueAnswer(flow, this.takenCodes);
    if (arrival) this.waiting.add(JSON.stringify(arrival));
  }

  look() {
    this.readAddress();
    this.handleArrival();
  }

  /**
   * The newest arrival of a flow that nobody has handled. Older ones are dropped: their sign-ins are over.
   * @param {boolean} ofProvider
   * @returns {Arrival | null}
   */
  takeArrival(ofProvider) {
    this.readAddress();
    const all = this.waiting.all().filter((arrival) => Boolean(JSON.parse(arrival).ofProvider) === ofProvider);
    for (const arrival of all) this.waiting.remove(arrival);
    return all.length ? JSON.parse(all[0]) : null;
  }

  /**
   * Looks again and again, as nothing tells of a router's new address where there is no Navigation API.
   * @param {() => boolean} isWaiting
   */
  watchAddress(isWaiting) {
    clearInterval(this.watchTimer);
    this.watchTimer = window.setInterval(() => {
      if (isWaiting()) this.look();
      else clearInterval(this.watchTimer);
    }, WATCH_INTERVAL);
  }

  /**
   * Does some work and tells everybody its result. Who asks for the same work meanwhile gets the same.
   * @param {string} id
   * @param {() => Promise<Result>} work
   * @returns {Promise<Result>}
   */
  run(id, work) {
    const promise = work().then((result) => {
      this.tell(result);
      setTimeout(() => this.inProgress.delete(id)); // after all who ask in one breath
      return result;
    });
    this.inProgress.set(id, promise);
    return promise;
  }

  /** @returns {Promise<Result> | undefined} */
  latestInProgress() {
    return [...this.inProgress.values()].pop();
  }

  /**
   * A callback that throws does not stop the others. A session may be found in two ways at once, and is told of
   * once.
   * @param {Result} result
   */
  tell(result) {
    const token = result.status === 'signed_in' ? result.session?.access_token : undefined;
    if (token && token === this.toldToken) return;
    this.toldToken = token ?? this.toldToken;
    for (const callback of this.subscribers) Promise.resolve(result).then(callback);
  }

  /**
   * Nobody tells of a secure browser that was closed, nor of a step back to this page. Without a result
   * soon after, the sign-in counts as cancelled.
   * @private
   * @param {boolean} fromCache The browser kept the page as it was.
   */
  returned(fromCache) {
    this.look();
    const visible = document.visibilityState === 'visible';
    // Firefox gives a page from its cache the focus as well, just afterwards.
    if (!fromCache && !(visible && this.awayFrom === 'native')) return;
    clearTimeout(this.graceTimer);
    this.graceTimer = window.setTimeout(() => {
      this.look();
      if (this.awayFrom) this.tell({ status: 'cancelled' });
      this.awayFrom = '';
    }, GRACE);
  }

  /**
   * What arrives now is left for later: a page that is about to be loaded again would begin to redeem in
   * vain.
   * @private
   */
  left() {
    clearTimeout(this.graceTimer);
  }
}
