// Package signin is the domain of tikbridge: a person who proved to TikTok who they are gets a
// real Supabase session. It knows no HTTP framework, no configuration file and no client library;
// what it needs from the outside it states as small interfaces, which the adapters implement.
//
// # The documented flow
//
// The app builds TikTok's authorize URL itself; a page in the browser brings the code here.
//
//	person      app / page                bridge                 TikTok        Supabase (GoTrue)
//	  | tap       |                          |                      |                |
//	  |---------->| authorize?client_key --->|--------------------->|                |
//	  |           |<------------------------ redirect ?code&state --|                |
//	  |           | {code, redirect_uri} --->| Exchange             |                |
//	  |           |                          | code + secret ------>|                |
//	  |           |                          |<------ open_id ------|                |
//	  |           |                          | profile ------------>|                |
//	  |           |                          | find or create, link, verify -------->|
//	  |           |                          |<------------------------- session ----|
//	  |<- in -----|<------ session ----------|                      |                |
//
// Who holds which secret: the TikTok client secret and the Supabase secret key never leave the
// bridge; the code is worth nothing without the first; the one-time token of GoTrue lives for the
// milliseconds between two calls of the bridge; the browser sees the session and nothing else.
//
// # Errors
//
// Every failure is an [Error] with a stable [Code] and a message that a person may read. What the
// upstream said is kept beside it for the log and never shown.
package signin
