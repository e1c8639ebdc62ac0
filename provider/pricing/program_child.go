package pricing

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"sync"
	"time"
)

// child is one process of a program.
type child struct {
	cmd    *exec.Cmd
	in     *os.File
	out    *os.File
	lines  chan line // closed when the process writes no more
	stderr tail
	quit   chan struct{} // closed when nobody reads lines any more
	gone   chan struct{} // closed when the process has ended and err is set
	err    error
	once   sync.Once
	reader sync.WaitGroup

	mu     sync.Mutex
	reaped bool
}

// environ is the environment of a program: nothing of ours but what names places and languages.
func environ(extra map[string]string) []string {
	var env []string
	for _, k := range []string{"PATH", "LANG", "TZ"} {
		if v, ok := os.LookupEnv(k); ok {
			env = append(env, k+"="+v)
		}
	}
	for k, v := range extra {
		env = append(env, k+"="+v)
	}
	slices.Sort(env)
	return env
}

// start starts a process in a group of its own.
func start(cfg *ProgramConfig) (_ *child, err error) {
	stdinR, stdinW, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("make a pipe: %w", err)
	}
	defer stdinR.Close()
	stdoutR, stdoutW, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("make a pipe: %w", err), stdinW.Close())
	}
	defer stdoutW.Close()
	c := &child{in: stdinW, out: stdoutR, lines: make(chan line), quit: make(chan struct{}), gone: make(chan struct{})}
	c.cmd = exec.Command(cfg.Command[0], cfg.Command[1:]...)
	c.cmd.Dir, c.cmd.Env = cfg.Dir, environ(cfg.Env)
	c.cmd.Stdin, c.cmd.Stdout, c.cmd.Stderr = stdinR, stdoutW, &c.stderr
	c.cmd.WaitDelay = time.Second // for what holds standard error open after the process has ended
	ownGroup(c.cmd)
	if err := c.cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start the pricing program: %w", err), stdinW.Close(), stdoutR.Close())
	}
	c.reader.Go(c.read)
	go c.reap()
	return c, nil
}

// reap waits until the process ends, and then ends what it left behind.
func (c *child) reap() {
	defer close(c.gone)
	if !awaitExit(c.cmd) {
		c.err = c.cmd.Wait()
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	killGroup(c.cmd) // until it is reaped its id cannot become another's
	c.err = c.cmd.Wait()
	c.reaped = true
	// What escaped from the group must not keep the reader waiting.
	_ = c.out.SetReadDeadline(time.Now().Add(time.Second))
}

// read cuts the output into lines.
func (c *child) read() {
	defer close(c.lines)
	defer c.out.Close()
	r := bufio.NewReaderSize(c.out, maxLine+1)
	for {
		l, more := nextLine(r)
		if len(l.data) > 0 || !l.part {
			select {
			case c.lines <- l:
			case <-c.quit:
				return
			}
		}
		if !more {
			return
		}
	}
}

// nextLine reads a line in bounded memory; more is false at the end of the output.
func nextLine(r *bufio.Reader) (l line, more bool) {
	data, err := r.ReadSlice('\n')
	l.data = slices.Clone(data)
	for errors.Is(err, bufio.ErrBufferFull) {
		l.long = true
		_, err = r.ReadSlice('\n')
	}
	if err != nil {
		l.part = true
		return l, false
	}
	if n := len(l.data); !l.long && n > 0 && l.data[n-1] == '\n' {
		l.data = l.data[:n-1]
	}
	l.long = l.long || len(l.data) > maxLine
	return l, true
}

// write writes lines in the background; the channel is closed when they are written, or cannot be.
func (c *child) write(lines [][]byte) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		w := bufio.NewWriter(c.in)
		for _, l := range lines {
			if _, err := w.Write(l); err != nil {
				return // the process has ended or was ended, which shows elsewhere
			}
		}
		_ = w.Flush()
	}()
	return done
}

// over reports whether the process has ended.
func (c *child) over() bool {
	select {
	case <-c.gone:
		return true
	default:
		return false
	}
}

// end ends the process and its group, and returns when both are gone.
func (c *child) end() {
	c.once.Do(func() {
		close(c.quit)
		c.mu.Lock()
		if !c.reaped {
			killGroup(c.cmd)
		}
		c.mu.Unlock()
		_ = c.in.Close()
	})
	<-c.gone
	_ = c.out.SetReadDeadline(time.Now()) // fails when it is closed already
	c.reader.Wait()
}

// ending says how the process ended, once it wrote no more.
func (c *child) ending() string {
	c.end()
	var exit *exec.ExitError
	switch {
	case c.err == nil:
		return "it ended by itself"
	case errors.As(c.err, &exit):
		return "it ended: " + exit.String()
	case errors.Is(c.err, io.EOF), errors.Is(c.err, exec.ErrWaitDelay):
		return "it ended by itself"
	}
	return "it ended: " + c.err.Error()
}

// said is the end of what the process wrote to its standard error.
func (c *child) said() string { return c.stderr.text() }
