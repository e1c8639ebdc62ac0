package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"berth.dev/berth/manifest/types"
)

// maxSealed is the most bytes of a Sealed in its file: twenty groups of MaxBytes in base64, and some.
const maxSealed = 20*MaxBytes*4/3 + 1<<20

// Sealed is the file that keeps what must be sent to the providers once there are leases. It holds the manifests with
// their secrets and salts.
type Sealed struct {
	Owner string `json:"owner"`
	Dseq  uint64 `json:"dseq"`
	// Root is the manifest hash on chain, in hexadecimal digits.
	Root string `json:"root"`
	// Salts are the groups' salts by name, so that an update of an unchanged group keeps its leaf.
	Salts map[string]string `json:"salts"`
	// Envelopes are what each group's provider is sent; bytes are in base64.
	Envelopes []types.Envelope `json:"envelopes"`
}

// DecodeSealed reads the file of a Sealed. It refuses unknown keys, trailing data and files that are too large.
func DecodeSealed(data []byte) (Sealed, error) {
	if len(data) > maxSealed {
		return Sealed{}, fmt.Errorf("read a sealed manifest: %w: more than %d bytes", ErrTooLarge, maxSealed)
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	var s Sealed
	if err := dec.Decode(&s); err != nil {
		return Sealed{}, fmt.Errorf("read a sealed manifest: %w: %w", ErrMalformed, err)
	}
	if err := dec.Decode(&struct{}{}); !errors.Is(err, io.EOF) {
		return Sealed{}, fmt.Errorf("read a sealed manifest: %w: there is data after it", ErrMalformed)
	}
	if s.Owner == "" || s.Dseq == 0 || len(s.Envelopes) == 0 {
		return Sealed{}, fmt.Errorf("read a sealed manifest: %w: owner, dseq or envelopes are missing", ErrMalformed)
	}
	return s, nil
}
