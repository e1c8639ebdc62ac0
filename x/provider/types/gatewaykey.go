package types

import (
	"github.com/decred/dcrd/dcrec/secp256k1/v4"
)

// ValidateGatewayKey checks that a key is a point of secp256k1 in its compressed form.
func ValidateGatewayKey(key []byte) error {
	if len(key) != secp256k1.PubKeyBytesLenCompressed {
		return ErrInvalidGatewayKey.Wrapf("%d bytes", len(key))
	}
	if _, err := secp256k1.ParsePubKey(key); err != nil {
		return ErrInvalidGatewayKey.Wrapf("%x: %s", key, err)
	}
	return nil
}

// Validate checks a stored gateway key.
func (k GatewayKey) Validate() error {
	if _, err := ParseAddress("owner", k.Owner); err != nil {
		return err
	}
	return ValidateGatewayKey(k.Key)
}
