package types

import (
	"bytes"

	errorsmod "cosmossdk.io/errors"

	sdk "github.com/cosmos/cosmos-sdk/types"

	deploymenttypes "berth.dev/berth/x/deployment/types"
	providertypes "berth.dev/berth/x/provider/types"
)

var (
	_ sdk.HasValidateBasic = (*MsgCreateBids)(nil)
	_ sdk.HasValidateBasic = (*MsgCloseBids)(nil)
	_ sdk.HasValidateBasic = (*MsgCreateLease)(nil)
	_ sdk.HasValidateBasic = (*MsgCloseLease)(nil)
	_ sdk.HasValidateBasic = (*MsgStartReclaim)(nil)
	_ sdk.HasValidateBasic = (*MsgWithdrawLeases)(nil)
	_ sdk.HasValidateBasic = (*MsgUpdateParams)(nil)
)

// Validate checks that the owner is an address and no number is 0.
func (id OrderID) Validate() error {
	if _, err := providertypes.ParseAddress("owner", id.Owner); err != nil {
		return err
	}
	if id.Dseq == 0 || id.Gseq == 0 || id.Oseq == 0 {
		return ErrInvalidID.Wrapf("%s: dseq, gseq and oseq are above 0", id)
	}
	return nil
}

// Validate checks that both addresses are right and no number is 0.
func (id BidID) Validate() error {
	if err := id.OrderID().Validate(); err != nil {
		return err
	}
	_, err := providertypes.ParseAddress("provider", id.Provider)
	return err
}

// ValidateBasic checks the message without state; one item that is malformed refuses the whole batch.
func (m *MsgCreateBids) ValidateBasic() error {
	ids := make([]OrderID, len(m.Bids))
	for i, b := range m.Bids {
		ids[i] = b.OrderId
	}
	if err := validateBatch(m.Provider, ids); err != nil {
		return err
	}
	for i, b := range m.Bids {
		if err := b.validate(); err != nil {
			return errorsmod.Wrapf(err, "bid %d on %s", i+1, b.OrderId)
		}
	}
	return nil
}

func (b BidItem) validate() error {
	if err := deploymenttypes.ValidateDecCoin(b.Price); err != nil {
		return ErrInvalidPrice.Wrap(err.Error())
	}
	if err := deploymenttypes.ValidateCoin(b.Deposit); err != nil {
		return ErrInvalidDeposit.Wrap(err.Error())
	}
	if b.ValidUntil < 0 {
		return ErrBidExpired.Wrapf("valid_until %d is negative: give a height, or 0 for no end", b.ValidUntil)
	}
	if len(b.Offer) > deploymenttypes.MaxUnits {
		return ErrInvalidOffer.Wrapf("%d units, at most %d are allowed", len(b.Offer), deploymenttypes.MaxUnits)
	}
	return nil
}

// ValidateBasic checks the message without state.
func (m *MsgCloseBids) ValidateBasic() error { return validateBatch(m.Provider, m.OrderIds) }

// ValidateBasic checks the message without state.
func (m *MsgWithdrawLeases) ValidateBasic() error {
	ids := make([]OrderID, len(m.Ids))
	for i, id := range m.Ids {
		if id.Provider != m.Provider {
			return ErrUnauthorized.Wrapf("lease %.300s is not one of %.100s", id, m.Provider)
		}
		ids[i] = id.OrderID()
	}
	return validateBatch(m.Provider, ids)
}

// validateBatch checks the signer and that the items are 1 to MaxBatch different orders.
func validateBatch(provider string, ids []OrderID) error {
	if _, err := providertypes.ParseAddress("provider", provider); err != nil {
		return err
	}
	if len(ids) < 1 || len(ids) > MaxBatch {
		return ErrInvalidBatch.Wrapf("%s sends %d", provider, len(ids))
	}
	seen := make(map[OrderID]struct{}, len(ids))
	for i, id := range ids {
		if err := id.Validate(); err != nil {
			return errorsmod.Wrapf(err, "item %d", i+1)
		}
		if _, dup := seen[id]; dup {
			return ErrInvalidBatch.Wrapf("%s stands twice", id)
		}
		seen[id] = struct{}{}
	}
	return nil
}

// ValidateBasic checks the message without state.
func (m *MsgCreateLease) ValidateBasic() error { return m.Id.Validate() }

// ValidateBasic checks the message without state.
func (m *MsgCloseLease) ValidateBasic() error {
	if _, err := providertypes.ParseAddress("signer", m.Signer); err != nil {
		return err
	}
	if err := m.Id.Validate(); err != nil {
		return err
	}
	switch m.Signer {
	case m.Id.Owner:
		return nil
	case m.Id.Provider:
		return validateProviderReason(m.Reason)
	}
	return ErrUnauthorized.Wrapf("%s is neither the tenant nor the provider of lease %s", m.Signer, m.Id)
}

// ValidateBasic checks the message without state.
func (m *MsgStartReclaim) ValidateBasic() error {
	if _, err := providertypes.ParseAddress("provider", m.Provider); err != nil {
		return err
	}
	if err := m.Id.Validate(); err != nil {
		return err
	}
	if m.Id.Provider != m.Provider {
		return ErrUnauthorized.Wrapf("lease %.300s is not one of %.100s", m.Id, m.Provider)
	}
	return validateProviderReason(m.Reason)
}

func validateProviderReason(r CloseReason) error {
	switch r {
	case CLOSE_REASON_UNSPECIFIED, CLOSE_REASON_UNSTABLE, CLOSE_REASON_DECOMMISSION, CLOSE_REASON_MANIFEST_TIMEOUT:
		return nil
	}
	return ErrInvalidReason.Wrapf("%s is not a provider's to give: unspecified, unstable, decommission and manifest timeout are", r)
}

// ValidateBasic checks the message without state.
func (m *MsgUpdateParams) ValidateBasic() error {
	if _, err := providertypes.ParseAddress("authority", m.Authority); err != nil {
		return err
	}
	return m.Params.Validate()
}

// CheckOffer says whether an offer names every unit of a group exactly once, with equal sizes and counts. Prices are
// not compared: an offer may say how the bid's price comes about.
func CheckOffer(offer []ResourceOffer, units []deploymenttypes.ResourceUnit) error {
	if len(offer) != len(units) {
		return ErrInvalidOffer.Wrapf("%d units are offered, the order has %d", len(offer), len(units))
	}
	wanted := make(map[uint32]deploymenttypes.ResourceUnit, len(units))
	for _, u := range units {
		wanted[u.Id] = u
	}
	for _, o := range offer {
		u, ok := wanted[o.Unit.Id]
		if !ok {
			return ErrInvalidOffer.Wrapf("unit %d is not in the order or stands twice", o.Unit.Id)
		}
		delete(wanted, o.Unit.Id)
		if !sameResources(o.Unit, u) {
			return ErrInvalidOffer.Wrapf("unit %d differs from the order's", o.Unit.Id)
		}
	}
	return nil
}

// sameResources compares everything but prices, by the encoded form: it is the same for equal values.
func sameResources(a, b deploymenttypes.ResourceUnit) bool {
	a.Price, b.Price = sdk.DecCoin{}, sdk.DecCoin{}
	x, errX := a.Marshal()
	y, errY := b.Marshal()
	return errX == nil && errY == nil && bytes.Equal(x, y)
}
