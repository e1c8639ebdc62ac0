//go:build linux

package main

import (
	"bytes"
	"context"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"berth.dev/berth/tenant"
)

// transcript is what a terminal shows.
type transcript struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *transcript) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// follow takes what is shown until the terminal is gone.
func (s *transcript) follow(keyboard *os.File) {
	for buf := make([]byte, 4096); ; {
		n, err := keyboard.Read(buf)
		s.mu.Lock()
		s.text.Write(buf[:n])
		s.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// await waits until something is shown, and until what is typed is hidden or not.
func (s *transcript) await(t *testing.T, screen *os.File, text string, hidden bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for tick := time.NewTicker(time.Millisecond); ; <-tick.C {
		settings, err := unix.IoctlGetTermios(int(screen.Fd()), unix.TCGETS)
		if err == nil && strings.Contains(s.String(), text) && (settings.Lflag&unix.ECHO == 0) == hidden {
			return
		}
		if ctx.Err() != nil {
			t.Fatalf("%q, hidden=%v, does not come after\n%s", text, hidden, s)
		}
	}
}

// TestValuesAreAskedFor: on a terminal what is missing is asked for, again if it is refused, and hidden where its name says
// so; then the deployment goes on.
func TestValuesAreAskedFor(t *testing.T) {
	d := appDesk(t, shopFiles)
	keyboard, screen := openTerminal(t)
	var shown transcript
	go shown.follow(keyboard)
	connect := func(*cobra.Command) (*tenant.Machine, error) {
		return d.world.Machine(tenant.NewFileStore(d.dir, "world")), nil
	}
	ended := make(chan int, 1)
	go func() {
		var out bytes.Buffer
		args := []string{"--home", d.dir, "deploy", "akinon.json", "-y", "--image", "shop:1", "--max-price", "5ubrt"}
		ended <- runRoot(t.Context(), newRoot(connect), args, stdio{In: screen, Out: &out, Err: screen})
	}()
	typed := func(text string) {
		t.Helper()
		if _, err := keyboard.WriteString(text + "\n"); err != nil {
			t.Fatal(err)
		}
	}
	shown.await(t, screen, "Enter value for API_URL (Base URL for the API): ", false)
	typed("https://a")
	shown.await(t, screen, "Enter value for SECRET_KEY (Secret Key): ", true)
	typed("kanarienvog")
	shown.await(t, screen, "SECRET_KEY: 11 characters, minimum 12", true)
	typed("kanarienvogel")
	if code := <-ended; code != exitOK {
		t.Fatalf("exit %d\n%s", code, shown.String())
	}
	if text := shown.String(); strings.Contains(text, "kanarien") || !strings.Contains(text, "https://a") {
		t.Errorf("shown:\n%s", text)
	}
	if v := d.variables(d.only(), "web"); v["SECRET_KEY"] != "kanarienvogel" || v["API_URL"] != "https://a" {
		t.Errorf("%v", v)
	}
}
