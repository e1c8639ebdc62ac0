package files_test

import (
	"errors"
	"io/fs"
	"strings"
	"testing"

	"berth.dev/berth/sdl"
	"berth.dev/berth/sdl/doc"
	"berth.dev/berth/sdl/files"
)

// node is one that stands in a file with a path from the document's directory.
func node(t *testing.T, path string) *doc.Node {
	t.Helper()
	n := doc.NewParser(sdl.NewReporter("deploy.yaml")).YAML(&doc.File{Name: path, Path: path}, []byte("a"))
	if n == nil {
		t.Fatal("no node")
	}
	return n
}

func TestResolve(t *testing.T) {
	for _, tc := range []struct {
		in, name, want string
		err            error
	}{
		{"deploy.yaml", "a.yml", "a.yml", nil},
		{"deploy.yaml", "./sub//b.yml", "sub/b.yml", nil},
		{"deploy.yaml", "sub/../a.yml", "a.yml", nil},
		{"deploy.yaml", "..yml", "..yml", nil},
		{"deploy.yaml", "a@b.yml", "a@b.yml", nil},
		{"deploy.yaml", "../a.yml", "", files.ErrOutside},
		{"deploy.yaml", "..", "", files.ErrOutside},
		{"deploy.yaml", "sub/../../a.yml", "", files.ErrOutside},
		{"sub/deep/b.yml", "c.yml", "sub/deep/c.yml", nil},
		{"sub/deep/b.yml", "../../a.yml", "a.yml", nil},
		{"sub/deep/b.yml", "../../../a.yml", "", files.ErrOutside},
		{"deploy.yaml", "", "", files.ErrPath},
		{"deploy.yaml", "a\x00b", "", files.ErrPath},
		{"deploy.yaml", strings.Repeat("a", 513), "", files.ErrPath},
		{"deploy.yaml", "a\u202eb", "", files.ErrPath},
		{"deploy.yaml", "a\xffb", "", files.ErrPath},
		{strings.Repeat("a", 300) + "/b.yml", strings.Repeat("c", 300), "", files.ErrPath},
		{"deploy.yaml", "/etc/passwd", "", files.ErrAbsolute},
		{"deploy.yaml", "~/a.yml", "", files.ErrAbsolute},
		{"deploy.yaml", `C:\a.yml`, "", files.ErrAbsolute},
		{"deploy.yaml", "c:/a.yml", "", files.ErrAbsolute},
		{"deploy.yaml", `\\host\share`, "", files.ErrAbsolute},
		{"deploy.yaml", "file:///etc/passwd", "", files.ErrAbsolute},
		{"deploy.yaml", "https://foo.yml", "", files.ErrRemote},
		{"deploy.yaml", "HTTP://foo.yml", "", files.ErrRemote},
		{"deploy.yaml", "git@example.com:a/b.git", "", files.ErrRemote},
		{"deploy.yaml", "git@example.com/a", "", files.ErrRemote},
		{"deploy.yaml", "git::https://example.com/a", "", files.ErrRemote},
		{"deploy.yaml", "ssh+git://example.com/a", "", files.ErrRemote},
		{"deploy.yaml", "oci://example.com/a", "", files.ErrRemote},
		{"deploy.yaml", "//example.com/a", "", files.ErrRemote},
	} {
		got, err := files.Resolve(node(t, tc.in), tc.name)
		if got != tc.want || !errors.Is(err, tc.err) {
			t.Errorf("Resolve(%q) in %s = %q, %v; want %q, %v", tc.name, tc.in, got, err, tc.want, tc.err)
		}
	}
}

func TestProblem(t *testing.T) {
	var asked []string
	read := files.Reader(func(path string) ([]byte, error) {
		asked = append(asked, path)
		switch path {
		case "a.yaml", "sub/c.yml", "top.yml":
			return []byte("a"), nil
		case "locked.yml":
			return nil, &fs.PathError{Op: "open", Path: "/home/somebody/locked.yml", Err: fs.ErrPermission}
		case "broken.yml":
			return nil, &fs.PathError{Op: "read", Path: "/home/somebody/broken.yml", Err: errors.New("input/output error")}
		}
		return nil, fs.ErrNotExist
	})
	for _, tc := range []struct{ in, name, message, suggestion, hint string }{
		{"deploy.yaml", "none.yml", `there is no file "none.yml"`, "", "paths start from the file that names them"},
		{"deploy.yaml", "a.yml", `there is no file "a.yml"`, "a.yaml", ""},
		{"sub/b.yml", "sub/c.yml", `there is no file "sub/c.yml"`, "c.yml", ""},
		{"sub/b.yml", "top.yml", `there is no file "top.yml"`, "../top.yml", ""},
		{"sub/b.yml", "none.yml", `there is no file "none.yml"`, "", "paths start from the file that names them, here from sub/"},
		{"deploy.yaml", "*.yml", `there is no file "*.yml"`, "", "patterns are not expanded: name each file"},
		{"deploy.yaml", "locked.yml", `file "locked.yml" cannot be read: permission denied`, "", ""},
		{"deploy.yaml", "broken.yml", `file "broken.yml" cannot be read: input/output error`, "", ""},
		{"deploy.yaml", "../x", `file "../x" cannot be read: it lies outside the document's directory`, "",
			"a document may come from somebody else, so it gets no files from elsewhere on this machine: copy the file beside the document"},
		{"deploy.yaml", "https://foo.yml", `file "https://foo.yml" is not on this machine, and nothing is fetched`, "",
			"a document must mean the same tomorrow; have a look at the file and name a copy of it: curl -fsSLo foo.yml https://foo.yml"},
		{"deploy.yaml", "https://me:hunter2@example.com/a.yml?token=hunter3", `file "https://...@example.com/a.yml" is not on this machine, and nothing is fetched`, "",
			"a document must mean the same tomorrow; have a look at the file and name a copy of it"},
		{"deploy.yaml", "http://example.com/$(reboot)", `file "http://example.com/$(reboot)" is not on this machine, and nothing is fetched`, "",
			"a document must mean the same tomorrow; have a look at the file and name a copy of it"},
	} {
		at := node(t, tc.in)
		_, err := read.Read(at, tc.name)
		if err == nil {
			t.Fatalf("Read(%q) succeeded", tc.name)
		}
		d := read.Problem(at, "E-INCLUDE", tc.name, err)
		if d.Message != tc.message || d.Suggestion != tc.suggestion || d.Hint != tc.hint || d.File != tc.in || d.Line != 1 {
			t.Errorf("Problem(%q) = %+v", tc.name, d)
		}
		if strings.Contains(d.Message+d.Found+d.Hint, "hunter") {
			t.Errorf("Problem(%q) shows a secret: %+v", tc.name, d)
		}
	}
	for _, path := range asked {
		if strings.HasPrefix(path, "/") || strings.HasPrefix(path, "..") {
			t.Errorf("the reader was asked for %s", path)
		}
	}
}

func TestNoReader(t *testing.T) {
	at := node(t, "deploy.yaml")
	_, err := files.Reader(nil).Read(at, "a.yml")
	if d := files.Reader(nil).Problem(at, "E-INCLUDE", "a.yml", err); !strings.Contains(d.Message, "no other files are read here") {
		t.Errorf("Problem = %+v", d)
	}
}
