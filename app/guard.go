package app

import (
	"context"
	"strings"
	"sync"

	abci "github.com/cometbft/cometbft/abci/types"

	sdk "github.com/cosmos/cosmos-sdk/types"
)

// guard keeps checks and simulations of transactions, which read the newest state, away from the two moments in which a
// block changes it: at the end of FinalizeBlock, when what the block wrote goes into the trees, and in Commit. While a
// block's transactions are executed, which takes most of the time, they write to a branch of their own, and the guard is
// open. Queries need none: they read saved versions, which do not change.
//
// It is closed in EndBlocker, the last step before the write that the SDK lets an app see, and opened when FinalizeBlock
// returns. It must not stay closed until Commit: CometBFT locks its mempool there, and waits for checks that have begun.
type guard struct {
	mu sync.RWMutex
	// optimistic: blocks are executed ahead, in a goroutine whose result may be thrown away; FinalizeBlock then does
	// little but the write, and the guard is closed for all of it.
	optimistic bool
	// armed and closed belong to the one goroutine that runs FinalizeBlock.
	armed, closed bool
}

func (g *guard) begin() {
	if g.optimistic {
		g.mu.Lock()
		g.closed = true
		return
	}
	g.armed = true
}

// beforeWrite closes the guard; outside FinalizeBlock it does nothing.
func (g *guard) beforeWrite() {
	if g.armed && !g.closed {
		g.mu.Lock()
		g.closed = true
	}
}

func (g *guard) end() {
	if g.closed {
		g.closed = false
		g.mu.Unlock()
	}
	if g.armed {
		g.armed = false
	}
}

// FinalizeBlock executes a block.
func (app *App) FinalizeBlock(req *abci.RequestFinalizeBlock) (*abci.ResponseFinalizeBlock, error) {
	app.guard.begin()
	defer app.guard.end()
	res, err := app.BaseApp.FinalizeBlock(req)
	if err == nil {
		app.feed.keep(req.Height, res)
	}
	return res, err
}

// Commit saves the state of the block that FinalizeBlock has executed.
func (app *App) Commit() (*abci.ResponseCommit, error) {
	app.guard.mu.Lock()
	defer app.guard.mu.Unlock()
	res, err := app.BaseApp.Commit()
	if err == nil {
		app.feed.commit()
	}
	return res, err
}

// CheckTx checks a transaction for the mempool.
func (app *App) CheckTx(req *abci.RequestCheckTx) (*abci.ResponseCheckTx, error) {
	app.guard.mu.RLock()
	defer app.guard.mu.RUnlock()
	return app.BaseApp.CheckTx(req)
}

// Simulate runs a transaction without keeping what it does.
func (app *App) Simulate(tx []byte) (sdk.GasInfo, *sdk.Result, error) {
	app.guard.mu.RLock()
	defer app.guard.mu.RUnlock()
	return app.BaseApp.Simulate(tx)
}

// Query answers a query; one of its paths simulates.
func (app *App) Query(ctx context.Context, req *abci.RequestQuery) (*abci.ResponseQuery, error) {
	if strings.HasPrefix(req.Path, "/app/simulate") || strings.HasPrefix(req.Path, "app/simulate") {
		app.guard.mu.RLock()
		defer app.guard.mu.RUnlock()
	}
	return app.BaseApp.Query(ctx, req)
}
