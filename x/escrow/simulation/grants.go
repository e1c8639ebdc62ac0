package simulation

import (
	"context"
	"math/rand"

	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/cosmos-sdk/x/authz"

	"berth.dev/berth/testutil/simstate"
	"berth.dev/berth/x/escrow/types"
)

// AuthzKeeper is what the factories read of authz.
type AuthzKeeper interface {
	ExportGenesis(ctx sdk.Context) *authz.GenesisState
}

// Grants are the authorizations that stand.
type Grants struct {
	state *simstate.Cached[*authz.GenesisState]
}

// NewGrants reads grants from authz.
func NewGrants(k AuthzKeeper) Grants {
	return Grants{state: simstate.NewCached(func(ctx context.Context) (*authz.GenesisState, error) {
		return k.ExportGenesis(sdk.UnwrapSDKContext(ctx)), nil
	})}
}

// All are the grants that have not expired.
func (g Grants) All(ctx context.Context) []authz.GrantAuthorization {
	now := sdk.UnwrapSDKContext(ctx).BlockTime()
	return simstate.Filter(g.state.Get(ctx).Authorization, func(a authz.GrantAuthorization) bool {
		return a.Expiration == nil || a.Expiration.After(now)
	})
}

// PickGeneric is a random plain grant of a message, if there is one.
func (g Grants) PickGeneric(ctx context.Context, r *rand.Rand, msg sdk.Msg) (authz.GrantAuthorization, bool) {
	return simstate.Pick(r, g.All(ctx), func(a authz.GrantAuthorization) bool {
		generic, ok := a.Authorization.GetCachedValue().(*authz.GenericAuthorization)
		return ok && generic.Msg == sdk.MsgTypeURL(msg)
	})
}

// Sources are where a deposit of a depositor comes from: mostly nothing is said, which means its balance; otherwise
// grants that it has, enough or not, with or without its balance behind them.
func (g Grants) Sources(ctx context.Context, r *rand.Rand, depositor string, amount sdk.Coin) []types.DepositSource {
	if simstate.Chance(r, 20) {
		return nil
	}
	own := types.DepositSource{Kind: types.SOURCE_BALANCE}
	var sources []types.DepositSource
	for _, a := range g.All(ctx) {
		limit, ok := a.Authorization.GetCachedValue().(*types.DepositAuthorization)
		if !ok || a.Grantee != depositor || len(sources) == 3 {
			continue
		}
		left := limit.Limits.AmountOf(amount.Denom).Sub(limit.Spent.AmountOf(amount.Denom))
		if left.IsPositive() {
			sources = append(sources, types.DepositSource{Kind: types.SOURCE_GRANT, Granter: a.Granter})
		}
	}
	switch {
	case len(sources) == 0 && simstate.Chance(r, 70):
		return nil
	case len(sources) > 0 && simstate.Chance(r, 5):
		return sources
	case len(sources) > 0 && simstate.Chance(r, 20):
		return append([]types.DepositSource{own}, sources...)
	}
	return append(sources, own)
}

// typeOf is the type of the messages that a grant allows.
func typeOf(a authz.GrantAuthorization) string {
	authorization, ok := a.Authorization.GetCachedValue().(authz.Authorization)
	if !ok {
		return ""
	}
	return authorization.MsgTypeURL()
}
