package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cosmos/gogoproto/proto"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/reflect/protoreflect"

	servercmd "github.com/cosmos/cosmos-sdk/server/cmd"
	sdk "github.com/cosmos/cosmos-sdk/types"
	genutiltypes "github.com/cosmos/cosmos-sdk/x/genutil/types"

	"berth.dev/berth/app"
	"berth.dev/berth/internal/nodeconfig"
	"berth.dev/berth/manifest"
	"berth.dev/berth/testutil/chaintest"
	deploymenttypes "berth.dev/berth/x/deployment/types"
)

// run executes one command line.
func run(args ...string) (stdout, stderr string, err error) {
	var out, errs bytes.Buffer
	root := newRootCommand()
	root.SetOut(&out)
	root.SetErr(&errs)
	root.SetArgs(args)
	err = servercmd.Execute(root, app.EnvPrefix, app.DefaultHome())
	return out.String(), errs.String(), err
}

// mustRun executes a command line that must succeed.
func mustRun(t *testing.T, args ...string) string {
	t.Helper()
	stdout, stderr, err := run(args...)
	require.NoError(t, err, "berthd %s: %s", strings.Join(args, " "), stderr)
	return stdout
}

// TestIndexedEvents: the list of indexed attributes is every id of every event, and nothing else.
func TestIndexedEvents(t *testing.T) {
	noID := map[protoreflect.Name]bool{"floor": true}
	var want []string
	proto.HybridResolver.RangeFiles(func(file protoreflect.FileDescriptor) bool {
		if !strings.HasPrefix(string(file.Package()), "berth.") {
			return true
		}
		for i := range file.Messages().Len() {
			message := file.Messages().Get(i)
			if !strings.HasPrefix(string(message.Name()), "Event") {
				continue
			}
			for j := range message.Fields().Len() {
				if field := message.Fields().Get(j); field.Kind() != protoreflect.MessageKind && !noID[field.Name()] {
					want = append(want, fmt.Sprintf("%s.%s", message.FullName(), field.Name()))
				}
			}
		}
		return true
	})
	require.NotEmpty(t, want)
	slices.Sort(want)
	var got []string
	for _, key := range nodeconfig.IndexedEvents {
		if strings.HasPrefix(key, "berth.") {
			got = append(got, key)
		}
	}
	require.Equal(t, want, got)
}

func TestInit(t *testing.T) {
	home := filepath.Join(t.TempDir(), "home")
	out := mustRun(t, "init", "me", "--chain-id", "berth-1", "--home", home)
	require.Contains(t, out, `"chain_id": "berth-1"`)
	toml, err := os.ReadFile(filepath.Join(home, "config", "app.toml"))
	require.NoError(t, err)
	require.Contains(t, string(toml), "berth.market.v1.EventBidCreated.owner")
	require.Contains(t, string(toml), `minimum-gas-prices = "0.0025ubrt"`)
	genesis, err := genutiltypes.AppGenesisFromFile(filepath.Join(home, "config", "genesis.json"))
	require.NoError(t, err)
	require.EqualValues(t, app.MaxBlockBytes, genesis.Consensus.Params.Block.MaxBytes)
	mustRun(t, "genesis", "validate", "--home", home)

	_, _, err = run("init", "me", "--chain-id", "berth-2", "--home", home)
	require.ErrorIs(t, err, errHomeInUse)
	mustRun(t, "init", "me", "--chain-id", "berth-2", "--home", home, "--overwrite")
}

func TestDevnetInit(t *testing.T) {
	home := t.TempDir()
	rich := sdk.AccAddress(make([]byte, 20)).String()
	start := time.Now()
	out := mustRun(t, "devnet", "init", "--home", home, "--validators", "3", "--rpc", "tcp://127.0.0.1:40000", "--block-time", "200ms",
		"--fund", rich+"=5ubrt")
	t.Logf("three homes in %s", time.Since(start).Round(time.Millisecond))
	var described struct {
		Nodes []struct{ Home, RPC string }
	}
	require.NoError(t, json.Unmarshal([]byte(out), &described))
	require.Len(t, described.Nodes, 3)
	require.Equal(t, "tcp://127.0.0.1:40020", described.Nodes[2].RPC)
	first, err := os.ReadFile(filepath.Join(home, "node0", "config", "genesis.json"))
	require.NoError(t, err)
	third, err := os.ReadFile(filepath.Join(home, "node2", "config", "genesis.json"))
	require.NoError(t, err)
	require.Equal(t, first, third)
	require.Contains(t, string(first), rich)
	config, err := os.ReadFile(filepath.Join(home, "node1", "config", "config.toml"))
	require.NoError(t, err)
	require.Contains(t, string(config), "@127.0.0.1:40019")
	require.Contains(t, string(config), `timeout_commit = "200ms"`)
}

func TestDevnetInitRefusals(t *testing.T) {
	for name, tc := range map[string]struct {
		args []string
		want string
	}{
		"no validator":       {[]string{"--validators", "0"}, "not in 1..20"},
		"too many":           {[]string{"--validators", "21"}, "not in 1..20"},
		"no time":            {[]string{"--block-time", "0s"}, "not positive"},
		"no coins":           {[]string{"--fund", "berth1x"}, "ADDRESS=COINS"},
		"a bad address":      {[]string{"--fund", "berth1x=5ubrt"}, "berth1x"},
		"a bad RPC":          {[]string{"--rpc", "localhost:1"}, "tcp://HOST:PORT"},
		"ports beyond range": {[]string{"--rpc", "tcp://127.0.0.1:65530", "--validators", "2"}, "no ports"},
	} {
		t.Run(name, func(t *testing.T) {
			home := filepath.Join(t.TempDir(), "home")
			_, _, err := run(append([]string{"devnet", "init", "--home", home}, tc.args...)...)
			require.ErrorContains(t, err, tc.want)
			require.NoDirExists(t, home, "nothing is written")
		})
	}
}

// TestDocumentCommands opens a deployment of a document and updates it: an unchanged document keeps its hash.
func TestDocumentCommands(t *testing.T) {
	n := chaintest.Start(t, chaintest.Options{})
	home, out := t.TempDir(), filepath.Join(t.TempDir(), "manifest.json")
	query := []string{"--home", home, "--node", n.RPCAddr}
	tx := append(query[:4:4], "--keyring-backend", "test", "--chain-id", n.ChainID, "--from", "k0", "--yes", "--gas", "400000")
	mustRun(t, "keys", "import-hex", "k0", fmt.Sprintf("%x", n.Keys[0].Key), "--home", home, "--keyring-backend", "test")

	mustRun(t, append([]string{"tx", "deployment", "create", "testdata/hello.yaml", "--deposit", "600000ubrt", "--dseq", "7",
		"--auction", "lowest", "--window", "5", "--manifest-out", out}, tx...)...)
	id := deploymenttypes.DeploymentID{Owner: n.Addr(0).String(), Dseq: 7}
	var d deploymenttypes.Deployment
	n.WaitFor(t, "the deployment", func() bool {
		var err error
		d, err = n.App.DeploymentKeeper.Deployment(n.Context(t), id)
		return err == nil
	})
	require.Equal(t, deploymenttypes.Auction{Mode: deploymenttypes.AUCTION_MODE_LOWEST, Window: 5}, d.Auction)
	sealed := readSealed(t, out)
	require.Equal(t, fmt.Sprintf("%x", d.ManifestHash), sealed.Root)
	group, err := manifest.Open(sealed.Envelopes[0], d.ManifestHash)
	require.NoError(t, err, "the file holds what the provider is to be sent")
	require.Equal(t, "anywhere", group.Name)
	info, err := os.Stat(out)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm(), "it holds secrets")

	require.Contains(t, mustRun(t, append([]string{"query", "deployment", "deployment", id.Owner, "7", "-o", "json"}, query...)...), "DEPLOYMENT_STATE_ACTIVE")
	mustRun(t, append([]string{"tx", "deployment", "update", "7", "testdata/hello.yaml", "--salts-file", out, "--manifest-out", out + "2"}, tx...)...)
	require.Equal(t, sealed.Root, readSealed(t, out+"2").Root)
	mustRun(t, append([]string{"tx", "deployment", "update", "7", "testdata/split/deploy.yaml", "--salts-file", out, "--manifest-out", out + "2", "--generate-only"}, tx...)...)
	require.Equal(t, sealed.Root, readSealed(t, out+"2").Root, "the same document in three files")
	mustRun(t, append([]string{"tx", "deployment", "update", "7", "testdata/hello.yaml", "--manifest-out", out + "3", "--generate-only"}, tx...)...)
	require.NotEqual(t, sealed.Root, readSealed(t, out+"3").Root, "new salts, new hash")
}

func TestBadDocument(t *testing.T) {
	bad := filepath.Join(t.TempDir(), "bad.yaml")
	require.NoError(t, os.WriteFile(bad, []byte("version: \"1.0\"\nservices: {web: {imag: x}}\n"), 0o600))
	home := t.TempDir()
	mustRun(t, "keys", "add", "k", "--home", home, "--keyring-backend", "test")
	_, stderr, err := run("tx", "deployment", "create", bad, "--deposit", "1ubrt", "--from", "k", "--home", home, "--keyring-backend", "test", "--chain-id", "x")
	require.ErrorIs(t, err, errBadDocument)
	require.Contains(t, stderr, "bad.yaml:2:")
	require.Contains(t, stderr, "imag")

	require.NoError(t, os.WriteFile(bad, []byte("version: \"1.0\"\ninclude: ../good.yaml\n"), 0o600))
	_, stderr, err = run("tx", "deployment", "create", bad, "--deposit", "1ubrt", "--from", "k", "--home", home, "--keyring-backend", "test", "--chain-id", "x")
	require.ErrorIs(t, err, errBadDocument)
	require.Contains(t, stderr, "bad.yaml:2:10: error: include: file \"../good.yaml\" cannot be read: it lies outside the document's directory [E-INCLUDE]")
}

func readSealed(t *testing.T, name string) manifest.Sealed {
	t.Helper()
	bz, err := os.ReadFile(name)
	require.NoError(t, err)
	var s manifest.Sealed
	require.NoError(t, json.Unmarshal(bz, &s))
	return s
}
