package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/spf13/cobra"

	"berth.dev/berth/provider/gateway/gatewayclient"
	"berth.dev/berth/tenant"
)

// exitCodes are the exit codes of failures; kinds that are missing exit with exitError.
var exitCodes = map[tenant.Kind]int{
	tenant.KindUsage: exitUsage, tenant.KindNoBid: exitNoBid, tenant.KindLease: exitLease, tenant.KindRollout: exitRollout, tenant.KindHook: exitHook,
	tenant.KindFunds: exitFunds, tenant.KindInterrupted: exitInterrupted,
}

// failureCode gives an error that has no exit code yet the one of its kind.
func failureCode(err error) *codeError {
	code := exitError
	if f := tenant.AsFailure(err); f != nil {
		if c, ok := exitCodes[f.Kind]; ok {
			code = c
		}
	}
	if errors.Is(err, context.Canceled) {
		code = exitInterrupted
	}
	return &codeError{code: code, err: err}
}

// nextCommands are what to run after a failure. self is how to call this program.
func nextCommands(self string, f *tenant.Failure) []string {
	dseq := "DSEQ"
	if f.Dseq > 0 {
		dseq = strconv.FormatUint(f.Dseq, 10)
	}
	commands := map[tenant.Hint][2]string{
		tenant.HintResume:    {"deploy --resume " + dseq, "continue where it stopped"},
		tenant.HintClose:     {"close " + dseq, "close it and get back what is left of the deposit"},
		tenant.HintFund:      {"keys show", "the account that needs funds"},
		tenant.HintTopUp:     {"topup " + dseq + " 5BRT", "deposit more"},
		tenant.HintLogs:      {"logs " + dseq, "read the whole logs"},
		tenant.HintFollow:    {"logs -f " + dseq, "follow its logs"},
		tenant.HintStatus:    {"status " + dseq, "see where it stands"},
		tenant.HintUpdate:    {"update " + dseq + " FILE", "send a changed document"},
		tenant.HintAgain:     {"update " + dseq + " FILE", "send it again, changed or not: hooks that failed run again"},
		tenant.HintDeploy:    {"deploy FILE", "deploy anew"},
		tenant.HintList:      {"list --all", "see all deployments"},
		tenant.HintProviders: {"providers", "see who is there, and where"},
		tenant.HintEvents:    {"events " + dseq, "see what happened to its instances"},
		tenant.HintLeave:     {"pause " + dseq, "end its leases, with their volumes; `berth start " + dseq + "` then takes other bids (--select)"},
		tenant.HintNode:      {"config list", "check the node's address; for a devnet: berth devnet status"},
	}
	width := 0
	for _, h := range f.Hints {
		width = max(width, len(commands[h][0]))
	}
	var next []string
	for _, h := range f.Hints {
		if c, ok := commands[h]; ok {
			next = append(next, fmt.Sprintf("%s %-*s  # %s", self, width, c[0], c[1]))
		}
	}
	return next
}

// withNext completes an error by what a person needs: the commands to run next.
func withNext(cmd *cobra.Command, err error) *codeError {
	e := asCodeError(err)
	var f *tenant.Failure
	if len(e.next) == 0 && errors.As(err, &f) {
		e.next = nextCommands(self(cmd), f)
	}
	return e
}

// failureJSON is a failure for programs.
func failureJSON(e *codeError) map[string]any {
	out := map[string]any{"message": e.Error(), "exit_code": e.code, "next": nonNil(e.next)}
	if a := advice(e.err); a != "" {
		out["advice"] = a
	}
	var f *tenant.Failure
	if !errors.As(e.err, &f) {
		return map[string]any{"error": out}
	}
	out["kind"] = f.Kind
	if f.Step != "" {
		out["step"] = f.Step
	}
	if f.Dseq > 0 {
		out["dseq"] = f.Dseq
	}
	if len(f.Logs) > 0 {
		out["logs"] = f.Logs
	}
	return map[string]any{"error": out}
}

// writeDetails shows the log lines that belong to a failure, and a provider's advice.
func writeFailureDetails(w io.Writer, s style, err error) {
	var f *tenant.Failure
	if errors.As(err, &f) && len(f.Logs) > 0 {
		fmt.Fprintf(w, "Last log lines of %s:\n", printable(f.Logs[0].Service))
		for _, l := range f.Logs {
			fmt.Fprintf(w, "  %s\n", logText(s, l, false))
		}
	}
}

// advice is what a provider's error says to do; empty if nothing.
func advice(err error) string {
	var g *gatewayclient.Error
	if errors.As(err, &g) {
		return g.Next
	}
	return ""
}
