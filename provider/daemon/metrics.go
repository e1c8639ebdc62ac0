package daemon

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"berth.dev/berth/client"
	"berth.dev/berth/provider/bid"
	"berth.dev/berth/provider/chain"
	"berth.dev/berth/provider/inventory"
	"berth.dev/berth/provider/terms"
)

// metrics holds every number the daemon shows. It implements the observers of the loops.
type metrics struct {
	registry   *prometheus.Registry
	decisions  *prometheus.CounterVec
	bids       *prometheus.CounterVec
	txs        *prometheus.CounterVec
	reconciles *prometheus.CounterVec
	applies    *prometheus.CounterVec
	removals   *prometheus.CounterVec
	height     prometheus.Gauge
	lag        prometheus.Gauge
	blockSeen  prometheus.Gauge
	snapshots  prometheus.Counter
	withdrawn  *prometheus.CounterVec
	clusterUp  prometheus.Gauge
	unkept     prometheus.Gauge
	broadcast  prometheus.Histogram
	steps      *prometheus.HistogramVec
	balance    *prometheus.GaugeVec
}

func newMetrics() *metrics {
	reg := prometheus.NewRegistry()
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	f := promauto.With(reg)
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return f.NewCounterVec(prometheus.CounterOpts{Name: "berth_provider_" + name, Help: help}, labels)
	}
	gauge := func(name, help string) prometheus.Gauge {
		return f.NewGauge(prometheus.GaugeOpts{Name: "berth_provider_" + name, Help: help})
	}
	return &metrics{
		registry:   reg,
		decisions:  counter("decisions_total", "Orders looked at, by result: bid, or the reason for none.", "result"),
		bids:       counter("bids_total", "Bids sent, by outcome: taken, refused or unknown.", "outcome"),
		txs:        counter("txs_total", "Transactions, by outcome: included, refused, expired, unknown or not_sent.", "outcome"),
		reconciles: counter("reconciles_total", "Comparisons of chain and cluster, by result.", "result"),
		applies:    counter("workload_applies_total", "Workloads given to the cluster, by result.", "result"),
		removals:   counter("workload_removals_total", "Workloads removed from the cluster, by result.", "result"),
		withdrawn:  counter("withdrawn_total", "Earnings withdrawn, in whole units of the denom.", "denom"),
		height:     gauge("height", "The last block acted on."),
		lag:        gauge("lag_blocks", "Blocks between the last one acted on and the node's newest."),
		blockSeen:  gauge("last_block_timestamp_seconds", "When the last block was seen, by this machine's clock."),
		snapshots: f.NewCounter(prometheus.CounterOpts{
			Name: "berth_provider_snapshots_total", Help: "Times that everything was read anew, at the start or after a gap.",
		}),
		broadcast: f.NewHistogram(prometheus.HistogramOpts{
			Name: "berth_provider_block_to_broadcast_seconds", Help: "From seeing a block to having broadcast bids on its orders.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 14),
		}),
		steps: f.NewHistogramVec(prometheus.HistogramOpts{
			Name: "berth_provider_bid_step_seconds", Help: "From seeing a block to the end of each step on the way of the bids on its orders.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 14),
		}, []string{"step"}),
		clusterUp: gauge("cluster_up", "1 while the cluster's nodes can be read."),
		unkept:    gauge("unkept_claims", "Abilities that the provider claims and its cluster does not have."),
		balance: f.NewGaugeVec(prometheus.GaugeOpts{
			Name: "berth_provider_signer_balance", Help: "What the account that signs has, in whole units of the denom.",
		}, []string{"denom"}),
	}
}

func result(err error) string {
	if err != nil {
		return "error"
	}
	return "ok"
}

// Decided implements bid.Observer.
func (m *metrics) Decided(code bid.Code) {
	if code == bid.Accepted {
		code = "bid"
	}
	m.decisions.WithLabelValues(string(code)).Inc()
}

// BidsSent implements bid.Observer.
func (m *metrics) BidsSent(taken, refused, lost int) {
	m.bids.WithLabelValues("taken").Add(float64(taken))
	m.bids.WithLabelValues("refused").Add(float64(refused))
	m.bids.WithLabelValues("unknown").Add(float64(lost))
}

// Reached implements bid.Observer.
func (m *metrics) Reached(s bid.Step, after time.Duration) {
	if s == bid.Broadcast {
		m.broadcast.Observe(after.Seconds())
		return
	}
	m.steps.WithLabelValues(string(s)).Observe(after.Seconds())
}

// Reconciled implements lease.Observer.
func (m *metrics) Reconciled(err error) { m.reconciles.WithLabelValues(result(err)).Inc() }

// Applied implements lease.Observer.
func (m *metrics) Applied(err error) { m.applies.WithLabelValues(result(err)).Inc() }

// Removed implements lease.Observer.
func (m *metrics) Removed(err error) { m.removals.WithLabelValues(result(err)).Inc() }

func (m *metrics) update(u chain.Update) {
	m.height.Set(float64(u.Height))
	m.lag.Set(float64(u.Head - u.Height))
	m.blockSeen.SetToCurrentTime()
	if u.Snapshot != nil {
		m.snapshots.Inc()
	}
}

// watch shows the sizes of the bid loop's book and of the leases, read when they are asked for.
func (m *metrics) watch(counts func() (bid.Counts, time.Time), use func() []bid.Use, leases func() (active, suspended int)) {
	f := promauto.With(m.registry)
	gauge := func(name, help string, labels prometheus.Labels, value func() float64) {
		f.NewGaugeFunc(prometheus.GaugeOpts{Name: "berth_provider_" + name, Help: help, ConstLabels: labels}, value)
	}
	book := func(state string, pick func(bid.Counts) int) {
		gauge("orders", "Open orders and own bids, by state.", prometheus.Labels{"state": state}, func() float64 {
			c, _ := counts()
			return float64(pick(c))
		})
	}
	book("waiting", func(c bid.Counts) int { return c.Waiting })
	book("sending", func(c bid.Counts) int { return c.Sending })
	book("bid", func(c bid.Counts) int { return c.Open })
	book("won", func(c bid.Counts) int { return c.Won })
	book("expired", func(c bid.Counts) int { return c.Expired })
	m.registry.MustRegister(usage(use))
	gauge("last_bid_age_seconds", "Seconds since the chain took a bid of this process; -1 before the first.", nil, func() float64 {
		_, last := counts()
		if last.IsZero() {
			return -1
		}
		return time.Since(last).Seconds()
	})
	gauge("leases", "Own leases, by state.", prometheus.Labels{"state": "active"}, func() float64 {
		a, _ := leases()
		return float64(a)
	})
	gauge("leases", "Own leases, by state.", prometheus.Labels{"state": "suspended"}, func() float64 {
		_, s := leases()
		return float64(s)
	})
}

// usage collects what there is and is held of each resource. It is read once for all of it, as classes come and go.
type usage func() []bid.Use

var (
	capacityDesc = prometheus.NewDesc("berth_provider_capacity",
		"What the cluster can give, in thousandths of a core, bytes, devices, pods, ports or addresses, after shares and over-commitment.", []string{"resource", "class"}, nil)
	reservedDesc = prometheus.NewDesc("berth_provider_reserved", "What of it is held for bids and leases.", []string{"resource", "class"}, nil)
)

// Describe implements prometheus.Collector.
func (u usage) Describe(out chan<- *prometheus.Desc) {
	out <- capacityDesc
	out <- reservedDesc
}

// Collect implements prometheus.Collector.
func (u usage) Collect(out chan<- prometheus.Metric) {
	for _, x := range u() {
		resource := x.Resource.String()
		switch {
		case x.Resource == inventory.Persistent:
			resource = "persistent"
		case x.Resource == inventory.GPU && x.Class != "":
			resource = "gpu_class"
		}
		out <- prometheus.MustNewConstMetric(capacityDesc, prometheus.GaugeValue, float64(x.Capacity), resource, x.Class)
		out <- prometheus.MustNewConstMetric(reservedDesc, prometheus.GaugeValue, float64(x.Held), resource, x.Class)
	}
}

// watchTerms shows how the pricing file stands.
func (m *metrics) watchTerms(status func() terms.Status) {
	f := promauto.With(m.registry)
	f.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "berth_provider_pricing_current", Help: "1 while the pricing file as it is now is in force; 0 when it can't be used and the former one stays.",
	}, func() float64 {
		if status().Err != nil {
			return 0
		}
		return 1
	})
	f.NewCounterFunc(prometheus.CounterOpts{
		Name: "berth_provider_pricing_loads_total", Help: "Times that prices and policy of the pricing file came into force.",
	}, func() float64 { return float64(status().Loads) })
}

// setBalance shows what the signer has. A denom that it has no more of stays, at 0, as long as the process.
func (m *metrics) setBalance(have sdk.Coins, shown map[string]bool) {
	for denom := range shown {
		if have.AmountOf(denom).IsZero() {
			m.balance.WithLabelValues(denom).Set(0)
		}
	}
	for _, c := range have {
		shown[c.Denom] = true
		amount, _ := new(big.Float).SetInt(c.Amount.BigInt()).Float64()
		m.balance.WithLabelValues(c.Denom).Set(amount)
	}
}

// sender counts the outcomes of another sender.
type sender struct {
	next Transactor
	txs  *prometheus.CounterVec
}

// Send implements lease.Sender.
func (s sender) Send(ctx context.Context, msgs ...sdk.Msg) (*client.Result, error) {
	return s.SendWith(ctx, chain.Options{}, msgs...)
}

// SendWith implements bid.Sender.
func (s sender) SendWith(ctx context.Context, o chain.Options, msgs ...sdk.Msg) (*client.Result, error) {
	res, err := s.next.SendWith(ctx, o, msgs...)
	s.txs.WithLabelValues(outcome(err)).Inc()
	return res, err
}

func outcome(err error) string {
	var refused *client.TxError
	switch {
	case err == nil:
		return "included"
	case errors.As(err, &refused):
		return "refused"
	case errors.Is(err, chain.ErrNotIncluded):
		return "expired"
	case errors.Is(err, client.ErrUnknownOutcome):
		return "unknown"
	default:
		return "not_sent"
	}
}

// serve answers Prometheus on a port of its own until ctx ends.
func (m *metrics) serve(ctx context.Context, listen string) error {
	if listen == "" {
		return nil
	}
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return fmt.Errorf("listen for metrics: %w", err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{}))
	srv := &http.Server{
		Handler: mux, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
	}
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		<-ctx.Done()
		_ = srv.Close()
	}()
	err = srv.Serve(l)
	if ctx.Err() != nil {
		<-stopped
		return nil
	}
	return fmt.Errorf("serve metrics: %w", err)
}
