// Package progress tells a person what a long command is doing: finished steps
// as lines with the time since the start, and the current one as a line that
// is rewritten on a terminal and repeated now and then elsewhere.
package progress

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// repeat is how often the current state is printed where lines cannot be
// rewritten: often enough to see life, rarely enough to keep a log readable.
const repeat = 10 * time.Second

// lineWidth is what a rewritten line may take, so that it never wraps.
const lineWidth = 110

// Printer prints progress. Its zero value prints nothing. It may be used by
// several goroutines.
type Printer struct {
	out      io.Writer
	terminal bool
	now      func() time.Time

	mu    sync.Mutex
	start time.Time
	last  time.Time
	live  bool // a rewritable line stands at the cursor
}

// New returns a printer that writes to out and counts time from now.
func New(out io.Writer) *Printer {
	return newPrinter(out, isTerminal(out), time.Now)
}

func newPrinter(out io.Writer, terminal bool, now func() time.Time) *Printer {
	start := now()
	return &Printer{out: out, terminal: terminal, now: now, start: start, last: start}
}

// Say prints a finished step.
func (p *Printer) Say(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.line(fmt.Sprintf(format, args...))
}

// Live shows what is going on now, until the next call of either method.
func (p *Printer) Live(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.out == nil {
		return
	}
	text := fmt.Sprintf(format, args...)
	if p.terminal {
		if len(text) > lineWidth {
			text = text[:lineWidth-3] + "..."
		}
		fmt.Fprintf(p.out, "\r\x1b[K%s %s", p.stamp(), text)
		p.live = true
		return
	}
	if p.now().Sub(p.last) >= repeat {
		p.line(text)
	}
}

func (p *Printer) line(text string) {
	if p.out == nil {
		return
	}
	if p.live {
		fmt.Fprint(p.out, "\r\x1b[K")
		p.live = false
	}
	fmt.Fprintf(p.out, "%s %s\n", p.stamp(), text)
	p.last = p.now()
}

func (p *Printer) stamp() string {
	return fmt.Sprintf("%7.1fs", p.now().Sub(p.start).Seconds())
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && os.Getenv("TERM") != "dumb"
}
