// Command chainbench measures the chain; see package chainbench.
package main

import (
	"flag"
	"fmt"
	"os"
	"runtime/pprof"
	"strings"

	"berth.dev/berth/testutil/chainbench"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "chainbench:", err)
		os.Exit(1)
	}
}

func run() (err error) {
	var names []string
	for _, w := range chainbench.Workloads {
		names = append(names, w.Name)
	}
	only := flag.String("workload", "", "run only these, separated by commas: "+strings.Join(names, ", "))
	scale := flag.Float64("scale", 1, "multiply the numbers of transactions and records, for a quick look")
	profile := flag.String("cpuprofile", "", "write a CPU profile to this file")
	flag.Parse()
	want := map[string]bool{}
	for name := range strings.SplitSeq(*only, ",") {
		want[name] = true
	}
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
	bench := &chainbench.Bench{Report: chainbench.NewReport(os.Stdout), Scale: *scale}
	ran := 0
	for _, w := range chainbench.Workloads {
		if *only != "" && !want[w.Name] {
			continue
		}
		ran++
		if err := bench.Run(w); err != nil {
			bench.Table()
			return err
		}
	}
	if ran == 0 {
		return fmt.Errorf("no workload %q; there are %s", *only, strings.Join(names, ", "))
	}
	fmt.Printf("\n%s\n", chainbench.Machine())
	if missed := bench.Table(); missed > 0 {
		fmt.Printf("%d targets missed\n", missed)
	}
	return nil
}
