// What the two pages of the guide flow and the one of the provider flow share: the address bar, the exchange
// with the bridge, the words for errors, the deeplink, and the one card they draw.
//
// All of them keep these rules: a code or token leaves the address bar before anything else happens, is
// written nowhere in the document but in the deeplink itself, and is never logged.

/**
 * The texts of this page by their names, in the language it was served in: the bridge writes them into the page.
 * @type {Record<string, string>}
 */
const TEXTS = JSON.parse(document.getElementById('card')?.dataset.texts ?? '{}');

/** @param {string} name */
export const text = (name) => TEXTS[name] ?? '';

/**
 * The title and the text of a card.
 * @param {string} name
 */
export const card = (name) => ({ title: text(name + '.title'), text: text(name + '.text') });

/**
 * The button of a card.
 * @param {string} name
 * @param {string} href
 */
export const button = (name, href) => ({ label: text('button.' + name), href });

/** What the technical details show, in this order. */
const FACTS = ['error', 'error_description', 'fix', 'request_id'];

/**
 * Error code → the texts that explain it. Codes not named here are “broken”.
 * @type {Record<string, string>}
 */
const EXPLANATIONS = {
  access_denied: 'cancelled',
  invalid_grant: 'expired',
  handoff_invalid: 'expired',
  invalid_state: 'foreign',
  invalid_request: 'setup',
  redirect_uri_mismatch: 'setup',
  origin_not_allowed: 'setup',
  scheme_not_allowed: 'setup',
  tiktok_misconfigured: 'setup',
  supabase_misconfigured: 'setup',
  invalid_client: 'setup',
  invalid_scope: 'setup',
  unauthorized_client: 'setup',
  unsupported_response_type: 'setup',
  rate_limited: 'busy',
  tiktok_unavailable: 'tiktok',
  temporarily_unavailable: 'tiktok',
  account_conflict: 'conflict',
  user_banned: 'banned',
  sign_in_refused: 'refused',
  supabase_restricted: 'closed',
  // Supabase's own, in the provider flow.
  bad_oauth_callback: 'expired',
  bad_oauth_state: 'expired',
  flow_state_already_used: 'expired',
  flow_state_expired: 'expired',
  flow_state_not_found: 'expired',
  identity_already_exists: 'linked',
  manual_linking_disabled: 'setup',
  oauth_client_state_expired: 'expired',
  oauth_client_state_not_found: 'expired',
  oauth_provider_not_supported: 'setup',
  over_request_rate_limit: 'busy',
  provider_disabled: 'setup',
  signup_disabled: 'refused',
  unknown: 'refused', // by a hook
  // Made by the pages themselves.
  implicit_flow: 'setup',
  network_error: 'offline',
  no_code: 'empty',
  invalid_session: 'damaged',
  storage_unavailable: 'storage',
};

const EXCHANGE_PATH = '/api/auth/tiktok-callback';
const EXCHANGE_TIMEOUT = 30_000; // longer than the bridge itself takes to give up

/**
 * @typedef {object} Config
 * @property {string} bridge Base URL, no trailing slash.
 * @property {string[]} schemes Allowed deeplink schemes, the default first.
 * @property {string} authPath Path in the deeplink, with its leading slash.
 * @property {string} next Same-origin path to go to when done.
 * @property {string} redirectUri The registered address, if the page was told; else empty.
 * @property {string} supabaseUrl
 * @property {string} supabaseKey
 *
 * @typedef {object} Session GoTrue's own shape; only the tokens are certain.
 * @property {string} access_token
 * @property {string} refresh_token
 *
 * @typedef {object} Failure
 * @property {string} error
 * @property {string} [error_description]
 * @property {string} [request_id]
 * @property {string} [fix] For developers; only `tikbridge dev` sends it.
 *
 * @typedef {object} View
 * @property {string} title
 * @property {string} text
 * @property {{label: string, href: string}} [action]
 * @property {Failure} [failure] What the technical details say.
 */

/** @returns {Config} */
export function readConfig() {
  // document.currentScript is null in a module, so the attributes sit on the html element.
  const data = document.documentElement.dataset;
  return {
    bridge: (data.bridge || new URL(import.meta.url).origin).replace(/\/+$/, ''),
    schemes: (data.schemes ?? '').split(/\s+/).filter(isScheme),
    authPath: '/' + (data.authPath || '/auth').replace(/^\/+/, ''),
    next: localPath(data.next ?? '/'),
    redirectUri: data.redirectUri ?? '',
    supabaseUrl: data.supabaseUrl ?? '',
    supabaseKey: data.supabaseKey ?? '',
  };
}

/**
 * Schemes that a browser itself would follow are never an app's, whatever was configured.
 * @param {string} text
 */
function isScheme(text) {
  return (
    /^[a-z][a-z0-9+.-]*$/i.test(text) &&
    !/^(javascript|vbscript|data|https?|wss?|ftp|file|filesystem|blob|about|intent|content|view-source)$/i.test(text)
  );
}

/**
 * A path on this site, or "/". Browsers read "\" as "/" and skip tabs and line ends in URLs.
 * @param {string} text
 */
function localPath(text) {
  return /^\/(?!\/)[^\\\u0000-\u001f]*$/.test(text) ? text : '/';
}

/**
 * Reads the query and removes it from the address bar and the history.
 * @param {Config} config
 * @returns {{params: URLSearchParams, redirectUri: string}} redirectUri: the address TikTok redirected to.
 */
export function takeArrival(config) {
  const params = new URLSearchParams(location.search);
  const here = location.origin + location.pathname;
  if (location.href !== here) {
    history.replaceState(history.state, '', here);
  }
  return { params, redirectUri: config.redirectUri || here };
}

/**
 * Asks the bridge for a session. A code works once, so this is never retried.
 * @param {Config} config
 * @param {{code: string, redirect_uri: string, state?: string}} body
 * @returns {Promise<{session?: Session, failure?: Failure}>}
 */
export async function exchange(config, body) {
  const abort = new AbortController();
  const timer = setTimeout(() => abort.abort(), EXCHANGE_TIMEOUT);
  let answered;
  try {
    const response = await fetch(config.bridge + EXCHANGE_PATH, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', Accept: 'application/json' },
      body: JSON.stringify(body),
      credentials: 'omit',
      referrerPolicy: 'no-referrer',
      cache: 'no-store',
      redirect: 'error',
      signal: abort.signal,
    });
    answered = await response.text();
  } catch {
    return { failure: failure('network_error') };
  } finally {
    clearTimeout(timer);
  }

  let answer;
  try {
    answer = JSON.parse(answered);
  } catch {
    return { failure: failure('exchange_failed') };
  }
  if (isSession(answer)) return { session: answer };
  if (answer?.error) {
    return { failure: failure(answer.error, answer.error_description, answer.request_id, answer.fix) };
  }
  return { failure: failure('exchange_failed') };
}

/**
 * Has this the shape of a session? Tokens are anything that may stand in a header: those of an app's own
 * backend have any form, and it may give no refresh token.
 * @param {any} value
 * @returns {boolean}
 */
export function isSession(value) {
  const token = /^[!-~]+$/;
  return token.test(value?.access_token ?? '') && token.test(value?.refresh_token || 'none');
}

/**
 * Makes a Failure of what someone else said. None of it is trusted: the code must look like one, and
 * the rest is cut to a sane length. A failure without a description gets ours.
 * @param {unknown} error
 * @param {unknown} [description]
 * @param {unknown} [requestId]
 * @param {unknown} [fix]
 * @returns {Failure}
 */
export function failure(error, description, requestId, fix) {
  const code = typeof error === 'string' && /^[a-z0-9_]{1,64}$/.test(error) ? error : 'server_error';
  const failed = {
    error: code,
    error_description: tidy(description, 300) || explain(code).text,
    request_id: tidy(requestId, 64),
  };
  return fix ? { ...failed, fix: tidy(fix, 600) } : failed;
}

/**
 * @param {unknown} text
 * @param {number} length
 */
function tidy(text, length) {
  return typeof text === 'string' ? text.replace(/[\u0000-\u001f\u007f]+/g, ' ').trim().slice(0, length) : '';
}

/**
 * A copy of this page may be older than this script, and lack a text.
 * @param {string} code
 * @returns {{title: string, text: string}}
 */
function explain(code) {
  // A code such as constructor, which every object has, is unknown too.
  const explained = card('errors.' + (Object.hasOwn(EXPLANATIONS, code) ? EXPLANATIONS[code] : 'broken'));
  return explained.title ? explained : card('errors.broken');
}

/**
 * @param {Config} config
 * @param {string | undefined} wanted
 * @returns {string | undefined} The default scheme if none is wanted; undefined if it is not allowed.
 */
export function chooseScheme({ schemes }, wanted) {
  if (!wanted) return schemes[0];
  return schemes.find((scheme) => scheme.toLowerCase() === wanted.toLowerCase());
}

/**
 * The address that closes the secure browser session and leads to the app.
 * @param {Config} config
 * @param {string} scheme
 * @param {Record<string, string|undefined>} values
 */
export function deeplink(config, scheme, values) {
  // Not URLSearchParams: it writes a space as "+", which not every reader of deeplinks undoes.
  const query = Object.entries(values)
    .filter(([, value]) => value)
    .map(([key, value]) => `${key}=${encodeURIComponent(value)}`)
    .join('&');
  return `${scheme}://oauth${config.authPath}${query && '?'}${query}`;
}

/** Chrome may block this without a tap, hence the button. @param {string} link */
export function follow(link) {
  const go = () => {
    location.href = link;
  };
  // A navigation in mid-load can leave the page half loaded behind the button.
  if (document.readyState === 'complete') go();
  else addEventListener('load', go, { once: true });
}

/** sessionStorage, where it exists: it throws when the browser blocks storage. */
export const store = {
  /** @param {string} key */
  get(key) {
    try {
      return sessionStorage.getItem(key);
    } catch {
      return null;
    }
  },
  /**
   * @param {string} key
   * @param {string} value
   */
  set(key, value) {
    try {
      sessionStorage.setItem(key, value);
      return true;
    } catch {
      return false;
    }
  },
  /** @param {string} key */
  remove(key) {
    try {
      sessionStorage.removeItem(key);
    } catch {
      // Nothing was kept, so nothing is left.
    }
  },
};

const SEEN_KEY = 'tikbridge.seen';
const seenHere = new Set();

/**
 * Is this the first time this tab sees the code or token? A deeplink may be delivered twice, and a
 * second use would fail and hide that the first one worked. Only fingerprints are kept.
 * @param {string} secret
 */
export function firstTime(secret) {
  const mark = fingerprint(secret);
  const kept = (store.get(SEEN_KEY) ?? '').split(' ').filter(Boolean);
  if (seenHere.has(mark) || kept.includes(mark)) return false;
  seenHere.add(mark);
  store.set(SEEN_KEY, [...kept, mark].slice(-20).join(' '));
  return true;
}

/**
 * 64 bits of FNV-1a. It only tells codes apart; Web Crypto would be async and needs https.
 * @param {string} text
 */
function fingerprint(text) {
  let hash = 0xcbf29ce484222325n;
  for (const char of text) {
    hash = BigInt.asUintN(64, (hash ^ BigInt(char.codePointAt(0))) * 0x100000001b3n);
  }
  return hash.toString(36);
}

/** @param {string} id */
const byId = (id) => /** @type {HTMLElement} */ (document.getElementById(id));

/**
 * Draws the card.
 * @param {'working'|'done'|'problem'|'idle'} name
 * @param {View} view
 */
export function show(name, view) {
  byId('card').dataset.view = name;
  const app = byId('card').dataset.app;
  document.title = app ? `${view.title} · ${app}` : view.title;
  // New elements: under a title of another height, the old ones would move.
  byId('status').replaceChildren(...['title', 'text'].map((id) => {
    const element = /** @type {HTMLElement} */ (byId(id).cloneNode());
    element.textContent = view[id];
    return element;
  }));

  const details = byId('details');
  details.hidden = !view.failure;
  if (view.failure) byId('facts').replaceChildren(...facts(view.failure));

  const action = /** @type {HTMLAnchorElement} */ (byId('action'));
  action.hidden = !view.action;
  if (view.action) {
    action.textContent = view.action.label;
    action.href = view.action.href;
    action.focus({ preventScroll: true });
  } else {
    action.removeAttribute('href');
  }
}

/**
 * Draws the card for a failure.
 * @param {Failure} shown
 * @param {{label: string, href: string}} action
 */
export function showFailure(shown, action) {
  // To cancel is nobody's mistake, so it gets no warning sign.
  const name = shown.error === 'access_denied' ? 'idle' : 'problem';
  show(name, { ...explain(shown.error), action, failure: shown });
}

/** @param {Failure} shown */
function facts(shown) {
  /** @type {Record<string, string | undefined>} */
  const all = { ...shown };
  if (all.error_description === explain(shown.error).text) delete all.error_description; // is on the card
  return FACTS
    .filter((key) => all[key])
    .flatMap((key) => {
      const term = document.createElement('dt');
      const value = document.createElement('dd');
      term.textContent = text('details.' + key);
      value.textContent = all[key];
      value.dir = 'auto';
      if (key === 'fix') value.lang = 'en';
      value.classList.toggle('code', key === 'error' || key === 'request_id');
      return [term, value];
    });
}
