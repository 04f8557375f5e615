// Package gotruesim emulates GoTrue, the Auth server of Supabase, in memory: as an http.Handler for
// tests, for proofs about races and hijacked accounts, and for development without Docker.
//
// It is meant to be no kinder than the real server. Its behaviour was taken from GoTrue v2.196:
// from recordings of it, which the tests replay (testdata/gotrue-captures.json, -more.json with the odd
// cases, and -oidc.json with custom providers), and from its source. Comments name the recording
// ("capture") or the source file that they follow; "gotrue facts" are the notes of what was tried when
// the recordings were made.
//
// # What it emulates
//
//   - Admin routes: users (create, list, get, update, delete hard and soft), their factors
//     and passkeys (the list), generate_link for every type of link, invite, custom providers.
//   - Public routes: signup, otp, magiclink, recover, verify (GET and POST), token (all grants but web3),
//     user, linking and unlinking identities, logout, settings, health.
//   - Custom OpenID Providers: their admin routes, the redirect flow (authorize, callback, the pkce grant)
//     and the id_token grant, with or without link_identity. Discovery and keys are fetched, cached and
//     checked as on the real server; only Options.AllowInsecureIssuers makes it less strict, for
//     development.
//   - One-time tokens: one per user and type, so that each link supersedes the one before; hashes
//     of six digits; consumption that nothing locks.
//   - Sessions: a row per sign-in, HS256 access tokens that die with it at GoTrue, rotating refresh
//     tokens with reuse detection.
//   - Both shapes of errors and the OAuth one, GoTrue's CORS, the limit of request bodies, the rate
//     limits of /verify and /token.
//   - Under /auth/v1, Supabase's gateway: which keys it takes and what it makes of them.
//
// # Races
//
// GoTrue checks before it writes, and takes no locks in between. Options.WriteDelay stretches that
// time: creates that race then lose with a 500, as do first sign-ins by a provider; one link signs
// several requests in, a link that is replaced during its verification makes GoTrue panic, and updates
// at once undo one another.
//
// Nor does GoTrue look again at what let a request in. Server.Hold keeps a request between that and
// its commit, and so lets tests show what lands after a password was reset or a user was banned;
// testdata/in-flight.md says what each route reads when, and what it writes over.
//
// # What it leaves out
//
// The web3 grant, custom providers of type oauth2, the id_token grant of GoTrue's own providers (which
// are off, as the redirect flow says), invitations accepted by a provider, SSO, MFA enrolment, resend,
// reauthentication and audit logs: these routes answer 501. Phones are only what admins and users write
// on accounts, and nobody is anonymous. A code_challenge of links and sign-ups is ignored, so these
// follow the implicit flow. Of the hooks there are before-user-created and custom access token, which may
// refuse and fail but changes no claims. Only /verify and /token are limited by rate; mails are not sent,
// though Options.EmailMaxFrequency limits them and Server.Outbox shows them.
// The order of a user's identities is as unspecified as on the real server. Passwords are hashed at
// bcrypt's lowest cost; argon2 and scrypt hashes are taken, but no password matches them. Nothing
// outlives the process.
package gotruesim
