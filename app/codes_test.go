package app_test

import (
	"fmt"
	"strings"
	"testing"

	abci "github.com/cometbft/cometbft/abci/types"
	"github.com/stretchr/testify/require"

	errorsmod "cosmossdk.io/errors"

	sdkerrors "github.com/cosmos/cosmos-sdk/types/errors"

	markettypes "berth.dev/berth/x/market/types"
)

// requireCode says that a transaction failed with a registered error.
func requireCode(t testing.TB, want *errorsmod.Error, res *abci.ExecTxResult) {
	t.Helper()
	require.Equal(t, codeName(want.Codespace(), want.ABCICode()), codeName(res.Codespace, res.Code), res.Log)
}

// requireItem says that an item of a batch failed with a registered error.
func requireItem(t testing.TB, want *errorsmod.Error, got markettypes.ItemResult) {
	t.Helper()
	require.Equal(t, codeName(want.Codespace(), want.ABCICode()), codeName(got.Codespace, got.Code))
}

// codeName is a registered error's code and its description.
func codeName(codespace string, code uint32) string {
	return fmt.Sprintf("%s/%d %s", codespace, code, strings.TrimPrefix(errorsmod.ABCIError(codespace, code, "").Error(), ": "))
}

// checkCode fails the test for a code that says nothing: an error without one, a panic, or one that nobody registered.
func checkCode(t *testing.T, what, codespace string, code uint32) {
	t.Helper()
	switch {
	case codespace == sdkerrors.RootCodespace && code == 1, codespace == errorsmod.UndefinedCodespace:
		t.Errorf("%s: an error without a code (%s/%d)", what, codespace, code)
	case codespace == sdkerrors.RootCodespace && code == sdkerrors.ErrPanic.ABCICode():
		t.Errorf("%s: a panic", what)
	case strings.HasSuffix(errorsmod.ABCIError(codespace, code, "").Error(), "unknown"):
		t.Errorf("%s: nobody has registered %s/%d", what, codespace, code)
	}
}
