import { failed, TEXT } from './result.js';
import { inTime } from './time-limit.js';

/** @import { Page } from './page.js' */
/** @import { Result } from '../tikbridge.js' */

/**
 * Waits for the app, or its supabase-js, to take a session. What comes after the time limit is told later;
 * until then, and after a failure, handleRedirect asks again.
 * @param {Page} page
 * @param {string} name Of what is called.
 * @param {() => Promise<Result>} take
 * @returns {Promise<Result>}
 */
export async function deliver(page, name, take) {
  page.retry = undefined;
  const taken = take();
  try {
    return await inTime(taken, name);
  } catch (cause) {
    const retry = () => deliver(page, name, take);
    page.retry = retry;
    taken.then((result) => {
      if (page.retry !== retry) return;
      page.retry = undefined;
      page.tell(result);
    }, () => {});
    return { ...failed('invalid_session', TEXT.tryAgain), cause };
  }
}
