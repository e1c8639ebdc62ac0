// Package keytest checks the codecs of store keys: what is written is read back, in both places that a part of a key
// can stand in, and keys sort as what they mean does.
package keytest

import (
	"bytes"
	"cmp"
	"testing"

	collcodec "cosmossdk.io/collections/codec"

	sdk "github.com/cosmos/cosmos-sdk/types"
)

// Check writes and reads two keys; order is how they compare by their meaning.
func Check[K any](t testing.TB, c collcodec.KeyCodec[K], a, b K, order int) {
	t.Helper()
	x, y := encode(t, c, a), encode(t, c, b)
	if got := bytes.Compare(x, y); got != order {
		t.Fatalf("%s and %s compare as %d, their keys %x and %x as %d", c.Stringify(a), c.Stringify(b), order, x, y, got)
	}
}

// encode writes a key, reads it back and compares, and returns what was written.
func encode[K any](t testing.TB, c collcodec.KeyCodec[K], key K) []byte {
	t.Helper()
	buf := make([]byte, c.Size(key))
	n, err := c.Encode(buf, key)
	if err != nil {
		t.Fatalf("write %s: %v", c.Stringify(key), err)
	}
	if n != len(buf) {
		t.Fatalf("%s has %d bytes, its size is said to be %d", c.Stringify(key), n, len(buf))
	}
	read, back, err := c.Decode(buf)
	if err != nil || read != n {
		t.Fatalf("read %x: %d of %d bytes, %v", buf, read, n, err)
	}
	again := make([]byte, c.Size(back))
	if _, err := c.Encode(again, back); err != nil || !bytes.Equal(buf, again) {
		t.Fatalf("%s is read back as %s", c.Stringify(key), c.Stringify(back))
	}
	nested := make([]byte, c.SizeNonTerminal(key))
	if n, err = c.EncodeNonTerminal(nested, key); err != nil || n != len(nested) {
		t.Fatalf("write %s before another part: %d of %d bytes, %v", c.Stringify(key), n, len(nested), err)
	}
	read, back, err = c.DecodeNonTerminal(append(nested, 0xff, 0))
	if err != nil || read != n || c.Stringify(back) != c.Stringify(key) {
		t.Fatalf("read %x before another part: %d of %d bytes, %v", nested, read, n, err)
	}
	return buf
}

// Address is an address of 20 bytes out of fuzzed ones.
func Address(bz []byte) sdk.AccAddress {
	out := make([]byte, 20)
	copy(out, bz)
	return out
}

// Order compares the parts of two keys: the first that differs decides.
func Order(parts ...int) int {
	for _, p := range parts {
		if p != 0 {
			return p
		}
	}
	return 0
}

// Num compares two numbers of a key.
func Num[T cmp.Ordered](a, b T) int { return cmp.Compare(a, b) }

// Addr compares two addresses of a key.
func Addr(a, b sdk.AccAddress) int { return bytes.Compare(a, b) }
