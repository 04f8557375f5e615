//go:build race

package process

// RaceDetector tells whether the race detector watches.
const RaceDetector = true
