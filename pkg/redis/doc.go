// Package redis is the Redis that replicas share: the client, the scripts it runs, and whether the server
// is up. Claims (pkg/once) and rate limits (pkg/limit) sit on it side by side.
//
// Whoever can do without Redis calls it through one [Health]. Then all of them learn from the first failure
// that the server is down, and from the first success that it is back.
package redis
