// Package allow holds what the operator allows: the origins that may call the bridge, the redirect
// URIs that TikTok may be given, the pages a person may be sent back to, and the deeplink schemes that
// open an app. Nothing that a browser sends adds to these lists, and everything is compared byte for
// byte: a spelling that is not the operator's own is another address.
//
// Two entries stand for more than themselves, where the operator writes them so:
//
//	origins        https://*.preview.example   one label in place of the star, such as a preview's
//	redirect URIs  https://a.example/app/*     people come back to /app and below, nowhere else there
//
// Neither is ever a redirect URI for TikTok. What people have tried against lists like these is in
// testdata; each line is a test and the seed of a fuzz target.
package allow
