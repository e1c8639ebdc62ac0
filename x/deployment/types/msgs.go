package types

import (
	"cosmossdk.io/math"

	sdk "github.com/cosmos/cosmos-sdk/types"

	escrowtypes "berth.dev/berth/x/escrow/types"
	providertypes "berth.dev/berth/x/provider/types"
)

var (
	_ sdk.HasValidateBasic = (*MsgCreateDeployment)(nil)
	_ sdk.HasValidateBasic = (*MsgUpdateDeployment)(nil)
	_ sdk.HasValidateBasic = (*MsgCloseDeployment)(nil)
	_ sdk.HasValidateBasic = (*MsgPauseGroup)(nil)
	_ sdk.HasValidateBasic = (*MsgStartGroup)(nil)
	_ sdk.HasValidateBasic = (*MsgCloseGroup)(nil)
	_ sdk.HasValidateBasic = (*MsgUpdateParams)(nil)
)

// Validate checks that the owner is an address and dseq is not 0.
func (id DeploymentID) Validate() error {
	if _, err := providertypes.ParseAddress("owner", id.Owner); err != nil {
		return err
	}
	if id.Dseq == 0 {
		return ErrInvalidID.Wrap("dseq is 0: choose a number above 0")
	}
	return nil
}

// Validate checks that the deployment's id is valid and gseq is one that a group can have.
func (id GroupID) Validate() error {
	if err := id.DeploymentID().Validate(); err != nil {
		return err
	}
	if id.Gseq < 1 || id.Gseq > MaxGroups {
		return ErrInvalidID.Wrapf("gseq %d is not in 1..%d", id.Gseq, MaxGroups)
	}
	return nil
}

// ValidateBasic checks the message without state: all but the limits that are parameters.
func (m *MsgCreateDeployment) ValidateBasic() error {
	if err := m.Id.Validate(); err != nil {
		return err
	}
	if err := ValidateCoin(m.Deposit); err != nil {
		return ErrInvalidDeposit.Wrap(err.Error())
	}
	if err := escrowtypes.ValidateSources(m.DepositSources); err != nil {
		return err
	}
	if err := ValidateManifestHash(m.ManifestHash); err != nil {
		return err
	}
	if err := m.Auction.Validate(auctionWindowCap); err != nil {
		return err
	}
	if err := m.Reclamation.Validate(); err != nil {
		return err
	}
	return ValidateGroups(m.Groups, m.Deposit.Denom, math.NewIntWithDecimal(1, priceDigits))
}

// ValidateBasic checks the message without state.
func (m *MsgUpdateDeployment) ValidateBasic() error {
	if err := m.Id.Validate(); err != nil {
		return err
	}
	return ValidateManifestHash(m.ManifestHash)
}

// ValidateBasic checks the message without state.
func (m *MsgCloseDeployment) ValidateBasic() error { return m.Id.Validate() }

// ValidateBasic checks the message without state.
func (m *MsgPauseGroup) ValidateBasic() error { return m.Id.Validate() }

// ValidateBasic checks the message without state.
func (m *MsgStartGroup) ValidateBasic() error { return m.Id.Validate() }

// ValidateBasic checks the message without state.
func (m *MsgCloseGroup) ValidateBasic() error { return m.Id.Validate() }

// ValidateBasic checks the message without state.
func (m *MsgUpdateParams) ValidateBasic() error {
	if _, err := providertypes.ParseAddress("authority", m.Authority); err != nil {
		return err
	}
	return m.Params.Validate()
}

// ValidateManifestHash checks the size of a hash.
func ValidateManifestHash(h []byte) error {
	if len(h) != ManifestHashSize {
		return ErrInvalidHash.Wrapf("%d bytes, a hash has %d", len(h), ManifestHashSize)
	}
	return nil
}
