// The demo app of `tikbridge dev`. It signs in through the guide flow on the web, as an app built from
// the guide does: TikTok's page, then /auth, then back here with a session.

/** Every text this script shows. Functions take the values that the text names. */
const TEXT = {
  simulated:
    'This is a simulation: the TikTok you are about to meet runs on this computer with made-up people. No real account is touched.',
  targets: (tiktok, supabase) => `TikTok at ${tiktok} · Supabase at ${supabase}`,
  noName: 'No display name',
  noEmail: 'None',
  unknown: 'Unknown',
  until: (time) => `until ${time}`,
  left: (time) => `${time} left`,
  expired: 'expired',
  notices: {
    noConfig: 'The settings of this demo could not be loaded. Is “tikbridge dev” still running?',
    refreshed: 'Refreshed: Supabase issued new tokens.',
    signedOut: 'Signed out. Supabase has ended this session.',
    signedOutHere: (why) => `Signed out here, but Supabase could not be told: ${why}`,
    dropped: (why) => `This session no longer works, so it was removed. Please sign in again. (${why})`,
    failed: (why) => `That did not work: ${why}`,
    storage: 'This browser stores nothing for this page, so you cannot stay signed in.',
    offline: 'Supabase could not be reached.',
    status: (status) => `Supabase answered with status ${status}.`,
  },
  steps: {
    left: 'You were sent to TikTok, with a random state that this tab keeps a copy of.',
    leftNative: (scheme) =>
      `You were sent to TikTok as a wrapped app’s secure browser would be, with “${scheme}” in the state.`,
    passedOn: (scheme) =>
      `The native callback got a session from the bridge and passed it on to ${scheme}://oauth/auth. No app here answers to that.`,
    returned: 'TikTok sent you to /auth with a one-time code. That page compared the state and removed the code from the address.',
    bridged: 'The bridge traded the code with TikTok, found or created your Supabase user, and got a real session for it.',
    kept: 'The demo took the session over. A real app calls supabase.auth.setSession here.',
    abandoned: 'You came back without a session: the sign-in was cancelled or failed.',
    known: 'Supabase accepted the access token and said who you are.',
    refreshed: 'The refresh token was traded for a new pair. The old one is used up.',
    signedOut: 'Supabase ended the session; the tokens were deleted here.',
    signedOutHere: 'The tokens were deleted here. Supabase could not be told.',
    dropped: 'Supabase refused the session, so the tokens were deleted here.',
    failed: (why) => `A request failed: ${why}`,
  },
};

const STATE_KEY = 'tikbridge.state'; // what /auth compares the returned state with
const HANDED_OVER_KEY = 'tikbridge.session'; // where /auth leaves the session
const CALLBACK_KEY = 'tikbridge.callback'; // how far the native callback page came
const SESSION_KEY = 'tikbridge.demo';
const STEPS_KEY = 'tikbridge.demo.steps';
const MAX_STEPS = 20;

/**
 * @typedef {object} Config
 * @property {string} authorize_url
 * @property {string} client_key
 * @property {string} scopes
 * @property {string} supabase_auth_url
 * @property {string} supabase_key
 * @property {string[]} schemes
 * @property {boolean} simulated
 *
 * @typedef {object} Session
 * @property {string} access_token
 * @property {string} refresh_token
 * @property {number} [expires_at] Seconds since 1970.
 * @property {number} [expires_in]
 *
 * @typedef {{at: number, text: string, bad?: boolean}} Step
 */

const byId = (id) => /** @type {any} */ (document.getElementById(id));

/** @type {Config} */
let config;

start();

async function start() {
  drawSteps();
  byId('clear').addEventListener('click', () => {
    write(sessionStorage, STEPS_KEY, []);
    drawSteps();
    byId('steps-title').focus(); // the button that had it is gone
  });
  try {
    const response = await fetch('/demo/config.json', { cache: 'no-store' });
    if (!response.ok) throw new Error(String(response.status));
    config = await response.json();
  } catch {
    showLoaded();
    notify(TEXT.notices.noConfig, true);
    return;
  }

  byId('simulated').textContent = config.simulated ? TEXT.simulated : '';
  byId('targets').textContent = TEXT.targets(new URL(config.authorize_url).host, config.supabase_auth_url);
  const scheme = config.schemes?.[0];
  byId('native').hidden = !scheme;
  byId('scheme').textContent = `${scheme}://`;

  byId('sign-in').addEventListener('click', () => leave('/auth'));
  byId('preview').addEventListener('click', (event) => {
    event.preventDefault();
    leave('/native-callback', scheme);
  });
  byId('refresh').addEventListener('click', () => busy(refresh));
  byId('sign-out').addEventListener('click', () => busy(signOut));
  byId('picture').addEventListener('error', () => (byId('picture').hidden = true));
  setInterval(drawCountdown, 1000);
  // Back from TikTok's page by the back button, the page may be shown as it was left.
  addEventListener('pageshow', (event) => event.persisted && arrive());
  // Signed in or out in another tab.
  addEventListener('storage', (event) => event.key === SESSION_KEY && resume());

  await arrive();
}

/** Takes over what /auth left, then shows who is signed in. */
async function arrive() {
  const scheme = config.schemes?.[0];
  const fresh = /** @type {Session|null} */ (read(sessionStorage, HANDED_OVER_KEY));
  if (fresh?.access_token) {
    sessionStorage.removeItem(HANDED_OVER_KEY);
    // A real app calls supabase.auth.setSession(fresh) here, and supabase-js does the rest.
    log(TEXT.steps.returned);
    log(TEXT.steps.bridged);
    if (!keep(fresh)) {
      showSignedOut();
      notify(TEXT.notices.storage, true);
      return;
    }
    log(TEXT.steps.kept);
  } else if (lastStep() === TEXT.steps.left) {
    log(TEXT.steps.abandoned, true);
  } else if (scheme && lastStep() === TEXT.steps.leftNative(scheme)) {
    const passedOn = sessionStorage.getItem(CALLBACK_KEY) === 'finished';
    log(passedOn ? TEXT.steps.passedOn(scheme) : TEXT.steps.abandoned, !passedOn);
  }
  await resume();
}

async function resume() {
  const session = current();
  if (!session) {
    showSignedOut();
    return;
  }
  if (expiry(session) <= Date.now() && !(await renew(session))) return;
  await whoAmI();
}

/**
 * Goes to TikTok's consent page, as the guide's apps do: the browser builds the address itself.
 * @param {string} callback Path of the page that TikTok shall return to.
 * @param {string} [scheme] Deeplink scheme, for the native callback.
 */
function leave(callback, scheme) {
  const id = randomId();
  write(sessionStorage, STEPS_KEY, []);
  if (scheme) {
    sessionStorage.removeItem(STATE_KEY);
    sessionStorage.removeItem(CALLBACK_KEY);
    log(TEXT.steps.leftNative(scheme));
  } else {
    sessionStorage.setItem(STATE_KEY, id);
    log(TEXT.steps.left);
  }
  const url = new URL(config.authorize_url);
  url.search = new URLSearchParams({
    client_key: config.client_key,
    response_type: 'code',
    scope: config.scopes,
    redirect_uri: location.origin + callback,
    state: scheme ? `${id}|${scheme}` : id,
    ...(byId('ask-account').checked && { disable_auto_auth: '1' }),
  }).toString();
  location.assign(url);
}

/** crypto.randomUUID exists only on https and localhost; a phone on the same network has neither. */
function randomId() {
  if (crypto.randomUUID) return crypto.randomUUID();
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('');
}

// ---- Supabase Auth ----

/**
 * @param {string} path
 * @param {{method?: string, token?: string, body?: object}} [options]
 * @returns {Promise<{status: number, data: any, why: string}>} status 0: not reached.
 */
async function supabase(path, { method = 'GET', token, body } = {}) {
  /** @type {Record<string, string>} */
  const headers = { apikey: config.supabase_key };
  if (token) headers.Authorization = `Bearer ${token}`;
  if (body) headers['Content-Type'] = 'application/json';
  try {
    const response = await fetch(config.supabase_auth_url + path, {
      method,
      headers,
      body: body && JSON.stringify(body),
      cache: 'no-store',
    });
    const data = await response.json().catch(() => null);
    const why = data?.msg ?? data?.message ?? data?.error_description ?? TEXT.notices.status(response.status);
    return { status: response.status, data, why: String(why) };
  } catch {
    return { status: 0, data: null, why: TEXT.notices.offline };
  }
}

async function whoAmI() {
  const session = current();
  if (!session) return;
  const answer = await supabase('/user', { token: session.access_token });
  if (answer.status === 200) {
    if (lastStep() !== TEXT.steps.known) log(TEXT.steps.known);
    showPerson(answer.data);
  } else if (answer.status === 401 || answer.status === 403) {
    drop(answer.why);
  } else {
    report(answer.why);
  }
}

async function refresh() {
  const session = current();
  if (!session) return showSignedOut();
  if (await renew(session)) {
    await whoAmI();
    notify(TEXT.notices.refreshed);
  }
}

/**
 * Trades the refresh token.
 * @param {Session} session
 * @returns {Promise<boolean>} Is there a session that works?
 */
async function renew(session) {
  const answer = await supabase('/token?grant_type=refresh_token', {
    method: 'POST',
    body: { refresh_token: session.refresh_token },
  });
  if (answer.status === 200 && answer.data?.access_token) {
    keep(answer.data);
    log(TEXT.steps.refreshed);
    return true;
  }
  if ([400, 401, 403].includes(answer.status)) {
    drop(answer.why);
  } else {
    report(answer.why);
  }
  return false;
}

async function signOut() {
  const session = current();
  const answer = session
    ? await supabase('/logout?scope=local', { method: 'POST', token: session.access_token })
    : { status: 204, why: '' };
  localStorage.removeItem(SESSION_KEY);
  showSignedOut();
  // 401 and 403 mean that Supabase had already ended it.
  if (answer.status === 401 || answer.status === 403 || (answer.status >= 200 && answer.status < 300)) {
    log(TEXT.steps.signedOut);
    notify(TEXT.notices.signedOut);
  } else {
    log(TEXT.steps.signedOutHere, true);
    notify(TEXT.notices.signedOutHere(answer.why), true);
  }
}

/** @param {string} why */
function drop(why) {
  localStorage.removeItem(SESSION_KEY);
  log(TEXT.steps.dropped, true);
  showSignedOut();
  notify(TEXT.notices.dropped(why), true);
}

/** The session may still be good, so it stays. @param {string} why */
function report(why) {
  if (byId('signed-in').hidden) showPerson(null);
  log(TEXT.steps.failed(why), true);
  notify(TEXT.notices.failed(why), true);
}

// ---- the session, kept in this browser ----

/** Read anew each time: another tab may have changed it. @returns {Session|null} */
function current() {
  const session = read(localStorage, SESSION_KEY);
  return session?.access_token ? session : null;
}

/** @param {Session} session */
function keep(session) {
  const { access_token, refresh_token } = session;
  return write(localStorage, SESSION_KEY, { access_token, refresh_token, expires_at: expiry(session) / 1000 });
}

/** When the access token expires, in milliseconds; 0 if nothing tells. @param {Session} session */
function expiry(session) {
  if (session.expires_at) return session.expires_at * 1000;
  try {
    const payload = session.access_token.split('.')[1].replace(/-/g, '+').replace(/_/g, '/');
    return (JSON.parse(atob(payload)).exp ?? 0) * 1000;
  } catch {
    return 0;
  }
}

function read(storage, key) {
  try {
    return JSON.parse(storage.getItem(key) ?? 'null');
  } catch {
    return null;
  }
}

function write(storage, key, value) {
  try {
    storage.setItem(key, JSON.stringify(value));
    return true;
  } catch {
    return false;
  }
}

// ---- what one sees ----

/** Until all is known the page shows a line instead, so that nothing moves. */
function showLoaded() {
  byId('simulated').hidden = !config?.simulated;
  byId('loading').hidden = true;
  byId('loaded').hidden = false;
  byId('foot').hidden = false;
}

/** @param {'signed-out'|'signed-in'} panel @param {string} heading What takes the focus when it changes. */
function showPanel(panel, heading) {
  const changed = byId(panel).hidden && byId('loading').hidden;
  for (const id of ['signed-out', 'signed-in']) byId(id).hidden = id !== panel;
  showLoaded();
  if (changed) byId(heading).focus({ preventScroll: true });
}

function showSignedOut() {
  hush();
  showPanel('signed-out', 'account-title');
}

/** @param {any} user GoTrue's user, or null while Supabase does not say. */
function showPerson(user) {
  hush();
  const profile = user?.user_metadata ?? {};
  const name = [profile.display_name, profile.full_name, profile.name].find((text) => text?.trim?.())?.trim() ?? '';
  const email = user?.email ?? '';

  // Names are other people's text: only ever textContent.
  byId('name').textContent = name || TEXT.noName;
  byId('name').title = name;
  byId('name').classList.toggle('none', !name);
  byId('name').classList.toggle('long', name.length > 24);
  byId('initials').textContent = initials(name);
  showPicture(profile.avatar_url ?? profile.picture);
  byId('user-id').textContent = user?.id ?? TEXT.unknown;
  byId('email').textContent = user ? email || TEXT.noEmail : TEXT.unknown;
  drawCountdown();
  showPanel('signed-in', 'name');
}

/** @param {unknown} address */
function showPicture(address) {
  const picture = byId('picture');
  picture.hidden = true;
  picture.removeAttribute('src');
  if (typeof address !== 'string' || !/^https?:\/\//i.test(address)) return;
  picture.hidden = false;
  picture.src = address; // the error handler hides it again
}

/** The first letter of the first and the last word; an emoji counts as one letter. @param {string} name */
function initials(name) {
  const first = (word) => {
    const letters = Intl.Segmenter ? [...new Intl.Segmenter().segment(word)].map((part) => part.segment) : [...word];
    return letters[0] ?? '';
  };
  const words = name.split(/[^\p{L}\p{M}\p{N}\p{Extended_Pictographic}\p{Emoji_Modifier}\u200d\ufe0f]+/u).filter(Boolean);
  const letters = words.length > 1 ? [words[0], words[words.length - 1]] : words;
  return letters.map(first).join('').toLocaleUpperCase() || '?';
}

function drawCountdown() {
  const session = current();
  if (!session || !config) return;
  const at = expiry(session);
  const seconds = Math.max(0, Math.round((at - Date.now()) / 1000));
  const until = new Intl.DateTimeFormat(undefined, { timeStyle: 'medium' }).format(at);
  byId('expires').dateTime = new Date(at).toISOString();
  byId('expires').textContent = TEXT.until(until);
  byId('countdown').textContent = seconds > 0 ? TEXT.left(clock(seconds)) : TEXT.expired;
  byId('countdown').classList.toggle('over', seconds === 0);
}

/** @param {number} seconds */
function clock(seconds) {
  const two = (number) => String(number).padStart(2, '0');
  const hours = Math.floor(seconds / 3600);
  const rest = `${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`;
  return hours ? `${hours}:${rest}` : rest;
}

/** Keeps the buttons from being pressed twice. @param {() => Promise<void>|void} task */
async function busy(task) {
  const buttons = [byId('refresh'), byId('sign-out')];
  const pressed = document.activeElement;
  hush();
  for (const button of buttons) button.disabled = true;
  try {
    await task();
  } finally {
    for (const button of buttons) button.disabled = false;
    // A disabled button loses the focus; give it back where the button is still there.
    if (document.activeElement === document.body && pressed instanceof HTMLElement) pressed.focus();
  }
}

/** @param {string} text @param {boolean} [bad] */
function notify(text, bad = false) {
  const notice = byId('notice');
  notice.textContent = text;
  notice.classList.toggle('bad', bad);
  notice.hidden = false;
}

function hush() {
  byId('notice').hidden = true;
  byId('notice').textContent = '';
}

/** @returns {Step[]} */
function steps() {
  const kept = read(sessionStorage, STEPS_KEY);
  return Array.isArray(kept) ? kept : [];
}

function lastStep() {
  return steps().at(-1)?.text;
}

/** Kept in sessionStorage, since a sign-in leaves this page and comes back. @param {string} text @param {boolean} [bad] */
function log(text, bad) {
  write(sessionStorage, STEPS_KEY, [...steps(), { at: Date.now(), text, bad }].slice(-MAX_STEPS));
  drawSteps();
}

function drawSteps() {
  const all = steps();
  byId('no-steps').hidden = all.length > 0;
  byId('clear').hidden = all.length === 0;
  byId('steps').replaceChildren(
    ...all.map((step) => {
      const item = document.createElement('li');
      const text = document.createElement('p');
      const time = document.createElement('time');
      item.classList.toggle('bad', Boolean(step.bad));
      text.textContent = step.text;
      time.dateTime = new Date(step.at).toISOString();
      time.textContent = new Intl.DateTimeFormat(undefined, { timeStyle: 'medium' }).format(step.at);
      item.append(text, time);
      return item;
    }),
  );
}
