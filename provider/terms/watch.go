package terms

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"berth.dev/berth/sdl"
	"berth.dev/berth/sdl/doc"
)

// FileError is a pricing file that cannot be used, with all that is wrong with it.
type FileError struct {
	Diagnostics sdl.Diagnostics
	source      []byte
}

// maxExcerpt is the longest line of an expression that is shown.
const maxExcerpt = 200

// Error shows each problem on a line of its own, with what to do about it below; expressions with the place in them.
func (e *FileError) Error() string {
	lines := strings.Split(string(e.source), "\n")
	var b strings.Builder
	for _, d := range e.Diagnostics {
		b.WriteString(d.String() + "\n")
		if d.Code == codeExpression && d.Line > 0 && d.Line <= len(lines) && len(lines[d.Line-1]) <= maxExcerpt {
			text := strings.TrimRight(lines[d.Line-1], "\r")
			fmt.Fprintf(&b, "  %s\n  %s^\n", text, strings.Repeat(" ", max(0, d.Column-1)))
		}
		for _, more := range [...]struct{ what, text string }{{"allowed", d.Allowed}, {"did you mean", d.Suggestion}, {"hint", d.Hint}} {
			if more.text != "" {
				b.WriteString("  " + more.what + ": " + more.text + "\n")
			}
		}
	}
	return strings.TrimRight(b.String(), "\n")
}

// Load reads a pricing file and looks for the program that it names. What is wrong with the text is a *FileError.
func Load(path string) (*Terms, error) {
	data, err := read(path)
	if err != nil {
		return nil, err
	}
	return check(path, data)
}

// read reads a file, or a little more of it than a document may have.
func read(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open the pricing file: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, doc.MaxBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read the pricing file: %w", err)
	}
	return data, nil
}

func check(path string, data []byte) (*Terms, error) {
	t, problems := Parse(path, data)
	if t == nil {
		return nil, &FileError{Diagnostics: problems, source: data}
	}
	if t.Program != nil {
		if _, err := exec.LookPath(t.Program.Command[0]); err != nil {
			d := t.programAt
			d.File, d.Severity, d.Message = path, sdl.Error, err.Error()
			return nil, &FileError{Diagnostics: sdl.Diagnostics{d}, source: data}
		}
	}
	return t, nil
}

// Status is how a watched file stands.
type Status struct {
	// Loads counts how often terms came into force.
	Loads int
	// Err is why the file as it is now is not in force; nil if it is.
	Err error
}

// Watcher keeps the terms of a file in force while the file changes. A file that cannot be used changes nothing but the
// Status: the former terms stay.
//
// It reads the file again every interval instead of asking the kernel for notice: a mounted ConfigMap changes by a
// swapped link several directories up, editors replace files, and network file systems tell nobody. The file is small,
// and what it holds is compared, not its time.
type Watcher struct {
	path  string
	apply func(*Terms) error
	log   *slog.Logger

	mu     sync.Mutex
	last   []byte // what was looked at last, good or bad
	status Status
}

// Watch loads a file and puts it in force with apply, which is called for every change from then on. Both must succeed
// this first time.
func Watch(path string, log *slog.Logger, apply func(*Terms) error) (*Watcher, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("find the pricing file: %w", err)
	}
	w := &Watcher{path: path, apply: apply, log: log}
	w.Check(true)
	if s := w.Status(); s.Err != nil {
		return nil, s.Err
	}
	return w, nil
}

// Status tells how the file stands.
func (w *Watcher) Status() Status {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.status
}

// Check looks at the file once and puts it in force if it changed, or anyway if forced.
func (w *Watcher) Check(force bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	data, err := read(w.path)
	if err == nil && !force && w.last != nil && bytes.Equal(data, w.last) {
		return
	}
	first := w.status.Loads == 0
	if err == nil {
		w.last = data
		err = w.put(data)
	} else {
		w.last = nil // look again even if it comes back as it was
	}
	w.note(err, first)
}

func (w *Watcher) put(data []byte) error {
	t, err := check(w.path, data)
	if err != nil {
		return err
	}
	return w.apply(t)
}

// note keeps and logs how a look went; the same error is logged once.
func (w *Watcher) note(err error, first bool) {
	before := w.status.Err
	w.status.Err = err
	if err == nil {
		w.status.Loads++
		if !first {
			w.log.Info("new prices and policy are in force", "file", w.path)
		}
		return
	}
	if !first && (before == nil || before.Error() != err.Error()) {
		w.log.Error("the pricing file cannot be used; the former prices and policy stay in force", "file", w.path, "err", err)
	}
}

// Run looks at the file whenever the interval has passed, and when it is told to, until ctx ends.
func (w *Watcher) Run(ctx context.Context, every time.Duration, now <-chan os.Signal) error {
	if every <= 0 {
		return errors.New("the interval between looks at the pricing file is not positive")
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-now:
			w.Check(true)
		case <-tick.C:
			w.Check(false)
		}
	}
}
