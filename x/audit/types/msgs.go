package types

import (
	sdk "github.com/cosmos/cosmos-sdk/types"

	providertypes "berth.dev/berth/x/provider/types"
)

var (
	_ sdk.HasValidateBasic = (*MsgSignAttributes)(nil)
	_ sdk.HasValidateBasic = (*MsgRevokeAttributes)(nil)
)

// ValidateBasic checks the message without state.
func (m *MsgSignAttributes) ValidateBasic() error {
	if err := validateParties(m.Auditor, m.Provider); err != nil {
		return err
	}
	if len(m.Attributes) == 0 {
		return ErrInvalidMessage.Wrapf("no attribute of provider %s is given: name at least one", m.Provider)
	}
	return providertypes.ValidateAttributes(m.Attributes)
}

// ValidateBasic checks the message without state.
func (m *MsgRevokeAttributes) ValidateBasic() error {
	if err := validateParties(m.Auditor, m.Provider); err != nil {
		return err
	}
	if len(m.Keys) > providertypes.MaxAttributes {
		return ErrInvalidMessage.Wrapf("%d keys, at most %d are allowed; none means all", len(m.Keys), providertypes.MaxAttributes)
	}
	seen := make(map[string]struct{}, len(m.Keys))
	for _, k := range m.Keys {
		if err := providertypes.ValidateAttributeKey(k); err != nil {
			return err
		}
		if _, dup := seen[k]; dup {
			return ErrInvalidMessage.Wrapf("key %q stands twice", k)
		}
		seen[k] = struct{}{}
	}
	return nil
}

func validateParties(auditor, provider string) error {
	if _, err := providertypes.ParseAddress("auditor", auditor); err != nil {
		return err
	}
	_, err := providertypes.ParseAddress("provider", provider)
	return err
}
