package tenant

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"berth.dev/berth/provider/cluster"
)

// Files are copied by the image's own tar: it packs or unpacks at one end of a session, and this machine does at the
// other. What comes from an instance is a stranger's: it is unpacked below one name and nowhere else, and holds files and
// directories only.

// Copied says what was copied.
type Copied struct {
	Files int   `json:"files"`
	Bytes int64 `json:"bytes"`
	// Skipped are what was left out, as it is neither a file nor a directory, by name.
	Skipped []string `json:"skipped"`
}

// emptyArchive is the size of an archive that holds nothing, in bytes, all of which are 0.
const emptyArchive = 1024

// maxToldSkips is how many names of Copied.Skipped are kept.
const maxToldSkips = 100

func (c *Copied) skip(name string) {
	if len(c.Skipped) < maxToldSkips {
		c.Skipped = append(c.Skipped, name)
	}
}

// maxTarErrors bounds what is kept of what tar says.
const maxTarErrors = 4 << 10

// codeNotFound is the exit code of a program that the image does not have.
const codeNotFound = 127

// splitRemote is the directory and the name that a path in an instance stands for; the name is empty for what ends with
// a slash.
func splitRemote(p string) (dir, name string) {
	if strings.HasSuffix(p, "/") || p == "." || p == "" {
		return path.Clean(p + "/"), ""
	}
	return path.Dir(p), path.Base(p)
}

// Upload copies a local file or directory to a path in an instance: under that name, or into that directory if the path
// ends with a slash. The directory must be there.
func (m *Machine) Upload(ctx context.Context, local string, p Place, remote string) (*Copied, error) {
	if _, err := os.Stat(local); err != nil {
		return nil, failf(KindUsage, nil, "%w", err)
	}
	dir, name := splitRemote(remote)
	if name == "" {
		abs, err := filepath.Abs(local)
		if err != nil {
			return nil, failf(KindUsage, nil, "%w", err)
		}
		name = filepath.Base(abs)
	}
	found, err := m.find(ctx, p)
	if err != nil {
		return nil, asFailure(err)
	}
	unpacker := []string{"tar", "-x", "-f", "-", "-C", dir}
	// An empty archive tells whether there is a tar, and the directory. A tar that ends while much is still being sent to it
	// may keep its session until that has been taken, which is never.
	if err := m.tar(ctx, found, unpacker, cluster.Streams{Stdin: bytes.NewReader(make([]byte, emptyArchive))}); err != nil {
		return nil, err
	}
	out, in := io.Pipe()
	copied := &Copied{Skipped: []string{}}
	packed := make(chan error, 1)
	go func() {
		err := pack(in, local, name, copied)
		_ = in.CloseWithError(err) // never fails
		packed <- err
	}()
	err = m.tar(ctx, found, unpacker, cluster.Streams{Stdin: out})
	_ = out.CloseWithError(errTarEnded) // never fails
	if packErr := <-packed; packErr != nil && !errors.Is(packErr, errTarEnded) {
		return nil, failf(KindOther, nil, "read what is to be copied: %w", packErr)
	}
	if err != nil {
		return nil, err
	}
	return copied, nil
}

// errTarEnded is met by what writes to a tar that has ended.
var errTarEnded = errors.New("tar has ended")

// tar runs tar in an instance.
func (m *Machine) tar(ctx context.Context, p place, command []string, s cluster.Streams) error {
	said := &tail{}
	s.Stderr = said
	code, err := m.exec(ctx, p, command, false, s)
	switch {
	case err != nil:
		return err
	case code == codeNotFound:
		return &Failure{
			Kind: KindLease, Dseq: p.ID.Dseq, Hints: []Hint{HintUpdate},
			Err: fmt.Errorf("the image of service %s has no tar, which copying needs: use an image that has it, or read a single file with `berth exec %d %s -- cat FILE`, if it has cat", p.Service, p.ID.Dseq, p.Service),
		}
	case code != 0:
		return &Failure{Kind: KindLease, Dseq: p.ID.Dseq, Err: fmt.Errorf("tar in service %s ended with code %d: %s", p.Service, code, orText(strings.TrimSpace(said.String()), "it said nothing"))}
	}
	return nil
}

// tail keeps the end of what is written to it.
type tail struct{ bytes.Buffer }

// Write implements io.Writer.
func (t *tail) Write(p []byte) (int, error) {
	n, err := t.Buffer.Write(p)
	if extra := t.Len() - maxTarErrors; extra > 0 {
		t.Next(extra)
	}
	return n, err
}

// pack writes a file or directory as an archive in which it has another name.
func pack(w io.Writer, local, name string, copied *Copied) error {
	out := tar.NewWriter(w)
	err := filepath.WalkDir(local, func(at string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		below, err := filepath.Rel(local, at)
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil && at == local { // what is named itself may be a link
			info, err = os.Stat(at)
		}
		if err != nil {
			return err
		}
		return packOne(out, at, path.Join(name, filepath.ToSlash(below)), info, copied)
	})
	if err != nil {
		return err
	}
	return out.Close()
}

func packOne(out *tar.Writer, at, name string, info fs.FileInfo, copied *Copied) error {
	h := &tar.Header{Name: name, Mode: int64(info.Mode().Perm()), ModTime: info.ModTime(), Format: tar.FormatPAX}
	h.ModTime = h.ModTime.Truncate(1e9) // whole seconds, which every tar reads
	switch {
	case info.IsDir():
		h.Typeflag, h.Name = tar.TypeDir, name+"/"
		return out.WriteHeader(h)
	case !info.Mode().IsRegular():
		copied.skip(at)
		return nil
	}
	f, err := os.Open(at)
	if err != nil {
		return err
	}
	defer f.Close()
	h.Typeflag, h.Size = tar.TypeReg, info.Size()
	if err := out.WriteHeader(h); err != nil {
		return err
	}
	n, err := io.CopyN(out, f, h.Size)
	if errors.Is(err, io.EOF) {
		err = fmt.Errorf("%s became shorter while it was read", at)
	}
	copied.Files++
	copied.Bytes += n
	return err
}

// Download copies a file or directory from an instance to a local path: under that name, or into that directory if it is
// one or the path ends with a slash.
func (m *Machine) Download(ctx context.Context, p Place, remote, local string) (*Copied, error) {
	dir, name := splitRemote(strings.TrimRight(remote, "/"))
	if name == "" || name == "/" || name == ".." {
		return nil, failf(KindUsage, nil, "%q names no file or directory below another", remote)
	}
	parent, as, err := landing(local, name)
	if err != nil {
		return nil, err
	}
	found, err := m.find(ctx, p)
	if err != nil {
		return nil, asFailure(err)
	}
	root, err := os.OpenRoot(parent)
	if err != nil {
		return nil, failf(KindUsage, nil, "%w", err)
	}
	defer root.Close()
	out, in := io.Pipe()
	copied := &Copied{Skipped: []string{}}
	unpacked := make(chan error, 1)
	go func() {
		err := unpack(out, root, name, as, copied)
		_ = out.CloseWithError(err) // never fails; without an error, what comes after the archive is met with io.ErrClosedPipe
		unpacked <- err
	}()
	err = m.tar(ctx, found, []string{"tar", "-c", "-f", "-", "-C", dir, "--", name}, cluster.Streams{Stdout: in})
	_ = in.CloseWithError(io.ErrUnexpectedEOF) // never fails
	unpackErr := <-unpacked
	switch {
	case unpackErr != nil && (err == nil || !errors.Is(unpackErr, io.ErrUnexpectedEOF)):
		return nil, failf(KindOther, nil, "unpack what was copied: %w", unpackErr)
	case err != nil:
		return nil, err
	}
	return copied, nil
}

// landing is the directory in which a copy is made, and the name that it gets there.
func landing(local, name string) (parent, as string, err error) {
	info, err := os.Stat(local)
	switch {
	case err == nil && info.IsDir():
		return local, name, nil
	case strings.HasSuffix(local, "/") || strings.HasSuffix(local, string(filepath.Separator)):
		return "", "", failf(KindUsage, nil, "there is no directory %s", local)
	default:
		parent, as = filepath.Split(local)
		return filepath.Clean(parent + "."), as, nil
	}
}

// unpack reads an archive whose entries are all called name or stand below it, and makes files of them that are called as
// in root instead. It reads on to the end, so that who packs can end well.
func unpack(from io.Reader, root *os.Root, name, as string, copied *Copied) error {
	in := tar.NewReader(from)
	for {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			_, err := io.Copy(io.Discard, from)
			if errors.Is(err, io.ErrUnexpectedEOF) { // the archive was whole
				err = nil
			}
			return err
		}
		if err != nil {
			return err
		}
		target, err := inside(h.Name, name, as)
		if err != nil {
			return err
		}
		if err := unpackOne(in, root, h, target, copied); err != nil {
			return fmt.Errorf("%q: %w", h.Name, err)
		}
	}
}

// inside is where an entry goes. One that is neither the wanted name nor below it is refused.
func inside(entry, name, as string) (string, error) {
	clean := path.Clean(entry)
	below, ok := strings.CutPrefix(clean, name)
	if !ok || below != "" && below[0] != '/' || strings.Contains("/"+entry+"/", "/../") || strings.ContainsAny(entry, "\\\x00") {
		return "", fmt.Errorf("the archive holds %q, which is not below %q", entry, name)
	}
	return filepath.FromSlash(as + below), nil
}

func unpackOne(in io.Reader, root *os.Root, h *tar.Header, target string, copied *Copied) error {
	mode := fs.FileMode(h.Mode).Perm()
	switch h.Typeflag {
	case tar.TypeDir:
		return root.MkdirAll(target, mode|0o700)
	case tar.TypeReg:
	default:
		copied.skip(h.Name)
		return nil
	}
	if dir := filepath.Dir(target); dir != "." {
		if err := root.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	f, err := root.OpenFile(target, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, mode)
	if err != nil {
		return err
	}
	n, err := io.Copy(f, in)
	copied.Files++
	copied.Bytes += n
	return errors.Join(err, f.Close())
}
