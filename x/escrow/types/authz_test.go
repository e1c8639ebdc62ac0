package types_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"cosmossdk.io/math"

	"github.com/cosmos/cosmos-sdk/codec"
	codectestutil "github.com/cosmos/cosmos-sdk/codec/testutil"
	"github.com/cosmos/cosmos-sdk/crypto/keys/secp256k1"
	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/cosmos-sdk/types/tx/signing"
	authsigning "github.com/cosmos/cosmos-sdk/x/auth/signing"
	authtx "github.com/cosmos/cosmos-sdk/x/auth/tx"
	"github.com/cosmos/cosmos-sdk/x/authz"
	banktypes "github.com/cosmos/cosmos-sdk/x/bank/types"

	"berth.dev/berth/x/escrow/types"
)

func c(denom string, amount int64) sdk.Coin { return sdk.NewInt64Coin(denom, amount) }

func TestNewGrant(t *testing.T) {
	for name, tc := range map[string]struct {
		grant types.DepositAuthorization
		ok    bool
	}{
		"one denom":       {types.DepositAuthorization{Limits: sdk.NewCoins(c("abc", 1))}, true},
		"two":             {types.DepositAuthorization{Limits: sdk.NewCoins(c("abc", 1), c("def", 2))}, true},
		"no limits":       {types.DepositAuthorization{}, false},
		"a limit of zero": {types.DepositAuthorization{Limits: sdk.Coins{c("abc", 0)}}, false},
		"a negative one":  {types.DepositAuthorization{Limits: sdk.Coins{{Denom: "abc", Amount: math.NewInt(-1)}}}, false},
		"no amount":       {types.DepositAuthorization{Limits: sdk.Coins{{Denom: "abc"}}}, false},
		"a denom twice":   {types.DepositAuthorization{Limits: sdk.Coins{c("abc", 1), c("abc", 1)}}, false},
		"something spent": {types.DepositAuthorization{Limits: sdk.NewCoins(c("abc", 2)), Spent: sdk.NewCoins(c("abc", 1))}, false},
		"a serial":        {types.DepositAuthorization{Limits: sdk.NewCoins(c("abc", 2)), Serial: 1}, false},
	} {
		t.Run(name, func(t *testing.T) {
			if err := tc.grant.ValidateBasic(); tc.ok {
				require.NoError(t, err)
			} else {
				require.ErrorIs(t, err, types.ErrInvalidGrant)
			}
		})
	}
}

// TestAccept: a grantee that sends a MsgDeposit as the granter spends the limit, and nothing of anybody else's.
func TestAccept(t *testing.T) {
	grant := types.DepositAuthorization{Limits: sdk.NewCoins(c("abc", 10)), Spent: sdk.NewCoins(c("abc", 4)), Serial: 7}
	deposit := func(amount sdk.Coin, sources ...types.DepositSource) sdk.Msg {
		return &types.MsgDeposit{Depositor: "granter", Amount: amount, Sources: sources}
	}
	for name, tc := range map[string]struct {
		msg  sdk.Msg
		want error
	}{
		"all that is left":   {deposit(c("abc", 6)), nil},
		"of the balance":     {deposit(c("abc", 6), types.FromBalance()), nil},
		"one more":           {deposit(c("abc", 7)), types.ErrInsufficientFunds},
		"another denom":      {deposit(c("def", 1)), types.ErrInsufficientFunds},
		"nothing":            {deposit(c("abc", 0)), types.ErrInvalidDeposit},
		"less than nothing":  {deposit(sdk.Coin{Denom: "abc", Amount: math.NewInt(-1)}), types.ErrInvalidDeposit},
		"no amount":          {deposit(sdk.Coin{Denom: "abc"}), types.ErrInvalidDeposit},
		"a malformed denom":  {deposit(sdk.Coin{Denom: "!", Amount: math.OneInt()}), types.ErrInvalidDenom},
		"of another's grant": {deposit(c("abc", 6), types.FromGrant("x")), types.ErrUnauthorized},
		"another message":    {&banktypes.MsgSend{}, types.ErrUnauthorized},
	} {
		t.Run(name, func(t *testing.T) {
			resp, err := grant.Accept(context.Background(), tc.msg)
			require.ErrorIs(t, err, tc.want)
			if tc.want != nil {
				require.False(t, resp.Accept)
				return
			}
			require.True(t, resp.Accept)
			require.False(t, resp.Delete, "what comes back of other deposits may be drawn again")
			updated := resp.Updated.(*types.DepositAuthorization)
			require.True(t, updated.Left("abc").IsZero())
			require.Equal(t, uint64(7), updated.Serial)
			require.Equal(t, int64(6), grant.Left("abc").Int64(), "the old value is as it was")
		})
	}
}

func TestRestoreIsNeverMoreThanSpent(t *testing.T) {
	grant := types.DepositAuthorization{Limits: sdk.NewCoins(c("abc", 10), c("def", 10)), Spent: sdk.NewCoins(c("abc", 4), c("def", 5))}
	require.Equal(t, "1abc,5def", grant.Restore(c("abc", 3)).Spent.String())
	require.Equal(t, "5def", grant.Restore(c("abc", 4)).Spent.String())
	require.Equal(t, "5def", grant.Restore(c("abc", 400)).Spent.String())
	require.Equal(t, "4abc,5def", grant.Restore(c("ghi", 1)).Spent.String())
	require.True(t, grant.Left("ghi").IsZero())
}

// TestGrantIsSignable: the authorization is known to the codec and has a name in amino JSON, which hardware keys sign.
func TestGrantIsSignable(t *testing.T) {
	registry := codectestutil.CodecOptions{AccAddressPrefix: "cosmos", ValAddressPrefix: "cosmosvaloper"}.NewInterfaceRegistry()
	types.RegisterInterfaces(registry)
	authz.RegisterInterfaces(registry)
	cdc := codec.NewProtoCodec(registry)
	granter, grantee := sdk.AccAddress("granter_____________"), sdk.AccAddress("grantee_____________")
	msg, err := authz.NewMsgGrant(granter, grantee, types.NewDepositAuthorization(c("abc", 5)), nil)
	require.NoError(t, err)
	bz, err := cdc.Marshal(msg)
	require.NoError(t, err)
	var back authz.MsgGrant
	require.NoError(t, cdc.Unmarshal(bz, &back))
	got, err := back.GetAuthorization()
	require.NoError(t, err)
	require.Equal(t, "/berth.escrow.v1.MsgDeposit", got.MsgTypeURL())

	config := authtx.NewTxConfig(cdc, authtx.DefaultSignModes)
	builder := config.NewTxBuilder()
	require.NoError(t, builder.SetMsgs(msg))
	signer := authsigning.SignerData{Address: granter.String(), ChainID: "chain", PubKey: secp256k1.GenPrivKey().PubKey()}
	signed, err := authsigning.GetSignBytesAdapter(context.Background(), config.SignModeHandler(),
		signing.SignMode_SIGN_MODE_LEGACY_AMINO_JSON, signer, builder.GetTx())
	require.NoError(t, err)
	require.Contains(t, string(signed), `{"type":"berth/escrow/DepositAuthorization","value":{"limits":[{"amount":"5","denom":"abc"}],"spent":[]}}`)
}
