package daemon

import (
	"context"
	"errors"
	"fmt"

	"cosmossdk.io/math"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"berth.dev/berth/client"
	"berth.dev/berth/provider/chain"
	markettypes "berth.dev/berth/x/market/types"
)

// Sender carries messages to the chain; see chain.Sender.
type Sender interface {
	Send(ctx context.Context, msgs ...sdk.Msg) (*client.Result, error)
}

// Transactor is a Sender that can also be told what is known about a transaction.
type Transactor interface {
	Sender
	SendWith(ctx context.Context, o chain.Options, msgs ...sdk.Msg) (*client.Result, error)
}

// withdrawBatch is the most leases of one message; the chain takes no more.
const withdrawBatch = 100

// Withdraw takes out what our leases have earned, and returns the sum. Leases that have earned less than a whole unit
// since the last time are left alone. Closed leases need none of this: the chain pays them out when they close.
func Withdraw(ctx context.Context, provider string, r *chain.Reader, send Sender) (sdk.Coins, error) {
	var due []markettypes.LeaseID
	for _, state := range []markettypes.LeaseState{markettypes.LEASE_STATE_ACTIVE, markettypes.LEASE_STATE_SUSPENDED, markettypes.LEASE_STATE_RECLAIMING} {
		leases, err := r.Leases(ctx, state)
		if err != nil {
			return nil, err
		}
		for i := range leases {
			if earned(&leases[i]).IsPositive() {
				due = append(due, leases[i].Lease.Id)
			}
		}
	}
	total := sdk.NewCoins()
	for len(due) > 0 {
		n := min(len(due), withdrawBatch)
		got, err := withdraw(ctx, provider, due[:n], send)
		total = total.Add(got...)
		if err != nil {
			return total, err
		}
		due = due[n:]
	}
	return total, nil
}

// earned is what a withdrawal would pay now, in whole units.
func earned(l *markettypes.QueryLeaseResponse) math.Int {
	if l.Payment.Accrued.IsNil() || l.Payment.Withdrawn.IsNil() {
		return math.ZeroInt()
	}
	return l.Payment.Accrued.TruncateInt().Sub(l.Payment.Withdrawn)
}

func withdraw(ctx context.Context, provider string, ids []markettypes.LeaseID, send Sender) (sdk.Coins, error) {
	res, err := send.Send(ctx, &markettypes.MsgWithdrawLeases{Provider: provider, Ids: ids})
	if err != nil {
		return nil, fmt.Errorf("withdraw the earnings of %d leases: %w", len(ids), err)
	}
	if len(res.Responses) != 1 {
		return nil, fmt.Errorf("withdraw: transaction %s has %d responses, not 1", res.Hash, len(res.Responses))
	}
	var out markettypes.MsgWithdrawLeasesResponse
	if err := out.Unmarshal(res.Responses[0].Value); err != nil {
		return nil, fmt.Errorf("withdraw: decode the results of transaction %s: %w", res.Hash, err)
	}
	total := sdk.NewCoins()
	var errs []error
	for i, r := range out.Results {
		if r.Code != 0 {
			errs = append(errs, fmt.Errorf("withdraw from lease %s: %s/%d", ids[min(i, len(ids)-1)], r.Codespace, r.Code))
			continue
		}
		if !r.Amount.Amount.IsNil() && r.Amount.IsPositive() {
			total = total.Add(r.Amount)
		}
	}
	return total, errors.Join(errs...)
}
