// tikbridge: sign in with TikTok. How to use it is in tikbridge.d.ts.
// Made from static/sdk/src by "go generate ./static/..."; do not edit.
(() => {
  // src/environment.js
  var inBrowser = typeof document === "object";
  function isDespia() {
    return inBrowser && /despia/i.test(navigator.userAgent);
  }
  function openSecureBrowser(address, despia) {
    const command = "oauth://?url=" + encodeURIComponent(address);
    if (despia) despia(command);
    else Object.assign(window, { despia: command });
  }

  // src/address.js
  var ANSWER = /^tikbridge_(handoff|error|error_description|request_id)(=|$)/i;
  var OTHER_ANSWER = /^error(_code|_description)?(=|$)/i;
  var GOTRUE_ANSWER = /^(code|error(_code|_description)?)(=|$)/i;
  var GOTRUE_CODE = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
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
  function takeGoTrueAnswer(flow, taken) {
    const address = new URL(location.href);
    const fragment = new URLSearchParams(address.hash.slice(1));
    const read = (name) => address.searchParams.get(name) || fragment.get(name) || "";
    const error = read("error");
    const code = error ? "" : read("code");
    if (!(flow && error) && !(GOTRUE_CODE.test(code) && (flow || taken.has(code)))) return null;
    const errorCode = read("error_code") || (address.searchParams.has("error_code") ? "unknown" : "");
    taken.add(code);
    address.search = without(address.search, GOTRUE_ANSWER);
    if (fragment.has("error") || fragment.has("sb")) address.hash = "";
    history.replaceState(history.state, "", address);
    return { id: code || flow, handoff: "", error, description: "", ofProvider: true, code, errorCode };
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
  var SIGN_IN_LIFETIME = 10 * 6e4;
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
      const stores = browserStores();
      const [tabStore = this.store] = stores;
      this.waiting = new RecentValues([this.store, tabStore], "tikbridge.waiting", HANDOFF_LIFETIME);
      this.providerFlows = new RecentValues([this.store, ...stores], "tikbridge.provider", SIGN_IN_LIFETIME);
      this.takenCodes = /* @__PURE__ */ new Set();
      this.finding = void 0;
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
    /** Moves the answer of the bridge or of GoTrue from the address to what is waiting. */
    readAddress() {
      const [flow = ""] = this.providerFlows.all();
      const arrival = takeFromAddress() ?? takeGoTrueAnswer(flow, this.takenCodes);
      if (arrival) this.waiting.add(JSON.stringify(arrival));
    }
    look() {
      this.readAddress();
      this.handleArrival();
    }
    /**
     * The newest arrival of a flow that nobody has handled. Older ones are dropped: their sign-ins are over.
     * @param {boolean} ofProvider
     * @returns {Arrival | null}
     */
    takeArrival(ofProvider) {
      this.readAddress();
      const all = this.waiting.all().filter((arrival) => Boolean(JSON.parse(arrival).ofProvider) === ofProvider);
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
    guest: "You use this app as a guest. Signing in with TikTok would start a new account without what you have here.",
    broken: "Something went wrong. Please try again.",
    startedAgain: "This sign-in was started again, and only the latest one counts. Please sign in again.",
    tooLate: "This sign-in took too long, or was used already. Please sign in again.",
    banned: "This account is blocked. Please contact the people who make this app.",
    refused: "This app does not let you sign in. Please contact the people who make this app.",
    busy: "Too many sign-ins right now. Please try again in a minute.",
    setUp: "Sign-in is not set up correctly. Please tell the people who make this app.",
    notSignedIn: "Sign in first, then connect TikTok.",
    noEmail: "Add an e-mail address to your account first, then connect TikTok.",
    linked: "This TikTok account is already connected to an account."
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
  async function currentSession(supabase) {
    try {
      const { data, error } = await inTime(supabase.auth.getSession(), "getSession");
      if (error?.name === "AuthRetryableFetchError") {
        return { failure: { ...failed("network_error", TEXT.noConnection), cause: error } };
      }
      return { session: data.session };
    } catch (cause) {
      return { failure: { ...failed("invalid_session", TEXT.tryAgain), cause } };
    }
  }
  async function findOtherAccount(supabase) {
    const { session, failure } = await currentSession(supabase);
    return failure ?? otherAccount(session);
  }
  function otherAccount(session, provider) {
    if (!session || isOfTikTok(session, provider)) return null;
    return failed("already_signed_in", isGuest(session) ? TEXT.guest : TEXT.alreadySignedIn);
  }
  function isGuest(session) {
    return [readUser(session), readClaims(session)].some(({ is_anonymous }) => is_anonymous === true);
  }
  function isOfTikTok(session, provider = "custom:tiktok") {
    return [readUser(session), readClaims(session)].some(({ app_metadata, identities }) => {
      const providers = [app_metadata?.provider, app_metadata?.providers, identities?.map(({ provider: provider2 }) => provider2)];
      return Boolean(app_metadata?.tiktok) || providers.flat().includes(provider);
    });
  }
  function hasEmail(session) {
    return [readUser(session), readClaims(session)].some(({ email }) => Boolean(email));
  }
  function sessionId(session) {
    return session && readClaims(session).session_id || "";
  }
  function readUser(session) {
    try {
      const { app_metadata, email, identities, is_anonymous } = session.user;
      return { app_metadata, email, identities, is_anonymous };
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

  // src/deliver.js
  async function deliver(page2, name, take) {
    page2.retry = void 0;
    const taken = take();
    try {
      return await inTime(taken, name);
    } catch (cause) {
      const retry = () => deliver(page2, name, take);
      page2.retry = retry;
      taken.then((result) => {
        if (page2.retry !== retry) return;
        page2.retry = void 0;
        page2.tell(result);
      }, () => {
      });
      return { ...failed("invalid_session", TEXT.tryAgain), cause };
    }
  }

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

  // src/hosted.js
  function createHostedFlow(page2, { bridgeUrl, supabase, setSession, scheme }, platform, stores) {
    const bridge = new Bridge(bridgeUrl);
    const verifiers = new RecentValues(stores, "tikbridge.flows", SIGN_IN_LIFETIME);
    async function begin({ redirectTo, selectAccount, replaceSession }) {
      const obstacle = supabase && !replaceSession ? await findOtherAccount(supabase) : null;
      if (obstacle) return obstacle;
      const verifier = randomString();
      const parameters = { platform, challenge: await sha256(verifier) };
      if (selectAccount) parameters.select_account = "1";
      if (platform === "web") parameters.redirect_to = returnAddress(redirectTo);
      else if (scheme) parameters.scheme = scheme;
      verifiers.add(verifier);
      return bridge.startAddress(parameters);
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
          const session = (
            /** @type {Session} */
            answer
          );
          return deliver(page2, "setSession", () => giveToApp(session));
        }
        result = refusal(answer.error, answer.error_description, answer.request_id);
        if (answer.error !== "handoff_invalid") break;
      }
      return result;
    }
    async function giveToApp(session) {
      const { access_token, refresh_token } = session;
      const taken = await (setSession ? setSession(session) : supabase.auth.setSession({ access_token, refresh_token }));
      if (taken?.error) throw taken.error;
      return { status: "signed_in", session };
    }
    return { isProvider: false, isUnderWay: () => !verifiers.isEmpty(), begin, resultOf };
  }

  // src/gotrue.js
  var NO_VERIFIER = /^(pkce_code_verifier_not_found|validation_failed)$/;
  var KNOWN = [
    [/^bad_code_verifier$/, TEXT.startedAgain, "invalid_state"],
    // supabase-js keeps one verifier: the last
    [NO_VERIFIER, TEXT.startedAgain, "invalid_state"],
    [/^(flow_state|bad_oauth|oauth_client_state)_/, TEXT.tooLate, "invalid_state"],
    [/^user_banned$/, TEXT.banned],
    [/^(signup_disabled|unknown)$/, TEXT.refused, "sign_in_refused"],
    // unknown: by a hook
    [/^(provider_disabled|oauth_provider_not_supported)$/, TEXT.setUp, "supabase_misconfigured"],
    [/^over_\w+_rate_limit$/, TEXT.busy, "rate_limited"],
    [/^(request_timeout|temporarily_unavailable)$/, TEXT.broken, "supabase_unavailable"],
    [/^identity_already_exists$/, TEXT.linked],
    // The page /return of the bridge says the other two.
    [/^(manual_linking_disabled|implicit_flow|scheme_not_allowed)$/, TEXT.setUp]
  ];
  function explainCode(code = "") {
    const [, text, own = code] = KNOWN.find(([gotrue]) => gotrue.test(code)) ?? [, TEXT.broken, "internal"];
    return failed(own, text);
  }
  function explainError(cause) {
    const offline = cause?.name === "AuthRetryableFetchError";
    return { ...offline ? failed("network_error", TEXT.noConnection) : explainCode(cause?.code), cause };
  }
  function lacksVerifier(error) {
    return NO_VERIFIER.test(error?.code);
  }

  // src/provider.js
  function createProviderFlow(page2, { bridgeUrl, supabase, provider, scheme }, platform) {
    const auth = supabase.auth;
    const flows = page2.providerFlows;
    async function begin({ replaceSession, ...options }) {
      const { session, failure } = await currentSession(supabase);
      const obstacle = replaceSession ? null : failure ?? otherAccount(session, provider);
      return obstacle ?? requestAddress("signInWithOAuth", session, options);
    }
    async function beginLink(options) {
      const { session, failure } = await currentSession(supabase);
      if (failure) return failure;
      if (!session) return failed("not_signed_in", TEXT.notSignedIn);
      if (!hasEmail(session)) return failed("email_required", TEXT.noEmail);
      return requestAddress("linkIdentity", session, options);
    }
    async function requestAddress(method, session, { redirectTo, selectAccount }) {
      if (auth.flowType === "implicit") {
        const cause = new Error("Make the client with auth: { flowType: 'pkce' }");
        return { ...failed("implicit_flow", TEXT.setUp), cause };
      }
      try {
        const { data, error } = await inTime(auth[method]({
          provider,
          options: {
            redirectTo: platform === "web" ? returnAddress(redirectTo) : nativeReturnAddress(),
            skipBrowserRedirect: true,
            queryParams: selectAccount ? { prompt: "select_account" } : void 0
          }
        }), method);
        if (error) return explainError(error);
        flows.add(`${sessionId(session)}.${Date.now()}`);
        return data.url;
      } catch (cause) {
        return explainError(cause);
      }
    }
    function nativeReturnAddress() {
      const page3 = bridgeUrl.replace(/\/+$/, "") + "/return";
      return scheme ? page3 + "?scheme=" + encodeURIComponent(scheme) : page3;
    }
    async function resultOf({ code, error, errorCode }) {
      const [flow = ""] = flows.all();
      if (code) {
        const exchanged = exchange(code, flow);
        return deliver(page2, "exchangeCodeForSession", () => exchanged);
      }
      flows.remove(flow);
      if (error === "access_denied" && !errorCode) return { status: "cancelled" };
      return explainCode(errorCode || error);
    }
    async function exchange(code, flow) {
      const already = await findSession(flow);
      if (already) return succeed(already);
      let cause;
      try {
        const { data, error } = await auth.exchangeCodeForSession(code);
        if (!error) return succeed(data.session);
        cause = error;
      } catch (error) {
        cause = error;
      }
      const late = await findSession(flow);
      if (late) return succeed(late);
      flows.remove(flow);
      const first = lacksVerifier(cause) && (await auth.initialize?.())?.error;
      return explainError(first || cause);
    }
    function findResult() {
      page2.finding ?? (page2.finding = find().finally(() => page2.finding = void 0));
      return page2.finding;
    }
    async function find() {
      const [flow] = flows.all();
      if (!flow) return null;
      try {
        const session = await inTime(findSession(flow), "getSession");
        return session ? page2.run(flow, async () => succeed(session)) : null;
      } catch {
        return null;
      }
    }
    async function findSession(flow) {
      const { data } = await auth.getSession();
      const id = sessionId(data.session);
      return id && id !== flow.split(".")[0] && isOfTikTok(data.session, provider) ? data.session : null;
    }
    function succeed(session) {
      page2.awayFrom = "";
      for (const flow of flows.all()) flows.remove(flow);
      return { status: "signed_in", session };
    }
    return { isProvider: true, isUnderWay: () => !flows.isEmpty(), begin, beginLink, resultOf, findResult };
  }

  // src/sign-in.js
  function createSignIn(page2, options) {
    const platform = isDespia() ? "native" : "web";
    const stores = [page2.store, ...options.storage ? [options.storage] : browserStores()];
    const handled = new RecentValues(stores, "tikbridge.arrivals", SIGN_IN_LIFETIME);
    const flow = options.provider ? createProviderFlow(page2, options, platform) : createHostedFlow(page2, options, platform, stores);
    if (platform === "native" && flow.isUnderWay()) watchAddress();
    function signIn(signInOptions = {}) {
      return start(() => flow.begin(signInOptions));
    }
    function link(linkOptions = {}) {
      return start(() => flow.beginLink(linkOptions));
    }
    async function start(begin) {
      page2.handleArrival = handleArrival;
      page2.retry = void 0;
      const address = canHash() ? await begin() : failed("insecure_context", TEXT.insecure);
      if (typeof address !== "string") {
        page2.tell(address);
        return address;
      }
      page2.awayFrom = platform;
      if (platform === "web") {
        location.assign(address);
      } else {
        watchAddress();
        openSecureBrowser(address, options.despia);
      }
      return null;
    }
    async function handleRedirect() {
      if (!inBrowser) return null;
      page2.handleArrival = handleArrival;
      const result = handleArrival() ?? page2.latestInProgress();
      if (result) return result;
      if (page2.retry) return page2.run("retry", page2.retry);
      return flow.findResult?.() ?? null;
    }
    function onResult(callback) {
      page2.handleArrival = handleArrival;
      page2.subscribers.add(callback);
      return () => {
        page2.subscribers.delete(callback);
      };
    }
    function watchAddress() {
      page2.watchAddress(flow.isUnderWay);
    }
    function handleArrival() {
      const arrival = page2.takeArrival(flow.isProvider);
      if (!arrival) return null;
      const mark = arrival.id.slice(-32);
      if (page2.inProgress.has(arrival.id) || handled.all().includes(mark)) return page2.inProgress.get(arrival.id);
      page2.awayFrom = "";
      return page2.run(arrival.id, async function attempt() {
        page2.retry = void 0;
        const result = await flow.resultOf(arrival);
        if (arrival.handoff && isTemporary(result)) page2.retry = attempt;
        else handled.add(mark);
        return result;
      });
    }
    const object = { signIn, handleRedirect, onResult };
    return flow.beginLink ? { ...object, link } : object;
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

  // src/global.js
  Object.assign(window, { tikbridge: { createTikTokSignIn, getTikTokOAuthUrl } });
})();
