package doctor

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/tikbridge/tikbridge/pkg/config"
)

// soon is how long before a key expires it is worth a warning.
const soon = 30 * 24 * time.Hour

const keyPage = "Project Settings > API Keys"

// supabaseKeys checks the keys themselves. config.Load already refuses swapped ones and those of another
// project.
func supabaseKeys(_ context.Context, o Options) []Finding {
	c := o.Config.Supabase
	var findings []Finding
	for _, key := range []struct{ name, value, wanted string }{
		{
			"supabase.publishable_key", c.PublishableKey,
			"the publishable key (sb_publishable_...) or the legacy anon key",
		},
		{
			"supabase.secret_key", c.SecretKey.Reveal(),
			"a secret key (sb_secret_...) or the legacy service_role key",
		},
	} {
		claims := config.ReadLegacyKey(key.value)
		expires := time.Unix(claims.Expires, 0)
		set := "Set " + key.name + " to " + key.wanted + ", from " + keyPage + "."
		switch {
		case key.value == "" && c.Provider != "": // sign-ins by id_token need no secret key
		case kindOf(key.value) == "":
			findings = append(findings, warning(key.name+" does not look like a Supabase key.", set))
		case claims.Expires == 0:
		case !expires.After(o.Now()):
			findings = append(findings, problem(fmt.Sprintf("%s expired on %s.", key.name, day(expires)), set))
		case expires.Before(o.Now().Add(soon)):
			findings = append(findings, warning(
				fmt.Sprintf("%s expires on %s.", key.name, day(expires)),
				"Replace it before then, preferably by a new key (sb_...), which does not expire."))
		}
	}
	if ref, name := c.KeyRef(), c.Project(); ref != "" && name != "" && c.Ref() == "" {
		findings = append(findings, warning(
			"The keys belong to the project "+ref+". There is no way to see whether "+name+".supabase.co is the same one.",
			"If people cannot sign in, set supabase.url to https://"+ref+".supabase.co."))
	}
	return orWell(findings, fmt.Sprintf("Each key is in its place (%s, %s).",
		kindOf(c.PublishableKey), cmp.Or(kindOf(c.SecretKey.Reveal()), "no secret key")))
}

func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// kindOf names a key by its form, "" if it has no known one.
func kindOf(key string) string {
	switch {
	case strings.HasPrefix(key, "sb_publishable_"):
		return "publishable"
	case strings.HasPrefix(key, "sb_secret_"):
		return "secret"
	}
	switch role := config.ReadLegacyKey(key).Role; role {
	case "anon", "service_role":
		return "legacy " + role
	}
	return ""
}
