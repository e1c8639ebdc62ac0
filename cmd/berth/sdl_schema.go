package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"berth.dev/berth/sdl/schema"
)

func newSDLSchemaCommand() *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:   "schema [VERSION]",
		Short: "Print the JSON Schema of documents, for completion and checks in editors",
		Long: "Print the JSON Schema (draft-07) of documents of a version, or without a version the one that follows what a\n" +
			"document says of itself. With --dir, write all of them into a directory.\n\n" +
			"Editors with the YAML language server (VS Code with the YAML extension, Neovim, Helix, Emacs, ...) use it if\n" +
			"the first line of a document names it, by a path relative to the document or a URL:\n\n" +
			"  # yaml-language-server: $schema=sdl.json\n\n" +
			"or if their settings do, for VS Code in .vscode/settings.json:\n\n" +
			"  {\"yaml.schemas\": {\"./schema/sdl.json\": [\"deploy.yaml\", \"deploy/*.yaml\"]}}\n\n" +
			"A schema finds mistakes of form while one types. What a document means as a whole, such as a name that is not\n" +
			"defined or a total that is too large, only berth sdl validate can tell.",
		Example: "  berth sdl schema > sdl.json\n  berth sdl schema 2.1\n  berth sdl schema --dir schema",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if dir != "" {
				if len(args) > 0 {
					return usageErrorf("--dir writes the schemas of all versions; give no version with it")
				}
				return writeSchemas(cmd, dir)
			}
			return printSchema(cmd, args)
		},
	}
	cmd.Flags().StringVar(&dir, "dir", "", "write the schemas of all versions into this directory, which is made if need be")
	return cmd
}

func printSchema(cmd *cobra.Command, args []string) error {
	version, known := "", []string{}
	if len(args) > 0 {
		version = args[0]
	}
	for _, f := range schema.Files() {
		if f.Version == version {
			_, err := cmd.OutOrStdout().Write(f.Data)
			return err
		}
		if f.Version != "" {
			known = append(known, f.Version)
		}
	}
	return usageErrorf("there is no schema of version %q: give one of %s, or none for all of them", version, strings.Join(known, ", "))
}

func writeSchemas(cmd *cobra.Command, dir string) error {
	format, err := outputFormat(cmd)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make a directory for the schemas: %w", err)
	}
	written := []string{}
	for _, f := range schema.Files() {
		file := filepath.Join(dir, f.Name)
		if err := os.WriteFile(file, f.Data, 0o644); err != nil {
			return fmt.Errorf("write a schema: %w", err)
		}
		written = append(written, file)
	}
	if format != formatText {
		return writeResult(cmd.OutOrStdout(), format, map[string][]string{"files": written}, nil)
	}
	for _, file := range written {
		fmt.Fprintln(cmd.OutOrStdout(), file)
	}
	return nil
}
