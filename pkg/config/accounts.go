package config

import (
	"encoding/base64"
	"net/netip"
	"strings"

	"github.com/tikbridge/tikbridge/pkg/signin"
)

// accountsRules are those about who keeps the users. What accounts leaves out may hold anything: platforms set
// SUPABASE_URL for other programs too.
func (c Config) accountsRules() []rule {
	rules := []rule{notOneOf("accounts", c.Accounts, AccountsSupabase, AccountsBackend, AccountsNone)}
	switch c.Accounts {
	case AccountsSupabase:
		return append(rules, c.Supabase.rules()...)
	case AccountsBackend:
		return append(rules, c.Backend.rules()...)
	case AccountsNone:
		return append(rules, rule{
			!c.OIDC.Enabled(), "accounts", "is none, and oidc.clients has no client, so there is no way to sign in",
			"Set TIKBRIDGE_ACCOUNTS to supabase or backend, or add a client.",
		})
	}
	return rules
}

func (b Backend) rules() []rule {
	rules := []rule{
		missing("backend.url", b.URL == ""), missing("backend.secret", b.Secret == ""),
		notPositive("backend.timeout", b.Timeout),
	}
	return append(rules, messageRules("backend", b.URL, b.Secret)...)
}

func (c Config) webhookRules() []rule {
	w := c.Webhook
	rules := []rule{missing("webhook.secret", w.URL != "" && w.Secret == "" && c.Accounts != AccountsBackend)}
	if c.Accounts == AccountsBackend && w.Secret == c.Backend.Secret { // which has rules of its own
		w.Secret = ""
	}
	return append(rules, messageRules("webhook", w.URL, w.Secret)...)
}

// messageRules are those about where signed messages go.
func messageRules(section, address string, secret signin.Secret) []rule {
	return []rule{
		{
			address != "" && !isMessageURL(address), section + ".url", "is not a web address",
			"Write it like https://app.example/tiktok, without user, password and #.",
		},
		{
			strings.HasPrefix(address, "http://") && !isPrivateHost(hostOf(address)), section + ".url",
			"begins with http://, so sessions would travel unencrypted",
			"Write https:// instead. Only this machine and private networks may do without.",
		},
		{
			secret != "" && !isMessageSecret(secret.Reveal()), section + ".secret",
			"is not whsec_ and at least 24 bytes in base64",
			"Make one with `echo \"whsec_$(openssl rand -base64 32)\"`.",
		},
	}
}

func isMessageURL(s string) bool {
	path, _, _ := strings.Cut(s, "?")
	return isWebURL(path) && !strings.Contains(s, "#")
}

// isMessageSecret is what pkg/backend takes for a secret: that of every library of Standard Webhooks.
func isMessageSecret(s string) bool {
	const minKey = 24
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(s, "whsec_"))
	return err == nil && len(key) >= minKey
}

// isPrivateHost reports whether a host is this machine, in a private network, or named as in one: without a
// dot, as in a compose file, or in a domain that no certificate authority knows.
func isPrivateHost(host string) bool {
	if addr, err := netip.ParseAddr(host); err == nil {
		return addr.IsLoopback() || addr.IsPrivate() || addr.IsLinkLocalUnicast()
	}
	for _, domain := range []string{"localhost", "internal", "local", "test"} {
		if host == domain || strings.HasSuffix(host, "."+domain) {
			return true
		}
	}
	return !strings.Contains(host, ".")
}
