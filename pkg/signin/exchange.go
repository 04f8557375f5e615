package signin

import (
	"context"
	"net/netip"
	"strings"
)

// ExchangeRequest is what a page of the guide flow sends.
type ExchangeRequest struct {
	Redacted
	Code         string
	RedirectURI  string
	State        string
	CodeVerifier string
	// ClientIP is the address of the person's device; invalid if unknown.
	ClientIP netip.Addr
}

// Limits of what TikTok and the guide's apps send, with room to spare. They keep junk from the upstreams.
const (
	maxCode        = 4096
	maxRedirectURI = 512 // TikTok docs: Login Kit for Web
	maxState       = 4096
	minVerifier    = 43 // RFC 7636, section 4.1
	maxVerifier    = 128
)

// Exchange is the guide flow: the app built TikTok's authorize URL itself, with a state of "uuid" or
// "uuid|scheme", and the page TikTok redirected to sends the code.
func (s *Service) Exchange(ctx context.Context, r ExchangeRequest) (Session, error) {
	if err := s.checkExchange(r); err != nil {
		return Session{}, err
	}
	s.warm(s.opts.WarmAccounts)
	id, err := s.opts.Authenticator.Exchange(ctx, Grant{
		Code: r.Code, RedirectURI: r.RedirectURI, CodeVerifier: r.CodeVerifier,
	})
	if err != nil {
		return Session{}, err
	}
	return s.mint(ctx, id, 0, r.ClientIP)
}

// checkExchange rejects what must not reach TikTok. A code rejected here is not spent.
func (s *Service) checkExchange(r ExchangeRequest) error {
	switch {
	case s.opts.Accounts == nil:
		return NewError(CauseNoAccounts)
	case r.Code == "":
		return invalid("The field code is missing: send the code that TikTok put into the redirect.")
	case len(r.Code) > maxCode:
		return invalid("The field code is too long to be a code of TikTok.")
	case isEncoded(r.Code):
		return invalid(encodedCode)
	case r.RedirectURI == "":
		return invalid("The field redirect_uri is missing: send the same redirect_uri that the authorize URL had.")
	case len(r.RedirectURI) > maxRedirectURI:
		return invalid("The field redirect_uri is longer than the 512 characters TikTok allows.")
	case isEncodedURL(r.RedirectURI):
		return &Error{Code: RedirectURIMismatch, Message: encodedRedirectURI}
	case len(r.State) > maxState:
		return invalid("The field state is too long.")
	case len(r.CodeVerifier) > maxVerifier:
		return invalid("The field code_verifier is longer than the 128 characters RFC 7636 allows.")
	// The hosted flow's callback is never valid here: whoever saw its code would need no verifier.
	case r.RedirectURI == s.opts.CallbackURL:
		return NewError(CauseRedirectURIIsCallback)
	case !s.opts.Policy.RedirectURI(r.RedirectURI):
		return NewError(CauseRedirectURINotAllowed)
	}
	if scheme, ok := schemeOf(r.State); ok && !s.opts.Policy.Scheme(scheme) {
		return NewError(CauseSchemeNotAllowed)
	}
	return nil
}

// schemeOf returns the deeplink scheme in a state of the guide flow, if it names one. Despia's guide sends
// "uuid|scheme", its own helper "csrf|scheme|more".
func schemeOf(state string) (scheme string, ok bool) {
	_, rest, _ := strings.Cut(state, "|")
	scheme, _, _ = strings.Cut(rest, "|")
	return scheme, scheme != ""
}
