//go:build race

package main

func init() { raceDetected = true }
