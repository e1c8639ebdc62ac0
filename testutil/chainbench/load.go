package chainbench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	abci "github.com/cometbft/cometbft/abci/types"
	mempl "github.com/cometbft/cometbft/mempool"
)

// Run is what a load of transactions came to.
type Run struct {
	// Sent were accepted into the mempool, Committed stood in blocks, Failed of those failed.
	Sent, Committed, Failed int
	// Failure is the first one's reason.
	Failure string
	// Wall runs from the first transaction sent to the block with the last one; CPU is the process's in that time.
	Wall, CPU time.Duration
	// Blocks had transactions, Largest is the most in one; Intervals lie between their commits.
	Blocks, Largest int
	Intervals       []time.Duration
	// Spans are the times of the app's calls.
	Spans map[string][]time.Duration
	// Results are those of the committed transactions.
	Results []*abci.ExecTxResult
}

// quiet is how long a load waits for a block before it gives up.
const quiet = 2 * time.Minute

// Load sends transactions through the node's local client, as fast as it takes them, and waits until all are committed.
func (n *Node) Load(txs [][]byte) (Run, error) {
	n.drain()
	n.app.take()
	var refused, sent atomic.Int64
	var reason atomic.Value
	fed := make(chan error, 1)
	cpu, start := cpuTime(), time.Now()
	go func() {
		for _, tx := range txs {
			code, why, err := n.send(tx)
			if err != nil {
				fed <- err
				return
			}
			if code == 0 {
				sent.Add(1)
			} else if refused.Add(1) == 1 {
				reason.Store(why)
			}
		}
		fed <- nil
	}()
	var r Run
	var last time.Time
	for r.Committed+int(refused.Load()) < len(txs) {
		b, err := n.next(quiet)
		if err != nil {
			return r, err
		}
		if len(b.results) == 0 {
			continue
		}
		if !last.IsZero() {
			r.Intervals = append(r.Intervals, b.at.Sub(last))
		}
		last = b.at
		r.count(b)
	}
	r.Wall, r.CPU, r.Sent = last.Sub(start), cpuTime()-cpu, int(sent.Load())
	r.Spans = n.app.take()
	if err := <-fed; err != nil {
		return r, err
	}
	if refused.Load() > 0 {
		return r, fmt.Errorf("%d transactions were refused, the first because: %v", refused.Load(), reason.Load())
	}
	if r.Failed > 0 {
		return r, fmt.Errorf("%d transactions failed, the first with %s", r.Failed, r.Failure)
	}
	return r, nil
}

// send hands one transaction to the node, and waits while its mempool is full.
func (n *Node) send(tx []byte) (code uint32, why string, err error) {
	for {
		res, err := n.Client.BroadcastTxSync(context.Background(), tx)
		if err == nil {
			return res.Code, res.Log, nil
		}
		var full mempl.ErrMempoolIsFull
		if !errors.As(err, &full) && !strings.Contains(err.Error(), "mempool is full") {
			return 0, "", fmt.Errorf("send a transaction: %w", err)
		}
		<-time.After(5 * time.Millisecond) // the next block makes room
	}
}

func (r *Run) count(b block) {
	r.Blocks++
	r.Committed += len(b.results)
	r.Largest = max(r.Largest, len(b.results))
	failed, why := failures(b.results)
	if r.Failed == 0 {
		r.Failure = why
	}
	r.Failed += failed
	r.Results = append(r.Results, b.results...)
}

// drain forgets the blocks that nobody has asked for.
func (n *Node) drain() {
	for {
		select {
		case b, ok := <-n.blocks:
			if !ok {
				return
			}
			n.height, n.time = b.height, b.at
		default:
			return
		}
	}
}

// Idle watches a node that has nothing to do and returns the times between blocks.
func (n *Node) Idle(blocks int) ([]time.Duration, error) {
	n.drain()
	n.app.take()
	b, err := n.next(quiet)
	if err != nil {
		return nil, err
	}
	var times []time.Duration
	for last := b.at; len(times) < blocks; last = b.at {
		if b, err = n.next(quiet); err != nil {
			return nil, err
		}
		times = append(times, b.at.Sub(last))
	}
	return times, nil
}

// cpuTime is the user and system time that this process has used.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// stats are a few numbers of a list of times.
type stats struct {
	n                      int
	mean, median, p95, max time.Duration
	sum                    time.Duration
}

func summarise(times []time.Duration) stats {
	if len(times) == 0 {
		return stats{}
	}
	sorted := slices.Sorted(slices.Values(times))
	s := stats{n: len(sorted), median: sorted[len(sorted)/2], p95: sorted[len(sorted)*95/100], max: sorted[len(sorted)-1]}
	for _, t := range sorted {
		s.sum += t
	}
	s.mean = s.sum / time.Duration(len(sorted))
	return s
}

func (s stats) String() string {
	return fmt.Sprintf("mean %s, median %s, p95 %s, max %s", ms(s.mean), ms(s.median), ms(s.p95), ms(s.max))
}

func ms(d time.Duration) string { return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000) }

func us(d time.Duration) string { return fmt.Sprintf("%.0f us", float64(d.Nanoseconds())/1000) }
