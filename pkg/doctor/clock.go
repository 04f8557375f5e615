package doctor

import (
	"context"
	"fmt"
	"net/http"
	"time"
)

// How far a clock may be off. A state is valid for ten minutes and a handoff for one, by the clocks of
// two replicas.
const (
	skewWarning = 10 * time.Second
	skewProblem = 45 * time.Second
)

// clock compares this machine's clock with those of TikTok and Supabase.
func clock(ctx context.Context, o Options) []Finding {
	type source struct{ name, address string }
	sources := []source{{"TikTok", o.Config.TikTok.APIURL + "/"}}
	in, none := "TikTok", "TikTok did not tell the time."
	if withSupabase(o.Config) {
		sources = append(sources, source{"Supabase", o.Config.Supabase.AuthURL + "/health"})
		in, none = "TikTok and Supabase", "Neither TikTok nor Supabase told the time."
	}
	var findings []Finding
	compared := 0
	for _, source := range sources {
		sent := o.Now()
		ans, err := get(ctx, o, source.address, http.Header{})
		if err != nil {
			continue // the checks of both report it
		}
		theirs, err := http.ParseTime(ans.header.Get("Date"))
		if err != nil {
			continue
		}
		compared++
		if f, off := skew(source.name, sent, o.Now(), theirs); off {
			findings = append(findings, f)
		}
	}
	if compared == 0 {
		return []Finding{skipped(none)}
	}
	return orWell(findings, "The clock is in sync with "+in+".")
}

// skew judges a time that was read between sent and received. Date has whole seconds (RFC 9110, section
// 5.6.7).
func skew(name string, sent, received, theirs time.Time) (Finding, bool) {
	var off time.Duration
	direction := "ahead of"
	switch {
	case theirs.Add(time.Second).Before(sent):
		off = sent.Sub(theirs.Add(time.Second))
	case theirs.After(received):
		off, direction = theirs.Sub(received), "behind"
	}
	if off < skewWarning {
		return Finding{}, false
	}
	seen := fmt.Sprintf("The clock of this machine is %s %s %s's.", off.Round(time.Second), direction, name)
	const fix = "Synchronize the clock (NTP, chrony, systemd-timesyncd). Replicas must agree on the time, " +
		"since a handoff is valid for 60 seconds."
	if off >= skewProblem {
		return problem(seen, fix), true
	}
	return warning(seen, fix), true
}
