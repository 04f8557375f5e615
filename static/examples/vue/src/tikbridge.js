// tikbridge: sign in with TikTok. How to use it is in tikbridge.d.ts.
// Made from static/sdk/src by "go generate ./static/..."; do not edit.

// src/environment.js
var inBrowser = typeof document === "object";
function isDespia() {
  return inBrowser && /despia/i.test(navigator.userAgent);
}

// src/address.js
var ANSWER = /^tikbridge_(handoff|error|error_description|request_id)(=|$)/i;
var OTHER_ANSWER = /^error(_code|_description)?(=|$)/i;
function takeFromAddress() {
  const address = new URL(location.href);
  const query = address.searchParams;
  const handoff = query.get("tikbridge_handoff") ?? "";
  const error = query.get("tikbridge_error") ?? "";
  const id = handoff || error && query.get("tikbridge_request_id");
  if (!id) return null;
  const description = query.get("tikbridge_error_description") ?? "";
  address.search = without(address.search, ANSWER);
  history.replaceState(history.state, "", address);
  return { id, handoff, error, description };
}
function returnAddress(page2 = location.href) {
  const address = new URL(page2, location.href);
  address.search = without(without(address.search, ANSWER), OTHER_ANSWER);
  address.hash = "";
  return address.href;
}
function without(search, names) {
  return search.replace(/^\?/, "").split("&").filter((parameter) => !names.test(parameter)).join("&");
}

// src/storage.js
var MAX_VALUES = 5;
function browserStores() {
  if (!inBrowser) return [];
  return [() => sessionStorage, () => localStorage].flatMap((open) => {
    try {
      return [open()];
    } catch {
      return [];
    }
  });
}
function memoryStore() {
  const values = /* @__PURE__ */ new Map();
  return {
    getItem: (key) => values.get(key) ?? null,
    setItem: (key, value) => void values.set(key, value)
  };
}
var RecentValues = class {
  /**
   * @param {Store[]} stores
   * @param {string} key
   * @param {number} lifetime In milliseconds.
   */
  constructor(stores, key, lifetime) {
    this.stores = stores;
    this.key = key;
    this.lifetime = lifetime;
  }
  /**
   * The newest of each store first, without those that are too old.
   * @returns {string[]}
   */
  all() {
    return [...new Set(this.stores.flatMap((store) => this.read(store)).map(([value]) => value))];
  }
  isEmpty() {
    return this.all().length === 0;
  }
  /** @param {string} value */
  add(value) {
    const entry = [value, Date.now()];
    this.change((others) => [entry, ...others].slice(0, MAX_VALUES), value);
  }
  /** @param {string} value */
  remove(value) {
    this.change((others) => others, value);
  }
  /**
   * @private
   * @param {(others: Entry[]) => Entry[]} change
   * @param {string} value
   */
  change(change, value) {
    for (const store of this.stores) {
      const others = this.read(store).filter(([other]) => other !== value);
      try {
        store.setItem(this.key, JSON.stringify(change(others)));
      } catch {
      }
    }
  }
  /**
   * @private
   * @param {Store} store
   * @returns {Entry[]}
   */
  read(store) {
    try {
      const entries = JSON.parse(store.getItem(this.key) ?? "[]");
      return entries.filter(([, savedAt]) => Math.abs(Date.now() - savedAt) < this.lifetime);
    } catch {
      return [];
    }
  }
};

// src/page.js
var HANDOFF_LIFETIME = 6e4;
var GRACE = 1500;
var WATCH_INTERVAL = 500;
var Page = class {
  constructor() {
    this.store = memoryStore();
    const [tabStore = this.store] = browserStores();
    this.waiting = new RecentValues([this.store, tabStore], "tikbridge.waiting", HANDOFF_LIFETIME);
    this.handleArrival = () => null;
    this.retry = void 0;
    this.awayFrom = "";
    this.subscribers = /* @__PURE__ */ new Set();
    this.inProgress = /* @__PURE__ */ new Map();
    this.graceTimer = 0;
    this.watchTimer = 0;
  }
  /**
   * Takes the bridge's answer out of the address before anything else of the page can read it. Notices
   * later when somebody comes back, and when a router changes the address of a page that stays.
   */
  listen() {
    if (!inBrowser) return;
    this.readAddress();
    addEventListener("popstate", () => this.look());
    addEventListener("pageshow", (event) => this.returned(event.persisted));
    addEventListener("focus", () => this.returned(false));
    addEventListener("blur", () => this.left());
    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState === "visible") this.returned(false);
      else this.left();
    });
    globalThis.navigation?.addEventListener("navigatesuccess", () => this.look());
  }
  /** Moves the bridge's answer from the address to what is waiting. */
  readAddress() {
    const arrival = takeFromAddress();
    if (arrival) this.waiting.add(JSON.stringify(arrival));
  }
  look() {
    this.readAddress();
    this.handleArrival();
  }
  /**
   * The newest arrival that nobody has handled. Older ones are dropped: their sign-ins are over.
   * @returns {Arrival | null}
   */
  takeArrival() {
    this.readAddress();
    const all = this.waiting.all();
    for (const arrival of all) this.waiting.remove(arrival);
    return all.length ? JSON.parse(all[0]) : null;
  }
  /**
   * Looks again and again, as nothing tells of a router's new address where there is no Navigation API.
   * @param {() => boolean} isWaiting
   */
  watchAddress(isWaiting) {
    clearInterval(this.watchTimer);
    this.watchTimer = window.setInterval(() => {
      if (isWaiting()) this.look();
      else clearInterval(this.watchTimer);
    }, WATCH_INTERVAL);
  }
  /**
   * Does some work and tells everybody its result. Who asks for the same work meanwhile gets the same.
   * @param {string} id
   * @param {() => Promise<Result>} work
   * @returns {Promise<Result>}
   */
  run(id, work) {
    const promise = work().then((result) => {
      this.tell(result);
      setTimeout(() => this.inProgress.delete(id));
      return result;
    });
    this.inProgress.set(id, promise);
    return promise;
  }
  /** @returns {Promise<Result> | undefined} */
  latestInProgress() {
    return [...this.inProgress.values()].pop();
  }
  /**
   * A callback that throws does not stop the others.
   * @param {Result} result
   */
  tell(result) {
    for (const callback of this.subscribers) Promise.resolve(result).then(callback);
  }
  /**
   * Nobody tells of a secure browser that was closed, nor of a step back to this page. Without a result
   * soon after, the sign-in counts as cancelled.
   * @private
   * @param {boolean} fromCache The browser kept the page as it was.
   */
  returned(fromCache) {
    this.look();
    const visible = document.visibilityState === "visible";
    if (!fromCache && !(visible && this.awayFrom === "native")) return;
    clearTimeout(this.graceTimer);
    this.graceTimer = window.setTimeout(() => {
      this.look();
      if (this.awayFrom) this.tell({ status: "cancelled" });
      this.awayFrom = "";
    }, GRACE);
  }
  /**
   * What arrives now is left for later: a page that is about to be loaded again would begin to redeem in
   * vain.
   * @private
   */
  left() {
    clearTimeout(this.graceTimer);
  }
};

// src/result.js
var TEXT = {
  notStartedHere: "This sign-in was not started here. Please sign in again.",
  noConnection: "No connection. Please try again.",
  tryAgain: "Please try again.",
  insecure: "This page has no secure connection. Open it with https:// and try again.",
  alreadySignedIn: "You are signed in with another account. Sign out first to continue with TikTok.",
  guest: "You use this app as a guest. Signing in with TikTok would start a new account without what you have here."
};
var TEMPORARY = /^(network_error|rate_limited|\w+_unavailable)$/;
function failed(error, description = "", requestId = "") {
  return { status: "failed", error, error_description: description, request_id: requestId };
}
function refusal(error, description, requestId) {
  if (error === "access_denied") return { status: "cancelled" };
  return failed(/^\w{1,64}$/.test(error) ? error : "internal", description, requestId);
}
function isTemporary(result) {
  return result.status === "failed" && TEMPORARY.test(result.error);
}

// src/time-limit.js
var LIMIT = 1e4;
function inTime(promise, name) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`${name} did not return within ${LIMIT / 1e3} seconds`)), LIMIT);
    promise.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}

// src/account.js
var PROVIDER = "custom:tiktok";
async function findOtherAccount(supabase) {
  let session;
  try {
    const { data, error } = await inTime(supabase.auth.getSession(), "getSession");
    if (error?.name === "AuthRetryableFetchError") {
      return { ...failed("network_error", TEXT.noConnection), cause: error };
    }
    session = data.session;
  } catch (cause) {
    return { ...failed("invalid_session", TEXT.tryAgain), cause };
  }
  if (!session || isOfTikTok(session)) return null;
  return failed("already_signed_in", isGuest(session) ? TEXT.guest : TEXT.alreadySignedIn);
}
function isGuest(session) {
  return [readUser(session), readClaims(session)].some(({ is_anonymous }) => is_anonymous === true);
}
function isOfTikTok(session) {
  return [readUser(session), readClaims(session)].some(({ app_metadata, identities }) => {
    const providers = [app_metadata?.provider, app_metadata?.providers, identities?.map(({ provider }) => provider)];
    return Boolean(app_metadata?.tiktok) || providers.flat().includes(PROVIDER);
  });
}
function readUser(session) {
  try {
    const { app_metadata, identities, is_anonymous } = session.user;
    return { app_metadata, identities, is_anonymous };
  } catch {
    return {};
  }
}
function readClaims({ access_token }) {
  try {
    const payload = access_token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
    return JSON.parse(atob(payload));
  } catch {
    return {};
  }
}

// src/bridge.js
var TIMEOUT = 2e4;
var Bridge = class {
  /** @param {string} url */
  constructor(url) {
    this.base = url.replace(/\/+$/, "") + "/api/auth/tiktok/";
  }
  /**
   * The address at which a sign-in begins.
   * @param {Record<string, string>} parameters
   */
  startAddress(parameters) {
    return this.base + "start?" + new URLSearchParams(parameters);
  }
  /**
   * Trades a handoff for a session. A verifier that does not fit does not use the handoff up.
   * @param {string} handoff
   * @param {string} verifier
   * @returns {Promise<Answer>}
   */
  async redeem(handoff, verifier) {
    try {
      const response = await fetch(this.base + "redeem", {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ handoff, verifier }),
        credentials: "omit",
        cache: "no-store",
        referrerPolicy: "no-referrer",
        redirect: "error",
        signal: AbortSignal.timeout?.(TIMEOUT)
      });
      const answer = await response.json();
      if (answer.error || answer.access_token) return answer;
    } catch {
    }
    return { error: "network_error", error_description: TEXT.noConnection };
  }
};

// src/secrets.js
function randomString() {
  return base64url(crypto.getRandomValues(new Uint8Array(32)));
}
function canHash() {
  return Boolean(globalThis.crypto?.subtle);
}
async function sha256(text) {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  return base64url(new Uint8Array(digest));
}
function base64url(bytes) {
  return btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

// src/sign-in.js
var LIFETIME = 10 * 6e4;
function createSignIn(page2, { bridgeUrl, supabase, setSession, scheme, despia, storage }) {
  const platform = isDespia() ? "native" : "web";
  const bridge = new Bridge(bridgeUrl);
  const stores = [page2.store, ...storage ? [storage] : browserStores()];
  const verifiers = new RecentValues(stores, "tikbridge.flows", LIFETIME);
  const handled = new RecentValues(stores, "tikbridge.arrivals", LIFETIME);
  if (platform === "native" && !verifiers.isEmpty()) watchAddress();
  async function signIn({ redirectTo, selectAccount, replaceSession } = {}) {
    page2.handleArrival = handleArrival;
    page2.retry = void 0;
    const obstacle = await findObstacle(replaceSession);
    if (obstacle) {
      page2.tell(obstacle);
      return obstacle;
    }
    const verifier = randomString();
    const parameters = { platform, challenge: await sha256(verifier) };
    if (selectAccount) parameters.select_account = "1";
    if (platform === "web") parameters.redirect_to = returnAddress(redirectTo);
    else if (scheme) parameters.scheme = scheme;
    verifiers.add(verifier);
    page2.awayFrom = platform;
    const address = bridge.startAddress(parameters);
    if (platform === "web") {
      location.assign(address);
    } else {
      watchAddress();
      openSecureBrowser(address);
    }
    return null;
  }
  async function findObstacle(replaceSession) {
    if (!canHash()) return failed("insecure_context", TEXT.insecure);
    return supabase && !replaceSession ? findOtherAccount(supabase) : null;
  }
  async function handleRedirect() {
    if (!inBrowser) return null;
    page2.handleArrival = handleArrival;
    const result = handleArrival() ?? page2.latestInProgress();
    if (result) return result;
    return page2.retry ? page2.run("retry", page2.retry) : null;
  }
  function onResult(callback) {
    page2.handleArrival = handleArrival;
    page2.subscribers.add(callback);
    return () => {
      page2.subscribers.delete(callback);
    };
  }
  function openSecureBrowser(address) {
    const command = "oauth://?url=" + encodeURIComponent(address);
    if (despia) despia(command);
    else Object.assign(window, { despia: command });
  }
  function watchAddress() {
    page2.watchAddress(() => !verifiers.isEmpty());
  }
  function handleArrival() {
    const arrival = page2.takeArrival();
    if (!arrival) return null;
    const mark = arrival.id.slice(-32);
    if (page2.inProgress.has(arrival.id) || handled.all().includes(mark)) return page2.inProgress.get(arrival.id);
    page2.awayFrom = "";
    return page2.run(arrival.id, async function attempt() {
      page2.retry = void 0;
      const result = await resultOf(arrival);
      if (arrival.handoff && isTemporary(result)) page2.retry = attempt;
      else handled.add(mark);
      return result;
    });
  }
  async function resultOf(arrival) {
    if (arrival.handoff) return redeem(arrival.handoff);
    const description = verifiers.isEmpty() ? "" : arrival.description;
    return refusal(arrival.error, description, arrival.id);
  }
  async function redeem(handoff) {
    let result = failed("handoff_invalid", TEXT.notStartedHere);
    for (const verifier of verifiers.all()) {
      const answer = await bridge.redeem(handoff, verifier);
      if (!answer.error) {
        verifiers.remove(verifier);
        return deliver(
          /** @type {Session} */
          answer
        );
      }
      result = refusal(answer.error, answer.error_description, answer.request_id);
      if (answer.error !== "handoff_invalid") break;
    }
    return result;
  }
  async function deliver(session) {
    page2.retry = void 0;
    const taken = giveToApp(session);
    try {
      await inTime(taken, "setSession");
      return { status: "signed_in", session };
    } catch (cause) {
      const retry = () => deliver(session);
      page2.retry = retry;
      taken.then(() => {
        if (page2.retry !== retry) return;
        page2.retry = void 0;
        page2.tell({ status: "signed_in", session });
      }, () => {
      });
      return { ...failed("invalid_session", TEXT.tryAgain), cause };
    }
  }
  async function giveToApp(session) {
    const { access_token, refresh_token } = session;
    const taken = await (setSession ? setSession(session) : supabase.auth.setSession({ access_token, refresh_token }));
    if (taken?.error) throw taken.error;
  }
  return { signIn, handleRedirect, onResult };
}

// src/guide.js
var STATE_KEY = "tikbridge.state";
function getTikTokOAuthUrl(options) {
  const { clientKey, appUrl = "", isNative, scheme, scopes = "user.info.basic" } = options;
  const state = crypto.randomUUID?.() ?? randomString();
  if (!isNative) browserStores()[0]?.setItem(STATE_KEY, state);
  const callback = appUrl.replace(/\/+$/, "") + (isNative ? "/native-callback" : "/auth");
  return "https://www.tiktok.com/v2/auth/authorize/?" + new URLSearchParams({
    client_key: clientKey,
    response_type: "code",
    scope: String(scopes),
    redirect_uri: options.redirectUri ?? callback,
    state: isNative && scheme ? `${state}|${scheme}` : state
  });
}

// src/index.js
var page = new Page();
page.listen();
function createTikTokSignIn(options) {
  return createSignIn(page, options);
}
export {
  createTikTokSignIn,
  getTikTokOAuthUrl
};
