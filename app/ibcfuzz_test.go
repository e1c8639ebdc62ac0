package app_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	ibctransfer "github.com/cosmos/ibc-go/v11/modules/apps/transfer"
	transfertypes "github.com/cosmos/ibc-go/v11/modules/apps/transfer/types"
	clienttypes "github.com/cosmos/ibc-go/v11/modules/core/02-client/types"
	channeltypes "github.com/cosmos/ibc-go/v11/modules/core/04-channel/types"
	"github.com/stretchr/testify/require"

	sdk "github.com/cosmos/cosmos-sdk/types"
	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"

	escrowtypes "berth.dev/berth/x/escrow/types"
)

// FuzzTransferPacket receives whatever another chain may put into a transfer's packet: nothing of it panics, breaks an
// invariant or changes what escrow's pool holds.
func FuzzTransferPacket(f *testing.F) {
	pool := authtypes.NewModuleAddress(escrowtypes.ModuleName)
	clock := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	var berth *ibcChain
	start := func(t *testing.T) {
		t.Helper()
		if berth == nil {
			berth = newIBCChain(t, "berth-1", &clock, options{}, sdk.NewCoins(ubrt(funds)), nil)
			berth.send(tenant, deploymentIn(berth, 1, ubrt(1_000_000)))
		}
	}
	someone := sdk.AccAddress(strings.Repeat("a", 20)).String()
	for _, receiver := range []string{someone, pool.String(), "", strings.Repeat("x", 3000)} {
		for _, denom := range []string{usd, "transfer/channel-0/ubrt", "transfer/channel-7/ubrt", "ubrt", "ibc/00", "a/b/c", ""} {
			for _, amount := range []string{"1", "0", "-1", "115792089237316195423570985008687907853269984665640564039457584007913129639935", "1e3", ""} {
				f.Add(fmt.Appendf(nil, `{"denom":%q,"amount":%q,"sender":"s","receiver":%q,"memo":""}`, denom, amount, receiver))
			}
		}
	}
	f.Add([]byte("not JSON"))
	f.Fuzz(func(t *testing.T, data []byte) {
		start(t)
		ctx, _ := berth.ctx().CacheContext()
		before := berth.app.BankKeeper.GetAllBalances(ctx, pool)
		require.False(t, before.IsZero())
		p := channeltypes.NewPacket(data, 1, transfertypes.PortID, "channel-0", transfertypes.PortID, "channel-3", clienttypes.ZeroHeight(), 1)
		received, write := ctx.CacheContext()
		ack := ibctransfer.NewIBCModule(berth.app.TransferKeeper).OnRecvPacket(received, transfertypes.V1, p, berth.addr(relayer))
		if ack.Success() {
			write() // as the core does it
		}
		require.Equal(t, before, berth.app.BankKeeper.GetAllBalances(ctx, pool))
		require.Empty(t, berth.app.Invariants(ctx))
	})
}
