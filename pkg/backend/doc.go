// Package backend is for apps with a backend of their own, which decides about sign-ins in Supabase's place and
// hears of TikTok's events. The bridge sends it messages signed by Standard Webhooks
// (https://www.standardwebhooks.com):
//
//   - [Client] asks for a session with a message of the type sign_in. It implements signin.Accounts.
//   - [Notifier] passes TikTok's events on, until the receiver has taken them.
//
// Only whoever has the secret can make such messages, so the backend trusts those with a good signature, and no
// other. docs/backend.md says what it gets and what it must answer.
package backend
