package chainbench

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	abci "github.com/cometbft/cometbft/abci/types"
	cmttypes "github.com/cometbft/cometbft/types"
	"github.com/stretchr/testify/require"

	"cosmossdk.io/math"

	sdk "github.com/cosmos/cosmos-sdk/types"
	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"

	"berth.dev/berth/app"
	"berth.dev/berth/internal/nodeconfig"
	"berth.dev/berth/units"
	deploymenttypes "berth.dev/berth/x/deployment/types"
	markettypes "berth.dev/berth/x/market/types"
	providertypes "berth.dev/berth/x/provider/types"
)

// largestMsg is a deployment with as many groups and units as there may be, each with a volume and processors.
func (c *Chain) largestMsg(owner int, dseq uint64) *deploymenttypes.MsgCreateDeployment {
	msg := c.deployMsg(owner, dseq, 500_000_000, noAuction)
	unit := msg.Groups[0].Units[0]
	unit.Storage[0].Attributes = []providertypes.Attribute{{Key: "class", Value: "default"}, {Key: "persistent", Value: "true"}}
	unit.Gpu = deploymenttypes.GPU{Count: 1, Attributes: []providertypes.Attribute{{Key: "vendor/nvidia/model/a100", Value: "true"}}}
	spec := msg.Groups[0]
	spec.Units = nil
	for i := range deploymenttypes.MaxUnits {
		unit.Id = uint32(i + 1)
		spec.Units = append(spec.Units, unit)
	}
	msg.Groups = nil
	for i := range deploymenttypes.MaxGroups {
		spec.Name = fmt.Sprintf("group-%d", i)
		msg.Groups = append(msg.Groups, spec)
	}
	return msg
}

// TestLargestTransactionsFit: what the modules' own limits allow in one transaction, a block and a mempool take.
func TestLargestTransactionsFit(t *testing.T) {
	const tenants = 5
	c, _, err := driven(Options{Accounts: providers + tenants, MemDB: true}, State{Providers: providers})
	require.NoError(t, err)
	t.Cleanup(c.Close)
	deliver := func(what string, from int, msg sdk.Msg) {
		t.Helper()
		gas, err := c.gas(from, msg)
		require.NoError(t, err, what)
		gas = min(gas, app.MaxBlockGas)
		tx, err := c.Sign(from, gas, msg)
		require.NoError(t, err)
		res, err := c.must(tx)
		require.NoError(t, err, what)
		used := res.TxResults[0].GasUsed
		t.Logf("%s: %d bytes, %d gas", what, len(tx), used)
		require.Less(t, len(tx), nodeconfig.Comet().Mempool.MaxTxBytes, "%s in the mempool", what)
		require.Less(t, len(tx), app.MaxBlockBytes/2, "%s in a block", what)
		require.Less(t, used, int64(app.MaxBlockGas/2), "%s in a block", what)
	}
	tenant := func(i int) int { return providers + i }
	var orders []markettypes.OrderID
	for i := range tenants {
		deliver("a deployment of 20 groups of 20 units", tenant(i), c.largestMsg(tenant(i), 1))
		for g := range deploymenttypes.MaxGroups {
			id := c.order(tenant(i), 1)
			id.Gseq = uint32(g + 1)
			orders = append(orders, id)
		}
	}
	orders = orders[:batch]
	for p := range providers { // the last ones read the bids of all others
		msg := c.bidsMsg(p, fmt.Sprint(100+p), orders...)
		for i := range msg.Bids {
			for _, u := range c.largestMsg(tenant(0), 1).Groups[0].Units {
				msg.Bids[i].Offer = append(msg.Bids[i].Offer, markettypes.ResourceOffer{Unit: u})
			}
		}
		deliver("100 bids with whole offers", p, msg)
	}
	for g := range deploymenttypes.MaxGroups {
		deliver("a lease", tenant(0), c.leaseMsg(orders[g], g%providers))
	}
	deliver("closing 20 groups with leases", tenant(0), &deploymenttypes.MsgCloseDeployment{Id: c.deploymentID(tenant(0), 1)})
	deliver("closing 20 groups with 400 bids", tenant(1), &deploymenttypes.MsgCloseDeployment{Id: c.deploymentID(tenant(1), 1)})
	for range 20 { // what the end blocks have left to do
		_, err := c.must()
		require.NoError(t, err)
	}
	ctx, err := c.App.CreateQueryContext(0, false)
	require.NoError(t, err)
	require.Empty(t, c.App.Invariants(ctx))
}

// TestBlockLimits: the genesis and the node's defaults agree on what a block holds.
func TestBlockLimits(t *testing.T) {
	params := app.ConsensusParams()
	require.NoError(t, params.ValidateBasic())
	require.EqualValues(t, app.MaxBlockBytes, params.Block.MaxBytes)
	require.EqualValues(t, app.MaxBlockGas, params.Block.MaxGas)
	cfg := nodeconfig.Comet()
	require.NoError(t, cfg.ValidateBasic())
	require.LessOrEqual(t, int64(cfg.Mempool.MaxTxBytes), int64(app.MaxBlockBytes), "a transaction of the mempool fits into a block")
	require.LessOrEqual(t, int64(cfg.Mempool.MaxTxBytes), cmttypes.MaxDataBytesNoEvidence(app.MaxBlockBytes, 100))
}

// TestBlockGas: a proposal stops at the gas limit, and what is left comes with the next block.
func TestBlockGas(t *testing.T) {
	c, err := NewChain(Options{Accounts: 4, MemDB: true})
	require.NoError(t, err)
	t.Cleanup(c.Close)
	n, err := StartNode(c, NodeOptions{})
	require.NoError(t, err)
	t.Cleanup(n.Stop)
	var txs [][]byte
	for i := range 4 {
		tx, err := c.Sign(i, app.MaxBlockGas/2, c.sendMsg(i, (i+1)%4))
		require.NoError(t, err)
		txs = append(txs, tx)
	}
	r, err := n.Load(txs)
	require.NoError(t, err)
	require.Equal(t, 4, r.Committed)
	require.LessOrEqual(t, r.Largest, 2, "two of them fill a block")
	tx, err := c.Sign(0, app.MaxBlockGas+1, c.sendMsg(0, 1))
	require.NoError(t, err)
	code, why, err := n.send(tx)
	require.NoError(t, err)
	require.NotZero(t, code)
	require.Contains(t, why, "exceeds block max gas")
}

// TestVirtualFees: fees that are added up at the end of a block are with the fee collector in that block, and no coin is
// made or lost on the way, whether transactions succeed or fail.
func TestVirtualFees(t *testing.T) {
	const n = 10
	for _, executor := range []string{"sequential", "block-stm"} {
		t.Run(executor, func(t *testing.T) {
			c, _, err := driven(Options{Accounts: n, MemDB: true, Executor: executor}, State{})
			require.NoError(t, err)
			t.Cleanup(c.Close)
			collector := authtypes.NewModuleAddress(authtypes.FeeCollectorName)
			before := c.coins(t, collector, c.Addr(0), c.Addr(1))
			var txs [][]byte
			for i := range n {
				msg := c.sendMsg(i, (i+1)%n)
				if i == 1 { // pays its fee and fails
					msg = c.leaseMsg(c.order(1, 77), 0)
				}
				tx, err := c.Sign(i, 1_000_000, msg)
				require.NoError(t, err)
				txs = append(txs, tx)
			}
			res, err := c.Block(txs...)
			require.NoError(t, err)
			failed, _ := failures(res.TxResults)
			require.Equal(t, 1, failed)
			after := c.coins(t, collector, c.Addr(0), c.Addr(1))
			// What a block mints goes on to the distribution in the same block; the block's fees stay until the next.
			require.Equal(t, math.NewInt(10*n).String(), after[0].String(), "the collector's balance")
			require.Equal(t, before[1].SubRaw(10).String(), after[1].String(), "a fee; one coin was sent and one came")
			require.Equal(t, before[2].SubRaw(10-1).String(), after[2].String(), "the fee, though its message failed, and what came")
			_, err = c.must()
			require.NoError(t, err)
			c.coins(t)
			require.True(t, c.coins(t, collector)[0].IsZero(), "the next block hands the fees on")
		})
	}
}

// coins returns balances, and fails the test unless all balances add up to the supply.
func (c *Chain) coins(t *testing.T, of ...sdk.AccAddress) []math.Int {
	t.Helper()
	ctx, err := c.App.CreateQueryContext(0, false)
	require.NoError(t, err)
	sum := sdk.NewCoins()
	c.App.BankKeeper.IterateAllBalances(ctx, func(_ sdk.AccAddress, coin sdk.Coin) bool {
		sum = sum.Add(coin)
		return false
	})
	require.Equal(t, c.App.BankKeeper.GetSupply(ctx, units.BaseDenom).String(), sdk.NewCoin(units.BaseDenom, sum.AmountOf(units.BaseDenom)).String())
	var out []math.Int
	for _, a := range of {
		out = append(out, c.App.BankKeeper.GetBalance(ctx, a, units.BaseDenom).Amount)
	}
	return out
}

// TestReadersBesideBlocks: transactions are checked and simulated while blocks are executed and committed, as they are with
// a mutex for each connection. Under the race detector (`make race`) it fails if the app lets them meet the write.
func TestReadersBesideBlocks(t *testing.T) {
	const n, blocks = 20, 15
	c, _, err := driven(Options{Accounts: 2 * n, MemDB: true}, State{})
	require.NoError(t, err)
	t.Cleanup(c.Close)
	checked, err := c.Sign(2*n-2, 1_000_000, c.deployMsg(2*n-2, 1, 5_000_000, noAuction))
	require.NoError(t, err)
	simulated, err := c.Sign(2*n-1, 1_000_000, c.deployMsg(2*n-1, 1, 5_000_000, noAuction))
	require.NoError(t, err)
	done := make(chan struct{})
	var g sync.WaitGroup
	read := func(what string, do func() error) {
		g.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if err := do(); err != nil {
					t.Errorf("%s: %v", what, err)
					return
				}
			}
		})
	}
	read("simulate", func() error {
		_, _, err := c.App.Simulate(simulated)
		return err
	})
	read("simulate by a query", func() error {
		res, err := c.App.Query(context.Background(), &abci.RequestQuery{Path: "/app/simulate", Data: simulated})
		if err == nil && res.Code != 0 {
			err = errors.New(res.Log)
		}
		return err
	})
	read("query", func() error {
		_, err := c.App.Query(context.Background(), &abci.RequestQuery{Path: "/berth.market.v1.Query/Params"})
		return err
	})
	for i := range blocks {
		var txs [][]byte
		for from := range n {
			tx, err := c.Sign(from, 1_000_000, c.deployMsg(from, uint64(i+1), 5_000_000, noAuction))
			require.NoError(t, err)
			txs = append(txs, tx)
		}
		_, err := c.must(txs...)
		require.NoError(t, err)
		// CometBFT holds its mempool's lock in Commit, so that a check never meets one.
		res, err := c.App.CheckTx(&abci.RequestCheckTx{Tx: checked, Type: abci.CheckTxType_New})
		require.NoError(t, err)
		require.Zero(t, res.Code, res.Log)
	}
	close(done)
	g.Wait()
}

// TestWorkloads: every workload but the one with the large state runs to its end on a small scale.
func TestWorkloads(t *testing.T) {
	var out strings.Builder
	b := &Bench{Report: NewReport(&out), Scale: 0.01}
	for _, w := range Workloads {
		require.NoError(t, b.Run(w), "%s\n%s", w.Name, &out)
	}
	b.Table()
	t.Log(out.String())
	// These do not depend on the machine's speed.
	require.NotContains(t, out.String(), "equal MISSED")
	require.NotContains(t, out.String(), "at most 4 MISSED")
}
