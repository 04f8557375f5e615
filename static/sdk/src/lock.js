import { randomString } from './secrets.js';
import { browserStores } from './storage.js';

/** A tab that is closed keeps its lease for so long: longer than the bridge takes to answer. */
const LEASE = 25_000;
const PAUSE = 50;

/**
 * Does some work that never rejects, in one tab at a time.
 * @template T
 * @param {string} name
 * @param {() => Promise<T>} work
 * @returns {Promise<T>}
 */
export async function exclusively(name, work) {
  const { locks } = /** @type {{ locks?: LockManager }} */ (globalThis.navigator ?? {});
  // It rejects where the browser stores nothing; other tabs have nothing to share then.
  return locks ? locks.request(name, work).catch(work) : lease(name + '.lock', work);
}

/**
 * For browsers of before 2022, which have no locks. Whoever wrote last has the lease.
 * @template T
 * @param {string} key
 * @param {() => Promise<T>} work
 * @returns {Promise<T>}
 */
async function lease(key, work) {
  const [, store] = browserStores();
  if (!store) return work();
  const mine = randomString();
  const isTaken = () => {
    const [holder, until] = (store.getItem(key) ?? '').split(' ');
    return holder !== mine && Number(until) > Date.now();
  };
  try {
    do {
      while (isTaken()) await pause();
      store.setItem(key, `${mine} ${Date.now() + LEASE}`);
      await pause();
    } while (isTaken());
  } catch {
    // A full store.
  }
  const result = await work();
  store.removeItem(key);
  return result;
}

function pause() {
  return new Promise((resolve) => setTimeout(resolve, PAUSE));
}
