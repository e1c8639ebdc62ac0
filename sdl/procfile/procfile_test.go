package procfile_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"berth.dev/berth/sdl"
	"berth.dev/berth/sdl/procfile"
)

func parse(text string) (procfile.File, string) {
	r := sdl.NewReporter("Procfile")
	f := procfile.Parse(r, "Procfile", []byte(text))
	var lines []string
	for _, d := range r.Diagnostics() {
		lines = append(lines, d.String())
	}
	return f, strings.Join(lines, "\n")
}

func shown(f procfile.File) string {
	var b strings.Builder
	for _, p := range f {
		fmt.Fprintf(&b, "%d:%d %s(%s) %s\n", p.Line, p.Column, p.Name, p.Label, p.Command)
	}
	return b.String()
}

func TestParse(t *testing.T) {
	for name, tc := range map[string]struct{ text, want string }{
		"the sample with its header": {
			"# format: <process_name>: <command>\nweb: gunicorn app:app -b 0.0.0.0:8008\nworker: worker.py",
			"2:1 web(web) gunicorn app:app -b 0.0.0.0:8008\n3:1 worker(worker) worker.py\n",
		},
		"comments, blank lines, a mark, carriage returns": {
			"\ufeff// of two kinds\r\n\r\n  # indented\r\nweb:./run\t\r\n",
			"4:1 web(web) ./run\n",
		},
		"a comment after a command, and none in quotes": {
			"a: run 'x # y' \"# z\" \\# w # gone\nb: run x#y\n",
			"1:1 a(a) run 'x # y' \"# z\" \\# w\n2:1 b(b) run x#y\n",
		},
		"names become labels": {
			"Main_Web: a\nclock-_: b\n2nd: c\nrelease: d\n",
			"1:1 Main_Web(main-web) a\n2:1 clock-_(clock) b\n3:1 2nd(p-2nd) c\n4:1 release(release) d\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			f, found := parse(tc.text)
			if found != "" {
				t.Fatal(found)
			}
			if d := cmp.Diff(tc.want, shown(f)); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestNames(t *testing.T) {
	f, _ := parse("release: a\nweb: b\nworker: c\n")
	if d := cmp.Diff([]string{"web", "worker"}, f.Names()); d != "" {
		t.Error(d)
	}
	if f.Find("worker").Command != "c" || f.Find("beat") != nil {
		t.Error("Find")
	}
	d := f.Missing(sdl.Diagnostic{}, "wroker")
	if d.Message != "no such process in Procfile (have: web, worker)" || d.Suggestion != "worker" {
		t.Errorf("Missing = %+v", d)
	}
}

func TestProblems(t *testing.T) {
	long := strings.Repeat("a", 64)
	for name, tc := range map[string]struct{ text, want string }{
		"nothing": {"# only this\n", "Procfile: error: the Procfile names no process [E-PROCFILE]"},
		"all at once": {
			"web: a\nrun it\n: b\nweb: c\nwörk: d\nempty:\n" + long + ": e\nWEB: f\n__: g\n spaced : h\nbell: \a",
			"Procfile:2:1: error: the line is not NAME: COMMAND, as it has no colon [E-PROCFILE]\n" +
				"Procfile:3:1: error: the name before the colon is missing [E-PROCFILE]\n" +
				"Procfile:4:1: error: process \"web\" stands in line 1 already [E-PROCFILE-TWICE]\n" +
				"Procfile:5:2: error: the name before the colon is not of letters, digits, dashes and underscores [E-PROCFILE]\n" +
				"Procfile:6:1: error: process \"empty\" has no command [E-PROCFILE]\n" +
				"Procfile:7:1: error: the name before the colon has more than 63 characters [E-PROCFILE]\n" +
				"Procfile:8:1: error: processes \"web\" and \"WEB\" would both be called \"web\" where they run: rename one [E-PROCFILE-TWICE]\n" +
				"Procfile:9:1: error: the name \"__\" has neither a letter nor a digit [E-PROCFILE]\n" +
				"Procfile:10:8: error: a blank stands between the name \"spaced\" and its colon [E-PROCFILE]\n" +
				"Procfile:11:7: error: a control character stands in the line [E-CHARACTER]",
		},
		"a command that is a comment": {"web: # soon\n", "Procfile:1:1: error: process \"web\" has no command [E-PROCFILE]"},
		"not text":                    {"web: \xff\n", "Procfile: error: the Procfile is not text in UTF-8 [E-UTF8]"},
		"too large":                   {strings.Repeat("#", 64<<10+1), "Procfile: error: the Procfile has more than 65536 bytes [E-SIZE]"},
	} {
		t.Run(name, func(t *testing.T) {
			_, found := parse(tc.text)
			if d := cmp.Diff(tc.want, found); d != "" {
				t.Error(d)
			}
		})
	}
	var many strings.Builder
	for i := range procfile.MaxProcesses + 1 {
		fmt.Fprintf(&many, "p%d: x\n", i)
	}
	if _, found := parse(many.String()); !strings.Contains(found, "E-LIMIT") {
		t.Errorf("too many processes: %s", found)
	}
}

// TestNoCommandIsShown holds that what may be a secret stays out of messages and excerpts.
func TestNoCommandIsShown(t *testing.T) {
	for _, line := range []string{"run --password hunter2", "we b: x hunter2", "web: a\nweb: b hunter2", "web : hunter2", "x: hunter2\a"} {
		r := sdl.NewReporter("Procfile")
		procfile.Parse(r, "Procfile", []byte(line))
		var b strings.Builder
		if err := r.Diagnostics().WriteText(&b, sdl.Sources{"Procfile": []byte(line)}); err != nil {
			t.Fatal(err)
		}
		if b.Len() == 0 || strings.Contains(b.String(), "hunter2") {
			t.Errorf("%q: %s", line, b.String())
		}
	}
}

func TestArgv(t *testing.T) {
	shell := func(s string) []string { return []string{"/bin/sh", "-c", s} }
	for command, want := range map[string][]string{
		"gunicorn app:app -b 0.0.0.0:8008": {"gunicorn", "app:app", "-b", "0.0.0.0:8008"},
		"echo 'hello'":                     {"echo", "hello"},
		`a "b c" d\ e 'f"g' "h\"i\x" ''`:   {"a", "b c", "d e", `f"g`, `h"i\x`, ""},
		"sh -c 'a && b'":                   {"sh", "-c", "a && b"},
		"run --set a=b":                    {"run", "--set", "a=b"},
		"a && b":                           shell("a && b"),
		"web -p $PORT":                     shell("web -p $PORT"),
		`web -p "$PORT"`:                   shell(`web -p "$PORT"`),
		"cd app; ./run":                    shell("cd app; ./run"),
		"exec ./run":                       shell("exec ./run"),
		"A=b ./run":                        shell("A=b ./run"),
		"ls *.go":                          shell("ls *.go"),
		"echo `id`":                        shell("echo `id`"),
		"a 'b":                             shell("a 'b"),
		`a "b`:                             shell(`a "b`),
		`a \`:                              shell(`a \`),
		"run ~/x":                          shell("run ~/x"),
		"if true":                          shell("if true"),
		"9=x y":                            {"9=x", "y"},
	} {
		if d := cmp.Diff(want, procfile.Argv(command)); d != "" {
			t.Errorf("%s: %s", command, d)
		}
	}
}

// TestWords: patterns of file names are words as they stand, as URLs hold their characters; what else only a shell can do
// is an error that says what it is.
func TestWords(t *testing.T) {
	for command, want := range map[string][]string{
		"curl https://x/?a=b*":     {"curl", "https://x/?a=b*"},
		"echo 'hello'":             {"echo", "hello"},
		"sh -c 'a && b'":           {"sh", "-c", "a && b"},
		`a "b c" d\ e "h\"i\x" ''`: {"a", "b c", "d e", `h"i\x`, ""},
		"run x#y a~":               {"run", "x#y", "a~"},
		"run A=b":                  {"run", "A=b"},
		"'if' x":                   nil,
	} {
		got, err := procfile.Words(command)
		if d := cmp.Diff(want, got); d != "" || (err != nil) != (want == nil) {
			t.Errorf("%s: %v %s", command, err, d)
		}
	}
	for command, want := range map[string]string{
		"a && b": `it holds "&"`, "a $B": `it holds "$"`, `a "$B"`: "in double quotes", "A=b c": "it sets A", "cd x": `the shell's own "cd"`,
		"a\nb": "several lines", "~/x": `it holds "~"`, "a 'b": "single quote", `a "b`: "double quote", `a \`: "backslash",
	} {
		_, err := procfile.Words(command)
		if err == nil || !strings.Contains(err.Error(), want) || errors.Is(err, procfile.ErrShell) == strings.Contains("single quote double quote backslash", want) {
			t.Errorf("%s: %v, want %s", command, err, want)
		}
	}
}

func FuzzProcfile(f *testing.F) {
	for _, s := range []string{
		"web: gunicorn app:app -b 0.0.0.0:8008\nworker: worker.py", "# x\n// y\nA_b: c # d\n", "web : x", "\ufeffweb: 'a", ":", "a:b\r\nA: c", "é: \\",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r := sdl.NewReporter("Procfile")
		file := procfile.Parse(r, "Procfile", data)
		if err := r.Diagnostics().WriteText(&strings.Builder{}, sdl.Sources{"Procfile": data}); err != nil {
			t.Fatal(err)
		}
		if r.Failed() {
			return
		}
		if len(file) == 0 {
			t.Fatal("no process and no problem")
		}
		labels := map[string]bool{}
		again := ""
		for _, p := range file {
			if labels[p.Label] || p.Label == "" || len(p.Label) > 63 || p.Command == "" || len(procfile.Argv(p.Command)) == 0 {
				t.Fatalf("%+v", p)
			}
			labels[p.Label] = true
			again += p.Name + ": " + p.Command + "\n"
		}
		// What was read says the same when it is written again.
		r = sdl.NewReporter("Procfile")
		second := procfile.Parse(r, "Procfile", []byte(again))
		if r.Failed() || len(second) != len(file) {
			t.Fatalf("%q is read as %q: %v", again, shown(second), r.Diagnostics())
		}
		for i, p := range file {
			if q := second[i]; p.Name != q.Name || p.Command != q.Command {
				t.Fatalf("%+v is read as %+v", p, q)
			}
		}
	})
}
