// Package seal makes tokens that only the bridge can read and nobody can change: the state that goes
// through TikTok and back, the cookie of a flow, the handoff in a deeplink. What is sealed needs no
// database, so any replica can open what another one sealed.
//
// # The token
//
//	"1" base64url( key id [4] ‖ nonce [12] ‖ ciphertext ‖ tag [16] )
//
// The cipher is AES-256-GCM with random nonces. Version, key id and purpose are additional data: a
// token is good for one purpose only, and a state is never taken for a handoff. The base64url has no
// padding and only its canonical form is taken (RFC 4648, sections 3.5 and 5), so no two texts are
// the same token. A token proves neither age nor first use; those belong into the payload and to
// pkg/once.
//
// # The keys
//
// Each configured secret is the input of HKDF-SHA256 (RFC 5869), which makes the AES key and the key
// id of it. Random nonces allow 2^32 tokens under one key, some thirty a second for four years;
// rotate long before: put the new secret first, and drop the old one when its last token is stale.
package seal
