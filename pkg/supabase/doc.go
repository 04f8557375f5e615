// Package supabase mints sessions of a Supabase project: it finds or creates the account of a person
// who proved themselves to TikTok, and signs that account in through GoTrue's own API, so that the
// session is a real one.
//
// # Whose account is it?
//
// An e-mail proves nothing: anybody may have signed up as <open_id>@tiktok.oauth before the person
// came. Two things no public route of GoTrue can write tie an account to a person:
//
//   - the user id, which is UUIDv5(Namespace, open_id) for every account the bridge creates;
//   - the anchor, app_metadata.tiktok.open_id, which only an admin can set.
//
// generate_link answers with the whole account before a session exists. It is vetted there, and only
// an account that carries the anchor of exactly this open_id is signed in.
//
// # The calls
//
// A returning person takes generate_link and verify, one after the other. The link is of type
// recovery: for an account that exists it works like a magic link, and for an address nobody has it
// is an error, where a magic link would create an account nobody vetted. The address is only the way
// to find an account; when it leads nowhere, or to somebody else, the account is looked up by its id
// and its current address is used, whatever the person changed it to.
//
// GoTrue keeps one link per user: a second one makes the first useless. So the pair of calls is
// serialised per person within the process, and done again when another replica was faster.
package supabase
