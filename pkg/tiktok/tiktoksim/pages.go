package tiktoksim

import (
	"net/url"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"
)

// document is what the simulator's pages have in common: nobody shall take one for TikTok's own.
func document(title string, main g.Node) g.Node {
	return h.Doctype(h.HTML(h.Lang("en"),
		h.Head(
			h.Meta(h.Charset("utf-8")),
			h.Meta(h.Name("viewport"), h.Content("width=device-width, initial-scale=1")),
			h.Meta(h.Name("color-scheme"), h.Content("light dark")),
			h.Meta(h.Name("robots"), h.Content("noindex")),
			h.TitleEl(g.Text(title+" – TikTok simulator")),
			h.Link(h.Rel("icon"), h.Type("image/svg+xml"), h.Href("/sim/logo.svg")),
			h.Link(h.Rel("stylesheet"), h.Href("/sim/style.css")),
		),
		h.Body(
			h.Header(h.Class("banner"), h.Strong(g.Text("TikTok simulator")), g.Text(" — no real account")),
			main,
			h.Footer(h.Class("quiet"), g.Text("Nothing here reaches TikTok. "),
				h.A(h.Href("/sim/"), g.Text("What this simulator can do"))),
		),
	))
}

func logo() g.Node {
	return h.Img(h.Class("logo"), h.Src("/sim/logo.svg"), h.Alt(""), h.Width("44"), h.Height("44"))
}

// page is the consent page.
func (v consentView) page() g.Node {
	return document("Continue to "+v.App, h.Main(h.Class("card"),
		h.Header(h.Class("intro"),
			logo(),
			h.Div(
				h.H1(g.Text("Continue to "), bdi(g.Text(v.App))),
				h.P(h.Class("quiet"), g.Text("App "), h.Code(g.Text(v.Client)), g.Text(" wants to know who you are.")),
			),
		),
		h.Form(h.Class("columns"), h.Method("get"), h.Action("/sim/consent"), h.AutoComplete("off"),
			g.Map(v.Hidden, func(f hiddenField) g.Node {
				return h.Input(h.Type("hidden"), h.Name(f.Name), h.Value(f.Value))
			}),
			h.FieldSet(h.Class("accounts"),
				h.Legend(g.Text("Choose an account")),
				g.If(v.Problem != "", h.P(h.Class("problem"), h.ID("problem"), h.Role("alert"), g.Text(v.Problem))),
				g.Map(v.Accounts, accountView.choice),
				v.Other.choice(v.Problem != ""),
			),
			h.Div(h.Class("side"),
				h.FieldSet(h.Class("scopes"),
					h.Legend(g.Text("The app would like to")),
					g.Map(v.Scopes, scopeView.choice),
				),
				h.P(h.Class("quiet return"), g.Text("You will return to "), h.Code(g.Text(v.Redirect))),
				h.Div(h.Class("actions"),
					h.Button(h.Class("primary"), h.Name("decision"), h.Value("continue"), g.Text("Continue")),
					h.Button(h.Class("plain"), h.Name("decision"), h.Value("cancel"), h.FormNoValidate(), g.Text("Cancel")),
				),
			),
		),
	))
}

func (a accountView) choice() g.Node {
	return h.Label(h.Class("account"), h.Title(a.OpenID),
		accountButton(a.Slug, a.Checked),
		a.avatar(),
		h.Span(h.Class("who"),
			a.name(),
			h.Span(h.Class("quiet"), g.Text(a.About)),
		),
	)
}

func (a accountView) avatar() g.Node {
	if !isPicture(a.AvatarURL) {
		return blankAvatar("?")
	}
	return h.Img(h.Class("avatar"), h.Src(a.AvatarURL), h.Alt(""), h.Width("44"), h.Height("44"))
}

// isPicture tells whether an address can be a picture's: escaping does not keep one from being a
// script.
func isPicture(address string) bool {
	u, err := url.Parse(address)
	return err == nil && address != "" && (u.Scheme == "" || u.Scheme == "http" || u.Scheme == "https")
}

func (a accountView) name() g.Node {
	if a.DisplayName == "" {
		return h.Em(h.Class("name"), g.Text("no display name"))
	}
	return bdi(h.Class("name"), g.Text(a.DisplayName))
}

// choice is the account that a developer makes up; after a problem its name points at it.
func (o otherView) choice(problem bool) g.Node {
	return h.Div(h.Class("other"),
		h.Label(h.Class("account"),
			accountButton(otherAccount, o.Checked),
			blankAvatar("+"),
			h.Span(h.Class("who"),
				h.Span(h.Class("name"), g.Text("Use another account")),
				h.Span(h.Class("quiet"), g.Text("Any name, any open_id")),
			),
		),
		h.Div(h.Class("typed"),
			h.Label(g.Text("Display name "),
				h.Input(h.Type("text"), h.Name("display_name"), h.Value(o.DisplayName), h.MaxLength("256"),
					h.Dir("auto"), g.If(problem, h.Aria("describedby", "problem"))),
			),
			h.Label(g.Text("open_id "),
				h.Input(h.Type("text"), h.Name("open_id"), h.Value(o.OpenID), h.MaxLength("256"),
					g.Attr("spellcheck", "false"), g.Attr("autocapitalize", "off"), g.Attr("autocorrect", "off"),
					h.Placeholder("made from the name if empty")),
			),
		),
	)
}

func (s scopeView) choice() g.Node {
	allow := h.Span(h.Class("required"), g.Text("Required"))
	if !s.Required {
		allow = h.Input(h.Class("switch"), h.Type("checkbox"), h.Role("switch"), h.Name("grant"), h.Value(s.Name),
			g.If(s.Checked, h.Checked()))
	}
	return h.Label(h.Class("scope"), h.Span(g.Text(s.Label+" "), h.Code(g.Text(s.Name))), allow)
}

func accountButton(value string, checked bool) g.Node {
	return h.Input(h.Type("radio"), h.Name("account"), h.Value(value), g.If(checked, h.Checked()), h.Required())
}

func blankAvatar(sign string) g.Node {
	return h.Span(h.Class("avatar blank"), h.Aria("hidden", "true"), g.Text(sign))
}

// bdi keeps a text that is written from right to left from turning what is around it.
func bdi(children ...g.Node) g.Node { return g.El("bdi", children...) }

// page is the error page.
func (b badRequest) page(logID string) g.Node {
	fact := func(name, value string) g.Node {
		return h.Div(h.Dt(g.Text(name)), h.Dd(h.Code(g.Text(value))))
	}
	return document("Something went wrong", h.Main(h.Class("card narrow"),
		logo(),
		h.H1(g.Text("Something went wrong")),
		h.P(g.Text("The sign-in cannot start, because the app's request is not in order. Its developer should "+
			"correct this parameter and try again:")),
		h.Ul(h.Class("fields"), h.Li(h.Code(g.Text(b.Field)))),
		h.Div(h.Class("hint"),
			h.H2(g.Text("A hint that the real TikTok does not give")),
			h.P(g.Text(b.Hint)),
		),
		h.Dl(h.Class("quiet facts"), fact("Error", b.Code), fact("Log ID", logID)),
	))
}
