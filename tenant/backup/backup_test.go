package backup_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"filippo.io/age"

	"berth.dev/berth/tenant"
	"berth.dev/berth/tenant/backup"
	"berth.dev/berth/tenant/envstore"
	"berth.dev/berth/tenant/home"
	"berth.dev/berth/tenant/tenanttest"
)

const pass = "correct horse battery"

// newHome is a home with a configuration and a deployment, whose document has a secret.
func newHome(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := home.Save(dir, home.Config{Networks: map[string]home.Network{"world": {Node: "tcp://127.0.0.1:1"}}}); err != nil {
		t.Fatal(err)
	}
	w := tenanttest.New(tenanttest.NewBidder("a", "east", "1"), tenanttest.NewBidder("b", "west", "1"))
	m := w.Machine(tenant.NewFileStore(dir, "world"))
	q, err := m.Quote(t.Context(), tenant.Request{Plan: tenanttest.Plan(t, tenanttest.TwoGroups)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Begin(q); err != nil {
		t.Fatal(err)
	}
	vars := envstore.New(dir, "world", "berth1a", func(data []byte) ([]byte, error) { return bytes.Repeat([]byte{1}, 64), nil })
	values, err := vars.Open(envstore.App{Name: "shop", Directory: "/srv/shop"})
	if err != nil {
		t.Fatal(err)
	}
	if err := vars.Save(values, 1000); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"keyring-file/key.info": "private", "deployments/world/.1000.json.123": "half", "notes.txt": "mine"} {
		at := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(at), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func seal(t *testing.T, dir string) ([]backup.File, []byte) {
	t.Helper()
	files, err := backup.Collect(dir)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := backup.Write(&out, files, pass); err != nil {
		t.Fatal(err)
	}
	return files, out.Bytes()
}

func TestBackupAndRestore(t *testing.T) {
	files, sealed := seal(t, newHome(t))
	var names []string
	for _, f := range files {
		names = append(names, f.Name)
	}
	if got := strings.Join(names, " "); !regexp.MustCompile(`^config\.yaml deployments/world/1000\.json env/world/shop-[0-9a-f]{16}\.json$`).MatchString(got) {
		t.Fatalf("backed up %q: want the configuration and the state, and no key", got)
	}
	if bytes.Contains(sealed, []byte("swordfish")) {
		t.Error("the backup shows a secret")
	}
	read, err := backup.Read(bytes.NewReader(sealed), pass)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for i, want := range []backup.Outcome{backup.Restored, backup.Same} {
		results, err := backup.Restore(dir, read, false)
		if err != nil || len(results) != 3 || results[0].Outcome != want || results[1].Outcome != want || results[2].Outcome != want {
			t.Fatalf("restore %d: %v, %v; want all %s", i+1, results, err, want)
		}
	}
	if s, err := tenant.NewFileStore(dir, "world").Load(1000); err != nil || s.Dseq != 1000 {
		t.Errorf("the restored state: %v, %v", s, err)
	}
	if info, err := os.Stat(filepath.Join(dir, "deployments/world/1000.json")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v; want mode 0600", info, err)
	}
}

// What is there and differs stays, unless it is to be replaced.
func TestRestoreKeeps(t *testing.T) {
	files, _ := seal(t, newHome(t))
	dir := t.TempDir()
	own := []byte("default_network: \"\"\nnetworks: {}\n")
	if err := os.WriteFile(filepath.Join(dir, "config.yaml"), own, 0o600); err != nil {
		t.Fatal(err)
	}
	results, err := backup.Restore(dir, files, false)
	if err != nil || results[0].Outcome != backup.Kept {
		t.Fatalf("%v, %v", results, err)
	}
	if data, _ := os.ReadFile(filepath.Join(dir, "config.yaml")); !bytes.Equal(data, own) {
		t.Error("a file that differs was replaced")
	}
	results, err = backup.Restore(dir, files, true)
	if err != nil || results[0].Outcome != backup.Restored || results[1].Outcome != backup.Same {
		t.Errorf("%v, %v", results, err)
	}
}

func TestReadRefuses(t *testing.T) {
	_, sealed := seal(t, newHome(t))
	if _, err := backup.Read(bytes.NewReader(sealed), "another passphrase"); !errors.Is(err, backup.ErrPassphrase) {
		t.Errorf("another passphrase: %v", err)
	}
	for _, cut := range []int{0, 1, len(sealed) / 2, len(sealed) - 1} {
		if _, err := backup.Read(bytes.NewReader(sealed[:cut]), pass); err == nil {
			t.Errorf("the first %d of %d bytes are taken for a backup", cut, len(sealed))
		}
	}
	flipped := bytes.Clone(sealed)
	flipped[len(flipped)-5] ^= 1
	if _, err := backup.Read(bytes.NewReader(flipped), pass); err == nil {
		t.Error("a changed backup is taken")
	}
	state, err := os.ReadFile(filepath.Join(newHome(t), "deployments/world/1000.json"))
	if err != nil {
		t.Fatal(err)
	}
	good := string(state)
	for name, c := range map[string]struct {
		headers []tar.Header
		want    string
	}{
		"outside":     {[]tar.Header{{Name: "../config.yaml"}}, "does not belong"},
		"absolute":    {[]tar.Header{{Name: "/etc/passwd"}}, "does not belong"},
		"key":         {[]tar.Header{{Name: "keyring-file/key.info"}}, "does not belong"},
		"up":          {[]tar.Header{{Name: "deployments/../1000.json"}}, "does not belong"},
		"link":        {[]tar.Header{{Name: "config.yaml", Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"}}, "does not belong"},
		"twice":       {[]tar.Header{{Name: "deployments/w/1.json"}, {Name: "deployments/w/1.json"}}, "is there twice"},
		"not a state": {[]tar.Header{{Name: "config.yaml"}}, "config.yaml:"},
	} {
		if _, err := backup.Read(bytes.NewReader(archive(t, c.headers, good)), pass); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

// archive encrypts an archive of files that all hold the same text.
func archive(t *testing.T, headers []tar.Header, text string) []byte {
	t.Helper()
	var out bytes.Buffer
	recipient, err := age.NewScryptRecipient(pass)
	if err != nil {
		t.Fatal(err)
	}
	recipient.SetWorkFactor(4)
	sealed, err := age.Encrypt(&out, recipient)
	if err != nil {
		t.Fatal(err)
	}
	packed := gzip.NewWriter(sealed)
	w := tar.NewWriter(packed)
	for _, h := range headers {
		if h.Typeflag == 0 {
			h.Typeflag = tar.TypeReg
		}
		if h.Typeflag == tar.TypeReg {
			h.Size = int64(len(text))
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if h.Size > 0 {
			if _, err := io.WriteString(w, text); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := errors.Join(w.Close(), packed.Close(), sealed.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestPassphraseIsLongEnough(t *testing.T) {
	if err := backup.Write(io.Discard, nil, "short"); err == nil || !strings.Contains(err.Error(), "fewer than 12") {
		t.Errorf("%v", err)
	}
}
