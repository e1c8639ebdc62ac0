// Package daemon is the provider as one program: it wires the follower, the bid loop, the lease controller, the
// cluster and the gateway together, and runs them until it is told to stop.
package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"runtime/debug"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/cosmos/cosmos-sdk/crypto/keyring"
	"github.com/cosmos/cosmos-sdk/types/query"
	banktypes "github.com/cosmos/cosmos-sdk/x/bank/types"

	"berth.dev/berth/client"
	"berth.dev/berth/provider/bid"
	"berth.dev/berth/provider/chain"
	"berth.dev/berth/provider/cluster"
	"berth.dev/berth/provider/gateway"
	"berth.dev/berth/provider/inventory"
	"berth.dev/berth/provider/lease"
	provlink "berth.dev/berth/provider/link"
	"berth.dev/berth/provider/pricing"
	"berth.dev/berth/provider/terms"
	providertypes "berth.dev/berth/x/provider/types"
)

// Options are what a daemon gets from its caller besides the configuration.
type Options struct {
	Home    Home
	Version string
	Log     *slog.Logger
	// Input answers the keyring's passphrase prompts.
	Input io.Reader
	// Keyring, if set, is used in place of the home's.
	Keyring keyring.Keyring
	// Cluster, if set, is used in place of the configured one.
	Cluster cluster.Cluster
	// Poll, if set, replaces the interval at which the node is asked for new blocks.
	Poll time.Duration
}

// Daemon is a provider, ready to run once.
type Daemon struct {
	cfg      Config
	log      *slog.Logger
	client   *client.Client
	provider string
	pin      []byte
	capacity inventory.Terms
	cluster  cluster.Cluster

	metrics  *metrics
	txs      *chain.Sender
	sender   Transactor
	reader   *chain.Reader
	hints    *chain.Hints
	follower *chain.Follower
	bids     *bid.Loop
	leases   *lease.Controller
	backend  *backend
	gateway  *gateway.Server
	links    *provlink.Links // nil where there are none
	unlock   func()
	prices   *terms.Watcher   // nil where the configuration itself has the prices
	program  *pricing.Program // the pricing program, if there is one

	recordChanged chan struct{} // what the chain says of us may have changed
}

// shared says that other providers sell the rest of the same cluster.
func (c Config) shared() bool {
	f, err := inventory.ParseFactor(c.CapacityFactor)
	return err == nil && f.Of(1<<30) < 1<<30
}

// New puts a daemon together: it opens the home, the keys and the cluster and takes the gateway's port, but asks
// nothing of the chain yet.
func New(cfg Config, o Options) (_ *Daemon, err error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if err := o.Home.Create(); err != nil {
		return nil, err
	}
	d := &Daemon{cfg: cfg, log: o.Log, metrics: newMetrics(), recordChanged: make(chan struct{}, 1)}
	if d.unlock, err = lockHome(o.Home); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			d.closeTerms()
			d.unlock()
		}
	}()
	if err := d.openChain(o); err != nil {
		return nil, err
	}
	if d.capacity, err = cfg.capacity(); err != nil {
		return nil, err
	}
	if d.cluster = o.Cluster; d.cluster == nil {
		if d.cluster, err = openCluster(cfg, o.Home, d.provider, o.Log); err != nil {
			return nil, err
		}
	}
	return d, d.openLoops(o)
}

// openChain sets up the key, the reader, the sender and the follower.
func (d *Daemon) openChain(o Options) (err error) {
	if d.client, err = d.openClient(o); err != nil {
		return err
	}
	d.provider = d.cfg.Chain.Provider(d.client)
	d.log = d.log.With("provider", d.provider)
	d.reader = chain.NewReader(d.client.Conn(), d.provider)
	if d.txs, err = chain.NewSender(d.client, chain.SenderConfig{Journal: o.Home.journalFile(), Log: d.log}); err != nil {
		return err
	}
	d.sender = sender{next: d.cfg.Chain.Behalf(d.client, d.txs), txs: d.metrics.txs}
	d.hints = chain.NewHints(d.cfg.Chain.Node, d.log)
	d.follower, err = chain.NewFollower(chain.FollowerConfig{
		Provider: d.provider, PlaceFile: o.Home.placeFile(), Poll: o.Poll, Log: d.log,
		Collect: func() chain.Collector { return bid.NewDraft() },
	}, d.client.Head, d.client.RPC(), d.reader, d.hints.C())
	return err
}

// openClient opens the keyring and connects with the key.
func (d *Daemon) openClient(o Options) (*client.Client, error) {
	if o.Keyring != nil {
		return d.cfg.Chain.Client(o.Keyring)
	}
	kr, err := o.Home.Keyring(d.cfg.Chain.KeyringBackend, o.Input)
	if err != nil {
		return nil, err
	}
	return holdKey(d.cfg.Chain, kr, d.log)
}

// openLoops sets up bidding, leases and the gateway.
func (d *Daemon) openLoops(o Options) error {
	d.bids = bid.NewLoop(d.cfg.policy(d.provider), d.sender, bid.LoopConfig{
		Provider: d.provider, ValidFor: time.Duration(d.cfg.Bids.ValidFor), Observer: d.metrics, Log: d.log,
	})
	if err := d.openTerms(o.Home); err != nil {
		return err
	}
	memory, err := lease.OpenMemory(o.Home.acceptedFile())
	if err != nil {
		return err
	}
	d.leases = lease.New(lease.Config{
		Provider: d.provider, ManifestTimeout: time.Duration(d.cfg.Leases.ManifestTimeout), Resync: time.Duration(d.cfg.Leases.Resync),
		Refresh: time.Duration(d.cfg.Leases.Refresh), CloseFailingAfter: time.Duration(d.cfg.Leases.CloseFailingAfter),
		Check: checkRemembered, Observer: d.metrics, Log: d.log,
	}, d.cluster, d.reader, d.sender, memory)
	d.metrics.watch(d.bids.Counts, d.bids.Usage, func() (active, suspended int) {
		ids, suspended := d.leases.Leases()
		return len(ids) - suspended, suspended
	})
	cert, pin, err := o.Home.TLS()
	if err != nil {
		return err
	}
	d.pin = pin
	if err := d.openLinks(cert); err != nil {
		return err
	}
	d.backend = &backend{
		manifested: d.pokeLinks,
		provider:   d.provider, chainID: d.cfg.Chain.ChainID, version: o.Version, bids: d.bids, leases: d.leases, cluster: d.cluster, reader: d.reader,
		keys: providertypes.NewQueryClient(d.client.Conn()),
	}
	d.gateway, err = gateway.New(gateway.Config{
		Listen: d.cfg.Gateway.Listen, Provider: d.provider, ChainID: d.cfg.Chain.ChainID, TLS: cert, Log: d.log, Metrics: d.metrics.registry,
		Protocols: d.linkProtocols(),
	}, d.backend)
	return err
}

// Provider is the provider's address.
func (d *Daemon) Provider() string { return d.provider }

// stopWithin is how long the parts are given to stop.
const stopWithin = 9 * time.Second

// Run runs the provider until ctx ends, and then returns nil once all its parts have stopped. A part that fails stops
// the others, and its error is returned. It may be called once.
func (d *Daemon) Run(ctx context.Context) error {
	defer d.unlock()
	defer d.closeTerms()
	g, ctx := errgroup.WithContext(ctx)
	parts := map[string]func(context.Context) error{
		"block hints":    d.hints.Run,
		"chain follower": func(ctx context.Context) error { return d.follower.Run(ctx, d.sink) },
		"bid loop":       d.bids.Run,
		"leases":         d.leases.Run,
		"gateway":        d.gateway.Run,
		"metrics":        func(ctx context.Context) error { return d.metrics.serve(ctx, d.cfg.Metrics.Listen) },
		"registration":   d.keepRegistered,
		"record":         d.keepRecord,
		"block time":     d.keepBlockTime,
		"capacity":       d.keepNodes,
		"earnings":       d.keepWithdrawing,
		"prices":         d.keepTerms,
		"balance":        d.keepBalance,
		"claims":         d.keepClaims,
	}
	// A cluster that has to watch and repair what it runs, for depends_on and drift, does so as one more part.
	if c, ok := d.cluster.(interface{ Run(context.Context) error }); ok {
		parts["cluster"] = c.Run
	}
	if d.links != nil {
		parts["links"] = d.links.Run
	}
	for name, part := range parts {
		g.Go(func() error {
			if err := part(ctx); err != nil && !errors.Is(err, context.Canceled) {
				return fmt.Errorf("%s: %w", name, err)
			}
			return nil
		})
	}
	d.log.Info("provider started", "chain", d.cfg.Chain.ChainID, "node", d.cfg.Chain.Node, "gateway", d.gateway.Addr().String())
	return d.wait(ctx, g)
}

// wait returns when all parts have stopped, or when they had long enough to after ctx ended.
func (d *Daemon) wait(ctx context.Context, g *errgroup.Group) error {
	done := make(chan error, 1)
	go func() { done <- g.Wait() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	late := time.NewTimer(stopWithin)
	defer late.Stop()
	select {
	case err := <-done:
		d.log.Info("provider stopped")
		return err
	case <-late.C:
		return fmt.Errorf("some parts did not stop within %s", stopWithin)
	}
}

// sink gives each update of the chain to the loops, leases first: what runs matters more than what may come.
func (d *Daemon) sink(_ context.Context, u chain.Update) error {
	d.leases.Handle(u)
	if concernsLinks(u) {
		d.pokeLinks()
	}
	if err := d.bids.Handle(u); err != nil {
		return err
	}
	if concernsRecord(u) {
		d.noteRecord()
	}
	d.metrics.update(u)
	if u.Snapshot != nil {
		s := u.Snapshot
		d.log.Info("read the market", "height", u.Height, "open_orders", s.Open, "own_bids", len(s.Bids), "own_leases", len(s.Leases))
		if s.Open > manyOrders {
			time.AfterFunc(time.Second, debug.FreeOSMemory) // the book holds them now, in a fifth of the room that reading them took
		}
	}
	return nil
}

// manyOrders take enough memory to read that it is worth giving back.
const manyOrders = 10_000

// retry calls try until it succeeds or ctx ends, logging what keeps it from success when that changes.
func (d *Daemon) retry(ctx context.Context, what string, every time.Duration, try func() error) error {
	last := ""
	for {
		err := try()
		if err == nil {
			return nil
		}
		if ctx.Err() == nil && err.Error() != last {
			last = err.Error()
			d.log.Warn(what+" failed; will try again", "err", err)
		}
		if err := pause(ctx, every); err != nil {
			return err
		}
	}
}

// keepRegistered settles what a former process left on its way, brings the record on chain in line once, and then lets
// bidding begin.
func (d *Daemon) keepRegistered(ctx context.Context) error {
	settled, err := d.txs.Recover(ctx)
	if err != nil {
		return errors.Join(ctx.Err(), err)
	}
	err = d.retry(ctx, "registering the provider", 5*time.Second, func() error {
		if !d.cfg.AutoRegister {
			_, found, err := d.reader.Provider(ctx)
			if err == nil && !found {
				err = errors.New("the chain has no record of this provider: run init --register, or set auto_register")
			}
			return err
		}
		did, err := Register(ctx, d.cfg, d.provider, d.pin, d.reader, d.sender)
		if err != nil {
			return err
		}
		if did != Unchanged {
			d.log.Info("provider record "+string(did), "host_uri", d.cfg.Gateway.HostURI)
		}
		return d.readRecord(ctx)
	})
	if err == nil {
		d.bids.Enable(settled)
	}
	return err
}

// keepBlockTime measures the block time now and then, as prices per month and lifetimes of bids depend on it.
func (d *Daemon) keepBlockTime(ctx context.Context) error {
	if declared := time.Duration(d.cfg.Chain.BlockTime); declared > 0 {
		return d.bids.SetBlockTime(declared)
	}
	for {
		err := d.retry(ctx, "measuring the block time", 2*time.Second, func() error {
			block, err := d.client.BlockTime(ctx)
			if err != nil {
				return err
			}
			return d.bids.SetBlockTime(block)
		})
		if err != nil {
			return err
		}
		if err := pause(ctx, time.Hour); err != nil {
			return err
		}
	}
}

// keepWithdrawing takes out the earnings every interval.
func (d *Daemon) keepWithdrawing(ctx context.Context) error {
	for {
		if err := pause(ctx, time.Duration(d.cfg.Withdraw.Interval)); err != nil {
			return err
		}
		got, err := Withdraw(ctx, d.provider, d.reader, d.sender)
		for _, c := range got {
			amount, _ := new(big.Float).SetInt(c.Amount.BigInt()).Float64()
			d.metrics.withdrawn.WithLabelValues(c.Denom).Add(amount)
		}
		if err != nil && ctx.Err() == nil {
			d.log.Warn("earnings could not be withdrawn; will try again", "err", err)
		}
		if !got.IsZero() {
			d.log.Info("earnings withdrawn", "amount", got.String())
		}
	}
}

// readBalance is how often the balance of the account that signs is read.
const readBalance = 30 * time.Second

// maxBalances bounds the denoms that are shown: strangers can send coins of as many as they like.
const maxBalances = 100

// keepBalance shows what the account that signs has. While it can't be read, the last amounts stay.
func (d *Daemon) keepBalance(ctx context.Context) error {
	shown := make(map[string]bool)
	for {
		res, err := banktypes.NewQueryClient(d.client.Conn()).AllBalances(ctx, &banktypes.QueryAllBalancesRequest{
			Address: d.client.Address().String(), Pagination: &query.PageRequest{Limit: maxBalances},
		})
		if err == nil {
			d.metrics.setBalance(res.Balances, shown)
		}
		if err := pause(ctx, readBalance); err != nil {
			return err
		}
	}
}
