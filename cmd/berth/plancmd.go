package main

import (
	"io"
	"time"

	"github.com/spf13/cobra"

	"berth.dev/berth/internal/document"
	"berth.dev/berth/sdl/app"
)

// newPlanCommand shows what a document asks for. It stands at the root and among the tools for documents.
func newPlanCommand(connect connector) *cobra.Command {
	var blockTime time.Duration
	var checkBids bool
	cmd := &cobra.Command{
		Use:   "plan [FILE]",
		Short: "Show what a document asks for, runs and may cost, without sending anything",
		Long: "Compile a document and show its plan: what providers are asked for, what runs there, who can connect to what,\n" +
			"and what it may cost at most per block, hour and month. It needs neither a chain nor a network, so that costs\n" +
			"rest on the time per block that is given. FILE may be - for standard input;\n" +
			"without one, the document of the working directory is taken: deploy.yaml, akinon.json or app.json.\n\n" +
			"Of an application's manifest (app.json), a price that nothing gives is open, and a budget is spread with --block-time.\n\n" +
			"With --check-bids, all providers that are registered on the network are asked, too, whether they would bid now, at\n" +
			"which price, or why not. It signs and sends nothing, and exits with 4 if there is a group on which nobody would bid.\n\n" +
			"The values of environment variables are not shown, except with -o json, which prints the whole plan but secrets.\n" +
			"A document's ${NAME} are taken from --env-file and from the environment; which ones is written to stderr.",
		Example: "  berth plan deploy.yaml\n" +
			"  berth plan deploy.yaml --block-time 500ms\n" +
			"  berth plan deploy.yaml --check-bids    # who would take it, at which price\n" +
			"  berth plan deploy.yaml --env-file .env --no-env\n" +
			"  berth plan deploy.yaml -o json | jq .groups\n" +
			"  berth sdl explain deploy.yaml          # the same in plain words, or drawn",
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkBlockTime(blockTime); err != nil {
				return err
			}
			file, err := documentOf(args)
			if err != nil {
				return err
			}
			if checkBids {
				return checkPlan(cmd, connect, file, blockTime)
			}
			return planDocument(cmd, file, blockTime)
		},
	}
	document.AddFlags(cmd.Flags())
	addAppFlags(cmd)
	blockTimeFlag(cmd, &blockTime)
	cmd.Flags().BoolVar(&checkBids, "check-bids", false, "ask the registered providers whether they would bid")
	return cmd
}

func blockTimeFlag(cmd *cobra.Command, to *time.Duration) {
	cmd.Flags().DurationVar(to, "block-time", 6*time.Second, "time per block for the cost per hour and month")
}

func checkBlockTime(d time.Duration) error {
	if d <= 0 {
		return usageErrorf("--block-time: %s is not a time per block; give one such as 6s", d)
	}
	return nil
}

func planDocument(cmd *cobra.Command, file string, blockTime time.Duration) error {
	format, err := outputFormat(cmd)
	if err != nil {
		return err
	}
	plan, err := compileDocument(cmd, file)
	if err != nil {
		return err
	}
	app.Spread(plan, blockTime.Nanoseconds())
	return writeResult(cmd.OutOrStdout(), format, plan, func(w io.Writer) error {
		_, err := io.WriteString(w, planText(plan, explainPlan(plan, blockTime)))
		return err
	})
}
