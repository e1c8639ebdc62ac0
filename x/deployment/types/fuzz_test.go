package types

import (
	"testing"

	"cosmossdk.io/collections"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"berth.dev/berth/testutil/keytest"
)

// FuzzKeys: keys are read back as they were written, and sort as their ids do.
func FuzzKeys(f *testing.F) {
	f.Add([]byte{1}, uint64(1), uint32(1), int64(5), []byte{2}, uint64(1), uint32(2), int64(6))
	f.Add([]byte{0}, uint64(1<<63), uint32(1<<31), int64(0), []byte{0}, uint64(1<<63-1), uint32(0), int64(1<<62))
	f.Add([]byte{255, 255}, uint64(1<<64-1), uint32(1<<32-1), int64(-1), []byte{255}, uint64(0), uint32(0), int64(-1<<63))
	pair := collections.PairKeyCodec(sdk.AccAddressKey, collections.Uint64Key)
	triple := collections.TripleKeyCodec(sdk.AccAddressKey, collections.Uint64Key, collections.Uint32Key)
	queue := collections.TripleKeyCodec(collections.Int64Key, sdk.AccAddressKey, collections.Uint64Key)
	f.Fuzz(func(t *testing.T, a1 []byte, d1 uint64, g1 uint32, h1 int64, a2 []byte, d2 uint64, g2 uint32, h2 int64) {
		o1, o2 := keytest.Address(a1), keytest.Address(a2)
		id := keytest.Order(keytest.Addr(o1, o2), keytest.Num(d1, d2))
		keytest.Check[DeploymentKey](t, pair, collections.Join(o1, d1), collections.Join(o2, d2), id)
		keytest.Check[GroupKey](t, triple, collections.Join3(o1, d1, g1), collections.Join3(o2, d2, g2), keytest.Order(id, keytest.Num(g1, g2)))
		keytest.Check[PruneKey](t, queue, collections.Join3(h1, o1, d1), collections.Join3(h2, o2, d2), keytest.Order(keytest.Num(h1, h2), id))

		key, err := DeploymentID{Owner: o1.String(), Dseq: d1}.Key()
		if err != nil || keytest.Addr(key.K1(), o1) != 0 || key.K2() != d1 {
			t.Fatalf("the key of %s/%d is %v, %v", o1, d1, key, err)
		}
	})
}
