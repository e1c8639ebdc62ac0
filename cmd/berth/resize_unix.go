//go:build unix

package main

import (
	"os"
	"os/signal"
	"syscall"

	"berth.dev/berth/provider/cluster"
)

// watchSize tells the size of a terminal at the start and whenever it changes, until stop is called.
func watchSize(fd int) (sizes <-chan cluster.TerminalSize, stop func()) {
	out := make(chan cluster.TerminalSize, 1)
	changed := make(chan os.Signal, 1)
	signal.Notify(changed, syscall.SIGWINCH)
	done := make(chan struct{})
	if size, ok := sizeOf(fd); ok {
		newestSize(out, size)
	}
	go func() {
		for {
			select {
			case <-done:
				return
			case <-changed:
				if size, ok := sizeOf(fd); ok {
					newestSize(out, size)
				}
			}
		}
	}()
	return out, func() {
		signal.Stop(changed)
		close(done)
	}
}
