package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/spf13/cobra"

	"berth.dev/berth/provider/pricing"
	"berth.dev/berth/provider/simulate"
	"berth.dev/berth/provider/terms"
)

// simulateFlags are the flags of simulate.
type simulateFlags struct {
	orders, nodes, html string
	pricing             string
	against             []string
	validFor, maxNotice time.Duration
}

func (a *app) simulateCommand() *cobra.Command {
	var f simulateFlags
	cmd := &cobra.Command{
		Use: "simulate", Short: "Try a pricing file on recorded orders: bids, refusals, win rate, revenue, utilisation", Args: noArgs,
		Long: "Live through recorded orders with a pricing file and a snapshot of nodes, by the engine that bids on the market, and\n" +
			"say what would have come of it. With --against, other pricing files do so too, and stand beside it.\n\n" +
			"An order that was leased in the recording counts as won if a bid stood below the price of its lease in time. What\n" +
			"tenants and other providers would then have done otherwise is not known. Needs neither a chain nor a cluster nor a key.",
		Example: "  berth-provider simulate --orders recorded.jsonl --nodes snapshot.json --pricing a.yaml\n" +
			"  berth-provider simulate --orders recorded.jsonl --nodes snapshot.json --pricing a.yaml --against b.yaml --html report.html\n" +
			"  berth-provider simulate --orders recorded.jsonl --nodes snapshot.json --pricing a.yaml -o json | jq '.[0].revenue'",
		RunE: func(cmd *cobra.Command, _ []string) error { return a.simulate(cmd.Context(), f) },
	}
	cmd.Flags().StringVar(&f.orders, "orders", "", "recorded orders, as record writes them")
	cmd.Flags().StringVar(&f.nodes, "nodes", "", "snapshot of nodes, as record writes it")
	cmd.Flags().StringVar(&f.pricing, "pricing", "", "pricing file")
	cmd.Flags().StringArrayVar(&f.against, "against", nil, "another pricing file to compare with (may be given again)")
	cmd.Flags().StringVar(&f.html, "html", "", "write a report with charts to this file")
	cmd.Flags().DurationVar(&f.validFor, "valid-for", 5*time.Minute, "how long a bid may become a lease")
	cmd.Flags().DurationVar(&f.maxNotice, "max-notice", 0, "longest notice that is given before a lease is taken back; as bids.max_notice")
	return cmd
}

func (a *app) simulate(ctx context.Context, f simulateFlags) error {
	for _, flag := range [...]struct{ name, value string }{{"--orders", f.orders}, {"--nodes", f.nodes}, {"--pricing", f.pricing}} {
		if flag.value == "" {
			return &usageError{fmt.Errorf("%s is missing; see berth-provider simulate --help", flag.name)}
		}
	}
	recording, err := readInput(f.orders, simulate.Read)
	if err != nil {
		return err
	}
	snapshot, err := readInput(f.nodes, simulate.ReadSnapshot)
	if err != nil {
		return err
	}
	var results []*simulate.Result
	for _, file := range append([]string{f.pricing}, f.against...) {
		r, err := a.replay(ctx, recording, simulate.Setup{Name: file, Snapshot: snapshot, ValidFor: f.validFor, MaxNotice: f.maxNotice})
		if err != nil {
			return err
		}
		results = append(results, r)
	}
	if f.html != "" {
		if err := writeFile(f.html, func(w io.Writer) error { return simulate.WriteHTML(w, results) }); err != nil {
			return err
		}
		_, _ = fmt.Fprintf(a.err, "Report with charts: %s\n", f.html)
	}
	if a.output == "json" {
		return a.print(results, nil)
	}
	return simulate.WriteText(a.out, results)
}

// replay runs one pricing file, whose pricing program, if it has one, runs as long.
func (a *app) replay(ctx context.Context, r *simulate.Recording, s simulate.Setup) (*simulate.Result, error) {
	t, err := terms.Load(s.Name)
	if err != nil {
		return nil, &usageError{err}
	}
	s.Terms = t
	if t.Program != nil {
		program := pricing.NewProgram(*t.Program, slog.New(slog.NewTextHandler(a.err, &slog.HandlerOptions{Level: slog.LevelWarn})))
		defer program.Close()
		s.Quoter = program
	}
	return simulate.Replay(ctx, r, s)
}

// readInput reads a file that the command line names.
func readInput[T any](path string, read func(string, io.Reader) (T, error)) (out T, err error) {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return out, &usageError{fmt.Errorf("there is no file %s; `berth-provider record` writes it", path)}
	}
	if err != nil {
		return out, &usageError{err}
	}
	defer f.Close()
	if out, err = read(path, f); err != nil {
		return out, &usageError{err}
	}
	return out, nil
}
