//go:build !unix

package main

import "berth.dev/berth/provider/cluster"

// watchSize tells the size of a terminal at the start; here nothing tells when it changes.
func watchSize(fd int) (sizes <-chan cluster.TerminalSize, stop func()) {
	out := make(chan cluster.TerminalSize, 1)
	if size, ok := sizeOf(fd); ok {
		newestSize(out, size)
	}
	return out, func() {}
}
