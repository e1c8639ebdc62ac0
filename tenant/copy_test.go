package tenant

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// TestUnpackStaysInside holds that no archive writes anywhere but below the name that was asked for.
func TestUnpackStaysInside(t *testing.T) {
	entry := func(name string, kind byte, link string) []byte {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		h := &tar.Header{Name: name, Typeflag: kind, Linkname: link, Mode: 0o4777}
		if kind == tar.TypeReg {
			h.Size = 4
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if kind == tar.TypeReg {
			if _, err := w.Write([]byte("evil")); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	for _, name := range []string{
		"../evil", "/evil", "/etc/evil", "evil", "dataevil", "data/../../evil", "data/../evil", "./../evil", "data/a\\..\\evil", "..", ".",
	} {
		parent := t.TempDir()
		at := filepath.Join(parent, "here")
		if err := os.Mkdir(at, 0o755); err != nil {
			t.Fatal(err)
		}
		root, err := os.OpenRoot(at)
		if err != nil {
			t.Fatal(err)
		}
		if err := unpack(bytes.NewReader(entry(name, tar.TypeReg, "")), root, "data", "as", &Copied{}); err == nil {
			t.Errorf("%q was unpacked", name)
		}
		_ = root.Close()
		_ = filepath.WalkDir(parent, func(p string, d fs.DirEntry, err error) error {
			if err != nil || !d.IsDir() {
				t.Errorf("%q made %s (%v)", name, p, err)
			}
			return nil
		})
	}

	at, outside := t.TempDir(), t.TempDir()
	if err := os.Symlink(outside, filepath.Join(at, "as")); err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(at)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	if err := unpack(bytes.NewReader(entry("data/evil", tar.TypeReg, "")), root, "data", "as", &Copied{}); err == nil {
		t.Error("a link that was there led out")
	}
	copied := &Copied{}
	for _, kind := range []byte{tar.TypeSymlink, tar.TypeLink, tar.TypeChar, tar.TypeBlock, tar.TypeFifo} {
		if err := unpack(bytes.NewReader(entry("data", kind, "/etc/passwd")), root, "data", "other", copied); err != nil {
			t.Errorf("an entry of kind %c: %v", kind, err)
		}
	}
	if len(copied.Skipped) != 5 || copied.Files != 0 {
		t.Errorf("copied %+v", copied)
	}
	if err := unpack(bytes.NewReader(entry("data", tar.TypeReg, "")), root, "data", "other", copied); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Lstat(filepath.Join(at, "other")); err != nil || info.Mode()&(fs.ModeSetuid|fs.ModeSymlink) != 0 || copied.Files != 1 {
		t.Errorf("%v, %v, %+v", info, err, copied)
	}
	whole := entry("data", tar.TypeReg, "")
	if err := unpack(io.MultiReader(bytes.NewReader(whole[:514]), brokenReader{}), root, "data", "other", copied); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("an archive that breaks off: %v", err)
	}
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestParsePortPair(t *testing.T) {
	for text, want := range map[string]PortPair{"80": {80, 80}, "8080:80": {8080, 80}, ":80": {0, 80}, "65535:1": {65535, 1}} {
		if got, err := ParsePortPair(text); err != nil || got != want {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", ":", "80:", "0", "0:80", "80:0", "65536", "-1:80", "a:b", "1:2:3", " 80", "+80"} {
		if got, err := ParsePortPair(text); err == nil {
			t.Errorf("%q: %+v", text, got)
		}
	}
}
