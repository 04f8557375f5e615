// native-callback.html: runs in the secure browser session of a wrapped app. TikTok redirects here
// with a code; the bridge turns it into a session; a deeplink carries that to the app and, by its
// oauth/ prefix, closes the browser session.
//
// The guide flow puts tokens into a deeplink, because apps built from the guide expect them there. The
// hosted flow sends a handoff instead, which is worthless to anyone who intercepts it: prefer it in new
// apps.

import {
  chooseScheme, deeplink, exchange, failure, firstTime, follow, readConfig, show, showFailure, store, takeArrival,
} from './pages.js';

const TEXT = {
  openApp: 'Open the app',
  startPage: 'Go to the start page',
  done: {
    title: 'You’re signed in',
    text: 'If the app does not open by itself, use the button.',
  },
  finished: {
    title: 'You’re done here',
    text: 'This sign-in was already passed on to the app. Go back to the app; you can close this page.',
  },
  interrupted: {
    title: 'Sign-in was interrupted',
    text: 'This page was loaded again before the sign-in was finished. Open the app and sign in again.',
  },
  noScheme: {
    title: 'No app to return to',
    text:
      'This page brings people back to an app, but none is set up here. ' +
      'On the web, sign in from the website instead.',
  },
};

/** How far this tab came: 'started' or 'finished'. A reload has no code left to tell by. */
const PROGRESS_KEY = 'tikbridge.callback';

/**
 * After this long the tokens are taken out of the button: the app has newer ones by then, and Supabase
 * ends a session whose old refresh token is used again.
 */
const FORGET_AFTER = 5 * 60_000;

const config = readConfig();
const { params, redirectUri } = takeArrival(config);

run();

// Back from the back/forward cache the card is still there as it was left; nothing is sent again.
addEventListener('pageshow', (event) => {
  if (event.persisted) document.getElementById('action')?.focus({ preventScroll: true });
});

async function run() {
  const code = params.get('code') ?? '';
  const state = params.get('state') ?? '';
  const error = params.get('error');

  if (config.schemes.length === 0) {
    show('problem', { ...TEXT.noScheme, action: { label: TEXT.startPage, href: config.next } });
    return;
  }

  const scheme = chooseScheme(config, state.split('|')[1]); // `id`, `id|scheme` or `id|scheme|more`
  if (!scheme) {
    // Whoever made this state may not pick where tokens go: not even the code is used.
    fail(config.schemes[0], failure('scheme_not_allowed'));
  } else if (error !== null) {
    // The description comes from the address: fine for the app to have, not for this page to show.
    const told = failure(error, params.get('error_description'));
    fail(scheme, told, failure(told.error));
  } else if (!code) {
    resume(scheme, 'no_code');
  } else if (!firstTime(code)) {
    resume(scheme, 'invalid_grant');
  } else {
    await signIn(scheme, code, state);
  }
}

/**
 * @param {string} scheme
 * @param {string} code
 * @param {string} state
 */
async function signIn(scheme, code, state) {
  store.set(PROGRESS_KEY, 'started');
  const answer = await exchange(config, { code, redirect_uri: redirectUri, state: state || undefined });
  if (!answer.session) {
    fail(scheme, answer.failure);
    return;
  }
  store.set(PROGRESS_KEY, 'finished');
  const { access_token, refresh_token } = answer.session;
  const link = deeplink(config, scheme, { access_token, refresh_token });
  follow(link);
  show('done', { ...TEXT.done, action: { label: TEXT.openApp, href: link } });
  setTimeout(() => finished(scheme), FORGET_AFTER);
}

/**
 * Tells the app and the person. The link closes the browser session as a success does.
 * @param {string} scheme
 * @param {import('./pages.js').Failure} told What the app learns.
 * @param {import('./pages.js').Failure} [shown] What this page says.
 */
function fail(scheme, told, shown = told) {
  store.remove(PROGRESS_KEY);
  const { error, error_description } = told;
  const link = deeplink(config, scheme, { error, error_description });
  follow(link);
  showFailure(shown, { label: TEXT.openApp, href: link });
}

/**
 * Nothing new came with the address: the page was loaded again, or opened by hand.
 * @param {string} scheme
 * @param {string} code The error, if this tab has finished nothing.
 */
function resume(scheme, code) {
  const progress = store.get(PROGRESS_KEY);
  if (progress === 'finished') {
    finished(scheme);
  } else if (progress === 'started') {
    store.remove(PROGRESS_KEY);
    const { error, error_description } = failure(code);
    const link = deeplink(config, scheme, { error, error_description });
    show('problem', { ...TEXT.interrupted, action: { label: TEXT.openApp, href: link } });
  } else {
    fail(scheme, failure(code));
  }
}

/** @param {string} scheme */
function finished(scheme) {
  show('idle', { ...TEXT.finished, action: { label: TEXT.openApp, href: deeplink(config, scheme, {}) } });
}
