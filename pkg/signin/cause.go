package signin

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

	CauseWebhookSignature Cause = "webhook_signature"
	CauseWebhookTime      Cause = "webhook_time"

	CauseStateUnreadable Cause = "state_unreadable"
	CauseOtherBrowser    Cause = "other_browser"

	CauseNoBasicScope Cause = "no_basic_scope"
	CauseTikTokDenies Cause = "tiktok_denies"

	CauseCodeSpent       Cause = "code_spent"
	CauseVerifierRefused Cause = "verifier_refused"
	CauseGrantEnded      Cause = "grant_ended"

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

	CauseSupabaseKeys      Cause = "supabase_keys"
	CauseSupabaseNotAdmin  Cause = "supabase_not_admin"
	CauseSupabaseNotFound  Cause = "supabase_not_found"
	CauseSupabaseRedirects Cause = "supabase_redirects"
	CauseSupabaseTooOld    Cause = "supabase_too_old"
	CauseSupabaseRefuses   Cause = "supabase_refuses"
	CauseCreateFails       Cause = "create_fails"
	CauseHookFails         Cause = "hook_fails"
	CauseAnchorLost        Cause = "anchor_lost"

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
		seen:    "At `start`: `redirect_to` is missing, and there is no default page.",
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
		message: "TikTok's answer arrived damaged. Please sign in again.",
		seen:    "TikTok finds the code malformed. Codes contain `*` and `!`.",
		fix:     "Read the code with URLSearchParams, which decodes it once, and send it as it is.",
	},
	{
		cause: CauseWebhookSignature, code: InvalidRequest,
		message: "TikTok's signature is missing or wrong.",
		seen: "At the webhook: the header `Tiktok-Signature` is missing, or was made with another client secret. TikTok " +
			"signs with the secret of the app that the webhook belongs to; or the request is not from TikTok.",
		fix: "Set tiktok.client_secret to the secret of the TikTok app whose webhook leads here. After replacing the " +
			"secret, keep the old one in tiktok.previous_client_secret for four days.",
	},
	{
		cause: CauseWebhookTime, code: InvalidRequest,
		message: "This event was signed too long ago, or in the future.",
		seen: "At the webhook: the signature fits, but is more than 72 hours old or from the future. TikTok repeats an " +
			"event for 72 hours.",
		fix: "Set the clock of this machine. If it is right, somebody sent an old event again: there is nothing to do.",
	},
	{
		cause: CauseStateUnreadable, code: InvalidState,
		message: "This sign-in was not started here, or its address is damaged. " +
			"Please go back to the app and sign in again.",
		seen: "On a page of the bridge: the state is missing or damaged, because somebody opened the callback by hand or " +
			"something cut the address. Or a replica has other secrets or other `seal.keys`, or they were changed meanwhile.",
		fix:  "Start again. If it happens to everybody, give all replicas the same secrets and the same seal.keys.",
		more: "production.md#run-several-replicas",
	},
	{
		cause: CauseOtherBrowser, code: InvalidState,
		message: "This sign-in was started in another browser. Please go back to the app and sign in again.",
		seen: "On a page of the bridge: a sign-in without a challenge came back in another browser, or the cookie was " +
			"lost: app and bridge not on one site, `start` called by a script, more than five sign-ins at once.",
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
		seen: "TikTok does not let this person use the app. Most often the app is in a sandbox, and the account is not " +
			"one of its target users.",
		fix: "In a sandbox, add the account as a target user in TikTok's console. Otherwise ask the person to look into " +
			"their TikTok account.",
	},
	{
		cause: CauseCodeSpent, code: InvalidGrant,
		message: "TikTok does not accept this code: it has expired or was used before. Please sign in again.",
		seen: "The code is older than a few minutes. Or it was sent twice: a page loaded twice, a framework that runs " +
			"effects twice in development, a second handler. Or it belongs to another TikTok app, for example sandbox " +
			"code and production key.",
		fix: "Start again. Exchange each code once; the ready pages take care of it. Use the same client key in the app " +
			"and in the bridge.",
	},
	{
		cause: CauseVerifierRefused, code: InvalidGrant,
		message: "TikTok does not accept this sign-in. Please try again, and if that does not help, tell whoever runs " +
			"the app.",
		seen: "TikTok does not accept the PKCE verifier.",
		fix: "In the hosted flow, set tiktok.pkce to what the TikTok app wants: off for the platform Web. In the guide " +
			"flow, send the fitting code_verifier with the code, or no code_challenge at all.",
	},
	{
		cause: CauseGrantEnded, code: InvalidGrant,
		message: "TikTok no longer gives this app access to your account. Please sign in with TikTok again.",
		seen: "TikTok does not accept the token of a signed-in person: they removed the app in TikTok, the refresh token " +
			"is 180 days old, or it was used before. TikTok replaces a refresh token with each use, so one whose answer " +
			"got lost is used as well. When revoking, the access token may also just have expired.",
		fix: "Let the person sign in again. If it happens often, keep the refresh token of the last answer, and refresh " +
			"in one place.",
	},
	{
		cause: CauseReturnNotAllowed, code: RedirectURIMismatch,
		message: "Sign-in is not set up for the page this app returns to. Please tell whoever runs the app.",
		seen: "At `start`: the origin of `redirect_to` is not in `app.origins`, or is spelled in another way: `www.`, " +
			"`http`, a port, capital letters. Or an entry of `app.redirect_uris` on this origin ends in `/*`, and the page " +
			"is not below it. Without `redirect_to` it is about `app.default_redirect`.",
		fix: "Add the page's origin to app.origins, as a browser writes it. Where app.redirect_uris has an entry of this " +
			"origin that ends in /*, add one for the page.",
	},
	{
		cause: CauseRedirectURINotAllowed, code: RedirectURIMismatch,
		message: notSetUpForPage,
		seen: "In the guide flow: the app's address is not in `app.origins`, or `app.redirect_uris` is set and lacks it. " +
			"Without `app.redirect_uris`, four addresses at each origin are allowed: `/native-callback`, " +
			"`/native-callback.html`, `/auth`, `/auth.html`.",
		fix: "Add the page's origin to app.origins or, where app.redirect_uris is set, the redirect_uri to that, " +
			"character for character.",
	},
	{
		cause: CauseRedirectURIIsCallback, code: RedirectURIMismatch,
		message: notSetUpForPage,
		seen: "In the guide flow: it is the bridge's own `/api/auth/tiktok/callback`. Codes from there cannot be " +
			"exchanged by a page.",
		fix: "Use the address of the page.",
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
		seen:    "TikTok was given another `redirect_uri` when it made the code; the log line has `\"upstream\":\"tiktok\"`.",
		fix: "Make the address equal, character by character, in TikTok's console, in the address that opens TikTok, " +
			"and in redirect_uri.",
	},
	{
		cause: CauseOriginNotAllowed, code: OriginNotAllowed,
		message: "Sign-in is not set up for this web address. Please tell whoever runs the app.",
		seen:    "A page called from an origin that is not in `app.origins`. The log line has it as `origin`.",
		fix: "Add the origin to app.origins, as a browser writes it. If the pages are the bridge's own, set " +
			"server.public_url.",
	},
	{
		cause: CauseSchemeNotAllowed, code: SchemeNotAllowed,
		message: notSetUpForApp,
		seen:    "The parameter `scheme`, or the state (`id|scheme`), names a deeplink scheme that is not allowed.",
		fix: "Add the scheme to app.deeplink_schemes, in lower case and without ://. In a copied page add it to " +
			"data-schemes as well, or fetch the page again.",
	},
	{
		cause: CauseNoScheme, code: SchemeNotAllowed,
		message: notSetUpForApp,
		seen:    "At `start`: the app named no scheme, and `app.deeplink_schemes` is empty.",
		fix:     "Add the app's scheme to app.deeplink_schemes, in lower case and without ://.",
	},
	{
		cause: CauseHandoffExpired, code: HandoffInvalid,
		message: "This sign-in has expired. Please sign in again.",
		seen:    "More than 60 seconds have passed since TikTok's answer.",
		fix: "Redeem as soon as the page loads. On a phone the person may have waited before they tapped the button; " +
			"start again.",
	},
	{
		cause: CauseHandoffUsed, code: HandoffInvalid,
		message: "This sign-in was already finished. Please sign in again.",
		seen:    "It was redeemed before: a page loaded twice, a framework that runs effects twice in development.",
		fix:     "Take the handoff out of the address first, and redeem it once.",
	},
	{
		cause: CauseHandoffProof, code: HandoffInvalid,
		message: "This sign-in was started on another device. Please try again.",
		seen: "The verifier does not fit: it is of another sign-in, or the storage was emptied. Without a challenge: the " +
			"flow cookie did not arrive.",
		fix: "Keep one verifier for each sign-in, in the same tab or app. Without a challenge, call redeem with " +
			"credentials: 'include' from the same site.",
	},
	{
		cause: CauseHandoffUnreadable, code: HandoffInvalid,
		message: "This sign-in cannot be finished here. Please sign in again.",
		seen:    "It was made by a bridge with other keys, or it is cut off.",
		fix:     "Give all replicas the same secrets and the same seal.keys, and pass the handoff on as it is.",
		more:    "production.md#run-several-replicas",
	},
	{
		cause: CauseUnclaimedAccount, code: AccountConflict,
		message: "There is already an account for you, and it cannot be proven to be yours yet. " +
			"Please contact the app's support.",
		seen: "Another account has this person's address, was not made by the bridge, and may be theirs. The reason in " +
			"the log is `has no anchor and shows no public sign-up …`.",
		fix: "Run tikbridge users adopt, then set supabase.adopt to evict. If your app never used the guide's Edge " +
			"Function, only set evict.",
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
		seen: "A hook of the project refused, as a Custom Access Token hook may for people who are not invited. The log " +
			"line has `\"call\":\"verify\"` and `\"upstream_code\":\"unknown\"`; the hook's own message is in Supabase's " +
			"log.",
		fix: "If this person may sign in, change the hook: Authentication > Hooks in the Supabase dashboard.",
	},
	{
		cause: CauseSettingRefuses, code: SignInRefused,
		message: "This app does not let you sign in. Please contact its support.",
		seen: "A setting of the project refused; `upstream_code` names it: `signup_disabled`, `email_provider_disabled`, " +
			"`captcha_failed` and the like.",
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
		seen:    "The bridge refuses one client IP: the log line has status 429 and no `upstream`.",
		fix: "If all people seem to come from one address, set server.trusted_proxies; if the log says that " +
			"X-Forwarded-For cannot be read, let the proxy write IP addresses into it. Otherwise raise rate_limit.start, " +
			"rate_limit.redeem or rate_limit.exchange; the route in the log line says which.",
	},
	{
		cause: CauseBusy, code: RateLimited,
		message: "Too many people are signing in at this moment. Please try again in a few seconds.",
		seen: "The bridge has 512 sign-ins under way: the log line has status 503 and no `upstream`. Nothing was used up: " +
			"an app may send the same request again; somebody whom it meets on the way back from TikTok sees a page of " +
			"the bridge and begins again.",
		fix: "Most often TikTok or Supabase is slow, which other log lines say; otherwise run more replicas.",
	},
	{
		cause: CauseSupabaseLimit, code: RateLimited,
		message: "Too many sign-ins at the moment. Please try again shortly.",
		seen:    "Supabase refuses: `\"upstream\":\"supabase\"`, `over_request_rate_limit`.",
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
		seen:    "TikTok refuses: `\"upstream\":\"tiktok\"`.",
		fix:     "Wait a minute. Ask TikTok for a higher limit.",
	},
	{
		cause: CauseTikTokFails, code: TikTokUnavailable,
		message: "TikTok does not answer as it should. Please try again in a moment.",
		seen:    "TikTok did not answer within `tiktok.timeout`, broke off, or reported a fault of its own.",
		fix: "Start again in a moment. If it persists, check that the bridge reaches open.tiktokapis.com; TikTok's " +
			"support asks for tiktok_log_id from the log.",
	},
	{
		cause: CauseTikTokCredentials, code: TikTokMisconfigured,
		message: tiktokRefuses,
		seen:    "Client key or secret is wrong, or they are of two apps, or one is of the sandbox.",
		fix: "Copy both again from developers.tiktok.com > Manage apps > your app > Credentials, both of production or " +
			"both of the sandbox, into tiktok.client_key and tiktok.client_secret. A secret that was renewed there must " +
			"be set here too.",
	},
	{
		cause: CauseTikTokScopes, code: TikTokMisconfigured,
		message: tiktokRefuses,
		seen:    "Login Kit is missing, or a scope is not approved.",
		fix: "Add the product Login Kit to the TikTok app, and ask for user.info.basic only: in tiktok.scopes, or in your " +
			"app's own address in the guide flow.",
	},
	{
		cause: CauseSupabaseUnreachable, code: SupabaseUnavailable,
		message: supabaseDown,
		seen:    "Supabase did not answer within `supabase.timeout`, or cannot be reached.",
		fix: "Check supabase.url letter by letter. A paused or deleted project has no address; wake it in the dashboard. " +
			"This machine must be able to reach it.",
	},
	{
		cause: CauseSupabaseFails, code: SupabaseUnavailable,
		message: supabaseDown,
		seen:    "Supabase broke off, reported a fault of its own, or answered what makes no sense.",
		fix:     "Try again in a minute. If it persists, check the project's status in the Supabase dashboard.",
	},
	{
		cause: CauseDatabaseFails, code: SupabaseUnavailable,
		message: supabaseDown,
		seen: "Supabase Auth reported a fault, most often of the database: 500 and `unexpected_failure` at another call " +
			"than `create_user` and `verify`.",
		fix: "Try again in a minute. If it persists, check the project's status in the Supabase dashboard and the errors " +
			"in its Postgres log, and look at triggers and constraints on auth.users.",
	},
	{
		cause: CauseHookTimeout, code: SupabaseUnavailable,
		message: "Signing in takes too long at the moment. Please try again.",
		seen: "A hook of the project was too slow or could not be reached: `hook_timeout`, `hook_timeout_after_retry`. " +
			"Supabase waits five seconds for one over HTTP.",
		fix: "Make the Custom Access Token hook faster, or take it out: Authentication > Hooks in the Supabase dashboard.",
	},
	{
		cause: CauseLinkSuperseded, code: SupabaseUnavailable,
		message: "Too many sign-ins of this person at once. Please try again.",
		seen:    "Very many sign-ins of the same person at once: `otp_expired`. Each makes a link that ends the one before.",
		fix:     "Start again. If it happens to one person only, something keeps making links or mails for that user.",
	},
	{
		cause: CauseSupabaseKeys, code: SupabaseMisconfigured,
		message: supabaseRefuses,
		seen:    "A key was rotated or belongs to another project; `upstream_status` is 401 or 403.",
		fix: "Copy the address and both keys again from the same project (Project Settings > API Keys) into supabase.url, " +
			"supabase.secret_key and supabase.publishable_key; a deleted or rotated key does not come back.",
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
		seen: "There is no Supabase Auth at `supabase.url`: it is of something else, has something after the host, or is " +
			"self-hosted with GoTrue elsewhere than at `/auth/v1`. It looks like `https://abcdefghijklmnopqrst.supabase.co`.",
		fix: "Set supabase.url to the project's address with nothing after it. If GoTrue is not at /auth/v1 there, set " +
			"supabase.auth_url.",
	},
	{
		cause: CauseSupabaseRedirects, code: SupabaseMisconfigured,
		message: supabaseRefuses,
		seen: "Something in front of Supabase redirects, for example from `http` to `https`; `upstream_status` is 301, " +
			"302, 307 or 308. Redirects are not followed.",
		fix: "Set supabase.url to the address that it redirects to.",
	},
	{
		cause: CauseSupabaseTooOld, code: SupabaseMisconfigured,
		message: supabaseRefuses,
		seen:    "GoTrue is from before error codes were words.",
		fix:     "Update Supabase Auth (the image supabase/auth, or the Supabase CLI) to 2.155.0 or newer.",
	},
	{
		cause: CauseSupabaseRefuses, code: SupabaseMisconfigured,
		message: supabaseRefuses,
		seen:    "Supabase refuses what the bridge asks, for a reason not named here.",
		fix:     "Check supabase.url, supabase.auth_url and both keys.",
	},
	{
		cause: CauseCreateFails, code: SupabaseMisconfigured,
		message: "Your account could not be created. Please tell whoever runs the app.",
		seen: "Creating the user failed twice in the database: 500 and `unexpected_failure` at `create_user`. Most often " +
			"a trigger on `auth.users` raises, such as one that fills a table of profiles.",
		fix: "Creating the user failed in the database: look at triggers and constraints on auth.users. The error is in " +
			"the Postgres log of the Supabase dashboard.",
	},
	{
		cause: CauseHookFails, code: SupabaseMisconfigured,
		message: "Your session could not be created. Please tell whoever runs the app.",
		seen: "Creating the session failed twice: 500 and `unexpected_failure` at `verify`, or `hook_payload_…`. Most " +
			"often the Custom Access Token hook raises, answers no valid claims, refuses without an `http_code` (Supabase " +
			"makes a 500 of that), or is a Postgres function that takes more than two seconds.",
		fix: "Creating the session failed in a hook or in the database: look at the Custom Access Token hook " +
			"(Authentication > Hooks in the Supabase dashboard) and at triggers on auth.users and auth.sessions. A hook " +
			"that refuses somebody must answer with http_code 403.",
	},
	{
		cause: CauseAnchorLost, code: SupabaseMisconfigured,
		message: supabaseRefuses,
		seen: "`app_metadata.tiktok` was gone from the account again right after the bridge set it, twice. Without it " +
			"nobody is let in.",
		fix: "Something removes app_metadata.tiktok as it is written: look at triggers on auth.users, and at code that " +
			"replaces app_metadata instead of adding to it.",
		more: "accounts.md",
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
			"`sign_in`.",
		fix: "Look into the backend's log. It answers 200 with a session, or 4xx with {\"error\": \"…\"} to refuse somebody.",
	},
	{
		cause: CauseBackendAnswer, code: BackendUnavailable,
		message: backendDown,
		seen: "Your own backend answered 200 with something other than a session: no JSON object, none with an " +
			"`access_token`, or more than 64 KiB. A page of HTML comes from a proxy or a login in front of it.",
		fix: "Answer sign_in with a JSON object of at most 64 KiB whose access_token is text without spaces. Check that " +
			"backend.url is the backend's own route.",
	},
	{
		cause: CauseBackendSignature, code: BackendUnavailable,
		message: backendRefuses,
		seen: "Your own backend answered 401: it does not accept the bridge's signature. It has another secret, checks a " +
			"body that a parser changed, or one of the two clocks is off.",
		fix: "Set backend.secret to the secret that the backend checks with. The backend must check the body as it arrived, " +
			"byte for byte, and both clocks must be right.",
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
