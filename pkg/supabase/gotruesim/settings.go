package gotruesim

import "net/http"

// otherProviders are the sign-in methods of GET /settings that are always off here
// (capture "settings (public)").
var otherProviders = []string{
	"anonymous_users", "apple", "azure", "bitbucket", "discord", "facebook", "snapchat", "figma",
	"fly", "github", "gitlab", "google", "keycloak", "kakao", "linkedin", "linkedin_oidc", "notion",
	"spotify", "slack", "slack_oidc", "workos", "twitch", "twitter", "phone", "zoom",
}

// settings tells the public whether sign-up is open and confirmation is needed.
func (s *Server) settings(w http.ResponseWriter, _ *http.Request) error {
	external := map[string]bool{"email": !s.opts.DisableEmail}
	for _, name := range otherProviders {
		external[name] = false
	}
	sendJSON(w, http.StatusOK, map[string]any{
		"external":           external,
		"disable_signup":     s.opts.DisableSignup,
		"mailer_autoconfirm": !s.opts.RequireConfirmation,
		"phone_autoconfirm":  !s.opts.RequirePhoneConfirmation,
		"sms_provider":       "",
		"saml_enabled":       false,
		"passkeys_enabled":   false,

		"saml_private_key_next_configured": true,
	})
	return nil
}

func health(w http.ResponseWriter, _ *http.Request) error {
	sendJSON(w, http.StatusOK, map[string]string{
		"version":     "v2.196.0-gotruesim",
		"name":        "GoTrue",
		"description": "GoTrue is a user registration and authentication API",
	})
	return nil
}

// jwks is empty: a project that signs with HS256 publishes no key.
func jwks(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Cache-Control", "public, max-age=600")
	sendJSON(w, http.StatusOK, map[string]any{"keys": []any{}})
	return nil
}
