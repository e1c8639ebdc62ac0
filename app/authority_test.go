package app_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/cosmos/gogoproto/proto"
	"github.com/stretchr/testify/require"
	protov2 "google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	msgv1 "cosmossdk.io/api/cosmos/msg/v1"

	codectypes "github.com/cosmos/cosmos-sdk/codec/types"
	"github.com/cosmos/cosmos-sdk/crypto/keys/secp256k1"
	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"

	"berth.dev/berth/app"
	"berth.dev/berth/testutil/chaintest"
	"berth.dev/berth/units/protofiles"
	escrowtypes "berth.dev/berth/x/escrow/types"
)

var updateGolden = flag.Bool("write-golden", false, "write the golden files anew")

// requireGolden compares text with a file of testdata.
func requireGolden(t *testing.T, name, got string) {
	t.Helper()
	path := "testdata/" + name
	if *updateGolden {
		require.NoError(t, os.WriteFile(path, []byte(got), 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(want), got, "run with -write-golden if this is meant")
}

// roles are who may try to send a message. The tenant, the provider and the auditor are parties to what the valid
// messages are about; the other is not. A module's account has no key: what it could do is what the message's handler
// lets it do.
var roles = []struct {
	name string
	who  int
}{{"tenant", tenant}, {"provider", east}, {"auditor", auditor}, {"other", nobody}, {"module", -2}, {"governance", governance}}

// TestAuthority writes down, for every message of the chain, what becomes of it when each role sends it: under its own
// name, and under the name of the one whom it belongs to. A new message is not in the file, so that the test fails until
// somebody has looked at its lines.
func TestAuthority(t *testing.T) {
	var table strings.Builder
	table.WriteString("# message | role | under its own name | under the name of whom it belongs to\n")
	for _, url := range messageTypes(newStage(t, nil).App) {
		s := newStage(t, nil)
		for _, role := range roles {
			own := s.sendAs(url, role.who, true)
			borrowed := "-"
			if role.who >= 0 {
				borrowed = s.sendAs(url, role.who, false)
			}
			fmt.Fprintf(&table, "%s | %s | %s | %s\n", strings.TrimPrefix(url, "/berth."), role.name, own, borrowed)
		}
	}
	requireGolden(t, "authority.txt", table.String())
}

// sendAs makes a valid message anew, puts a role's address in the place of its signer if named is set, and says what
// became of it.
func (s *stage) sendAs(url string, who int, named bool) string {
	s.t.Helper()
	files, err := protofiles.Resolved()
	require.NoError(s.t, err)
	desc, err := files.FindDescriptorByName(protoreflect.FullName(strings.TrimPrefix(url, "/")))
	require.NoError(s.t, err)
	msg, _ := validMessages[url](s)
	bz, err := proto.Marshal(msg)
	require.NoError(s.t, err)
	parsed, err := parseTree(desc.(protoreflect.MessageDescriptor), bz)
	require.NoError(s.t, err)
	switch {
	case named && who >= 0:
		parsed.setSigner(s.t, s.addr(who))
	case named && who == governance:
		parsed.setSigner(s.t, app.Authority())
	case named:
		parsed.setSigner(s.t, authtypes.NewModuleAddress(escrowtypes.ModuleName).String())
	}
	var out outcome
	if who >= 0 {
		res := s.Deliver(chaintest.Tx{Signers: []*secp256k1.PrivKey{s.Keys[who]}, Raw: []*codectypes.Any{{TypeUrl: url, Value: parsed.bytes()}}})
		out = outcome{codespace: res.Codespace, code: res.Code, log: res.Log}
		if res.Code == 0 {
			out.items = s.items(res)
		}
	} else {
		out = s.tryGovernance(url, parsed.bytes())
	}
	switch {
	case out.code != 0:
		checkCode(s.t, url, out.codespace, out.code)
		return "refused: " + codeName(out.codespace, out.code)
	case out.refused():
		return "refused: " + codeName(itemCodespace(out.items[0]), itemCode(out.items[0]))
	}
	return "allowed"
}

// setSigner puts an address in the place of the one that signs the message, as its annotations say.
func (t *tree) setSigner(tb testing.TB, address string) {
	tb.Helper()
	names, ok := protov2.GetExtension(t.desc.Options(), msgv1.E_Signer).([]string)
	require.True(tb, ok && len(names) == 1, "%s has one signer", t.desc.FullName())
	for _, f := range t.fields {
		if string(f.desc.Name()) != names[0] {
			continue
		}
		if f.sub != nil {
			f.sub.setSigner(tb, address)
		} else {
			f.raw = text("", address).raw
		}
		return
	}
	tb.Fatalf("%s: the signer %s is not set", t.desc.FullName(), names[0])
}
