//go:build e2e

package e2e

import (
	"errors"
	"os/exec"
	"strings"
	"testing"
)

// Each refusal has its exit code and says what to do; nothing is left behind by it.
func TestRefusals(t *testing.T) {
	for name, tc := range map[string]struct {
		args []string
		code int
		text string
	}{
		"an unknown key": {
			[]string{"deploy", "--yes", edited(t, example("hello"), "image:", "imagge:")}, 2, "image",
		},
		"a deposit below the minimum": {
			[]string{"deploy", "--yes", "--deposit", "1ubrt", example("hello")}, 8, "deposit",
		},
		"a deposit above the balance": {
			[]string{"deploy", "--yes", "--deposit", "9000000000000000ubrt", example("hello")}, 8, "funds",
		},
		"a chain that cannot be reached": {
			[]string{"deploy", "--yes", "--node", "tcp://127.0.0.1:1", example("hello")}, 1, "reach",
		},
	} {
		t.Run(name, func(t *testing.T) {
			refused(t, tc.code, tc.text, tc.args...)
		})
	}
}

// When nobody bids, the deployment stays open for a resume, and closing it gives everything back.
func TestNoBidCanBeClosedWithItsRefund(t *testing.T) {
	greedy := edited(t, example("hello"), "anywhere:\n      pricing", "anywhere:\n      attributes:\n        region: nowhere\n      pricing")
	refused(t, 4, "get back what is left of the deposit", "deploy", "--yes", "--bid-wait", "3s", greedy)
	var open []struct {
		Dseq uint64 `json:"dseq"`
	}
	berth(t, &open, "list")
	if len(open) != 1 {
		t.Fatalf("%d deployments are open, want the one without bids", len(open))
	}
	var closed struct {
		Paid     struct{ Amount string }
		Refunded struct{ Amount string }
	}
	berth(t, &closed, "close", "--yes")
	if closed.Paid.Amount != "0" || closed.Refunded.Amount == "0" {
		t.Errorf("close paid %s and refunded %s, want 0 and the deposit", closed.Paid.Amount, closed.Refunded.Amount)
	}
}

func refused(t *testing.T, code int, text string, args ...string) {
	t.Helper()
	err := tryBerth(t.Context(), nil, args...)
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		t.Fatalf("berth %v: %v, want exit code %d", args, err, code)
	}
	if exit.ExitCode() != code || !strings.Contains(err.Error(), text) {
		t.Errorf("berth %v exits with %d, want %d and %q in:\n%v", args, exit.ExitCode(), code, text, err)
	}
}
