package envstore

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
)

// Signer signs with the tenant's key. The same data must give the same signature, as keys of secp256k1 in a keyring do.
type Signer func(data []byte) (signature []byte, err error)

// The conditions that callers tell apart.
var (
	// ErrNone means that there are no values of an application or deployment.
	ErrNone = errors.New("no values are stored")
	// ErrKey means that the key at hand does not open a file: it was written with another one, or is damaged.
	ErrKey = errors.New("the key does not open it, or it is damaged")
	// ErrChanged means that somebody else wrote a file since it was read.
	ErrChanged = errors.New("the stored values were changed meanwhile; run the command again")
	// ErrSigner means that a key signs the same data differently each time, so that nothing can be opened again.
	ErrSigner = errors.New("the key does not sign the same way twice, so nothing can be encrypted with it: use another key with --key")
)

const (
	saltBytes = 32
	keyBytes  = 32
	// domain begins what is signed: no transaction and no token starts like this, and no file shares its signature.
	domain = "berth: key of an application's stored variables, version 1\x00"
)

// aead makes the cipher of a file: its key comes from a signature over the file's own salt.
func (s Signer) aead(salt []byte) (cipher.AEAD, error) {
	message := append([]byte(domain), salt...)
	signature, err := s(message)
	if err != nil {
		return nil, fmt.Errorf("ask the key: %w", err)
	}
	again, err := s(message)
	if err != nil {
		return nil, fmt.Errorf("ask the key: %w", err)
	}
	if len(signature) < keyBytes || !bytes.Equal(signature, again) {
		return nil, ErrSigner
	}
	key, err := hkdf.Key(sha256.New, signature, salt, domain, keyBytes)
	if err != nil {
		return nil, fmt.Errorf("derive the key of a file: %w", err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("use the key of a file: %w", err)
	}
	return cipher.NewGCM(block)
}
