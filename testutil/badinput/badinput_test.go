package badinput_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"cosmossdk.io/math"

	sdk "github.com/cosmos/cosmos-sdk/types"
	sdkerrors "github.com/cosmos/cosmos-sdk/types/errors"

	"berth.dev/berth/testutil/badinput"
)

type inner struct {
	Count  uint32
	Amount math.Int
}

type message struct {
	Name  string
	Hash  []byte
	Kind  int32
	Price sdk.DecCoin
	List  []inner
	XXX_x int
}

func build() *message {
	return &message{
		Name: "a", Hash: []byte{1}, Kind: 1, Price: sdk.NewInt64DecCoin("ubrt", 1), List: []inner{{Count: 1, Amount: math.OneInt()}},
	}
}

// TestEach: every field is reached, each try changes one thing, and none changes another's message.
func TestEach(t *testing.T) {
	tried := map[string]bool{}
	badinput.Each(build, func(name string, m *message) {
		require.False(t, tried[name], "%q is tried twice", name)
		tried[name] = true
		require.NotNil(t, m)
	})
	for _, name := range []string{
		"Name = nothing", "Hash less a byte", "Kind = -1", "Kind = 2147483647", "Price.Amount = nothing", "Price.Denom = no UTF-8",
		"List doubled", "List.0.Count = 4294967295", "List.0.Amount = -1", " = nothing",
	} {
		require.True(t, tried[name], "%q is not tried", name)
	}
	for name := range tried {
		require.NotContains(t, name, "XXX")
		require.NotContains(t, name, "Count = -1", "what a field cannot hold is not tried")
	}
	require.True(t, reflect.DeepEqual(build().Name, "a"))
}

func TestRefused(t *testing.T) {
	require.Empty(t, badinput.Refused(nil))
	require.Empty(t, badinput.Refused(sdkerrors.ErrInvalidCoins.Wrap("3ubrt")))
	require.NotEmpty(t, badinput.Refused(errors.New("no")))
	require.NotEmpty(t, badinput.Refused(sdkerrors.ErrInvalidCoins.Wrap(strings.Repeat("a", 2000))))
}
