package server

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/tikbridge/tikbridge/static"
)

// Demo is the demo app of tikbridge dev.
type Demo struct {
	// Config is what the demo's script reads: public addresses and public keys.
	Config DemoConfig
	// Connect are the origins its script talks to, for the content security policy.
	Connect []string
}

// DemoConfig is served to the demo's script at /demo/config.json.
type DemoConfig struct {
	AuthorizeURL    string `json:"authorize_url"`
	TikTokAPIURL    string `json:"tiktok_api_url"`
	ClientKey       string `json:"client_key"`
	Scopes          string `json:"scopes"`
	SupabaseAuthURL string `json:"supabase_auth_url"`
	SupabaseKey     string `json:"supabase_key"`
	// Provider is TikTok's name among the providers of that Supabase; empty if it is none.
	Provider  string   `json:"provider"`
	Schemes   []string `json:"schemes"`
	Simulated bool     `json:"simulated"`
}

func (p *pages) demo(c echo.Context) error {
	content, err := static.Files.ReadFile("demo/index.html")
	if err != nil {
		return err
	}
	c.Response().Header().Set("Content-Security-Policy",
		contentPolicy([]string{"'self'"}, p.opts.Demo.Connect, []string{"https:", "http:"}))
	return c.HTMLBlob(http.StatusOK, content)
}
