package main

import (
	"fmt"
	"os"
	"strconv"
)

func init() { subcommands["crash"] = crash }

// crash writes a number of lines, "line 1" and so on, and ends with a code: `crash LINES CODE`.
func crash(args []string) error {
	if len(args) != 2 {
		return fmt.Errorf("want the number of lines and the exit code, got %q", args)
	}
	lines, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	code, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	for i := range lines {
		fmt.Printf("line %d\n", i+1)
	}
	os.Exit(code)
	return nil
}
