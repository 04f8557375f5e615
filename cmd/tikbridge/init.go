package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/tikbridge/tikbridge/pkg/config"
	"github.com/tikbridge/tikbridge/pkg/doctor"
	"github.com/tikbridge/tikbridge/pkg/server"
	"github.com/tikbridge/tikbridge/pkg/signin"
)

// setting is one that init asks for.
type setting struct {
	key  string
	flag string
	// fromFile tells whether the flag names a file: everybody on the machine sees what a flag says.
	fromFile bool
	usage    string
	// hint is a line above the prompt; empty if none is needed.
	hint, prompt string
	// hidden answers do not appear on the screen: secrets, and what is beside a secret where people copy it.
	hidden   bool
	optional bool
	set      func(*config.Config, string)
}

// topic is a group of questions that are checked together.
type topic struct {
	title    string
	settings []setting
	// asked is who is asked about the answers; empty if nobody is.
	asked  string
	checks []string
}

var topics = []topic{
	{
		title: "TikTok (developers.tiktok.com > Manage apps > your app)", asked: "TikTok",
		checks: []string{"tiktok_app", "tiktok"},
		settings: []setting{
			{
				key: "tiktok.client_key", flag: "tiktok-client-key", usage: "the TikTok app's client `key`",
				prompt: "Client key: ", set: func(c *config.Config, s string) { c.TikTok.ClientKey = s },
			},
			{
				key: "tiktok.client_secret", flag: "tiktok-client-secret-file", fromFile: true,
				usage:  "`file` with the TikTok app's client secret, - for standard input",
				prompt: "Client secret (hidden): ", hidden: true,
				set: func(c *config.Config, s string) { c.TikTok.ClientSecret = signin.Secret(s) },
			},
		},
	},
	{
		title: "Supabase (supabase.com/dashboard > your project > Project Settings)", asked: "Supabase",
		checks: []string{"supabase_keys", "supabase"},
		settings: []setting{
			{
				key: "supabase.url", flag: "supabase-url", usage: "the Supabase project's `address`",
				prompt: "Data API > Project URL: ", set: func(c *config.Config, s string) { c.Supabase.URL = s },
			},
			{
				key: "supabase.publishable_key", flag: "supabase-publishable-key",
				usage:  "the project's publishable or legacy anon `key`",
				prompt: "API Keys > Publishable key, or legacy anon key (hidden): ", hidden: true,
				set: func(c *config.Config, s string) { c.Supabase.PublishableKey = s },
			},
			{
				key: "supabase.secret_key", flag: "supabase-secret-key-file", fromFile: true,
				usage:  "`file` with the project's secret or legacy service_role key, - for standard input",
				prompt: "API Keys > Secret key, or legacy service_role key (hidden): ", hidden: true,
				set: func(c *config.Config, s string) { c.Supabase.SecretKey = signin.Secret(s) },
			},
		},
	},
	{
		title: "Your app", checks: []string{"redirect_uris", "deeplinks"},
		settings: []setting{
			{
				key: "server.public_url", flag: "public-url", usage: "the `address` at which browsers reach the bridge",
				hint: "Where browsers will reach the bridge, like https://signin.app.example", prompt: "Bridge: ",
				set: func(c *config.Config, s string) { c.Server.PublicURL = s },
			},
			{
				key: "app.origins", flag: "origins", usage: "`addresses` of your app, separated by commas",
				hint: "Where your app's pages are, like https://app.example (several: with commas)", prompt: "App: ",
				set: func(c *config.Config, s string) { c.App.Origins = split(s) },
			},
			{
				key: "app.deeplink_schemes", flag: "deeplink-scheme", usage: "`scheme` that opens your phone app, such as myapp",
				hint: "For a phone app: the scheme that opens it, like myapp (Enter: none)", prompt: "Scheme: ",
				optional: true, set: func(c *config.Config, s string) { c.App.DeeplinkSchemes = split(s) },
			},
		},
	},
}

// split returns the entries of a list.
func split(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ',' || unicode.IsSpace(r) })
}

// initOptions are the flags of tikbridge init, besides those of the questions.
type initOptions struct {
	output              string
	yes, force, offline bool
	// guide is nil if nobody says whether the app was built from Despia's guide.
	guide *bool
}

func initCommand() *cobra.Command {
	var opts initOptions
	var guide bool
	given := map[string]*string{}
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Ask for the few settings that the bridge needs, check them, and write them to a file",
		Long: `Asks for the few settings that the bridge needs, checks each, first its form and
then with TikTok and Supabase, and writes them to a file that only you can read.
Nothing is written before the last setting, and no secret appears on the screen.

A setting is not asked for if it has a flag or a variable, such as
TIKTOK_CLIENT_SECRET. Secrets have no flag, only a file or standard input. In a
script add --yes.`,
		Example: "  tikbridge init\n" +
			"  tikbridge serve --env-file .env",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if cmd.Flags().Changed("guide") {
				opts.guide = &guide
			}
			flags := map[string]string{}
			for key, value := range given {
				flags[key] = *value
			}
			run := initRun{opts: opts, flags: flags, answers: map[string]string{}, out: cmd.ErrOrStderr()}
			ctx, stop := context.WithCancel(cmd.Context())
			defer stop()
			if !opts.yes {
				if run.terminal = openTerminal(ctx, os.Stdin, run.out, stop); run.terminal != nil {
					run.out = run.terminal
				}
			}
			err := run.run(ctx)
			if run.terminal != nil {
				run.terminal.close()
			}
			if err != nil {
				return err
			}
			return run.conclude(cmd.OutOrStdout())
		},
	}
	for _, t := range topics {
		for _, q := range t.settings {
			given[q.key] = cmd.Flags().String(q.flag, "", q.usage)
		}
	}
	cmd.Flags().BoolVar(&guide, "guide", false, "the app was built from Despia's guide; =false: it was not")
	cmd.Flags().StringVarP(&opts.output, "output", "o", ".env", "`file` to write")
	cmd.Flags().BoolVar(&opts.force, "force", false, "replace the file if there is one")
	cmd.Flags().BoolVarP(&opts.yes, "yes", "y", false, "ask nothing; a setting that is missing or refused is an error")
	cmd.Flags().BoolVar(&opts.offline, "offline", false, "check the form of the settings alone, and contact nobody")
	return cmd
}

// initRun is one run of tikbridge init.
type initRun struct {
	opts     initOptions
	flags    map[string]string // by key
	terminal *terminal         // nil if nobody can be asked
	out      io.Writer
	answers  map[string]string // by key
	// replaces tells whether a file that is there is replaced.
	replaces bool
	// unchecked are who could not be asked about the answers, or refused them.
	unchecked []string
}

// run asks, checks and writes.
func (r *initRun) run(ctx context.Context) error {
	if err := r.mayWrite(); err != nil {
		return err
	}
	if err := r.readGiven(); err != nil {
		return err
	}
	if r.terminal != nil {
		r.say("Each value is checked as you enter it. Nothing is written before the end; Ctrl-C stops.")
	}
	for _, t := range topics {
		if err := r.settle(ctx, t); err != nil {
			return err
		}
	}
	if err := r.settleGuide(); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return errStopped
	}
	if _, err := os.Lstat(r.opts.output); err == nil && !r.replaces { // it was made meanwhile
		return errKept(r.opts.output)
	}
	return writePrivate(r.opts.output, r.content())
}

func (r *initRun) say(format string, args ...any) { _, _ = fmt.Fprintf(r.out, format+"\n", args...) }

// mayWrite returns an error if the file is there and must stay.
func (r *initRun) mayWrite() error {
	name := r.opts.output
	info, err := os.Lstat(name)
	switch {
	case err != nil: // most likely there is none; writing will tell
		return nil //nolint:nilerr // see above
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s is no regular file; choose another with --output", name)
	case r.opts.force:
		r.replaces = true
	case r.terminal != nil:
		if r.replaces, err = r.terminal.agree(name + " exists. Replace it?"); err != nil {
			return err
		}
	}
	if !r.replaces {
		return errKept(name)
	}
	return nil
}

func errKept(name string) error {
	return fmt.Errorf("%s exists and was left as it is; replace it with --force, or choose another with --output", name)
}

// readGiven takes answers from flags, and the others from the environment. Without a terminal all others must be
// there.
func (r *initRun) readGiven() error {
	var missing, fromStdin []string
	for _, t := range topics {
		for _, q := range t.settings {
			value, err := r.given(q)
			if err != nil {
				return err
			}
			if q.fromFile && r.flags[q.key] == "-" {
				fromStdin = append(fromStdin, "--"+q.flag)
			}
			switch {
			case value != "":
				r.answers[q.key] = value
			case !q.optional:
				missing = append(missing, fmt.Sprintf("--%s (or %s)", q.flag, written(q.key)))
			}
		}
	}
	if len(fromStdin) > 1 {
		return fmt.Errorf("%s: standard input holds one secret only", strings.Join(fromStdin, " and "))
	}
	if len(missing) > 0 && r.terminal == nil {
		why := "there is no terminal to ask in"
		if r.opts.yes {
			why = "--yes asks nothing"
		}
		return fmt.Errorf("%s, and these are missing:\n  %s", why, strings.Join(missing, "\n  "))
	}
	return nil
}

// given returns what the flag or the environment says; "" if neither does.
func (r *initRun) given(q setting) (string, error) {
	value := r.flags[q.key]
	switch {
	case value == "":
		for _, name := range config.Variables(q.key) {
			if value := strings.TrimSpace(os.Getenv(name)); value != "" {
				return value, nil
			}
		}
		return "", nil
	case !q.fromFile:
		return strings.TrimSpace(value), nil
	case value == "-":
		if r.terminal != nil {
			return "", fmt.Errorf("--%s - reads standard input, which must not be the terminal", q.flag)
		}
		content, err := io.ReadAll(io.LimitReader(os.Stdin, maxSecret))
		return strings.TrimSpace(string(content)), err
	}
	content, err := os.ReadFile(value) //nolint:gosec // the operator names it
	if err != nil {
		return "", fmt.Errorf("--%s: %w", q.flag, err)
	}
	return strings.TrimSpace(string(content)), nil
}

// maxSecret bounds what is read from standard input; no key is longer.
const maxSecret = 1 << 16

// written is the variable by which the file sets a key: the name that others use too, if there is one.
func written(key string) string {
	names := config.Variables(key)
	return names[min(1, len(names)-1)]
}

// config returns the configuration that the answers make, with everything that is wrong with it.
func (r *initRun) config() (config.Config, config.Problems) {
	return config.Inspect("", func(c *config.Config) {
		for _, t := range topics {
			for _, q := range t.settings {
				if value, ok := r.answers[q.key]; ok {
					q.set(c, value)
				}
			}
		}
	})
}

// settle asks the questions of a topic until the answers are good, or the person wants them all the same.
func (r *initRun) settle(ctx context.Context, t topic) error {
	r.say("\n%s", t.title)
	for _, q := range t.settings {
		if err := r.settleOne(q, false); err != nil {
			return err
		}
	}
	for {
		if r.check(ctx, t) {
			return nil
		}
		if ctx.Err() != nil {
			return errStopped
		}
		if r.terminal == nil {
			return errors.New("some settings are refused (see above). Correct them; --offline writes them unchecked")
		}
		anyway, err := r.terminal.agree("  Use these values all the same?")
		if err != nil {
			return err
		}
		if anyway {
			if t.asked != "" {
				r.unchecked = append(r.unchecked, t.asked)
			}
			return nil
		}
		for _, q := range t.settings {
			if err := r.settleOne(q, true); err != nil {
				return err
			}
		}
	}
}

// settleOne asks a question until the answer has the right form. What was given is not asked for, unless again
// says so.
func (r *initRun) settleOne(q setting, again bool) error {
	if r.answers[q.key] != "" && !again {
		r.say("  %s: given", q.key)
		if r.isGood(q) {
			return nil
		}
		if r.terminal == nil {
			return errors.New("a setting cannot be used (see above)")
		}
	}
	if r.terminal == nil {
		return nil // optional
	}
	if q.hint != "" {
		r.say("  %s", q.hint)
	}
	for {
		prompt, before := "  "+q.prompt, r.answers[q.key]
		if again && before != "" {
			prompt = "  Enter keeps it. " + q.prompt
		}
		answer, err := r.terminal.ask(prompt, q.hidden)
		if err != nil {
			return err
		}
		switch {
		case answer == "" && again && before != "":
			return nil
		case answer == "" && q.optional:
			delete(r.answers, q.key)
			return nil
		}
		r.answers[q.key] = answer
		if r.isGood(q) {
			return nil
		}
	}
}

// plain matches values that mean the same to shells, Docker, Compose and --env-file, without quotes.
var plain = regexp.MustCompile(`^[A-Za-z0-9_.:/,=+@%*\[\]-]+$`)

// isGood tells whether the answer to a question has the right form, and says what is wrong with it if not.
func (r *initRun) isGood(q setting) bool {
	if r.answers[q.key] == "" {
		r.say("    This one is needed.")
		return false
	}
	_, problems := r.config()
	for _, p := range problems {
		if p.Key == q.key {
			r.say("    It %s. %s", p.What, p.Fix)
			return false
		}
	}
	value := strings.Join(split(r.answers[q.key]), ",")
	if !plain.MatchString(value) {
		r.say("    It has a character that a file of variables does not keep. Copy it again, or set %s elsewhere.",
			written(q.key))
		return false
	}
	r.answers[q.key] = value
	return true
}

// check tells whether all checks of a topic let people sign in, and says what they find.
func (r *initRun) check(ctx context.Context, t topic) bool {
	switch {
	case t.asked == "":
	case r.opts.offline:
		r.unchecked = append(r.unchecked, t.asked)
		r.say("  Not checked with %s (--offline).", t.asked)
		return true
	default:
		r.say("  Asking %s ...", t.asked)
	}
	cfg, problems := r.config()
	examined, closeIdle := newExamination(cfg, problems)
	defer closeIdle()
	examined.Skip = slices.DeleteFunc(doctor.Checks(), func(name string) bool {
		return slices.Contains(t.checks, name)
	})
	report := doctor.Examine(ctx, examined)
	if ctx.Err() != nil {
		return false
	}
	report.Findings = slices.DeleteFunc(report.Findings, func(f doctor.Finding) bool {
		return !slices.Contains(t.checks, f.Check) || t.asked == "" && f.Status == doctor.OK
	})
	for line := range strings.Lines(doctor.Text(report.Findings)) {
		_, _ = fmt.Fprint(r.out, "  "+line)
	}
	return report.Count(doctor.Problem) == 0
}

// settleGuide asks whether there may be accounts and pages of Despia's guide. If not, the safer settings hold.
func (r *initRun) settleGuide() error {
	if r.opts.guide != nil || r.terminal == nil {
		return nil
	}
	guide, err := r.terminal.agree("  Was the app built from Despia's TikTok guide?")
	r.opts.guide = &guide
	return err
}

// content is what the file says.
func (r *initRun) content() string {
	var b strings.Builder
	b.WriteString("# Settings of tikbridge. They hold secrets: keep this file to yourself.\n")
	for _, t := range topics {
		for _, q := range t.settings {
			if value := r.answers[q.key]; value != "" {
				fmt.Fprintf(&b, "%s=%s\n", written(q.key), value)
			}
		}
	}
	if r.isOwnApp() {
		b.WriteString("TIKBRIDGE_SECURITY_GUIDE_FLOW=false\nTIKBRIDGE_SUPABASE_ADOPT=evict\n")
	}
	return b.String()
}

// isOwnApp tells whether somebody said that the app was not built from Despia's guide.
func (r *initRun) isOwnApp() bool { return r.opts.guide != nil && !*r.opts.guide }

// writePrivate writes a file that only its owner can read, whole or not at all.
func writePrivate(name, content string) error {
	temporary, err := os.CreateTemp(filepath.Dir(name), ".tikbridge-*") // with mode 0600
	if err != nil {
		return err
	}
	_, err = io.WriteString(temporary, content)
	if err = errors.Join(err, temporary.Close()); err == nil {
		err = os.Rename(temporary.Name(), name)
	}
	if err != nil {
		_ = os.Remove(temporary.Name())
	}
	return err
}

// conclude says what to do next.
func (r *initRun) conclude(out io.Writer) error {
	cfg, _ := r.config()
	var b strings.Builder
	fmt.Fprintf(&b, "\nWrote %s, which only you can read. Keep it out of version control.\n", r.opts.output)
	if len(r.unchecked) > 0 {
		fmt.Fprintf(&b, "Not checked: %s. Run the doctor below before people sign in.\n", strings.Join(r.unchecked, ", "))
	}
	fmt.Fprintf(&b, "\nRegister this redirect URI with TikTok (Login Kit > Web), character by character:\n  %s\n",
		server.CallbackURL(cfg.Server.PublicURL))
	if !r.isOwnApp() {
		b.WriteString("and, if the app was built from Despia's guide, those of these pages that it has:\n")
		for _, uri := range cfg.App.RedirectURIs {
			if !strings.HasPrefix(uri, cfg.Server.PublicURL+"/") && !strings.HasSuffix(uri, "/*") {
				fmt.Fprintf(&b, "  %s\n", uri)
			}
		}
	}
	fmt.Fprintf(&b, "\nStart the bridge, then see whether all is well:\n  tikbridge serve --env-file %[1]s\n"+
		"  tikbridge doctor --env-file %[1]s\n", r.opts.output)
	_, err := io.WriteString(out, b.String())
	return err
}
