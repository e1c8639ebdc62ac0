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

// The prefixes of the module's keys. A slot is gseq << 32 | oseq: one number that sorts as the two do.
var (
	// ParamsPrefix holds Params.
	ParamsPrefix = collections.NewPrefix(1)
	// OrdersPrefix: (owner, dseq, slot) -> Order.
	OrdersPrefix = collections.NewPrefix(2)
	// BidsPrefix: (owner, dseq, slot, provider) -> Bid.
	BidsPrefix = collections.NewPrefix(3)
	// LeasesPrefix: (owner, dseq, slot, provider) -> Lease.
	LeasesPrefix = collections.NewPrefix(4)
	// RecordsPrefix: provider -> ProviderRecord.
	RecordsPrefix = collections.NewPrefix(5)
	// OpenOrdersPrefix: the keys of open orders.
	OpenOrdersPrefix = collections.NewPrefix(6)
	// OpenBidsPrefix: the keys of open bids, hence those of each order together.
	OpenBidsPrefix = collections.NewPrefix(7)
	// ProviderBidsPrefix: (provider, state, bid key).
	ProviderBidsPrefix = collections.NewPrefix(8)
	// ProviderLeasesPrefix: (provider, state, lease key).
	ProviderLeasesPrefix = collections.NewPrefix(9)
	// AuctionsPrefix: (height at which the window ends, order key), for orders that the chain matches.
	AuctionsPrefix = collections.NewPrefix(10)
)

type (
	// OrderKey is the stored form of an OrderID: owner, dseq, slot.
	OrderKey = collections.Triple[sdk.AccAddress, uint64, uint64]
	// BidKey is the stored form of a BidID: owner, dseq, slot, provider.
	BidKey = collections.Quad[sdk.AccAddress, uint64, uint64, sdk.AccAddress]
	// ProviderKey is an entry of an index by provider: provider, state, bid key.
	ProviderKey = collections.Triple[sdk.AccAddress, int32, BidKey]
	// AuctionKey is an entry of the auction queue: height, order key.
	AuctionKey = collections.Pair[int64, OrderKey]
)

// The codecs of the keys.
var (
	OrderKeyCodec    = collections.TripleKeyCodec(sdk.AccAddressKey, collections.Uint64Key, collections.Uint64Key)
	BidKeyCodec      = collections.QuadKeyCodec(sdk.AccAddressKey, collections.Uint64Key, collections.Uint64Key, sdk.AccAddressKey)
	ProviderKeyCodec = collections.TripleKeyCodec(sdk.AccAddressKey, collections.Int32Key, BidKeyCodec)
	AuctionKeyCodec  = collections.PairKeyCodec(collections.Int64Key, OrderKeyCodec)
)

// Slot joins gseq and oseq.
func Slot(gseq, oseq uint32) uint64 { return uint64(gseq)<<32 | uint64(oseq) }

// SlotGseq is the gseq of a slot.
func SlotGseq(slot uint64) uint32 { return uint32(slot >> 32) }

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
	return collections.Join4(order.K1(), order.K2(), order.K3(), provider), nil
}

// OrderKeyOf is the key of the order that a bid or lease belongs to.
func OrderKeyOf(k BidKey) OrderKey { return collections.Join3(k.K1(), k.K2(), k.K3()) }
