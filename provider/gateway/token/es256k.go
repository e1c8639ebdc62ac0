package token

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	"github.com/decred/dcrd/dcrec/secp256k1/v4/ecdsa"
	"github.com/golang-jwt/jwt/v5"

	sdksecp256k1 "github.com/cosmos/cosmos-sdk/crypto/keys/secp256k1"
	"github.com/cosmos/cosmos-sdk/types/bech32"

	"berth.dev/berth/units"
)

// The algorithms that tokens may name: ECDSA over secp256k1 and SHA-256 (RFC 8812), with the low S that the chain demands
// too, so that a signature has one form.
const (
	// Alg signs the token's text itself.
	Alg = "ES256K"
	// AlgADR036 signs the text in the document that wallets show for messages that are no transactions; see SignDoc.
	AlgADR036 = "ADR036"
)

const (
	sigLen    = 64
	pubKeyLen = 33
)

// Signer signs with an account's key.
type Signer interface {
	// Sign returns the 64 bytes R||S over the SHA-256 of data, S in the lower half, and the compressed public key.
	Sign(data []byte) (sig, pubKey []byte, err error)
}

// publicKeyer is a Signer that can name its key without signing.
type publicKeyer interface{ PublicKey() ([]byte, error) }

// es256k implements jwt.SigningMethod. It verifies with a *secp256k1.PublicKey and signs with a boundSigner.
type es256k struct{}

func init() {
	jwt.RegisterSigningMethod(Alg, func() jwt.SigningMethod { return es256k{} })
	jwt.RegisterSigningMethod(AlgADR036, func() jwt.SigningMethod { return adr036{} })
}

// SignDoc is what a wallet signs when it is asked to sign text for the account signer: the amino JSON of ADR-036. Text
// is the header and the payload of a token with the dot between them, so nothing in the document needs escaping.
func SignDoc(signer, text string) []byte {
	return fmt.Appendf(nil, `{"account_number":"0","chain_id":"","fee":{"amount":[],"gas":"0"},"memo":"",`+
		`"msgs":[{"type":"sign/MsgSignData","value":{"data":"%s","signer":"%s"}}],"sequence":"0"}`,
		base64.StdEncoding.EncodeToString([]byte(text)), signer)
}

// adr036 implements jwt.SigningMethod. It verifies with a *secp256k1.PublicKey, whose address is the signer.
type adr036 struct{}

// Alg implements jwt.SigningMethod.
func (adr036) Alg() string { return AlgADR036 }

// Sign implements jwt.SigningMethod: wallets sign, and tokens are put together around their signatures.
func (adr036) Sign(string, any) ([]byte, error) {
	return nil, fmt.Errorf("%s is signed by wallets: %w", AlgADR036, jwt.ErrInvalidKeyType)
}

// Verify implements jwt.SigningMethod.
func (adr036) Verify(text string, sig []byte, key any) error {
	pub, ok := key.(*secp256k1.PublicKey)
	if !ok {
		return fmt.Errorf("%s needs a secp256k1 key, got %T: %w", AlgADR036, key, jwt.ErrInvalidKeyType)
	}
	signer, err := Address(pub.SerializeCompressed())
	if err != nil {
		return err
	}
	return es256k{}.Verify(string(SignDoc(signer, text)), sig, pub)
}

// Alg implements jwt.SigningMethod.
func (es256k) Alg() string { return Alg }

// Verify implements jwt.SigningMethod.
func (es256k) Verify(text string, sig []byte, key any) error {
	pub, ok := key.(*secp256k1.PublicKey)
	if !ok {
		return fmt.Errorf("%s needs a secp256k1 key, got %T: %w", Alg, key, jwt.ErrInvalidKeyType)
	}
	if len(sig) != sigLen {
		return fmt.Errorf("signature has %d bytes, want %d", len(sig), sigLen)
	}
	var r, s secp256k1.ModNScalar
	// A number beyond the group's order would be reduced silently and give one signature a second form.
	if r.SetByteSlice(sig[:sigLen/2]) || s.SetByteSlice(sig[sigLen/2:]) || r.IsZero() || s.IsZero() {
		return errors.New("signature is out of range")
	}
	if s.IsOverHalfOrder() {
		return errors.New("signature does not have the lower S")
	}
	sum := sha256.Sum256([]byte(text))
	if !ecdsa.NewSignature(&r, &s).Verify(sum[:], pub) {
		return jwt.ErrSignatureInvalid
	}
	return nil
}

// boundSigner is a Signer that must answer with the public key that already stands in the token's header.
type boundSigner struct {
	Signer
	pubKey []byte
}

// Sign implements jwt.SigningMethod.
func (es256k) Sign(text string, key any) ([]byte, error) {
	b, ok := key.(boundSigner)
	if !ok {
		return nil, fmt.Errorf("%s cannot sign with %T: %w", Alg, key, jwt.ErrInvalidKeyType)
	}
	sig, pub, err := b.Sign([]byte(text))
	switch {
	case err != nil:
		return nil, err
	case len(sig) != sigLen:
		return nil, fmt.Errorf("signer returned %d bytes, want %d: is the key a secp256k1 key?", len(sig), sigLen)
	case string(pub) != string(b.pubKey):
		return nil, errors.New("signer changed its key while signing")
	}
	return sig, nil
}

// probe is signed once to learn the public key of a signer that cannot name it otherwise. It is no token and no
// transaction, so its signature is worth nothing.
const probe = "berth gateway: which key is this?"

// publicKey asks s for its compressed public key.
func publicKey(s Signer) ([]byte, error) {
	if p, ok := s.(publicKeyer); ok {
		return p.PublicKey()
	}
	_, pub, err := s.Sign([]byte(probe))
	return pub, err
}

// parseKey reads a compressed public key; no other form is taken, so that a key has one.
func parseKey(b []byte) (*secp256k1.PublicKey, error) {
	if len(b) != pubKeyLen {
		return nil, fmt.Errorf("public key has %d bytes, want %d", len(b), pubKeyLen)
	}
	return secp256k1.ParsePubKey(b)
}

// Address is the account address of a compressed secp256k1 public key.
func Address(pubKey []byte) (string, error) {
	if len(pubKey) != pubKeyLen {
		return "", fmt.Errorf("public key has %d bytes, want %d", len(pubKey), pubKeyLen)
	}
	addr, err := bech32.ConvertAndEncode(units.AddressPrefix, (&sdksecp256k1.PubKey{Key: pubKey}).Address())
	if err != nil {
		return "", fmt.Errorf("address of the public key: %w", err)
	}
	return addr, nil
}
