package bench_test

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/url"
	"testing"

	"github.com/valyala/fasthttp"
)

// flows are the ways to sign in that are measured one by one.
var flows = []struct {
	name         string
	renewAvatars bool
	calls        float64 // upstream calls of one sign-in
	signIn       func(l *load, i int) error
}{
	{"returning", false, 4, func(l *load, i int) error { return l.signIn(i % population) }},
	{"returning with a new picture", true, 5, func(l *load, i int) error { return l.signIn(i % population) }},
	{"first", false, 7, func(l *load, i int) error { return l.signIn(firstTimers(0, 0, i)) }},
	{"hosted", false, 4, func(l *load, i int) error { return l.hosted(i % population) }},
}

// hosted is a sign-in of the hosted flow on the web: three requests instead of one.
func (l *load) hosted(n int) error {
	state, err := l.begin()
	if err != nil {
		return err
	}
	return l.finish(n, state)
}

const (
	verifier   = "verifier-of-the-app-verifier-of-the-app-123"
	hostedPath = "/api/auth/tiktok/"
)

// begin starts the hosted flow, and returns the state that TikTok sends back.
func (l *load) begin() (state string, err error) {
	challenge := sha256.Sum256([]byte(verifier))
	location, err := l.redirect("http://" + l.process.addr + hostedPath +
		"start?platform=web&redirect_to=https%3A%2F%2Fapp.example%2Fauth&challenge=" +
		base64.RawURLEncoding.EncodeToString(challenge[:]))
	if err != nil {
		return "", err
	}
	return location.Query().Get("state"), nil
}

// finish comes back from TikTok and redeems the handoff.
func (l *load) finish(n int, state string) error {
	base := "http://" + l.process.addr + hostedPath
	location, err := l.redirect(
		base + "callback?code=" + url.QueryEscape(code(n, int(l.nonce.Add(1)))) + "&state=" + state,
	)
	if err != nil {
		return err
	}
	req, resp := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(req)
	defer fasthttp.ReleaseResponse(resp)
	req.SetRequestURI(base + "redeem")
	req.Header.SetMethod(fasthttp.MethodPost)
	req.Header.SetContentType("application/json")
	req.Header.Set("Origin", "https://app.example")
	req.SetBodyString(`{"handoff":"` + location.Query().Get("tikbridge_handoff") + `","verifier":"` + verifier + `"}`)
	if err := l.client.Do(req, resp); err != nil {
		return err
	}
	return l.check(n, resp)
}

// redirect returns where a GET leads to.
func (l *load) redirect(from string) (*url.URL, error) {
	req, resp := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(req)
	defer fasthttp.ReleaseResponse(resp)
	req.SetRequestURI(from)
	if err := l.client.Do(req, resp); err != nil {
		return nil, err
	}
	if resp.StatusCode() != fasthttp.StatusFound {
		return nil, fmt.Errorf("status %d, %.200s", resp.StatusCode(), resp.Body())
	}
	return url.Parse(string(resp.Header.Peek("Location")))
}

// BenchmarkSignIn signs people in one after another at the built binary. Allocations are those of its
// whole process: those of the HTTP server and of the HTTP client are among them.
func BenchmarkSignIn(b *testing.B) {
	for _, flow := range flows {
		b.Run(flow.name, func(b *testing.B) {
			s := startStandin(b)
			s.renewAvatars.Store(flow.renewAvatars)
			p, _ := start(b, bridge(b), s)
			p.await(b)
			l := newLoad(p, s)
			for i := range 200 { // warm
				if err := flow.signIn(l, i); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportAllocs()
			objects, size := p.allocated(b)
			cpu, calls := p.cpu(b), s.calls.Load()
			n := 0
			for b.Loop() {
				if err := flow.signIn(l, n); err != nil {
					b.Fatal(err)
				}
				n++
			}
			each := float64(n)
			b.ReportMetric(float64((p.cpu(b)-cpu).Microseconds())/each, "cpu-µs/op")
			b.ReportMetric(float64(s.calls.Load()-calls)/each, "calls/op")
			after, sizeAfter := p.allocated(b)
			b.ReportMetric((after-objects)/each, "allocs/op")
			b.ReportMetric((sizeAfter-size)/each, "B/op")
		})
	}
}
