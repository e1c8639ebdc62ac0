// Command localkube builds and runs a single-node Kubernetes from Go modules.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"berth.dev/berth/localkube/cluster"
	"berth.dev/berth/localkube/netpol"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if filepath.Base(os.Args[0]) == cluster.PolicyPlugin {
		if err := netpol.Plugin(ctx, os.Getenv, os.Stdin, os.Stdout); err != nil {
			os.Exit(1)
		}
		return
	}
	if err := newRootCommand().ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}
