// Command tikbridge signs people in with TikTok to apps on Supabase.
package main

import (
	"context"
	"fmt"
	"os"
)

func main() {
	ctx, cancel := untilSignal(context.Background())
	defer cancel()
	if err := newCommand().ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "tikbridge:", err)
		os.Exit(exitCode(err))
	}
}
