package signin

import "slices"

//go:generate go run ./internal/errorsdoc ../../docs/errors.md

// Cause says why a sign-in failed, more closely than its [Code] does, where somebody can fix it.
type Cause string

// The causes, by the code they end in.
const (
	CauseNoPublicURL   Cause = "no_public_url"
	CauseNoReturnPage  Cause = "no_return_page"
	CauseGuideFlowOff  Cause = "guide_flow_off"
	CauseNoAccounts    Cause = "no_accounts"
	CauseCodeMalformed Cause = "code_malformed"
	CauseClientUnknown Cause = "client_unknown"
	CauseTokensOff     Cause = "tokens_off"

	CauseWebhookSignature Cause = "webhook_signature"
	CauseWebhookTime      Cause = "webhook_time"

	CauseStateUnreadable Cause = "state_unreadable"
	CauseOtherBrowser    Cause = "other_browser"

	CauseNoBasicScope Cause = "no_basic_scope"
	CauseTikTokDenies Cause = "tiktok_denies"

	CauseCodeSpent       Cause = "code_spent"
	CauseVerifierRefused Cause = "verifier_refused"
	CauseGrantEnded      Cause = "grant_ended"
	CauseTokenUnreadable Cause = "token_unreadable"

	CauseSignedOut Cause = "signed_out"
	CauseNotOwner  Cause = "not_owner"

	CauseReturnNotAllowed      Cause = "return_not_allowed"
	CauseRedirectURINotAllowed Cause = "redirect_uri_not_allowed"
	CauseRedirectURIIsCallback Cause = "redirect_uri_is_callback"
	CauseTikTokRedirectURI     Cause = "tiktok_redirect_uri"
	CauseClientRedirectURI     Cause = "client_redirect_uri"

	CauseOriginNotAllowed Cause = "origin_not_allowed"

	CauseSchemeNotAllowed Cause = "scheme_not_allowed"
	CauseNoScheme         Cause = "no_scheme"

	CauseHandoffExpired    Cause = "handoff_expired"
	CauseHandoffUsed       Cause = "handoff_used"
	CauseHandoffProof      Cause = "handoff_proof"
	CauseHandoffUnreadable Cause = "handoff_unreadable"

	CauseUnclaimedAccount Cause = "unclaimed_account"
	CauseBeingAdopted     Cause = "being_adopted"

	CauseBanned Cause = "banned"

	CauseHookRefuses    Cause = "hook_refuses"
	CauseSettingRefuses Cause = "setting_refuses"
	CauseBackendRefuses Cause = "backend_refuses"

	CauseClientIPLimit Cause = "client_ip_limit"
	CauseBusy          Cause = "busy"
	CauseSupabaseLimit Cause = "supabase_limit"
	CauseBackendLimit  Cause = "backend_limit"
	CauseTikTokLimit   Cause = "tiktok_limit"

	CauseTikTokFails Cause = "tiktok_fails"

	CauseTikTokCredentials Cause = "tiktok_credentials" //nolint:gosec // a name
	CauseTikTokScopes      Cause = "tiktok_scopes"

	CauseSupabaseUnreachable Cause = "supabase_unreachable"
	CauseSupabaseFails       Cause = "supabase_fails"
	CauseDatabaseFails       Cause = "database_fails"
	CauseHookTimeout         Cause = "hook_timeout"
	CauseLinkSuperseded      Cause = "link_superseded"
	CauseDiscoveryFails      Cause = "discovery_fails"

	CauseSupabaseKeys      Cause = "supabase_keys"
	CauseSupabaseNotAdmin  Cause = "supabase_not_admin"
	CauseSupabaseNotFound  Cause = "supabase_not_found"
	CauseSupabaseRedirects Cause = "supabase_redirects"
	CauseSupabaseTooOld    Cause = "supabase_too_old"
	CauseSupabaseRefuses   Cause = "supabase_refuses"
	CauseCreateFails       Cause = "create_fails"
	CauseHookFails         Cause = "hook_fails"
	CauseAnchorLost        Cause = "anchor_lost"
	CauseProviderMissing   Cause = "provider_missing"
	CauseNoCustomProviders Cause = "no_custom_providers"
	CauseIDTokenRefused    Cause = "id_token_refused"
	CauseIDTokenAudience   Cause = "id_token_audience" //nolint:gosec // a name
	CauseEmailNeeded       Cause = "email_needed"
	CauseOtherIdentity     Cause = "other_identity"

	CauseSupabaseRestricted Cause = "supabase_restricted"

	CauseBackendUnreachable Cause = "backend_unreachable"
	CauseBackendFails       Cause = "backend_fails"
	CauseBackendAnswer      Cause = "backend_answer"
	CauseBackendSignature   Cause = "backend_signature"
	CauseBackendNotFound    Cause = "backend_not_found"
	CauseBackendRedirects   Cause = "backend_redirects"
)

// causeTexts are what the world hears of a cause.
type causeTexts struct {
	cause Cause
	code  Code
	// message is for the person who signs in: what happened, and what they can do.
	message string
	// seen is the cause in docs/errors.md, in Markdown.
	seen string
	// fix is what the operator or the developer of the app must do, in plain text.
	fix string
	// more is where docs/errors.md links to, if it does.
	more string
}

// Messages of several causes, between which the person can tell no difference.
const (
	notSetUpForPage = "Sign-in is not set up for this page. Please tell whoever runs the app."
	notSetUpForApp  = "Sign-in is not set up for this app. Please tell whoever runs it."
	tiktokRefuses   = "TikTok does not accept this app. Please tell whoever runs it."
	supabaseDown    = "Supabase does not answer as it should. Please try again in a moment."
	supabaseRefuses = "This app's sign-in does not work at the moment. Please tell whoever runs the app."
	backendDown     = "This app does not answer as it should. Please try again in a moment."
	backendRefuses  = supabaseRefuses
)

// causes is the one table of causes. Messages reach people, fixes reach the log, doctor, the pages of
// tikbridge dev and docs/errors.md.
var causes = []causeTexts{
	{
		cause: CauseNoPublicURL, code: InvalidRequest,
		message: "Sign-in is not set up here yet. Please tell whoever runs the app.",
		seen:    "At `start`: the bridge has no public address.",
		fix:     "Set server.public_url to the bridge's public address and register its callback URL with TikTok.",
	},
	{
		cause: CauseNoReturnPage, code: InvalidRequest,
		message: "redirect_to is missing. Send the page people should return to.",
		seen:    "At `start`: no `redirect_to`, and no default page.",
		fix:     "Send redirect_to, or set app.default_redirect.",
	},
	{
		cause: CauseGuideFlowOff, code: InvalidRequest,
		message: "This way of signing in is switched off here. Please tell whoever runs the app.",
		seen:    "The guide flow is switched off.",
		fix:     "Set security.guide_flow to true, or use the hosted flow.",
	},
	{
		cause: CauseNoAccounts, code: InvalidRequest,
		message: "This way of signing in is switched off here. Please tell whoever runs the app.",
		seen:    "In the hosted and the guide flow: `accounts` is `none`, so the bridge is an OpenID Provider only.",
		fix:     "Set accounts to supabase or backend, or sign in through an OpenID client.",
	},
	{
		cause: CauseClientUnknown, code: InvalidRequest,
		message: notSetUpForApp,
		seen:    "At `/oidc/authorize`: no client has this `client_id`.",
		fix:     "Use the id of a client in oidc.clients; with oidc.supabase_secret it is supabase.",
	},
	{
		cause: CauseCodeMalformed, code: InvalidRequest,
		message: messageDamaged,
		seen:    "TikTok finds the code malformed. Codes contain `*` and `!`.",
		fix:     "Read the code with URLSearchParams, which decodes it once, and send it unchanged.",
	},
	{
		cause: CauseWebhookSignature, code: InvalidRequest,
		message: "TikTok's signature is missing or wrong.",
		seen: "At the webhook: `Tiktok-Signature` is missing or made with another client secret, or the request is " +
			"not from TikTok.",
		fix: "Set tiktok.client_secret to the secret of the TikTok app whose webhook leads here. After replacing the " +
			"secret, keep the old one in tiktok.previous_client_secret for four days.",
	},
	{
		cause: CauseWebhookTime, code: InvalidRequest,
		message: "This event was signed too long ago, or in the future.",
		seen: "At the webhook: the signature fits, but is from the future or over 72 hours old, after which TikTok " +
			"repeats no event.",
		fix: "Check this machine's clock. If it is right, somebody sent an old event again, which does no harm.",
	},
	{
		cause: CauseStateUnreadable, code: InvalidState,
		message: "This sign-in was not started here, or its address is damaged. " +
			"Please go back to the app and sign in again.",
		seen: "On a page of the bridge: the state is missing or damaged, since somebody opened the callback by " +
			"hand or something cut the address. Or replicas have different secrets or `seal.keys`, or these just " +
			"changed.",
		fix:  "Start again. If it happens to everybody, give all replicas the same secrets and the same seal.keys.",
		more: "operating.md#run-several-replicas",
	},
	{
		cause: CauseOtherBrowser, code: InvalidState,
		message: "This sign-in was started in another browser. Please go back to the app and sign in again.",
		seen: "On a page of the bridge: a sign-in without a challenge came back in another browser or without its " +
			"cookie: app and bridge are on different sites, a script called `start`, or more than five sign-ins " +
			"ran at once.",
		fix: "Send a challenge to start, and its verifier to redeem.",
	},
	{
		cause: CauseNoBasicScope, code: AccessDenied,
		message: "This app needs access to your basic TikTok profile.",
		seen:    "The person did not agree to `user.info.basic`, or the app did not ask for it.",
		fix:     "Keep user.info.basic in tiktok.scopes.",
	},
	{
		cause: CauseTikTokDenies, code: AccessDenied,
		message: "TikTok did not grant access.",
		seen: "TikTok does not let this person use the app, most often since their account is no target user of " +
			"the sandbox.",
		fix: "In a sandbox, add the account as a target user in TikTok's console. Otherwise ask the person to " +
			"check their TikTok account.",
	},
	{
		cause: CauseCodeSpent, code: InvalidGrant,
		message: "TikTok does not accept this code: it has expired or was used before. Please sign in again.",
		seen: "The code is more than a few minutes old, was sent twice (a page or effect that ran twice, a second " +
			"handler), or belongs to another TikTok app, such as a sandbox.",
		fix: "Start again. Exchange each code once, as the ready pages do, and use the same client key in the app " +
			"and the bridge.",
	},
	{
		cause: CauseVerifierRefused, code: InvalidGrant,
		message: "TikTok does not accept this sign-in. Please try again, and if that does not help, tell whoever runs " +
			"the app.",
		seen: "TikTok rejects the PKCE verifier.",
		fix: "In the hosted flow, set tiktok.pkce to what the TikTok app wants: off for the platform Web. In the " +
			"guide flow, send the matching code_verifier with the code, or no code_challenge at all.",
	},
	{
		cause: CauseTokensOff, code: InvalidRequest,
		message: "This app does not use TikTok after the sign-in. Please tell whoever runs it.",
		seen:    "At `token` and `revoke`: TikTok's tokens stay with the bridge.",
		fix:     "Set tiktok.return_tokens to true. Only sessions made after that have the tokens.",
	},
	{
		cause: CauseTokenUnreadable, code: InvalidGrant,
		message: "TikTok no longer gives this app access to your account. Please sign in with TikTok again.",
		seen: "At `token` and `revoke`: `provider_refresh_token` is not one that this bridge sealed with its present " +
			"keys.",
		fix: "Send the provider_refresh_token of the session, or of the last answer, as it is. If seal.keys were " +
			"replaced, let the person sign in again.",
	},
	{
		cause: CauseSignedOut, code: AccessDenied,
		message: "You are signed out. Please sign in again.",
		seen:    "At `token` and `revoke`: the access token of the session is missing, expired or of another project.",
		fix: "Send the access token of the person's session as Authorization: Bearer. " +
			"supabase.auth.getSession() keeps it fresh.",
	},
	{
		cause: CauseNotOwner, code: AccessDenied,
		message: "This TikTok account belongs to somebody else. Please sign in with TikTok again.",
		seen:    "At `token` and `revoke`: the session is another person's than the TikTok token.",
		fix:     "Throw the provider tokens away when somebody signs out.",
	},
	{
		cause: CauseGrantEnded, code: InvalidGrant,
		message: "TikTok no longer gives this app access to your account. Please sign in with TikTok again.",
		seen: "TikTok rejects the token of a signed-in person: they removed the app in TikTok, or the refresh " +
			"token is 180 days old or was used before, perhaps by a request whose answer got lost. When " +
			"revoking, the access token may just have expired.",
		fix: "Let the person sign in again. If it happens often, keep the refresh token of the last answer, and " +
			"refresh in one place.",
	},
	{
		cause: CauseReturnNotAllowed, code: RedirectURIMismatch,
		message: "Sign-in is not set up for the page this app returns to. Please tell whoever runs the app.",
		seen: "At `start`: the origin of `redirect_to` (or of `app.default_redirect`) is not in `app.origins`, or " +
			"differs in `www.`, `http`, port or capitals. Or `app.redirect_uris` has an entry of this origin " +
			"that ends in `/*`, and the page is not below it.",
		fix: "Add the page's origin to app.origins, as a browser writes it. If app.redirect_uris has an entry of " +
			"this origin that ends in /*, add one for the page.",
	},
	{
		cause: CauseRedirectURINotAllowed, code: RedirectURIMismatch,
		message: notSetUpForPage,
		seen: "In the guide flow: the address is not in `app.redirect_uris` or, if that is not set, not one of the " +
			"four default pages at an origin in `app.origins`.",
		fix: "Add the page's origin to app.origins or, if app.redirect_uris is set, the exact redirect_uri to " +
			"that.",
	},
	{
		cause: CauseRedirectURIIsCallback, code: RedirectURIMismatch,
		message: notSetUpForPage,
		seen: "In the guide flow: it is the bridge's own `/api/auth/tiktok/callback`, whose codes no page can " +
			"exchange.",
		fix: "Use the address of your page.",
	},
	{
		cause: CauseClientRedirectURI, code: RedirectURIMismatch,
		message: notSetUpForApp,
		seen:    "At `/oidc/authorize`: the client's `redirect_uri` is missing, or not one of its `redirect_uris`.",
		fix: "Add the address to the client's redirect_uris in oidc.clients, exactly as the client sends it. Supabase " +
			"sends <supabase.auth_url>/callback.",
	},
	{
		cause: CauseTikTokRedirectURI, code: RedirectURIMismatch,
		message: notSetUpForPage,
		seen:    "The code was made for another `redirect_uri`; the log line has `\"upstream\":\"tiktok\"`.",
		fix: "Make the address identical in TikTok's console, in the address that opens TikTok, and in " +
			"redirect_uri.",
	},
	{
		cause: CauseOriginNotAllowed, code: OriginNotAllowed,
		message: "Sign-in is not set up for this web address. Please tell whoever runs the app.",
		seen:    "A page of an origin that is not in `app.origins` called; the log line has the `origin`.",
		fix: "Add the origin to app.origins, as a browser writes it. If the pages are the bridge's own, set " +
			"server.public_url.",
	},
	{
		cause: CauseSchemeNotAllowed, code: SchemeNotAllowed,
		message: notSetUpForApp,
		seen:    "The parameter `scheme`, or the state (`id|scheme`), names a scheme that is not allowed.",
		fix: "Add the scheme to app.deeplink_schemes, in lower case and without ://. Add it to data-schemes of a " +
			"copied page too, or fetch the page again.",
	},
	{
		cause: CauseNoScheme, code: SchemeNotAllowed,
		message: notSetUpForApp,
		seen:    "At `start`: no `scheme`, and `app.deeplink_schemes` is empty.",
		fix:     "Add the app's scheme to app.deeplink_schemes, in lower case and without ://.",
	},
	{
		cause: CauseHandoffExpired, code: HandoffInvalid,
		message: "This sign-in has expired. Please sign in again.",
		seen:    "More than 60 seconds passed since TikTok's answer.",
		fix:     "Redeem as soon as the page loads. Start again if the person waited before tapping the button.",
	},
	{
		cause: CauseHandoffUsed, code: HandoffInvalid,
		message: messageAlreadyFinished,
		seen:    "It was redeemed before: a page or effect ran twice.",
		fix:     "Remove the handoff from the address first, and redeem it once.",
	},
	{
		cause: CauseHandoffProof, code: HandoffInvalid,
		message: "This sign-in was started on another device. Please try again.",
		seen: "The verifier is of another sign-in, or the storage was emptied. Without a challenge: the flow " +
			"cookie is missing.",
		fix: "Keep one verifier for each sign-in, in the same tab or app. Without a challenge, call redeem with " +
			"credentials: 'include' from the same site.",
	},
	{
		cause: CauseHandoffUnreadable, code: HandoffInvalid,
		message: "This sign-in cannot be finished here. Please sign in again.",
		seen:    "It was made with other keys, or is cut off.",
		fix:     "Give all replicas the same secrets and the same seal.keys, and pass the handoff on unchanged.",
		more:    "operating.md#run-several-replicas",
	},
	{
		cause: CauseUnclaimedAccount, code: AccountConflict,
		message: "There is already an account for you, and it cannot be proven to be yours yet. " +
			"Please contact the app's support.",
		seen: "Another account has this person's address, was not made by the bridge, and may be theirs. The log's " +
			"reason is `has no anchor and shows no public sign-up …`.",
		fix: "Run tikbridge users adopt, then set supabase.adopt to evict. If your app never used the guide's " +
			"Edge Function, only set evict.",
		more: "accounts.md#adopt-the-accounts-of-the-edge-function",
	},
	{
		cause: CauseBeingAdopted, code: AccountConflict,
		message: "Your account is being moved to a safer sign-in. Please come back later.",
		seen:    "The account `is being adopted`: `users adopt` is running, or was stopped.",
		fix:     "Wait for tikbridge users adopt, run it again, or run it with --release.",
	},
	{
		cause: CauseBanned, code: UserBanned,
		message: "This account has been banned from the app.",
		seen:    "The user is banned in Supabase.",
		fix:     "Lift the ban in the Supabase dashboard, or leave it.",
	},
	{
		cause: CauseHookRefuses, code: SignInRefused,
		message: "This app does not let you sign in. Please contact its support.",
		seen: "A Custom Access Token or Before User Created hook refused, as for people who are not invited. The " +
			"log line has `\"call\":\"verify\"` or `\"call\":\"id_token\"`, and `\"upstream_code\":\"unknown\"`; " +
			"Supabase's log has the hook's message.",
		fix: "If this person may sign in, change the hook: Authentication > Hooks in the Supabase dashboard.",
	},
	{
		cause: CauseSettingRefuses, code: SignInRefused,
		message: "This app does not let you sign in. Please contact its support.",
		seen: "A setting of the project refused; `upstream_code` names it: `signup_disabled`, " +
			"`email_provider_disabled`, `captcha_failed` and the like.",
		fix: "If this person may sign in, change the setting that upstream_code names: Authentication > Sign In / " +
			"Providers, or Attack Protection, in the Supabase dashboard.",
	},
	{
		cause: CauseBackendRefuses, code: SignInRefused,
		message: "This app does not let you sign in. Please contact its support.",
		seen: "Your own backend refused: it answered `sign_in` with a status from 400 to 499 and an `error`, which the log " +
			"line has as `upstream_code`.",
		fix: "If this person may sign in, change what the backend decides. Its log says why it refused.",
	},
	{
		cause: CauseClientIPLimit, code: RateLimited,
		message: "Too many sign-ins from this address. Please wait a moment.",
		seen:    "The bridge limits one client IP: status 429 and no `upstream` in the log.",
		fix: "If everybody seems to come from one address, set server.trusted_proxies; if the log says that " +
			"a proxy's header cannot be read, let the proxy write IP addresses into it. Otherwise raise " +
			"rate_limit.start, rate_limit.redeem or rate_limit.exchange, according to the route in the log.",
	},
	{
		cause: CauseBusy, code: RateLimited,
		message: "Too many people are signing in at this moment. Please try again in a few seconds.",
		seen: "512 sign-ins are in progress: status 503 and no `upstream` in the log. Nothing was used up. An app " +
			"may repeat the request; people on their way back from TikTok see a page of the bridge and start " +
			"again.",
		fix: "Most often TikTok or Supabase is slow, as other log lines say. Otherwise run more replicas.",
	},
	{
		cause: CauseSupabaseLimit, code: RateLimited,
		message: "Too many sign-ins at the moment. Please try again shortly.",
		seen:    "Supabase limits sign-ins: `\"upstream\":\"supabase\"`, `over_request_rate_limit`.",
		fix:     "Switch on IP address forwarding in the Supabase dashboard and set supabase.forward_client_ip.",
		more:    "../README.md#settings-in-supabase",
	},
	{
		cause: CauseBackendLimit, code: RateLimited,
		message: "Too many sign-ins at the moment. Please try again shortly.",
		seen:    "Your own backend answered 429: `\"upstream\":\"backend\"`.",
		fix: "Let the backend's rate limit count by data.client_ip for requests with a good signature: all of them come " +
			"from the bridge's address.",
	},
	{
		cause: CauseTikTokLimit, code: RateLimited,
		message: "TikTok takes no more sign-ins at the moment. Please try again in a minute.",
		seen:    "TikTok limits the app: `\"upstream\":\"tiktok\"`.",
		fix:     "Wait a minute, or ask TikTok for a higher limit.",
	},
	{
		cause: CauseTikTokFails, code: TikTokUnavailable,
		message: "TikTok does not answer as it should. Please try again in a moment.",
		seen:    "TikTok did not answer within `tiktok.timeout`, broke off, or reported a fault.",
		fix: "Start again in a moment. If it persists, check that the bridge reaches open.tiktokapis.com; " +
			"TikTok's support asks for tiktok_log_id from the log.",
	},
	{
		cause: CauseTikTokCredentials, code: TikTokMisconfigured,
		message: tiktokRefuses,
		seen:    "Client key or secret is wrong, or they are of two apps, or one is the sandbox's.",
		fix: "Copy both again from developers.tiktok.com > Manage apps > your app > Credentials, both of " +
			"production or both of the sandbox, into tiktok.client_key and tiktok.client_secret.",
	},
	{
		cause: CauseTikTokScopes, code: TikTokMisconfigured,
		message: tiktokRefuses,
		seen:    "Login Kit is missing, or a scope is not approved.",
		fix: "Add the product Login Kit to the TikTok app, and request user.info.basic only, in tiktok.scopes or, " +
			"in the guide flow, in your app's own address.",
	},
	{
		cause: CauseSupabaseUnreachable, code: SupabaseUnavailable,
		message: supabaseDown,
		seen:    "Supabase did not answer within `supabase.timeout`, or cannot be reached.",
		fix: "Check supabase.url letter by letter, and that this machine can reach it. A paused or deleted " +
			"project has no address; wake it in the dashboard.",
	},
	{
		cause: CauseSupabaseFails, code: SupabaseUnavailable,
		message: supabaseDown,
		seen:    "Supabase broke off, reported a fault, or sent a senseless answer.",
		fix:     "Try again in a minute. If it persists, check the project's status in the Supabase dashboard.",
	},
	{
		cause: CauseDatabaseFails, code: SupabaseUnavailable,
		message: supabaseDown,
		seen: "Supabase Auth reported a fault, most often of the database: 500 and `unexpected_failure` at a call " +
			"other than `create_user`, `verify` and `id_token`, or 400 and `server_error` at `id_token`.",
		fix: "Try again in a minute. If it persists, check the project's status and Postgres log in the Supabase " +
			"dashboard, and triggers and constraints on auth.users.",
	},
	{
		cause: CauseHookTimeout, code: SupabaseUnavailable,
		message: "Signing in takes too long at the moment. Please try again.",
		seen: "A hook was too slow or unreachable: `hook_timeout`, `hook_timeout_after_retry`. Supabase waits five " +
			"seconds for an HTTP hook.",
		fix: "Make the Custom Access Token hook faster, or remove it: Authentication > Hooks in the Supabase " +
			"dashboard.",
	},
	{
		cause: CauseLinkSuperseded, code: SupabaseUnavailable,
		message: "Too many sign-ins of this person at once. Please try again.",
		seen: "Very many sign-ins of one person at once: `otp_expired`. Each makes a link that voids the one " +
			"before.",
		fix: "Start again. If it keeps happening to one person, something keeps making links or mails for that " +
			"user.",
	},
	{
		cause: CauseDiscoveryFails, code: SupabaseUnavailable,
		message: supabaseDown,
		seen: "Supabase was just restarted and cannot read the bridge's discovery document: 500 and " +
			"`unexpected_failure` at `id_token`, twice.",
		fix: "Open server.public_url followed by /.well-known/openid-configuration from outside, as tikbridge " +
			"doctor does: it must answer by https, without a log-in.",
	},
	{
		cause: CauseSupabaseKeys, code: SupabaseMisconfigured,
		message: supabaseRefuses,
		seen:    "A key was rotated, deleted, or belongs to another project: `upstream_status` 401 or 403.",
		fix: "Copy the address and both keys again from the same project (Project Settings > API Keys) into " +
			"supabase.url, supabase.secret_key and supabase.publishable_key.",
	},
	{
		cause: CauseSupabaseNotAdmin, code: SupabaseMisconfigured,
		message: supabaseRefuses,
		seen:    "The secret key may not manage users: `not_admin`.",
		fix: "Set supabase.secret_key to a secret key (sb_secret_...) or the legacy service_role key, from Project " +
			"Settings > API Keys.",
	},
	{
		cause: CauseSupabaseNotFound, code: SupabaseMisconfigured,
		message: supabaseRefuses,
		seen: "There is no Supabase Auth at `supabase.url`. It looks like " +
			"`https://abcdefghijklmnopqrst.supabase.co`.",
		fix: "Set supabase.url to the project's address with nothing after it. If GoTrue is not at /auth/v1 " +
			"there, set supabase.auth_url.",
	},
	{
		cause: CauseSupabaseRedirects, code: SupabaseMisconfigured,
		message: supabaseRefuses,
		seen: "Something in front of Supabase redirects, such as from `http` to `https`: `upstream_status` 301, " +
			"302, 307 or 308. Redirects are not followed.",
		fix: "Set supabase.url to the address it redirects to.",
	},
	{
		cause: CauseSupabaseTooOld, code: SupabaseMisconfigured,
		message: supabaseRefuses,
		seen:    "GoTrue is too old to send error codes as words.",
		fix:     "Update Supabase Auth (the image supabase/auth, or the Supabase CLI) to 2.155.0 or newer.",
	},
	{
		cause: CauseSupabaseRefuses, code: SupabaseMisconfigured,
		message: supabaseRefuses,
		seen:    "Supabase refuses for another reason.",
		fix:     "Check supabase.url, supabase.auth_url and both keys.",
	},
	{
		cause: CauseCreateFails, code: SupabaseMisconfigured,
		message: "Your account could not be created. Please tell whoever runs the app.",
		seen: "Creating the user failed twice: 500 and `unexpected_failure` at `create_user` or `id_token`. Most " +
			"often a trigger on `auth.users` raises, such as one that fills a table of profiles.",
		fix: "Check triggers and constraints on auth.users: creating the user failed. The error is in the " +
			"Postgres log of the Supabase dashboard.",
	},
	{
		cause: CauseHookFails, code: SupabaseMisconfigured,
		message: "Your session could not be created. Please tell whoever runs the app.",
		seen: "Creating the session failed twice: 500 and `unexpected_failure` at `verify` or `id_token`, or " +
			"`hook_payload_…`. Most often the Custom Access Token hook raises, returns invalid claims, refuses " +
			"without an `http_code`, or is a Postgres function that takes over two seconds.",
		fix: "Creating the session failed: check the Custom Access Token hook (Authentication > Hooks in the " +
			"Supabase dashboard) and triggers on auth.users and auth.sessions. A hook that refuses somebody must " +
			"answer with http_code 403.",
	},
	{
		cause: CauseAnchorLost, code: SupabaseMisconfigured,
		message: supabaseRefuses,
		seen: "`app_metadata.tiktok` vanished from the account right after the bridge set it, twice. Without it " +
			"nobody gets in.",
		fix: "Something removes app_metadata.tiktok: check triggers on auth.users, and code that replaces " +
			"app_metadata instead of adding to it.",
		more: "accounts.md#identity",
	},
	{
		cause: CauseProviderMissing, code: SupabaseMisconfigured,
		message: supabaseRefuses,
		seen:    "The project has no provider named as in `supabase.provider`, or it is disabled or not OIDC.",
		fix: "Run tikbridge supabase setup, which creates and enables it. If it has another name, set " +
			"supabase.provider to that.",
	},
	{
		cause: CauseNoCustomProviders, code: SupabaseMisconfigured,
		message: supabaseRefuses,
		seen:    "This Supabase Auth has no custom providers: it is too old, or they are off.",
		fix: "Update Supabase Auth (the image supabase/auth, or the Supabase CLI) to 2.196.0 or newer, and do not " +
			"set GOTRUE_CUSTOM_OAUTH_ENABLED to false.",
	},
	{
		cause: CauseIDTokenRefused, code: SupabaseMisconfigured,
		message: supabaseRefuses,
		seen: "Supabase rejects the bridge's id_token (`Bad ID token`): the provider has another issuer, the " +
			"clocks differ, or Supabase knows only older keys or algorithms.",
		fix: "Run tikbridge supabase setup, which sets the issuer and makes Supabase read the discovery document " +
			"again, and tikbridge doctor, which compares issuer and clocks. Give all replicas the same keys.",
	},
	{
		cause: CauseIDTokenAudience, code: SupabaseMisconfigured,
		message: supabaseRefuses,
		seen:    "The provider in Supabase has another client id than the bridge's (`Unacceptable audience`).",
		fix:     "Run tikbridge supabase setup.",
	},
	{
		cause: CauseEmailNeeded, code: SupabaseMisconfigured,
		message: supabaseRefuses,
		seen: "Supabase wants a confirmed e-mail address: `provider_email_needs_verification`. TikTok gives none. " +
			"The provider does not allow users without one, or this person's is not confirmed.",
		fix: "Run tikbridge supabase setup, which allows users without an e-mail. If it happens to one person " +
			"only, confirm or remove their address.",
	},
	{
		cause: CauseOtherIdentity, code: SupabaseMisconfigured,
		message: supabaseRefuses,
		seen:    "Supabase answered with the session of a user without this person's TikTok identity. Nobody got it.",
		fix: "Something between the bridge and Supabase Auth keeps or changes answers: let them reach the bridge " +
			"unchanged.",
	},
	{
		cause: CauseSupabaseRestricted, code: SupabaseRestricted,
		message: "Sign-in is switched off for this app at the moment. Please tell whoever runs it.",
		seen:    "The project is over its quota, has an unpaid bill (`upstream_status` 402), or is paused (540).",
		fix:     "Open the project in the Supabase dashboard: settle billing or quota, or restore the paused project.",
	},
	{
		cause: CauseBackendUnreachable, code: BackendUnavailable,
		message: backendDown,
		seen:    "Your own backend did not answer within `backend.timeout`, or cannot be reached.",
		fix: "Check backend.url letter by letter, and that the backend runs and this machine can reach it. If it is slow, " +
			"answer first and work later, or raise backend.timeout.",
	},
	{
		cause: CauseBackendFails, code: BackendUnavailable,
		message: backendDown,
		seen: "Your own backend reported a fault (`upstream_status` 500 and above), or a status that is no answer to " +
			"what was asked.",
		fix: "Look into the backend's log. It answers 200 with a session, or 4xx with {\"error\": \"…\"} to refuse somebody.",
	},
	{
		cause: CauseBackendAnswer, code: BackendUnavailable,
		message: backendDown,
		seen: "Your own backend answered 200 with something else than it should: no JSON object, none with an " +
			"`access_token` (`open_id` where a `session` was asked for), or more than 64 KiB. A page of HTML comes from a " +
			"proxy or a login in front of it.",
		fix: "Answer sign_in with a JSON object of at most 64 KiB whose access_token is text without spaces. Check that " +
			"backend.url is the backend's own route.",
	},
	{
		cause: CauseBackendSignature, code: BackendUnavailable,
		message: backendRefuses,
		seen: "Your own backend answered 401: it does not accept the bridge's signature. It has another secret, checks a " +
			"body that a parser changed, or one of the two clocks is off.",
		fix: "Set backend.secret to the secret that the backend checks with. The backend must check the body as it " +
			"arrived, byte for byte, and both clocks must be right.",
	},
	{
		cause: CauseBackendNotFound, code: BackendUnavailable,
		message: backendRefuses,
		seen:    "Your own backend has no such route: it answered 404 or 405 without an `error`.",
		fix:     "Set backend.url to the address of the route that takes the bridge's POST.",
	},
	{
		cause: CauseBackendRedirects, code: BackendUnavailable,
		message: backendRefuses,
		seen: "Something redirects, for example from `http` to `https` or to a path with a slash; `upstream_status` is " +
			"301, 302, 307 or 308. Redirects are not followed.",
		fix: "Set backend.url to the address that it redirects to.",
	},
}

var causeIndex = func() map[Cause]causeTexts {
	index := make(map[Cause]causeTexts, len(causes))
	for _, c := range causes {
		index[c.cause] = c
	}
	return index
}()

// Causes lists every cause once.
func Causes() []Cause {
	all := make([]Cause, len(causes))
	for i, c := range causes {
		all[i] = c.cause
	}
	return all
}

// Messages that have no cause.
const (
	messageDeclined        = "You did not give this app access to your TikTok account."
	messageNoCode          = "TikTok sent no code. Please sign in again."
	messageDamaged         = "TikTok's answer arrived damaged. Please sign in again."
	messageTooLong         = "This sign-in took too long. Please sign in again."
	messageAlreadyFinished = "This sign-in was already finished. Please sign in again."
	messageInternal        = "Something went wrong on our side. Please try again."
)

// MessagesForPeople lists every message that a person who signs in may read, for translations. Those that only
// developers read, such as of a request that cannot be right, are not among them.
func MessagesForPeople() []string {
	list := []string{
		messageDeclined, messageNoCode, messageDamaged, messageTooLong, messageAlreadyFinished, messageInternal,
	}
	for _, c := range causes {
		switch c.cause {
		case CauseNoReturnPage, CauseWebhookSignature, CauseWebhookTime:
			continue
		}
		if !slices.Contains(list, c.message) {
			list = append(list, c.message)
		}
	}
	return list
}

// Code is the code that the cause ends in.
func (c Cause) Code() Code { return causeIndex[c].code }

// Message is for the person who signs in. It names no setting.
func (c Cause) Message() string { return causeIndex[c].message }

// Fix is what the operator, or the developer of the app, must do; empty for no cause.
func (c Cause) Fix() string { return causeIndex[c].fix }

// Seen describes the cause in Markdown, for the documentation.
func (c Cause) Seen() string { return causeIndex[c].seen }

// More is where the documentation has more to say, relative to docs/; empty if nowhere.
func (c Cause) More() string { return causeIndex[c].more }
