// Package tiktok is a client of TikTok Login Kit v2 for web apps: the authorize URL, the exchange of
// a code and the profile of the person.
//
// TikTok is almost OAuth 2.0. It says client_key for client_id, separates scopes by commas, may
// answer an error with status 200, and writes errors of the token endpoint in another shape than
// those of its other endpoints. All of that ends here: callers see [signin.Identity],
// [signin.Profile] and [signin.Error].
package tiktok
