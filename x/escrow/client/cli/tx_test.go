package cli

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"berth.dev/berth/x/escrow/types"
)

func TestMain(m *testing.M) {
	sdk.GetConfig().SetBech32PrefixForAccount("berth", "berthpub")
	os.Exit(m.Run())
}

var (
	signer = sdk.AccAddress("signer______________")
	other  = sdk.AccAddress("other_______________")
)

func TestDepositMsg(t *testing.T) {
	for name, tc := range map[string]struct {
		args    []string
		sources string
		want    []types.DepositSource
		fails   string
	}{
		"the balance by default": {args: []string{"deployment", "o/7", "5ubrt"}},
		"in the order given": {
			args: []string{"deployment", "o/7", "5ubrt"}, sources: "grant:" + other.String() + ", balance",
			want: []types.DepositSource{types.FromGrant(other.String()), types.FromBalance()},
		},
		"an unknown source": {args: []string{"deployment", "o/7", "5ubrt"}, sources: "bank", fails: "grant:ADDRESS"},
		"a grant of nobody": {args: []string{"deployment", "o/7", "5ubrt"}, sources: "grant:", fails: "grant:ADDRESS"},
		"no amount":         {args: []string{"deployment", "o/7", "x"}, fails: `amount "x"`},
		"no id":             {args: []string{"deployment", "", "5ubrt"}, fails: "xid is empty"},
	} {
		t.Run(name, func(t *testing.T) {
			msg, err := depositMsg(signer, tc.args, tc.sources)
			if tc.fails != "" {
				require.ErrorContains(t, err, tc.fails)
				return
			}
			require.NoError(t, err)
			require.Equal(t, &types.MsgDeposit{
				Depositor: signer.String(), AccountId: types.AccountID{Scope: "deployment", Xid: "o/7"},
				Amount: sdk.NewInt64Coin("ubrt", 5), Sources: tc.want,
			}, msg)
		})
	}
}

func TestGrantMsg(t *testing.T) {
	msg, err := grantMsg(signer, []string{other.String(), "5ubrt,6uusd"}, nil)
	require.NoError(t, err)
	require.NoError(t, msg.Grant.ValidateBasic())
	granted, err := msg.GetAuthorization()
	require.NoError(t, err)
	require.Equal(t, types.NewDepositAuthorization(sdk.NewInt64Coin("ubrt", 5), sdk.NewInt64Coin("uusd", 6)), granted)
	for _, args := range [][]string{{"nobody", "5ubrt"}, {other.String(), "0ubrt"}, {other.String(), ""}, {other.String(), "x"}} {
		_, err := grantMsg(signer, args, nil)
		require.Error(t, err, "%v", args)
	}
}
