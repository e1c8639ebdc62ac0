// Package keeper keeps the escrow's state: it loads an account with the payments that earn, lets package ledger do the
// arithmetic, and stores what came out.
//
// Invariants that hold after every end block (numbers of docs/spec/invariants.md):
//
//	INV-1  the pool's balance is what accounts, holds and claims are owed, per denom, to the last unit
//	INV-2  no balance is negative; what was taken is the take rate of what was paid; a settled height never decreases
//	INV-5  an account that has run dry accrues nothing
//	INV-7  every index entry has its record, and the reverse
//	INV-8  what is held is given back exactly once
package keeper

import (
	"context"
	"errors"
	"fmt"

	"cosmossdk.io/collections"
	collcodec "cosmossdk.io/collections/codec"
	"cosmossdk.io/core/store"
	errorsmod "cosmossdk.io/errors"

	"github.com/cosmos/cosmos-sdk/codec"
	sdk "github.com/cosmos/cosmos-sdk/types"

	"berth.dev/berth/internal/typedevent"
	"berth.dev/berth/x/escrow/types"
)

// Keys of the module's collections.
type (
	accountKey = collections.Pair[string, string]
	paymentKey = collections.Triple[string, string, string]
	dueKey     = collections.Triple[int64, string, string]
	holdKey    = collections.Triple[string, sdk.AccAddress, string]
	claimKey   = collections.Pair[sdk.AccAddress, uint64]
)

// Keeper owns the escrow's store and its pool account.
type Keeper struct {
	accountKeeper types.AccountKeeper
	bank          types.BankKeeper
	distr         types.DistributionKeeper
	authz         types.AuthzKeeper
	authority     string
	hooks         types.EscrowHooks
	invariants    func(context.Context) []string

	store    store.KVStoreService // for migrations, which read what has moved
	schema   collections.Schema
	params   collections.Item[types.Params]
	accounts collections.Map[accountKey, types.Account]
	payments collections.Map[paymentKey, types.Payment]
	live     collections.KeySet[paymentKey]
	due      collections.KeySet[dueKey]
	cursor   collections.Item[dueKey]
	holds    collections.Map[holdKey, types.Hold]
	claims   collections.Map[claimKey, types.Claim]
}

// NewKeeper returns a keeper; authority is the address that may change the parameters. It panics if the module
// account is not configured, as a node could not run without it.
func NewKeeper(
	cdc codec.BinaryCodec, ss store.KVStoreService, accountKeeper types.AccountKeeper, bankKeeper types.BankKeeper,
	distrKeeper types.DistributionKeeper, authzKeeper types.AuthzKeeper, authority string,
) *Keeper {
	if accountKeeper.GetModuleAddress(types.ModuleName) == nil {
		panic(fmt.Sprintf("the module account %q is not configured", types.ModuleName))
	}
	sb := collections.NewSchemaBuilder(ss)
	strings3 := collections.TripleKeyCodec(collections.StringKey, collections.StringKey, collections.StringKey)
	dueCodec := collections.TripleKeyCodec(collections.Int64Key, collections.StringKey, collections.StringKey)
	k := &Keeper{
		accountKeeper: accountKeeper,
		bank:          bankKeeper,
		distr:         distrKeeper,
		authz:         authzKeeper,
		authority:     authority,
		store:         ss,
		params:        collections.NewItem(sb, types.ParamsPrefix, "params", codec.CollValue[types.Params](cdc)),
		accounts: collections.NewMap(sb, types.AccountsPrefix, "accounts",
			collections.PairKeyCodec(collections.StringKey, collections.StringKey), codec.CollValue[types.Account](cdc)),
		payments: collections.NewMap(sb, types.PaymentsPrefix, "payments", strings3, codec.CollValue[types.Payment](cdc)),
		live:     collections.NewKeySet(sb, types.LivePrefix, "live_payments", strings3),
		due:      collections.NewKeySet(sb, types.DuePrefix, "due", dueCodec),
		cursor:   collections.NewItem(sb, types.CursorPrefix, "due_cursor", collcodec.KeyToValueCodec(dueCodec)),
		holds: collections.NewMap(sb, types.HoldsPrefix, "holds",
			collections.TripleKeyCodec(collections.StringKey, sdk.AccAddressKey, collections.StringKey), codec.CollValue[types.Hold](cdc)),
		claims: collections.NewMap(sb, types.ClaimsPrefix, "claims",
			collections.PairKeyCodec(sdk.AccAddressKey, collections.Uint64Key), codec.CollValue[types.Claim](cdc)),
	}
	schema, err := sb.Build()
	if err != nil {
		panic(fmt.Sprintf("escrow schema: %s", err))
	}
	k.schema = schema
	return k
}

// SetHooks sets who is told of suspensions, resumptions and expiries. It is called once, while the app is built.
func (k *Keeper) SetHooks(hooks types.EscrowHooks) {
	if k.hooks != nil {
		panic("escrow hooks are set already")
	}
	k.hooks = hooks
}

// SetInvariants adds the checks of other modules to what the Invariants query runs. It is called once, while the app
// is built.
func (k *Keeper) SetInvariants(check func(context.Context) []string) { k.invariants = check }

// Authority is the address that may change the parameters.
func (k *Keeper) Authority() string { return k.authority }

// GetParams returns the parameters.
func (k *Keeper) GetParams(ctx context.Context) (types.Params, error) {
	params, err := k.params.Get(ctx)
	if err != nil {
		return types.Params{}, fmt.Errorf("read escrow parameters: %w", err)
	}
	return params, nil
}

// SetParams replaces the parameters, or returns types.ErrInvalidParams.
func (k *Keeper) SetParams(ctx context.Context, params types.Params) error {
	if err := params.Validate(); err != nil {
		return err
	}
	return k.params.Set(ctx, params)
}

// height is the height of the block that is being executed, or that a query reads.
func height(ctx context.Context) int64 { return sdk.UnwrapSDKContext(ctx).BlockHeight() }

// emit adds a typed event to the transaction or block.
func emit(ctx context.Context, event interface {
	Reset()
	String() string
	ProtoMessage()
}) error {
	return typedevent.Emit(ctx, event)
}

// notFound turns a missing record into the module's error and says which one it was.
func notFound(err, sentinel error, id fmt.Stringer) error {
	if errors.Is(err, collections.ErrNotFound) {
		return errorsmod.Wrap(sentinel, id.String())
	}
	return fmt.Errorf("read %s: %w", id, err)
}

func keyOfAccount(id types.AccountID) accountKey { return collections.Join(id.Scope, id.Xid) }

func keyOfPayment(id types.PaymentID) paymentKey {
	return collections.Join3(id.AccountId.Scope, id.AccountId.Xid, id.Pid)
}

func keyOfDue(height int64, id types.AccountID) dueKey {
	return collections.Join3(height, id.Scope, id.Xid)
}
