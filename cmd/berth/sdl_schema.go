package main

import (
	"errors"

	"github.com/spf13/cobra"
)

func newSDLSchemaCommand() *cobra.Command {
	return &cobra.Command{Use: "schema [VERSION]", Hidden: true, RunE: func(*cobra.Command, []string) error { return errors.New("being built") }}
}
