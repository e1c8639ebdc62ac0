package chain

import (
	"context"
	"fmt"

	codectypes "github.com/cosmos/cosmos-sdk/codec/types"
	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/cosmos-sdk/x/authz"

	"berth.dev/berth/client"
	markettypes "berth.dev/berth/x/market/types"
	providertypes "berth.dev/berth/x/provider/types"
)

// Delegate sends an owner's messages with another key, by grants that the owner has made to it on chain. The owner's
// key can then stay where no daemon reaches it.
type Delegate struct {
	next interface {
		SendWith(ctx context.Context, o Options, msgs ...sdk.Msg) (*client.Result, error)
	}
	grantee sdk.AccAddress
}

// NewDelegate makes a Delegate that signs as grantee through next.
func NewDelegate(next *Sender, grantee sdk.AccAddress) *Delegate {
	return &Delegate{next: next, grantee: grantee}
}

// DelegateGas is what the chain takes for finding and checking the grant of one message.
const DelegateGas = 20_000

// Send is SendWith with gas found by simulation.
func (d *Delegate) Send(ctx context.Context, msgs ...sdk.Msg) (*client.Result, error) {
	return d.SendWith(ctx, Options{}, msgs...)
}

// SendWith puts the messages into one transaction of the grantee's. The gas of the options is that of the messages
// themselves. The result's responses are those of the messages; errors are the sender's.
func (d *Delegate) SendWith(ctx context.Context, o Options, msgs ...sdk.Msg) (*client.Result, error) {
	exec := authz.NewMsgExec(d.grantee, msgs)
	if o.Gas > 0 {
		o.Gas += DelegateGas * uint64(len(msgs))
	}
	res, err := d.next.SendWith(ctx, o, &exec)
	if err != nil {
		return nil, err
	}
	if len(res.Responses) != 1 {
		return nil, fmt.Errorf("transaction %s has %d responses, not 1", res.Hash, len(res.Responses))
	}
	var out authz.MsgExecResponse
	if err := out.Unmarshal(res.Responses[0].Value); err != nil {
		return nil, fmt.Errorf("decode the results of transaction %s: %w", res.Hash, err)
	}
	inner := *res
	inner.Responses = make([]*codectypes.Any, len(out.Results))
	for i, value := range out.Results {
		inner.Responses[i] = &codectypes.Any{Value: value}
	}
	return &inner, nil
}

// DelegatedMessages are the messages that a provider sends by itself, hence those that its owner grants to a hot key.
// The record's own messages come last: without them the owner keeps the record up to date by hand.
func DelegatedMessages() []string {
	var urls []string
	for _, msg := range []sdk.Msg{
		&markettypes.MsgCreateBids{}, &markettypes.MsgCloseBids{}, &markettypes.MsgCloseLease{},
		&markettypes.MsgStartReclaim{}, &markettypes.MsgWithdrawLeases{},
		&providertypes.MsgCreateProvider{}, &providertypes.MsgUpdateProvider{},
	} {
		urls = append(urls, sdk.MsgTypeURL(msg))
	}
	return urls
}
