package daemon

import (
	"bytes"
	"log/slog"
	"os"
	"testing"

	"github.com/cosmos/cosmos-sdk/crypto/hd"
	"github.com/cosmos/cosmos-sdk/crypto/keyring"
	sdk "github.com/cosmos/cosmos-sdk/types"
)

func TestHoldKeySignsWithTheSameKey(t *testing.T) {
	cfg := validConfig().Chain
	kr, err := Home(t.TempDir()).Keyring("test", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := kr.NewMnemonic(cfg.Key, keyring.English, sdk.FullFundraiserPath, "", hd.Secp256k1); err != nil {
		t.Fatal(err)
	}
	onDisk, err := cfg.Client(kr)
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	held, err := holdKey(cfg, kr, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil || log.Len() > 0 {
		t.Fatalf("%v, %s", err, log.String())
	}
	if !held.Address().Equals(onDisk.Address()) {
		t.Errorf("held %s, want %s", held.Address(), onDisk.Address())
	}
	want, _, err := onDisk.Sign([]byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	if got, _, err := held.Sign([]byte("x")); err != nil || !bytes.Equal(got, want) {
		t.Errorf("signs %x, %v, want %x", got, err, want)
	}
}

func TestHomeKeepsSecrets(t *testing.T) {
	h := Home(t.TempDir() + "/new/home")
	if err := h.Create(); err != nil {
		t.Fatal(err)
	}
	_, pin, err := h.TLS()
	if err != nil || len(pin) != 32 {
		t.Fatalf("pin %x, %v", pin, err)
	}
	if _, again, err := h.TLS(); err != nil || !bytes.Equal(pin, again) {
		t.Errorf("second pin %x, %v, want %x", again, err, pin)
	}
	for _, path := range []string{h.TLSKeyFile(), string(h)} {
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: %v, %v, want nothing for others", path, info.Mode(), err)
		}
	}
}
