package main

import (
	"github.com/spf13/cobra"
)

// What is run in a companion's instance: with the credentials that stand there, so that none is sent.
var (
	dumpProgram = []string{"/bin/sh", "-c", `PGPASSWORD="$POSTGRES_PASSWORD" exec pg_dump --host=127.0.0.1 --username="$POSTGRES_USER" --no-owner "$POSTGRES_DB"`}
	mailProgram = []string{"/bin/sh", "-c", "exec wget -qO- http://127.0.0.1:8025/api/v1/messages"}
)

// newAddonCommand is for the companions of applications.
func newAddonCommand(connect connector) *cobra.Command {
	cmd := &cobra.Command{
		Use: "addon", Short: "Work with the databases of applications", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(&cobra.Command{
		Use:   "dump [DSEQ] ROLE",
		Short: "Write a database as SQL",
		Long: "Write a PostgreSQL database of an application as SQL to standard output: a copy from one moment, while the application\n" +
			"goes on. The volumes of a lease end with it; this is how data gets out. ROLE is the addon's, such as db.",
		Example: "  berth addon dump db > shop.sql\n  berth exec 123457 db -i -- psql -U app app < shop.sql   # into another deployment",
		Args:    cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runProgram(cmd, connect, args, "", dumpProgram, false, false)
		},
	})
	return cmd
}

// newMailCommand shows what the mail companion has caught.
func newMailCommand(connect connector) *cobra.Command {
	return &cobra.Command{
		Use:   "mail [DSEQ]",
		Short: "Show the mail that an application's mail addon has caught, as JSON",
		Long: "Show the mail that an application has sent, where no server of yours sends it on: who it was for, its subject and the\n" +
			"beginning of its text, as JSON, the newest first.",
		Example: "  berth mail | jq -r '.messages[].Subject'",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runProgram(cmd, connect, append(args[:len(args):len(args)], mailRole), "", mailProgram, false, false)
		},
	}
}
