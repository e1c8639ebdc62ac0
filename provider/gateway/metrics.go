package gateway

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// outcomeOK is the code label of requests that were answered as asked.
const outcomeOK = "ok"

// noRoute is the route label of requests that match none, so that strangers cannot make up labels.
const noRoute = "none"

type metrics struct {
	requests     *prometheus.CounterVec
	seconds      *prometheus.HistogramVec
	refusedConns prometheus.Counter
	panics       prometheus.Counter
	lines        prometheus.Counter
}

// newMetrics makes the gateway's metrics and registers them, unless reg is nil.
func newMetrics(reg prometheus.Registerer, conns, streams *slots) (*metrics, error) {
	gauge := func(name, help string, s *slots) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "berth", Subsystem: "gateway", Name: name, Help: help},
			func() float64 { return float64(s.inUse()) })
	}
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: "berth", Subsystem: "gateway", Name: name, Help: help})
	}
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "berth", Subsystem: "gateway",
			Name: "requests_total", Help: "Requests answered, by route and code."}, []string{"route", "code"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: "berth", Subsystem: "gateway",
			Name: "request_seconds", Help: "Time to answer, by route; streams are left out.",
			Buckets: []float64{.001, .005, .02, .1, .5, 2, 10, 30}}, []string{"route"}),
		refusedConns: counter("connections_refused_total", "Connections closed because too many were open."),
		panics:       counter("panics_total", "Requests that ended in a panic of the provider."),
		lines:        counter("log_lines_total", "Log lines sent."),
	}
	if reg == nil {
		return m, nil
	}
	var errs []error
	for _, c := range []prometheus.Collector{
		m.requests, m.seconds, m.refusedConns, m.panics, m.lines,
		gauge("connections", "Open connections.", conns), gauge("streams", "Open streams.", streams),
	} {
		errs = append(errs, reg.Register(c))
	}
	return m, errors.Join(errs...)
}

// answered counts a request; rt is nil if no route matched.
func (m *metrics) answered(rt *route, code string, took time.Duration) {
	name := noRoute
	if rt != nil {
		name = rt.method
	}
	m.requests.WithLabelValues(name, code).Inc()
	if rt != nil && !rt.stream {
		m.seconds.WithLabelValues(name).Observe(took.Seconds())
	}
}
