package keeper

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"cosmossdk.io/collections"
	"cosmossdk.io/math"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"berth.dev/berth/x/escrow/types"
	"berth.dev/berth/x/internal/migrate"
)

// Where the first version of the state kept what has moved since. The prefixes are not used again.
var (
	holdsPrefixV1  = collections.NewPrefix(5) // hold id -> Hold, whose id stood where its scope stands now
	claimsPrefixV1 = collections.NewPrefix(6) // address -> Claim
)

// Migrator brings the module's state from one version to the next.
type Migrator struct{ k *Keeper }

// NewMigrator returns a migrator of the keeper's state.
func NewMigrator(k *Keeper) Migrator { return Migrator{k} }

// Migrate1to2 adds up the holds of each owner and scope, keys claims by transaction, and gives the parameters and the
// payments a take rate of nothing: what was agreed before it existed stays as it was.
func (m Migrator) Migrate1to2(ctx sdk.Context) error {
	params, err := m.k.params.Get(ctx)
	if err != nil {
		return fmt.Errorf("read the escrow parameters: %w", err)
	}
	if params.TakeRate.IsNil() {
		params.TakeRate = math.LegacyZeroDec()
	}
	if err := m.k.params.Set(ctx, params); err != nil {
		return fmt.Errorf("store the escrow parameters: %w", err)
	}
	if err := m.payments(ctx); err != nil {
		return fmt.Errorf("migrate payments: %w", err)
	}
	sb := collections.NewSchemaBuilder(m.k.store)
	holds := collections.NewMap(sb, holdsPrefixV1, "holds_v1", collections.StringKey, m.k.holds.ValueCodec())
	claims := collections.NewMap(sb, claimsPrefixV1, "claims_v1", collections.BytesKey, m.k.claims.ValueCodec())
	if _, err := sb.Build(); err != nil {
		return fmt.Errorf("build the schema of the first version: %w", err)
	}
	if err := m.holds(ctx, holds); err != nil {
		return fmt.Errorf("migrate holds: %w", err)
	}
	if err := m.claims(ctx, claims); err != nil {
		return fmt.Errorf("migrate claims: %w", err)
	}
	return nil
}

func (m Migrator) payments(ctx context.Context) error {
	return migrate.InPages(ctx, m.k.payments, func(key paymentKey, p types.Payment) error {
		if p.TakeRate.IsNil() {
			p.TakeRate = math.LegacyZeroDec()
		}
		if p.Taken.IsNil() {
			p.Taken = math.ZeroInt()
		}
		return m.k.payments.Set(ctx, key, p)
	})
}

// holds adds up what stood under one id for each deposit: the scope is what the id began with.
func (m Migrator) holds(ctx context.Context, old collections.Map[string, types.Hold]) error {
	return migrate.InPages(ctx, old, func(id string, h types.Hold) error {
		owner, err := sdk.AccAddressFromBech32(h.Owner)
		if err != nil {
			return fmt.Errorf("hold %s: %w", id, err)
		}
		scope, _, _ := strings.Cut(id, "/")
		key := keyOfHold(scope, owner, h.Amount.Denom)
		sum, err := m.k.holds.Get(ctx, key)
		switch {
		case errors.Is(err, collections.ErrNotFound):
			sum = types.Hold{Scope: scope, Owner: h.Owner, Amount: h.Amount}
		case err != nil:
			return fmt.Errorf("hold %s: %w", id, err)
		default:
			sum.Amount = sum.Amount.Add(h.Amount)
		}
		if err := m.k.holds.Set(ctx, key, sum); err != nil {
			return fmt.Errorf("hold %s: %w", id, err)
		}
		return old.Remove(ctx, id)
	})
}

func (m Migrator) claims(ctx context.Context, old collections.Map[[]byte, types.Claim]) error {
	return migrate.InPages(ctx, old, func(address []byte, c types.Claim) error {
		if err := m.k.claims.Set(ctx, collections.Join(sdk.AccAddress(address), uint64(0)), c); err != nil {
			return fmt.Errorf("claim of %s: %w", c.Address, err)
		}
		return old.Remove(ctx, address)
	})
}
