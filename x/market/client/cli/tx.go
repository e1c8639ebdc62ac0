// Package cli holds the market's transaction commands. They are written by hand, as ids are given the way that they
// are printed everywhere else (OWNER/DSEQ/GSEQ/OSEQ/PROVIDER) and prices as decimals.
package cli

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cosmos/cosmos-sdk/client"
	"github.com/cosmos/cosmos-sdk/client/flags"
	"github.com/cosmos/cosmos-sdk/client/tx"
	sdk "github.com/cosmos/cosmos-sdk/types"

	"berth.dev/berth/x/market/types"
)

const (
	flagDeposit    = "deposit"
	flagValidUntil = "valid-until"
	flagReason     = "reason"

	bidIDForm = "OWNER/DSEQ/GSEQ/OSEQ/PROVIDER"
)

// reasons are what a provider may give for ending a lease.
var reasons = map[string]types.CloseReason{
	"unspecified":      types.CLOSE_REASON_UNSPECIFIED,
	"unstable":         types.CLOSE_REASON_UNSTABLE,
	"decommission":     types.CLOSE_REASON_DECOMMISSION,
	"manifest-timeout": types.CLOSE_REASON_MANIFEST_TIMEOUT,
}

// NewTxCmd returns the market's transaction commands.
func NewTxCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   types.ModuleName,
		Short: "Bid on orders, accept bids, end leases, get paid",
		RunE:  client.ValidateCmd,
	}
	cmd.AddCommand(newBidCmd(), newCloseBidsCmd(), newCreateLeaseCmd(), newCloseLeaseCmd(), newWithdrawCmd())
	return cmd
}

// command is a transaction command: build makes the message of a signer and arguments.
func command(cmd *cobra.Command, build func(cmd *cobra.Command, from sdk.AccAddress, args []string) (sdk.Msg, error)) *cobra.Command {
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		clientCtx, err := client.GetClientTxContext(cmd)
		if err != nil {
			return err
		}
		msg, err := build(cmd, clientCtx.GetFromAddress(), args)
		if err != nil {
			return err
		}
		return tx.GenerateOrBroadcastTxCLI(clientCtx, cmd.Flags(), msg)
	}
	flags.AddTxFlagsToCmd(cmd)
	return cmd
}

func newBidCmd() *cobra.Command {
	cmd := command(&cobra.Command{
		Use:   "bid ORDER_ID PRICE [ORDER_ID PRICE]...",
		Short: "Bid on orders, in one transaction with a result for each",
		Long: "Bid a price per block for the whole group of each order. ORDER_ID is OWNER/DSEQ/GSEQ/OSEQ. The deposit is given\n" +
			"back when the bid is lost or closed, or its lease has ended.",
		Example: "berthd tx market bid berth1.../7/1/1 12.5ubrt --deposit 500000ubrt --from provider",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 || len(args)%2 != 0 {
				return fmt.Errorf("give pairs of an order id and a price, not %d arguments", len(args))
			}
			return nil
		},
	}, buildBids)
	cmd.Flags().String(flagDeposit, "", "deposit of each bid; the chain's bid_min_deposits says how much it must be (required)")
	cmd.Flags().Int64(flagValidUntil, 0, "last height at which the bids may become leases; 0 for no end")
	_ = cmd.MarkFlagRequired(flagDeposit)
	return cmd
}

func buildBids(cmd *cobra.Command, from sdk.AccAddress, args []string) (sdk.Msg, error) {
	text, err := cmd.Flags().GetString(flagDeposit)
	if err != nil {
		return nil, err
	}
	deposit, err := sdk.ParseCoinNormalized(text)
	if err != nil {
		return nil, fmt.Errorf("--%s %q: %w", flagDeposit, text, err)
	}
	until, err := cmd.Flags().GetInt64(flagValidUntil)
	if err != nil {
		return nil, err
	}
	msg := &types.MsgCreateBids{Provider: from.String()}
	for pair := range slices.Chunk(args, 2) {
		id, err := types.ParseOrderID(pair[0])
		if err != nil {
			return nil, err
		}
		price, err := sdk.ParseDecCoin(pair[1])
		if err != nil {
			return nil, fmt.Errorf("price %q: %w", pair[1], err)
		}
		msg.Bids = append(msg.Bids, types.BidItem{OrderId: id, Price: price, Deposit: deposit, ValidUntil: until})
	}
	return msg, msg.ValidateBasic()
}

func newCloseBidsCmd() *cobra.Command {
	return command(&cobra.Command{
		Use:     "close-bids ORDER_ID...",
		Short:   "Withdraw open bids of the signer",
		Example: "berthd tx market close-bids berth1.../7/1/1 --from provider",
		Args:    cobra.MinimumNArgs(1),
	}, func(_ *cobra.Command, from sdk.AccAddress, args []string) (sdk.Msg, error) {
		msg := &types.MsgCloseBids{Provider: from.String()}
		for _, arg := range args {
			id, err := types.ParseOrderID(arg)
			if err != nil {
				return nil, err
			}
			msg.OrderIds = append(msg.OrderIds, id)
		}
		return msg, msg.ValidateBasic()
	})
}

func newCreateLeaseCmd() *cobra.Command {
	return command(&cobra.Command{
		Use:     "create-lease BID_ID",
		Short:   "Accept a bid on an order of the signer",
		Long:    "Accept a bid: it becomes a lease, which is paid from this block on, and all other bids on the order are lost.\nBID_ID is " + bidIDForm + ".",
		Example: "berthd tx market create-lease berth1.../7/1/1/berth1... --from tenant",
		Args:    cobra.ExactArgs(1),
	}, func(_ *cobra.Command, _ sdk.AccAddress, args []string) (sdk.Msg, error) {
		id, err := types.ParseBidID(args[0])
		if err != nil {
			return nil, err
		}
		msg := &types.MsgCreateLease{Id: id}
		return msg, msg.ValidateBasic()
	})
}

func newCloseLeaseCmd() *cobra.Command {
	names := slices.Sorted(maps.Keys(reasons))
	cmd := command(&cobra.Command{
		Use:     "close-lease LEASE_ID",
		Short:   "End a lease, as its tenant or its provider",
		Long:    "End a lease: the provider is paid what it has earned, and the order is opened again for other bids.\nLEASE_ID is " + bidIDForm + ".",
		Example: "berthd tx market close-lease berth1.../7/1/1/berth1... --reason decommission --from provider",
		Args:    cobra.ExactArgs(1),
	}, func(cmd *cobra.Command, from sdk.AccAddress, args []string) (sdk.Msg, error) {
		id, err := types.ParseBidID(args[0])
		if err != nil {
			return nil, err
		}
		name, err := cmd.Flags().GetString(flagReason)
		if err != nil {
			return nil, err
		}
		reason, ok := reasons[name]
		if !ok {
			return nil, fmt.Errorf("--%s %q is none of %s", flagReason, name, strings.Join(names, ", "))
		}
		msg := &types.MsgCloseLease{Signer: from.String(), Id: id, Reason: reason}
		return msg, msg.ValidateBasic()
	})
	cmd.Flags().String(flagReason, "unspecified", "a provider's reason: "+strings.Join(names, ", "))
	return cmd
}

func newWithdrawCmd() *cobra.Command {
	return command(&cobra.Command{
		Use:     "withdraw LEASE_ID...",
		Short:   "Get paid what leases of the signer have earned",
		Example: "berthd tx market withdraw berth1.../7/1/1/berth1... --from provider",
		Args:    cobra.MinimumNArgs(1),
	}, func(_ *cobra.Command, from sdk.AccAddress, args []string) (sdk.Msg, error) {
		msg := &types.MsgWithdrawLeases{Provider: from.String()}
		for _, arg := range args {
			id, err := types.ParseBidID(arg)
			if err != nil {
				return nil, err
			}
			msg.Ids = append(msg.Ids, id)
		}
		return msg, msg.ValidateBasic()
	})
}
