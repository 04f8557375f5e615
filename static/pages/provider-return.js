// provider-return.html: runs in the secure browser session of a wrapped app. Supabase redirects here with
// its code or an error; a deeplink carries that to the app and, by its oauth/ prefix, closes the browser
// session. Only the app has the verifier without which the code is worthless.

import { chooseScheme, deeplink, failure, follow, readConfig, show, showFailure } from './pages.js';

const TEXT = {
  openApp: 'Open the app',
  startPage: 'Go to the start page',
  done: {
    title: 'Almost done',
    text: 'If the app does not open by itself, use the button.',
  },
  nothing: {
    title: 'Nothing left to do here',
    text: 'This page brings you back to the app after a sign-in. Go back to the app; you can close this page.',
  },
  implicit: 'Tokens in an address are not supported. They were not used.',
  noScheme: {
    title: 'No app to return to',
    text:
      'This page brings people back to an app, but none is set up here. ' +
      'On the web, sign in from the website instead.',
  },
};

const config = readConfig();
const answer = takeAnswer();

run();

// Back from the back/forward cache the card is still there as it was left; nothing is sent again.
addEventListener('pageshow', (event) => {
  if (event.persisted) document.getElementById('action')?.focus({ preventScroll: true });
});

/**
 * Takes everything but the scheme out of the address bar and the history. Supabase puts errors into the query
 * and the fragment, and tokens into the fragment.
 */
function takeAnswer() {
  const query = new URLSearchParams(location.search);
  const fragment = new URLSearchParams(location.hash.slice(1));
  /** @param {string} name */
  const read = (name) => query.get(name) || fragment.get(name) || '';
  const scheme = query.get('scheme') ?? '';
  const here = location.pathname + (scheme && '?scheme=' + encodeURIComponent(scheme));
  history.replaceState(history.state, '', here);
  return {
    scheme,
    code: read('code'),
    error: read('error'),
    // Supabase gives a refusal of a hook an empty one, and what the person said none at all.
    errorCode: read('error_code') || (query.has('error_code') ? 'unknown' : ''),
    hasTokens: ['access_token', 'refresh_token', 'provider_token'].some(read),
  };
}

function run() {
  const { code, error, errorCode, hasTokens } = answer;
  if (config.schemes.length === 0) {
    show('problem', { ...TEXT.noScheme, action: { label: TEXT.startPage, href: config.next } });
    return;
  }
  const scheme = chooseScheme(config, answer.scheme);
  if (!scheme) {
    // Whoever made this address may not pick where the code goes.
    fail(config.schemes[0], 'scheme_not_allowed');
  } else if (hasTokens) {
    fail(scheme, 'implicit_flow', '', TEXT.implicit);
  } else if (error || errorCode) {
    fail(scheme, error, errorCode);
  } else if (code) {
    const link = deeplink(config, scheme, { code });
    follow(link);
    show('done', { ...TEXT.done, action: { label: TEXT.openApp, href: link } });
  } else {
    show('idle', { ...TEXT.nothing, action: { label: TEXT.openApp, href: deeplink(config, scheme, {}) } });
  }
}

/**
 * Tells the app and the person, neither of them in the words of the address. The app gets no
 * error_description: supabase-js up to 2.89 signs out whoever arrives with one.
 * @param {string} scheme
 * @param {string} error
 * @param {string} [errorCode] More exact, if Supabase itself refuses.
 * @param {string} [description]
 */
function fail(scheme, error, errorCode, description) {
  const link = deeplink(config, scheme, {
    error: failure(error).error,
    error_code: errorCode && failure(errorCode).error,
  });
  follow(link);
  showFailure(failure(errorCode || error, description), { label: TEXT.openApp, href: link });
}
