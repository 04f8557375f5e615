// Made from tikbridge.js; do not edit: go test ./test/e2e -run TestSDK_classic -update
(() => {
'use strict';

// tikbridge: sign in with TikTok, in browsers and in apps wrapped by Despia. tikbridge.d.ts says how;
// tikbridge.global.js is this file as a classic script.
//
// A sign-in begins with a verifier that stays on this device. The handoff that comes back is worthless
// without it. It does not say whose it is, so the verifiers kept here are tried in turn; a wrong one
// does not use it up.

/** @import { OAuthUrlOptions, Result, SignInOptions, TikTokSignInOptions } from './tikbridge.js' */

const FLOWS = 'tikbridge.flows'; // verifiers of sign-ins under way
const SEEN = 'tikbridge.arrivals';
const LIFETIME = 600_000; // of a sign-in, as on the bridge
const GRACE = 1500; // from coming back to the app to its deeplink
const PASSING = /^(network_error|rate_limited|\w+_unavailable)$/;
const inBrowser = typeof document === 'object'; // not on a server that renders

// Shared by a page's sign-in objects: React's strict mode makes two of each.
const subscribers = new Set();
const flights = new Map(); // arrivals being handled
/** Tries once more what failed. @type {(() => Promise<Result>) | undefined} */
let again;
/** The take of the object used last. @type {(() => unknown) | undefined} */
let look;
let away = ''; // at TikTok: the platform
let grace = 0;
let watcher = 0;
const memory = new Map();
const here = {
  getItem: (key) => memory.get(key),
  setItem: (key, value) => memory.set(key, value),
};

/** @param {TikTokSignInOptions} options */
function createTikTokSignIn({ bridgeUrl, supabase, setSession, scheme, despia, storage }) {
  const platform = inBrowser && /despia/i.test(navigator.userAgent) ? 'native' : 'web';
  const api = bridgeUrl.replace(/\/+$/, '') + '/api/auth/tiktok/';
  // This tab's come first; localStorage is for web views that are loaded again, and for TikTok's app,
  // which may return to another tab.
  const stores = [here, ...(storage ? [storage] : browserStores())];

  if (platform === 'native' && kept(FLOWS)[0]) watch();

  /** @param {SignInOptions} [options] */
  async function signIn({ redirectTo, selectAccount } = {}) {
    look = take;
    again = undefined;
    const verifier = random();
    const query = new URLSearchParams({ platform, challenge: await sha256(verifier) });
    if (selectAccount) query.set('select_account', '1');
    if (platform === 'web') {
      const back = new URL(redirectTo ?? location.href, location.href);
      back.search = withoutAnswer(back.search);
      back.hash = '';
      query.set('redirect_to', back.href);
    } else if (scheme) {
      query.set('scheme', scheme);
    }
    keep(FLOWS, verifier);
    away = platform;
    const start = api + 'start?' + query;
    if (platform === 'web') return location.assign(start);
    watch();
    const command = 'oauth://?url=' + encodeURIComponent(start);
    if (despia) despia(command);
    else window['despia'] = command;
  }

  /** @returns {Promise<Result | null>} */
  async function handleRedirect() {
    if (!inBrowser) return null;
    look = take;
    return take() ?? [...flights.values()].pop() ?? (again ? fly('again', again) : null);
  }

  /** @param {(result: Result) => void} callback */
  function onResult(callback) {
    look = take;
    subscribers.add(callback);
    return () => void subscribers.delete(callback);
  }

  function take() {
    const query = new URLSearchParams(location.search);
    const handoff = query.get('handoff');
    // An error without a request id is not the bridge's.
    const id = handoff || (query.has('error') && query.get('request_id'));
    if (!id) return null;
    const url = new URL(location.href);
    url.search = withoutAnswer(url.search);
    history.replaceState(history.state, '', url);
    // A router may put the old address back.
    const mark = id.slice(-32);
    if (flights.has(id) || kept(SEEN).includes(mark)) return flights.get(id);
    away = '';
    return fly(id, async function attempt() {
      again = undefined;
      // Anybody can write an address: its words count during a sign-in.
      const words = kept(FLOWS)[0] && query.get('error_description');
      const result = handoff ? await redeem(handoff) : failure(query.get('error'), words, id);
      if (handoff && PASSING.test(result.error)) again = attempt;
      else keep(SEEN, mark);
      return result;
    });
  }

  async function redeem(handoff) {
    /** @type {any} */
    let answer = { error: 'handoff_invalid', error_description: 'This sign-in was not started here. Please sign in again.' };
    for (const verifier of kept(FLOWS)) {
      answer = await post({ handoff, verifier });
      if (answer.access_token) {
        keep(FLOWS, verifier, true);
        return deliver(answer);
      }
      if (answer.error !== 'handoff_invalid') break;
    }
    return failure(answer.error, answer.error_description, answer.request_id);
  }

  async function post(body) {
    try {
      const response = await fetch(api + 'redeem', {
        method: 'POST',
        headers: { 'Content-Type': 'application/json' },
        body: JSON.stringify(body),
        credentials: 'omit',
        cache: 'no-store',
        referrerPolicy: 'no-referrer',
        redirect: 'error',
        signal: AbortSignal.timeout?.(20_000),
      });
      const answer = await response.json();
      if (answer.error || (answer.access_token && answer.refresh_token)) return answer;
    } catch {
      // No answer, or none of the bridge's.
    }
    return { error: 'network_error', error_description: 'No connection. Please try again.' };
  }

  async function deliver(session) {
    again = undefined;
    const { access_token, refresh_token } = session;
    try {
      const taken = await (setSession ? setSession(session) : supabase.auth.setSession({ access_token, refresh_token }));
      if (taken?.error) throw taken.error;
      return { status: 'signed_in', session };
    } catch (cause) {
      again = () => deliver(session);
      return { ...failure('invalid_session', 'Please try again.'), cause };
    }
  }

  /** What is not too old, the newest of a store first. */
  function kept(key) {
    return [...new Set(stores.flatMap((store) => read(store, key)).map(([value]) => value))];
  }

  function keep(key, value, drop = false) {
    for (const store of stores) {
      const others = read(store, key).filter(([other]) => other !== value);
      try {
        store.setItem(key, JSON.stringify(drop ? others : [[value, Date.now()], ...others].slice(0, 5)));
      } catch {
        // Another has it.
      }
    }
  }

  /** Without a Navigation API nothing tells of a router's new address. */
  function watch() {
    clearInterval(watcher);
    watcher = window.setInterval(() => (kept(FLOWS)[0] ? look?.() : clearInterval(watcher)), 500);
  }

  return { signIn, handleRedirect, onResult };
}

/** @param {OAuthUrlOptions} options */
function getTikTokOAuthUrl({ clientKey, appUrl, isNative, scheme, scopes = 'user.info.basic', redirectUri }) {
  const state = crypto.randomUUID?.() ?? random();
  // auth.html compares it; the native callback has a storage of its own.
  if (!isNative) browserStores()[0]?.setItem('tikbridge.state', state);
  return 'https://www.tiktok.com/v2/auth/authorize/?' + new URLSearchParams({
    client_key: clientKey,
    response_type: 'code',
    scope: String(scopes),
    redirect_uri: redirectUri ?? appUrl.replace(/\/+$/, '') + (isNative ? '/native-callback' : '/auth'),
    state: isNative && scheme ? `${state}|${scheme}` : state,
  });
}

function fly(id, work) {
  const flight = work().then((result) => {
    tell(result);
    setTimeout(() => flights.delete(id)); // after all who ask in one breath
    return result;
  });
  flights.set(id, flight);
  return flight;
}

/** One callback that throws does not stop the others. */
function tell(result) {
  for (const callback of subscribers) Promise.resolve(result).then(callback);
}

/** @returns {any} */
function failure(error, description, id) {
  if (error === 'access_denied') return { status: 'cancelled' };
  const code = /^\w{1,64}$/.test(error) ? error : 'internal';
  return { status: 'failed', error: code, error_description: description ?? '', request_id: id ?? '' };
}

if (inBrowser) {
  // A router changes the address of a page that stays.
  for (const type of ['popstate', 'pageshow', 'focus', 'blur']) addEventListener(type, returned);
  document.addEventListener('visibilitychange', returned);
  globalThis.navigation?.addEventListener('navigatesuccess', () => look?.());
}

/** Nobody tells of a closed secure browser, nor of a step back to this page. @param {any} event */
function returned({ type, persisted }) {
  look?.();
  if (type === 'popstate') return;
  clearTimeout(grace);
  const visible = type !== 'blur' && document.visibilityState === 'visible';
  if (!persisted && !(visible && away === 'native')) return;
  grace = window.setTimeout(() => {
    look?.();
    if (away) tell({ status: 'cancelled' });
    away = '';
  }, GRACE);
}

/** Leaves the other parameters as they are spelled. */
function withoutAnswer(search) {
  const names = /^(handoff|error|error_description|request_id)(=|$)/i;
  return search.slice(1).split('&').filter((pair) => !names.test(pair)).join('&');
}

/** To name one that is blocked throws. */
function browserStores() {
  return ['sessionStorage', 'localStorage'].flatMap((name) => {
    try {
      return inBrowser ? [window[name]] : [];
    } catch {
      return [];
    }
  });
}

/** @returns {[string, number][]} */
function read(store, key) {
  try {
    return JSON.parse(store.getItem(key)).filter(([, at]) => Math.abs(Date.now() - at) < LIFETIME);
  } catch {
    return [];
  }
}

function random() {
  return base64url(crypto.getRandomValues(new Uint8Array(32)));
}

async function sha256(text) {
  return base64url(new Uint8Array(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text))));
}

function base64url(bytes) {
  return btoa(String.fromCharCode(...bytes)).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
}

window.tikbridge = { createTikTokSignIn, getTikTokOAuthUrl };
})();
