// Package static holds the files that tikbridge gives to browsers:
//
//   - pages: the pages that people see, with their scripts and their stylesheet. native-callback.html and
//     auth.html are those of the guide flow, provider-return.html is that of the provider flow.
//   - sdk: what apps load. tikbridge.js and tikbridge.global.js are built from the modules in sdk/src.
//   - demo: the demo app of `tikbridge dev`.
//   - openapi.yaml: the API document of `tikbridge dev`.
//
// These three hold their configuration in data attributes on the html element, written exactly once
// each, so that the server can render them by plain string replacement:
//
//	data-bridge="" data-schemes="myapp" data-auth-path="/auth" data-next="/"
//
// and name their assets as "/sdk/…", which is where the bridge serves them, so that a page copied
// into an app's own public folder can be pointed back at the bridge. No file holds an inline script
// or an inline style.
package static

import "embed"

//go:generate go run -C sdk ./build

// Files is the tree below this folder: "pages/auth.html", "sdk/tikbridge.js", "demo/index.html" and so on.
//
//go:embed pages sdk/*.js sdk/*.ts demo openapi.yaml
var Files embed.FS
