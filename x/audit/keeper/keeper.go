// Package keeper stores what auditors vouch for.
package keeper

import (
	"context"
	"errors"

	errorsmod "cosmossdk.io/errors"

	"cosmossdk.io/collections"
	"cosmossdk.io/core/store"

	"github.com/cosmos/cosmos-sdk/codec"
	sdk "github.com/cosmos/cosmos-sdk/types"

	"berth.dev/berth/x/audit/types"
	providertypes "berth.dev/berth/x/provider/types"
)

// Keeper reads and writes the records of auditors.
type Keeper struct {
	schema  collections.Schema
	records collections.Map[types.RecordKey, types.SignedAttributes]
	// auditors is the index of records by auditor: (auditor, provider).
	auditors collections.KeySet[types.RecordKey]
}

// NewKeeper returns a keeper over the module's store. It panics if the schema is inconsistent, which is a mistake in
// this package.
func NewKeeper(cdc codec.BinaryCodec, ss store.KVStoreService) *Keeper {
	sb := collections.NewSchemaBuilder(ss)
	pair := collections.PairKeyCodec(sdk.AccAddressKey, sdk.AccAddressKey)
	k := &Keeper{
		records:  collections.NewMap(sb, types.RecordsPrefix, "records", pair, codec.CollValue[types.SignedAttributes](cdc)),
		auditors: collections.NewKeySet(sb, types.AuditorsPrefix, "auditors", pair),
	}
	schema, err := sb.Build()
	if err != nil {
		panic(errorsmod.Wrap(err, "build the audit schema"))
	}
	k.schema = schema
	return k
}

// Signed returns the attributes that an auditor vouches for of a provider, in ascending order of keys; none is no error.
func (k *Keeper) Signed(ctx context.Context, provider, auditor sdk.AccAddress) ([]providertypes.Attribute, error) {
	r, err := k.Record(ctx, provider, auditor)
	if errors.Is(err, types.ErrRecordNotFound) {
		return nil, nil
	}
	return r.Attributes, err
}

// Record returns the record of an auditor about a provider, or ErrRecordNotFound.
func (k *Keeper) Record(ctx context.Context, provider, auditor sdk.AccAddress) (types.SignedAttributes, error) {
	r, err := k.records.Get(ctx, collections.Join(provider, auditor))
	if errors.Is(err, collections.ErrNotFound) {
		return types.SignedAttributes{}, types.ErrRecordNotFound.Wrapf("provider %s, auditor %s", provider, auditor)
	}
	if err != nil {
		return types.SignedAttributes{}, errorsmod.Wrapf(err, "read the record of provider %s by auditor %s", provider, auditor)
	}
	return r, nil
}

// setRecord stores a record, or removes one that holds nothing any more, together with its index entry.
func (k *Keeper) setRecord(ctx context.Context, r types.SignedAttributes) error {
	provider, auditor, err := parties(r.Provider, r.Auditor)
	if err != nil {
		return err
	}
	record, index := collections.Join(provider, auditor), collections.Join(auditor, provider)
	if len(r.Attributes) == 0 {
		if err := k.records.Remove(ctx, record); err != nil {
			return errorsmod.Wrapf(err, "remove the record of provider %s by auditor %s", r.Provider, r.Auditor)
		}
		return errorsmod.Wrap(k.auditors.Remove(ctx, index), "remove the index entry of a record")
	}
	known, err := k.records.Has(ctx, record)
	if err != nil {
		return err
	}
	if err := k.records.Set(ctx, record, r); err != nil {
		return errorsmod.Wrapf(err, "store the record of provider %s by auditor %s", r.Provider, r.Auditor)
	}
	if known {
		return nil
	}
	return errorsmod.Wrap(k.auditors.Set(ctx, index), "store the index entry of a record")
}

func parties(provider, auditor string) (sdk.AccAddress, sdk.AccAddress, error) {
	p, err := providertypes.ParseAddress("provider", provider)
	if err != nil {
		return nil, nil, err
	}
	a, err := providertypes.ParseAddress("auditor", auditor)
	return p, a, err
}
