// Package cli holds the market's transaction commands. They are written by hand, as ids are given the way that they
// are printed everywhere else (OWNER/DSEQ/GSEQ/OSEQ/PROVIDER) and prices as decimals.
package cli

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

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
	flagReclaim    = "reclaim-window"

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
	cmd.AddCommand(newBidCmd(), newCloseBidsCmd(), newCreateLeaseCmd(), newStartReclaimCmd(), newCloseLeaseCmd(), newWithdrawCmd())
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
	cmd.Flags().Duration(flagReclaim, 0, "notice that is given before a lease is taken back, such as 24h; 0 for none")
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
	window, err := notice(cmd)
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
		msg.Bids = append(msg.Bids, types.BidItem{
			OrderId: id, Price: price, Deposit: deposit, ValidUntil: until, ReclaimWindowSeconds: window,
		})
	}
	return msg, msg.ValidateBasic()
}

// notice reads the reclaim window, in whole seconds.
func notice(cmd *cobra.Command) (uint32, error) {
	d, err := cmd.Flags().GetDuration(flagReclaim)
	if err != nil {
		return 0, err
	}
	if d < 0 || d%time.Second != 0 || d/time.Second > math.MaxUint32 {
		return 0, fmt.Errorf("--%s %s is not a number of whole seconds that the chain can hold", flagReclaim, d)
	}
	return uint32(d / time.Second), nil
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

func newStartReclaimCmd() *cobra.Command {
	cmd := command(&cobra.Command{
		Use:   "start-reclaim LEASE_ID",
		Short: "Announce that a lease of the signer is taken back",
		Long: "Announce that a lease is taken back, where its bid has promised a notice. The lease goes on and is paid until the\n" +
			"notice has run; from then on close-lease ends it.\nLEASE_ID is " + bidIDForm + ".",
		Example: "berthd tx market start-reclaim berth1.../7/1/1/berth1... --reason decommission --from provider",
		Args:    cobra.ExactArgs(1),
	}, func(cmd *cobra.Command, from sdk.AccAddress, args []string) (sdk.Msg, error) {
		id, reason, err := leaseAndReason(cmd, args[0])
		if err != nil {
			return nil, err
		}
		msg := &types.MsgStartReclaim{Provider: from.String(), Id: id, Reason: reason}
		return msg, msg.ValidateBasic()
	})
	addReasonFlag(cmd)
	return cmd
}

func newCloseLeaseCmd() *cobra.Command {
	cmd := command(&cobra.Command{
		Use:     "close-lease LEASE_ID",
		Short:   "End a lease, as its tenant or its provider",
		Long:    "End a lease: the provider is paid what it has earned, and the order is opened again for other bids.\nLEASE_ID is " + bidIDForm + ".",
		Example: "berthd tx market close-lease berth1.../7/1/1/berth1... --reason decommission --from provider",
		Args:    cobra.ExactArgs(1),
	}, func(cmd *cobra.Command, from sdk.AccAddress, args []string) (sdk.Msg, error) {
		id, reason, err := leaseAndReason(cmd, args[0])
		if err != nil {
			return nil, err
		}
		msg := &types.MsgCloseLease{Signer: from.String(), Id: id, Reason: reason}
		return msg, msg.ValidateBasic()
	})
	addReasonFlag(cmd)
	return cmd
}

func addReasonFlag(cmd *cobra.Command) {
	cmd.Flags().String(flagReason, "unspecified", "a provider's reason: "+reasonNames())
}

func reasonNames() string { return strings.Join(slices.Sorted(maps.Keys(reasons)), ", ") }

// leaseAndReason reads the argument and the flag of a command that ends a lease.
func leaseAndReason(cmd *cobra.Command, arg string) (types.LeaseID, types.CloseReason, error) {
	id, err := types.ParseBidID(arg)
	if err != nil {
		return types.LeaseID{}, 0, err
	}
	name, err := cmd.Flags().GetString(flagReason)
	if err != nil {
		return types.LeaseID{}, 0, err
	}
	reason, ok := reasons[name]
	if !ok {
		return types.LeaseID{}, 0, fmt.Errorf("--%s %q is none of %s", flagReason, name, reasonNames())
	}
	return id, reason, nil
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
