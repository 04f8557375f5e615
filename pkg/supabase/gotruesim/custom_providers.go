package gotruesim

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
)

const (
	customPrefix = "custom:"
	typeOIDC     = "oidc"
	typeOAuth2   = "oauth2"
)

// customProvider is a row of custom_oauth_providers, as the admin routes show it
// (models/custom_oauth_provider.go). Only OpenID providers exist here.
type customProvider struct {
	ID           string         `json:"id"`
	Type         string         `json:"provider_type"`
	Identifier   string         `json:"identifier"`
	Name         string         `json:"name"`
	ClientID     string         `json:"client_id"`
	ClientSecret string         `json:"-"`
	Acceptable   []string       `json:"acceptable_client_ids"`
	Scopes       []string       `json:"scopes"`
	PKCE         bool           `json:"pkce_enabled"`
	Mapping      map[string]any `json:"attribute_mapping"`
	Claims       []string       `json:"custom_claims_allowlist"`
	Params       map[string]any `json:"authorization_params"`
	Enabled      bool           `json:"enabled"`
	NoEmail      bool           `json:"email_optional"`
	Issuer       string         `json:"issuer,omitempty"`
	DiscoveryURL *string        `json:"discovery_url,omitempty"`
	SkipNonce    bool           `json:"skip_nonce_check"`
	// Document is only shown: a sign-in reads what the server has in memory.
	Document  *discovery `json:"discovery_document,omitempty"`
	CreatedAt time.Time  `json:"created_at"`
	UpdatedAt time.Time  `json:"updated_at"`
}

func (p *customProvider) clone() *customProvider {
	c := *p
	c.Acceptable, c.Scopes, c.Claims = slices.Clone(p.Acceptable), slices.Clone(p.Scopes), slices.Clone(p.Claims)
	c.Mapping, c.Params = cloneMap(p.Mapping), cloneMap(p.Params)
	return &c
}

// discoveryURL is where the admin routes and the redirect flow find the document.
func (p *customProvider) discoveryURL() string {
	if p.DiscoveryURL != nil && *p.DiscoveryURL != "" {
		return *p.DiscoveryURL
	}
	return strings.TrimRight(p.Issuer, "/") + "/.well-known/openid-configuration"
}

// accepts says whether one of the audiences is the client or another that the provider's row names.
func (p *customProvider) accepts(aud []string) bool {
	return slices.ContainsFunc(aud, func(a string) bool {
		return a != "" && (a == p.ClientID || slices.Contains(p.Acceptable, a))
	})
}

// customProvider reads a provider's row, nil if there is none.
func (s *Server) customProvider(identifier string) *customProvider {
	return get(s.db, func(tx *tx) *customProvider {
		if p, ok := tx.providers[identifier]; ok {
			return p.clone()
		}
		return nil
	})
}

// providerParams is the body of POST and PUT (custom_oauth_admin.go:45).
type providerParams struct {
	Type         string         `json:"provider_type"`
	Identifier   string         `json:"identifier"`
	Name         string         `json:"name"`
	ClientID     string         `json:"client_id"`
	ClientSecret string         `json:"client_secret"`
	Acceptable   []string       `json:"acceptable_client_ids"`
	Scopes       []string       `json:"scopes"`
	PKCE         *bool          `json:"pkce_enabled"`
	Mapping      map[string]any `json:"attribute_mapping"`
	Claims       []string       `json:"custom_claims_allowlist"`
	Params       map[string]any `json:"authorization_params"`
	Enabled      *bool          `json:"enabled"`
	NoEmail      *bool          `json:"email_optional"`
	Issuer       string         `json:"issuer"`
	DiscoveryURL *string        `json:"discovery_url"`
	SkipNonce    *bool          `json:"skip_nonce_check"`
	AuthorizeURL string         `json:"authorization_url"`
	TokenURL     string         `json:"token_url"`
	UserinfoURL  string         `json:"userinfo_url"`
}

// routeProvider is the router below /admin/custom-providers. The identifier is read as it was sent: an escaped
// colon is no colon (capture "oidc/admin: get, escaped").
func (s *Server) routeProvider(w http.ResponseWriter, r *http.Request, path string) error {
	if path == "" {
		return methods{"GET": s.listProviders, "POST": s.createProvider}.serve(w, r)
	}
	identifier := strings.TrimSuffix(path, "/")
	if strings.Contains(identifier, "/") {
		return errNoRoute
	}
	if r.URL.RawPath != "" {
		raw := strings.TrimSuffix(r.URL.RawPath, "/")
		identifier = raw[strings.LastIndex(raw, "/")+1:]
	}
	with := func(fn func(http.ResponseWriter, *http.Request, string) error) handler {
		return func(w http.ResponseWriter, r *http.Request) error {
			if !strings.HasPrefix(identifier, customPrefix) {
				return noPrefix(identifier)
			}
			return fn(w, r, identifier)
		}
	}
	return methods{
		"GET": with(s.showProvider), "PUT": with(s.updateProvider), "DELETE": with(s.deleteProvider),
	}.serve(w, r)
}

func noPrefix(identifier string) error {
	return invalid("identifier must start with 'custom:' prefix, e.g. 'custom:%s'", identifier)
}

func noProvider() error {
	return fail(http.StatusNotFound, codeProviderNotFound, "Custom OAuth provider not found")
}

func (s *Server) listProviders(w http.ResponseWriter, r *http.Request) error {
	typ := r.URL.Query().Get("type")
	if typ != "" && typ != typeOAuth2 && typ != typeOIDC {
		return invalid("type must be either 'oauth2' or 'oidc'")
	}
	list := get(s.db, func(tx *tx) []*customProvider {
		list := []*customProvider{}
		for _, p := range tx.providers {
			if typ == "" || typ == p.Type {
				list = append(list, p.clone())
			}
		}
		return list
	})
	slices.SortFunc(list, func(a, b *customProvider) int {
		newer := cmp.Or(b.CreatedAt.Compare(a.CreatedAt), cmp.Compare(a.ID, b.ID))
		if typ != "" {
			return -newer // no order is asked for then, and rows come as they were made
		}
		return newer
	})
	sendJSON(w, http.StatusOK, map[string]any{"providers": list})
	return nil
}

func (s *Server) showProvider(w http.ResponseWriter, _ *http.Request, identifier string) error {
	p := s.customProvider(identifier)
	if p == nil {
		return noProvider()
	}
	sendJSON(w, http.StatusOK, p)
	return nil
}

// createProvider checks in GoTrue's order, the discovery document last.
func (s *Server) createProvider(w http.ResponseWriter, r *http.Request) error {
	var p providerParams
	if err := readJSON(r, &p, "AdminCustomOAuthProviderParams"); err != nil {
		return err
	}
	if err := p.complete(); err != nil {
		return err
	}
	if err := p.check(); err != nil {
		return err
	}
	if p.Type == typeOAuth2 {
		return leftOut(w, r)
	}
	if err := s.checkProviderURLs(&p); err != nil {
		return err
	}
	if s.customProvider(p.Identifier) != nil {
		return fail(http.StatusBadRequest, codeConflict, "A custom OAuth provider with this identifier already exists")
	}
	row := &customProvider{
		ID: uuid.NewString(), Type: typeOIDC, Identifier: p.Identifier, PKCE: true, Enabled: true,
		Acceptable: []string{}, Claims: []string{}, Mapping: map[string]any{}, Params: map[string]any{},
		DiscoveryURL: p.DiscoveryURL,
	}
	if p.Scopes == nil {
		p.Scopes = []string{}
	}
	row.apply(&p)
	var err error
	if row.Document, err = s.adminDiscovery(r.Context(), row); err != nil {
		return err
	}
	if err := s.beforeWrite(r, s.opts.WriteDelay); err != nil {
		return err
	}
	err = s.db.tx(func(tx *tx) error {
		row.CreatedAt = tx.now().UTC().Truncate(time.Microsecond)
		row.UpdatedAt = row.CreatedAt
		if err := row.constraints(); err != nil {
			return internal("Error creating custom OAuth provider", err)
		}
		if tx.providers[row.Identifier] != nil {
			return internal("Error creating custom OAuth provider",
				uniqueViolation("custom_oauth_providers_identifier_key", "identifier", row.Identifier))
		}
		tx.providers[row.Identifier] = row.clone()
		return nil
	})
	if err != nil {
		return err
	}
	sendJSON(w, http.StatusCreated, row)
	return nil
}

// updateProvider changes what the body names and not more: type and identifier never, and an empty string is
// nothing.
func (s *Server) updateProvider(w http.ResponseWriter, r *http.Request, identifier string) error {
	var p providerParams
	if err := readJSON(r, &p, "AdminCustomOAuthProviderParams"); err != nil {
		return err
	}
	if err := p.check(); err != nil {
		return err
	}
	row := s.customProvider(identifier)
	if row == nil {
		return noProvider()
	}
	if err := s.checkProviderURLs(&p); err != nil {
		return err
	}
	was := row.Issuer
	row.apply(&p)
	rediscovered := p.Issuer != "" || p.DiscoveryURL != nil
	if rediscovered {
		var err error
		if row.Document, err = s.adminDiscovery(r.Context(), row); err != nil {
			return err
		}
	}
	if err := s.beforeWrite(r, s.opts.WriteDelay); err != nil {
		return err
	}
	err := s.db.tx(func(tx *tx) error {
		row.UpdatedAt = tx.now().UTC().Truncate(time.Microsecond)
		if err := row.constraints(); err != nil {
			return internal("Error updating custom OAuth provider", err)
		}
		if tx.providers[identifier] != nil {
			tx.providers[identifier] = row.clone()
		}
		return nil
	})
	if err != nil {
		return err
	}
	if was != row.Issuer {
		s.issuers.forget(was)
	}
	if rediscovered {
		s.issuers.forget(row.Issuer)
	}
	sendJSON(w, http.StatusOK, row)
	return nil
}

// deleteProvider leaves the people's identities: the same identifier made again finds them.
func (s *Server) deleteProvider(w http.ResponseWriter, _ *http.Request, identifier string) error {
	err := s.db.tx(func(tx *tx) error {
		p, ok := tx.providers[identifier]
		if !ok {
			return noProvider()
		}
		s.issuers.forget(p.Issuer)
		delete(tx.providers, identifier)
		return nil
	})
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// complete checks what a new provider must have.
func (p *providerParams) complete() error {
	switch {
	case p.Type != typeOAuth2 && p.Type != typeOIDC:
		return invalid("provider_type must be either 'oauth2' or 'oidc'")
	case p.Identifier == "":
		return invalid("identifier is required")
	case !strings.HasPrefix(p.Identifier, customPrefix):
		return noPrefix(p.Identifier)
	case p.Name == "":
		return invalid("name is required")
	case p.ClientID == "":
		return invalid("client_id is required")
	case p.ClientSecret == "":
		return invalid("client_secret is required")
	case p.Type == typeOIDC && p.Issuer == "":
		return invalid("issuer is required for OIDC providers")
	case p.Type == typeOIDC:
		return nil
	case p.AuthorizeURL == "":
		return invalid("authorization_url is required for OAuth2 providers")
	case p.TokenURL == "":
		return invalid("token_url is required for OAuth2 providers")
	case p.UserinfoURL == "":
		return invalid("userinfo_url is required for OAuth2 providers")
	}
	return nil
}

// reservedParams are parameters of the authorization request that belong to GoTrue.
var reservedParams = []string{
	"client_id", "client_secret", "redirect_uri", "response_type", "state", "code_challenge",
	"code_challenge_method", "code_verifier", "nonce",
}

// blockedFields are fields of a user that no claim may be mapped to.
var blockedFields = []string{
	"id", "aud", "role", "app_metadata", "created_at", "updated_at", "confirmed_at", "email_confirmed_at",
	"phone_confirmed_at", "email_verified", "phone_verified", "banned_until", "is_super_admin",
}

func (p *providerParams) check() error {
	for _, name := range slices.Sorted(maps.Keys(p.Params)) {
		if slices.Contains(reservedParams, name) {
			return invalid("Cannot override reserved OAuth parameter: %s", name)
		}
		if _, ok := p.Params[name].(string); !ok {
			return invalid("Authorization parameter %q must be a string", name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(p.Mapping)) {
		if slices.Contains(blockedFields, name) {
			return invalid("Cannot map to protected system field: %s", name)
		}
	}
	if slices.ContainsFunc(p.Claims, func(c string) bool { return strings.TrimSpace(c) == "" }) {
		return invalid("custom_claims_allowlist entries must be non-empty strings")
	}
	return nil
}

func (s *Server) checkProviderURLs(p *providerParams) error {
	for _, address := range []*string{&p.Issuer, p.DiscoveryURL} {
		if address == nil || *address == "" {
			continue
		}
		if err := s.checkURL(*address); err != nil {
			return err
		}
	}
	return nil
}

// apply writes into the row what the body names.
func (p *customProvider) apply(from *providerParams) {
	p.Name = cmp.Or(from.Name, p.Name)
	p.ClientID = cmp.Or(from.ClientID, p.ClientID)
	p.ClientSecret = cmp.Or(from.ClientSecret, p.ClientSecret)
	p.Issuer = cmp.Or(from.Issuer, p.Issuer)
	if from.DiscoveryURL != nil && *from.DiscoveryURL != "" {
		p.DiscoveryURL = from.DiscoveryURL
	}
	if from.Scopes != nil {
		p.Scopes = withOpenID(from.Scopes)
	}
	if from.Acceptable != nil {
		p.Acceptable = from.Acceptable
	}
	if from.Claims != nil {
		p.Claims = from.Claims
	}
	if from.Mapping != nil {
		p.Mapping = from.Mapping
	}
	if from.Params != nil {
		p.Params = from.Params
	}
	for _, b := range []struct{ to, from *bool }{
		{&p.PKCE, from.PKCE},
		{&p.Enabled, from.Enabled},
		{&p.NoEmail, from.NoEmail},
		{&p.SkipNonce, from.SkipNonce},
	} {
		if b.from != nil {
			*b.to = *b.from
		}
	}
}

func withOpenID(scopes []string) []string {
	if slices.Contains(scopes, "openid") {
		return scopes
	}
	return append([]string{"openid"}, scopes...)
}

// adminDiscovery refuses a provider whose document cannot be read or lacks an endpoint.
func (s *Server) adminDiscovery(ctx context.Context, p *customProvider) (*discovery, error) {
	d, err := s.fetchDiscovery(ctx, p.discoveryURL(), p.Issuer)
	if err != nil {
		return nil, invalid("OIDC discovery from %q failed: %v", p.discoveryURL(), err)
	}
	if missing := d.missing(); len(missing) > 0 {
		return nil, invalid("OIDC discovery document is missing required fields: %s", strings.Join(missing, ", "))
	}
	d.Algs = nil // not kept in the row
	return d, nil
}

var identifierFormat = regexp.MustCompile("^[a-z0-9][a-z0-9:-]{0,48}[a-z0-9]$")

// constraints are the CHECKs of the table, which the API knows nothing of: it answers 500.
func (p *customProvider) constraints() error {
	for _, c := range []struct {
		name string
		ok   bool
	}{
		{"client_id_length", utf8.RuneCountInString(p.ClientID) <= 512},
		{"discovery_url_length", p.DiscoveryURL == nil || utf8.RuneCountInString(*p.DiscoveryURL) <= 2048},
		{"identifier_format", identifierFormat.MatchString(p.Identifier)},
		{"issuer_length", utf8.RuneCountInString(p.Issuer) <= 2048},
		{"name_length", utf8.RuneCountInString(p.Name) <= 100},
	} {
		if !c.ok {
			return &dbError{
				Code: "23514",
				Message: fmt.Sprintf("new row for relation %q violates check constraint %q",
					"custom_oauth_providers", "custom_oauth_providers_"+c.name),
				Detail: p.failingRow(),
			}
		}
	}
	return nil
}

// failingRow is how PostgreSQL shows a row that it refuses: column by column, 64 bytes of each. That includes
// the client's secret, and GoTrue passes it on to callers who send no version header
// (capture "oidc/admin: create, identifier in upper case, old format").
func (p *customProvider) failingRow() string {
	address := "null"
	if p.DiscoveryURL != nil {
		address = *p.DiscoveryURL
	}
	columns := []string{
		p.ID, p.Type, p.Identifier, p.Name, p.ClientID, p.ClientSecret, pgArray(p.Acceptable), pgArray(p.Scopes),
		pgBool(p.PKCE), pgJSON(p.Mapping), pgJSON(p.Params), pgBool(p.Enabled), pgBool(p.NoEmail), p.Issuer, address,
		pgBool(p.SkipNonce), pgDocument(p.Document), pgTime(p.UpdatedAt), "null", "null", "null", "null",
		pgTime(p.CreatedAt), pgTime(p.UpdatedAt), pgArray(p.Claims),
	}
	for i, c := range columns {
		if len(c) > 64 {
			columns[i] = c[:64] + "..."
		}
	}
	return "Failing row contains (" + strings.Join(columns, ", ") + ")."
}

func pgArray(list []string) string { return "{" + strings.Join(list, ",") + "}" }

func pgBool(b bool) string { return map[bool]string{true: "t", false: "f"}[b] }

func pgTime(t time.Time) string { return t.Format("2006-01-02 15:04:05.999999-07") }

func pgJSON(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Errorf("gotruesim: marshal column: %w", err))
	}
	return string(data)
}

// pgDocument is the beginning of a jsonb object: shorter keys first, a space after colons.
func pgDocument(d *discovery) string {
	return fmt.Sprintf("{%q: %q, %q: %q}", "issuer", d.Issuer, "jwks_uri", d.JWKSURI)
}
