// Package bench measures the built binary: time, CPU, memory and allocations per sign-in, beside a
// plain client that makes the five calls of Despia's guide one after another. It is all test files;
// `make bench` runs it, and docs/performance.md has what came of it.
//
// The simulators are strict, which costs time, so a lean stand-in for TikTok and GoTrue answers here:
// in memory, with answers of the size of real ones.
package bench
