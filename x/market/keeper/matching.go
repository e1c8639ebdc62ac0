package keeper

import (
	"context"
	"slices"
	"strings"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"berth.dev/berth/x/market/types"
	providertypes "berth.dev/berth/x/provider/types"
)

// matches says why a provider with these attributes may not run an order's group, or nil: it must have what the order
// requires, and the auditors whom the order names must have signed it.
func (k *Keeper) matches(ctx context.Context, o types.Order, provider sdk.AccAddress, attributes []providertypes.Attribute) error {
	req := o.Spec.Requirements
	if !providertypes.MatchAttributes(req.Attributes, attributes) {
		return types.ErrAttributes.Wrap(o.Id.String())
	}
	for _, auditor := range req.SignedBy.AllOf {
		if ok, err := k.vouches(ctx, auditor, provider, req.Attributes); err != nil || !ok {
			return notAudited(err, o, auditor)
		}
	}
	for _, auditor := range req.SignedBy.AnyOf {
		ok, err := k.vouches(ctx, auditor, provider, req.Attributes)
		if err != nil {
			return err
		}
		if ok {
			return nil
		}
	}
	if len(req.SignedBy.AnyOf) > 0 {
		return types.ErrNotAudited.Wrapf("%s: none of its any_of has signed what it requires", o.Id)
	}
	return nil
}

func notAudited(err error, o types.Order, auditor string) error {
	if err != nil {
		return err
	}
	return types.ErrNotAudited.Wrapf("%s: %s of its all_of has not signed what it requires", o.Id, auditor)
}

// vouches says whether an auditor has signed all required attributes of a provider. Where none is required it must
// have signed something: an order that names auditors wants providers whom they know.
func (k *Keeper) vouches(ctx context.Context, auditor string, provider sdk.AccAddress, required []providertypes.Attribute) (bool, error) {
	address, err := sdk.AccAddressFromBech32(auditor)
	if err != nil {
		return false, types.ErrInvalidID.Wrapf("auditor %q: %s", auditor, err)
	}
	signed, err := k.audits.Signed(ctx, provider, address)
	if err != nil {
		return false, err
	}
	return len(signed) > 0 && providertypes.MatchAttributes(required, signed), nil
}

// matched lists the keys of the attributes that meet the requirements of an order, in ascending order: of each required
// one the first that does. While they stay the provider goes on meeting the order.
func matched(required, have []providertypes.Attribute) []string {
	have = slices.Clone(have)
	slices.SortFunc(have, func(a, b providertypes.Attribute) int { return strings.Compare(a.Key, b.Key) })
	var keys []string
	for _, r := range required {
		for _, h := range have {
			if providertypes.MatchAttributes([]providertypes.Attribute{r}, []providertypes.Attribute{h}) {
				keys = append(keys, h.Key)
				break
			}
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}
