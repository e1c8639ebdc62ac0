package pricing

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"
)

// ProgramConfig says how an external program is run.
type ProgramConfig struct {
	// Command is the program and its arguments, Dir the directory it runs in.
	Command []string
	Dir     string
	// Env is all that its environment holds besides PATH, LANG and TZ: the daemon's own may hold secrets.
	Env map[string]string
	// Timeout is the longest wait for the next answer, StartTimeout that for the first one of a new process, BatchTimeout
	// that for all answers of a block.
	Timeout, StartTimeout, BatchTimeout time.Duration
}

// Equal reports whether a program of one configuration need not be started anew for the other.
func (c *ProgramConfig) Equal(o *ProgramConfig) bool {
	if c == nil || o == nil {
		return c == o
	}
	if len(c.Env) != len(o.Env) {
		return false
	}
	for k, v := range c.Env {
		if w, ok := o.Env[k]; !ok || v != w {
			return false
		}
	}
	return slices.Equal(c.Command, o.Command) && c.Dir == o.Dir && c.Timeout == o.Timeout &&
		c.StartTimeout == o.StartTimeout && c.BatchTimeout == o.BatchTimeout
}

// How long a program that fails again and again is left alone: not at all after the first time.
const (
	firstPause   = 500 * time.Millisecond
	longestPause = 30 * time.Second
)

// Program asks an external program, which is kept running: one line of JSON goes in for each order, one comes out. The
// orders of a block go in at once. A program that ends, hangs or answers what is no answer is started anew, after a
// growing pause. Whatever it does, every question gets an answer in time, if only a Refusal; see docs/ops/provider.md.
// It is safe for concurrent use; batches wait for each other.
type Program struct {
	cfg ProgramConfig
	log *slog.Logger
	now func() time.Time

	turn     chan struct{} // holds one entry while somebody works with what follows
	child    *child
	closed   bool
	fresh    bool // the child has not answered yet
	failures int  // in a row
	lastFail string
	restAt   time.Time // it is not started before
	lastID   uint64
}

// NewProgram makes a Program; it is started when it is first asked. It must be closed.
func NewProgram(cfg ProgramConfig, log *slog.Logger) *Program {
	return &Program{cfg: cfg, log: log, now: time.Now, turn: make(chan struct{}, 1)}
}

// Config is what the program was made with; nil for no program.
func (p *Program) Config() *ProgramConfig {
	if p == nil {
		return nil
	}
	return &p.cfg
}

// Close ends the process, and all that it started, and waits for that. No program is closed already.
func (p *Program) Close() {
	if p == nil {
		return
	}
	p.turn <- struct{}{}
	defer func() { <-p.turn }()
	p.closed = true
	if p.child != nil {
		p.child.end()
		p.child = nil
	}
}

// round is the questions that are put to one process together.
type round struct {
	ids     []uint64 // of the questions, in the order in which they are written
	at      map[uint64]int
	left    int
	garbage int
	first   string // what was wrong with the first line that is no answer
}

// Quote puts the questions and returns an answer for each, in their order. It returns when all are answered, when the
// time for a batch is over, or when ctx ends.
func (p *Program) Quote(ctx context.Context, questions []Question) []Quote {
	quotes := make([]Quote, len(questions))
	todo := make([]int, len(questions))
	for i := range questions {
		todo[i] = i
		quotes[i].Refusal = Refusal{Code: ProgramLate}
	}
	select {
	case p.turn <- struct{}{}:
		defer func() { <-p.turn }()
	case <-ctx.Done():
		return quotes
	}
	limit := p.cfg.BatchTimeout
	if p.child == nil {
		limit += p.cfg.StartTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	// The order that a process fails at is given up. The others get one more process.
	for range 2 {
		if len(todo) == 0 || ctx.Err() != nil {
			break
		}
		todo = p.round(ctx, questions, quotes, todo)
	}
	return quotes
}

// round puts some of the questions to the running process, or to a new one. It returns those that may be put to another.
func (p *Program) round(ctx context.Context, questions []Question, quotes []Quote, todo []int) []int {
	if err := p.ensure(); err != nil {
		refuse(quotes, todo, Refusal{Code: ProgramDown, Detail: err.Error()})
		return nil
	}
	r := round{at: make(map[uint64]int, len(todo)), left: len(todo)}
	lines := make([][]byte, len(todo))
	for i, q := range todo {
		p.lastID++
		r.ids, r.at[p.lastID] = append(r.ids, p.lastID), q
		lines[i] = encodeQuestion(p.lastID, &questions[q])
		quotes[q].Refusal = Refusal{Code: ProgramLate}
	}
	code, why := p.converse(ctx, &r, lines, quotes)
	if code == Priced {
		p.failures, p.lastFail = 0, ""
		return nil
	}
	if why == "" { // the batch's time is over, but the program may be well
		return nil
	}
	return p.fail(&r, quotes, code, why)
}

// fail ends a process that did wrong. The first order without an answer is given up for it.
func (p *Program) fail(r *round, quotes []Quote, code Code, why string) (rest []int) {
	p.child.end() // waits, so that all it wrote to its standard error is there
	if said := p.child.said(); said != "" {
		why += "; it wrote: " + said
	}
	p.child = nil
	p.failures++
	p.lastFail = why
	if p.failures > 1 {
		p.restAt = p.now().Add(min(longestPause, firstPause<<min(p.failures-2, 10)))
	}
	p.log.Warn("the pricing program failed and is started anew", "why", why, "failures", p.failures, "unanswered", r.left)
	for _, id := range r.ids {
		if q, ok := r.at[id]; ok {
			rest = append(rest, q)
		}
	}
	refuse(quotes, rest, Refusal{Code: code, Detail: why})
	if code == ProgramGarbage { // as many lines were no answers as answers are missing: they are these
		return nil
	}
	return rest[min(1, len(rest)):]
}

func refuse(quotes []Quote, which []int, r Refusal) {
	for _, q := range which {
		quotes[q] = Quote{Refusal: r}
	}
}

// ensure starts the process unless it runs.
func (p *Program) ensure() error {
	switch {
	case p.closed:
		return errors.New("it is being stopped")
	case p.child != nil && !p.child.over():
		return nil
	case p.failures > 1 && p.now().Before(p.restAt):
		return fmt.Errorf("it failed %d times in a row and is left alone for %s; the last time: %s",
			p.failures, p.restAt.Sub(p.now()).Round(100*time.Millisecond), p.lastFail)
	}
	if p.child != nil {
		p.failures++
		p.lastFail = p.child.ending()
		p.log.Warn("the pricing program ended while it was not asked, and is started anew", "why", p.lastFail, "it wrote", p.child.said())
		p.child = nil
	}
	c, err := start(&p.cfg)
	if err != nil {
		p.failures++
		p.lastFail = err.Error()
		p.restAt = p.now().Add(min(longestPause, firstPause<<min(p.failures-1, 10)))
		p.log.Warn("the pricing program could not be started", "err", err)
		return err
	}
	p.child, p.fresh = c, true
	return nil
}

// converse writes the lines and reads answers until there are all. Otherwise it says what went wrong and why; without a
// why the time of the batch is over.
func (p *Program) converse(ctx context.Context, r *round, lines [][]byte, quotes []Quote) (Code, string) {
	wrote := p.child.write(lines)
	code, why := p.listen(ctx, r, quotes)
	patience := time.NewTimer(p.cfg.Timeout)
	defer patience.Stop()
	if why == "" { // all answered, or no time is left: what is still being written, nobody reads
		select {
		case <-wrote:
		case <-patience.C:
			code, why = ProgramLate, "it does not read its input"
		}
	}
	if why != "" {
		p.child.end() // which ends the writing too
	}
	<-wrote
	return code, why
}

// listen reads answers until there are all; see converse.
func (p *Program) listen(ctx context.Context, r *round, quotes []Quote) (Code, string) {
	wait := p.cfg.Timeout
	if p.fresh {
		wait = p.cfg.StartTimeout
	}
	late := time.NewTimer(wait)
	defer late.Stop()
	for r.left > 0 {
		if r.garbage >= r.left {
			return ProgramGarbage, r.first
		}
		select {
		case <-ctx.Done():
			return ProgramLate, ""
		case <-late.C:
			return ProgramLate, fmt.Sprintf("nothing came for %s", wait)
		case line, ok := <-p.child.lines:
			if !ok {
				return ProgramDown, p.child.ending()
			}
			if r.take(line, quotes) {
				p.fresh, wait = false, p.cfg.Timeout
				late.Reset(wait)
			}
		}
	}
	if r.garbage > 0 {
		return ProgramGarbage, r.first
	}
	return Priced, ""
}

// take reads a line and reports whether it was the answer to one of the questions.
func (r *round) take(line line, quotes []Quote) bool {
	a, err := decodeAnswer(line)
	if err == nil {
		q, ok := r.at[a.id]
		switch {
		case ok:
			quotes[q] = a.quote
			delete(r.at, a.id)
			r.left--
			return true
		case len(r.ids) > 0 && a.id < r.ids[0] && a.id > 0:
			return false // to an order that is no longer waited for
		}
		err = fmt.Errorf("an answer with the id %d, which no open question has", a.id)
	}
	if r.garbage++; r.garbage == 1 {
		r.first = err.Error()
	}
	return false
}

// tail keeps the end of what is written to it.
type tail struct {
	mu   sync.Mutex
	data []byte
}

// maxTail is how much of a program's standard error is kept.
const maxTail = 2 << 10

// Write takes everything.
func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n := len(b); n >= maxTail {
		t.data = append(t.data[:0], b[n-maxTail:]...)
		return n, nil
	}
	if over := len(t.data) + len(b) - maxTail; over > 0 {
		t.data = append(t.data[:0], t.data[over:]...)
	}
	t.data = append(t.data, b...)
	return len(b), nil
}

// text is the end as one line for people.
func (t *tail) text() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return plain(strings.TrimSpace(string(t.data)), 400)
}

// plain makes one bounded line of printable characters, keeping the end.
func plain(s string, most int) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t' || r == '\r':
			return ' '
		case r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r == 0xfffd:
			return '?'
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	if runes := []rune(s); len(runes) > most {
		return "..." + string(runes[len(runes)-most:])
	}
	return s
}
