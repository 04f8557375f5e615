import { inBrowser } from './environment.js';
import { memoryStore } from './storage.js';

/** @import { Result } from '../tikbridge.js' */

/** From coming back to the app until its deeplink arrives. */
const GRACE = 1500;
const WATCH_INTERVAL = 500;

/** The state that all sign-in objects of a page share. */
export class Page {
  constructor() {
    this.store = memoryStore();
    /**
     * Looks at the address for the object that was used last, and handles what has arrived.
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
    this.graceTimer = 0;
    this.watchTimer = 0;
  }

  /** Notices when somebody comes back, and when a router changes the address of a page that stays. */
  listen() {
    if (!inBrowser) return;
    addEventListener('popstate', () => this.handleArrival());
    addEventListener('pageshow', (event) => this.returned(event.persisted));
    addEventListener('focus', () => this.returned(false));
    addEventListener('blur', () => this.left());
    document.addEventListener('visibilitychange', () => {
      if (document.visibilityState === 'visible') this.returned(false);
      else this.left();
    });
    /** @type {any} */ (globalThis).navigation?.addEventListener('navigatesuccess', () => this.handleArrival());
  }

  /**
   * Looks again and again, as nothing tells of a router's new address where there is no Navigation API.
   * @param {() => boolean} isWaiting
   */
  watchAddress(isWaiting) {
    clearInterval(this.watchTimer);
    this.watchTimer = window.setInterval(() => {
      if (isWaiting()) this.handleArrival();
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
   * A callback that throws does not stop the others.
   * @param {Result} result
   */
  tell(result) {
    for (const callback of this.subscribers) Promise.resolve(result).then(callback);
  }

  /**
   * Nobody tells of a secure browser that was closed, nor of a step back to this page. Without a result
   * soon after, the sign-in counts as cancelled.
   * @private
   * @param {boolean} fromCache The browser kept the page as it was.
   */
  returned(fromCache) {
    this.handleArrival();
    clearTimeout(this.graceTimer);
    const visible = document.visibilityState === 'visible';
    if (!fromCache && !(visible && this.awayFrom === 'native')) return;
    this.graceTimer = window.setTimeout(() => {
      this.handleArrival();
      if (this.awayFrom) this.tell({ status: 'cancelled' });
      this.awayFrom = '';
    }, GRACE);
  }

  /** @private */
  left() {
    this.handleArrival();
    clearTimeout(this.graceTimer);
  }
}
