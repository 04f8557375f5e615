package main_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tikbridge/tikbridge/pkg/supabase/gotruesim"
	"github.com/tikbridge/tikbridge/pkg/telemetry/tracetest"
	"github.com/tikbridge/tikbridge/pkg/tiktok/tiktoksim"
)

// TestTracing follows a first sign-in and a second one through the built binary, from the request to
// TikTok and Supabase and back, at a collector.
func TestTracing(t *testing.T) {
	t.Parallel()
	const redirect, openID = "https://app.example/auth", "-000AbCdEfGhIjKlMnOpQrStUvWxYz012345"
	tt := tiktoksim.New(tiktoksim.Options{ClientKey: "awkey", ClientSecret: canaryClientSecret})
	// Headers that continue a trace are for one's own servers.
	var foreign atomic.Int64
	listen := func(h http.Handler) string {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Traceparent") != "" || r.Header.Get("Baggage") != "" {
				foreign.Add(1)
			}
			h.ServeHTTP(w, r)
		}))
		t.Cleanup(srv.Close)
		return srv.URL
	}
	collector := tracetest.New(t)
	bridge, out, stop := startServe(t, listen(tt),
		"SUPABASE_URL="+listen(gotruesim.New(gotruesim.Options{})),
		"SUPABASE_PUBLISHABLE_KEY="+gotruesim.PublishableKey, "SUPABASE_SECRET_KEY="+gotruesim.SecretKey,
		"OTEL_EXPORTER_OTLP_ENDPOINT="+collector.URL,
	)
	for range 2 {
		if err := signIn(client, bridge, codeFor(t, tt, openID, redirect), redirect); err != nil {
			t.Fatal(err)
		}
	}
	stop() // sends what was not sent yet

	traces := map[string][]tracetest.Span{}
	for _, s := range collector.Spans() {
		traces[s.TraceID] = append(traces[s.TraceID], s)
	}
	var got [][]string
	for _, id := range tracesOfExchanges(t, out.String()) {
		got = append(got, namesBelowRequest(t, traces[id]))
	}
	first := []string{
		"supabase create_user", "supabase generate_link", "supabase generate_link", "supabase get_user",
		"supabase verify",
		"tiktok token", "tiktok user_info",
	}
	// The picture's address is new each time, and is stored when the session was given.
	returning := []string{
		"supabase generate_link", "supabase update_user", "supabase verify", "tiktok token", "tiktok user_info",
	}
	if diff := cmp.Diff([][]string{first, returning}, got); diff != "" {
		t.Errorf("calls in the traces of the two sign-ins (-want +got):\n%s", diff)
	}
	if n := foreign.Load(); n > 0 {
		t.Errorf("%d calls to TikTok and Supabase had trace headers", n)
	}
	wantNone(t, "what the collector got", collector.Text(), hiddenWord, openID, "tiktok.oauth")
	for _, s := range collector.Spans() {
		for _, v := range slices.Concat(slices.Collect(maps.Values(s.Attributes)), []string{s.Name}) {
			if strings.ContainsAny(v, "?&=") {
				t.Errorf("span %s holds what may be a query: %q", s.Name, v)
			}
		}
	}
}

// tracesOfExchanges returns the trace ids in the log lines of exchanges, in order.
func tracesOfExchanges(t *testing.T, log string) (ids []string) {
	t.Helper()
	for line := range strings.Lines(log) {
		var l struct {
			Msg, Step string
			TraceID   string `json:"trace_id"`
		}
		if err := json.Unmarshal([]byte(line), &l); err == nil && l.Msg == "request" && l.Step == "exchange" {
			ids = append(ids, l.TraceID)
		}
	}
	return ids
}

// namesBelowRequest checks that a trace is one request with its calls below it, and returns their
// names in order.
func namesBelowRequest(t *testing.T, spans []tracetest.Span) (names []string) {
	t.Helper()
	var root string
	for _, s := range spans {
		if s.ParentID == "" {
			if root != "" || s.Name != "POST /api/auth/tiktok-callback" || s.Kind != "server" {
				t.Errorf("a trace begins with %s, %s", s.Name, s.Kind)
			}
			root = s.ID
		}
	}
	for _, s := range spans {
		if s.ID == root {
			continue
		}
		if s.ParentID != root {
			t.Errorf("%s is not below the request", s.Name)
		}
		names = append(names, s.Name)
	}
	slices.Sort(names)
	return names
}
