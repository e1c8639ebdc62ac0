package main

import (
	"os"
)

func init() { subcommands["cat"] = cat }

// cat prints files: what an image or a volume holds.
func cat(args []string) error {
	for _, name := range args {
		data, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		if _, err := os.Stdout.Write(data); err != nil {
			return err
		}
	}
	return nil
}
