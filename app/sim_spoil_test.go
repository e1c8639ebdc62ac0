package app_test

import (
	"bytes"
	"math/big"
	"reflect"

	"github.com/cosmos/gogoproto/proto"

	"cosmossdk.io/math"

	sdk "github.com/cosmos/cosmos-sdk/types"
	simtypes "github.com/cosmos/cosmos-sdk/types/simulation"

	"berth.dev/berth/testutil/simstate"
)

var (
	typeInt = reflect.TypeFor[math.Int]()
	typeDec = reflect.TypeFor[math.LegacyDec]()
)

// extremes are the amounts that arithmetic breaks on.
func extremes() []math.Int {
	return []math.Int{
		math.ZeroInt(), math.OneInt(), math.NewInt(-1), math.NewInt(1<<63 - 1), math.NewIntFromUint64(1 << 63),
		math.NewIntFromBigInt(new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 256), big.NewInt(1))),
	}
}

// spoil returns a copy of a message with one field changed to something extreme or foreign, and who has to sign it now.
// It fails if nobody of the simulation could.
func (s *simulation) spoil(msg sdk.Msg) (sdk.Msg, simtypes.Account, bool) {
	bz, err := proto.Marshal(msg)
	if err != nil {
		return nil, simtypes.Account{}, false
	}
	bad, ok := reflect.New(reflect.TypeOf(msg).Elem()).Interface().(sdk.Msg)
	if !ok || proto.Unmarshal(bz, bad) != nil {
		return nil, simtypes.Account{}, false
	}
	leaves := leavesOf(reflect.ValueOf(bad).Elem(), nil)
	if len(leaves) == 0 {
		return nil, simtypes.Account{}, false
	}
	s.spoilLeaf(leaves[s.r.Intn(len(leaves))])
	changed, err := proto.Marshal(bad)
	if err != nil || bytes.Equal(changed, bz) {
		return nil, simtypes.Account{}, false
	}
	signers, _, err := s.app.AppCodec().GetMsgV1Signers(bad)
	if err != nil || len(signers) != 1 {
		return nil, simtypes.Account{}, false
	}
	account, ok := simtypes.FindAccount(s.accounts, sdk.AccAddress(signers[0]))
	return bad, account, ok
}

// leavesOf lists the fields of a message that hold values, and the lists.
func leavesOf(v reflect.Value, out []reflect.Value) []reflect.Value {
	switch {
	case v.Type() == typeInt || v.Type() == typeDec:
		return append(out, v)
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				out = leavesOf(v.Field(i), out)
			}
		}
		return out
	case v.Kind() == reflect.Pointer:
		if v.IsNil() {
			return out
		}
		return leavesOf(v.Elem(), out)
	case v.Kind() == reflect.Slice && v.Type().Elem().Kind() != reflect.Uint8:
		out = append(out, v)
		for i := range v.Len() {
			out = leavesOf(v.Index(i), out)
		}
		return out
	}
	return append(out, v)
}

func (s *simulation) spoilLeaf(v reflect.Value) {
	amounts := extremes()
	amount := amounts[s.r.Intn(len(amounts))]
	switch {
	case v.Type() == typeInt:
		v.Set(reflect.ValueOf(amount))
		return
	case v.Type() == typeDec:
		v.Set(reflect.ValueOf(math.LegacyNewDecFromBigIntWithPrec(amount.BigInt(), math.LegacyPrecision)))
		return
	}
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(!v.Bool())
	case reflect.Int32, reflect.Int64:
		values := []int64{0, 1, -1, 1<<31 - 1, -1 << 31, 1<<63 - 1, -1 << 63}
		v.SetInt(values[s.r.Intn(len(values))])
	case reflect.Uint32, reflect.Uint64:
		values := []uint64{0, 1, 1<<31 - 1, 1<<32 - 1, 1<<63 - 1, 1 << 63, 1<<64 - 1}
		v.SetUint(values[s.r.Intn(len(values))])
	case reflect.String:
		other := s.accounts[s.r.Intn(len(s.accounts))].AddressBech32
		values := []string{"", "x", other, other, other, "berth1qqqq", "ibc/unknown", "*", string(bytes.Repeat([]byte("a"), 5000)), "\xff\x00"}
		v.SetString(values[s.r.Intn(len(values))])
	case reflect.Slice:
		s.spoilList(v)
	}
}

// spoilList empties a list, doubles an item, or takes the last one away.
func (s *simulation) spoilList(v reflect.Value) {
	switch n := v.Len(); {
	case v.Type().Elem().Kind() == reflect.Uint8:
		v.SetBytes(simstate.Bytes(s.r, s.r.Intn(70)))
	case n == 0:
		v.Set(reflect.Append(v, reflect.Zero(v.Type().Elem())))
	case simstate.Chance(s.r, 30):
		v.SetZero()
	case simstate.Chance(s.r, 50):
		v.Set(reflect.Append(v, v.Index(s.r.Intn(n))))
	default:
		v.Set(v.Slice(0, n-1))
	}
}
