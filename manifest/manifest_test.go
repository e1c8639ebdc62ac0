package manifest_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"berth.dev/berth/manifest"
	manifesttypes "berth.dev/berth/manifest/types"
)

func TestEncodeDecodeRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		gs, _ := groups(t)
		b, err := manifest.Encode(gs[0])
		if err != nil {
			t.Fatal(err)
		}
		got, err := manifest.Decode(b)
		if err != nil {
			t.Fatal(err)
		}
		again, err := manifest.Encode(got)
		if err != nil || !bytes.Equal(again, b) {
			t.Fatalf("Encode(Decode(b)) != b: %v", err)
		}
	})
}

func TestDecodeRefuses(t *testing.T) {
	good, err := manifest.Encode(group("east"))
	if err != nil {
		t.Fatal(err)
	}
	nameTwice := append([]byte{0x0a, 1, 'x'}, good...)
	for name, tc := range map[string]struct {
		bytes []byte
		want  error
	}{
		"unknown field":          {append(slices.Clone(good), 0xf8, 0x01, 0x01), manifest.ErrMalformed},
		"trailing zero":          {append(slices.Clone(good), 0), manifest.ErrMalformed},
		"cut short":              {good[:len(good)-1], manifest.ErrMalformed},
		"name twice":             {nameTwice, manifest.ErrMalformed},
		"default written out":    {append(slices.Clone(good), 0x12, 0x00), manifest.ErrMalformed},
		"long form of a number":  {[]byte{0x0a, 0x81, 0x00, 'x'}, manifest.ErrMalformed},
		"wrong wire type":        {[]byte{0x08, 0x01}, manifest.ErrMalformed},
		"larger than the limit":  {make([]byte, manifest.MaxBytes+1), manifest.ErrTooLarge},
		"the limit, but no good": {make([]byte, manifest.MaxBytes), manifest.ErrMalformed},
	} {
		if _, err := manifest.Decode(tc.bytes); !errors.Is(err, tc.want) {
			t.Errorf("%s: Decode = %v, want %v", name, err, tc.want)
		}
	}
	if _, err := manifest.Decode(good); err != nil {
		t.Errorf("Decode of what Encode wrote: %v", err)
	}
}

func TestEncodeRefusesTooLarge(t *testing.T) {
	g := group("east")
	room := manifest.MaxBytes - g.Size()
	g.Services[0].Env[1].Value += strings.Repeat("x", room-16)
	for g.Size() < manifest.MaxBytes {
		g.Services[0].Env[1].Value += "x"
	}
	if _, err := manifest.Encode(g); err != nil {
		t.Errorf("Encode at the limit: %v", err)
	}
	g.Services[0].Env[1].Value += "x"
	if _, err := manifest.Encode(g); !errors.Is(err, manifest.ErrTooLarge) {
		t.Errorf("Encode one above the limit = %v, want ErrTooLarge", err)
	}
}

// TestRootVectors fixes the hash, which stands on chain: a change of it orphans every deployment.
func TestRootVectors(t *testing.T) {
	leaf := func(b byte) [32]byte { return manifest.Leaf([]byte{b}) }
	inner := func(l, r [32]byte) [32]byte { return sha256.Sum256(slices.Concat([]byte{1}, l[:], r[:])) }
	root := func(n byte, top [32]byte) [32]byte {
		return sha256.Sum256(slices.Concat([]byte{2, 0, 0, 0, n}, top[:]))
	}
	a, b, c := leaf(0xa), leaf(0xb), leaf(0xc)
	if want := sha256.Sum256([]byte{0, 0xa}); a != want {
		t.Errorf("Leaf = %x, want %x", a, want)
	}
	for name, tc := range map[string]struct {
		leaves [][32]byte
		want   [32]byte
	}{
		"one":   {[][32]byte{a}, root(1, a)},
		"two":   {[][32]byte{a, b}, root(2, inner(a, b))},
		"three": {[][32]byte{a, b, c}, root(3, inner(inner(a, b), c))},
		"five":  {[][32]byte{a, b, c, a, b}, root(5, inner(inner(inner(a, b), inner(c, a)), b))},
	} {
		if got := manifest.Root(tc.leaves); got != tc.want {
			t.Errorf("%s: Root = %x, want %x", name, got, tc.want)
		}
	}
	got := manifest.Root([][32]byte{a, b, c})
	if hex.EncodeToString(got[:4]) != hex.EncodeToString(root3[:]) {
		t.Errorf("Root of three = %x, want it to begin with %x", got, root3)
	}
}

// root3 is the beginning of the root over the leaves of the texts 0x0a, 0x0b and 0x0c, computed with another program.
var root3 = [4]byte{0xe4, 0x70, 0xce, 0x90}

func TestRootTellsListsApart(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		list := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) [32]byte { return manifest.Leaf(rapid.SliceOf(rapid.Byte()).Draw(t, "leaf")) }), 0, 20)
		a, b := list.Draw(t, "a"), list.Draw(t, "b")
		if slices.Equal(a, b) != (manifest.Root(a) == manifest.Root(b)) {
			t.Fatalf("lists equal %v, roots equal %v", slices.Equal(a, b), manifest.Root(a) == manifest.Root(b))
		}
	})
}

func TestSealOpen(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		gs, salts := groups(t)
		root, envelopes, err := manifest.Seal(gs, salts)
		if err != nil {
			t.Fatal(err)
		}
		for i, e := range envelopes {
			g, err := manifest.Open(e, root[:])
			if err != nil {
				t.Fatalf("Open envelope %d: %v", i, err)
			}
			if e.Gseq != uint32(i)+1 || g.Name != gs[i].Name || !bytes.Equal(g.Salt, salts[i]) || len(gs[i].Salt) != 0 {
				t.Fatalf("envelope %d has gseq %d, group %q, salt %x", i, e.Gseq, g.Name, g.Salt)
			}
		}
		// No other salt and no other order has this root.
		salts[0] = slices.Clone(salts[0])
		salts[0][7] ^= 1
		if other, _, err := manifest.Seal(gs, salts); err != nil || other == root {
			t.Fatalf("root does not depend on the salt: %v", err)
		}
	})
}

func TestSealRefuses(t *testing.T) {
	two := []manifesttypes.Group{group("a"), group("b")}
	many, manySalts := []manifesttypes.Group{}, [][]byte{}
	for i := range manifest.MaxGroups + 1 {
		many = append(many, group(string(rune('a'+i))))
		manySalts = append(manySalts, salt(byte(i)))
	}
	for name, tc := range map[string]struct {
		groups []manifesttypes.Group
		salts  [][]byte
	}{
		"nothing":       {nil, nil},
		"too few salts": {two, [][]byte{salt(1)}},
		"short salt":    {two, [][]byte{salt(1), salt(2)[:31]}},
		"one name":      {[]manifesttypes.Group{group("a"), group("a")}, [][]byte{salt(1), salt(2)}},
		"too many":      {many, manySalts},
	} {
		if _, _, err := manifest.Seal(tc.groups, tc.salts); !errors.Is(err, manifest.ErrInvalid) {
			t.Errorf("%s: Seal = %v, want ErrInvalid", name, err)
		}
	}
}

// TestOpenAcceptsNoMutation flips every bit of an envelope and of the root: none may be accepted.
func TestOpenAcceptsNoMutation(t *testing.T) {
	root, envelopes, err := manifest.Seal([]manifesttypes.Group{group("a"), group("b"), group("c")}, [][]byte{salt(1), salt(2), salt(3)})
	if err != nil {
		t.Fatal(err)
	}
	e := envelopes[1]
	wire, err := e.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	tried := 0
	for i := range wire {
		for bit := range 8 {
			mutant := slices.Clone(wire)
			mutant[i] ^= 1 << bit
			var got manifesttypes.Envelope
			if got.Unmarshal(mutant) != nil {
				continue
			}
			tried++
			if _, err := manifest.Open(got, root[:]); err == nil {
				t.Fatalf("bit %d of byte %d flipped, and still accepted", bit, i)
			}
		}
	}
	for i := range root {
		for bit := range 8 {
			mutant := slices.Clone(root[:])
			mutant[i] ^= 1 << bit
			if _, err := manifest.Open(e, mutant); !errors.Is(err, manifest.ErrHashMismatch) {
				t.Fatalf("bit %d of byte %d of the root flipped: %v", bit, i, err)
			}
		}
	}
	if tried < 1000 {
		t.Errorf("only %d mutants were tried", tried)
	}
}

func TestOpenRefuses(t *testing.T) {
	root, envelopes, err := manifest.Seal([]manifesttypes.Group{group("a"), group("b")}, [][]byte{salt(1), salt(2)})
	if err != nil {
		t.Fatal(err)
	}
	unsalted, err := manifest.Encode(group("a"))
	if err != nil {
		t.Fatal(err)
	}
	leaf := manifest.Leaf(unsalted)
	unsaltedRoot := manifest.Root([][32]byte{leaf})
	change := func(f func(e *manifesttypes.Envelope)) manifesttypes.Envelope {
		e := envelopes[0]
		e.Leaves = slices.Clone(e.Leaves)
		f(&e)
		return e
	}
	for name, tc := range map[string]struct {
		envelope manifesttypes.Envelope
		root     []byte
		want     error
	}{
		"other group":      {change(func(e *manifesttypes.Envelope) { e.Group = envelopes[1].Group }), root[:], manifest.ErrHashMismatch},
		"other number":     {change(func(e *manifesttypes.Envelope) { e.Gseq = 2 }), root[:], manifest.ErrHashMismatch},
		"number 0":         {change(func(e *manifesttypes.Envelope) { e.Gseq = 0 }), root[:], manifest.ErrMalformed},
		"number 3 of 2":    {change(func(e *manifesttypes.Envelope) { e.Gseq = 3 }), root[:], manifest.ErrMalformed},
		"no leaves":        {change(func(e *manifesttypes.Envelope) { e.Leaves = nil }), root[:], manifest.ErrMalformed},
		"a leaf less":      {change(func(e *manifesttypes.Envelope) { e.Leaves = e.Leaves[:1] }), root[:], manifest.ErrHashMismatch},
		"leaves swapped":   {change(func(e *manifesttypes.Envelope) { slices.Reverse(e.Leaves) }), root[:], manifest.ErrHashMismatch},
		"short leaf":       {change(func(e *manifesttypes.Envelope) { e.Leaves[1] = e.Leaves[1][:31] }), root[:], manifest.ErrMalformed},
		"too many leaves":  {change(func(e *manifesttypes.Envelope) { e.Leaves = slices.Repeat(e.Leaves, 11) }), root[:], manifest.ErrMalformed},
		"too large":        {change(func(e *manifesttypes.Envelope) { e.Group = make([]byte, manifest.MaxBytes+1) }), root[:], manifest.ErrTooLarge},
		"no root":          {envelopes[0], nil, manifest.ErrHashMismatch},
		"long root":        {envelopes[0], append(slices.Clone(root[:]), 0), manifest.ErrHashMismatch},
		"without its salt": {manifesttypes.Envelope{Group: unsalted, Gseq: 1, Leaves: [][]byte{leaf[:]}}, unsaltedRoot[:], manifest.ErrMalformed},
	} {
		if _, err := manifest.Open(tc.envelope, tc.root); !errors.Is(err, tc.want) {
			t.Errorf("%s: Open = %v, want %v", name, err, tc.want)
		}
	}
}
