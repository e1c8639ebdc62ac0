// Command probe is the workload of the end-to-end tests: what a test needs inside a pod, in one image that holds nothing
// else. Each file holds the subcommands of one subject.
//
//	probe SUBCOMMAND [ARGUMENT...]
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// subcommands are what the files of this directory add, by name. A subcommand returns an error to end with code 1, or
// ends the process itself with another.
var subcommands = map[string]func(args []string) error{}

func main() {
	if filepath.Base(os.Args[0]) == "tar" { // as which it stands in an image too
		os.Args = append([]string{"probe", "tar"}, os.Args[1:]...)
	}
	if len(os.Args) < 2 || subcommands[os.Args[1]] == nil {
		names := make([]string, 0, len(subcommands))
		for name := range subcommands {
			names = append(names, name)
		}
		slices.Sort(names)
		fmt.Fprintf(os.Stderr, "probe: want one of %s, then its arguments\n", strings.Join(names, ", "))
		os.Exit(2)
	}
	if err := subcommands[os.Args[1]](os.Args[2:]); err != nil {
		fmt.Fprintf(os.Stderr, "probe %s: %v\n", os.Args[1], err)
		os.Exit(1)
	}
}
