// auth.html: sets the session. It is reached with tokens (a deeplink brought the web view here), with
// a code (TikTok redirected here, on the web), or with an error.
//
// Whoever makes someone open /auth?access_token=… can sign them in to an account of the attacker's
// choice: the guide flow accepts any session that its address carries, and no state protects a deeplink.
// The hosted flow closes this, since its handoff only works with a verifier that the app itself made:
// prefer it in new apps.

import {
  button, card, exchange, failure, firstTime, isSession, readConfig, show, showFailure, store, takeArrival,
} from './pages.js';

/** @import { Failure, Session } from './pages.js' */

const STATE_KEY = 'tikbridge.state';
const SESSION_KEY = 'tikbridge.session';

const config = readConfig();
const ready = scriptsRan();

/** Counts arrivals, so that an answer to an older one cannot overtake a newer one. */
let latest = 0;

handleArrival('load');
// In a web view the deeplink may only change the address of a page that is already open.
addEventListener('popstate', () => handleArrival('popstate'));

/** @param {'load'|'popstate'} occasion */
async function handleArrival(occasion) {
  const query = new URLSearchParams(location.search);
  // The answers of the hosted flow are the SDK's to read, so they must stay in the address for it.
  if (query.has('tikbridge_handoff') || query.has('tikbridge_error')) return;
  if (!['access_token', 'code', 'error'].some((key) => query.has(key))) {
    if (occasion === 'load') show('idle', { ...card('auth.nothing'), action: button('continue', config.next) });
    return;
  }

  const { params, redirectUri } = takeArrival(config);
  const error = params.get('error');
  const secret = params.get('access_token') || params.get('code') || '';
  if (error === null && secret && !firstTime(secret)) {
    if (occasion === 'load') show('idle', { ...card('auth.repeated'), action: button('continue', config.next) });
    return;
  }

  const turn = ++latest;
  show('working', card('auth.working'));
  const outcome = await readSession(params, redirectUri);
  await ready;
  if (turn !== latest) return;
  if (outcome.session) {
    await deliver(outcome.session);
  } else {
    fail(outcome.failure, outcome.shown);
  }
}

/**
 * @param {URLSearchParams} params
 * @param {string} redirectUri
 * @returns {Promise<{session?: Session, failure?: Failure, shown?: Failure}>}
 */
async function readSession(params, redirectUri) {
  const state = params.get('state') ?? '';

  if (params.has('error')) {
    if (state && state === store.get(STATE_KEY)) store.remove(STATE_KEY);
    const told = failure(params.get('error'), params.get('error_description'), params.get('request_id'));
    // Anyone can write a description into an address: the app may have it, the page uses its own words.
    return { failure: told, shown: { ...failure(told.error), request_id: told.request_id } };
  }

  if (params.get('access_token')) {
    const session = {
      access_token: params.get('access_token'),
      refresh_token: params.get('refresh_token') ?? '',
    };
    return isSession(session) ? { session } : { failure: failure('invalid_session') };
  }

  const code = params.get('code');
  if (!code) return { failure: failure('no_code') };
  // Apps that keep their state here are protected from a code that someone else obtained (login
  // CSRF). Those built from the guide keep none, and are let through.
  const expected = store.get(STATE_KEY);
  store.remove(STATE_KEY);
  if (expected !== null && expected !== state) return { failure: failure('invalid_state') };
  return exchange(config, { code, redirect_uri: redirectUri, state: state || undefined });
}

/**
 * Hands the session to the app: to its own listener, else to supabase-js, else to the next page.
 * @param {Session} session
 */
async function deliver(session) {
  const event = new CustomEvent('tikbridge:session', { detail: session, cancelable: true });
  const taken = !dispatchEvent(event);
  show('done', card('auth.done'));
  if (taken) return;

  const createClient = /** @type {any} */ (window).supabase?.createClient;
  if (createClient && config.supabaseUrl && config.supabaseKey) {
    const { access_token, refresh_token } = session;
    try {
      const client = createClient(config.supabaseUrl, config.supabaseKey);
      const { error } = await client.auth.setSession({ access_token, refresh_token });
      if (error) throw error;
    } catch {
      fail(failure('invalid_session'));
      return;
    }
  } else if (!store.set(SESSION_KEY, JSON.stringify(session))) {
    fail(failure('storage_unavailable'));
    return;
  }
  location.replace(config.next);
}

/**
 * @param {Failure} told What the app learns.
 * @param {Failure} [shown] What this page says.
 */
function fail(told, shown = told) {
  dispatchEvent(new CustomEvent('tikbridge:error', { detail: told }));
  showFailure(shown, button('try_again', config.next));
}

/** Resolves when the app's own deferred scripts had their chance to listen. */
function scriptsRan() {
  if (document.readyState === 'complete') return Promise.resolve();
  return new Promise((resolve) => {
    document.addEventListener('DOMContentLoaded', resolve, { once: true });
    addEventListener('load', resolve, { once: true });
  });
}
