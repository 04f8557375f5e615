package signin

import (
	"fmt"
	"log/slog"
)

const redacted = "[redacted]"

// Secret is a string that never shows itself: printed, logged or encoded it is "[redacted]". Only Reveal
// returns its value, so that every use can be found.
type Secret string

// Reveal returns the value.
func (s Secret) Reveal() string { return string(s) }

// String implements fmt.Stringer.
func (Secret) String() string { return redacted }

// Format implements fmt.Formatter, which covers every verb, %x and %#v among them.
func (Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// LogValue implements slog.LogValuer.
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText implements encoding.TextMarshaler, which JSON and YAML encoders use.
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// MarshalJSON implements json.Marshaler.
func (Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// Redacted hides the struct that embeds it: printed, logged or encoded as JSON the struct is "[redacted]".
// Every struct that holds a code, a token, a handoff or a verifier embeds it. It does not work through an
// unexported field of another struct, since fmt calls no methods there.
type Redacted struct{}

// Format implements fmt.Formatter.
func (Redacted) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// LogValue implements slog.LogValuer.
func (Redacted) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalJSON implements json.Marshaler: JSON handlers of slog encode what is inside a list or a struct.
func (Redacted) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }
