package keeper

import (
	"reflect"
	"testing"

	"github.com/cosmos/gogoproto/proto"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"cosmossdk.io/math"

	sdk "github.com/cosmos/cosmos-sdk/types"

	abci "github.com/cometbft/cometbft/abci/types"

	"berth.dev/berth/x/market/types"
)

// TestBidEventsAreTheSDKs: what is written by hand is what the SDK would write, and is read by it.
func TestBidEventsAreTheSDKs(t *testing.T) {
	address := rapid.Custom(func(t *rapid.T) string {
		return sdk.AccAddress(rapid.SliceOfN(rapid.Byte(), 20, 32).Draw(t, "address")).String()
	})
	amount := rapid.Custom(func(t *rapid.T) math.Int {
		return math.NewIntFromUint64(rapid.Uint64().Draw(t, "high")).Mul(math.NewIntFromUint64(rapid.Uint64().Draw(t, "low")))
	})
	denom := rapid.StringMatching(`[a-zA-Z][a-zA-Z0-9/:._-]{2,20}`)
	rapid.Check(t, func(t *rapid.T) {
		b := types.Bid{
			Id: types.BidID{
				Owner: address.Draw(t, "owner"), Dseq: rapid.Uint64().Draw(t, "dseq"), Gseq: rapid.Uint32().Draw(t, "gseq"),
				Oseq: rapid.Uint32().Draw(t, "oseq"), Provider: address.Draw(t, "provider"),
			},
			State:      types.BidState(rapid.IntRange(0, 4).Draw(t, "state")),
			Price:      sdk.DecCoin{Denom: denom.Draw(t, "denom"), Amount: math.LegacyNewDecFromIntWithPrec(amount.Draw(t, "price"), 18)},
			Deposit:    sdk.Coin{Denom: denom.Draw(t, "deposit's denom"), Amount: amount.Draw(t, "deposit")},
			ValidUntil: rapid.Int64().Draw(t, "until"), CreatedAt: rapid.Int64().Draw(t, "created"), ClosedAt: rapid.Int64().Draw(t, "closed"),
			Reason:               types.CloseReason(rapid.IntRange(0, 5).Draw(t, "reason")),
			ReclaimWindowSeconds: rapid.Uint32().Draw(t, "window"),
		}
		for name, ev := range map[string]proto.Message{
			bidCreated: &types.EventBidCreated{Owner: b.Id.Owner, Dseq: b.Id.Dseq, Provider: b.Id.Provider, Bid: b},
			bidClosed:  &types.EventBidClosed{Owner: b.Id.Owner, Dseq: b.Id.Dseq, Provider: b.Id.Provider, Bid: b},
		} {
			want, err := sdk.TypedEventToEvent(ev)
			require.NoError(t, err)
			got := bidEvent(name, b)
			require.Equal(t, want, got)
			back, err := sdk.ParseTypedEvent(abci.Event(got))
			require.NoError(t, err)
			require.Equal(t, name, proto.MessageName(back))
		}
	})
}

// TestBidEventsAreWhole: a field that Bid, or what it holds, gains must be added to the event.
func TestBidEventsAreWhole(t *testing.T) {
	for v, fields := range map[any]int{types.Bid{}: 9, types.BidID{}: 5, sdk.Coin{}: 2, sdk.DecCoin{}: 2, types.EventBidCreated{}: 4, types.EventBidClosed{}: 4} {
		require.Equal(t, fields, reflect.TypeOf(v).NumField(), "fields of %T", v)
	}
}
