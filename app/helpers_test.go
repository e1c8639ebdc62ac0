package app_test

import (
	cmtproto "github.com/cometbft/cometbft/proto/tendermint/types"

	sdk "github.com/cosmos/cosmos-sdk/types"
	banktypes "github.com/cosmos/cosmos-sdk/x/bank/types"
)

func header(height int64) cmtproto.Header { return cmtproto.Header{Height: height} }

func transfer(m *market, from, to int, amount int64) sdk.Msg {
	return banktypes.NewMsgSend(m.Addr(from), m.Addr(to), sdk.NewCoins(ubrt(amount)))
}
