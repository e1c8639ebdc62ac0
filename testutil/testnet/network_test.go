//go:build testnet

package testnet

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	cmttypes "github.com/cometbft/cometbft/types"

	"berth.dev/berth/client"
	escrowtypes "berth.dev/berth/x/escrow/types"
)

const (
	validators = 4
	// fault is how long a node is paused or cut off, and how long the chain is watched standing still.
	fault = 10 * time.Second
	// faultBlocks is how many blocks the others commit at least while one is away.
	faultBlocks = 5
	// What reliability promises: the largest gap between blocks while one of four is away, and the time in which it has
	// caught up, or a chain that stood still goes on.
	maxGap, maxCatchUp = 10 * time.Second, 30 * time.Second
	snapshotInterval   = 10
)

// net is the network under test.
type net struct {
	dir     string
	chainID string
	genesis string
	nodes   []*node
	load    *load
}

func (w *net) validators() []*node { return w.nodes[:validators] }

// others are the validators without some.
func (w *net) others(away ...*node) []*node {
	return slices.DeleteFunc(slices.Clone(w.validators()), func(n *node) bool { return slices.Contains(away, n) })
}

// TestNetwork breaks one node after the other while transactions are sent, lets one join from a snapshot, and upgrades
// all of them.
func TestNetwork(t *testing.T) {
	start := time.Now()
	w := newNetwork(t)
	for _, step := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"killed", func(t *testing.T) {
			n := w.nodes[3]
			w.oneAway(t, n, 0, func() { n.stop(t, syscall.SIGKILL) }, func() { n.start(t) })
		}},
		{"paused", func(t *testing.T) {
			n := w.nodes[2]
			w.oneAway(t, n, fault, func() { n.signal(t, syscall.SIGSTOP) }, func() { n.signal(t, syscall.SIGCONT) })
		}},
		{"cut off", func(t *testing.T) {
			n := w.nodes[1]
			w.oneAway(t, n, fault, func() { n.link(t, "down") }, func() { n.link(t, "up") })
		}},
		{"two away", w.twoAway},
		{"state sync", w.stateSync},
		{"upgrade", w.upgrade},
		{"agreement", w.agree},
	} {
		began := time.Now()
		if !t.Run(step.name, step.run) {
			t.FailNow() // the rest would start from a network in an unknown state
		}
		fmt.Printf("%s %s took %.1f s\n", clock(), step.name, time.Since(began).Seconds())
	}
	fmt.Printf("%s the whole took %.1f s\n", clock(), time.Since(start).Seconds())
}

// newNetwork writes the homes and starts the validators and the senders.
func newNetwork(t *testing.T) *net {
	t.Helper()
	if os.Getenv("BERTH_BIN") == "" {
		t.Fatal("BERTH_BIN names no directory with the programs")
	}
	w := &net{dir: t.TempDir(), load: newLoad(t)}
	args := []string{
		"testnet", "--output-dir", filepath.Join(w.dir, "net"), "--validators", fmt.Sprint(validators), "-o", "json",
		"--host", hostPattern, "--host-first", fmt.Sprint(firstHost), "--rpc-listen", "0.0.0.0",
		"--voting-period", votingPeriod.String(), "--snapshot-interval", fmt.Sprint(snapshotInterval), "--snapshot-keep", "6",
	}
	for i := range senders {
		args = append(args, "--fund", fmt.Sprintf("%s=%dubrt", w.load.address(t, i), senderFunds))
	}
	out, err := program(t.Context(), installed("berthd"), args...)
	if err != nil {
		t.Fatal(err)
	}
	var written struct {
		ChainID string  `json:"chain_id"`
		Genesis string  `json:"genesis"`
		Nodes   []*node `json:"nodes"`
	}
	if err := json.Unmarshal(out, &written); err != nil {
		t.Fatal(err)
	}
	w.chainID, w.genesis = written.ChainID, written.Genesis
	t.Cleanup(func() { w.end(t) })
	start := time.Now()
	for _, n := range written.Nodes {
		w.addNode(t, n)
		n.layOutPrograms(t)
		n.binary = n.current()
		n.start(t)
	}
	for _, n := range w.nodes {
		n.awaitHeight(t, 2)
	}
	fmt.Printf("%s %d validators at height 2 after %.1f s\n", clock(), validators, time.Since(start).Seconds())
	w.load.start(t, w.chainID, w.nodes)
	return w
}

// addNode gives a node its network namespace and client.
func (w *net) addNode(t *testing.T, n *node) {
	t.Helper()
	address := fmt.Sprintf(hostPattern, firstHost+len(w.nodes))
	if err := addHost(n.Name, address); err != nil {
		t.Fatal(err)
	}
	var err error
	if n.client, err = client.New(client.Config{Node: "tcp://" + address + ":26657", ChainID: w.chainID}); err != nil {
		t.Fatal(err)
	}
	logs := os.Getenv("BERTH_TESTNET_LOGS") // an existing directory in which the logs are to stay
	if logs == "" {
		logs = w.dir
	}
	n.log = filepath.Join(logs, n.Name+".log")
	w.nodes = append(w.nodes, n)
}

// end stops the senders and the nodes.
func (w *net) end(t *testing.T) {
	w.load.finish(t)
	for _, n := range w.nodes {
		if t.Failed() {
			n.showLog()
		}
		if n.running != nil {
			_ = syscall.Kill(-n.running.Pid, syscall.SIGKILL)
			<-n.ended
		}
	}
}

// oneAway takes one node away for a time and looks how the others do, and how it comes back.
func (w *net) oneAway(t *testing.T, victim *node, wait time.Duration, leave, back func()) {
	t.Helper()
	rest := w.others(victim)
	before, sent := rest[0].mustHeight(t), w.load.count()
	leave()
	hold(t, wait)
	for _, n := range rest {
		n.awaitHeight(t, before+faultBlocks)
	}
	committed := rest[0].mustHeight(t) - before
	gap := w.largestGap(t, rest[0], before, before+committed)
	if w.load.count() == sent {
		t.Error("no transaction was committed meanwhile")
	}
	healed := time.Now()
	back()
	caughtUp := w.awaitCaughtUp(t, victim, rest[0], healed)
	signed := w.awaitSigning(t, victim, rest[0], healed)
	fmt.Printf("%s %s: %s away: %d blocks by the others, largest gap %.1f s, %d transactions; caught up after %.1f s, signs again after %.1f s\n",
		clock(), t.Name(), victim.Name, committed, gap.Seconds(), w.load.count()-sent, caughtUp.Seconds(), signed.Seconds())
	if gap > maxGap {
		t.Errorf("largest gap between blocks %s, want at most %s", gap, maxGap)
	}
	if caughtUp > maxCatchUp {
		t.Errorf("caught up after %s, want at most %s", caughtUp, maxCatchUp)
	}
}

// awaitCaughtUp waits until a node has the newest block of another.
func (w *net) awaitCaughtUp(t *testing.T, n, other *node, since time.Time) time.Duration {
	t.Helper()
	await(t, n.Name+" to catch up", func(ctx context.Context) error {
		head, err := other.height(ctx)
		if err != nil {
			return err
		}
		st, err := n.status(ctx)
		if err != nil {
			return err
		}
		if s := st.SyncInfo; s.CatchingUp || s.LatestBlockHeight < head {
			return fmt.Errorf("it is at height %d of %d, catching up %t", s.LatestBlockHeight, head, s.CatchingUp)
		}
		return nil
	})
	return time.Since(since)
}

// awaitSigning waits until a block that is proposed from now on bears a validator's signature.
func (w *net) awaitSigning(t *testing.T, n, other *node, since time.Time) time.Duration {
	t.Helper()
	st, err := n.status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	next := other.mustHeight(t)
	await(t, "a signature of "+n.Name, func(ctx context.Context) error {
		head, err := other.height(ctx)
		for ; err == nil && next < head; next++ {
			height := next
			commit, err := other.client.RPC().Commit(ctx, &height)
			if err != nil {
				return err
			}
			for _, sig := range commit.Commit.Signatures {
				if sig.BlockIDFlag == cmttypes.BlockIDFlagCommit && bytes.Equal(sig.ValidatorAddress, st.ValidatorInfo.Address) {
					return nil
				}
			}
		}
		return errors.Join(err, fmt.Errorf("none up to height %d", next))
	})
	return time.Since(since)
}

// largestGap is the longest time between two blocks by what the blocks say.
func (w *net) largestGap(t *testing.T, n *node, from, to int64) time.Duration {
	t.Helper()
	var largest time.Duration
	var last time.Time
	for h := from; h <= to; h++ {
		block, err := n.client.RPC().Header(t.Context(), &h)
		if err != nil {
			t.Fatalf("header %d of %s: %v", h, n.Name, err)
		}
		if h > from {
			largest = max(largest, block.Header.Time.Sub(last))
		}
		last = block.Header.Time
	}
	return largest
}

// twoAway: without more than two thirds of the power the chain stands still; it goes on when they are back.
func (w *net) twoAway(t *testing.T) {
	killed, cut := w.nodes[2], w.nodes[3]
	rest := w.others(killed, cut)
	cut.link(t, "down")
	killed.stop(t, syscall.SIGKILL)
	var at []int64
	hold(t, fault/2) // a block that had all its votes before is committed within this time
	for _, n := range rest {
		at = append(at, n.mustHeight(t))
	}
	hold(t, fault)
	for i, n := range rest {
		if h := n.mustHeight(t); h != at[i] {
			t.Errorf("%s went from height %d to %d with two of four away", n.Name, at[i], h)
		}
	}
	healed := time.Now()
	cut.link(t, "up")
	killed.start(t)
	rest[0].awaitHeight(t, slices.Max(at)+1)
	resumed := time.Since(healed)
	fmt.Printf("%s %s: 0 blocks in %s at height %d; goes on %.1f s after", clock(), t.Name(), fault, slices.Max(at), resumed.Seconds())
	for _, n := range []*node{killed, cut} {
		caughtUp := w.awaitCaughtUp(t, n, rest[0], healed)
		fmt.Printf(", %s caught up after %.1f s", n.Name, caughtUp.Seconds())
		w.awaitSigning(t, n, rest[0], healed)
	}
	fmt.Println()
	if resumed > maxCatchUp {
		t.Errorf("went on after %s, want at most %s", resumed, maxCatchUp)
	}
}

// stateSync lets a fifth node join from a snapshot of the others.
func (w *net) stateSync(t *testing.T) {
	n := &node{Name: fmt.Sprintf("node%d", len(w.nodes)), Home: filepath.Join(w.dir, "joined")}
	w.addNode(t, n)
	n.binary = installed("berthd")
	var peers, servers []string
	for _, v := range w.validators() {
		peers = append(peers, v.Peer)
		servers = append(servers, v.client.RPC().Remote())
	}
	w.nodes[0].awaitHeight(t, 3*snapshotInterval)
	var trusted struct {
		TrustHeight int64 `json:"trust_height"`
	}
	began := time.Now()
	n.berthd(t, &trusted, "init", n.Name, "--home", n.Home, "--genesis", w.genesis, "--persistent-peers", strings.Join(peers, ","),
		"--state-sync", strings.Join(servers[:2], ","))
	n.layOutPrograms(t)
	n.binary = n.current()
	// The joining node's settings: an RPC that the test reaches, private addresses.
	n.env = []string{"BERTHD_RPC_LADDR=tcp://0.0.0.0:26657", "BERTHD_P2P_ADDR_BOOK_STRICT=false"}
	n.start(t)
	took := w.awaitCaughtUp(t, n, w.nodes[0], began)
	st, err := n.status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	base := st.SyncInfo.EarliestBlockHeight
	if base <= 1 {
		t.Errorf("%s has all blocks from %d on: it has not started from a snapshot", n.Name, base)
	}
	n.awaitHeight(t, base+2*snapshotInterval) // it follows
	fmt.Printf("%s %s: %s starts at height %d of a snapshot, trusting block %d, and has caught up after %.1f s\n",
		clock(), t.Name(), n.Name, base, trusted.TrustHeight, took.Seconds())
}

// upgrade lets governance schedule an upgrade and carries it out on all nodes.
func (w *net) upgrade(t *testing.T) {
	height := w.schedule(t)
	early := w.nodes[3]
	early.refusesEarly(t)
	w.awaitCaughtUp(t, early, w.nodes[0], time.Now())
	cosmovisor := os.Getenv("BERTH_COSMOVISOR")
	if cosmovisor != "" {
		for _, n := range w.nodes {
			n.cosmovisor(t, cosmovisor)
			w.awaitCaughtUp(t, n, w.others(n)[0], time.Now())
		}
	}
	if head := w.nodes[0].mustHeight(t); head >= height {
		t.Fatalf("the upgrade's height %d has passed, the chain is at %d: the machine is too slow for %d blocks", height, head, upgradeIn)
	}
	sent := w.load.count()
	if cosmovisor == "" {
		for _, n := range w.nodes {
			n.supervise(t, height)
		}
	}
	for _, n := range w.nodes {
		n.awaitHeight(t, height+3)
		var at int64
		await(t, "the upgrade's trace in "+n.Name, func(ctx context.Context) (err error) {
			at, err = n.rehearsed(ctx)
			return err
		})
		if at != height {
			t.Errorf("%s: the upgrade ran at height %d, want %d", n.Name, at, height)
		}
	}
	await(t, "transactions after the upgrade", func(context.Context) error {
		if w.load.count() == sent {
			return errors.New("none yet")
		}
		return nil
	})
	gap := w.largestGap(t, w.nodes[0], height, height+2) // a block's time is that of the votes for the one before
	by := "the test's supervisor"
	if cosmovisor != "" {
		by = cosmovisor
	}
	fmt.Printf("%s %s: %d nodes upgraded at height %d by %s, the chain stood for %.1f s\n", clock(), t.Name(), len(w.nodes), height, by, gap.Seconds())
}

// agree ends the load and compares the nodes: the same app hash at every height, the same money, no invariant broken.
func (w *net) agree(t *testing.T) {
	committed := w.load.finish(t)
	if committed == 0 {
		t.Fatal("no transaction was committed")
	}
	head := int64(0)
	for _, n := range w.nodes {
		head = max(head, n.mustHeight(t))
	}
	head += 2
	compared := 0
	hashes := map[int64]string{}
	for _, n := range w.nodes {
		n.awaitHeight(t, head)
		st, err := n.status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for h := max(st.SyncInfo.EarliestBlockHeight, 1); h < head; h++ {
			hash, err := n.appHash(t.Context(), h)
			if err != nil {
				t.Fatalf("results of block %d of %s: %v", h, n.Name, err)
			}
			if known, ok := hashes[h]; ok && known != hash {
				t.Errorf("%s: app hash %s at height %d, another node has %s", n.Name, hash, h, known)
			}
			hashes[h] = hash
			compared++
		}
		w.load.check(t, n)
		res, err := escrowtypes.NewQueryClient(n.client.Conn()).Invariants(t.Context(), &escrowtypes.QueryInvariantsRequest{})
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range res.Broken {
			t.Errorf("%s: broken invariant: %s", n.Name, line)
		}
	}
	fmt.Printf("%s %s: %d app hashes of %d heights on %d nodes are equal; %d transactions committed, the slowest after %.1f s, %d deployments\n",
		clock(), t.Name(), compared, len(hashes), len(w.nodes), committed, w.load.slowest.Seconds(), len(w.load.deployments))
}

// appHash is what a node computed as the state after a block.
func (n *node) appHash(ctx context.Context, height int64) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	res, err := n.client.RPC().BlockResults(ctx, &height)
	if err != nil {
		return "", err
	}
	if len(res.AppHash) == 0 {
		return "", errors.New("there is no app hash")
	}
	return fmt.Sprintf("%X", res.AppHash), nil
}
