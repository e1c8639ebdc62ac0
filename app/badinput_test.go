package app_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	abci "github.com/cometbft/cometbft/abci/types"
	"github.com/cosmos/gogoproto/proto"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/reflect/protoreflect"

	errorsmod "cosmossdk.io/errors"

	codectypes "github.com/cosmos/cosmos-sdk/codec/types"
	"github.com/cosmos/cosmos-sdk/crypto/keys/secp256k1"
	sdk "github.com/cosmos/cosmos-sdk/types"
	sdkerrors "github.com/cosmos/cosmos-sdk/types/errors"
	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"

	"berth.dev/berth/testutil/chaintest"
	"berth.dev/berth/units/protofiles"
	escrowtypes "berth.dev/berth/x/escrow/types"
)

// maxLog is how long an error may be: what a message says of itself is cut in it.
const maxLog = 2048

// TestBadInput takes each message of the chain in a state in which it is accepted, puts every bad value that there is into
// each of its fields, alone, and delivers it signed. No field is named here: they are found by reflection, so that a new
// one cannot be forgotten. What is refused must be refused with a registered code and a sentence that names what is
// wrong, and have changed nothing; nothing may panic; and the invariants hold after every block.
func TestBadInput(t *testing.T) {
	var all tally
	urls := slices.Sorted(maps.Keys(validMessages))
	for _, url := range urls {
		t.Run(strings.TrimPrefix(url, "/berth."), func(t *testing.T) {
			one := tryBadInput(t, url)
			t.Logf("%d fields, %d values: %d accepted, %d refused, of those %d before a handler saw them",
				one.fields, one.accepted+one.refused, one.accepted, one.refused, one.undecoded)
			all.add(one)
		})
	}
	t.Logf("%d messages, %d fields, %d values: %d accepted, %d refused, of those %d before a handler saw them",
		len(urls), all.fields, all.accepted+all.refused, all.accepted, all.refused, all.undecoded)
}

// tally counts what was tried.
type tally struct{ fields, accepted, refused, undecoded int }

func (t *tally) add(o tally) {
	t.fields += o.fields
	t.accepted += o.accepted
	t.refused += o.refused
	t.undecoded += o.undecoded
}

// mayBeEmpty are lists of valid messages that have no element: what they hold is tried elsewhere.
var mayBeEmpty = map[string]bool{}

// outcome is how a message ended: as a transaction, or as a proposal's.
type outcome struct {
	codespace string
	code      uint32
	log       string
	// items are the results of a batch.
	items []protoreflect.Message
}

// refused says whether nothing of the message was done.
func (o outcome) refused() bool {
	if o.code != 0 {
		return true
	}
	for _, item := range o.items {
		if itemCode(item) == 0 {
			return false
		}
	}
	return len(o.items) > 0
}

func itemCode(item protoreflect.Message) uint32 {
	return uint32(item.Get(item.Descriptor().Fields().ByName("code")).Uint())
}

func itemCodespace(item protoreflect.Message) string {
	return item.Get(item.Descriptor().Fields().ByName("codespace")).String()
}

func tryBadInput(t *testing.T, url string) tally {
	s := newStage(t, nil)
	files, err := protofiles.Resolved()
	require.NoError(t, err)
	desc, err := files.FindDescriptorByName(protoreflect.FullName(strings.TrimPrefix(url, "/")))
	require.NoError(t, err)

	prepare := func() (*tree, int) {
		msg, who := validMessages[url](s)
		bz, err := proto.Marshal(msg)
		require.NoError(t, err)
		parsed, err := parseTree(desc.(protoreflect.MessageDescriptor), bz)
		require.NoError(t, err)
		require.Equal(t, bz, parsed.bytes(), "a message that is taken apart and put together stays as it was")
		return parsed, who
	}
	valid, who := prepare()
	require.Zero(t, s.try(url, valid.bytes(), who).code)

	valid, who = prepare()
	foreign := []input{
		text("a stranger", s.addr(spare)), text("an unknown denom", "unknown"),
		text("a validator", sdk.ValAddress(s.Addr(east)).String()), text("another chain's", "cosmos1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqnrql8a"),
		text("a module", authtypes.NewModuleAddress(escrowtypes.ModuleName).String()),
		text("upper case", strings.ToUpper(s.addr(tenant))),
	}
	var count tally
	tried, fields, empty := valid.mutations(foreign)
	for _, name := range empty {
		require.True(t, mayBeEmpty[url+" "+name], "the valid %s has no %s: give it one", url, name)
	}
	count.fields = fields
	for i := range tried {
		// After an accepted message the state is another: the same mutation of a new valid message is tried next.
		m := tried[i]
		before := s.fingerprint()
		out := s.try(url, m.bz, who)
		what := fmt.Sprintf("%s = %s", m.path, m.value)
		s.checkOutcome(what, m, valid, out)
		if out.refused() {
			count.refused++
			if out.codespace == sdkerrors.RootCodespace {
				count.undecoded++
			}
			require.Equal(t, before, s.fingerprint(), "%s was refused (%s) and has changed the state", what, out.log)
			continue
		}
		count.accepted++
		valid, who = prepare()
		again, _, _ := valid.mutations(foreign)
		require.Len(t, again, len(tried))
		tried = again
	}
	require.Zero(t, s.try(url, valid.bytes(), who).code, "the valid message is accepted still")
	return count
}

// try delivers a message as bytes.
func (s *stage) try(url string, bz []byte, who int) outcome {
	s.t.Helper()
	if who == governance {
		return s.tryGovernance(url, bz)
	}
	res := s.Deliver(chaintest.Tx{
		Signers: []*secp256k1.PrivKey{s.Keys[who]}, Raw: []*codectypes.Any{{TypeUrl: url, Value: bz}}, Gas: 100_000_000,
	})
	out := outcome{codespace: res.Codespace, code: res.Code, log: res.Log}
	if res.Code != 0 {
		return out
	}
	out.items = s.items(res)
	return out
}

// items are the results in the responses of a transaction's batches.
func (s *stage) items(res *abci.ExecTxResult) []protoreflect.Message {
	s.t.Helper()
	files, err := protofiles.Resolved()
	require.NoError(s.t, err)
	var out []protoreflect.Message
	for _, response := range chaintest.Responses(s.t, res) {
		out = append(out, batchItems(s.t, files, response)...)
	}
	return out
}

// tryGovernance executes a message as a proposal does.
func (s *stage) tryGovernance(url string, bz []byte) outcome {
	s.t.Helper()
	var msg sdk.Msg
	err := s.App.InterfaceRegistry().UnpackAny(&codectypes.Any{TypeUrl: url, Value: bz}, &msg)
	if err != nil {
		// A proposal comes in a transaction, which is not decoded then.
		err = sdkerrors.ErrTxDecode.Wrap(err.Error())
	} else if basic, ok := msg.(sdk.HasValidateBasic); ok && basic.ValidateBasic() != nil {
		err = basic.ValidateBasic() // as when a proposal is submitted
	} else {
		err = s.Govern(msg)
	}
	codespace, code, log := errorsmod.ABCIInfo(err, false)
	return outcome{codespace: codespace, code: code, log: log}
}

// checkOutcome fails the test if a message ended as none may.
func (s *stage) checkOutcome(what string, m mutation, valid *tree, out outcome) {
	s.t.Helper()
	for _, item := range out.items {
		if code := itemCode(item); code != 0 {
			checkCode(s.t, what, itemCodespace(item), code)
		}
	}
	if out.code == 0 {
		return
	}
	checkCode(s.t, fmt.Sprintf("%s (%.300s)", what, out.log), out.codespace, out.code)
	if len(out.log) > maxLog {
		s.t.Errorf("%s: the error has %d bytes, more than %d: %.200s", what, len(out.log), maxLog, out.log)
	}
	if !names(out, m, valid) {
		s.t.Errorf("%s: the error names nothing of the message: %s/%d %s", what, out.codespace, out.code, out.log)
	}
}

// names says whether an error tells which thing it means: the changed field or what was put there, or an id, address or
// denom of the message. What cannot be decoded is only known to the decoder by its field's number, and a transaction
// that is not the signer's by its signer.
func names(out outcome, m mutation, valid *tree) bool {
	if out.codespace == sdkerrors.RootCodespace && (out.code == sdkerrors.ErrTxDecode.ABCICode() || out.code == sdkerrors.ErrInvalidPubKey.ABCICode()) {
		return true
	}
	said := strings.ToLower(out.log)
	var words []string
	for _, part := range strings.Split(m.path, ".") {
		name, _, _ := strings.Cut(part, "[")
		spaced := strings.ReplaceAll(name, "_", " ")
		words = append(words, name, spaced, strings.TrimSuffix(name, "s"), strings.TrimSuffix(spaced, "s"))
	}
	if len(m.text) > 0 && len(m.text) < 200 {
		words = append(words, strings.ToLower(m.text))
	}
	words = append(words, valid.texts()...)
	return slices.ContainsFunc(words, func(w string) bool { return len(w) > 2 && strings.Contains(said, w) })
}

// texts are the texts of a message that can be read: its ids, addresses and denoms.
func (t *tree) texts() []string {
	var out []string
	for _, f := range t.fields {
		switch {
		case f.sub != nil:
			out = append(out, f.sub.texts()...)
		case f.desc.Kind() == protoreflect.StringKind:
			out = append(out, strings.ToLower(string(f.raw[1:])))
		}
	}
	return out
}

// batchItems are the results in a batch's response.
func batchItems(t *testing.T, files interface {
	FindDescriptorByName(protoreflect.FullName) (protoreflect.Descriptor, error)
}, response *codectypes.Any) []protoreflect.Message {
	t.Helper()
	desc, err := files.FindDescriptorByName(protoreflect.FullName(strings.TrimPrefix(response.TypeUrl, "/")))
	require.NoError(t, err)
	md := desc.(protoreflect.MessageDescriptor)
	field := md.Fields().ByName("results")
	if field == nil {
		return nil
	}
	return decodeItems(t, md, field, response.Value)
}
