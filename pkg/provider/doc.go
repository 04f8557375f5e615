// Package provider is an OpenID Provider in front of TikTok, so that whatever speaks OpenID Connect can sign
// people in with TikTok: Supabase as the custom provider custom:tiktok, Auth.js, oauth2-proxy, an own backend.
// TikTok itself is none: it has no discovery, no id_token, and names of its own for parameters.
//
// # The provider flow
//
//	browser                  bridge                            TikTok              client (GoTrue)
//	 |- client_id, redirect_uri, code_challenge, state, nonce ->| Authorize             |
//	 |<- flow cookie, and a redirect with the sealed state -----|                       |
//	 |                         |                                |                       |
//	 |      the browser shows TikTok's consent page             |                       |
//	 |                         |<- TikTok's code, state --------|                       |
//	 |                         | signin.Callback: opens and claims the state            |
//	 |                         |- TikTok's code, secret ------->|                       |
//	 |                         |<- open_id, TikTok's tokens ----|                       |
//	 |<- code ---------------- | Finish                         |                       |
//	 |                         |                                |                       |
//	 |- code ------------------------------------------------------------------------->|
//	 |                         |<- code, client secret, code_verifier ------------------|
//	 |                         | Token: checks all of it, then claims the code          |
//	 |                         |- TikTok's access token ------->|                       |
//	 |                         |<- name and picture ------------|                       |
//	 |                         |- id_token, access token ------------------------------>|
//
// It is the authorization code flow (Core, section 3.1) and nothing else: no implicit flow, no session, no
// refresh tokens of its own, no registration of clients. It keeps nothing. The client's request travels in the
// sealed state, who signed in travels in the sealed code, and the access token is sealed claims. So any replica
// can answer any request, and a restart loses nobody. What must happen once is claimed (signin.Once).
//
// # The rules, and where they are from
//
// "Core" is OpenID Connect Core 1.0, "Discovery" OpenID Connect Discovery 1.0.
//
//   - Codes and errors go to a redirect URI that is registered, byte for byte (RFC 9700, section 2.1), or to
//     nobody: a page says so. Everything else is told to the client, with state and iss (RFC 9207).
//   - PKCE is S256 only, and a public client must use it (RFC 9700, section 2.1.1). A sign-in without PKCE ends
//     in the browser that started it.
//   - A wrong attempt at the token endpoint spends nothing: the code is claimed after every other check. GoTrue
//     sends each code twice when the first answer is an error (golang.org/x/oauth2, AuthStyleAutoDetect).
//   - sub is the exact open_id, which TikTok makes for each app. There is no e-mail: TikTok has none, and
//     clients link accounts by it.
//   - Names are not tied to the scope profile: Supabase's dashboard asks for openid alone.
//   - Keys are derived (see [DeriveKeys]), so that replicas agree, and published before they sign.
package provider
