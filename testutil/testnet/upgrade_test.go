//go:build testnet

package testnet

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	// rehearsal is the upgrade that nextProgram knows. The program has the same name: its environment variables have it
	// as their prefix.
	rehearsal   = "rehearsal"
	nextProgram = "rehearsal/berthd"
	// votingPeriod is that of the network's genesis, upgradeIn how many blocks from now the upgrade is scheduled: the
	// vote must have ended by then.
	votingPeriod = 30 * time.Second
	upgradeIn    = 100
)

// upgradeInfo is the file by which a node tells its supervisor that it needs another program.
func (n *node) upgradeInfo() string { return filepath.Join(n.Home, "data", "upgrade-info.json") }

// layOutPrograms puts the programs where cosmovisor has them: genesis, the one after the upgrade, and the current one.
func (n *node) layOutPrograms(t *testing.T) {
	t.Helper()
	root := filepath.Join(n.Home, "cosmovisor")
	for dir, program := range map[string]string{"genesis": "berthd", "upgrades/" + rehearsal: nextProgram} {
		bin := filepath.Join(root, dir, "bin")
		if err := os.MkdirAll(bin, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(installed(program), filepath.Join(bin, "berthd")); err != nil {
			t.Fatal(err)
		}
	}
	n.switchTo(t, "genesis")
}

// switchTo makes a program the current one.
func (n *node) switchTo(t *testing.T, dir string) {
	t.Helper()
	root := filepath.Join(n.Home, "cosmovisor")
	next := filepath.Join(root, "next")
	if err := errors.Join(os.Symlink(filepath.Join(root, dir), next), os.Rename(next, filepath.Join(root, "current"))); err != nil {
		t.Fatal(err)
	}
}

// current is the program that runs now.
func (n *node) current() string {
	return filepath.Join(n.Home, "cosmovisor", "current", "bin", "berthd")
}

// cosmovisor makes the node run under the real cosmovisor.
func (n *node) cosmovisor(t *testing.T, program string) {
	t.Helper()
	n.stop(t, syscall.SIGTERM)
	n.binary, n.args = program, []string{"run"}
	n.env = append(n.env,
		"DAEMON_NAME=berthd", "DAEMON_HOME="+n.Home, "DAEMON_ALLOW_DOWNLOAD_BINARIES=false",
		"DAEMON_RESTART_AFTER_UPGRADE=true", "DAEMON_POLL_INTERVAL=300ms", "UNSAFE_SKIP_BACKUP=true",
	)
	n.start(t)
}

// supervise does what cosmovisor does: it waits for the file, ends the node, puts the next program in its place, asks it
// for preparations, and starts it.
func (n *node) supervise(t *testing.T, height int64) {
	t.Helper()
	await(t, "upgrade-info.json of "+n.Name, func(context.Context) error {
		data, err := os.ReadFile(n.upgradeInfo())
		if err != nil {
			return err
		}
		var info struct {
			Name   string
			Height int64
		}
		if err := json.Unmarshal(data, &info); err != nil {
			return err
		}
		if info.Name != rehearsal || info.Height != height {
			return fmt.Errorf("it says %+v", info)
		}
		return nil
	})
	// The block of that height is stored, but its transactions are not executed.
	if info, err := n.client.RPC().ABCIInfo(t.Context()); err == nil && info.Response.LastBlockHeight != height-1 {
		t.Errorf("%s executed block %d without the upgrade at %d", n.Name, info.Response.LastBlockHeight, height)
	}
	if !n.hasEnded() {
		n.signal(t, syscall.SIGTERM)
	}
	n.awaitEnd(t)
	n.switchTo(t, "upgrades/"+rehearsal)
	out, err := exec.Command(n.current(), "pre-upgrade").CombinedOutput()
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 1) { // 1 says that there is nothing to prepare
		t.Errorf("pre-upgrade: %v: %s", err, out)
	}
	n.binary = n.current()
	n.start(t)
}

// schedule passes a proposal for the upgrade and returns its height.
func (w *net) schedule(t *testing.T) int64 {
	t.Helper()
	proposer := w.nodes[0]
	height := proposer.mustHeight(t) + upgradeIn
	w.tx(t, proposer, "upgrade", "software-upgrade", rehearsal, "--upgrade-height", strconv.FormatInt(height, 10),
		"--title", "A rehearsal", "--summary", "Does the network survive it?", "--deposit", "10000000ubrt", "--no-validate")
	for _, n := range w.validators() {
		w.tx(t, n, "gov", "vote", "1", "yes")
	}
	return height
}

// tx sends a transaction of a validator's operator with the node's own program, and waits until it is in a block.
func (w *net) tx(t *testing.T, n *node, args ...string) {
	t.Helper()
	var sent struct {
		TxHash string `json:"txhash"`
		Code   uint32 `json:"code"`
		RawLog string `json:"raw_log"`
	}
	n.berthd(t, &sent, append(append([]string{"tx"}, args...), "--from", "validator", "--home", n.Home, "--gas", "400000",
		"--gas-prices", "0.0025ubrt", "--yes", "-o", "json")...)
	if sent.Code != 0 {
		t.Fatalf("tx %s: %s", strings.Join(args, " "), sent.RawLog)
	}
	n.berthd(t, &sent, "wait-tx", sent.TxHash, "--home", n.Home, "--timeout", "60s", "-o", "json")
	if sent.Code != 0 {
		t.Fatalf("tx %s: %s", strings.Join(args, " "), sent.RawLog)
	}
}

// refusesEarly: the next program does not run before the upgrade's height.
func (n *node) refusesEarly(t *testing.T) {
	t.Helper()
	n.stop(t, syscall.SIGTERM)
	before, err := os.Stat(n.log)
	if err != nil {
		t.Fatal(err)
	}
	n.binary = installed(nextProgram)
	n.start(t)
	await(t, "the next program to refuse", func(context.Context) error {
		data, err := os.ReadFile(n.log)
		if err != nil {
			return err
		}
		said := string(data[before.Size():])
		for _, refusal := range []string{"new stores should be added using StoreUpgrades", "BINARY UPDATED BEFORE TRIGGER"} {
			if i := strings.Index(said, refusal); i >= 0 {
				line := said[strings.LastIndexByte(said[:i], '\n')+1:]
				line, _, _ = strings.Cut(line, "\n")
				fmt.Printf("%s the next program before its height: %s\n", clock(), line)
				return nil
			}
		}
		return errors.New("it has not said so")
	})
	if !n.hasEnded() {
		n.signal(t, syscall.SIGKILL)
	}
	n.awaitEnd(t)
	n.binary = n.current()
	n.start(t)
}

// rehearsed reads what the upgrade left in the state: the height at which it ran.
func (n *node) rehearsed(ctx context.Context) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	res, err := n.client.RPC().ABCIQuery(ctx, "/store/"+rehearsal+"/key", []byte("height"))
	if err != nil {
		return 0, err
	}
	if r := res.Response; r.Code != 0 || len(r.Value) != 8 {
		return 0, fmt.Errorf("%s: %d bytes: %s", n.Name, len(r.Value), r.Log)
	}
	return int64(binary.BigEndian.Uint64(res.Response.Value)), nil
}
