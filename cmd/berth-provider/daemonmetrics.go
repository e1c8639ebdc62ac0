package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// figures are what status tells of a running daemon's metrics.
type figures struct {
	// LastBidSeconds is how long ago the chain took a bid of this process; -1 if it has taken none.
	LastBidSeconds float64 `json:"last_bid_seconds"`
	// Decisions counts orders since the start of the process, by reason for no bid, or "bid".
	Decisions map[string]int64 `json:"decisions"`
}

// askMetrics reads the daemon's metrics on this machine; nil if it serves none.
func (p *provider) askMetrics(ctx context.Context) *figures {
	if p.cfg.Metrics.Listen == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+local(p.cfg.Metrics.Listen)+"/metrics", nil)
	if err != nil {
		return nil
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil
	}
	return readFigures(io.LimitReader(res.Body, 1<<20))
}

// local is the address at which this machine reaches what listens there.
func local(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return listen
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
}

const (
	lastBidMetric   = "berth_provider_last_bid_age_seconds "
	decisionsMetric = `berth_provider_decisions_total{result="`
)

// readFigures picks the figures out of metrics in Prometheus' text; nil if they are not the daemon's.
func readFigures(in io.Reader) *figures {
	f, known := &figures{LastBidSeconds: -1, Decisions: map[string]int64{}}, false
	for s := bufio.NewScanner(in); s.Scan(); {
		if text, ok := strings.CutPrefix(s.Text(), lastBidMetric); ok {
			if v, err := strconv.ParseFloat(text, 64); err == nil {
				f.LastBidSeconds, known = v, true
			}
			continue
		}
		rest, ok := strings.CutPrefix(s.Text(), decisionsMetric)
		if !ok {
			continue
		}
		code, count, ok := strings.Cut(rest, `"} `)
		if v, err := strconv.ParseFloat(count, 64); ok && err == nil {
			f.Decisions[code] = int64(v)
		}
	}
	if !known {
		return nil
	}
	return f
}

func (f *figures) text(p *page) {
	if f.LastBidSeconds < 0 {
		p.linef("last bid\tnone since the daemon's start")
	} else {
		p.linef("last bid\t%s ago", (time.Duration(f.LastBidSeconds) * time.Second).String())
	}
	var parts []string
	for _, code := range slices.Sorted(maps.Keys(f.Decisions)) {
		if code != "bid" {
			parts = append(parts, fmt.Sprintf("%d %s", f.Decisions[code], code))
		}
	}
	if len(parts) == 0 {
		parts = []string{"none"}
	}
	p.linef("decisions\t%d bids; refused: %s", f.Decisions["bid"], strings.Join(parts, ", "))
}
