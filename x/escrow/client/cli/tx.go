// Package cli holds the escrow module's transaction commands.
package cli

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/cosmos/cosmos-sdk/client"
	"github.com/cosmos/cosmos-sdk/client/flags"
	"github.com/cosmos/cosmos-sdk/client/tx"
	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/cosmos-sdk/x/authz"

	"berth.dev/berth/x/escrow/types"
)

const (
	flagSources = "sources"
	flagExpires = "expires"
)

// NewTxCmd returns the module's transaction commands.
func NewTxCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   types.ModuleName,
		Short: "Pay deposits, and let others deposit your coins",
		RunE:  client.ValidateCmd,
	}
	cmd.AddCommand(newDepositCmd(), newGrantCmd())
	return cmd
}

func newDepositCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "deposit SCOPE XID AMOUNT",
		Short: "Top up an account; anybody may",
		Long: "Top up an account. The deposit is drawn from --sources in their order until it is covered: balance is the\n" +
			"signer's own, grant:ADDRESS that of an account that has granted it (see grant). What is not spent goes back\n" +
			"to whose coins it was.",
		Example: "berthd tx escrow deposit deployment berth1.../7 5000000ubrt --from tenant\n" +
			"berthd tx escrow deposit deployment berth1.../7 5000000ubrt --sources grant:berth1...,balance --from tenant",
		Args: cobra.ExactArgs(3),
		RunE: func(cmd *cobra.Command, args []string) error {
			clientCtx, err := client.GetClientTxContext(cmd)
			if err != nil {
				return err
			}
			list, err := cmd.Flags().GetString(flagSources)
			if err != nil {
				return err
			}
			msg, err := depositMsg(clientCtx.GetFromAddress(), args, list)
			if err != nil {
				return err
			}
			return tx.GenerateOrBroadcastTxCLI(clientCtx, cmd.Flags(), msg)
		},
	}
	cmd.Flags().String(flagSources, "", "where the deposit is drawn from, in this order: balance, grant:ADDRESS (default balance)")
	flags.AddTxFlagsToCmd(cmd)
	return cmd
}

func depositMsg(depositor sdk.AccAddress, args []string, sources string) (*types.MsgDeposit, error) {
	amount, err := sdk.ParseCoinNormalized(args[2])
	if err != nil {
		return nil, fmt.Errorf("amount %q: %w", args[2], err)
	}
	id := types.AccountID{Scope: args[0], Xid: args[1]}
	if err := id.Validate(); err != nil {
		return nil, err
	}
	from, err := types.ParseSources(sources)
	if err != nil {
		return nil, err
	}
	return &types.MsgDeposit{Depositor: depositor.String(), AccountId: id, Amount: amount, Sources: from}, nil
}

func newGrantCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "grant GRANTEE LIMITS",
		Short: "Let another account deposit your coins, up to a limit",
		Long: "Let another account draw deposits from your balance. The limits say how much may be out at a time: what comes\n" +
			"back unspent may be drawn again. A new grant replaces an earlier one; revoke one with\n" +
			"berthd tx authz revoke GRANTEE /berth.escrow.v1.MsgDeposit.",
		Example: "berthd tx escrow grant berth1... 50000000ubrt --expires 720h --from owner",
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			clientCtx, err := client.GetClientTxContext(cmd)
			if err != nil {
				return err
			}
			life, err := cmd.Flags().GetDuration(flagExpires)
			if err != nil {
				return err
			}
			var expires *time.Time
			if life > 0 {
				at := time.Now().Add(life)
				expires = &at
			}
			msg, err := grantMsg(clientCtx.GetFromAddress(), args, expires)
			if err != nil {
				return err
			}
			return tx.GenerateOrBroadcastTxCLI(clientCtx, cmd.Flags(), msg)
		},
	}
	cmd.Flags().Duration(flagExpires, 0, "how long the grant lasts, such as 720h (default until it is revoked)")
	flags.AddTxFlagsToCmd(cmd)
	return cmd
}

func grantMsg(granter sdk.AccAddress, args []string, expires *time.Time) (*authz.MsgGrant, error) {
	grantee, err := sdk.AccAddressFromBech32(args[0])
	if err != nil {
		return nil, fmt.Errorf("grantee %q: %w", args[0], err)
	}
	limits, err := sdk.ParseCoinsNormalized(args[1])
	if err != nil {
		return nil, fmt.Errorf("limits %q: %w", args[1], err)
	}
	authorization := types.NewDepositAuthorization(limits...)
	if err := authorization.ValidateBasic(); err != nil {
		return nil, err
	}
	return authz.NewMsgGrant(granter, grantee, authorization, expires)
}
