package link

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// The values of the labels side and direction.
const (
	consuming = "consuming"
	serving   = "serving"
	outgoing  = "out" // towards the target
	incoming  = "in"
)

// metrics are the numbers of links.
type metrics struct {
	opened, carried, dials *prometheus.CounterVec
	live                   *prometheus.GaugeVec
	ended, dropped         prometheus.Counter
}

func newMetrics(reg prometheus.Registerer, l *Links) (*metrics, error) {
	if reg == nil {
		reg = prometheus.NewRegistry()
	}
	name := func(s string) string { return "berth_provider_link_" + s }
	m := &metrics{
		opened: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: name("streams_total"), Help: "Streams and questions, by side, kind and what became of them.",
		}, []string{"side", "kind", "result"}),
		carried: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: name("bytes_total"), Help: "Bytes carried, by side and direction: out is towards the service that is used.",
		}, []string{"side", "direction"}),
		dials: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: name("dials_total"), Help: "Tries to connect to other providers, by result.",
		}, []string{"result"}),
		live: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: name("streams"), Help: "Open connections and udp flows, by side and kind.",
		}, []string{"side", "kind"}),
		ended: prometheus.NewCounter(prometheus.CounterOpts{
			Name: name("ended_total"), Help: "Streams that were ended with a lease or by a manifest.",
		}),
		dropped: prometheus.NewCounter(prometheus.CounterOpts{
			Name: name("datagrams_dropped_total"), Help: "Datagrams of workloads that were dropped, by a limit or as the other end is slow.",
		}),
	}
	gauge := func(s, help string, value func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name(s), Help: help}, value)
	}
	all := []prometheus.Collector{
		m.opened, m.carried, m.dials, m.live, m.ended, m.dropped,
		gauge("doors", "Ports of services elsewhere that leases here may use.", func() float64 {
			l.mu.Lock()
			defer l.mu.Unlock()
			return float64(len(l.doors))
		}),
		gauge("sessions", "Connections of other providers.", func() float64 {
			l.mu.Lock()
			defer l.mu.Unlock()
			return float64(l.sessions)
		}),
		gauge("reserved_bytes", "Memory set aside for bytes that wait.", func() float64 { return float64(l.memory.inUse()) }),
	}
	for _, c := range all {
		if err := reg.Register(c); err != nil {
			return nil, fmt.Errorf("link: register metrics: %w", err)
		}
	}
	// What has not happened yet is 0, not missing.
	for _, side := range []string{consuming, serving} {
		for _, k := range []Kind{TCP, UDP} {
			m.live.WithLabelValues(side, k.String())
			m.opened.WithLabelValues(side, k.String(), OK.String())
		}
		m.bytes(side, outgoing)
		m.bytes(side, incoming)
	}
	m.dials.WithLabelValues("ok")
	m.dials.WithLabelValues("error")
	return m, nil
}

func (m *metrics) answered(side string, k Kind, c Code) {
	m.opened.WithLabelValues(side, k.String(), c.String()).Inc()
}

func (m *metrics) open(s *stream, by float64) {
	side := consuming
	if s.serving {
		side = serving
	}
	m.live.WithLabelValues(side, s.Kind.String()).Add(by)
}

func (m *metrics) bytes(side, direction string) func(int) {
	c := m.carried.WithLabelValues(side, direction)
	return func(n int) { c.Add(float64(n)) }
}

func (m *metrics) dialled(err error) {
	result := "ok"
	if err != nil {
		result = "error"
	}
	m.dials.WithLabelValues(result).Inc()
}
