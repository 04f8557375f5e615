import { inBrowser } from './environment.js';

const MAX_VALUES = 5;

/** How long a sign-in may take, in milliseconds, as on the bridge. GoTrue gives up after half of it. */
export const SIGN_IN_LIFETIME = 10 * 60_000;

/** @typedef {Pick<Storage, 'getItem' | 'setItem'>} Store */

/**
 * This tab's store comes first. localStorage is for web views that are loaded again, and for TikTok's app,
 * which may return to another tab. A browser that blocks storage throws when it is only named.
 * @returns {Storage[]}
 */
export function browserStores() {
  if (!inBrowser) return [];
  return [() => sessionStorage, () => localStorage].flatMap((open) => {
    try {
      return [open()];
    } catch {
      return [];
    }
  });
}

/**
 * A store for where the browser has none: it lives as long as the page.
 * @returns {Store}
 */
export function memoryStore() {
  /** @type {Map<string, string>} */
  const values = new Map();
  return {
    getItem: (key) => values.get(key) ?? null,
    setItem: (key, value) => void values.set(key, value),
  };
}

/** @typedef {[value: string, savedAt: number]} Entry */

/** The last few values under a key, in several stores at once, as one or the other may lose them. */
export class RecentValues {
  /**
   * @param {Store[]} stores
   * @param {string} key
   * @param {number} lifetime In milliseconds.
   */
  constructor(stores, key, lifetime) {
    this.stores = stores;
    this.key = key;
    this.lifetime = lifetime;
  }

  /**
   * The newest of each store first, without those that are too old.
   * @returns {string[]}
   */
  all() {
    return [...new Set(this.stores.flatMap((store) => this.read(store)).map(([value]) => value))];
  }

  isEmpty() {
    return this.all().length === 0;
  }

  /** @param {string} value */
  add(value) {
    /** @type {Entry} */
    const entry = [value, Date.now()];
    this.change((others) => [entry, ...others].slice(0, MAX_VALUES), value);
  }

  /** @param {string} value */
  remove(value) {
    this.change((others) => others, value);
  }

  /**
   * @private
   * @param {(others: Entry[]) => Entry[]} change
   * @param {string} value
   */
  change(change, value) {
    for (const store of this.stores) {
      const others = this.read(store).filter(([other]) => other !== value);
      try {
        store.setItem(this.key, JSON.stringify(change(others)));
      } catch {
        // A full store; another one has the value.
      }
    }
  }

  /**
   * @private
   * @param {Store} store
   * @returns {Entry[]}
   */
  read(store) {
    try {
      /** @type {Entry[]} */
      const entries = JSON.parse(store.getItem(this.key) ?? '[]');
      return entries.filter(([, savedAt]) => Math.abs(Date.now() - savedAt) < this.lifetime);
    } catch {
      return []; // Somebody else wrote here.
    }
  }
}
