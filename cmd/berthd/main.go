// Command berthd is the node: it validates the chain and serves it, and it is a plain client to everything on it.
package main

import (
	"errors"
	"os"

	servercmd "github.com/cosmos/cosmos-sdk/server/cmd"

	"berth.dev/berth/app"
)

// exitDocument is the exit code for a document that does not compile.
const exitDocument = 2

func main() {
	err := servercmd.Execute(newRootCommand(), app.EnvPrefix, app.DefaultHome())
	switch {
	case err == nil:
	case errors.Is(err, errBadDocument):
		os.Exit(exitDocument)
	default:
		os.Exit(1)
	}
}
