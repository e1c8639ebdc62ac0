package types

import (
	errorsmod "cosmossdk.io/errors"

	"github.com/cosmos/gogoproto/proto"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"berth.dev/berth/internal/typedevent"
)

// MaxObjectBytes is the largest object that one attribute of an event carries, as JSON. Followers and indexes of the
// chain read whole objects from events.
const MaxObjectBytes = 16 << 10

// ObjectEvent encodes a typed event, and fails with tooLarge if one of its objects exceeds MaxObjectBytes.
func ObjectEvent(ev proto.Message, tooLarge *errorsmod.Error) (sdk.Event, error) {
	e, err := typedevent.Encode(ev)
	if err != nil {
		return sdk.Event{}, errorsmod.Wrap(err, "encode an event")
	}
	for _, a := range e.Attributes {
		if len(a.Value) > MaxObjectBytes {
			return sdk.Event{}, tooLarge.Wrapf("%s takes %d bytes as JSON, %d are allowed", a.Key, len(a.Value), MaxObjectBytes)
		}
	}
	return e, nil
}
