package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"berth.dev/berth/provider/cluster/kube"
)

const (
	netprobeDial  = time.Second
	netprobePause = 500 * time.Millisecond
)

// netprobeCommand is what doctor's pods run: they listen, and say round after round which connections come about.
func (a *app) netprobeCommand() *cobra.Command {
	var listen string
	var dial, resolve []string
	cmd := &cobra.Command{
		Use: "netprobe", Short: "Listen and connect, as the pods of doctor do", Hidden: true, Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			targets := map[string]string{}
			for _, d := range dial {
				name, address, ok := strings.Cut(d, "=")
				if !ok {
					return &usageError{fmt.Errorf("--dial %q is not NAME=HOST:PORT", d)}
				}
				targets[name] = address
			}
			l, err := (&net.ListenConfig{}).Listen(cmd.Context(), "tcp", listen)
			if err != nil {
				return fmt.Errorf("listen: %w", err)
			}
			go accept(l)
			defer l.Close()
			enc := json.NewEncoder(a.out)
			for cmd.Context().Err() == nil {
				if err := enc.Encode(netprobeRound(cmd.Context(), targets, resolve)); err != nil {
					return fmt.Errorf("write: %w", err)
				}
				select {
				case <-cmd.Context().Done():
				case <-time.After(netprobePause):
				}
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&listen, "listen", ":8080", "address to listen on")
	cmd.Flags().StringArrayVar(&dial, "dial", nil, "NAME=HOST:PORT to connect to, again and again (may be given again)")
	cmd.Flags().StringArrayVar(&resolve, "resolve", nil, "name to ask for, again and again (may be given again)")
	return cmd
}

// accept takes connections and ends them.
func accept(l net.Listener) {
	for {
		c, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil {
			_ = c.Close() // that it came about is all that was asked
		}
	}
}

// netprobeRound tries everything once, at the same time.
func netprobeRound(ctx context.Context, targets map[string]string, names []string) kube.ProbeRound {
	out := kube.ProbeRound{Open: map[string]bool{}, Resolved: map[string]bool{}}
	ctx, cancel := context.WithTimeout(ctx, netprobeDial)
	defer cancel()
	var mu sync.Mutex
	var group sync.WaitGroup
	note := func(m map[string]bool, k string, v bool) {
		mu.Lock()
		defer mu.Unlock()
		m[k] = v
	}
	for name, address := range targets {
		group.Go(func() {
			c, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
			if err == nil {
				_ = c.Close() // that it came about is all that was asked
			}
			note(out.Open, name, err == nil)
		})
	}
	for _, name := range names {
		group.Go(func() {
			_, err := net.DefaultResolver.LookupHost(ctx, name)
			note(out.Resolved, name, err == nil)
		})
	}
	group.Wait()
	return out
}
