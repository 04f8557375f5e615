// Types of tikbridge.js, and how to use it.
//
//   import { createTikTokSignIn } from 'https://bridge.example/sdk/tikbridge.js'
//
//   const tiktok = createTikTokSignIn({ bridgeUrl: 'https://bridge.example', supabase, scheme: 'myapp' })
//   tiktok.onResult((result) => { … })                    // every result, wherever it comes from
//   tiktok.handleRedirect()                               // once, when the app starts
//   button.onclick = () => tiktok.signIn()
//
// This is the hosted flow: the bridge leads from signIn() to the session. Where TikTok is a provider of the
// Supabase project, the provider flow has the same functions, and link():
//
//   const supabase = createClient(url, key, { auth: { flowType: 'pkce' } })
//   const tiktok = createTikTokSignIn({
//     bridgeUrl: 'https://bridge.example', supabase, provider: 'custom:tiktok', scheme: 'myapp',
//   })
//
// Its client must use PKCE: with the default of supabase-js, signIn() ends as `implicit_flow`. The redirect
// URLs of the project must have the app's pages and, for a wrapped app, `https://bridge.example/return**`.
// Load this script before the client is made: supabase-js up to 2.89 signs out whoever comes back from a
// sign-in that failed, unless this script has read the address before.
//
// Without modules, <script src="https://bridge.example/sdk/tikbridge.global.js"></script> defines
// window.tikbridge with the same functions. Both files may be copied into an app. A content security
// policy has to allow the bridge in connect-src and, unless the file was copied, in script-src.
//
//   const { token, error } = await tiktok.accessToken()   // for TikTok's API: docs/tiktok-api.md
//
// In the hosted flow, the page that people come back to must be on an origin in the bridge's app.origins.

/** A session of Supabase, as GoTrue sends it, or as supabase-js keeps it. */
export interface Session {
  access_token: string;
  refresh_token: string;
  token_type: string;
  /** Seconds that the access token lives. */
  expires_in: number;
  /** When it expires, in seconds since 1970. */
  expires_at: number;
  /** GoTrue's user. */
  user: any;
  /** TikTok's tokens, if the bridge is set up to return them. `accessToken()` keeps them fresh. */
  provider_token?: string;
  /** Good for the bridge alone, and for one refresh. */
  provider_refresh_token?: string;
  /** Seconds that `provider_token` lives; not in the provider flow, like the next. */
  provider_expires_in?: number;
  /** What the person granted, which may be less than the app asked for. */
  provider_scopes?: string[];
}

export interface SignedIn {
  status: 'signed_in';
  session: Session;
}

/**
 * The person said no at TikTok, closed the secure browser, or went back. In a wrapped app nobody tells
 * that the browser was closed: this is a guess, made 1.5 seconds after the app is visible again without
 * a result. A sign-in that comes later all the same is reported as such.
 */
export interface Cancelled {
  status: 'cancelled';
}

export interface Failed {
  status: 'failed';
  /**
   * A code of the bridge (its documentation lists them), or
   * - `network_error`: no answer from the bridge;
   * - `insecure_context`: the page came by http, and not from this machine. Browsers offer no `crypto.subtle`
   *   there;
   * - `already_signed_in`: somebody is signed in by other means than TikTok, see `replaceSession`;
   * - `invalid_session`: `supabase` or `setSession` did not take the session, or not within ten seconds; see
   *   `cause`. If it takes the session later, that is reported as a sign-in. A call of supabase-js never
   *   returns if the app awaits `handleRedirect()` in a callback of `onAuthStateChange`: do not.
   *
   * In the provider flow it is one of those above, or
   * - `invalid_state`: it took longer than the five minutes that Supabase waits, or was started again
   *   meanwhile. supabase-js keeps the verifier of the latest sign-in only;
   * - `user_banned`, `sign_in_refused`, `rate_limited`, `supabase_unavailable`, `supabase_misconfigured`,
   *   `scheme_not_allowed`, `internal`, as of the bridge;
   * - `implicit_flow`: the client was made without `flowType: 'pkce'`;
   * - of `link()` alone: `not_signed_in`; `email_required`: Supabase cannot link to a user without an e-mail
   *   address; `manual_linking_disabled`: it is off in the project's settings; `identity_already_exists`: the
   *   TikTok account belongs to this user already, or to another.
   *
   * Of `accessToken()` and `revoke()` it is `network_error`, `invalid_session`, a code of the bridge, or
   * - `signed_out`: nobody is signed in, or their session is over;
   * - `not_granted`: the person did not allow a scope that was asked for, or the bridge gave no tokens of TikTok;
   * - `revoked`: TikTok takes the refresh token no more. The person removed the app at TikTok, `revoke()` was
   *   called, or the answer to an earlier refresh got lost.
   * After each of the three `signIn()` helps.
   *
   * In the hosted flow, after `network_error`, `invalid_session`, `rate_limited` and the codes that end in
   * `_unavailable`, calling `handleRedirect()` again tries again, for the minute that a handoff lives. After
   * all others, and if the second try says `handoff_invalid`, the person has to sign in again. In the provider
   * flow they have to after all but `invalid_session`: supabase-js drops the verifier at the first try.
   */
  error: string;
  /**
   * For people; may be empty. The bridge's are in the language of the browser if it has it, the others in
   * English. It may come from the address of the page: show it as text, never as HTML.
   */
  error_description: string;
  /** Names the request in the log of the bridge; may be empty. */
  request_id: string;
  /** What `supabase` or `setSession` failed with, for developers. */
  cause?: unknown;
}

export type Result = SignedIn | Cancelled | Failed;

/** As much of a supabase-js client as is used. */
export interface SupabaseClientLike {
  auth: {
    /** Who is signed in already. */
    getSession(): Promise<{ data: { session: any }; error: any }>;
    setSession(tokens: { access_token: string; refresh_token: string }): Promise<{ error: unknown }>;
    /** So that TikTok's tokens go when the person signs out. */
    onAuthStateChange?(callback: (event: any, session: any) => void): any;
  };
}

/** As much of a supabase-js client as the provider flow uses. */
export interface SupabaseProviderClientLike {
  auth: {
    getSession(): Promise<{ data: { session: any }; error: any }>;
    signInWithOAuth(credentials: any): Promise<{ data: { url: string | null }; error: any }>;
    linkIdentity(credentials: any): Promise<{ data: any; error: any }>;
    exchangeCodeForSession(code: string): Promise<{ data: { session: any }; error: any }>;
    /** So that TikTok's tokens go when the person signs out. */
    onAuthStateChange?(callback: (event: any, session: any) => void): any;
  };
}

interface CommonOptions {
  /** Base URL of the bridge. */
  bridgeUrl: string;
  /** Deeplink scheme of the wrapped app, such as `myapp`; without it, the bridge's first one. */
  scheme?: string;
  /** The function of the package `despia-native`. Without it, `window.despia` is assigned to. */
  despia?: (command: string) => unknown;
}

/** As much of a session of an own backend as is used: its access token, and whose it is. */
export interface OwnSession {
  access_token: string;
  user?: { id: string };
}

/** The hosted flow. */
export type HostedOptions = CommonOptions & {
  provider?: undefined;
  /** Where verifiers and TikTok's tokens are kept, instead of sessionStorage and localStorage. */
  storage?: Pick<Storage, 'getItem' | 'setItem'>;
} & (
  | {
      /** Client of supabase-js, which takes the session. */
      supabase: SupabaseClientLike;
      setSession?: undefined;
      getSession?: undefined;
    }
  | {
      /** Takes the session instead. May return `{ error }` or throw if it cannot. */
      setSession: (session: Session) => any;
      /** Who is signed in now; null for nobody. `accessToken()` and `revoke()` need it. */
      getSession?: () => OwnSession | null | undefined | Promise<OwnSession | null | undefined>;
      supabase?: undefined;
    }
);

/** The provider flow. Verifiers are kept where `supabase` keeps its session. */
export interface ProviderOptions extends CommonOptions {
  /** The identifier of TikTok's provider in Supabase. */
  provider: 'custom:tiktok' | (string & {});
  /** Client of supabase-js, made with `flowType: 'pkce'`. */
  supabase: SupabaseProviderClientLike;
  storage?: undefined;
}

export type TikTokSignInOptions = HostedOptions | ProviderOptions;

export interface LinkOptions {
  /**
   * On the web: the page to come back to. Without it, this page. A fragment is left out: an app with a hash
   * router gets people back at its root. A wrapped app comes back to the bridge's `app.auth_path`.
   */
  redirectTo?: string;
  /** Always show TikTok's consent page, where another account can be chosen. */
  selectAccount?: boolean;
}

export interface SignInOptions extends LinkOptions {
  /**
   * Sign in although somebody is signed in by other means than TikTok: anonymously, by e-mail, with another
   * provider. Their session is replaced, and nobody can get back into an anonymous account. Without this,
   * and with `supabase` given, the sign-in ends as `already_signed_in`. It does not add TikTok to the account
   * that is there: that is `link()`, in the provider flow.
   */
  replaceSession?: boolean;
}

export interface AccessTokenOptions {
  /** TikTok's scopes that the token must have, such as `video.list`. */
  scopes?: string[];
}

/** An access token of TikTok, or why there is none. */
export type AccessToken =
  | {
      token: string;
      /** What the person granted. */
      scopes: string[];
      /** When it expires, in seconds since 1970; 0 if TikTok did not say. */
      expires_at: number;
      error?: undefined;
    }
  | (Failed & { token?: undefined });

export interface TikTokSignIn {
  /**
   * Sends the person to TikTok: this page away from here, or a wrapped app's secure browser above it.
   * Resolves to null when that is under way; how it ended is told to `onResult` and `handleRedirect`. If
   * the sign-in cannot begin, it resolves to the result, which is also told to `onResult`; then only
   * `signIn()` tries again.
   */
  signIn(options?: SignInOptions): Promise<Failed | null>;
  /**
   * Finishes a sign-in that has come back to this page; what the bridge or Supabase put into the address was
   * taken out of it when this script was loaded. Resolves to null if there is nothing to finish. Call it when
   * the app starts, on every page that people may come back to; later arrivals (a router's, a deeplink's to a
   * page that is open) are finished without a call. Calls at the same time share one result, and a handoff or
   * code is used once. If supabase-js has used the code by itself, the result is the session it made.
   */
  handleRedirect(): Promise<Result | null>;
  /** Calls back with every result, also those of `handleRedirect`. Returns how to stop that. */
  onResult(callback: (result: Result) => void): () => void;
  /**
   * A token for TikTok's API that is good for another minute at least, of whoever is signed in. If it has to be
   * refreshed, that happens once for all who ask, in every tab. Needs `tiktok.return_tokens` of the bridge, and a
   * sign-in by this SDK. Tokens are kept in localStorage, and thrown away when the person signs out.
   */
  accessToken(options?: AccessTokenOptions): Promise<AccessToken>;
  /**
   * Ends the access that the person gave the app at TikTok, which asks again at the next sign-in. They stay signed
   * in. Resolves to null, or to why it did not work.
   */
  revoke(): Promise<Failed | null>;
}

export interface TikTokProviderSignIn extends TikTokSignIn {
  /**
   * Adds TikTok to the account of whoever is signed in, by `linkIdentity` of supabase-js; the project must
   * allow manual linking. It goes the way of `signIn`, and ends as `signed_in` with a new session of the same
   * user, who has TikTok in `identities` then.
   *
   * Let people start it themselves, and never from a link: Supabase does not check that whoever comes back
   * from TikTok is the person who started.
   */
  link(options?: LinkOptions): Promise<Failed | null>;
}

/**
 * Makes the object that signs people in. One per page is enough; of several, the one used last takes what
 * arrives by itself, and all callbacks are told.
 */
export function createTikTokSignIn(options: ProviderOptions): TikTokProviderSignIn;
export function createTikTokSignIn(options: HostedOptions): TikTokSignIn;

export interface OAuthUrlOptions {
  clientKey: string;
  /** Base URL of the app, where `/auth` and `/native-callback` are; or instead: */
  appUrl?: string;
  /** The page that TikTok returns to, such as `https://app.example/auth.html`. */
  redirectUri?: string;
  /** Is this the wrapped app? Then open the address with `oauth://?url=`. */
  isNative: boolean;
  /** Deeplink scheme of the wrapped app. */
  scheme?: string;
  /** TikTok's scopes; `user.info.basic` without it. */
  scopes?: string | string[];
}

/**
 * The address of TikTok's consent page for the guide flow, in which the app builds it and tokens come
 * back by deeplink. On the web it keeps the state in `sessionStorage['tikbridge.state']`, where the
 * bridge's page `auth.html` compares it. New apps should use `createTikTokSignIn`.
 */
export function getTikTokOAuthUrl(options: OAuthUrlOptions): string;

/** What tikbridge.global.js defines. */
export as namespace tikbridge;
