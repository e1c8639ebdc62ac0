package main

import (
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"berth.dev/berth/internal/document"
	"berth.dev/berth/sdl"
	"berth.dev/berth/sdl/explain"
	"berth.dev/berth/tenant"
	escrowtypes "berth.dev/berth/x/escrow/types"
)

// The forms of an explanation for people; -o is for programs.
const (
	explainText     = "text"
	explainMarkdown = "markdown"
	explainMermaid  = "mermaid"
	explainSVG      = "svg"
)

var explainForms = map[string]func(*explain.Explanation) string{
	explainText: (*explain.Explanation).Text, explainMarkdown: (*explain.Explanation).Markdown,
	explainMermaid: (*explain.Explanation).Mermaid, explainSVG: (*explain.Explanation).SVG,
}

// explainFlags are the flags of sdl explain.
type explainFlags struct {
	format    string
	out       string
	blockTime time.Duration
}

func newSDLExplainCommand() *cobra.Command {
	var f explainFlags
	cmd := &cobra.Command{
		Use:   "explain FILE",
		Short: "Explain a document in plain words, and draw who can connect to what",
		Long: "Say in plain words what a document asks for: what runs where, in which order it starts, who can connect to what,\n" +
			"what survives a restart, how much of what the chain allows it takes, and what it may cost at most per block, hour\n" +
			"and month. It needs neither a chain nor a network, so that costs rest on the time per block that is given.\n" +
			"FILE may be - for standard input.\n\n" +
			"  text      words and tables\n" +
			"  markdown  the same with a drawing, for a pull request or a README\n" +
			"  mermaid   the drawing alone, as a Mermaid flowchart\n" +
			"  svg       the drawing alone, as a picture for a browser\n\n" +
			"With -o json, prints all of it for programs. Values of environment variables, arguments and credentials are never\n" +
			"shown. A document's ${NAME} are taken from --env-file and from the environment; which ones is written to stderr.",
		Example: "  berth sdl explain deploy.yaml\n" +
			"  berth sdl explain deploy.yaml --format svg --out deploy.svg\n" +
			"  berth sdl explain deploy.yaml --format markdown | gh pr comment --body-file -\n" +
			"  berth sdl explain deploy.yaml -o json | jq '.connections[] | select(.link)'",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return explainDocument(cmd, args[0], f) },
	}
	cmd.Flags().StringVar(&f.format, "format", explainText, "form for people: text, markdown, mermaid or svg")
	cmd.Flags().StringVar(&f.out, "out", "", "file to write to, instead of standard output")
	document.AddFlags(cmd.Flags())
	addAppFlagsAs(cmd, flagInputFormat)
	blockTimeFlag(cmd, &f.blockTime)
	return cmd
}

func explainDocument(cmd *cobra.Command, file string, f explainFlags) error {
	write, ok := explainForms[f.format]
	if !ok {
		return usageErrorf("--format: %q is not one of text, markdown, mermaid, svg", f.format)
	}
	format, err := outputFormat(cmd)
	if err != nil {
		return err
	}
	if format != formatText && cmd.Flags().Changed("format") {
		return usageErrorf("--format is for people and -o %s for programs: give one of them", format)
	}
	if err := checkBlockTime(f.blockTime); err != nil {
		return err
	}
	plan, err := compileDocument(cmd, file)
	if err != nil {
		return err
	}
	var b strings.Builder
	e := explainPlan(plan, f.blockTime)
	err = writeResult(&b, format, e, func(w io.Writer) error {
		_, err := io.WriteString(w, write(e))
		return err
	})
	if err != nil {
		return err
	}
	if f.out == "" {
		_, err = io.WriteString(cmd.OutOrStdout(), b.String())
		return err
	}
	if sameFile(f.out, file) {
		return exitWith(exitUsage, errors.New("--out would overwrite the document"))
	}
	if err := os.WriteFile(f.out, []byte(b.String()), 0o644); err != nil { //nolint:gosec // what is written holds no secret and is meant to be shown
		return exitWith(exitUsage, err)
	}
	return nil
}

func sameFile(a, b string) bool {
	x, err := os.Stat(a)
	if err != nil {
		return false
	}
	y, err := os.Stat(b)
	return err == nil && os.SameFile(x, y)
}

// explainPlan explains a plan with the deposit that deploy makes by default on a chain with the default parameters.
func explainPlan(plan *sdl.Plan, blockTime time.Duration) *explain.Explanation {
	o := explain.Options{BlockNanos: blockTime.Nanoseconds()}
	e := explain.Explain(plan, o)
	if e.AtMost == nil || e.AtMost.Open {
		return e
	}
	minimums := escrowtypes.DefaultParams().MinDeposits
	i := slices.IndexFunc(minimums, func(c sdk.Coin) bool { return c.Denom == e.AtMost.Denom })
	if i < 0 { // what a chain accepts beside its own token is its own to say
		return e
	}
	deposit := tenant.DefaultDeposit(tenant.Price{DecCoin: sdk.DecCoin{Denom: e.AtMost.Denom, Amount: e.AtMost.PerBlock}}, minimums[i], blockTime)
	o.Deposit = &deposit
	return explain.Explain(plan, o)
}
