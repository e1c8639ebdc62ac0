package daemon

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"berth.dev/berth/provider/chain"
	providertypes "berth.dev/berth/x/provider/types"
)

// record is what the provider's record on chain should say.
func (c Config) record(owner string, pin []byte) providertypes.Provider {
	return providertypes.Provider{
		Owner: owner, HostUri: c.Gateway.HostURI, TlsPins: [][]byte{pin}, Attributes: c.attributes(),
		Info: providertypes.Info{Email: c.Info.Email, Website: c.Info.Website},
	}
}

// registration is the message that makes the record on chain say what it should, or nil when it does. Further pins are
// kept as long as ours is among them: a key that is about to be rotated in has its pin there before it is used.
func registration(want providertypes.Provider, have providertypes.Provider, registered bool) sdk.Msg {
	if !registered {
		return &providertypes.MsgCreateProvider{
			Owner: want.Owner, HostUri: want.HostUri, TlsPins: want.TlsPins, Attributes: want.Attributes, Info: want.Info,
		}
	}
	pin := want.TlsPins[0]
	pins := have.TlsPins
	if !slices.ContainsFunc(pins, func(p []byte) bool { return bytes.Equal(p, pin) }) {
		pins = [][]byte{pin} // the key is a new one: the old ones are not in use any more
	}
	sorted := slices.Clone(have.Attributes)
	slices.SortFunc(sorted, func(a, b providertypes.Attribute) int { return bytes.Compare([]byte(a.Key), []byte(b.Key)) })
	if have.HostUri == want.HostUri && len(pins) == len(have.TlsPins) && bytes.Equal(pins[0], have.TlsPins[0]) &&
		slices.Equal(sorted, want.Attributes) && have.Info == want.Info {
		return nil
	}
	return &providertypes.MsgUpdateProvider{
		Owner: want.Owner, HostUri: want.HostUri, TlsPins: pins, Attributes: want.Attributes, Info: want.Info,
	}
}

// Outcome says what Register did.
type Outcome string

// The outcomes of Register.
const (
	Registered Outcome = "registered"
	Updated    Outcome = "updated"
	Unchanged  Outcome = "unchanged"
)

// Register makes the provider's record on chain say what the configuration says. It sends nothing when it does.
func Register(ctx context.Context, cfg Config, owner string, pin []byte, r *chain.Reader, send Sender) (Outcome, error) {
	have, registered, err := r.Provider(ctx)
	if err != nil {
		return "", err
	}
	msg := registration(cfg.record(owner, pin), have, registered)
	if msg == nil {
		return Unchanged, nil
	}
	if _, err := send.Send(ctx, msg); err != nil {
		return "", fmt.Errorf("write the provider's record: %w", err)
	}
	if registered {
		return Updated, nil
	}
	return Registered, nil
}
