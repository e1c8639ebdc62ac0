package typedevent_test

import (
	"fmt"
	"math/big"
	"math/rand"
	"reflect"
	"strings"
	"testing"

	"github.com/cosmos/gogoproto/proto"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/reflect/protoreflect"

	"cosmossdk.io/math"

	sdk "github.com/cosmos/cosmos-sdk/types"
	banktypes "github.com/cosmos/cosmos-sdk/x/bank/types"
	govtypes "github.com/cosmos/cosmos-sdk/x/gov/types/v1"

	"berth.dev/berth/internal/typedevent"
	_ "berth.dev/berth/x/audit/types"
	_ "berth.dev/berth/x/deployment/types"
	_ "berth.dev/berth/x/escrow/types"
	markettypes "berth.dev/berth/x/market/types"
	_ "berth.dev/berth/x/provider/types"
)

// events are the types of all events of Berth's modules.
func events() []reflect.Type {
	var types []reflect.Type
	proto.HybridResolver.RangeFiles(func(f protoreflect.FileDescriptor) bool {
		if !strings.HasPrefix(string(f.Package()), "berth.") {
			return true
		}
		for i := range f.Messages().Len() {
			if m := f.Messages().Get(i); strings.HasPrefix(string(m.Name()), "Event") {
				types = append(types, proto.MessageType(string(m.FullName())).Elem())
			}
		}
		return true
	})
	return types
}

// texts have what JSON escapes, in its own ways, and what is no UTF-8.
var texts = []string{"", "plain", `"quoted" and \ back`, "a<b>&c", "tab\tline\nnul\x00", "grüße €", "\u2028\u2029", "\xff\xfe", "~\x7f "}

// fill gives every field a random value; some stay empty.
func fill(r *rand.Rand, v reflect.Value) {
	if r.Intn(6) == 0 {
		return
	}
	switch v.Interface().(type) {
	case math.Int:
		v.Set(reflect.ValueOf(math.NewIntFromBigInt(new(big.Int).Rand(r, new(big.Int).Lsh(big.NewInt(1), 200))).SubRaw(r.Int63())))
		return
	case math.LegacyDec:
		v.Set(reflect.ValueOf(math.LegacyNewDecWithPrec(r.Int63()-r.Int63(), int64(r.Intn(19)))))
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(texts[r.Intn(len(texts))])
	case reflect.Bool:
		v.SetBool(r.Intn(2) == 0)
	case reflect.Int32:
		v.SetInt(int64(r.Intn(9)))
	case reflect.Int64:
		v.SetInt(int64(r.Uint64()))
	case reflect.Uint32, reflect.Uint64:
		v.SetUint(r.Uint64() >> (32 + r.Intn(32)))
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), r.Intn(4), 4))
		for i := range v.Len() {
			fill(r, v.Index(i))
		}
	case reflect.Uint8:
		v.SetUint(uint64(r.Intn(256)))
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(r, v.Elem())
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Field(i).CanSet() {
				fill(r, v.Field(i))
			}
		}
	default:
		panic(fmt.Sprintf("a %s stands in an event", v.Type()))
	}
}

// TestEncode: events are what the SDK makes of them, to the byte.
func TestEncode(t *testing.T) {
	types := events()
	require.Greater(t, len(types), 20)
	r := rand.New(rand.NewSource(1))
	for _, typ := range types {
		require.True(t, typedevent.Known(typ), "%s is left to the SDK, which is slow", typ)
		for range 200 {
			v := reflect.New(typ)
			fill(r, v.Elem())
			ev := v.Interface().(proto.Message)
			want, err := sdk.TypedEventToEvent(ev)
			require.NoError(t, err)
			got, err := typedevent.Encode(ev)
			require.NoError(t, err)
			require.Equal(t, want, got)
		}
	}
}

// TestEncodeOthers: what is not known here is left to the SDK.
func TestEncodeOthers(t *testing.T) {
	for _, ev := range []proto.Message{&govtypes.Proposal{Id: 7, Title: "a<b"}, &banktypes.Metadata{Base: "ubrt"}, &banktypes.Params{DefaultSendEnabled: true}} {
		want, err := sdk.TypedEventToEvent(ev)
		require.NoError(t, err)
		got, err := typedevent.Encode(ev)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	require.False(t, typedevent.Known(reflect.TypeFor[govtypes.Proposal]()), "it has times and Anys")
}

func bid() *markettypes.EventBidCreated {
	id := markettypes.BidID{Owner: "berth1w508d6qejxtdg4y5r3zarvary0c5xw7kxyz012", Dseq: 1234567, Gseq: 1, Oseq: 1, Provider: "berth1w508d6qejxtdg4y5r3zarvary0c5xw7kxyz345"}
	return &markettypes.EventBidCreated{Owner: id.Owner, Dseq: id.Dseq, Provider: id.Provider, Bid: markettypes.Bid{
		Id: id, State: markettypes.BID_STATE_OPEN, Price: sdk.NewDecCoin("ubrt", math.NewInt(100)), Deposit: sdk.NewInt64Coin("ubrt", 500_000), CreatedAt: 1000,
	}}
}

func BenchmarkEncode(b *testing.B) {
	for b.Loop() {
		if _, err := typedevent.Encode(bid()); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSDK(b *testing.B) {
	for b.Loop() {
		if _, err := sdk.TypedEventToEvent(bid()); err != nil {
			b.Fatal(err)
		}
	}
}
