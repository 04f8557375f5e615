/** Longer than supabase-js takes on a slow network. */
const LIMIT = 10_000;

/**
 * Rejects if a promise is not settled in time. supabase-js does not return if the app waits for it in a
 * callback of onAuthStateChange.
 * @template T
 * @param {Promise<T>} promise
 * @param {string} name Of what was called.
 * @returns {Promise<T>}
 */
export function inTime(promise, name) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`${name} did not return within ${LIMIT / 1000} seconds`)), LIMIT);
    promise.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}
