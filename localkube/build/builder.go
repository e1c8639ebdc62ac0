package build

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"berth.dev/berth/localkube/progress"
)

// ErrNoGo means that there is no Go toolchain to build with.
var ErrNoGo = errors.New("the go command was not found; install Go from https://go.dev/dl/")

// unusedFor is how long an entry of the cache is kept after its last use.
const unusedFor = 14 * 24 * time.Hour

// complete is the file that marks a whole cache entry.
const complete = ".complete"

// Builder builds sets into a cache.
type Builder struct {
	// Source is the localkube source tree.
	Source string
	// Cache is where results are kept. It may be shared by many trees.
	Cache string
	// Progress is told what happens.
	Progress *progress.Printer
}

// Result tells where the programs are.
type Result struct {
	dirs []string
}

// Path returns where a program or file is, by its name.
func (r Result) Path(name string) (string, error) {
	for _, dir := range r.dirs {
		p := filepath.Join(dir, name)
		if _, err := os.Stat(p); err == nil {
			return p, nil
		}
	}
	return "", fmt.Errorf("%s was not built", name)
}

// DefaultCache returns the cache to use when none is named:
// $XDG_CACHE_HOME/berth/localkube, else /var/cache/berth/localkube for root and
// the user's cache directory for others.
func DefaultCache() string {
	const tail = "berth/localkube"
	if dir := os.Getenv("XDG_CACHE_HOME"); dir != "" {
		return filepath.Join(dir, tail)
	}
	if os.Geteuid() == 0 {
		return filepath.Join("/var/cache", tail)
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		dir = os.TempDir()
	}
	return filepath.Join(dir, tail)
}

// Build makes every set that is not in the cache yet, one after the other, and
// returns where all of them are. A set is either wholly in the cache or not at
// all, also after a crash.
func (b *Builder) Build(ctx context.Context, sets []Set) (Result, error) {
	version, err := b.goVersion(ctx)
	if err != nil {
		return Result{}, err
	}
	var result Result
	for i, s := range sets {
		hash, err := Hash(s, os.DirFS(b.Source), version, runtime.GOOS+"/"+runtime.GOARCH)
		if err != nil {
			return Result{}, err
		}
		label := fmt.Sprintf("build %s (set %d of %d)", s.Name, i+1, len(sets))
		dir, err := b.ensure(ctx, s, hash, label)
		if err != nil {
			return Result{}, fmt.Errorf("%s: %w", label, err)
		}
		result.dirs = append(result.dirs, dir)
	}
	b.forgetUnused(time.Now())
	return result, nil
}

// ensure returns the cache entry of a set, building it if it is missing.
func (b *Builder) ensure(ctx context.Context, s Set, hash, label string) (string, error) {
	dir := filepath.Join(b.Cache, s.Name+"-"+hash)
	if used(dir) {
		return dir, nil
	}
	if err := os.MkdirAll(b.Cache, 0o755); err != nil {
		return "", fmt.Errorf("make the build cache: %w", err)
	}
	unlock, err := lock(filepath.Join(b.Cache, s.Name+".lock"))
	if err != nil {
		return "", err
	}
	defer unlock()
	if used(dir) { // built by someone else while we waited
		return dir, nil
	}
	start := time.Now()
	b.Progress.Say("%s: %s", label, "the first build takes minutes, later ones nothing")
	work := filepath.Join(b.Cache, "work-"+s.Name)
	out := filepath.Join(work, "out")
	if err := errors.Join(os.RemoveAll(work), os.MkdirAll(out, 0o755)); err != nil {
		return "", err
	}
	if err := b.compile(ctx, s, work, out, label); err != nil {
		return "", err
	}
	err = errors.Join(
		os.WriteFile(filepath.Join(out, complete), nil, 0o644),
		os.RemoveAll(dir),
		os.Rename(out, dir),
		os.RemoveAll(work),
	)
	if err != nil {
		return "", fmt.Errorf("keep the result: %w", err)
	}
	b.Progress.Say("%s: done in %s", label, time.Since(start).Round(time.Second))
	return dir, nil
}

func (b *Builder) compile(ctx context.Context, s Set, work, out, label string) error {
	modfile, err := b.prepareModfile(ctx, s, work)
	if err != nil {
		return err
	}
	for _, t := range s.Targets {
		if err := b.goBuild(ctx, s, t, modfile, out, label); err != nil {
			return err
		}
	}
	for _, f := range s.Files {
		if err := b.keepFiles(ctx, s, f, modfile, out); err != nil {
			return err
		}
	}
	return nil
}

// goBuild runs one build at low priority and shows what the compiler is at.
func (b *Builder) goBuild(ctx context.Context, s Set, t Target, modfile, out, label string) error {
	dir := filepath.Join(b.Source, s.Dir)
	flags := t.flags(modfile)
	total := b.countStale(ctx, dir, t, flags)
	output := out + string(filepath.Separator)
	if t.Output != "" {
		output = filepath.Join(out, t.Output)
	}
	args := append([]string{"build", "-v", "-o", output}, flags...)
	cmd := exec.CommandContext(ctx, "go", append(args, t.Packages...)...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), t.env()...)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start go build: %w", err)
	}
	// A person may be working on this machine.
	_ = unix.Setpriority(unix.PRIO_PROCESS, cmd.Process.Pid, 10)
	m := meter{label: label, total: total}
	rest := m.follow(stderr, b.Progress)
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("go build %s: %w\n%s", strings.Join(t.Packages, " "), err, rest)
	}
	return nil
}

// flags returns the flags that decide what is compiled.
func (t Target) flags(modfile string) []string {
	flags := []string{"-mod=mod", "-buildvcs=false", "-trimpath", "-modfile=" + modfile, "-ldflags=" + strings.TrimSpace("-s -w "+t.LDFlags)}
	if t.Tags != "" {
		flags = append(flags, "-tags="+t.Tags)
	}
	return flags
}

func (t Target) env() []string {
	cgo := "CGO_ENABLED=0"
	if t.CGO {
		cgo = "CGO_ENABLED=1"
	}
	return []string{cgo, "GOWORK=off", "GOFLAGS="}
}

// countStale returns how many packages have to be compiled, 0 if that cannot
// be told. It costs a second or two and makes the wait bearable.
func (b *Builder) countStale(ctx context.Context, dir string, t Target, flags []string) int {
	args := append([]string{"list", "-deps", "-f", "{{if .Stale}}{{.StaleReason}}{{end}}"}, flags...)
	cmd := exec.CommandContext(ctx, "go", append(args, t.Packages...)...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), t.env()...)
	out, err := cmd.Output()
	if err != nil {
		return 0
	}
	n := 0
	for line := range strings.Lines(string(out)) {
		line = strings.TrimSpace(line)
		if line != "" && line != "not installed but available in build cache" {
			n++
		}
	}
	return n
}

func (b *Builder) keepFiles(ctx context.Context, s Set, f ModuleFiles, modfile, out string) error {
	from, err := b.moduleDir(ctx, filepath.Join(b.Source, s.Dir), modfile, f.Module)
	if err != nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join(from, f.Glob))
	if err != nil || len(files) == 0 {
		return fmt.Errorf("no file %s in %s: %w", f.Glob, f.Module, err)
	}
	to := filepath.Join(out, f.To)
	if err := os.MkdirAll(to, 0o755); err != nil {
		return err
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(to, filepath.Base(file)), data, 0o644); err != nil {
			return err
		}
	}
	return nil
}

func (b *Builder) goVersion(ctx context.Context) (string, error) {
	if _, err := exec.LookPath("go"); err != nil {
		return "", ErrNoGo
	}
	out, err := b.goOutput(ctx, b.Source, "env", "GOVERSION")
	return strings.TrimSpace(string(out)), err
}

func (b *Builder) goOutput(ctx context.Context, dir string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=mod")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go %s: %w\n%s", args[0], err, stderr.String())
	}
	return out, nil
}

// forgetUnused removes the entries that nobody has asked for in a long time
// and nobody runs.
func (b *Builder) forgetUnused(now time.Time) {
	marks, _ := filepath.Glob(filepath.Join(b.Cache, "*", complete))
	for _, mark := range marks {
		info, err := os.Stat(mark)
		if err == nil && now.Sub(info.ModTime()) > unusedFor && !running(filepath.Dir(mark)) {
			_ = os.RemoveAll(filepath.Dir(mark))
		}
	}
}

// running says whether a process runs a program of dir.
func running(dir string) bool {
	links, _ := filepath.Glob("/proc/[0-9]*/exe")
	for _, l := range links {
		if exe, err := os.Readlink(l); err == nil && filepath.Dir(exe) == dir {
			return true
		}
	}
	return false
}

// used marks an entry as used just now and says whether it is there.
func used(dir string) bool {
	now := time.Now()
	return os.Chtimes(filepath.Join(dir, complete), now, now) == nil
}

// lock waits for a file lock; the kernel frees it when its holder dies.
func lock(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open lock: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		f.Close()
		return nil, fmt.Errorf("wait for %s: %w", path, err)
	}
	return func() { f.Close() }, nil
}

// meter turns the output of go build -v into progress.
type meter struct {
	label string
	total int
	done  int
}

// follow reads the output to its end and returns what was neither a package
// nor a download: the compiler's complaints.
func (m *meter) follow(r io.Reader, p *progress.Printer) string {
	var rest strings.Builder
	for lines := bufio.NewScanner(r); lines.Scan(); {
		if text, ok := m.read(lines.Text()); ok {
			p.Live("%s", text)
		} else {
			rest.WriteString(lines.Text() + "\n")
		}
	}
	return rest.String()
}

// read interprets one line: a package's path, or a download.
func (m *meter) read(line string) (text string, ok bool) {
	if module, found := strings.CutPrefix(line, "go: downloading "); found {
		return fmt.Sprintf("%s: downloading %s", m.label, module), true
	}
	if line == "" || strings.ContainsAny(line, " \t:") {
		return "", false
	}
	m.done++
	if m.total < m.done {
		return fmt.Sprintf("%s: package %d, %s", m.label, m.done, line), true
	}
	return fmt.Sprintf("%s: package %d of %d, %s", m.label, m.done, m.total, line), true
}
