package cli

import (
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/cosmos/cosmos-sdk/client"
	"github.com/cosmos/cosmos-sdk/client/flags"
	"github.com/cosmos/cosmos-sdk/client/tx"
	sdk "github.com/cosmos/cosmos-sdk/types"

	"berth.dev/berth/x/deployment/types"
)

// groupMsg is a message about one group.
type groupMsg interface {
	sdk.Msg
	sdk.HasValidateBasic
}

func newPauseGroupCmd() *cobra.Command {
	return newGroupCmd("pause-group", "Pause a group of a deployment of the signer",
		"Pause a group of a deployment of the signer: its lease and order end, and it waits until start-group.",
		func(id types.GroupID) groupMsg { return &types.MsgPauseGroup{Id: id} })
}

func newStartGroupCmd() *cobra.Command {
	return newGroupCmd("start-group", "Ask for bids on a paused group again",
		"Ask for bids on a paused group again: it gets a new order.",
		func(id types.GroupID) groupMsg { return &types.MsgStartGroup{Id: id} })
}

func newCloseGroupCmd() *cobra.Command {
	return newGroupCmd("close-group", "Close a group of a deployment of the signer",
		"Close a group of a deployment of the signer for good, with its lease and order. The deposit comes back when the\ndeployment is closed.",
		func(id types.GroupID) groupMsg { return &types.MsgCloseGroup{Id: id} })
}

// newGroupCmd returns a command that sends a message about the group DSEQ GSEQ of the signer.
func newGroupCmd(name, short, long string, message func(types.GroupID) groupMsg) *cobra.Command {
	cmd := &cobra.Command{
		Use:     name + " DSEQ GSEQ",
		Short:   short,
		Long:    long,
		Example: "berthd tx deployment " + name + " 7 1 --from tenant",
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			clientCtx, err := client.GetClientTxContext(cmd)
			if err != nil {
				return err
			}
			dseq, err := parseDseq(args[0])
			if err != nil {
				return err
			}
			gseq, err := strconv.ParseUint(args[1], 10, 32)
			if err != nil {
				return fmt.Errorf("gseq %q is not the number of a group", args[1])
			}
			msg := message(types.GroupID{Owner: clientCtx.GetFromAddress().String(), Dseq: dseq, Gseq: uint32(gseq)})
			if err := msg.ValidateBasic(); err != nil {
				return err
			}
			return tx.GenerateOrBroadcastTxCLI(clientCtx, cmd.Flags(), msg)
		},
	}
	flags.AddTxFlagsToCmd(cmd)
	return cmd
}
