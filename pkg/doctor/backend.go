package doctor

import (
	"context"
	"errors"

	"github.com/tikbridge/tikbridge/pkg/backend"
	"github.com/tikbridge/tikbridge/pkg/signin"
)

// ownBackend asks the app's own backend whether it takes the bridge's messages, and no others.
func ownBackend(ctx context.Context, o Options) []Finding {
	return receiver(ctx, o.Backend, "Your backend", "backend", "sign in as anybody")
}

// webhook asks the same of whoever gets events.
func webhook(ctx context.Context, o Options) []Finding {
	return receiver(ctx, o.Webhook, "The receiver of events", "webhook", "make up events")
}

// receiver judges a receiver of signed messages. Its settings are those of a section of the configuration.
func receiver(ctx context.Context, b Backend, name, section, harm string) []Finding {
	if err := b.Ping(ctx); err != nil {
		return []Finding{backendRefusal(signin.AsError(err), name, section)}
	}
	if err := b.CheckSignature(ctx); errors.Is(err, backend.ErrUnsigned) {
		return []Finding{problem(
			name+" takes messages without a signature, so anybody who finds its address can "+harm+".",
			"Check the signature with a library of Standard Webhooks before anything else, and answer 401 if it does not "+
				"hold.")}
	}
	return []Finding{well(name + " accepts the bridge's signature, and refuses messages without one.")}
}

func backendRefusal(e *signin.Error, name, section string) Finding {
	answered := describe(e)
	address := "Set " + section + ".url to the address of the route that takes the bridge's POST."
	switch e.Cause {
	case signin.CauseBackendUnreachable:
		return problem(name+" cannot be reached: "+answered+".",
			"Check "+section+".url letter by letter, and that this machine can reach it.")
	case signin.CauseBackendSignature:
		return problem(name+" refuses the bridge's signature ("+answered+").",
			"Set "+section+".secret to the secret it checks with. It must check the body as it arrived, byte for byte, and "+
				"both clocks must be right.")
	case signin.CauseBackendNotFound:
		return problem(name+" has no such route ("+answered+").", address)
	case signin.CauseBackendRedirects:
		return problem(name+" redirects ("+answered+"), and redirects are not followed.",
			"Set "+section+".url to the address that it redirects to.")
	}
	return warning(name+" is having trouble ("+answered+").", "Look into its log. It should answer a ping with 204.")
}
