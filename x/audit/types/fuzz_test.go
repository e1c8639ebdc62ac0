package types

import (
	"testing"

	"github.com/cosmos/gogoproto/proto"

	"cosmossdk.io/collections"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"berth.dev/berth/testutil/keytest"
)

// FuzzMessages: no bytes that decode as a message make its check panic.
func FuzzMessages(f *testing.F) {
	owner := keytest.Address([]byte{1}).String()
	for _, m := range []proto.Message{
		&MsgSignAttributes{Auditor: owner, Provider: owner}, &MsgRevokeAttributes{Auditor: owner, Provider: owner, Keys: []string{"region"}},
	} {
		bz, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(bz)
	}
	f.Fuzz(func(t *testing.T, bz []byte) {
		for _, m := range []interface {
			proto.Message
			sdk.HasValidateBasic
		}{&MsgSignAttributes{}, &MsgRevokeAttributes{}} {
			if proto.Unmarshal(bz, m) == nil {
				_ = m.ValidateBasic()
			}
		}
		var g GenesisState
		if proto.Unmarshal(bz, &g) == nil {
			_ = g.Validate()
		}
	})
}

// FuzzKeys: keys are read back as they were written, and sort as their addresses do.
func FuzzKeys(f *testing.F) {
	f.Add([]byte{1}, []byte{2}, []byte{1}, []byte{3})
	f.Add([]byte{0, 255}, []byte{255}, []byte{0, 254}, []byte{0})
	pair := collections.PairKeyCodec(sdk.AccAddressKey, sdk.AccAddressKey)
	f.Fuzz(func(t *testing.T, a1, b1, a2, b2 []byte) {
		x1, y1, x2, y2 := keytest.Address(a1), keytest.Address(b1), keytest.Address(a2), keytest.Address(b2)
		keytest.Check[RecordKey](t, pair, collections.Join(x1, y1), collections.Join(x2, y2), keytest.Order(keytest.Addr(x1, x2), keytest.Addr(y1, y2)))
	})
}
