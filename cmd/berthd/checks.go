package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	cmtjson "github.com/cometbft/cometbft/libs/json"
	"github.com/cometbft/cometbft/p2p"
	"github.com/cometbft/cometbft/privval"

	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/cosmos-sdk/version"
	genutiltypes "github.com/cosmos/cosmos-sdk/x/genutil/types"
)

// The bounds of the checks.
const (
	gib = 1 << 30
	// Below diskFail or one fiftieth the node will soon stop, below diskWarn or one tenth it is time to act.
	diskFail, diskWarn = 2 * gib, 20 * gib
	// A block is flushed several times: slower disks than these hold up the network.
	slowRate  = 50 << 20
	slowFlush = 30 * time.Millisecond
	// The databases of a node keep some hundred files open, and peers and clients take more.
	filesFail, filesWarn = 1024, 4096
	// skewFail is how far a block may lie in the future; CometBFT's own tolerance is larger.
	skewFail = 2 * time.Second
	// staleBlock is how old the newest block may be.
	staleBlock = 30 * time.Second
	// fewPeers is how many peers are too few to lose one.
	fewPeers = 2
)

// checkConfig looks for settings that CometBFT or the app refuse, and for those that hurt.
func (d *doctor) checkConfig() {
	bad := len(d.findings)
	if err := d.comet.ValidateBasic(); err != nil {
		d.fail("config", "correct it in config/config.toml", "config.toml: %v", err)
	}
	if err := d.app.ValidateBasic(); err != nil {
		d.fail("config", "correct it in config/app.toml; minimum-gas-prices = \"0.0025ubrt\" is the default", "app.toml: %v", err)
	} else if prices, err := sdk.ParseDecCoins(d.app.MinGasPrices); err != nil {
		d.fail("config", "correct it in config/app.toml", "minimum-gas-prices: %v", err)
	} else if prices.IsZero() {
		d.warn("config", "set minimum-gas-prices in config/app.toml, unless this is a devnet", "transactions are taken for nothing: minimum-gas-prices is %q", d.app.MinGasPrices)
	}
	if c := d.comet.Consensus; c.TimeoutCommit < 100*time.Millisecond || c.TimeoutCommit > 10*time.Second {
		d.warn("config", "take the network's block time for timeout_commit in config/config.toml", "timeout_commit is %s", c.TimeoutCommit)
	} else if c.TimeoutPropose < 2*c.TimeoutCommit && c.TimeoutPropose < time.Second {
		d.warn("config", "raise timeout_propose in config/config.toml, 3s is the default", "timeout_propose is %s: slow proposals will be missed", c.TimeoutPropose)
	}
	if d.comet.P2P.PersistentPeers == "" && d.comet.P2P.Seeds == "" && !d.comet.P2P.PexReactor {
		d.warn("config", "name some nodes in persistent_peers in config/config.toml", "the node knows no peer and may not look for any")
	}
	if len(d.findings) == bad {
		d.ok("config", "config.toml and app.toml are sound")
	}
}

// checkKeys looks at who may read the keys, and whether the memory of what was signed is there.
func (d *doctor) checkKeys() {
	bad := len(d.findings)
	signer := d.comet.PrivValidatorListenAddr != ""
	for _, key := range []struct {
		path   string
		needed bool
	}{{d.comet.NodeKeyFile(), true}, {d.comet.PrivValidatorKeyFile(), !signer}, {d.comet.PrivValidatorStateFile(), !signer}} {
		info, err := os.Stat(key.path)
		name := filepath.Base(key.path)
		switch {
		case errors.Is(err, fs.ErrNotExist) && !key.needed:
		case errors.Is(err, fs.ErrNotExist):
			d.fail("keys", "restore it from the backup; never start a validator whose priv_validator_state.json is lost before all its older signatures are surely behind", "%s is missing", name)
		case err != nil:
			d.fail("keys", "make it readable for the user that runs berthd", "%s: %v", name, err)
		case info.Mode().Perm()&0o077 != 0:
			d.fail("keys", "chmod 600 "+key.path, "%s may be read by others: its mode is %04o", name, info.Mode().Perm())
		}
	}
	if key, err := p2p.LoadNodeKey(d.comet.NodeKeyFile()); err == nil {
		d.own = key.ID()
	}
	d.checkSigned(signer)
	if len(d.findings) == bad {
		d.ok("keys", "only their owner can read them; this node is %s", d.own)
	}
}

// checkSigned compares the memory of what was signed with what is stored: a node that has blocks but has signed nothing
// may be a copy.
func (d *doctor) checkSigned(signer bool) {
	if signer {
		d.ok("signer", "blocks are signed by %s", d.comet.PrivValidatorListenAddr)
		return
	}
	data, err := os.ReadFile(d.comet.PrivValidatorStateFile())
	if err != nil {
		return // told above
	}
	var last privval.FilePVLastSignState
	if err := cmtjson.Unmarshal(data, &last); err != nil {
		d.fail("keys", "restore it from the backup", "priv_validator_state.json cannot be read: %v", err)
		return
	}
	if _, err := os.Stat(filepath.Join(d.comet.DBDir(), "blockstore.db")); err == nil && last.Height == 0 {
		d.warn("double sign", "fine for a full node; a validator must know for certain that its key signs nowhere else", "there are blocks, but this home has signed none")
		return
	}
	d.ok("double sign", "the last signature was at height %d", last.Height)
}

// checkRunning tells whether the node runs, and whether what answers is this node.
func (d *doctor) checkRunning() {
	switch {
	case d.status == nil:
		d.ok("node", "it does not run, or its RPC at %s does not answer", d.rpc)
	case d.own != "" && d.status.NodeInfo.ID() != d.own:
		d.fail("node", "give this node ports of its own, or name its RPC with --node", "at %s another node answers, %s", d.rpc, d.status.NodeInfo.ID())
		d.status, d.info, d.peers, d.client = nil, nil, nil, nil
	case d.status.SyncInfo.CatchingUp:
		d.warn("node", "wait; if its height does not rise, look at its peers and its log", "it is catching up, at height %d", d.status.SyncInfo.LatestBlockHeight)
	default:
		d.ok("node", "it runs and follows, at height %d, with a voting power of %d", d.status.SyncInfo.LatestBlockHeight, d.status.ValidatorInfo.VotingPower)
	}
}

// checkGenesis compares the file with what the running node has.
func (d *doctor) checkGenesis(ctx context.Context) {
	genesis, err := genutiltypes.AppGenesisFromFile(d.comet.GenesisFile())
	if err != nil {
		d.fail("genesis", "replace config/genesis.json by the chain's", "%v", err)
		return
	}
	doc, err := genesis.ToGenesisDoc()
	if err != nil {
		d.fail("genesis", "replace config/genesis.json by the chain's", "%v", err)
		return
	}
	file, err := os.ReadFile(d.comet.GenesisFile())
	if err != nil {
		d.fail("genesis", "make config/genesis.json readable", "%v", err)
		return
	}
	if d.status != nil && d.status.NodeInfo.Network != doc.ChainID {
		d.fail("genesis", "put the file back with which the node was started", "the file is of %q, the node runs %q", doc.ChainID, d.status.NodeInfo.Network)
		return
	}
	if d.client != nil {
		ctx, cancel := context.WithTimeout(ctx, askTimeout)
		defer cancel()
		res, err := d.client.RPC().Genesis(ctx)
		if err != nil {
			d.warn("genesis", "a large genesis is not served whole; compare the file's hash with other validators'", "the node does not tell its genesis: %v", err)
			return
		}
		if same, err := sameJSON(doc, res.Genesis); err != nil || !same {
			d.fail("genesis", "put the file back with which the node was started", "the file differs from the genesis that the node runs")
			return
		}
	}
	d.ok("genesis", "%s, sha256 of the file %x", doc.ChainID, sha256.Sum256(file))
}

func sameJSON(a, b any) (bool, error) {
	x, errA := cmtjson.Marshal(a)
	y, errB := cmtjson.Marshal(b)
	return string(x) == string(y), errors.Join(errA, errB)
}

// checkPorts: while the node runs something listens on its ports, otherwise they are free.
func (d *doctor) checkPorts() {
	bad := len(d.findings)
	ports := []struct {
		name, address string
		on            bool
	}{
		{"peers", d.comet.P2P.ListenAddress, true},
		{"RPC", d.comet.RPC.ListenAddress, d.comet.RPC.ListenAddress != ""},
		{"gRPC", d.app.GRPC.Address, d.app.GRPC.Enable},
		{"API", d.app.API.Address, d.app.API.Enable},
		{"metrics", d.comet.Instrumentation.PrometheusListenAddr, d.comet.Instrumentation.Prometheus},
	}
	var looked []string
	for _, p := range ports {
		if !p.on || strings.HasPrefix(p.address, "unix:") {
			continue
		}
		looked = append(looked, fmt.Sprintf("%s %s", p.name, strings.TrimPrefix(p.address, "tcp://")))
		if d.status != nil {
			if err := d.listening(strings.TrimPrefix(localAddress(p.address), "tcp://")); err != nil {
				d.fail("ports", "look in the log why it does not listen; the configuration may be newer than the process", "the node runs, but nobody listens for %s: %v", p.name, err)
			}
		} else if err := d.free(strings.TrimPrefix(p.address, "tcp://")); err != nil {
			d.fail("ports", "end what listens there, or change the address in config/", "the node does not run, and the address for %s is taken: %v", p.name, err)
		}
	}
	if len(d.findings) == bad {
		d.ok("ports", "%s", strings.Join(looked, ", "))
	}
}

// checkDisk looks at the file system of the data directory.
func (d *doctor) checkDisk() {
	dir := d.comet.DBDir()
	free, total, err := d.disk(dir)
	if err != nil {
		d.fail("disk", "make the data directory readable for the user that runs berthd", "%v", err)
		return
	}
	const next = "free some, grow the volume, or keep fewer states (pruning in config/app.toml, `berthd prune`)"
	switch left := fmt.Sprintf("%.1f GiB of %.1f GiB are free", float64(free)/gib, float64(total)/gib); {
	case free < diskFail || free < total/50:
		d.fail("disk", next, "%s", left)
	case free < diskWarn || free < total/10:
		d.warn("disk", next, "%s", left)
	default:
		d.ok("disk", "%s", left)
	}
	if free < 64<<20 {
		return // what is left belongs to the node
	}
	rate, flush, err := d.write(dir)
	switch {
	case err != nil:
		d.fail("disk speed", "make the data directory writable for the user that runs berthd", "%v", err)
	case rate < slowRate || flush > slowFlush:
		d.warn("disk speed", "use a local SSD; a slow disk makes the validator miss blocks", "%.0f MiB/s, %s for a flushed write", rate/(1<<20), flush.Round(10*time.Microsecond))
	default:
		d.ok("disk speed", "%.0f MiB/s, %s for a flushed write", rate/(1<<20), flush.Round(10*time.Microsecond))
	}
}

// checkOpenFiles looks at the limit that a node started from here would have.
func (d *doctor) checkOpenFiles() {
	limit, err := d.openFiles()
	const next = "set LimitNOFILE=65536 in the service, or `ulimit -n 65536` before berthd"
	switch {
	case err != nil:
		d.warn("open files", next, "the limit is unknown: %v", err)
	case limit < filesFail:
		d.fail("open files", next, "a process may open %d", limit)
	case limit < filesWarn:
		d.warn("open files", next, "a process may open %d", limit)
	default:
		d.ok("open files", "a process may open %d", limit)
	}
}

// checkClock compares the clock with the newest block, whose time is agreed on by the validators.
func (d *doctor) checkClock() {
	if d.status == nil || d.status.SyncInfo.LatestBlockHeight == 0 {
		d.ok("clock", "nothing to compare it with while the node does not run")
		return
	}
	age := d.now().Sub(d.status.SyncInfo.LatestBlockTime)
	switch {
	case age < -skewFail:
		d.fail("clock", "let chrony or systemd-timesyncd set the clock", "it is behind: the newest block is %s ahead of it", (-age).Round(time.Millisecond))
	case d.status.SyncInfo.CatchingUp:
		d.ok("clock", "not ahead of the blocks seen so far")
	case age > staleBlock:
		d.warn("clock", "if other nodes have newer blocks, look at the peers; if not, the chain stands still; otherwise set the clock", "the newest block is %s old", age.Round(time.Second))
	default:
		d.ok("clock", "the newest block is %s old", age.Round(time.Millisecond))
	}
}

func (d *doctor) checkPeers() {
	if d.peers == nil {
		return
	}
	const next = "name more nodes in persistent_peers in config/config.toml, and let port 26656 through the firewall"
	switch n := d.peers.NPeers; {
	case n == 0 && d.status.ValidatorInfo.VotingPower > 0 && !d.status.SyncInfo.CatchingUp && d.now().Sub(d.status.SyncInfo.LatestBlockTime) < staleBlock:
		d.warn("peers", next, "none, and blocks come: this is the only validator")
	case n == 0:
		d.fail("peers", next, "none")
	case n <= fewPeers:
		d.warn("peers", next, "%d", n)
	default:
		d.ok("peers", "%d", n)
	}
}

// checkVersions compares this program with the one that runs, and with the peers'.
func (d *doctor) checkVersions() {
	own := fmt.Sprintf("berthd %s, %s", version.Version, runtime.Version())
	bad := len(d.findings)
	if d.info != nil && d.info.Response.Version != version.Version {
		d.warn("versions", "restart the node if the program was replaced on purpose", "the node runs %s, this is %s", d.info.Response.Version, own)
	}
	if d.status != nil && d.peers != nil {
		other := map[uint64]int{}
		for _, p := range d.peers.Peers {
			if block := p.NodeInfo.ProtocolVersion.Block; block != d.status.NodeInfo.ProtocolVersion.Block {
				other[block]++
			}
		}
		for block, n := range other {
			d.warn("versions", "ask the other validators which release the network runs", "%d of %d peers speak block protocol %d, this node %d", n, d.peers.NPeers, block, d.status.NodeInfo.ProtocolVersion.Block)
		}
	}
	if len(d.findings) == bad {
		d.ok("versions", "%s", own)
	}
}
