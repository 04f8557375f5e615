import { randomString } from './secrets.js';
import { browserStores } from './storage.js';

/** Where the page auth.html of the guide flow looks for the state. */
const STATE_KEY = 'tikbridge.state';

/**
 * The address of TikTok's consent page, for the guide flow.
 * @param {import('../tikbridge.js').OAuthUrlOptions} options
 */
export function getTikTokOAuthUrl(options) {
  const { clientKey, appUrl = '', isNative, scheme, scopes = 'user.info.basic' } = options;
  const state = crypto.randomUUID?.() ?? randomString();
  // The native callback is another browser, which could not compare it.
  if (!isNative) browserStores()[0]?.setItem(STATE_KEY, state);
  const callback = appUrl.replace(/\/+$/, '') + (isNative ? '/native-callback' : '/auth');
  return 'https://www.tiktok.com/v2/auth/authorize/?' + new URLSearchParams({
    client_key: clientKey,
    response_type: 'code',
    scope: String(scopes),
    redirect_uri: options.redirectUri ?? callback,
    state: isNative && scheme ? `${state}|${scheme}` : state,
  });
}
