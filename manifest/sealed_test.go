package manifest_test

import (
	"encoding/json"
	"errors"
	"testing"

	"berth.dev/berth/manifest"
	"berth.dev/berth/manifest/types"
)

func TestDecodeSealed(t *testing.T) {
	good, err := json.Marshal(manifest.Sealed{Owner: "berth1x", Dseq: 7, Root: "00", Envelopes: []types.Envelope{{Group: []byte{1}, Gseq: 1}}})
	if err != nil {
		t.Fatal(err)
	}
	if s, err := manifest.DecodeSealed(good); err != nil || s.Dseq != 7 || s.Envelopes[0].Group[0] != 1 {
		t.Errorf("DecodeSealed = %+v, %v", s, err)
	}
	for name, text := range map[string]string{
		"nothing":        "",
		"no envelopes":   `{"owner":"berth1x","dseq":7}`,
		"an unknown key": `{"owner":"berth1x","dseq":7,"envelopes":[{}],"more":1}`,
		"trailing data":  string(good) + "{}",
	} {
		if _, err := manifest.DecodeSealed([]byte(text)); !errors.Is(err, manifest.ErrMalformed) {
			t.Errorf("%s: %v, want ErrMalformed", name, err)
		}
	}
	if _, err := manifest.DecodeSealed(make([]byte, 20<<20)); !errors.Is(err, manifest.ErrTooLarge) {
		t.Errorf("a large file: %v, want ErrTooLarge", err)
	}
}
