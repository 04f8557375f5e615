// Package static holds the files that tikbridge gives to browsers: the two pages of the documented
// flow (native-callback.html and auth.html), the template of the page that ends a sign-in led by the
// bridge (return.html), the scripts and the stylesheet under sdk/ that they and the apps load, and, for
// `tikbridge dev`, the demo app under demo/ and the OpenAPI document (openapi.yaml).
//
// The two pages hold their configuration in data attributes on the html element, written exactly once
// each, so that the server can render them by plain string replacement:
//
//	data-bridge="" data-schemes="myapp" data-auth-path="/auth" data-next="/"
//
// and name their assets as "/sdk/…", so that a page copied into an app's own public folder can be
// pointed back at the bridge. No file holds an inline script or an inline style.
package static

import "embed"

// Files is the tree below this folder, by the names the pages use: "auth.html", "sdk/pages.js",
// "demo/index.html" and so on.
//
//go:embed *.html openapi.yaml sdk demo
var Files embed.FS
