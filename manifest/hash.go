package manifest

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	manifesttypes "berth.dev/berth/manifest/types"
)

// The first byte of everything that is hashed tells leaves, inner nodes and roots apart, so that none of them can be
// passed off as another.
const (
	leafPrefix  = 0x00
	innerPrefix = 0x01
	rootPrefix  = 0x02
)

// Leaf is the hash of one group's canonical bytes, which include its salt: SHA-256(0x00 || encoded).
func Leaf(encoded []byte) [HashBytes]byte {
	h := sha256.New()
	h.Write([]byte{leafPrefix})
	h.Write(encoded)
	var out [HashBytes]byte
	h.Sum(out[:0])
	return out
}

// Root is the manifest hash that stands on chain: SHA-256(0x02 || number of leaves as 4 bytes, big endian || tree),
// where the tree over one leaf is the leaf, and over more it is SHA-256(0x01 || left || right), the left side holding
// the largest power of two of leaves that leaves some for the right. The root of no leaves is defined and never used.
func Root(leaves [][HashBytes]byte) [HashBytes]byte {
	buf := make([]byte, 0, 1+4+HashBytes)
	buf = append(buf, rootPrefix)
	buf = binary.BigEndian.AppendUint32(buf, uint32(len(leaves)))
	if len(leaves) > 0 {
		top := tree(leaves)
		buf = append(buf, top[:]...)
	}
	return sha256.Sum256(buf)
}

func tree(leaves [][HashBytes]byte) [HashBytes]byte {
	if len(leaves) == 1 {
		return leaves[0]
	}
	split := 1
	for split*2 < len(leaves) {
		split *= 2
	}
	left, right := tree(leaves[:split]), tree(leaves[split:])
	var buf [1 + 2*HashBytes]byte
	buf[0] = innerPrefix
	copy(buf[1:], left[:])
	copy(buf[1+HashBytes:], right[:])
	return sha256.Sum256(buf[:])
}

// Seal salts groups and binds them together: envelope i is what the provider of group i (gseq i+1) gets, and root is
// the deployment's manifest hash. There is one salt of SaltBytes random bytes for each group; they are the caller's,
// as this package draws no randomness. The groups are not changed.
func Seal(groups []manifesttypes.Group, salts [][]byte) (root [HashBytes]byte, envelopes []manifesttypes.Envelope, err error) {
	if err := checkSealable(groups, salts); err != nil {
		return root, nil, fmt.Errorf("seal manifest: %w", err)
	}
	leaves := make([][HashBytes]byte, len(groups))
	flat := make([][]byte, len(groups))
	envelopes = make([]manifesttypes.Envelope, len(groups))
	for i, g := range groups {
		g.Salt = salts[i]
		encoded, err := Encode(g)
		if err != nil {
			return root, nil, fmt.Errorf("seal manifest: %w", err)
		}
		leaves[i] = Leaf(encoded)
		flat[i] = append([]byte(nil), leaves[i][:]...)
		envelopes[i] = manifesttypes.Envelope{Group: encoded, Gseq: uint32(i) + 1}
	}
	for i := range envelopes {
		envelopes[i].Leaves = flat
	}
	return Root(leaves), envelopes, nil
}

func checkSealable(groups []manifesttypes.Group, salts [][]byte) error {
	if len(groups) == 0 || len(groups) > MaxGroups {
		return fmt.Errorf("%d groups, from 1 to %d are allowed: %w", len(groups), MaxGroups, ErrInvalid)
	}
	if len(salts) != len(groups) {
		return fmt.Errorf("%d salts for %d groups: %w", len(salts), len(groups), ErrInvalid)
	}
	names := make(map[string]bool, len(groups))
	for i, g := range groups {
		if len(salts[i]) != SaltBytes {
			return fmt.Errorf("salt of group %q has %d bytes, not %d: %w", g.Name, len(salts[i]), SaltBytes, ErrInvalid)
		}
		if names[g.Name] {
			return fmt.Errorf("group %q appears twice: %w", g.Name, ErrInvalid)
		}
		names[g.Name] = true
	}
	return nil
}

// Open verifies that an envelope belongs to a deployment's manifest hash and returns its group, salt included. It
// fails with ErrMalformed, ErrTooLarge or ErrHashMismatch. The group is bound to the number e.Gseq, but what it says
// is not yet trusted: see Validate and Check.
func Open(e manifesttypes.Envelope, root []byte) (manifesttypes.Group, error) {
	leaves, err := envelopeLeaves(e)
	if err != nil {
		return manifesttypes.Group{}, fmt.Errorf("open manifest: %w", err)
	}
	if got := Root(leaves); string(got[:]) != string(root) {
		return manifesttypes.Group{}, fmt.Errorf("open manifest: leaves hash to %x: %w", got[:8], ErrHashMismatch)
	}
	if Leaf(e.Group) != leaves[e.Gseq-1] {
		return manifesttypes.Group{}, fmt.Errorf("open manifest: the group is not the one of number %d: %w", e.Gseq, ErrHashMismatch)
	}
	g, err := Decode(e.Group)
	if err != nil {
		return manifesttypes.Group{}, fmt.Errorf("open manifest: %w", err)
	}
	if len(g.Salt) != SaltBytes {
		return manifesttypes.Group{}, fmt.Errorf("open manifest: salt has %d bytes, not %d: %w", len(g.Salt), SaltBytes, ErrMalformed)
	}
	return g, nil
}

// envelopeLeaves checks the shape of an envelope, before anything of it is hashed.
func envelopeLeaves(e manifesttypes.Envelope) ([][HashBytes]byte, error) {
	switch n := len(e.Leaves); {
	case len(e.Group) > MaxBytes:
		return nil, fmt.Errorf("%d bytes, at most %d are allowed: %w", len(e.Group), MaxBytes, ErrTooLarge)
	case n == 0 || n > MaxGroups:
		return nil, fmt.Errorf("%d leaves, from 1 to %d are allowed: %w", n, MaxGroups, ErrMalformed)
	case e.Gseq == 0 || e.Gseq > uint32(n):
		return nil, fmt.Errorf("group number %d of %d: %w", e.Gseq, n, ErrMalformed)
	}
	leaves := make([][HashBytes]byte, len(e.Leaves))
	for i, leaf := range e.Leaves {
		if len(leaf) != HashBytes {
			return nil, fmt.Errorf("leaf %d has %d bytes, not %d: %w", i+1, len(leaf), HashBytes, ErrMalformed)
		}
		leaves[i] = [HashBytes]byte(leaf)
	}
	return leaves, nil
}
