package main

import "github.com/spf13/cobra"

func init() { cobra.EnableCommandSorting = false } // the order of addGroups counts

// addGroups adds all commands, in the order in which help shows them: what a newcomer needs stands first.
func addGroups(root *cobra.Command, connect connector) {
	for _, g := range []struct {
		id, title string
		commands  []*cobra.Command
	}{
		{"documents", "Before anything is sent:", []*cobra.Command{
			newInitCommand(),
			newPlanCommand(connect),
			newSDLValidateCommand(),
			newRenderCommand(),
			newEnvCommand(),
			newSDLCommand(connect),
		}},
		{"deployments", "Deployments:", []*cobra.Command{
			newDeployCommand(connect),
			addTokenFlag(newStatusCommand(connect)),
			newListCommand(connect),
			newDiffCommand(connect),
			newUpdateCommand(connect),
			newRollbackCommand(connect),
			newScaleCommand(connect),
			newPauseCommand(connect),
			newStartCommand(connect),
			newCloseCommand(connect),
		}},
		{"instances", "What runs:", []*cobra.Command{
			addTokenFlag(newLogsCommand(connect)),
			addTokenFlag(newEventsCommand(connect)),
			addTokenFlag(newShellCommand(connect)),
			addTokenFlag(newExecCommand(connect)),
			addTokenFlag(newCopyCommand(connect)),
			addTokenFlag(newPortForwardCommand(connect)),
			addTokenFlag(newRestartCommand(connect)),
			newAddonCommand(connect),
			newMailCommand(connect),
			newTokenCommand(connect),
		}},
		{"market", "Funds and the market:", []*cobra.Command{
			newCostCommand(connect),
			newTopUpCommand(connect),
			newWatchCommand(connect),
			newProvidersCommand(connect),
			newBidsCommand(connect),
		}},
		{"machine", "This machine:", []*cobra.Command{
			newKeysCommand(),
			newConfigCommand(),
			newBackupCommand(),
			newRestoreCommand(),
			newManifestCommand(connect),
			newDevnetCommand(),
			newVersionCommand(),
		}},
	} {
		root.AddGroup(&cobra.Group{ID: g.id, Title: g.title})
		for _, c := range g.commands {
			c.GroupID = g.id
			root.AddCommand(c)
		}
	}
	root.SetHelpCommandGroupID("machine")
	root.SetCompletionCommandGroupID("machine")
}
