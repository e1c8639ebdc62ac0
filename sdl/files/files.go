// Package files is how a document names the files that it draws on, and what is said of those that cannot be had. It
// opens none: compile.Input.ReadFile does.
package files

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"berth.dev/berth/sdl"
	"berth.dev/berth/sdl/doc"
)

// What a reader of files and Resolve fail with, beside fs.ErrNotExist and fs.ErrPermission.
var (
	// ErrOutside means that a path leads out of the document's directory, by .. or through a symbolic link.
	ErrOutside = errors.New("it lies outside the document's directory")
	// ErrNotRegular means that a path leads to a directory, a device or a pipe.
	ErrNotRegular = errors.New("it is no regular file")
	// ErrNoFiles means that there is no reader of files.
	ErrNoFiles = errors.New("no other files are read here: the document stands for itself")
	// ErrAbsolute means that a path does not start from the file that names it.
	ErrAbsolute = errors.New("it is an absolute path")
	// ErrRemote means that something elsewhere is named, not a file.
	ErrRemote = errors.New("it is not on this machine")
	// ErrPath means that a text cannot be a path.
	ErrPath = errors.New("it is no path")
)

// Reader returns a file by its slash-separated path from the document's directory.
type Reader func(path string) ([]byte, error)

// maxPath bounds a path from the document's directory, as messages name files.
const maxPath = 512

var (
	remote   = regexp.MustCompile(`^(?:[A-Za-z][A-Za-z0-9+.-]*:(?://|:)|[A-Za-z0-9._-]+@[A-Za-z0-9.-]+:|git@|oci:|git:|data:|//)`)
	absolute = regexp.MustCompile(`^(?:/|~/|\\|[A-Za-z]:[\\/]|file:)`)
)

// Resolve returns the path from the document's directory of a file that is named at a node, by its path from the
// directory of the file that the node stands in.
func Resolve(at *doc.Node, name string) (string, error) {
	switch {
	case name == "" || len(name) > maxPath || !utf8.ValidString(name) || strings.ContainsFunc(name, invisible):
		return "", ErrPath
	case absolute.MatchString(name) && !strings.HasPrefix(name, "//"):
		return "", ErrAbsolute
	case remote.MatchString(name):
		return "", ErrRemote
	}
	full := path.Join(path.Dir(at.File().Path), name)
	switch {
	case full == ".." || strings.HasPrefix(full, "../"):
		return "", ErrOutside
	case len(full) > maxPath:
		return "", ErrPath
	}
	return full, nil
}

// invisible tells of characters that would make a terminal show another name.
func invisible(r rune) bool { return !unicode.IsGraphic(r) }

// Read reads the file that is named at a node; see Resolve.
func (read Reader) Read(at *doc.Node, name string) ([]byte, error) {
	full, err := Resolve(at, name)
	if err != nil {
		return nil, err
	}
	if read == nil {
		return nil, ErrNoFiles
	}
	return read(full)
}

// Problem says at a node why the file that it names cannot be had. What it found is the name; see
// Diagnostic.WithFound.
func (read Reader) Problem(at *doc.Node, code, name string, err error) sdl.Diagnostic {
	d := at.Problem(code, "file %q cannot be read: %s", doc.Shorten(name), reason(err)).WithFound(doc.Shorten(name))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		d.Message = fmt.Sprintf("there is no file %q", doc.Shorten(name))
		if near := read.near(at, name); near != "" {
			return d.WithSuggestion(near)
		}
		if strings.ContainsAny(name, "*?[") {
			return d.WithHint("patterns are not expanded: name each file")
		}
		if dir := path.Dir(at.File().Path); dir != "." {
			return d.WithHint("paths start from the file that names them, here from " + dir + "/")
		}
		return d.WithHint("paths start from the file that names them")
	case errors.Is(err, ErrOutside), errors.Is(err, ErrAbsolute):
		return d.WithHint("a document may come from somebody else, so it gets no files from elsewhere on this machine: copy the file beside the document")
	case errors.Is(err, ErrRemote):
		d.Message = fmt.Sprintf("file %q is not on this machine, and nothing is fetched", doc.Shorten(hideLogin(name)))
		d.Found = doc.Shorten(hideLogin(name))
		return d.WithHint(download(name))
	case errors.Is(err, ErrPath):
		d.Message = fmt.Sprintf("%q cannot be the path of a file", doc.Shorten(name))
	case errors.Is(err, ErrNoFiles):
		return d.WithHint("copy what it holds into the document")
	case errors.Is(err, ErrNotRegular):
		return d.WithHint("name a file")
	}
	return d
}

func reason(err error) string {
	for _, known := range []error{ErrOutside, ErrNotRegular, ErrNoFiles, ErrAbsolute, fs.ErrPermission} {
		if errors.Is(err, known) {
			return known.Error()
		}
	}
	// The operating system's own words, without the path on this machine that stands before them.
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		err = pathErr.Err
	}
	return doc.Shorten(err.Error())
}

// near finds a file that is there and was probably meant: with the other of the usual endings, or by its path from
// the document's directory rather than from the file that names it.
func (read Reader) near(at *doc.Node, name string) string {
	there := func(name string) bool {
		_, err := read.Read(at, name)
		return err == nil
	}
	endings := map[string]string{".yml": ".yaml", ".yaml": ".yml"}
	if base, ok := strings.CutSuffix(name, path.Ext(name)); ok {
		if other := endings[path.Ext(name)]; other != "" && there(base+other) {
			return base + other
		}
	}
	dir := path.Dir(at.File().Path)
	if dir == "." {
		return ""
	}
	up := strings.Repeat("../", strings.Count(dir, "/")+1) + name
	if within, ok := strings.CutPrefix(path.Clean(name), dir+"/"); ok {
		up = within
	}
	if there(up) {
		return up
	}
	return ""
}

// hideLogin takes from the address of something remote what may be a secret.
func hideLogin(address string) string {
	address, _, _ = strings.Cut(address, "?")
	scheme, rest, ok := strings.Cut(address, "://")
	if !ok {
		return address
	}
	host, file, _ := strings.Cut(rest, "/")
	if i := strings.LastIndexByte(host, '@'); i >= 0 {
		return scheme + "://..." + host[i:] + "/" + file
	}
	return address
}

var (
	plainURL  = regexp.MustCompile(`^https?://[A-Za-z0-9._~:/%+-]{1,200}$`)
	plainName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*\.[A-Za-z0-9]+$`)
)

// download says how to have a copy of something remote.
func download(address string) string {
	const why = "a document must mean the same tomorrow; have a look at the file and name a copy of it"
	if !plainURL.MatchString(address) {
		return why
	}
	base := path.Base(address)
	if !plainName.MatchString(base) {
		base = "included.yaml"
	}
	return why + ": curl -fsSLo " + base + " " + address
}
