// Package manifest is the off-chain half of a deployment: what each provider runs, in canonical bytes, and how those
// bytes are bound to the hash that stands on chain. A deployment's hash is the root of a Merkle tree whose leaves are
// its groups, each with a salt of its own; so a provider can be given one group and the other groups' leaves, and
// verify the hash without learning anything of the other groups. Everything here is pure.
package manifest

import (
	"bytes"
	"errors"
	"fmt"

	manifesttypes "berth.dev/berth/manifest/types"
)

// The sizes of what is hashed.
const (
	// MaxBytes is the most that the canonical bytes of one group may count.
	MaxBytes = 512 << 10
	// SaltBytes is the length of a group's salt.
	SaltBytes = 32
	// HashBytes is the length of a leaf and of a root.
	HashBytes = 32
)

// The conditions that callers tell apart.
var (
	// ErrMalformed means that bytes are not the canonical encoding of a group, or an envelope has the wrong shape.
	ErrMalformed = errors.New("malformed manifest")
	// ErrTooLarge means that a group's canonical bytes exceed MaxBytes.
	ErrTooLarge = errors.New("manifest is too large")
	// ErrHashMismatch means that an envelope does not belong to the hash it was opened with.
	ErrHashMismatch = errors.New("manifest does not match the deployment's hash")
	// ErrGroupMismatch means that a group asks for something else than its spec on chain.
	ErrGroupMismatch = errors.New("manifest does not match the group on chain")
	// ErrInvalid means that a group breaks a rule that every manifest must keep.
	ErrInvalid = errors.New("invalid manifest")
)

// Encode returns the canonical bytes of a group: protobuf with fields in the order of their numbers and no defaults.
// It fails with ErrTooLarge above MaxBytes. It does not validate; see Validate.
func Encode(g manifesttypes.Group) ([]byte, error) {
	if n := g.Size(); n > MaxBytes {
		return nil, fmt.Errorf("encode group %q: %d bytes, at most %d are allowed: %w", g.Name, n, MaxBytes, ErrTooLarge)
	}
	b, err := g.Marshal()
	if err != nil {
		return nil, fmt.Errorf("encode group %q: %w", g.Name, err)
	}
	return b, nil
}

// Decode reads canonical bytes. It refuses more than MaxBytes with ErrTooLarge, and with ErrMalformed everything
// that Encode would not have written: unknown fields, trailing data, fields out of order, defaults written out.
func Decode(b []byte) (manifesttypes.Group, error) {
	if len(b) > MaxBytes {
		return manifesttypes.Group{}, fmt.Errorf("decode manifest: %d bytes, at most %d are allowed: %w", len(b), MaxBytes, ErrTooLarge)
	}
	var g manifesttypes.Group
	if err := g.Unmarshal(b); err != nil {
		return manifesttypes.Group{}, fmt.Errorf("decode manifest: %w: %w", ErrMalformed, err)
	}
	// The decoder below skips unknown fields and takes any order; only bytes that come back unchanged are canonical.
	again, err := g.Marshal()
	if err != nil || !bytes.Equal(again, b) {
		return manifesttypes.Group{}, fmt.Errorf("decode manifest: bytes are not canonical: %w", ErrMalformed)
	}
	return g, nil
}
