// As much of a supabase-js client as the demo and the SDK use, since the demo runs without internet. A real app
// uses supabase-js: its client has these functions, under these names.

/** Where the session is kept. */
export const SESSION_KEY = 'tikbridge.demo';
const VERIFIER_KEY = 'tikbridge.demo.verifier';
/** A session that ends within this time is refreshed first. In milliseconds. */
const MARGIN = 10_000;

/**
 * @typedef {object} Session
 * @property {string} access_token
 * @property {string} refresh_token
 * @property {number} expires_at Seconds since 1970.
 * @property {any} [user]
 *
 * @typedef {{name: string, message: string, code: string, status: number}} AuthError status 0: not reached.
 */

/**
 * @param {string} authUrl Where Supabase Auth answers.
 * @param {string} key The publishable key.
 */
export function createClient(authUrl, key) {
  return { auth: new AuthClient(authUrl, key) };
}

class AuthClient {
  /**
   * @param {string} authUrl
   * @param {string} key
   */
  constructor(authUrl, key) {
    this.authUrl = authUrl;
    this.key = key;
    this.flowType = 'pkce'; // the SDK refuses a client of the other kind
    /** @type {ReturnType<AuthClient['renew']> | undefined} */
    this.refreshing = undefined;
  }

  /** The session, refreshed if it is about to end. A session that cannot be refreshed now is still there. */
  async getSession() {
    const session = read();
    if (!session || session.expires_at * 1000 - Date.now() > MARGIN) return { data: { session }, error: null };
    return this.refreshSession();
  }

  /** Asks Supabase who the session belongs to. */
  async getUser() {
    const { data, error } = await this.getSession();
    if (!data.session) return { data: { user: null }, error };
    return this.fetchUser(data.session.access_token);
  }

  /**
   * Takes tokens that were made elsewhere, once Supabase has accepted them.
   * @param {{access_token: string, refresh_token: string}} tokens
   */
  async setSession({ access_token, refresh_token }) {
    const { data, error } = await this.fetchUser(access_token);
    if (error) return { data: { session: null }, error };
    return this.keep({ access_token, refresh_token, expires_at: expiryOf(access_token), user: data.user });
  }

  /**
   * Begins the sign-in with a provider. The verifier stays here, its hash is in the address.
   * @param {{provider: string, options?: {redirectTo?: string, skipBrowserRedirect?: boolean,
   *   queryParams?: Record<string, string>}}} credentials
   */
  async signInWithOAuth({ provider, options: { redirectTo, skipBrowserRedirect, queryParams } = {} }) {
    const verifier = randomString();
    localStorage.setItem(VERIFIER_KEY, verifier);
    const url = this.authUrl + '/authorize?' + new URLSearchParams({
      provider,
      ...(redirectTo && { redirect_to: redirectTo }),
      code_challenge: await sha256(verifier),
      code_challenge_method: 's256',
      ...queryParams,
    });
    if (!skipBrowserRedirect) location.assign(url);
    return { data: { provider, url }, error: null };
  }

  /**
   * Trades the code of such a sign-in for its session.
   * @param {string} code
   */
  async exchangeCodeForSession(code) {
    const verifier = localStorage.getItem(VERIFIER_KEY);
    if (!verifier) {
      const message = 'There is no code verifier in this browser.';
      const name = 'AuthPKCECodeVerifierMissingError';
      const error = { name, message, code: 'pkce_code_verifier_not_found', status: 400 };
      return { data: { session: null }, error };
    }
    localStorage.removeItem(VERIFIER_KEY);
    const body = { auth_code: code, code_verifier: verifier };
    const { data, error } = await this.call('POST', '/token?grant_type=pkce', { body });
    return error ? { data: { session: null }, error } : this.keep(data);
  }

  /** Calls at the same time share one refresh: a refresh token works once. */
  refreshSession() {
    this.refreshing ??= this.renew().finally(() => (this.refreshing = undefined));
    return this.refreshing;
  }

  /** @private */
  async renew() {
    const session = read();
    if (!session) return { data: { session }, error: missing() };
    const body = { refresh_token: session.refresh_token };
    const { data, error } = await this.call('POST', '/token?grant_type=refresh_token', { body });
    if (!error) return this.keep(data);
    if (![400, 401, 403].includes(error.status)) return { data: { session }, error };
    this.forget();
    return { data: { session: null }, error };
  }

  /**
   * Ends the session. It is forgotten here in any case.
   * @param {{scope?: string}} [options]
   */
  async signOut({ scope = 'local' } = {}) {
    const session = read();
    const token = session?.access_token;
    const { error } = token ? await this.call('POST', '/logout?scope=' + scope, { token }) : { error: null };
    this.forget();
    const isOver = error && [401, 403, 404].includes(error.status); // it had ended before
    return { error: isOver ? null : error };
  }

  /**
   * @private
   * @param {string} token
   */
  async fetchUser(token) {
    const { data, error } = await this.call('GET', '/user', { token });
    return { data: { user: data }, error };
  }

  /**
   * @private
   * @param {any} data
   */
  keep(data) {
    const { access_token, refresh_token, user } = data;
    const session = { access_token, refresh_token, expires_at: data.expires_at ?? expiryOf(access_token), user };
    localStorage.setItem(SESSION_KEY, JSON.stringify(session));
    // What came with it, such as TikTok's tokens, is the caller's to keep.
    return { data: { session: { ...data, ...session }, user }, error: null };
  }

  /** Drops the session, when Supabase has refused it. */
  forget() {
    localStorage.removeItem(SESSION_KEY);
  }

  /**
   * @private
   * @param {string} method
   * @param {string} path
   * @param {{token?: string, body?: object}} options
   * @returns {Promise<{data: any, error: AuthError|null}>}
   */
  async call(method, path, { token, body }) {
    /** @type {Record<string, string>} */
    const headers = { apikey: this.key };
    if (token) headers.Authorization = `Bearer ${token}`;
    if (body) headers['Content-Type'] = 'application/json';
    let response;
    try {
      const options = { method, headers, body: body && JSON.stringify(body), cache: /** @type {const} */ ('no-store') };
      response = await fetch(this.authUrl + path, options);
    } catch {
      const message = 'Supabase could not be reached.';
      return { data: null, error: { name: 'AuthRetryableFetchError', message, code: '', status: 0 } };
    }
    const data = await response.json().catch(() => null);
    if (response.ok) return { data, error: null };
    const status = response.status;
    const message = data?.msg ?? data?.message ?? data?.error_description ?? `Supabase answered with status ${status}.`;
    const code = data?.error_code ?? data?.code ?? '';
    return { data: null, error: { name: 'AuthApiError', message: String(message), code: String(code), status } };
  }
}

/** @returns {AuthError} */
function missing() {
  return { name: 'AuthSessionMissingError', message: 'Nobody is signed in.', code: 'session_not_found', status: 400 };
}

/** @returns {Session|null} */
function read() {
  try {
    const session = JSON.parse(localStorage.getItem(SESSION_KEY) ?? 'null');
    return session?.access_token ? session : null;
  } catch {
    return null;
  }
}

/** @param {string} token A JWT. */
function expiryOf(token) {
  try {
    return JSON.parse(atob(token.split('.')[1].replaceAll('-', '+').replaceAll('_', '/'))).exp ?? 0;
  } catch {
    return 0;
  }
}

export function randomString() {
  return base64url(crypto.getRandomValues(new Uint8Array(32)));
}

/** @param {string} text */
export async function sha256(text) {
  return base64url(new Uint8Array(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text))));
}

/** @param {Uint8Array} bytes */
function base64url(bytes) {
  return btoa(String.fromCharCode(...bytes)).replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '');
}
