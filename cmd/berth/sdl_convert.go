package main

import (
	"errors"

	"github.com/spf13/cobra"
)

func newSDLConvertCommand() *cobra.Command {
	return &cobra.Command{Use: "convert FILE", Hidden: true, RunE: func(*cobra.Command, []string) error { return errors.New("being built") }}
}
