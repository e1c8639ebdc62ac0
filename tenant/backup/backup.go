// Package backup puts a tenant's local state into one encrypted file and takes it out again: the configuration, and of
// each deployment its plan, salts, manifests and environment, and the stored variables of applications. Keys are not in it: they have backups of their own, the
// words of their mnemonics.
//
// The file is age's format with a passphrase, which any age program can open; inside is a compressed tar archive.
package backup

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"filippo.io/age"

	"berth.dev/berth/internal/durable"
	"berth.dev/berth/tenant"
	"berth.dev/berth/tenant/envstore"
	"berth.dev/berth/tenant/home"
)

// The limits of a backup that is read: a hostile one must not fill the disk or the memory.
const (
	maxFiles = 100_000
	maxFile  = 128 << 20
	maxTotal = 1 << 30
	// workFactor is the logarithm of scrypt's cost when writing, maxWorkFactor the most that a file may ask for.
	workFactor    = 17
	maxWorkFactor = 20
	// MinPassphrase is the least that protects what has secrets in it.
	MinPassphrase = 12
)

// allowed are the names that a backup may hold, within a home.
var allowed = regexp.MustCompile(`^(config\.yaml|deployments/[a-zA-Z0-9][a-zA-Z0-9._-]{0,62}/[1-9][0-9]{0,19}\.json|env/[a-zA-Z0-9][a-zA-Z0-9._-]{0,62}/[a-z0-9-]{1,80}\.json)$`)

// ErrPassphrase means that a file is not a backup that the passphrase opens.
var ErrPassphrase = errors.New("the passphrase does not open it, or it is not a backup")

// File is one file of a home.
type File struct {
	// Name is relative to the home, with slashes.
	Name string
	Data []byte
	Time time.Time
}

// Collect reads what belongs into a backup, sorted by name. Files that are being written and whatever else lies in the
// home are left out.
func Collect(dir string) ([]File, error) {
	var out []File
	err := filepath.WalkDir(dir, func(at string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, at)
		if err != nil {
			return err
		}
		name := filepath.ToSlash(rel)
		if d.IsDir() {
			if above := path.Dir(name); name != "." && name != "deployments" && above != "deployments" && name != "env" && above != "env" {
				return fs.SkipDir
			}
			return nil
		}
		info, err := d.Info()
		if err != nil || !info.Mode().IsRegular() || !allowed.MatchString(name) {
			return err
		}
		if info.Size() > maxFile {
			return fmt.Errorf("%s has %d bytes, at most %d can be in a backup", name, info.Size(), maxFile)
		}
		data, err := os.ReadFile(at)
		if err == nil && len(data) > 0 { // an empty state only reserves its number
			out = append(out, File{Name: name, Data: data, Time: info.ModTime()})
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the state to back up: %w", err)
	}
	slices.SortFunc(out, func(a, b File) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

// Write encrypts files with a passphrase of at least MinPassphrase bytes.
func Write(w io.Writer, files []File, passphrase string) error {
	if len(passphrase) < MinPassphrase {
		return fmt.Errorf("the passphrase has fewer than %d characters", MinPassphrase)
	}
	recipient, err := age.NewScryptRecipient(passphrase)
	if err != nil {
		return fmt.Errorf("use the passphrase: %w", err)
	}
	recipient.SetWorkFactor(workFactor)
	sealed, err := age.Encrypt(w, recipient)
	if err != nil {
		return fmt.Errorf("encrypt the backup: %w", err)
	}
	packed := gzip.NewWriter(sealed)
	archive := tar.NewWriter(packed)
	for _, f := range files {
		h := &tar.Header{Typeflag: tar.TypeReg, Name: f.Name, Size: int64(len(f.Data)), Mode: 0o600, ModTime: f.Time.UTC().Truncate(time.Second)}
		if err := archive.WriteHeader(h); err != nil {
			return fmt.Errorf("write the backup: %w", err)
		}
		if _, err := archive.Write(f.Data); err != nil {
			return fmt.Errorf("write the backup: %w", err)
		}
	}
	if err := errors.Join(archive.Close(), packed.Close(), sealed.Close()); err != nil {
		return fmt.Errorf("write the backup: %w", err)
	}
	return nil
}

// Read decrypts a backup and checks every file in it: names that do not belong there, anything but regular files, files
// that cannot be what their names say, and more than the limits are refused as a whole.
func Read(r io.Reader, passphrase string) ([]File, error) {
	identity, err := age.NewScryptIdentity(passphrase)
	if err != nil {
		return nil, fmt.Errorf("use the passphrase: %w", err)
	}
	identity.SetMaxWorkFactor(maxWorkFactor)
	plain, err := age.Decrypt(r, identity)
	if err != nil {
		return nil, fmt.Errorf("open the backup: %w", errors.Join(ErrPassphrase, err))
	}
	unpacked, err := gzip.NewReader(plain)
	if err != nil {
		return nil, fmt.Errorf("read the backup: %w", err)
	}
	return readArchive(tar.NewReader(unpacked))
}

func readArchive(archive *tar.Reader) ([]File, error) {
	var out []File
	seen, total := map[string]bool{}, int64(0)
	for {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read the backup: %w", err)
		}
		total += h.Size
		switch {
		case h.Typeflag != tar.TypeReg || !allowed.MatchString(h.Name):
			return nil, fmt.Errorf("read the backup: %.100q does not belong into one", h.Name)
		case seen[h.Name]:
			return nil, fmt.Errorf("read the backup: %q is there twice", h.Name)
		case h.Size > maxFile || total > maxTotal || len(out) == maxFiles:
			return nil, fmt.Errorf("read the backup: it is larger than backups are")
		}
		seen[h.Name] = true
		data, err := io.ReadAll(archive)
		if err != nil {
			return nil, fmt.Errorf("read the backup: %s: %w", h.Name, err)
		}
		f := File{Name: h.Name, Data: data, Time: h.ModTime}
		if err := f.check(); err != nil {
			return nil, fmt.Errorf("read the backup: %s: %w", h.Name, err)
		}
		out = append(out, f)
	}
}

// check makes sure that a file is what its name says.
func (f File) check() error {
	if f.Name == home.ConfigFile {
		_, err := home.Parse(f.Data)
		return err
	}
	if strings.HasPrefix(f.Name, "env/") {
		return envstore.CheckFile(f.Data)
	}
	_, err := tenant.DecodeState(f.Data)
	return err
}

// Outcome is what became of a file at a restore.
type Outcome string

// The outcomes.
const (
	Restored Outcome = "restored" // it was not there, or was replaced
	Same     Outcome = "same"     // it is there as it is in the backup
	Kept     Outcome = "kept"     // another one is there, and stays
)

// Result is a file with what became of it.
type Result struct {
	Name    string  `json:"name"`
	Outcome Outcome `json:"outcome"`
}

// Restore puts files into a home. A file that differs from one that is there is kept back unless replace is set: what
// is there may be newer than the backup.
func Restore(dir string, files []File, replace bool) ([]Result, error) {
	out := []Result{}
	for _, f := range files {
		at := filepath.Join(dir, filepath.FromSlash(f.Name))
		have, err := os.ReadFile(at)
		outcome := Restored
		switch {
		case err == nil && bytes.Equal(have, f.Data):
			outcome = Same
		case err == nil && len(have) > 0 && !replace:
			outcome = Kept
		case err != nil && !errors.Is(err, fs.ErrNotExist):
			return out, fmt.Errorf("restore %s: %w", f.Name, err)
		}
		if outcome == Restored {
			if err := os.MkdirAll(filepath.Dir(at), 0o700); err != nil {
				return out, fmt.Errorf("restore %s: %w", f.Name, err)
			}
			if err := durable.WriteFile(at, f.Data, 0o600); err != nil {
				return out, fmt.Errorf("restore %s: %w", f.Name, err)
			}
		}
		out = append(out, Result{Name: f.Name, Outcome: outcome})
	}
	return out, nil
}
