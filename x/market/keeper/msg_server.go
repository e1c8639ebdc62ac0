package keeper

import (
	"context"

	errorsmod "cosmossdk.io/errors"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"berth.dev/berth/x/market/types"
)

// The gas that each item of a batch costs on top of what it reads and writes. It is taken before the item runs, so
// that a batch that cannot pay fails as a whole and early.
const (
	bidGas      = 10_000
	closeBidGas = 5_000
	withdrawGas = 5_000
)

type msgServer struct{ *Keeper }

// NewMsgServer returns the transaction service over k.
func NewMsgServer(k *Keeper) types.MsgServer { return msgServer{k} }

// CreateBids places bids, each with a result of its own.
func (m msgServer) CreateBids(ctx context.Context, msg *types.MsgCreateBids) (*types.MsgCreateBidsResponse, error) {
	if err := msg.ValidateBasic(); err != nil {
		return nil, err
	}
	by, err := m.bidder(ctx, msg.Provider)
	if err != nil {
		return nil, err
	}
	return &types.MsgCreateBidsResponse{Results: m.placeBids(ctx, by, msg.Bids)}, nil
}

func (m msgServer) bidder(ctx context.Context, provider string) (bidder, error) {
	address, record, err := m.registered(ctx, provider)
	if err != nil {
		return bidder{}, err
	}
	params, err := m.Params(ctx)
	return bidder{address: address, record: record, params: params}, err
}

// CloseBids withdraws open bids, each with a result of its own.
func (m msgServer) CloseBids(ctx context.Context, msg *types.MsgCloseBids) (*types.MsgCloseBidsResponse, error) {
	if err := msg.ValidateBasic(); err != nil {
		return nil, err
	}
	res := &types.MsgCloseBidsResponse{Results: make([]types.ItemResult, len(msg.OrderIds))}
	for i, id := range msg.OrderIds {
		err := runItem(ctx, closeBidGas, "market close bid", func(ctx context.Context) error { return m.withdrawBid(ctx, id.BidID(msg.Provider)) })
		res.Results[i] = result(err)
	}
	return res, nil
}

// WithdrawLeases pays out what leases have earned, each with a result of its own.
func (m msgServer) WithdrawLeases(ctx context.Context, msg *types.MsgWithdrawLeases) (*types.MsgWithdrawLeasesResponse, error) {
	if err := msg.ValidateBasic(); err != nil {
		return nil, err
	}
	res := &types.MsgWithdrawLeasesResponse{Results: make([]types.WithdrawResult, len(msg.Ids))}
	for i, id := range msg.Ids {
		var paid sdk.Coin
		err := runItem(ctx, withdrawGas, "market withdraw", func(ctx context.Context) (err error) {
			paid, err = m.withdraw(ctx, id)
			return err
		})
		r := result(err)
		res.Results[i] = types.WithdrawResult{Codespace: r.Codespace, Code: r.Code}
		if err == nil {
			res.Results[i].Amount = paid
		}
	}
	return res, nil
}

func (m msgServer) withdraw(ctx context.Context, id types.LeaseID) (sdk.Coin, error) {
	if _, err := m.liveLease(ctx, id); err != nil {
		return sdk.Coin{}, err
	}
	paid, err := m.escrow.Withdraw(ctx, id.PaymentID())
	return paid, errorsmod.Wrapf(err, "withdraw from lease %s", id)
}

// CreateLease accepts a bid; the tenant signs.
func (m msgServer) CreateLease(ctx context.Context, msg *types.MsgCreateLease) (*types.MsgCreateLeaseResponse, error) {
	if err := msg.ValidateBasic(); err != nil {
		return nil, err
	}
	o, err := m.Order(ctx, msg.Id.OrderID())
	if err != nil {
		return nil, err
	}
	switch {
	case o.State != types.ORDER_STATE_OPEN:
		return nil, types.ErrOrderNotOpen.Wrapf("%s is %s", o.Id, o.State)
	case byChain(o):
		return nil, types.ErrAuctionMode.Wrap(o.Id.String())
	}
	b, err := m.Bid(ctx, msg.Id)
	if err != nil {
		return nil, err
	}
	if b.State != types.BID_STATE_OPEN {
		return nil, types.ErrBidNotOpen.Wrapf("%s is %s", b.Id, b.State)
	}
	if expired(b, height(ctx)) {
		return nil, types.ErrBidExpired.Wrapf("bid %s was valid until height %d", b.Id, b.ValidUntil)
	}
	if err := m.stillMatches(ctx, o, b); err != nil {
		return nil, err
	}
	return &types.MsgCreateLeaseResponse{}, m.openLease(ctx, o, b)
}

// CloseLease ends a lease; its tenant or its provider signs.
func (m msgServer) CloseLease(ctx context.Context, msg *types.MsgCloseLease) (*types.MsgCloseLeaseResponse, error) {
	if err := msg.ValidateBasic(); err != nil {
		return nil, err
	}
	reason, allow := msg.Reason, func(l types.Lease) error { return mayTakeBack(l, seconds(ctx)) }
	if msg.Signer == msg.Id.Owner {
		reason, allow = types.CLOSE_REASON_TENANT, func(types.Lease) error { return nil }
	}
	o, err := m.endPaid(ctx, msg.Id, reason, allow)
	if err != nil {
		return nil, err
	}
	return &types.MsgCloseLeaseResponse{}, m.reopenOrder(ctx, o, msg.Id.Provider)
}

// StartReclaim announces that a lease will be taken back; its provider signs.
func (m msgServer) StartReclaim(ctx context.Context, msg *types.MsgStartReclaim) (*types.MsgStartReclaimResponse, error) {
	if err := msg.ValidateBasic(); err != nil {
		return nil, err
	}
	deadline, err := m.startReclaim(ctx, msg.Id, msg.Reason)
	if err != nil {
		return nil, err
	}
	return &types.MsgStartReclaimResponse{Deadline: deadline}, nil
}

// UpdateParams replaces the parameters; only the module's authority may.
func (m msgServer) UpdateParams(ctx context.Context, msg *types.MsgUpdateParams) (*types.MsgUpdateParamsResponse, error) {
	if err := msg.ValidateBasic(); err != nil {
		return nil, err
	}
	if msg.Authority != m.authority {
		return nil, types.ErrUnauthorized.Wrapf("parameters are changed by %s, not by %s", m.authority, msg.Authority)
	}
	return &types.MsgUpdateParamsResponse{}, m.params.Set(ctx, msg.Params)
}

// runItem runs one item of a batch: its fixed gas is taken first, and what it wrote stays only if it succeeds. Running
// out of gas, or a panic, is not an item's failure but the transaction's, and passes through.
func runItem(ctx context.Context, gas uint64, what string, do func(context.Context) error) error {
	sdkCtx := sdk.UnwrapSDKContext(ctx)
	sdkCtx.GasMeter().ConsumeGas(gas, what)
	cached, write := sdkCtx.CacheContext()
	if err := do(cached); err != nil {
		return err
	}
	write()
	return nil
}

// result is the codespace and code of an error. Texts stay out of results, as they stand in the hash of the block's
// results: a change of wording would be a change of the protocol.
func result(err error) types.ItemResult {
	if err == nil {
		return types.ItemResult{}
	}
	codespace, code, _ := errorsmod.ABCIInfo(err, false)
	return types.ItemResult{Codespace: codespace, Code: code}
}
