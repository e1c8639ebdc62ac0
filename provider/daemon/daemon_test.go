package daemon

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"cosmossdk.io/math"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"berth.dev/berth/client"
	"berth.dev/berth/manifest"
	manifesttypes "berth.dev/berth/manifest/types"
	"berth.dev/berth/provider/cluster"
	"berth.dev/berth/provider/cluster/fake"
	"berth.dev/berth/provider/gateway"
	"berth.dev/berth/testutil/chaintest"
	"berth.dev/berth/units"
	deploymenttypes "berth.dev/berth/x/deployment/types"
	markettypes "berth.dev/berth/x/market/types"
	providertypes "berth.dev/berth/x/provider/types"
)

// world is a chain, a simulated cluster, a tenant, and the home of a provider that comes and goes.
type world struct {
	t       *testing.T
	net     *chaintest.Net
	link    *link // what the provider reaches the chain through
	cluster *fake.Cluster
	tenant  *client.Client
	home    Home
	edit    func(*Config)
	log     io.Writer // gets all that the provider logs, if set

	daemon *Daemon
	stop   func()
	dseq   uint64
}

func newWorld(t *testing.T) *world {
	t.Helper()
	return newWorldOn(t, chaintest.Options{})
}

func newWorldOn(t *testing.T, o chaintest.Options) *world {
	t.Helper()
	w := &world{t: t, net: chaintest.Start(t, o), home: Home(t.TempDir())}
	w.link = newLink(t, w.net.RPCAddr)
	w.cluster = fake.New(fake.Config{Nodes: []cluster.Node{{Name: "a", CPU: 4000, Memory: 8 << 30, Storage: 64 << 30}}})
	w.tenant = w.client("k0")
	t.Cleanup(func() {
		if w.stop != nil {
			w.stop()
		}
	})
	return w
}

func (w *world) client(key string) *client.Client {
	w.t.Helper()
	c, err := client.New(client.Config{Node: w.net.RPCAddr, ChainID: w.net.ChainID, Keyring: w.net.Keyring(w.t), Key: key})
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

// start runs a provider over the world's home; stop ends it, and all its memory with it.
func (w *world) start() {
	w.t.Helper()
	cfg := validConfig()
	cfg.Chain.Node, cfg.Chain.ChainID, cfg.Chain.Key = w.link.addr(), w.net.ChainID, "k1"
	cfg.Gateway.Listen = "127.0.0.1:0"
	cfg.Attributes = map[string]string{"region": "east"}
	cfg.Pricing = PricingConfig{Denom: units.BaseDenom, PerBlock: &RatesConfig{CPU: "100", Memory: "10"}}
	cfg.Cluster.Poll, cfg.Leases.Resync = Duration(50*time.Millisecond), Duration(200*time.Millisecond)
	cfg.Bids.ValidFor = Duration(time.Minute)
	if w.edit != nil {
		w.edit(&cfg)
	}
	out := io.Discard
	if testing.Verbose() {
		out = os.Stderr
	}
	if w.log != nil {
		out = w.log
	}
	d, err := New(cfg, Options{
		Home: w.home, Log: slog.New(slog.NewTextHandler(out, &slog.HandlerOptions{Level: w.level()})), Keyring: w.net.Keyring(w.t), Cluster: w.cluster, Poll: 20 * time.Millisecond,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	w.daemon = d
	w.stop = func() {
		cancel()
		if err := <-done; err != nil {
			w.t.Errorf("Run = %v, want nil after a stop", err)
		}
		w.stop = nil
	}
}

// level is the lowest level that is logged: all, where somebody looks at it.
func (w *world) level() slog.Level {
	if w.log != nil {
		return slog.LevelDebug
	}
	return slog.LevelInfo
}

func (w *world) restart() {
	w.t.Helper()
	w.stop()
	w.start()
}

func webGroup(salt byte, image string) manifesttypes.Group {
	return manifesttypes.Group{Name: "east", Salt: bytes.Repeat([]byte{salt}, manifest.SaltBytes), Services: []manifesttypes.Service{{
		Name: "web", Image: image, Count: 2, UnitId: 1, CpuMilli: 100, MemoryBytes: 64 << 20,
		Expose:  []manifesttypes.Expose{{Port: 8080, As: 80, Proto: manifesttypes.PROTO_HTTP, To: []manifesttypes.To{{Global: true}}}},
		Volumes: []manifesttypes.Volume{{Name: "default", Bytes: 64 << 20}},
	}}}
}

func webSpec() deploymenttypes.GroupSpec {
	return deploymenttypes.GroupSpec{
		Name:         "east",
		Requirements: deploymenttypes.PlacementRequirements{Attributes: []providertypes.Attribute{{Key: "region", Value: "east"}}},
		Units: []deploymenttypes.ResourceUnit{{
			Id: 1, CpuMilli: 100, MemoryBytes: 64 << 20, Count: 2, Storage: []deploymenttypes.Volume{{Name: "default", Bytes: 64 << 20}},
			Endpoints: []deploymenttypes.Endpoint{{Kind: deploymenttypes.ENDPOINT_KIND_HTTP}},
			Price:     sdk.NewDecCoin(units.BaseDenom, math.NewInt(1000)),
		}},
	}
}

func seal(t *testing.T, g manifesttypes.Group) ([]byte, manifesttypes.Envelope) {
	t.Helper()
	root, envs, err := manifest.Seal([]manifesttypes.Group{g}, [][]byte{g.Salt})
	if err != nil {
		t.Fatal(err)
	}
	return root[:], envs[0]
}

func (w *world) send(msgs ...sdk.Msg) {
	w.t.Helper()
	if _, err := w.tenant.Send(context.Background(), msgs...); err != nil {
		w.t.Fatalf("tenant: %T: %v", msgs[0], err)
	}
}

// deploy opens a deployment of the group and returns its first order.
func (w *world) deploy(root []byte) markettypes.OrderID {
	w.t.Helper()
	w.dseq++
	id := deploymenttypes.DeploymentID{Owner: w.tenant.Address().String(), Dseq: w.dseq}
	w.send(&deploymenttypes.MsgCreateDeployment{
		Id: id, Groups: []deploymenttypes.GroupSpec{webSpec()}, ManifestHash: root,
		Deposit: sdk.NewInt64Coin(units.BaseDenom, 50_000_000), Auction: deploymenttypes.Auction{Mode: deploymenttypes.AUCTION_MODE_TENANT},
	})
	return markettypes.OrderID{Owner: id.Owner, Dseq: id.Dseq, Gseq: 1, Oseq: 1}
}

func (w *world) provider() string { return w.net.Addr(1).String() }

func (w *world) market() markettypes.QueryClient { return markettypes.NewQueryClient(w.tenant.Conn()) }

func (w *world) await(what string, holds func() bool) {
	w.t.Helper()
	w.net.WaitFor(w.t, what, holds)
}

// lease waits for the provider's bid and takes it.
func (w *world) lease(order markettypes.OrderID) markettypes.LeaseID {
	w.t.Helper()
	id := order.BidID(w.provider())
	w.awaitBid(order)
	w.send(&markettypes.MsgCreateLease{Id: id})
	return id
}

func (w *world) awaitBid(order markettypes.OrderID) {
	w.t.Helper()
	w.await("a bid on "+order.String(), func() bool {
		res, err := w.market().Bid(context.Background(), &markettypes.QueryBidRequest{Id: order.BidID(w.provider())})
		return err == nil && res.Bid.State == markettypes.BID_STATE_OPEN
	})
}

// put delivers a manifest as the gateway would, until the daemon takes it or refuses it.
func (w *world) put(id markettypes.LeaseID, env manifesttypes.Envelope) error {
	w.t.Helper()
	for {
		_, err := w.daemon.backend.PutManifest(context.Background(), id, env)
		if !errors.Is(err, gateway.ErrUnavailable) {
			return err
		}
	}
}

func (w *world) running(id markettypes.LeaseID) bool {
	_, err := w.cluster.Status(context.Background(), id)
	return err == nil
}

// leaseState is what the chain says of a lease.
func (w *world) leaseState(id markettypes.LeaseID) markettypes.QueryLeaseResponse {
	w.t.Helper()
	res, err := w.market().Lease(context.Background(), &markettypes.QueryLeaseRequest{Id: id})
	if err != nil {
		w.t.Fatal(err)
	}
	return *res
}

// bidsMade counts the bids of the provider on an order in all blocks so far, and those that the chain refused.
func (w *world) bidsMade(order markettypes.OrderID) (made int) {
	w.t.Helper()
	for h := int64(1); h <= w.net.Height(); h++ {
		res, err := w.net.Client.BlockResults(context.Background(), &h)
		if err != nil {
			continue // the newest block's results can be a moment late; the bids looked for are older
		}
		for _, tx := range res.TxsResults {
			for _, ev := range tx.Events {
				msg, err := sdk.ParseTypedEvent(ev)
				if e, ok := msg.(*markettypes.EventBidCreated); err == nil && ok && e.Bid.Id == order.BidID(w.provider()) {
					made++
				}
			}
		}
	}
	return made
}

func TestFromOrderToEarnings(t *testing.T) {
	w := newWorld(t)
	w.edit = func(c *Config) { c.Withdraw.Interval = Duration(300 * time.Millisecond) }
	w.start()
	group := webGroup(1, "berth.local/hello:1")
	root, env := seal(t, group)
	order := w.deploy(root)
	id := w.lease(order)

	// 200m at 100 a core and 128 Mi at 10 a GiB.
	if got := w.leaseState(id).Lease.Price.Amount; !got.Equal(math.LegacyMustNewDecFromStr("21.25")) {
		t.Errorf("price %s, want 21.25", got)
	}
	if w.running(id) {
		t.Fatal("runs before the manifest came")
	}
	w.refusals(id, env, group)
	if err := w.put(id, env); err != nil {
		t.Fatal(err)
	}
	if !w.running(id) {
		t.Fatal("does not run after the manifest was accepted")
	}
	got, err := w.daemon.backend.Manifest(context.Background(), id)
	if err != nil || !bytes.Equal(got.Group, env.Group) {
		t.Errorf("Manifest = %v, %v, want what was sent", got, err)
	}
	w.await("readiness", func() bool {
		st, err := w.daemon.backend.LeaseStatus(context.Background(), id)
		return err == nil && bytes.Equal(st.ManifestHash, root) && len(st.Services) == 1 && st.Services[0].Ready == 2 && len(st.Services[0].Urls) == 1
	})
	w.await("a withdrawal", func() bool { return w.leaseState(id).Payment.Withdrawn.IsPositive() })

	// A newer hash on chain changes nothing until its manifest comes.
	root2, env2 := seal(t, webGroup(2, "berth.local/hello:2"))
	w.send(&deploymenttypes.MsgUpdateDeployment{Id: id.DeploymentID(), ManifestHash: root2})
	if st, err := w.daemon.backend.LeaseStatus(context.Background(), id); err != nil || !bytes.Equal(st.ManifestHash, root) {
		t.Errorf("status %v, %v: want the old hash", st, err)
	}
	if err := w.put(id, env); !errors.Is(err, gateway.ErrRefused) {
		t.Errorf("the old manifest after an update: %v, want ErrRefused", err)
	}
	if err := w.put(id, env2); err != nil {
		t.Fatal(err)
	}

	w.send(&deploymenttypes.MsgCloseDeployment{Id: id.DeploymentID()})
	w.await("removal", func() bool { return !w.running(id) })
	end := w.leaseState(id)
	if earned := end.Payment.Accrued.TruncateInt(); !end.Payment.Withdrawn.Equal(earned) || !earned.IsPositive() {
		t.Errorf("paid %s of %s", end.Payment.Withdrawn, earned)
	}
	if _, err := w.daemon.backend.LeaseStatus(context.Background(), id); !errors.Is(err, gateway.ErrNotFound) {
		t.Errorf("status of a closed lease: %v, want ErrNotFound", err)
	}
	w.await("capacity back", func() bool {
		c, _ := w.daemon.bids.Counts()
		return c.Won == 0 && c.Free == c.Capacity
	})
}

// refusals are manifests that must not run.
func (w *world) refusals(id markettypes.LeaseID, env manifesttypes.Envelope, g manifesttypes.Group) {
	w.t.Helper()
	flipped := env
	flipped.Group = bytes.Clone(env.Group)
	flipped.Group[len(flipped.Group)/2] ^= 1
	bigger := webGroup(1, g.Services[0].Image)
	bigger.Services[0].MemoryBytes *= 2
	_, other := seal(w.t, bigger)
	gseq := env
	gseq.Gseq = 2
	closed := id
	closed.Oseq = 9
	foreign := id
	foreign.Provider = w.net.Addr(2).String()
	for name, tc := range map[string]struct {
		id   markettypes.LeaseID
		env  manifesttypes.Envelope
		want error
	}{
		"a flipped bit":          {id, flipped, gateway.ErrRefused},
		"more than is paid for":  {id, other, gateway.ErrRefused},
		"another group's number": {id, gseq, gateway.ErrRefused},
		"no such lease":          {closed, env, gateway.ErrNotFound},
		"another provider's":     {foreign, env, gateway.ErrNotFound},
		"empty":                  {id, manifesttypes.Envelope{}, gateway.ErrRefused},
	} {
		if err := w.put(tc.id, tc.env); !errors.Is(err, tc.want) {
			w.t.Errorf("PutManifest with %s: %v, want %v", name, err, tc.want)
		}
	}
	if w.running(id) {
		w.t.Error("a refused manifest runs")
	}
}

// TestRestartAtEveryStep ends the daemon between any two steps of a deployment's life; the next one takes over, loses
// nothing and bids nothing twice.
func TestRestartAtEveryStep(t *testing.T) {
	w := newWorld(t)
	w.start()
	root, env := seal(t, webGroup(1, "berth.local/hello:1"))
	order := w.deploy(root)
	w.restart() // an order, perhaps a bid on its way
	w.awaitBid(order)
	w.restart() // a bid
	id := order.BidID(w.provider())
	w.send(&markettypes.MsgCreateLease{Id: id})
	w.restart() // a lease without a manifest
	if err := w.put(id, env); err != nil {
		t.Fatal(err)
	}
	applies := w.cluster.Calls(fake.OpApply)
	w.restart() // a running workload
	w.await("adoption", func() bool {
		st, err := w.daemon.backend.LeaseStatus(context.Background(), id)
		return err == nil && bytes.Equal(st.ManifestHash, root)
	})
	if n := w.cluster.Calls(fake.OpApply) - applies; n != 0 {
		t.Errorf("%d applies after a restart, want none: the cluster holds the workload", n)
	}
	if c, _ := w.daemon.bids.Counts(); c.Won != 1 || c.Capacity[0]-c.Free[0] != 200 {
		t.Errorf("after a restart %+v, want the lease's 200m held", c)
	}
	w.stop()
	w.send(&deploymenttypes.MsgCloseDeployment{Id: id.DeploymentID()}) // closed while the provider is away
	if !w.running(id) {
		t.Fatal("gone without a provider")
	}
	w.start()
	w.await("removal", func() bool { return !w.running(id) })
	if n := w.bidsMade(order); n != 1 {
		t.Errorf("%d bids, want 1", n)
	}
}

// TestRandomKills ends the daemon at random moments while deployments come and go.
func TestRandomKills(t *testing.T) {
	w := newWorld(t)
	w.start()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	root, env := seal(t, webGroup(1, "berth.local/hello:1"))
	var orders []markettypes.OrderID
	var kept []markettypes.LeaseID
	for i := range 4 {
		order := w.deploy(root)
		orders = append(orders, order)
		w.killSoon(r)
		id := w.lease(order)
		w.killSoon(r)
		if err := w.put(id, env); err != nil {
			t.Fatal(err)
		}
		w.killSoon(r)
		if i%2 == 0 {
			w.send(&deploymenttypes.MsgCloseDeployment{Id: id.DeploymentID()})
			w.killSoon(r)
			w.await("removal", func() bool { return !w.running(id) })
			continue
		}
		kept = append(kept, id)
	}
	for _, id := range kept {
		if !w.running(id) || w.leaseState(id).Lease.State != markettypes.LEASE_STATE_ACTIVE {
			t.Errorf("lease %s is lost", id)
		}
	}
	for _, o := range orders {
		if n := w.bidsMade(o); n != 1 {
			t.Errorf("order %s has %d bids, want 1", o, n)
		}
	}
}

// killSoon restarts the daemon after a random number of looks at the chain's height.
func (w *world) killSoon(r *rand.Rand) {
	w.t.Helper()
	h, looks := w.net.Height(), r.IntN(60)
	w.await("a random moment", func() bool { looks--; return looks < 0 || w.net.Height() > h+3 })
	w.restart()
}

// TestUnknownIsNotAbsent takes away the cluster, and then the chain, around a close: nothing is torn down blindly.
func TestUnknownIsNotAbsent(t *testing.T) {
	w := newWorld(t)
	w.start()
	root, env := seal(t, webGroup(1, "berth.local/hello:1"))
	closing, staying := w.lease(w.deploy(root)), w.lease(w.deploy(root))
	for _, id := range []markettypes.LeaseID{closing, staying} {
		if err := w.put(id, env); err != nil {
			t.Fatal(err)
		}
	}

	w.cluster.SetUnreachable(errors.New("the API server is away"))
	w.send(&deploymenttypes.MsgCloseDeployment{Id: closing.DeploymentID()})
	h := w.net.Height()
	w.net.WaitHeight(t, h+20)
	if n := w.cluster.Calls(fake.OpRemove); n != 0 {
		t.Fatalf("%d removals while the cluster could not be listed", n)
	}
	if st, _ := w.daemon.backend.Status(context.Background()); st.ClusterReachable || st.Leases != 1 {
		t.Errorf("status %+v, want an unreachable cluster and one lease", st)
	}
	w.cluster.SetUnreachable(nil)
	w.await("removal", func() bool { return !w.running(closing) })
	if !w.running(staying) {
		t.Fatal("the other lease's workload is gone")
	}

	// A workload whose lease nobody knows, and a chain that can't be asked.
	stranger := cluster.Workload{Lease: staying, Envelope: env, Group: webGroup(1, "berth.local/hello:1"), ManifestHash: root}
	stranger.Lease.Dseq = 999
	if err := w.cluster.Apply(context.Background(), stranger); err != nil {
		t.Fatal(err)
	}
	lists := w.cluster.Calls(fake.OpList)
	w.await("reconciliations", func() bool { return w.cluster.Calls(fake.OpList) > lists+2 })
	if !w.running(stranger.Lease) {
		t.Fatal("a lease that the chain does not know was taken for a closed one")
	}
	removes := w.cluster.Calls(fake.OpRemove)
	w.link.cut()
	lists = w.cluster.Calls(fake.OpList)
	w.await("reconciliations", func() bool { return w.cluster.Calls(fake.OpList) > lists+2 })
	if _, err := w.daemon.backend.PutManifest(context.Background(), staying, env); !errors.Is(err, gateway.ErrUnavailable) {
		t.Errorf("PutManifest without a chain: %v, want ErrUnavailable", err)
	}
	w.restart()
	lists = w.cluster.Calls(fake.OpNodes)
	w.await("a start without a chain", func() bool { return w.cluster.Calls(fake.OpNodes) > lists+2 })
	if n := w.cluster.Calls(fake.OpRemove); n != removes || !w.running(staying) || !w.running(stranger.Lease) {
		t.Errorf("%d removals without a chain; running %v, %v", n-removes, w.running(staying), w.running(stranger.Lease))
	}
	w.send(&deploymenttypes.MsgCloseDeployment{Id: staying.DeploymentID()}) // the chain went on without the provider
	w.link.mend()
	w.await("removal", func() bool { return !w.running(staying) })
}

// TestManifestTimeout: a lease whose manifest never comes is closed; one whose workload was lost is not.
func TestManifestTimeout(t *testing.T) {
	w := newWorld(t)
	w.edit = func(c *Config) { c.Leases.ManifestTimeout = Duration(time.Second) }
	w.start()
	root, env := seal(t, webGroup(1, "berth.local/hello:1"))
	kept := w.lease(w.deploy(root))
	if err := w.put(kept, env); err != nil {
		t.Fatal(err)
	}
	w.stop()
	if err := w.cluster.Drop(kept); err != nil {
		t.Fatal(err)
	}
	w.start()
	late := w.lease(w.deploy(root))
	w.await("the close", func() bool { return w.leaseState(late).Lease.State == markettypes.LEASE_STATE_CLOSED })
	if got := w.leaseState(late).Lease.Reason; got != markettypes.CLOSE_REASON_MANIFEST_TIMEOUT {
		t.Errorf("reason %s", got)
	}
	if got := w.leaseState(kept).Lease.State; got != markettypes.LEASE_STATE_ACTIVE {
		t.Errorf("the lease whose workload was lost is %s", got)
	}
	if err := w.put(kept, env); err != nil || !w.running(kept) {
		t.Errorf("sent again: %v, running %v", err, w.running(kept))
	}
}

// TestCapacityIsSharedByFactor: two providers on one node, each with half of it.
func TestCapacityIsSharedByFactor(t *testing.T) {
	w := newWorld(t)
	w.edit = func(c *Config) { c.CapacityFactor = "0.5" }
	w.cluster.SetNodes(cluster.Node{Name: "a", CPU: 800, Memory: 8 << 30, Storage: 64 << 30})
	w.start()
	root, _ := seal(t, webGroup(1, "berth.local/hello:1"))
	first, second := w.deploy(root), w.deploy(root) // 200m each, 400m in all
	w.awaitBid(first)
	w.awaitBid(second)
	third := w.deploy(root)
	fits := func() bool { c, _ := w.daemon.bids.Counts(); return c.Waiting == 1 }
	w.await("the refusal", fits)
	w.send(&deploymenttypes.MsgCloseDeployment{Id: first.DeploymentID()})
	w.awaitBid(third)
}

// TestLowestAuction: the chain itself makes the lease, in an end block.
func TestLowestAuction(t *testing.T) {
	w := newWorld(t)
	w.start()
	root, env := seal(t, webGroup(1, "berth.local/hello:1"))
	w.dseq++
	order := markettypes.OrderID{Owner: w.tenant.Address().String(), Dseq: w.dseq, Gseq: 1, Oseq: 1}
	w.send(&deploymenttypes.MsgCreateDeployment{
		Id: order.DeploymentID(), Groups: []deploymenttypes.GroupSpec{webSpec()}, ManifestHash: root,
		Deposit: sdk.NewInt64Coin(units.BaseDenom, 50_000_000),
		Auction: deploymenttypes.Auction{Mode: deploymenttypes.AUCTION_MODE_LOWEST, Window: 10},
	})
	id := order.BidID(w.provider())
	w.await("the lease", func() bool { has, _ := w.daemon.leases.Has(id); return has })
	if err := w.put(id, env); err != nil || !w.running(id) {
		t.Fatalf("%v, running %v", err, w.running(id))
	}
}

func TestSecondDaemonIsKeptOut(t *testing.T) {
	w := newWorld(t)
	w.start()
	if _, err := New(w.daemon.cfg, Options{Home: w.home, Keyring: w.net.Keyring(t), Cluster: w.cluster}); err == nil {
		t.Error("a second daemon over the same home was let in")
	}
}

func TestOtherChainIsRefused(t *testing.T) {
	w := newWorld(t)
	w.start()
	w.await("the first height", func() bool { return w.daemon.leases.Height() > 0 })
	w.stop()
	w.net = chaintest.Start(t, chaintest.Options{ChainID: "another"})
	w.tenant = w.client("k0")
	cfg := w.daemon.cfg
	cfg.Chain.Node, cfg.Chain.ChainID = w.net.RPCAddr, "another"
	d, err := New(cfg, Options{Home: w.home, Keyring: w.net.Keyring(t), Cluster: w.cluster, Poll: 20 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := d.Run(ctx); err == nil || ctx.Err() != nil {
		t.Errorf("Run = %v, want a refusal of the other chain", err)
	} else if want := fmt.Sprintf("followed %s", "berth-test"); !bytes.Contains([]byte(err.Error()), []byte(want)) {
		t.Errorf("Run = %v, want it to say %q", err, want)
	}
}
