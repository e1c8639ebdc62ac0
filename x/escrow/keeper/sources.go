package keeper

import (
	"context"
	"fmt"
	"strings"
	"time"

	errorsmod "cosmossdk.io/errors"
	"cosmossdk.io/math"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"berth.dev/berth/x/escrow/types"
)

// depositMsg is the message that a grant must be for, whether a deposit comes with it or opens an account.
var depositMsg = sdk.MsgTypeURL(&types.MsgDeposit{})

// source is a place that a deposit may be drawn from.
type source struct {
	types.DepositSource
	payer sdk.AccAddress
}

// draw is the part of a deposit that one source gives.
type draw struct {
	source
	amount sdk.Coin
	grant  *grant
}

// grant is a depositor's authorization as it stands.
type grant struct {
	*types.DepositAuthorization
	expires *time.Time
}

// parseSources checks a list of sources; none means the depositor's balance.
func (k *Keeper) parseSources(depositor sdk.AccAddress, list []types.DepositSource) ([]source, error) {
	if len(list) == 0 {
		return []source{{types.FromBalance(), depositor}}, nil
	}
	if err := types.ValidateSources(list); err != nil {
		return nil, err
	}
	sources := make([]source, len(list))
	for i, s := range list {
		payer, err := k.payer(depositor, s)
		if err != nil {
			return nil, err
		}
		for _, earlier := range sources[:i] {
			if earlier.payer.Equals(payer) {
				return nil, errorsmod.Wrapf(types.ErrInvalidSource, "%s stands twice", s.Name())
			}
		}
		sources[i] = source{s, payer}
	}
	return sources, nil
}

// payer is whose coins a source gives, which types.ValidateSources has passed.
func (k *Keeper) payer(depositor sdk.AccAddress, s types.DepositSource) (sdk.AccAddress, error) {
	if s.Kind == types.SOURCE_BALANCE {
		return depositor, nil
	}
	granter, err := k.accountKeeper.AddressCodec().StringToBytes(s.Granter)
	if err != nil {
		return nil, errorsmod.Wrapf(types.ErrInvalidSource, "granter %q: %s", s.Granter, err)
	}
	if depositor.Equals(sdk.AccAddress(granter)) {
		return nil, errorsmod.Wrapf(types.ErrInvalidSource, "%s needs no grant of its own", s.Granter)
	}
	return granter, nil
}

// plan divides an amount among sources in their order, each giving what it can until the amount is covered. A shortfall
// is types.ErrInsufficientFunds, which says what each could give.
func (k *Keeper) plan(ctx context.Context, depositor sdk.AccAddress, sources []source, amount sdk.Coin) ([]draw, error) {
	var draws []draw
	var offers []string
	left := amount.Amount
	for _, s := range sources {
		if left.IsZero() {
			break
		}
		offered, grant := k.offer(ctx, depositor, s, amount.Denom)
		offers = append(offers, fmt.Sprintf("%s has %s%s", s.Name(), offered, amount.Denom))
		part := math.MinInt(offered, left)
		if part.IsPositive() {
			draws = append(draws, draw{s, sdk.NewCoin(amount.Denom, part), grant})
			left = left.Sub(part)
		}
	}
	if left.IsPositive() {
		return nil, errorsmod.Wrapf(types.ErrInsufficientFunds, "a deposit of %s by %s: %s", amount, depositor, strings.Join(offers, ", "))
	}
	return draws, nil
}

// offer is what a source can give: what its payer can spend and, by a grant, what is left of the grant's limit.
func (k *Keeper) offer(ctx context.Context, depositor sdk.AccAddress, s source, denom string) (math.Int, *grant) {
	if s.Kind == types.SOURCE_BALANCE {
		return k.spendable(ctx, s.payer, denom), nil
	}
	grant := k.grant(ctx, depositor, s.payer)
	if grant == nil {
		return math.ZeroInt(), nil
	}
	return math.MinInt(grant.Left(denom), k.spendable(ctx, s.payer, denom)), grant
}

// spendable is the part of a balance that is not locked by vesting.
func (k *Keeper) spendable(ctx context.Context, who sdk.AccAddress, denom string) math.Int {
	balance := k.bank.GetBalance(ctx, who, denom).Amount
	locked := k.bank.LockedCoins(ctx, who).AmountOf(denom)
	return math.MaxInt(balance.Sub(locked), math.ZeroInt())
}

// grant is what a granter lets a grantee deposit, nil if nothing: it was never granted, was revoked, has expired, or is
// a grant of another kind. A grant that expires with this very block can be stored no more, hence it has expired.
func (k *Keeper) grant(ctx context.Context, grantee, granter sdk.AccAddress) *grant {
	authorization, expires := k.authz.GetAuthorization(ctx, grantee, granter, depositMsg)
	deposit, ok := authorization.(*types.DepositAuthorization)
	if !ok || expires != nil && !expires.After(sdk.UnwrapSDKContext(ctx).BlockTime()) {
		return nil
	}
	return &grant{deposit, expires}
}

// record is the draw as a deposit. Coins of a grant are the granter's.
func (d draw) record(ctx context.Context, depositor sdk.AccAddress) types.Deposit {
	deposit := types.Deposit{Owner: d.payer.String(), Source: d.Kind, Amount: d.amount.Amount, Height: height(ctx)}
	if d.grant != nil {
		deposit.Grantee, deposit.GrantSerial = depositor.String(), d.grant.serial(ctx)
	}
	return deposit
}

// spend moves a draw to the pool, and counts it in its grant's spent.
func (k *Keeper) spend(ctx context.Context, depositor sdk.AccAddress, d draw) error {
	if err := k.checkPayer(d.payer); err != nil {
		return err
	}
	if err := k.bank.SendCoinsFromAccountToModuleVirtual(ctx, d.payer, types.ModuleName, sdk.NewCoins(d.amount)); err != nil {
		return errorsmod.Wrapf(err, "deposit %s of %s", d.amount, d.payer)
	}
	if d.grant == nil {
		return nil
	}
	drawn := d.grant.Draw(d.amount)
	drawn.Serial = d.grant.serial(ctx)
	return k.saveGrant(ctx, depositor, d.payer, drawn, d.grant.expires)
}

// restore gives coins that come back to the limit of the grant that they were drawn of, if it still stands. A later
// grant of the same accounts has another serial, and nothing of its own comes back with them.
func (k *Keeper) restore(ctx context.Context, d types.Deposit, amount sdk.Coin) error {
	granter, err := k.accountKeeper.AddressCodec().StringToBytes(d.Owner)
	if err != nil {
		return errorsmod.Wrapf(types.ErrInvalidSource, "granter %q: %s", d.Owner, err)
	}
	grantee, err := k.accountKeeper.AddressCodec().StringToBytes(d.Grantee)
	if err != nil {
		return errorsmod.Wrapf(types.ErrInvalidSource, "grantee %q: %s", d.Grantee, err)
	}
	grant := k.grant(ctx, grantee, granter)
	if grant == nil || grant.Serial != d.GrantSerial {
		return nil
	}
	return k.saveGrant(ctx, grantee, granter, grant.Restore(amount), grant.expires)
}

func (k *Keeper) saveGrant(ctx context.Context, grantee, granter sdk.AccAddress, a *types.DepositAuthorization, expires *time.Time) error {
	if err := k.authz.SaveGrant(ctx, grantee, granter, a, expires); err != nil {
		return errorsmod.Wrapf(err, "keep the grant of %s to %s", granter, grantee)
	}
	return nil
}

// serial is the grant's own or, as it is drawn for the first time, a number that no other transaction gives a grant. It
// is positive, as heights are.
func (g *grant) serial(ctx context.Context) uint64 {
	if g.Serial != 0 {
		return g.Serial
	}
	const maxTxs = 1 << 24 // in a block, with room to spare
	sdkCtx := sdk.UnwrapSDKContext(ctx)
	return uint64(sdkCtx.BlockHeight())*maxTxs + uint64(sdkCtx.TxIndex())%maxTxs
}

// checkPayer refuses the pool's own address: coins that it paid to itself would be owed twice.
func (k *Keeper) checkPayer(payer sdk.AccAddress) error {
	if payer.Equals(k.accountKeeper.GetModuleAddress(types.ModuleName)) {
		return errorsmod.Wrapf(types.ErrInvalidSource, "%s is the escrow's own account", payer)
	}
	return nil
}
