package signin_test

import (
	"bytes"
	"encoding"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tikbridge/tikbridge/pkg/signin"
)

const canary = "canary-7f3a"

// spellings are the ways a canary may show in any case: as it is, in hex, as a list of bytes.
func spellings() []string {
	return []string{canary, hex.EncodeToString([]byte(canary)), fmt.Sprintf("%d", []byte(canary))}
}

func wantHidden(t *testing.T, how, out string) {
	t.Helper()
	for _, s := range spellings() {
		if strings.Contains(strings.ToLower(out), s) {
			t.Errorf("%s: got %s; want no canary", how, out)
		}
	}
}

func TestSecret_verbs(t *testing.T) {
	t.Parallel()
	s := signin.Secret(canary)
	values := map[string]any{
		"value": s, "pointer": &s, "list": []signin.Secret{s}, "array": [1]signin.Secret{s},
		"map": map[string]signin.Secret{"k": s}, "key of a map": map[signin.Secret]int{s: 1},
		"member": struct{ S signin.Secret }{s}, "any": []any{s},
	}
	for name, v := range values {
		for _, verb := range []string{
			"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "% x", "%#x", "%d", "%o", "%b", "%c", "%U",
			"%t", "%f", "%e", "%g", "%5s", "%-20v", "%.3s", "%z", "%!", "no verb",
		} {
			wantHidden(t, name+" "+verb, fmt.Sprintf(verb, v))
		}
		wantHidden(t, name+" Sprint", fmt.Sprint(v))
		wantHidden(t, name+" Sprintln", fmt.Sprintln(v))
		wantHidden(t, name+" error", fmt.Errorf("at %v", v).Error())
	}
	for _, verb := range []string{"%v", "%s", "%q", "%x", "%#v", "%d"} {
		if diff := cmp.Diff("[redacted]", fmt.Sprintf(verb, s)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", verb, diff)
		}
	}
}

func TestSecret_encoders(t *testing.T) {
	t.Parallel()
	s := signin.Secret(canary)
	var _ encoding.TextMarshaler = s
	text, err := s.MarshalText()
	if err != nil || string(text) != "[redacted]" {
		t.Errorf("text: got %s, %v; want [redacted]", text, err)
	}
	for name, v := range map[string]any{
		"value": s, "pointer": &s, "member": struct{ S signin.Secret }{s}, "list": []signin.Secret{s},
		"value of a map": map[string]signin.Secret{"k": s},
	} {
		out, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		wantHidden(t, "json "+name, string(out))
		if !strings.Contains(string(out), `"[redacted]"`) {
			t.Errorf("json %s: got %s; want [redacted]", name, out)
		}
	}
}

func TestSecret_slog(t *testing.T) {
	t.Parallel()
	s := signin.Secret(canary)
	// Handlers of others may look at the value itself.
	wantHidden(t, "resolved", fmt.Sprintf("%#v", slog.AnyValue(s).Resolve().Any()))
	if got := slog.AnyValue(s).Resolve(); got.Kind() != slog.KindString {
		t.Errorf("got a %v; want a string", got.Kind())
	}
	for name, out := range logged(s) {
		wantHidden(t, name, out)
		if !strings.Contains(out, "[redacted]") {
			t.Errorf("%s: got %s; want [redacted]", name, out)
		}
	}
}

// logged returns the lines of both handlers for v, alone and inside of things.
func logged(v any) map[string]string {
	out := map[string]string{}
	for name, newHandler := range map[string]func(*bytes.Buffer) slog.Handler{
		"text": func(b *bytes.Buffer) slog.Handler { return slog.NewTextHandler(b, nil) },
		"json": func(b *bytes.Buffer) slog.Handler { return slog.NewJSONHandler(b, nil) },
	} {
		for how, attr := range map[string]slog.Attr{
			"alone": slog.Any("v", v), "in a struct": slog.Any("v", struct{ V any }{v}),
			"in a group": slog.Group("g", "v", v), "in a list": slog.Any("v", []any{v}),
		} {
			var b bytes.Buffer
			slog.New(newHandler(&b)).Info("line", attr) //nolint:sloglint // no context here
			out[name+" "+how] = b.String()
		}
	}
	return out
}

// TestRedacted: whatever prints, logs or encodes a struct that holds a code, a token, a handoff or a
// verifier shows none of them, alone or inside of something else.
func TestRedacted(t *testing.T) {
	t.Parallel()
	session := signin.Session{
		AccessToken: canary, RefreshToken: canary, User: json.RawMessage(`"` + canary + `"`),
		ProviderToken: canary, ProviderRefreshToken: canary,
	}
	identity := signin.Identity{OpenID: canary, AccessToken: canary, RefreshToken: canary}
	grant := signin.Grant{Code: canary, RedirectURI: canary, CodeVerifier: canary}
	tests := []struct {
		name string
		v    any
	}{
		{"session", session},
		{"pointer to a session", &session},
		{"sign-in with a session", signin.SignedIn{Session: session}},
		{"identity", identity},
		{"pointer to an identity", &identity},
		{"list of identities", []signin.Identity{identity}},
		{"grant", grant},
		{"pointer to a grant", &grant},
		{"map of grants", map[string]signin.Grant{"k": grant}},
		{"begun", signin.Begun{AuthorizeURL: canary, Binder: canary}},
		{"authorize request", signin.AuthorizeRequest{State: canary, Verifier: canary}},
		{"callback request", signin.CallbackRequest{State: canary, Code: canary}},
		{"return", &signin.Return{Handoff: canary}},
		{"redeem request", signin.RedeemRequest{Handoff: canary, Verifier: canary}},
		{"exchange request", signin.ExchangeRequest{Code: canary, CodeVerifier: canary}},
		{"state", signin.StateOf(canary)},
		{"handoff", signin.HandoffOf(canary)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X"} {
				wantHidden(t, verb, fmt.Sprintf(verb, tt.v))
			}
			wantHidden(t, "Sprint", fmt.Sprint(tt.v))
			wantHidden(t, "error", fmt.Errorf("at %v", tt.v).Error())
			for how, out := range logged(tt.v) {
				wantHidden(t, how, out)
				if !strings.Contains(out, "[redacted]") {
					t.Errorf("%s: got %s; want [redacted]", how, out)
				}
			}
			encoded, err := json.Marshal(tt.v)
			if err != nil {
				t.Error(err)
			}
			wantHidden(t, "JSON", string(encoded))
		})
	}
}
