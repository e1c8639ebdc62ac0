package main

import (
	"errors"

	"github.com/spf13/cobra"
)

func newSDLFmtCommand() *cobra.Command {
	return &cobra.Command{Use: "fmt FILE...", Hidden: true, RunE: func(*cobra.Command, []string) error { return errors.New("being built") }}
}
