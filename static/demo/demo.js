// The demo app of `tikbridge dev`. It signs in with the SDK, as any app does: by the hosted or the provider flow.
// The guide flow is here for apps that were built from Despia's guide.

import { createTikTokSignIn, getTikTokOAuthUrl } from '/sdk/tikbridge.js';
import { createClient, randomString, SESSION_KEY, sha256 } from './auth.js';

/** @import { Result } from '../sdk/tikbridge.js' */

/** Every text this script shows. Functions take the values that the text names. */
const TEXT = {
  simulated:
    'This is a simulation: the TikTok you are about to meet runs on this computer with made-up people. ' +
    'No real account is touched.',
  targets: (tiktok, supabase) => `TikTok at ${tiktok} · Supabase at ${supabase}`,
  noName: 'No display name',
  noEmail: 'None',
  unknown: 'Unknown',
  until: (time) => `until ${time}`,
  left: (time) => `${time} left`,
  expired: 'expired',
  copied: 'Copied',
  notices: {
    noConfig: 'The settings of this demo could not be loaded. Is “tikbridge dev” still running?',
    cancelled: 'Sign-in cancelled. You can try again whenever you like.',
    refused: (text, code) => `${text} (${code})`,
    refreshed: 'Refreshed: Supabase issued new tokens.',
    signedOut: 'Signed out. Supabase has ended this session.',
    signedOutHere: (why) => `Signed out here, but Supabase could not be told: ${why}`,
    dropped: (why) => `This session no longer works, so it was removed. Please sign in again. (${why})`,
    failed: (why) => `That did not work: ${why}`,
    storage: 'This browser stores nothing for this page, so you cannot stay signed in.',
  },
  steps: {
    previewed: (scheme) =>
      `You were sent to TikTok as a wrapped app’s secure browser would be. It ends at ${scheme}://, ` +
      'which no app here answers to.',
    back: 'You came back from the preview. Nobody was signed in here.',
    abandoned: 'You came back without an answer: nobody was signed in.',
    cancelled: 'You said no at TikTok. The SDK told this page so: nobody was signed in.',
    refused: (code) => `The sign-in failed, and the SDK told this page why: ${code}.`,
    known: 'Supabase accepted the access token and said who you are.',
    refreshed: 'The refresh token was traded for a new pair. The old one is used up.',
    signedOut: 'Supabase ended the session; the tokens were deleted here.',
    signedOutHere: 'The tokens were deleted here. Supabase could not be told.',
    dropped: 'Supabase refused the session, so the tokens were deleted here.',
    failed: (why) => `A request failed: ${why}`,
  },
};

/** What is said of each flow: in its tab, when it begins, and when it comes back with a session. */
const FLOWS = {
  hosted: {
    about: 'The one to start with. The bridge leads the whole sign-in, and no token is ever in an address.',
    code: 'createTikTokSignIn({\n  bridgeUrl,\n  supabase,\n}).signIn()',
    left:
      'signIn() made a secret verifier, kept it in this tab, and sent you to the bridge with its hash. ' +
      'The bridge sent you on to TikTok.',
    arrived: [
      'TikTok sent you back to the bridge with a one-time code. The bridge traded it with TikTok, and sent you here ' +
        'with a handoff, which is worthless without the verifier.',
      'The SDK took the handoff out of the address and sent it to the bridge with the verifier. The bridge found or ' +
        'created your Supabase user, and answered with a session.',
      'The SDK gave the session to the client with setSession().',
    ],
  },
  provider: {
    about: 'TikTok is a provider of your Supabase project, so supabase-js makes the session, and can link accounts.',
    code: "createTikTokSignIn({\n  bridgeUrl, supabase,\n  provider: 'custom:tiktok',\n}).signIn()",
    left:
      'signIn() asked the client for Supabase’s address (signInWithOAuth with PKCE). Supabase sent you to the ' +
      'bridge, and the bridge to TikTok.',
    arrived: [
      'TikTok sent you back to the bridge with a one-time code. The bridge traded it with TikTok, and sent you to ' +
        'Supabase with a code of its own.',
      'Supabase traded that code for an ID token of the bridge, found or created your user, and sent you here with a ' +
        'third code.',
      'The SDK took that code out of the address, and the client traded it, with its verifier, for a session: ' +
        'exchangeCodeForSession().',
    ],
  },
  guide: {
    about: 'For apps built from Despia’s guide, in which the app sends people to TikTok. It protects less.',
    code: 'getTikTokOAuthUrl({\n  clientKey, appUrl,\n  isNative: false,\n})',
    left: 'You were sent to TikTok, with a random state that this tab keeps a copy of.',
    arrived: [
      'TikTok sent you to /auth with a one-time code. That page compared the state and removed the code from the ' +
        'address.',
      'The bridge traded the code with TikTok, found or created your Supabase user, and got a session for it.',
      'The page /auth left the session in this tab, and the demo took it over with setSession().',
    ],
  },
};

const HANDED_OVER_KEY = 'tikbridge.session'; // where /auth leaves the session
const FLOW_KEY = 'tikbridge.demo.flow';
const STEPS_KEY = 'tikbridge.demo.steps';
const MAX_STEPS = 20;

/**
 * @typedef {'hosted'|'provider'|'guide'} FlowName
 *
 * @typedef {object} Config
 * @property {string} authorize_url
 * @property {string} tiktok_api_url
 * @property {string} client_key
 * @property {string} scopes
 * @property {string} supabase_auth_url
 * @property {string} supabase_key
 * @property {string} provider The name of TikTok's provider in Supabase, if it is one.
 * @property {string[]} schemes
 * @property {boolean} simulated
 *
 * @typedef {{at: number, text: string, bad?: boolean}} Step
 */

const byId = (id) => /** @type {any} */ (document.getElementById(id));
const tabs = /** @type {HTMLElement[]} */ ([...document.querySelectorAll('[role=tab]')]);

/** @type {Config} */
let config;
/** @type {ReturnType<typeof createClient>} */
let supabase;
/** The SDK's objects, by their flows. @type {Record<string, any>} */
const tiktok = {};
/** TikTok's token of the sign-in that just ended, if the bridge gives it away. This page alone keeps it. */
let tiktokToken = '';

start();

async function start() {
  drawSteps();
  byId('clear').addEventListener('click', () => {
    write(STEPS_KEY, []);
    drawSteps();
    byId('steps-title').focus(); // the button that had it is gone
  });
  try {
    const response = await fetch('/demo/config.json', { cache: 'no-store' });
    if (!response.ok) throw new Error(String(response.status));
    config = await response.json();
  } catch {
    showLoaded();
    notify(TEXT.notices.noConfig, 'bad');
    return;
  }

  supabase = createClient(config.supabase_auth_url, config.supabase_key);
  const bridgeUrl = location.origin;
  tiktok.hosted = createTikTokSignIn({ bridgeUrl, supabase });
  if (config.provider) tiktok.provider = createTikTokSignIn({ bridgeUrl, supabase, provider: config.provider });
  tiktok.hosted.onResult(ended); // of both

  byId('simulated').textContent = config.simulated ? TEXT.simulated : '';
  byId('targets').textContent = TEXT.targets(new URL(config.authorize_url).host, config.supabase_auth_url);
  byId('scheme').textContent = `${scheme()}://`;
  byId('tab-provider').hidden = !config.provider;
  chooseFlow(currentFlow());

  for (const tab of tabs) {
    tab.addEventListener('click', () => chooseFlow(/** @type {FlowName} */ (tab.dataset.flow)));
    tab.addEventListener('keydown', moveInTabs);
  }
  byId('sign-in').addEventListener('click', () => busy(signIn));
  byId('preview').addEventListener('click', (event) => {
    event.preventDefault();
    busy(preview);
  });
  byId('refresh').addEventListener('click', () => busy(refresh));
  byId('sign-out').addEventListener('click', () => busy(signOut));
  byId('copy').addEventListener('click', copyVideoCall);
  byId('picture').addEventListener('error', () => (byId('picture').hidden = true));
  setInterval(drawCountdown, 1000);
  // Back from TikTok's page by the back button, the page may be shown as it was left. The SDK tells of its own.
  addEventListener('pageshow', (event) => event.persisted && (currentFlow() === 'guide' || hasPreviewed()) && arrive());
  // Signed in or out in another tab.
  addEventListener('storage', (event) => event.key === SESSION_KEY && whoAmI());

  await arrive();
}

/** Takes over what came back with this page, then shows who is signed in. */
async function arrive() {
  const fresh = read(HANDED_OVER_KEY);
  if (fresh?.access_token) {
    sessionStorage.removeItem(HANDED_OVER_KEY);
    const { data, error } = await attempt(() => supabase.auth.setSession(fresh));
    await ended(error ? { status: 'failed', error: 'invalid_session', error_description: error.message, request_id: '' }
      : { status: 'signed_in', session: data.session });
    return;
  }
  for (const flow of Object.values(tiktok)) {
    if (await flow.handleRedirect()) return; // ended is told
  }
  if (Object.values(FLOWS).some(({ left }) => left === lastStep())) log(TEXT.steps.abandoned, true);
  if (hasPreviewed()) log(TEXT.steps.back);
  await whoAmI();
}

/** Shows how a sign-in ended. @param {Result} result */
async function ended(result) {
  if (result.status === 'signed_in') {
    for (const step of FLOWS[currentFlow()].arrived) log(step);
    const { provider_token, provider_scopes } = /** @type {any} */ (result.session);
    tiktokToken = provider_scopes?.includes('video.list') ? provider_token : '';
    await whoAmI();
    return;
  }
  log(result.status === 'cancelled' ? TEXT.steps.cancelled : TEXT.steps.refused(result.error), true);
  await whoAmI();
  if (result.status === 'cancelled') notify(TEXT.notices.cancelled, 'calm');
  else if (!canStore()) notify(TEXT.notices.storage, 'bad');
  else notify(TEXT.notices.refused(result.error_description, result.error), 'bad');
}

// ---- the ways to sign in ----

async function signIn() {
  const flow = currentFlow();
  const selectAccount = byId('ask-account').checked;
  write(STEPS_KEY, []);
  log(FLOWS[flow].left);
  if (flow !== 'guide') await tiktok[flow].signIn({ selectAccount });
  else location.assign(guideAddress(false, selectAccount));
}

/** Goes where a wrapped app's secure browser is sent, in which the SDK does not run. */
async function preview() {
  const addresses = {
    hosted: async () => '/api/auth/tiktok/start?' + new URLSearchParams({
      platform: 'native', scheme: scheme(), challenge: await sha256(randomString()),
    }),
    provider: async () => {
      const redirectTo = `${location.origin}/return?scheme=${encodeURIComponent(scheme())}`;
      const { data } = await supabase.auth.signInWithOAuth({
        provider: config.provider, options: { redirectTo, skipBrowserRedirect: true },
      });
      return data.url;
    },
    guide: async () => guideAddress(true, byId('ask-account').checked),
  };
  const address = await attempt(addresses[currentFlow()]);
  if (typeof address !== 'string') return notify(TEXT.notices.failed(address.error.message), 'bad');
  write(STEPS_KEY, []);
  log(TEXT.steps.previewed(scheme()));
  location.assign(address);
}

/**
 * The address of the guide flow, at the TikTok of this demo.
 * @param {boolean} isNative
 * @param {boolean} selectAccount
 */
function guideAddress(isNative, selectAccount) {
  const { client_key: clientKey, scopes } = config;
  const address = getTikTokOAuthUrl({ clientKey, appUrl: location.origin, isNative, scheme: scheme(), scopes });
  const { search } = new URL(address);
  return config.authorize_url + search + (selectAccount ? '&disable_auto_auth=1' : '');
}

function scheme() {
  return config.schemes?.[0] ?? '';
}

function hasPreviewed() {
  return lastStep() === TEXT.steps.previewed(scheme());
}

/** @returns {FlowName} */
function currentFlow() {
  const flow = read(FLOW_KEY);
  return flow in tiktok || flow === 'guide' ? flow : 'hosted';
}

/** @param {FlowName} flow */
function chooseFlow(flow) {
  write(FLOW_KEY, flow);
  for (const tab of tabs) {
    const isChosen = tab.dataset.flow === flow;
    tab.setAttribute('aria-selected', String(isChosen));
    tab.tabIndex = isChosen ? 0 : -1;
  }
  byId('flow').setAttribute('aria-labelledby', `tab-${flow}`);
  byId('about').textContent = FLOWS[flow].about;
  byId('code').textContent = FLOWS[flow].code;
}

/** Arrow keys move between tabs. @param {KeyboardEvent} event */
function moveInTabs(event) {
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (!step) return;
  event.preventDefault();
  const shown = tabs.filter((tab) => !tab.hidden);
  const next = shown[(shown.indexOf(/** @type {any} */ (event.target)) + step + shown.length) % shown.length];
  chooseFlow(/** @type {FlowName} */ (next.dataset.flow));
  next.focus();
}

// ---- the session ----

async function whoAmI() {
  const { data, error } = await supabase.auth.getUser();
  if (data.user) {
    if (lastStep() !== TEXT.steps.known) log(TEXT.steps.known);
    showPerson(data.user);
  } else if (!error) {
    showSignedOut();
  } else if (error.status === 401 || error.status === 403 || !hasSession()) {
    supabase.auth.forget();
    drop(error.message);
  } else {
    report(error.message);
  }
}

async function refresh() {
  const { data, error } = await supabase.auth.refreshSession();
  if (!error) {
    log(TEXT.steps.refreshed);
    await whoAmI();
    notify(TEXT.notices.refreshed);
  } else if (data.session) {
    report(error.message);
  } else {
    drop(error.message);
  }
}

async function signOut() {
  const { error } = await supabase.auth.signOut();
  tiktokToken = '';
  showSignedOut();
  log(error ? TEXT.steps.signedOutHere : TEXT.steps.signedOut, Boolean(error));
  notify(error ? TEXT.notices.signedOutHere(error.message) : TEXT.notices.signedOut, error ? 'bad' : 'good');
}

/** The session is gone. @param {string} why */
function drop(why) {
  log(TEXT.steps.dropped, true);
  showSignedOut();
  notify(TEXT.notices.dropped(why), 'bad');
}

/** The session may still be good, so it stays. @param {string} why */
function report(why) {
  if (byId('signed-in').hidden) showPerson(null);
  log(TEXT.steps.failed(why), true);
  notify(TEXT.notices.failed(why), 'bad');
}

/**
 * What throws here is a browser that stores nothing, or one without Web Crypto.
 * @template T
 * @param {() => Promise<T>} work
 * @returns {Promise<T | {data: any, error: Error}>}
 */
async function attempt(work) {
  try {
    return await work();
  } catch (error) {
    return { data: {}, error: /** @type {Error} */ (error) };
  }
}

function canStore() {
  try {
    localStorage.setItem(FLOW_KEY, '1');
    localStorage.removeItem(FLOW_KEY);
    return true;
  } catch {
    return false;
  }
}

/** The session as it is kept, if there is one. */
function kept() {
  try {
    return JSON.parse(localStorage.getItem(SESSION_KEY) ?? 'null');
  } catch {
    return null;
  }
}

function hasSession() {
  return kept() !== null;
}

/** Of this tab. @param {string} key */
function read(key) {
  try {
    return JSON.parse(sessionStorage.getItem(key) ?? 'null');
  } catch {
    return null;
  }
}

/** @param {string} key @param {unknown} value */
function write(key, value) {
  try {
    sessionStorage.setItem(key, JSON.stringify(value));
  } catch {
    // The page works without; it only forgets.
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
  byId('native').hidden = panel === 'signed-in' || !scheme();
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
  drawVideoCall();
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

/** How to list the person's videos, where the session came with a token that may. */
function drawVideoCall() {
  byId('videos').hidden = !tiktokToken;
  byId('video-call').textContent = videoCall('$TIKTOK_TOKEN');
  byId('copy').hidden = !navigator.clipboard;
}

/** @param {string} token */
function videoCall(token) {
  return [
    `curl '${config.tiktok_api_url}/v2/video/list/?fields=id,title,share_url'`,
    `  -H "Authorization: Bearer ${token}"`,
    "  -H 'Content-Type: application/json' -d '{}'",
  ].join(' \\\n');
}

async function copyVideoCall() {
  await navigator.clipboard.writeText(videoCall(tiktokToken));
  notify(TEXT.copied);
}

function drawCountdown() {
  const session = kept();
  if (!session || !config) return;
  const at = session.expires_at * 1000;
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
  const buttons = [byId('sign-in'), byId('refresh'), byId('sign-out')];
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

/** @param {string} text @param {'good'|'calm'|'bad'} [tone] */
function notify(text, tone = 'good') {
  const notice = byId('notice');
  notice.textContent = text;
  notice.className = `notice ${tone}`;
  notice.hidden = false;
}

function hush() {
  byId('notice').hidden = true;
  byId('notice').textContent = '';
}

/** @returns {Step[]} */
function steps() {
  const all = read(STEPS_KEY);
  return Array.isArray(all) ? all : [];
}

function lastStep() {
  return steps().at(-1)?.text;
}

/**
 * Kept in sessionStorage, since a sign-in leaves this page and comes back.
 * @param {string} text
 * @param {boolean} [bad]
 */
function log(text, bad) {
  write(STEPS_KEY, [...steps(), { at: Date.now(), text, bad }].slice(-MAX_STEPS));
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
