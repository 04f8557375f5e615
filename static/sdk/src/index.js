// Sign in with TikTok, in browsers and in apps wrapped by Despia. ../tikbridge.d.ts says how to use it.
//
// A sign-in begins with a verifier that stays on this device. The handoff or code that comes back is
// worthless without it, so whoever intercepts a deeplink has nothing.

import { Page } from './page.js';
import { createSignIn } from './sign-in.js';

export { getTikTokOAuthUrl } from './guide.js';

// React's strict mode makes every object twice, so all objects of a page work on one state.
const page = new Page();
page.listen();

/**
 * @param {import('../tikbridge.js').TikTokSignInOptions} options
 * @returns {import('../tikbridge.js').TikTokSignIn | import('../tikbridge.js').TikTokProviderSignIn}
 */
export function createTikTokSignIn(options) {
  return createSignIn(page, options);
}
