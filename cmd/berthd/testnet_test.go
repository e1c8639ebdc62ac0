package main

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	cmtcfg "github.com/cometbft/cometbft/config"
	dbm "github.com/cosmos/cosmos-db"
	"github.com/spf13/viper"
	"github.com/stretchr/testify/require"

	"cosmossdk.io/log/v2"

	srvcfg "github.com/cosmos/cosmos-sdk/server/config"
	sdk "github.com/cosmos/cosmos-sdk/types"
	genutiltypes "github.com/cosmos/cosmos-sdk/x/genutil/types"
	govv1 "github.com/cosmos/cosmos-sdk/x/gov/types/v1"
	stakingtypes "github.com/cosmos/cosmos-sdk/x/staking/types"

	"berth.dev/berth/app"
	"berth.dev/berth/internal/nodeconfig"
)

// testnetSummary is what testnet -o json prints.
type testnetSummary struct {
	ChainID string          `json:"chain_id"`
	Genesis string          `json:"genesis"`
	Nodes   []describedNode `json:"nodes"`
}

func writeTestTestnet(t *testing.T, args ...string) testnetSummary {
	t.Helper()
	var s testnetSummary
	out := mustRun(t, append([]string{"testnet", "-o", "json"}, args...)...)
	require.NoError(t, json.Unmarshal([]byte(out), &s))
	return s
}

// readConfig reads the configuration of a home as the node does.
func readConfig(t *testing.T, home string) (*cmtcfg.Config, srvcfg.Config) {
	t.Helper()
	v := viper.New()
	v.SetConfigFile(filepath.Join(home, "config", "config.toml"))
	require.NoError(t, v.ReadInConfig())
	comet := cmtcfg.DefaultConfig()
	require.NoError(t, v.Unmarshal(comet))
	v = viper.New()
	v.SetConfigFile(filepath.Join(home, "config", "app.toml"))
	require.NoError(t, v.ReadInConfig())
	node, err := srvcfg.GetConfig(v)
	require.NoError(t, err)
	return comet, node
}

func TestTestnet(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "net")
	rich := sdk.AccAddress(make([]byte, 20)).String()
	s := writeTestTestnet(t, "--output-dir", dir, "--validators", "3", "--full-nodes", "1", "--chain-id", "try-1", "--ports-base", "31000",
		"--block-time", "700ms", "--voting-period", "8s", "--fund", rich+"=5ubrt", "--stake", "42", "--snapshot-interval", "30", "--snapshot-keep", "5")
	require.Len(t, s.Nodes, 4)
	require.Equal(t, "try-1", s.ChainID)
	require.Empty(t, s.Nodes[3].Operator, "a full node has no operator")

	first, err := os.ReadFile(s.Genesis)
	require.NoError(t, err)
	for i, n := range s.Nodes {
		require.Equal(t, filepath.Join(dir, n.Name), n.Home)
		own, err := os.ReadFile(filepath.Join(n.Home, "config", "genesis.json"))
		require.NoError(t, err)
		require.Equal(t, first, own, "all have the same genesis")
		comet, node := readConfig(t, n.Home)
		require.Equal(t, 700*time.Millisecond, comet.Consensus.TimeoutCommit)
		require.Equal(t, "tcp://"+address("127.0.0.1", 31000+10*i), comet.P2P.ListenAddress)
		require.Equal(t, n.RPC, comet.RPC.ListenAddress)
		require.Equal(t, address("127.0.0.1", 31003+10*i), node.GRPC.Address)
		require.Equal(t, address("127.0.0.1", 31004+10*i), comet.Instrumentation.PrometheusListenAddr)
		for j, other := range s.Nodes {
			require.Equal(t, i != j, strings.Contains(comet.P2P.PersistentPeers, other.Peer), "node%d knows node%d", i, j)
		}
		require.Equal(t, nodeconfig.IndexedEvents, node.IndexEvents)
		require.Equal(t, nodeconfig.GasPrice, node.MinGasPrices)
		require.EqualValues(t, 30, node.StateSync.SnapshotInterval)
		require.EqualValues(t, 5, node.StateSync.SnapshotKeepRecent)
		mustRun(t, "genesis", "validate", "--home", n.Home)
	}

	genesis, err := genutiltypes.AppGenesisFromFile(s.Genesis)
	require.NoError(t, err)
	var state struct {
		Gov     struct{ Params json.RawMessage }
		Staking json.RawMessage
	}
	require.NoError(t, json.Unmarshal(genesis.AppState, &state))
	chain := app.New(log.NewNopLogger(), dbm.NewMemDB(), false, noOptions{})
	var params govv1.Params
	require.NoError(t, chain.AppCodec().UnmarshalJSON(state.Gov.Params, &params))
	require.Equal(t, 8*time.Second, *params.VotingPeriod)
	var staking stakingtypes.GenesisState
	require.NoError(t, chain.AppCodec().UnmarshalJSON(state.Staking, &staking))
	require.Len(t, staking.Validators, 3)
	require.EqualValues(t, 42_000_000, staking.Validators[0].Tokens.Int64())
	require.Contains(t, string(first), rich)
}

// TestTestnetSecrets: keys are readable by their owner only, and nothing secret is printed.
func TestTestnetSecrets(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "net")
	out := mustRun(t, "testnet", "--output-dir", dir, "--validators", "1", "--mnemonics")
	mnemonic, err := os.ReadFile(filepath.Join(dir, "node0", mnemonicFile))
	require.NoError(t, err)
	words := strings.Fields(string(mnemonic))
	require.Len(t, words, 24)
	require.NotContains(t, out, strings.Join(words[:3], " "))
	require.NoError(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		require.NoError(t, err)
		info, err := d.Info()
		require.NoError(t, err)
		switch {
		case d.IsDir():
			require.Equal(t, fs.FileMode(0o700), info.Mode().Perm(), path)
		case filepath.Ext(path) != ".toml":
			require.Equal(t, fs.FileMode(0o600), info.Mode().Perm(), path)
		}
		return nil
	}))
	require.NoFileExists(t, filepath.Join(writeTestTestnet(t, "--output-dir", filepath.Join(t.TempDir(), "n"), "--validators", "1").Nodes[0].Home, mnemonicFile))
}

func TestTestnetOnMachines(t *testing.T) {
	s := writeTestTestnet(t, "--output-dir", filepath.Join(t.TempDir(), "net"), "--validators", "2", "--host", "10.0.0.%d", "--host-first", "11", "--rpc-listen", "0.0.0.0")
	require.Equal(t, s.Nodes[1].NodeID+"@10.0.0.12:26656", s.Nodes[1].Peer)
	comet, _ := readConfig(t, s.Nodes[1].Home)
	require.Equal(t, "tcp://0.0.0.0:26656", comet.P2P.ListenAddress)
	require.Equal(t, "10.0.0.12:26656", comet.P2P.ExternalAddress)
	require.Equal(t, "tcp://0.0.0.0:26657", comet.RPC.ListenAddress)
	require.Equal(t, "tcp://127.0.0.1:26657", s.Nodes[1].RPC, "the client commands of the machine itself")
	require.Equal(t, s.Nodes[0].Peer, comet.P2P.PersistentPeers)
	require.False(t, comet.P2P.AllowDuplicateIP)
}

func TestTestnetRefusals(t *testing.T) {
	for name, tc := range map[string]struct {
		args []string
		want string
	}{
		"no validator":      {[]string{"--validators", "0"}, "not in 1..100"},
		"too many":          {[]string{"--validators", "99", "--full-nodes", "2"}, "100 nodes in all"},
		"a foreign format":  {[]string{"-o", "yaml"}, "neither text nor json"},
		"a directory as -o": {[]string{"--output", "net"}, "--output-dir names the directory"},
		"no chain id":       {[]string{"--chain-id", ""}, "empty"},
		"no time":           {[]string{"--block-time", "0s"}, "not positive"},
		"a short vote":      {[]string{"--voting-period", "1s"}, "shorter than 2s"},
		"no stake":          {[]string{"--stake", "0"}, "whole tokens"},
		"no snapshot kept":  {[]string{"--snapshot-keep", "0"}, "at least 1"},
		"foreign pruning":   {[]string{"--pruning", "custom"}, "none of"},
		"no address":        {[]string{"--rpc-listen", "localhost"}, "not an IP address"},
		"ports too high":    {[]string{"--ports-base", "65500"}, "1024..65535"},
		"ports too low":     {[]string{"--ports-base", "1000"}, "1024..65535"},
		"one host for all":  {[]string{"--host", "example.com"}, "one %d"},
		"a foreign verb":    {[]string{"--host", "val%s.example.com"}, "one %d"},
		"a bad address":     {[]string{"--fund", "berth1x=5ubrt"}, "berth1x"},
		"a bad gas price":   {[]string{"--min-gas-price", "cheap"}, "--min-gas-price"},
	} {
		t.Run(name, func(t *testing.T) {
			above := t.TempDir()
			_, _, err := run(append([]string{"testnet", "--output-dir", filepath.Join(above, "net")}, tc.args...)...)
			require.ErrorContains(t, err, tc.want)
			entries, err := os.ReadDir(above)
			require.NoError(t, err)
			require.Empty(t, entries, "nothing is written")
		})
	}
}

// TestTestnetKeeps: what stands in the directory is never touched.
func TestTestnetKeeps(t *testing.T) {
	above := t.TempDir()
	dir := filepath.Join(above, "net")
	writeTestTestnet(t, "--output-dir", dir, "--validators", "1")
	genesis, err := os.ReadFile(filepath.Join(dir, "node0", "config", "genesis.json"))
	require.NoError(t, err)
	_, _, err = run("testnet", "--output-dir", dir, "--validators", "1")
	require.ErrorIs(t, err, errOutputInUse)
	again, err := os.ReadFile(filepath.Join(dir, "node0", "config", "genesis.json"))
	require.NoError(t, err)
	require.Equal(t, genesis, again)
	entries, err := os.ReadDir(above)
	require.NoError(t, err)
	require.Len(t, entries, 1, "nothing is left of the refused one")

	empty := filepath.Join(above, "empty")
	require.NoError(t, os.Mkdir(empty, 0o700))
	writeTestTestnet(t, "--output-dir", empty, "--validators", "1")
}
