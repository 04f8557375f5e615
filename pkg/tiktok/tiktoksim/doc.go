// Package tiktoksim imitates TikTok Login Kit v2 for web as an [http.Handler], so that a sign-in
// can be developed and tested without a TikTok app, a review or a network.
//
// It answers the consent page, the token endpoint, user info, the list of videos and revocation, sends
// webhooks, and is strict where TikTok is: codes and refresh tokens are single use, redirect URIs are
// compared byte by byte, the client key and secret are checked, content types matter and errors have
// TikTok's shapes. Routes under /sim/ mint codes without a browser, answer the consent page, send events and
// make endpoints fail on demand; GET /sim/ lists them.
//
// # Sources
//
// The protocol follows the TikTok docs pages "Login Kit for Web", "Login Kit for Desktop", "User
// Access Token Management", "Client Access Token Management", "Get User Info", "List Videos", "Video
// Object", "Webhooks Overview", "Webhook Events", "Check the signature", "OAuth error handling" and
// "TikTok API v2 error handling".
//
// # Where TikTok is silent
//
// TikTok leaves several points open. The simulator decides them as follows, always for the variant
// that catches more mistakes in a client:
//
//   - Errors of the token and revocation endpoints come with HTTP 200 and an error body, as
//     implementers report. The fault rfc_status answers with the statuses of RFC 6749 section 5.2
//     instead.
//   - A code lives ten minutes, the most that RFC 6749 section 4.1.2 recommends. It is spent by the
//     first authenticated exchange that names it, even one that fails on redirect_uri or PKCE.
//     Unknown, spent and expired codes get one and the same answer.
//   - A state is mandatory. A client_secret in the authorize URL is refused, for it has leaked.
//   - disable_auto_auth, when omitted, means 0: a person with a session who has already granted the
//     scopes is sent back at once, as implementers report.
//   - The basic scope is always granted, as Login Kit adds it by default; it cannot be refused.
//   - A refreshed token starts a full refresh lifetime. Access tokens issued earlier stay valid
//     until they expire.
//   - Revoking one access token ends all tokens and the consent of that person, and a token that
//     is unknown is an error.
//   - Everybody has as many public videos as their profile counts. A body of a list request with anything but
//     cursor and max_count is refused.
//   - An event is signed once: a repetition, which comes on demand, is signed as long ago as TikTok's first
//     attempt would be. The first repetition is due after a minute, and each next one after twice as long.
//   - Avatar URLs are signed and live a day; a changed signature or an expired URL is 403.
//   - Cancelling redirects with error, error_description and state, and nothing more.
//   - Invalid authorize requests end on an error page with status 400, never in a redirect.
package tiktoksim
