package keeper

import (
	"strconv"

	sdk "github.com/cosmos/cosmos-sdk/types"

	abci "github.com/cometbft/cometbft/abci/types"

	"berth.dev/berth/x/market/types"
)

// The names of the events that are written by hand, as the SDK derives them.
const (
	bidCreated = "berth.market.v1.EventBidCreated"
	bidClosed  = "berth.market.v1.EventBidClosed"
)

// bidEvent is what the SDK makes of EventBidCreated or EventBidClosed, to the byte. The SDK goes by reflection from the
// message to JSON and from there to attributes, which costs more than all else that a bid does before its keys are
// written. A test holds the two to be equal; whatever the SDK would escape cannot stand in an address or a denom.
func bidEvent(name string, b types.Bid) sdk.Event {
	return sdk.Event{Type: name, Attributes: []abci.EventAttribute{
		{Key: "bid", Value: string(appendBid(make([]byte, 0, 640), b))},
		{Key: "dseq", Value: `"` + strconv.FormatUint(b.Id.Dseq, 10) + `"`},
		{Key: "owner", Value: `"` + b.Id.Owner + `"`},
		{Key: "provider", Value: `"` + b.Id.Provider + `"`},
	}}
}

func appendBid(to []byte, b types.Bid) []byte {
	to = append(to, `{"id":{"owner":"`...)
	to = append(to, b.Id.Owner...)
	to = append(to, `","dseq":"`...)
	to = strconv.AppendUint(to, b.Id.Dseq, 10)
	to = append(to, `","gseq":`...)
	to = strconv.AppendUint(to, uint64(b.Id.Gseq), 10)
	to = append(to, `,"oseq":`...)
	to = strconv.AppendUint(to, uint64(b.Id.Oseq), 10)
	to = append(to, `,"provider":"`...)
	to = append(to, b.Id.Provider...)
	to = append(to, `"},"state":"`...)
	to = append(to, b.State.String()...)
	to = append(to, `","price":{"denom":"`...)
	to = append(to, b.Price.Denom...)
	to = append(to, `","amount":"`...)
	to = append(to, b.Price.Amount.String()...)
	to = append(to, `"},"deposit":{"denom":"`...)
	to = append(to, b.Deposit.Denom...)
	to = append(to, `","amount":"`...)
	to = append(to, b.Deposit.Amount.String()...)
	to = append(to, `"},"valid_until":"`...)
	to = strconv.AppendInt(to, b.ValidUntil, 10)
	to = append(to, `","created_at":"`...)
	to = strconv.AppendInt(to, b.CreatedAt, 10)
	to = append(to, `","closed_at":"`...)
	to = strconv.AppendInt(to, b.ClosedAt, 10)
	to = append(to, `","reason":"`...)
	to = append(to, b.Reason.String()...)
	to = append(to, `","reclaim_window_seconds":`...)
	to = strconv.AppendUint(to, uint64(b.ReclaimWindowSeconds), 10)
	return append(to, '}')
}
