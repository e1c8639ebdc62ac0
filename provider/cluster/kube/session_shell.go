package kube

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	utilexec "k8s.io/client-go/util/exec"

	"berth.dev/berth/provider/cluster"
)

// A program that is sent more than the pipes on its way hold, and ends without reading it, keeps its session open:
// containerd waits until the rest of the input was taken, which nobody does, and tells the exit code only after that.
// So a program with input is run by the shell of its image where there is one. The shell says in both outputs, by a mark
// that nobody can guess, that the program has ended and how, and then takes the rest of the input.

const (
	shell = "/bin/sh"
	// shellScript runs the program that its arguments name after the mark. The program runs in a place of its own, so that
	// nothing which the shell has built in stands for it. Closed outputs make containerd close the input.
	shellScript = `echo "$1"; (shift; exec "$@"); set -- "$1" $?; echo "$1 $2"; echo "$1 $2" >&2; exec >&- 2>&-; PATH=$PATH:/bin:/usr/bin; cat >/dev/null; exit $2`
	// maxCode is more than a space, an exit code and the end of the line take.
	maxCode = 8
	// shellWait is how long a session may take to close after its program has told its end.
	shellWait = 5 * time.Second
)

// byShell tells whether a program is run by a shell. What begins with a dash would be an option of the shell's exec.
func byShell(o cluster.ExecOptions, s cluster.Streams) bool {
	return s.Stdin != nil && !o.Terminal && !strings.HasPrefix(o.Command[0], "-")
}

// runByShell runs a program by the shell of a pod's image. It returns false, and has taken nothing of the input, if there is
// no shell that does as shells do; an error after true is the session's.
func (in inside) runByShell(ctx context.Context, pod *corev1.Pod, o cluster.ExecOptions, s cluster.Streams) (bool, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	e := newShellEnd("\x1e" + rand.Text())
	out, errs := e.watch(s.Stdout, true), e.watch(s.Stderr, false)
	stdin, input := io.Pipe()
	defer stdin.Close()
	go func() {
		select {
		case <-e.started:
			_, err := io.Copy(input, s.Stdin)
			_ = input.CloseWithError(err) // never fails
		case <-ctx.Done():
		}
	}()
	o.Command = append([]string{shell, "-c", shellScript, "sh", e.mark}, o.Command...)
	done := make(chan error, 1)
	go func() { done <- in.stream(ctx, pod, o, cluster.Streams{Stdin: stdin, Stdout: out, Stderr: errs}) }()
	var err error
	select {
	case err = <-done:
	case <-e.ended:
		_ = input.Close() // the shell waits for that
		late := time.NewTimer(shellWait)
		defer late.Stop()
		select {
		case err = <-done:
		case <-late.C: // something that the program left behind has its outputs, or there is nothing that takes the input
		}
	}
	select {
	case <-e.ended:
		err = e.result() // however the session was closed
	default:
	}
	if !e.hasStarted() && notAShell(err) {
		return false, nil
	}
	return true, errors.Join(err, out.flush(), errs.flush())
}

// notAShell tells from the end of a session in which no program was started whether that is for want of a shell.
func notAShell(err error) bool {
	var ended utilexec.CodeExitError
	if err == nil || errors.As(err, &ended) {
		return true
	}
	code, _ := notStarted(err.Error())
	return code != 0
}

// shellEnd finds the marks of a shell in what it writes.
type shellEnd struct {
	mark    string
	started chan struct{} // closed when the program was started
	ended   chan struct{} // closed when both outputs have told its end

	mu   sync.Mutex
	left int // outputs that have not told it yet
	code int
}

func newShellEnd(mark string) *shellEnd {
	return &shellEnd{mark: mark, started: make(chan struct{}), ended: make(chan struct{}), left: 2}
}

func (e *shellEnd) hasStarted() bool {
	select {
	case <-e.started:
		return true
	default:
		return false
	}
}

// tell notes the end of the program, from one of its outputs.
func (e *shellEnd) tell(code int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.code = code
	if e.left--; e.left == 0 {
		close(e.ended)
	}
}

// result is what a session returns for the code that was told.
func (e *shellEnd) result() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.code == 0 {
		return nil
	}
	return utilexec.CodeExitError{Err: fmt.Errorf("the program ended with code %d", e.code), Code: e.code}
}

// watch returns a writer that passes on to w what stands before the mark of the end; with first, it begins with the mark
// of the start.
func (e *shellEnd) watch(w io.Writer, first bool) *markWriter {
	return &markWriter{shellEnd: e, w: w, first: first}
}

// markWriter is used by one goroutine until its session has ended, or was given up.
type markWriter struct {
	*shellEnd
	w io.Writer

	mu    sync.Mutex
	first bool   // the mark of the start is to come
	over  bool   // nothing that comes counts any more
	held  []byte // what may be the beginning of a mark
}

// Write implements io.Writer.
func (m *markWriter) Write(p []byte) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.over {
		return len(p), nil
	}
	data := append(m.held, p...)
	m.held = nil
	if m.first {
		line := m.mark + "\n"
		switch {
		case len(data) < len(line) && strings.HasPrefix(line, string(data)):
			m.held = data
			return len(p), nil
		case !bytes.HasPrefix(data, []byte(line)):
			m.over = true // this is no shell
			return len(p), nil
		}
		m.first = false
		close(m.started)
		data = data[len(line):]
	}
	if err := m.pass(data); err != nil {
		return 0, err
	}
	return len(p), nil
}

// pass writes what is no mark, and keeps what may become one.
func (m *markWriter) pass(data []byte) error {
	at := bytes.Index(data, []byte(m.mark))
	if at < 0 {
		at = len(data) - partial(data, m.mark)
	}
	code, ended := m.exitCode(data[at:])
	switch {
	case ended:
		defer m.tell(code) // when all that came before it was written
		m.over = true
	case len(data)-at > len(m.mark)+maxCode:
		at = len(data) // a program that found the mark plays with it
	default:
		m.held = bytes.Clone(data[at:])
	}
	if at == 0 {
		return nil
	}
	_, err := m.w.Write(data[:at])
	return err
}

// exitCode reads the mark of the end, if it is there whole.
func (m *markWriter) exitCode(data []byte) (int, bool) {
	text, isMark := strings.CutPrefix(string(data), m.mark+" ")
	text, _, whole := strings.Cut(text, "\n")
	if !isMark || !whole {
		return 0, false
	}
	n, err := strconv.Atoi(text)
	return n, err == nil
}

// flush writes what was held, when the session ended without a mark.
func (m *markWriter) flush() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	held := m.held
	m.held, m.over = nil, true
	if len(held) == 0 || m.first {
		return nil
	}
	_, err := m.w.Write(held)
	return err
}

// partial is the length of the longest end of data that a mark begins with.
func partial(data []byte, mark string) int {
	for n := min(len(data), len(mark)-1); n > 0; n-- {
		if string(data[len(data)-n:]) == mark[:n] {
			return n
		}
	}
	return 0
}
