package main

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"berth.dev/berth/testutil/chaintest"
)

// TestInitJoins: a node that joins takes the chain's genesis, its peers, and a block that its servers agree on.
func TestInitJoins(t *testing.T) {
	dir := t.TempDir()
	peer := strings.Repeat("ab", 20) + "@10.0.0.1:26656"
	theirs := writeTestTestnet(t, "--output-dir", filepath.Join(dir, "net"), "--validators", "1", "--chain-id", "berth-test")
	home := filepath.Join(dir, "joined")
	out := mustRun(t, "init", "me", "--home", home, "--genesis", theirs.Genesis, "--persistent-peers", peer)
	require.Contains(t, out, `"chain_id": "berth-test"`)
	require.NotContains(t, out, "trust_height")
	comet, _ := readConfig(t, home)
	require.Equal(t, peer, comet.P2P.PersistentPeers)
	require.False(t, comet.StateSync.Enable)

	one, other := chaintest.Start(t, chaintest.Options{}), chaintest.Start(t, chaintest.Options{})
	one.WaitHeight(t, 3)
	synced := filepath.Join(dir, "synced")
	out = mustRun(t, "init", "me", "--home", synced, "--genesis", theirs.Genesis, "--state-sync", one.RPCAddr+","+one.RPCAddr)
	var said struct {
		TrustHeight int64  `json:"trust_height"`
		TrustHash   string `json:"trust_hash"`
	}
	require.NoError(t, json.Unmarshal([]byte(out), &said))
	block, err := one.Client.Block(t.Context(), &said.TrustHeight)
	require.NoError(t, err)
	require.Equal(t, block.BlockID.Hash.String(), said.TrustHash)
	comet, _ = readConfig(t, synced)
	require.NoError(t, comet.StateSync.ValidateBasic())
	require.True(t, comet.StateSync.Enable)
	require.Equal(t, said.TrustHeight, comet.StateSync.TrustHeight)
	require.Equal(t, said.TrustHash, comet.StateSync.TrustHash)

	for name, tc := range map[string]struct {
		args []string
		want string
	}{
		"no chain":              {nil, "required for a new chain"},
		"no genesis":            {[]string{"--state-sync", "tcp://127.0.0.1:1", "--chain-id", "x"}, "needs its --genesis"},
		"a missing genesis":     {[]string{"--genesis", filepath.Join(dir, "none.json")}, "none.json"},
		"another chain":         {[]string{"--genesis", theirs.Genesis, "--chain-id", "other-1"}, `the genesis is of "berth-test"`},
		"a peer without id":     {[]string{"--genesis", theirs.Genesis, "--persistent-peers", "10.0.0.1:26656"}, "ID@HOST:PORT"},
		"a peer without port":   {[]string{"--genesis", theirs.Genesis, "--persistent-peers", strings.Repeat("ab", 20) + "@host"}, "missing port"},
		"one server":            {[]string{"--genesis", theirs.Genesis, "--state-sync", one.RPCAddr}, "at least two"},
		"a silent server":       {[]string{"--genesis", theirs.Genesis, "--state-sync", "tcp://127.0.0.1:1,tcp://127.0.0.1:2"}, "127.0.0.1:1"},
		"servers that disagree": {[]string{"--genesis", theirs.Genesis, "--state-sync", one.RPCAddr + "," + other.RPCAddr}, "not of this chain"},
	} {
		t.Run(name, func(t *testing.T) {
			refused := filepath.Join(t.TempDir(), "home")
			_, _, err := run(append([]string{"init", "me", "--home", refused}, tc.args...)...)
			require.ErrorContains(t, err, tc.want)
			require.NoDirExists(t, refused)
		})
	}
}
