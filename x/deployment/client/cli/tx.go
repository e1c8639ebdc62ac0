// Package cli holds the deployment module's transaction commands. Those that take a document are added by the program,
// as this module knows nothing of documents.
package cli

import (
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/cosmos/cosmos-sdk/client"
	"github.com/cosmos/cosmos-sdk/client/flags"
	"github.com/cosmos/cosmos-sdk/client/tx"

	"berth.dev/berth/x/deployment/types"
)

// NewTxCmd returns the module's transaction commands.
func NewTxCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   types.ModuleName,
		Short: "Open, update and close deployments",
		RunE:  client.ValidateCmd,
	}
	cmd.AddCommand(newCloseCmd(), newPauseGroupCmd(), newStartGroupCmd(), newCloseGroupCmd())
	return cmd
}

func newCloseCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "close DSEQ",
		Short:   "Close a deployment of the signer",
		Long:    "Close a deployment of the signer with its leases and bids. Providers are paid what they have earned, and the\nrest of the deposit comes back.",
		Example: "berthd tx deployment close 7 --from tenant",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			clientCtx, err := client.GetClientTxContext(cmd)
			if err != nil {
				return err
			}
			dseq, err := parseDseq(args[0])
			if err != nil {
				return err
			}
			msg := &types.MsgCloseDeployment{Id: types.DeploymentID{Owner: clientCtx.GetFromAddress().String(), Dseq: dseq}}
			if err := msg.ValidateBasic(); err != nil {
				return err
			}
			return tx.GenerateOrBroadcastTxCLI(clientCtx, cmd.Flags(), msg)
		},
	}
	flags.AddTxFlagsToCmd(cmd)
	return cmd
}

func parseDseq(s string) (uint64, error) {
	dseq, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("dseq %q is not a whole number", s)
	}
	return dseq, nil
}
