// Package signin is the domain of tikbridge: a person who proved to TikTok who they are gets a real
// Supabase session. It imports the standard library only; what it needs from outside are small interfaces,
// implemented by the adapters.
//
// # The hosted flow
//
// The bridge leads the sign-in from start to redeem. Each line names the secrets that travel in it.
//
//	app                      bridge                          TikTok              Supabase (GoTrue)
//	 | makes a verifier        |                               |                     |
//	 |- challenge ------------>| Begin                         |                     |
//	 |<- flow cookie, and a redirect with the sealed state ----|                     |
//	 |                         |                               |                     |
//	 |      the browser shows TikTok's consent page            |                     |
//	 |                         |<- code, state, flow cookie ---|                     |
//	 |                         | Callback: opens and claims the state                |
//	 |                         |- code, client secret -------->|                     |
//	 |                         |<- open_id, TikTok's tokens ---|                     |
//	 |<- sealed handoff -------|                               |                     |
//	 |                         |                               |                     |
//	 |- handoff, verifier ---->| Redeem: opens and claims the handoff                |
//	 |                         | mint: profile, account, session                     |
//	 |                         |- secret key: generate_link ------------------------>|
//	 |                         |<- one-time token_hash ------------------------------|
//	 |                         |- token_hash: verify ------------------------------->|
//	 |<- session --------------|<- session ------------------------------------------|
//
// Who holds what:
//
//   - TikTok's client secret, the Supabase secret key and the sealing keys never leave the bridge.
//   - The verifier never leaves the app until it redeems. A handoff without it is worthless, so it does no
//     harm that a deeplink or an address shows the handoff. A web app on the bridge's own site may send no
//     challenge: then the flow cookie takes the verifier's place.
//   - The state is sealed: the browser and TikTok carry it and cannot read it. It is accepted once, from the
//     browser with the flow cookie or, with a challenge, from any.
//   - The code is worthless without the client secret.
//   - The token_hash lives for the milliseconds between two calls.
//
// # The guide flow
//
// The app builds TikTok's authorize URL itself, as Despia's guide describes it; a page sends the code here.
//
//	app / page               bridge                          TikTok              Supabase (GoTrue)
//	 |- authorize URL, state = uuid or uuid|scheme ----------->|                     |
//	 |<- code, state ------------------------------------------|                     |
//	 |- code, redirect_uri --->| Exchange: checks redirect_uri and scheme            |
//	 |                         |- code, client secret -------->|                     |
//	 |                         |<- open_id, TikTok's tokens ---|                     |
//	 |                         | mint: profile, account, session, as above --------->|
//	 |<- session --------------|<- session ------------------------------------------|
//
// Nothing ties the code to the app that asked for it: whoever has a code for an allowed redirect_uri gets
// the session. That is the guide's design, and why the hosted flow exists.
//
// # Where to read
//
// Five files take a code from its route to a session:
//
//   - pkg/server/exchange.go: the route
//   - exchange.go: the checks before TikTok
//   - pkg/tiktok/client.go: the code becomes an identity
//   - mint.go: the core of every flow
//   - pkg/supabase/signin.go: the identity becomes an account and a session
//
// The hosted flow takes more requests to the same core: pkg/server/hosted.go has its routes, begin.go,
// callback.go and redeem.go its steps, and state.go what it seals, checks and claims.
//
// # Errors
//
// Every failure is an [Error] with a stable [Code] and a message for the person. What the upstream said is
// kept beside it for the log and never shown.
package signin
