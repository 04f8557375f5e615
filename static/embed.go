// Package static holds the files that tikbridge gives to browsers:
//
//   - pages: the pages that people see, with their scripts and their stylesheet. native-callback.html and
//     auth.html are those of the guide flow, provider-return.html is that of the provider flow, and
//     return.html is that of the hosted flow.
//   - sdk: what apps load. tikbridge.js and tikbridge.global.js are built from the modules in sdk/src.
//   - demo: the demo app of `tikbridge dev`.
//   - openapi.yaml: the API document of `tikbridge dev`.
//
// The pages are templates of pkg/server. All that people read in them is in pages/texts, one file for each
// language. They hold their configuration in data attributes, and load scripts and styles from the bridge by
// absolute addresses, so that a page as it is served can be copied into an app's own public folder. No file
// holds an inline script or an inline style.
package static

import "embed"

//go:generate go run -C sdk ./build

// Files is the tree below this folder: "pages/auth.html", "sdk/tikbridge.js", "demo/index.html" and so on.
//
//go:embed pages sdk/*.js sdk/*.ts demo openapi.yaml
var Files embed.FS
