package build

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"berth.dev/berth/sdl/akinon"
)

// The limits of a source tree.
const (
	maxFiles = 200_000
	maxBytes = 4 << 30
)

// Tree is the directory of an application's sources.
type Tree struct{ Dir string }

// File tells of a file of the tree, for front-ends. What lies outside of the tree, and what is not a regular file, does
// not exist.
func (t Tree) File(name string) akinon.FileInfo {
	root, err := os.OpenRoot(t.Dir)
	if err != nil {
		return akinon.FileInfo{}
	}
	defer root.Close()
	info, err := root.Stat(filepath.FromSlash(name))
	if err != nil || !info.Mode().IsRegular() {
		return akinon.FileInfo{}
	}
	out := akinon.FileInfo{Exists: true, Executable: info.Mode().Perm()&0o111 != 0}
	f, err := root.Open(filepath.FromSlash(name))
	if err != nil {
		return out
	}
	defer f.Close()
	var start [2]byte
	_, err = io.ReadFull(f, start[:])
	out.Shebang = err == nil && start == [2]byte{'#', '!'}
	return out
}

// stage copies what belongs into an image to another directory, and returns a hash over it: the same files give the same
// hash. .dockerignore says what is left out, or else the .gitignore of each directory; .git always is.
func (t Tree) stage(to string) (string, error) {
	s := stager{root: t.Dir, to: to, sum: sha256.New()}
	data, err := os.ReadFile(filepath.Join(t.Dir, ".dockerignore"))
	switch {
	case err == nil:
		s.docker, s.rules = true, dockerRules(string(data))
	case !errors.Is(err, fs.ErrNotExist):
		return "", fmt.Errorf("read .dockerignore: %w", err)
	}
	if err := filepath.WalkDir(t.Dir, s.visit); err != nil {
		return "", fmt.Errorf("copy the sources: %w", err)
	}
	return hex.EncodeToString(s.sum.Sum(nil)), nil
}

type stager struct {
	root, to string
	docker   bool
	rules    rules
	sum      hash.Hash
	files    int
	bytes    int64
}

// visit copies one file or directory.
func (s *stager) visit(at string, d fs.DirEntry, err error) error {
	if err != nil {
		return err
	}
	rel, err := filepath.Rel(s.root, at)
	if err != nil {
		return err
	}
	name := filepath.ToSlash(rel)
	if name == ".git" || d.Name() == ".git" && d.IsDir() {
		return skip(d)
	}
	if name != "." && s.rules.out(name, d.IsDir()) {
		if d.IsDir() && s.docker && s.rules.keeps() {
			return nil // something below may be taken back in
		}
		return skip(d)
	}
	if d.IsDir() {
		if err := s.ignored(at, name); err != nil {
			return err
		}
		return os.MkdirAll(filepath.Join(s.to, rel), 0o755)
	}
	if s.files++; s.files > maxFiles {
		return fmt.Errorf("there are more than %d files; list what does not belong into the image in .dockerignore", maxFiles)
	}
	return s.copy(at, name, d)
}

func skip(d fs.DirEntry) error {
	if d.IsDir() {
		return fs.SkipDir
	}
	return nil
}

// ignored reads the .gitignore of a directory.
func (s *stager) ignored(at, name string) error {
	if s.docker {
		return nil
	}
	data, err := os.ReadFile(filepath.Join(at, ".gitignore"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	base := name + "/"
	if name == "." {
		base = ""
	}
	s.rules = append(s.rules, gitRules(base, string(data))...)
	return nil
}

func (s *stager) copy(at, name string, d fs.DirEntry) error {
	info, err := d.Info()
	if err != nil {
		return err
	}
	to := filepath.Join(s.to, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil { // its directory may have been left out
		return err
	}
	switch mode := info.Mode(); {
	case mode&fs.ModeSymlink != 0:
		target, err := os.Readlink(at)
		if err != nil {
			return err
		}
		if filepath.IsAbs(target) || outside(path.Join(path.Dir(name), filepath.ToSlash(target))) {
			return fmt.Errorf("the link %s leads out of the tree", name)
		}
		fmt.Fprintf(s.sum, "link %q %q\n", name, target)
		return os.Symlink(target, to)
	case !mode.IsRegular():
		return fmt.Errorf("%s is neither a file, a directory nor a link", name)
	}
	return s.file(at, to, name, info)
}

func outside(name string) bool { return name == ".." || strings.HasPrefix(name, "../") }

func (s *stager) file(at, to, name string, info fs.FileInfo) error {
	if s.bytes += info.Size(); s.bytes > maxBytes {
		return fmt.Errorf("there is more than %d GiB; list what does not belong into the image in .dockerignore", maxBytes>>30)
	}
	mode := fs.FileMode(0o644)
	if info.Mode().Perm()&0o111 != 0 {
		mode = 0o755
	}
	in, err := os.Open(at)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	content := sha256.New()
	_, err = io.Copy(io.MultiWriter(out, content), in)
	if err = errors.Join(err, out.Chmod(mode), out.Close()); err != nil {
		return err
	}
	fmt.Fprintf(s.sum, "file %q %o %x\n", name, mode, content.Sum(nil))
	return nil
}
