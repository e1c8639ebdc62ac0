package squeeze_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"

	"berth.dev/berth/internal/squeeze"
)

// TestRoundTrip: what is packed comes back whole, also from a writer that was used before, and not where it does not fit.
func TestRoundTrip(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for _, n := range []int{0, 1, 1000, 200_000} {
		for _, alphabet := range []int{2, 256} {
			data := make([]byte, n)
			for i := range data {
				data[i] = byte(r.IntN(alphabet))
			}
			packed, err := squeeze.Pack(data)
			if err != nil {
				t.Fatal(err)
			}
			got, err := squeeze.Unpack(packed, int64(n))
			if err != nil || !bytes.Equal(got, data) {
				t.Fatalf("%d bytes of %d values came back as %d bytes: %v", n, alphabet, len(got), err)
			}
			if _, err := squeeze.Unpack(packed, int64(n)-1); !errors.Is(err, squeeze.ErrTooLarge) {
				t.Errorf("%d bytes into one less: %v", n, err)
			}
			if n > 1 {
				if _, err := squeeze.Unpack(packed[:len(packed)/2], int64(n)); err == nil {
					t.Errorf("the half of %d bytes was taken for all of it", n)
				}
			}
		}
	}
}
