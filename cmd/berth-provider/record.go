package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/cosmos/gogoproto/proto"

	"berth.dev/berth/client"
	"berth.dev/berth/provider/chain"
	"berth.dev/berth/provider/daemon"
	"berth.dev/berth/provider/simulate"
	markettypes "berth.dev/berth/x/market/types"
)

// recordResult is what record reports.
type recordResult struct {
	From     int64    `json:"from"`
	To       int64    `json:"to"`
	Orders   int      `json:"orders"`
	Leases   int      `json:"leases"`
	Nodes    int      `json:"nodes"`
	Problems []string `json:"problems"`
}

func (a *app) recordCommand() *cobra.Command {
	var orders, nodes string
	var last int64
	cmd := &cobra.Command{
		Use: "record", Short: "Record past orders and the cluster's capacity, for simulate", Args: noArgs,
		Long: "Read the last blocks of the chain and the nodes of the cluster, and write what simulate needs: the orders with what\n" +
			"became of them, an event a line, and a snapshot of what this provider can sell. Nothing is sent or changed.\n" +
			"The orders are all providers' business and public; nothing in the files is secret but the size of the cluster.",
		Example: "  berth-provider record --last 10000 --orders recorded.jsonl --nodes snapshot.json\n" +
			"  berth-provider simulate --orders recorded.jsonl --nodes snapshot.json --pricing pricing.yaml",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if orders == "" && nodes == "" {
				return &usageError{errors.New("name at least one of --orders and --nodes")}
			}
			if last < 1 {
				return &usageError{fmt.Errorf("--last %d: at least one block is recorded", last)}
			}
			p, err := a.provider()
			if err != nil {
				return err
			}
			result, err := a.record(cmd.Context(), p, orders, nodes, last)
			if err != nil {
				return err
			}
			return a.print(result, func(p *page) {
				if orders != "" {
					p.linef("%s:\tblocks %d to %d, %d orders, %d leases", orders, result.From, result.To, result.Orders, result.Leases)
				}
				if nodes != "" {
					p.linef("%s:\t%d nodes", nodes, result.Nodes)
				}
				for _, problem := range result.Problems {
					p.linef("not sold:\t%s", problem)
				}
			})
		},
	}
	cmd.Flags().StringVar(&orders, "orders", "", "file to write the orders to")
	cmd.Flags().StringVar(&nodes, "nodes", "", "file to write the snapshot of the nodes to")
	cmd.Flags().Int64Var(&last, "last", 1000, "how many blocks to record, up to the newest")
	return cmd
}

func (a *app) record(ctx context.Context, p *provider, orders, nodes string, last int64) (*recordResult, error) {
	result := &recordResult{Problems: []string{}}
	if orders != "" {
		r, err := a.recordOrders(ctx, p, last)
		if err != nil {
			return nil, err
		}
		result.From, result.To = r.From, r.To
		err = writeFile(orders, func(w io.Writer) error {
			out, err := simulate.NewWriter(w, r.Header)
			if err != nil {
				return err
			}
			err = r.Write(out)
			result.Orders, result.Leases = out.Orders, out.Leases
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	if nodes != "" {
		s, problems, err := recordNodes(ctx, p)
		if err != nil {
			return nil, err
		}
		result.Nodes, result.Problems = len(s.Nodes), append(result.Problems, problems...)
		err = writeFile(nodes, func(w io.Writer) error {
			enc := json.NewEncoder(w)
			enc.SetIndent("", "  ")
			return enc.Encode(s)
		})
		if err != nil {
			return nil, err
		}
	}
	return result, nil
}

// recordOrders reads the last blocks that the node still has.
func (a *app) recordOrders(ctx context.Context, p *provider, last int64) (*simulate.Recording, error) {
	status, err := p.client.RPC().Status(ctx)
	if err != nil {
		return nil, fmt.Errorf("ask the node %s for its blocks: %w", p.cfg.Chain.Node, err)
	}
	block, err := p.client.BlockTime(ctx)
	if err != nil {
		return nil, fmt.Errorf("measure the time between blocks: %w", err)
	}
	params, err := p.reader.Params(ctx)
	if err != nil {
		return nil, err
	}
	to := status.SyncInfo.LatestBlockHeight - 1 // the newest may not be executed yet
	from := max(1, to-last+1, status.SyncInfo.EarliestBlockHeight)
	if to < from {
		return nil, fmt.Errorf("the chain is at height %d: there is nothing to record yet", status.SyncInfo.LatestBlockHeight)
	}
	if short := from - (to - last + 1); short > 0 {
		_, _ = fmt.Fprintf(a.err, "The node has no block below %d: %d blocks less than asked for are recorded.\n", from, short)
	}
	h := simulate.Header{ChainID: status.NodeInfo.Network, From: from, To: to, BlockSeconds: seconds(block), Deposits: params.BidMinDeposits}
	told := time.Now()
	return simulate.Record(ctx, history{p.reader, p.client}, h, func(height int64) {
		if time.Since(told) > time.Second {
			told = time.Now()
			_, _ = fmt.Fprintf(a.err, "block %d of %d to %d\n", height, from, to)
		}
	})
}

// seconds writes a duration as a decimal number of seconds, exactly.
func seconds(d time.Duration) string {
	return new(big.Rat).SetFrac64(int64(d), int64(time.Second)).FloatString(9)
}

// history is the chain as simulate.Record reads it.
type history struct {
	reader *chain.Reader
	client *client.Client
}

// Block implements simulate.Market.
func (h history) Block(ctx context.Context, height int64) ([]proto.Message, error) {
	return h.reader.Block(ctx, h.client.RPC(), height)
}

// OpenOrders implements simulate.Market.
func (h history) OpenOrders(ctx context.Context) ([]markettypes.Order, error) {
	return h.reader.OpenOrders(ctx)
}

// Order implements simulate.Market.
func (h history) Order(ctx context.Context, id markettypes.OrderID) (markettypes.Order, error) {
	o, err := h.reader.Order(ctx, id)
	if client.IsNotFound(err) {
		return o, simulate.ErrGone
	}
	return o, err
}

// recordNodes reads what the provider can sell, and what its record on chain says.
func recordNodes(ctx context.Context, p *provider) (simulate.Snapshot, []string, error) {
	supply, problems, err := daemon.Supply(ctx, p.cfg, p.home, p.address, slog.New(slog.DiscardHandler))
	if err != nil {
		return simulate.Snapshot{}, nil, err
	}
	record, found, err := daemon.ReadRecord(ctx, p.reader, 0)
	if err != nil {
		return simulate.Snapshot{}, nil, err
	}
	if !found {
		problems = append(problems, "the provider has no record on chain yet: the snapshot has no attributes")
	}
	return simulate.NewSnapshot(p.address, record, supply), problems, nil
}

// writeFile writes a file that is whole or not there.
func writeFile(path string, write func(io.Writer) error) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".berth-*")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer os.Remove(f.Name())
	err = errors.Join(write(f), f.Chmod(0o600), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}
