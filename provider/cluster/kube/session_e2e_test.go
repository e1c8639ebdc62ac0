//go:build e2e

package kube

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"berth.dev/berth/provider/cluster"
	"berth.dev/berth/provider/cluster/clustertest"
)

// shellImage is an image that has a shell and the probe.
func shellImage() string { return setting("BERTH_E2E_SHELL_IMAGE", "berth.local/shell:1") }

// TestSessionsEndWithTheirPrograms holds that the end of a program ends its session with its code, whatever of its input was
// not read.
func TestSessionsEndWithTheirPrograms(t *testing.T) {
	t.Parallel()
	c, _ := start(t, config(t))
	web := clustertest.Service("web", shellImage())
	web.Args = []string{"web"}
	id, _ := deploy(t, c, 31, web)
	exec := func(t *testing.T, s cluster.Streams, command ...string) (int, error) {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		return c.Exec(ctx, id, cluster.ExecOptions{Target: cluster.Target{Service: "web"}, Command: command}, s)
	}
	for name, stdin := range map[string]func() io.Reader{
		"nothing":   func() io.Reader { return bytes.NewReader(nil) },
		"1 MiB":     func() io.Reader { return bytes.NewReader(make([]byte, 1<<20)) },
		"no end":    func() io.Reader { return endless{} },
		"no letter": func() io.Reader { r, _ := io.Pipe(); return r },
	} {
		for _, want := range []int{0, 3} {
			t.Run(fmt.Sprintf("%s, code %d", name, want), func(t *testing.T) {
				t.Parallel()
				code, err := exec(t, cluster.Streams{Stdin: stdin()}, "/bin/sh", "-c", fmt.Sprint("exit ", want))
				if code != want || err != nil {
					t.Errorf("code %d, %v, want code %d", code, err, want)
				}
			})
		}
	}
	t.Run("all that is read", func(t *testing.T) {
		t.Parallel()
		sent := bytes.Repeat([]byte("0123456789abcdef\x00\xff\r\n"), 50_000)
		var out, errs bytes.Buffer
		code, err := exec(t, cluster.Streams{Stdin: bytes.NewReader(sent), Stdout: &out, Stderr: &errs}, "/probe", "session", "cat")
		if code != 0 || err != nil || !bytes.Equal(out.Bytes(), sent) || errs.Len() > 0 {
			t.Errorf("code %d, %v, %d of %d bytes, errors %q", code, err, out.Len(), len(sent), errs.String())
		}
	})
	t.Run("a program that is not there", func(t *testing.T) {
		t.Parallel()
		var errs bytes.Buffer
		code, err := exec(t, cluster.Streams{Stdin: endless{}, Stderr: &errs}, "no-such-program")
		if code != 127 || err != nil || !strings.Contains(errs.String(), "no-such-program") {
			t.Errorf("code %d, %v, %q", code, err, errs.String())
		}
	})
}
