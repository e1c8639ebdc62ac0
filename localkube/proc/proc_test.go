package proc

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func newDir(t *testing.T) Dir {
	t.Helper()
	base := t.TempDir()
	return Dir{Pids: base + "/pids", Logs: base + "/logs"}
}

func awaitLog(t *testing.T, d Dir, name, want string) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; <-time.After(poll) {
		log, err := os.ReadFile(d.Log(name))
		if strings.Contains(string(log), want) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("log of %s = %q, %v; want %q in it", name, log, err, want)
		}
	}
}

func TestStartFindKill(t *testing.T) {
	d := newDir(t)
	spec := Spec{Name: "sleeper", Argv: []string{"/bin/sh", "-c", "echo hello; exec sleep 600"}}
	first, err := d.Start(spec)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Kill(context.Background(), "sleeper") })
	again, err := d.Start(spec)
	if err != nil || again != first {
		t.Errorf("second Start = %+v, %v; want the running process %+v", again, err, first)
	}
	if got, ok := d.Running("sleeper"); !ok || got != first {
		t.Errorf("Running = %+v, %v; want %+v, true", got, ok, first)
	}
	awaitLog(t, d, "sleeper", "hello")
	if err := d.Kill(t.Context(), "sleeper"); err != nil {
		t.Fatal(err)
	}
	if first.Alive() {
		t.Error("the process is alive after Kill")
	}
	if err := d.Kill(t.Context(), "sleeper"); err != nil {
		t.Errorf("Kill of an ended process = %v, want nil", err)
	}
}

func TestStartOnSomeProcessors(t *testing.T) {
	d := newDir(t)
	// The last of those that this process may use: the first would be no choice.
	var mine unix.CPUSet
	if err := unix.SchedGetaffinity(0, &mine); err != nil {
		t.Fatal(err)
	}
	last := 0
	for n := range 1024 {
		if mine.IsSet(n) {
			last = n
		}
	}
	if _, err := d.Start(Spec{Name: "kept", Argv: []string{"/bin/sh", "-c", "grep Cpus_allowed_list /proc/self/status"}, CPUs: []int{last}}); err != nil {
		t.Fatal(err)
	}
	awaitLog(t, d, "kept", fmt.Sprintf("Cpus_allowed_list:\t%d\n", last))
}

func TestStopKillsWhatIgnoresTheRequest(t *testing.T) {
	d := newDir(t)
	r, err := d.Start(Spec{Name: "stubborn", Argv: []string{"/bin/sh", "-c", "trap '' TERM; echo ready; while :; do sleep 600; done"}})
	if err != nil {
		t.Fatal(err)
	}
	awaitLog(t, d, "stubborn", "ready")
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := d.Stop(ctx, "stubborn"); err != nil {
		t.Fatal(err)
	}
	if r.Alive() {
		t.Error("the process is alive after Stop")
	}
}

func TestAnotherProcessWithTheSameIDIsNotOurs(t *testing.T) {
	self, err := Self()
	if err != nil {
		t.Fatal(err)
	}
	for name, r := range map[string]Record{
		"another start": {PID: self.PID, Start: self.Start + 1, Boot: self.Boot},
		"another boot":  {PID: self.PID, Start: self.Start, Boot: "earlier"},
	} {
		if r.Alive() {
			t.Errorf("%s: Alive() = true, want false", name)
		}
	}
	if !self.Alive() {
		t.Error("our own record is not alive")
	}
}

func TestParseStat(t *testing.T) {
	tail := " S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4242 20"
	for name, tc := range map[string]struct {
		line string
		want uint64
		bad  bool
	}{
		"plain":                {line: "7 (sh)" + tail, want: 4242},
		"blanks and brackets":  {line: "7 (a) b (c))" + tail, want: 4242},
		"no name":              {line: "7 sh" + tail, bad: true},
		"cut before the start": {line: "7 (sh) S 1 2 3", bad: true},
		"empty":                {line: "", bad: true},
	} {
		t.Run(name, func(t *testing.T) {
			state, got, err := parseStat(tc.line)
			if (err != nil) != tc.bad || got != tc.want || (!tc.bad && state != 'S') {
				t.Errorf("parseStat(%q) = %c, %d, %v; want S, %d, error %v", tc.line, state, got, err, tc.want, tc.bad)
			}
		})
	}
}
