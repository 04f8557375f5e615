package server

import (
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"
)

// clientAddress returns the client IP: the peer's address, unless the peer is a trusted proxy, whose header
// is then read from the right up to the first address that is not one. Where that cannot be read, the peer's
// address stands: what is further left, the client may have written.
func (s *Server) clientAddress(r *http.Request) string {
	peer := echo.ExtractIPDirect()(r)
	if !s.isProxy(parseClient(r.RemoteAddr)) {
		return peer
	}
	client := peer
	forwarded := strings.Join(r.Header.Values(s.opts.ClientIPHeader), ",")
	for _, entry := range slices.Backward(strings.Split(forwarded, ",")) {
		if entry = strings.TrimSpace(entry); entry == "" { // RFC 9110, section 5.6.1.2
			continue
		}
		addr := parseClient(entry)
		if !addr.IsValid() {
			s.unreadableNotice.Do(func() {
				s.opts.Logger.LogAttrs(r.Context(), slog.LevelWarn,
					"the header of a trusted proxy cannot be read: it must hold IP addresses. People whose address "+
						"is missing share one rate limit", slog.String("header", s.opts.ClientIPHeader))
			})
			return peer
		}
		if client = addr.String(); !s.isProxy(addr) {
			break
		}
	}
	return client
}

// parseClient reads an address as proxies write it, with a port or without, in brackets or quotes (RFC 7239,
// section 6, and Azure's gateway for X-Forwarded-For). It is invalid if there is none.
func parseClient(s string) netip.Addr {
	if len(s) >= 2 && s[0] == '"' && s[len(s)-1] == '"' {
		s = s[1 : len(s)-1]
	}
	if withPort, err := netip.ParseAddrPort(s); err == nil {
		return plainAddr(withPort.Addr())
	}
	if inner, ok := strings.CutPrefix(s, "["); ok {
		s, ok = strings.CutSuffix(inner, "]")
		if !ok {
			return netip.Addr{}
		}
	}
	addr, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Addr{}
	}
	return plainAddr(addr)
}

// plainAddr is an address without what only one machine's view adds to it.
func plainAddr(addr netip.Addr) netip.Addr { return addr.Unmap().WithZone("") }

// clientIP returns the address of the person's device; invalid if unknown.
func clientIP(c echo.Context) netip.Addr {
	addr, err := netip.ParseAddr(c.RealIP())
	if err != nil {
		return netip.Addr{}
	}
	return plainAddr(addr)
}

// isFromProxy tells whether the peer is a proxy that the operator trusts.
func (s *Server) isFromProxy(c echo.Context) bool {
	return s.isProxy(parseClient(c.Request().RemoteAddr))
}

// isProxy tells whether an address is of a proxy that the operator trusts.
func (s *Server) isProxy(addr netip.Addr) bool {
	return slices.ContainsFunc(s.opts.TrustedProxies, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// noticeProxy tells the operator, once, of a proxy that is not trusted: to the bridge, all its clients
// have its address, and share one limit.
func (s *Server) noticeProxy(c echo.Context) {
	if len(s.opts.TrustedProxies) > 0 || c.Request().Header.Get(echo.HeaderXForwardedFor) == "" {
		return
	}
	s.proxyNotice.Do(func() {
		s.opts.Logger.LogAttrs(c.Request().Context(), slog.LevelWarn,
			"X-Forwarded-For is not believed: if the bridge is behind a proxy, "+
				"list it in server.trusted_proxies, or all people share one rate limit")
	})
}
