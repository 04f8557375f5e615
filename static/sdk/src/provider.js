// The provider flow: TikTok is a provider of Supabase, and supabase-js makes the session from GoTrue's code.

import { currentSession, hasEmail, isOfTikTok, otherAccount, sessionId } from './account.js';
import { returnAddress } from './address.js';
import { deliver } from './deliver.js';
import { explainCode, explainError, lacksVerifier } from './gotrue.js';
import { failed, TEXT } from './result.js';
import { inTime } from './time-limit.js';

/** @import { Account } from './account.js' */
/** @import { Arrival } from './address.js' */
/** @import { Page } from './page.js' */
/** @import { Flow } from './sign-in.js' */
/** @import { Tokens } from './tokens.js' */
/** @import { Failed, LinkOptions, ProviderOptions, Result } from '../tikbridge.js' */

/**
 * @param {Page} page
 * @param {ProviderOptions} options
 * @param {'web' | 'native'} platform
 * @param {Tokens} tokens
 * @returns {Flow}
 */
export function createProviderFlow(page, { bridgeUrl, supabase, provider, scheme }, platform, tokens) {
  /** @type {any} It has more than is declared: flowType, and in all versions initialize. */
  const auth = supabase.auth;
  const flows = page.providerFlows;

  /** @type {Flow['begin']} */
  async function begin({ replaceSession, ...options }) {
    const { session, failure } = await currentSession(supabase);
    const obstacle = replaceSession ? null : failure ?? otherAccount(session, provider);
    return obstacle ?? requestAddress('signInWithOAuth', session, options);
  }

  /** @type {Flow['beginLink']} */
  async function beginLink(options) {
    const { session, failure } = await currentSession(supabase);
    if (failure) return failure;
    if (!session) return failed('not_signed_in', TEXT.notSignedIn);
    // GoTrue would write to whoever links, and fail: supabase/auth#2640.
    if (!hasEmail(session)) return failed('email_required', TEXT.noEmail);
    return requestAddress('linkIdentity', session, options);
  }

  /**
   * @param {'signInWithOAuth' | 'linkIdentity'} method
   * @param {Account | null | undefined} session
   * @param {LinkOptions} options
   * @returns {Promise<string | Failed>} The address to open.
   */
  async function requestAddress(method, session, { redirectTo, selectAccount }) {
    if (auth.flowType === 'implicit') {
      const cause = new Error("Make the client with auth: { flowType: 'pkce' }");
      return { ...failed('implicit_flow', TEXT.setUp), cause };
    }
    try {
      const { data, error } = await inTime(auth[method]({
        provider,
        options: {
          redirectTo: platform === 'web' ? returnAddress(redirectTo) : nativeReturnAddress(),
          skipBrowserRedirect: true,
          queryParams: selectAccount ? { prompt: 'select_account' } : undefined,
        },
      }), method);
      if (error) return explainError(error);
      flows.add(`${sessionId(session)}.${Date.now()}`);
      return data.url;
    } catch (cause) {
      return explainError(cause);
    }
  }

  /** The bridge's page that takes people from the secure browser to the app. */
  function nativeReturnAddress() {
    const page = bridgeUrl.replace(/\/+$/, '') + '/return';
    return scheme ? page + '?scheme=' + encodeURIComponent(scheme) : page;
  }

  /**
   * @param {Arrival} arrival
   * @returns {Promise<Result>}
   */
  async function resultOf({ code, error, errorCode }) {
    const [flow = ''] = flows.all();
    if (code) {
      const exchanged = exchange(code, flow);
      return deliver(page, 'exchangeCodeForSession', () => exchanged);
    }
    flows.remove(flow);
    // With a code of GoTrue, it is GoTrue that denies.
    if (error === 'access_denied' && !errorCode) return { status: 'cancelled' };
    return explainCode(errorCode || error);
  }

  /**
   * supabase-js reads an address that is loaded by itself, and a code works once: so first it is asked what
   * came of that.
   * @param {string} code
   * @param {string} flow
   * @returns {Promise<Result>}
   */
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
    const late = await findSession(flow); // The app may have exchanged it.
    if (late) return succeed(late);
    flows.remove(flow);
    // If supabase-js tried first and failed, the verifier is gone, and it knows why.
    const first = lacksVerifier(cause) && (await auth.initialize?.())?.error;
    return explainError(first || cause);
  }

  /** @type {Flow['findResult']} */
  function findResult() {
    page.finding ??= find().finally(() => (page.finding = undefined));
    return page.finding;
  }

  /**
   * supabase-js may have signed in before this script was loaded.
   * @returns {Promise<Result | null>}
   */
  async function find() {
    const [flow] = flows.all();
    if (!flow) return null;
    try {
      const session = await inTime(findSession(flow), 'getSession');
      return session ? page.run(flow, async () => succeed(session)) : null;
    } catch {
      return null;
    }
  }

  /**
   * A session of TikTok that was not there when the sign-in began.
   * @param {string} flow
   * @returns {Promise<any>}
   */
  async function findSession(flow) {
    const { data } = await auth.getSession();
    const id = sessionId(data.session);
    return id && id !== flow.split('.')[0] && isOfTikTok(data.session, provider) ? data.session : null;
  }

  /**
   * @param {any} session
   * @returns {Result}
   */
  function succeed(session) {
    page.awayFrom = '';
    for (const flow of flows.all()) flows.remove(flow); // their verifiers are gone
    tokens.keep(session);
    return { status: 'signed_in', session };
  }

  return { isProvider: true, isUnderWay: () => !flows.isEmpty(), begin, beginLink, resultOf, findResult };
}
