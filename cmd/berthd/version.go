package main

import (
	"runtime/debug"

	"github.com/cosmos/cosmos-sdk/version"

	"berth.dev/berth/app"
)

// Release builds set the SDK's version by the linker; others take what the Go tool recorded.
func init() {
	version.Name, version.AppName = "berth", app.Name
	if version.Version != "" {
		return
	}
	version.Version = "unknown"
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		version.Version = info.Main.Version
	}
}
