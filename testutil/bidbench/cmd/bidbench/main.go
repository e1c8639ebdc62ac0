// Command bidbench measures the bid engine's decisions; see package bidbench.
package main

import (
	"flag"
	"fmt"
	"os"
	"runtime/pprof"

	"berth.dev/berth/testutil/bidbench"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "bidbench:", err)
		os.Exit(1)
	}
}

func run() error {
	seconds := flag.Float64("seconds", 1, "processor time to spend on each figure")
	seed := flag.Uint64("seed", 1, "of the random clusters and orders")
	profile := flag.String("cpuprofile", "", "write a CPU profile to this file")
	flag.Parse()
	if *profile != "" {
		f, err := os.Create(*profile)
		if err != nil {
			return err
		}
		defer func() { _ = f.Close() }()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	b := &bidbench.Bench{Out: os.Stdout, Seconds: *seconds, Seed: *seed}
	if err := b.Run(); err != nil {
		return err
	}
	if missed := b.Table(); missed > 0 {
		fmt.Printf("%d targets missed\n", missed)
	}
	return nil
}
