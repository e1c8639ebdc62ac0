package main

import (
	"errors"

	"github.com/spf13/cobra"
)

func newSDLExplainCommand() *cobra.Command {
	return &cobra.Command{Use: "explain FILE", Hidden: true, RunE: func(*cobra.Command, []string) error { return errors.New("being built") }}
}
