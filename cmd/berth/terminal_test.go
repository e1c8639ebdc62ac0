//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"reflect"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"berth.dev/berth/provider/cluster"
)

// openTerminal makes a terminal of 80 by 24 characters; what is typed is written to the first file.
func openTerminal(t *testing.T) (keyboard, screen *os.File) {
	t.Helper()
	keyboard, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = keyboard.Close() })
	if err := unix.IoctlSetPointerInt(int(keyboard.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(keyboard.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	screen, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = screen.Close() })
	resize(t, keyboard, 80, 24)
	return keyboard, screen
}

func resize(t *testing.T, keyboard *os.File, width, height uint16) {
	t.Helper()
	if err := unix.IoctlSetWinsize(int(keyboard.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Col: width, Row: height}); err != nil {
		t.Fatal(err)
	}
}

func stateOf(t *testing.T, screen *os.File) *term.State {
	t.Helper()
	s, err := term.GetState(int(screen.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestShellTakesTheTerminal holds that a shell gets every key and every size, that its exit code is passed on, and that
// the terminal is afterwards what it was before.
func TestShellTakesTheTerminal(t *testing.T) {
	d, g := sessions(t)
	keyboard, screen := openTerminal(t)
	before := stateOf(t, screen)
	raw := false
	g.Instances().SetProgram("/bin/sh", func(_ context.Context, _ []string, s cluster.Streams) int {
		first := <-s.Sizes
		raw = !reflect.DeepEqual(stateOf(t, screen), before)
		resize(t, keyboard, 132, 43)
		if err := syscall.Kill(os.Getpid(), syscall.SIGWINCH); err != nil {
			return 1
		}
		second := <-s.Sizes
		if first != (cluster.TerminalSize{Width: 80, Height: 24}) || second != (cluster.TerminalSize{Width: 132, Height: 43}) {
			return 2
		}
		if _, err := keyboard.Write([]byte{3}); err != nil { // Ctrl-C, which is the shell's affair
			return 3
		}
		key := make([]byte, 1)
		if n, err := s.Stdin.Read(key); n != 1 || err != nil || key[0] != 3 {
			return 4
		}
		return 9
	})
	stderr, code := d.typed(t.Context(), screen, screen, "shell", "web")
	if code != 9 || !raw {
		t.Errorf("exit %d, raw %v, %s", code, raw, stderr)
	}
	if !reflect.DeepEqual(stateOf(t, screen), before) {
		t.Error("the terminal is not what it was before")
	}
	g.Instances().SetProgram("/bin/sh", nil)
	stderr, code = d.typed(t.Context(), screen, screen, "shell", "web")
	if code != 127 || !reflect.DeepEqual(stateOf(t, screen), before) {
		t.Errorf("an image without a shell: exit %d, %s", code, stderr)
	}
}
