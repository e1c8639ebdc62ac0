package main

import "github.com/spf13/cobra"

// newSDLCommand holds the tools for documents; each stands in a file of its own.
func newSDLCommand(connect connector) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "sdl",
		Short: "Tools for documents",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newSDLValidateCommand(), newPlanCommand(connect), newSDLExplainCommand(), newSDLFmtCommand(), newSDLConvertCommand(),
		newSDLSchemaCommand())
	return cmd
}
