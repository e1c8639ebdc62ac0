package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	abci "github.com/cometbft/cometbft/abci/types"
	cmtbytes "github.com/cometbft/cometbft/libs/bytes"
	"github.com/cometbft/cometbft/p2p"
	ctypes "github.com/cometbft/cometbft/rpc/core/types"
	rpctypes "github.com/cometbft/cometbft/rpc/jsonrpc/types"
	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"

	"github.com/cosmos/cosmos-sdk/version"
	genutiltypes "github.com/cosmos/cosmos-sdk/x/genutil/types"
)

// patient is a home with a node that a test makes ill.
type patient struct {
	*doctor
	t *testing.T
	// What the fake RPC says.
	status ctypes.ResultStatus
	net    ctypes.ResultNetInfo
	app    string
	// doctorGenesisHash is the app hash in the genesis that the node runs.
	doctorGenesisHash cmtbytes.HexBytes
}

// newPatient is a node in good health on a good machine that does not run.
func newPatient(t *testing.T) *patient {
	t.Helper()
	s := writeTestTestnet(t, "--output-dir", filepath.Join(t.TempDir(), "net"), "--validators", "1", "--chain-id", "berth-test")
	p := &patient{t: t, app: version.Version}
	p.doctor = &doctor{home: s.Nodes[0].Home, rpc: "tcp://127.0.0.1:1", machine: machine{
		now:       time.Now,
		disk:      func(string) (uint64, uint64, error) { return 500 * gib, 1000 * gib, nil },
		write:     func(string) (float64, time.Duration, error) { return 900 << 20, time.Millisecond, nil },
		openFiles: func() (uint64, error) { return 65536, nil },
		listening: func(string) error { return nil },
		free:      func(string) error { return nil },
	}}
	p.status = ctypes.ResultStatus{
		NodeInfo:      p2p.DefaultNodeInfo{Network: s.ChainID, DefaultNodeID: p2p.ID(s.Nodes[0].NodeID)},
		SyncInfo:      ctypes.SyncInfo{LatestBlockHeight: 7, LatestBlockTime: time.Now()},
		ValidatorInfo: ctypes.ValidatorInfo{VotingPower: 5},
	}
	p.net = ctypes.ResultNetInfo{NPeers: 3, Peers: make([]ctypes.Peer, 3)}
	return p
}

// running serves the node's RPC.
func (p *patient) running() {
	p.t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var req rpctypes.RPCRequest
		if err := json.NewDecoder(r.Body).Decode(&req); err != nil {
			p.t.Error(err)
		}
		var result any
		switch req.Method {
		case "status":
			result = &p.status
		case "net_info":
			result = &p.net
		case "abci_info":
			result = &ctypes.ResultABCIInfo{Response: abci.ResponseInfo{Version: p.app}}
		case "genesis":
			genesis, err := genutiltypes.AppGenesisFromFile(filepath.Join(p.home, "config", "genesis.json"))
			if err != nil {
				p.t.Error(err)
				return
			}
			doc, err := genesis.ToGenesisDoc()
			if err != nil {
				p.t.Error(err)
			}
			doc.ChainID = p.status.NodeInfo.Network
			doc.AppHash = p.doctorGenesisHash
			result = &ctypes.ResultGenesis{Genesis: doc}
		default:
			p.t.Errorf("unexpected %s", req.Method)
		}
		_ = json.NewEncoder(w).Encode(rpctypes.NewRPCSuccessResponse(req.ID, result))
	}))
	p.t.Cleanup(server.Close)
	p.rpc = "tcp://" + strings.TrimPrefix(server.URL, "http://")
}

// findings examines the patient.
func (p *patient) look() map[string]finding {
	p.t.Helper()
	p.examine(p.t.Context())
	worst := map[string]finding{}
	rank := map[string]int{verdictOK: 1, verdictWarn: 2, verdictFail: 3}
	for _, f := range p.doctor.findings {
		require.NotEmpty(p.t, f.Detail, f.Check)
		require.Equal(p.t, f.Verdict == verdictOK, f.Next == "", "what to do next is said when something is wrong, and only then: %+v", f)
		if rank[f.Verdict] > rank[worst[f.Check].Verdict] {
			worst[f.Check] = f
		}
	}
	return worst
}

func TestDoctorHealthy(t *testing.T) {
	for _, running := range []bool{false, true} {
		t.Run(fmt.Sprintf("running %t", running), func(t *testing.T) {
			p := newPatient(t)
			if running {
				p.running()
			}
			for _, f := range p.look() {
				require.Equal(t, verdictOK, f.Verdict, "%+v", f)
			}
			require.Equal(t, running, p.doctor.status != nil)
		})
	}
}

// edit changes a file of the home.
func (p *patient) edit(name, from, to string) {
	p.t.Helper()
	path := filepath.Join(p.home, "config", name)
	data, err := os.ReadFile(path)
	require.NoError(p.t, err)
	require.Contains(p.t, string(data), from)
	require.NoError(p.t, os.WriteFile(path, []byte(strings.Replace(string(data), from, to, 1)), 0o600))
}

func TestDoctorFinds(t *testing.T) {
	taken := errors.New("address already in use")
	for name, tc := range map[string]struct {
		ill     func(p *patient)
		running bool
		check   string
		verdict string
		says    string
	}{
		"no home":           {func(p *patient) { p.home += "x" }, false, "config", verdictFail, "config.toml cannot be read"},
		"a broken app.toml": {func(p *patient) { p.edit("app.toml", "minimum-gas-prices", "= minimum") }, false, "config", verdictFail, "app.toml cannot be read"},
		"a refused setting": {func(p *patient) { p.edit("config.toml", `timeout_commit = "500ms"`, `timeout_commit = "-1s"`) }, false, "config", verdictFail, "timeout_commit"},
		"no gas price":      {func(p *patient) { p.edit("app.toml", `"0.0025ubrt"`, `""`) }, false, "config", verdictFail, "app.toml"},
		"a gas price of 0":  {func(p *patient) { p.edit("app.toml", `"0.0025ubrt"`, `"0ubrt"`) }, false, "config", verdictWarn, "for nothing"},
		"a slow commit":     {func(p *patient) { p.edit("config.toml", `timeout_commit = "500ms"`, `timeout_commit = "30s"`) }, false, "config", verdictWarn, "30s"},
		"a readable key": {func(p *patient) {
			require.NoError(p.t, os.Chmod(filepath.Join(p.home, "config", "priv_validator_key.json"), 0o644))
		}, false, "keys", verdictFail, "0644"},
		"a lost key": {func(p *patient) {
			require.NoError(p.t, os.Remove(filepath.Join(p.home, "config", "node_key.json")))
		}, false, "keys", verdictFail, "node_key.json is missing"},
		"a lost signing state": {func(p *patient) {
			require.NoError(p.t, os.Remove(filepath.Join(p.home, "data", "priv_validator_state.json")))
		}, false, "keys", verdictFail, "priv_validator_state.json is missing"},
		"a copied home": {func(p *patient) {
			require.NoError(p.t, os.Mkdir(filepath.Join(p.home, "data", "blockstore.db"), 0o700))
		}, false, "double sign", verdictWarn, "has signed none"},
		"a foreign node": {func(p *patient) { p.status.NodeInfo.DefaultNodeID = p2p.ID(strings.Repeat("ab", 20)) }, true, "node", verdictFail, "another node"},
		"catching up":    {func(p *patient) { p.status.SyncInfo.CatchingUp = true }, true, "node", verdictWarn, "catching up"},
		"no genesis": {func(p *patient) {
			require.NoError(p.t, os.Remove(filepath.Join(p.home, "config", "genesis.json")))
		}, false, "genesis", verdictFail, "genesis.json"},
		"another chain's genesis": {func(p *patient) { p.status.NodeInfo.Network = "other-1" }, true, "genesis", verdictFail, "other-1"},
		"another genesis":         {func(p *patient) { p.doctorGenesisHash = cmtbytes.HexBytes{1} }, true, "genesis", verdictFail, "differs"},
		"a taken port":            {func(p *patient) { p.free = func(string) error { return taken } }, false, "ports", verdictFail, "is taken"},
		"a deaf port":             {func(p *patient) { p.listening = func(string) error { return taken } }, true, "ports", verdictFail, "nobody listens"},
		"a full disk": {func(p *patient) {
			p.disk = func(string) (uint64, uint64, error) { return 0, 1000 * gib, nil }
			p.write = func(string) (float64, time.Duration, error) {
				p.t.Error("the last bytes are the node's")
				return 0, 0, nil
			}
		}, false, "disk", verdictFail, "0.0 GiB of 1000.0 GiB"},
		"a nearly full disk": {func(p *patient) { p.disk = func(string) (uint64, uint64, error) { return 50 * gib, 1000 * gib, nil } }, false, "disk", verdictWarn, "50.0 GiB"},
		"a lost disk":        {func(p *patient) { p.disk = func(string) (uint64, uint64, error) { return 0, 0, os.ErrNotExist } }, false, "disk", verdictFail, "not exist"},
		"a slow disk": {func(p *patient) {
			p.write = func(string) (float64, time.Duration, error) { return 900 << 20, time.Second, nil }
		}, false, "disk speed", verdictWarn, "1s"},
		"a read-only disk": {func(p *patient) {
			p.write = func(string) (float64, time.Duration, error) { return 0, 0, os.ErrPermission }
		}, false, "disk speed", verdictFail, "permission"},
		"few files":      {func(p *patient) { p.openFiles = func() (uint64, error) { return 1024, nil } }, false, "open files", verdictWarn, "1024"},
		"too few files":  {func(p *patient) { p.openFiles = func() (uint64, error) { return 256, nil } }, false, "open files", verdictFail, "256"},
		"a slow clock":   {func(p *patient) { p.now = func() time.Time { return time.Now().Add(-time.Minute) } }, true, "clock", verdictFail, "behind"},
		"an old block":   {func(p *patient) { p.status.SyncInfo.LatestBlockTime = time.Now().Add(-time.Hour) }, true, "clock", verdictWarn, "old"},
		"few peers":      {func(p *patient) { p.net.NPeers = 1 }, true, "peers", verdictWarn, "1"},
		"alone":          {func(p *patient) { p.net.NPeers, p.net.Peers = 0, nil }, true, "peers", verdictWarn, "only validator"},
		"no peers":       {func(p *patient) { p.net.NPeers, p.net.Peers, p.status.ValidatorInfo.VotingPower = 0, nil, 0 }, true, "peers", verdictFail, "none"},
		"an old process": {func(p *patient) { p.app = "v0.0.1" }, true, "versions", verdictWarn, "v0.0.1"},
		"a peer's protocol": {func(p *patient) {
			p.net.Peers[0].NodeInfo.ProtocolVersion.Block = 99
		}, true, "versions", verdictWarn, "1 of 3 peers speak block protocol 99"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPatient(t)
			tc.ill(p)
			if tc.running {
				p.running()
			}
			f := p.look()[tc.check]
			require.Equal(t, tc.verdict, f.Verdict, "%+v", p.findings)
			require.Contains(t, f.Detail, tc.says)
			var out bytes.Buffer
			cmd := &cobra.Command{}
			cmd.SetOut(&out)
			err := p.print(cmd, "text")
			require.Equal(t, tc.verdict == verdictFail, errors.Is(err, errUnhealthy))
			require.Contains(t, out.String(), f.Next)
		})
	}
}

// TestDoctorCommand runs the command as an operator does, on this machine.
func TestDoctorCommand(t *testing.T) {
	p := newPatient(t)
	listener, err := net.Listen("tcp", "127.0.0.1:26659") // one of the node's ports
	if err == nil {
		defer listener.Close()
	}
	out, _, err := run("doctor", "--home", p.home, "-o", "json")
	require.ErrorIs(t, err, errUnhealthy)
	var said struct {
		Fail   int
		Checks []finding
	}
	require.NoError(t, json.Unmarshal([]byte(out), &said))
	require.Positive(t, said.Fail)
	require.Contains(t, out, "26659")

	none := filepath.Join(t.TempDir(), "none")
	_, _, err = run("doctor", "--home", none)
	require.ErrorIs(t, err, errUnhealthy)
	require.NoDirExists(t, none, "looking writes nothing")
	_, _, err = run("doctor", "--home", p.home, "-o", "yaml")
	require.ErrorContains(t, err, "neither text nor json")
}
