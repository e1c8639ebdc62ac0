// Package types holds the market's records, messages, limits and errors.
package types

import (
	"cosmossdk.io/collections"
	errorsmod "cosmossdk.io/errors"

	sdk "github.com/cosmos/cosmos-sdk/types"

	deploymenttypes "berth.dev/berth/x/deployment/types"
)

const (
	// ModuleName names the module in routes, genesis and errors.
	ModuleName = "market"
	// StoreKey names the module's store.
	StoreKey = ModuleName
)

// The prefixes of the module's keys. A slot is gseq << 32 | oseq: one number that sorts as the two do. 7 and 8 held
// indexes of the first version of the state and are not used again.
var (
	// ParamsPrefix holds Params.
	ParamsPrefix = collections.NewPrefix(1)
	// OrdersPrefix: (owner, dseq, slot) -> Order.
	OrdersPrefix = collections.NewPrefix(2)
	// LiveBidsPrefix: (owner, dseq, slot, provider) -> Bid that is open or active.
	LiveBidsPrefix = collections.NewPrefix(3)
	// LeasesPrefix: (owner, dseq, slot, provider) -> Lease.
	LeasesPrefix = collections.NewPrefix(4)
	// RecordsPrefix: provider -> ProviderRecord.
	RecordsPrefix = collections.NewPrefix(5)
	// OpenOrdersPrefix: the keys of open orders.
	OpenOrdersPrefix = collections.NewPrefix(6)
	// ProviderLeasesPrefix: (provider, state, lease key).
	ProviderLeasesPrefix = collections.NewPrefix(9)
	// AuctionsPrefix: (height at which the window ends, order key), for orders that the chain matches.
	AuctionsPrefix = collections.NewPrefix(10)
	// EndedBidsPrefix: (owner, dseq, slot, provider) -> Bid that was lost or closed.
	EndedBidsPrefix = collections.NewPrefix(11)
	// ProviderBidsPrefix: (provider, order key), for live bids.
	ProviderBidsPrefix = collections.NewPrefix(12)
	// RefundsPrefix: (height at which the order ceased to be open, order key), for orders whose bids are to be refunded.
	RefundsPrefix = collections.NewPrefix(13)
	// DeltasPrefix: (provider, index of the transaction) -> ProviderDelta.
	DeltasPrefix = collections.NewPrefix(14)
	// FrozenPrefix: (provider, key of an attribute, order key), for live leases that were matched on the attribute.
	FrozenPrefix = collections.NewPrefix(15)
)

type (
	// OrderKey is the stored form of an OrderID: owner, dseq, slot.
	OrderKey = collections.Triple[sdk.AccAddress, uint64, uint64]
	// BidKey is the stored form of a BidID: owner, dseq, slot, provider.
	BidKey = collections.Quad[sdk.AccAddress, uint64, uint64, sdk.AccAddress]
	// ProviderBidKey is an entry of the index of live bids by provider: provider, order key.
	ProviderBidKey = collections.Pair[sdk.AccAddress, OrderKey]
	// ProviderLeaseKey is an entry of the index of leases by provider: provider, state, lease key.
	ProviderLeaseKey = collections.Triple[sdk.AccAddress, int32, BidKey]
	// QueueKey is an entry of a queue of orders: height, order key.
	QueueKey = collections.Pair[int64, OrderKey]
	// DeltaKey is the place of a ProviderDelta: provider, index of the transaction.
	DeltaKey = collections.Pair[sdk.AccAddress, uint64]
	// FrozenKey is an entry of the index of frozen attributes: provider, key of the attribute, key of the lease's order.
	FrozenKey = collections.Triple[sdk.AccAddress, string, OrderKey]
)

// The codecs of the keys.
var (
	OrderKeyCodec         = collections.TripleKeyCodec(sdk.AccAddressKey, collections.Uint64Key, collections.Uint64Key)
	BidKeyCodec           = collections.QuadKeyCodec(sdk.AccAddressKey, collections.Uint64Key, collections.Uint64Key, sdk.AccAddressKey)
	ProviderBidKeyCodec   = collections.PairKeyCodec(sdk.AccAddressKey, OrderKeyCodec)
	ProviderLeaseKeyCodec = collections.TripleKeyCodec(sdk.AccAddressKey, collections.Int32Key, BidKeyCodec)
	QueueKeyCodec         = collections.PairKeyCodec(collections.Int64Key, OrderKeyCodec)
	DeltaKeyCodec         = collections.PairKeyCodec(sdk.AccAddressKey, collections.Uint64Key)
	FrozenKeyCodec        = collections.TripleKeyCodec(sdk.AccAddressKey, collections.StringKey, OrderKeyCodec)
)

// Slot joins gseq and oseq.
func Slot(gseq, oseq uint32) uint64 { return uint64(gseq)<<32 | uint64(oseq) }

// SlotGseq is the gseq of a slot.
func SlotGseq(slot uint64) uint32 { return uint32(slot >> 32) }

// SlotOseq is the oseq of a slot.
func SlotOseq(slot uint64) uint32 { return uint32(slot) }

// Key is the stored form of the id. It fails if the owner is not an address.
func (id OrderID) Key() (OrderKey, error) {
	owner, err := sdk.AccAddressFromBech32(id.Owner)
	if err != nil {
		return OrderKey{}, errorsmod.Wrapf(deploymenttypes.ErrInvalidID, "owner %q: %s", id.Owner, err)
	}
	return collections.Join3(owner, id.Dseq, Slot(id.Gseq, id.Oseq)), nil
}

// Key is the stored form of the id. It fails if the owner or the provider is not an address.
func (id BidID) Key() (BidKey, error) {
	order, err := id.OrderID().Key()
	if err != nil {
		return BidKey{}, err
	}
	provider, err := sdk.AccAddressFromBech32(id.Provider)
	if err != nil {
		return BidKey{}, errorsmod.Wrapf(deploymenttypes.ErrInvalidID, "provider %q: %s", id.Provider, err)
	}
	return BidKeyOf(order, provider), nil
}

// BidKeyOf is the key of a provider's bid on an order.
func BidKeyOf(order OrderKey, provider sdk.AccAddress) BidKey {
	return collections.Join4(order.K1(), order.K2(), order.K3(), provider)
}

// OrderKeyOf is the key of the order that a bid or lease belongs to.
func OrderKeyOf(k BidKey) OrderKey { return collections.Join3(k.K1(), k.K2(), k.K3()) }
