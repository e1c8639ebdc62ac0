package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	sdk "github.com/cosmos/cosmos-sdk/types"
	banktypes "github.com/cosmos/cosmos-sdk/x/bank/types"

	"berth.dev/berth/client"
	"berth.dev/berth/provider/chain"
	"berth.dev/berth/provider/daemon"
	markettypes "berth.dev/berth/x/market/types"
)

// queryTimeout bounds how long a command waits for the chain.
const queryTimeout = 30 * time.Second

// provider is access to the chain as the configured provider.
type provider struct {
	home    daemon.Home
	cfg     daemon.Config
	client  *client.Client
	reader  *chain.Reader
	address string
}

func (a *app) provider() (*provider, error) {
	home, cfg, err := a.config()
	if err != nil {
		return nil, err
	}
	kr, err := home.Keyring(cfg.Chain.KeyringBackend, a.in)
	if err != nil {
		return nil, err
	}
	c, err := cfg.Chain.Client(kr)
	if err != nil {
		return nil, err
	}
	address := cfg.Chain.Provider(c)
	return &provider{home: home, cfg: cfg, client: c, reader: chain.NewReader(c.Conn(), address), address: address}, nil
}

// statusResult is what status reports.
type statusResult struct {
	Provider string `json:"provider"`
	ChainID  string `json:"chain_id"`
	Height   int64  `json:"height"`
	Balance  string `json:"balance"`
	// Signer is the account that signs, if it is not the provider's own.
	Signer        string            `json:"signer,omitempty"`
	SignerBalance string            `json:"signer_balance,omitempty"`
	Registered    bool              `json:"registered"`
	HostURI       string            `json:"host_uri,omitempty"`
	Attributes    map[string]string `json:"attributes,omitempty"`
	Active        int               `json:"leases_active"`
	Suspended     int               `json:"leases_suspended"`
	OpenBids      int               `json:"open_bids"`
	Daemon        daemonStatus      `json:"daemon"`
}

type daemonStatus struct {
	Running          bool   `json:"running"`
	Height           int64  `json:"height,omitempty"`
	Version          string `json:"version,omitempty"`
	ClusterReachable bool   `json:"cluster_reachable"`
	Error            string `json:"error,omitempty"`
	// Figures are there when the daemon serves metrics.
	Figures *figures `json:"figures,omitempty"`
}

func (a *app) statusCommand() *cobra.Command {
	return &cobra.Command{
		Use: "status", Short: "Show the provider's record, balance, leases and whether its daemon runs", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := context.WithTimeout(cmd.Context(), queryTimeout)
			defer cancel()
			p, err := a.provider()
			if err != nil {
				return err
			}
			s, err := p.status(ctx)
			if err != nil {
				return err
			}
			return a.print(s, s.text)
		},
	}
}

func (p *provider) status(ctx context.Context) (statusResult, error) {
	out := statusResult{Provider: p.address, ChainID: p.cfg.Chain.ChainID}
	head, err := p.client.Head(ctx)
	if err != nil {
		return out, err
	}
	out.Height = head.Height
	if out.Balance, err = p.balance(ctx, p.address); err != nil {
		return out, err
	}
	if signer := p.client.Address().String(); signer != p.address {
		out.Signer = signer
		if out.SignerBalance, err = p.balance(ctx, signer); err != nil {
			return out, err
		}
	}
	record, found, err := p.reader.Provider(ctx)
	if err != nil {
		return out, err
	}
	if out.Registered = found; found {
		out.HostURI, out.Attributes = record.HostUri, make(map[string]string, len(record.Attributes))
		for _, at := range record.Attributes {
			out.Attributes[at.Key] = at.Value
		}
	}
	market, err := p.reader.Snapshot(ctx, 1, uncollected{})
	if err != nil {
		return out, err
	}
	out.OpenBids = len(market.Bids)
	for _, l := range market.Leases {
		if l.State == markettypes.LEASE_STATE_SUSPENDED {
			out.Suspended++
		} else {
			out.Active++
		}
	}
	out.Daemon = p.askDaemon(ctx)
	return out, nil
}

func (p *provider) balance(ctx context.Context, address string) (string, error) {
	res, err := banktypes.NewQueryClient(p.client.Conn()).AllBalances(ctx, &banktypes.QueryAllBalancesRequest{Address: address})
	if err != nil {
		return "", fmt.Errorf("read the balance of %s: %w", address, err)
	}
	return res.Balances.String(), nil
}

func (s statusResult) text(p *page) {
	p.linef("provider\t%s", s.Provider)
	p.linef("chain\t%s at height %d", s.ChainID, s.Height)
	p.linef("balance\t%s", s.Balance)
	if s.Signer != "" {
		p.linef("signer\t%s, balance %s", s.Signer, s.SignerBalance)
	}
	if s.Registered {
		p.linef("record\t%s %v", s.HostURI, s.Attributes)
	} else {
		p.linef("record\tnone: `berth-provider run` writes it, or `init --register`")
	}
	p.linef("leases\t%d active, %d suspended", s.Active, s.Suspended)
	p.linef("open bids\t%d", s.OpenBids)
	switch d := s.Daemon; {
	case !d.Running:
		p.linef("daemon\tdoes not answer: %s", d.Error)
	case !d.ClusterReachable:
		p.linef("daemon\truns, at height %d; its cluster can't be reached", d.Height)
	default:
		p.linef("daemon\truns, at height %d", d.Height)
	}
	if s.Daemon.Figures != nil {
		s.Daemon.Figures.text(p)
	}
}

// leaseResult is one lease as leases reports it.
type leaseResult struct {
	Lease     string `json:"lease"`
	State     string `json:"state"`
	Price     string `json:"price_per_block"`
	Earned    string `json:"earned"`
	Withdrawn string `json:"withdrawn"`
	CreatedAt int64  `json:"created_at"`
	ClosedAt  int64  `json:"closed_at,omitempty"`
	Reason    string `json:"reason,omitempty"`
}

func (a *app) leasesCommand() *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use: "leases", Short: "List the provider's leases and what they have earned", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := context.WithTimeout(cmd.Context(), queryTimeout)
			defer cancel()
			p, err := a.provider()
			if err != nil {
				return err
			}
			leases, err := p.leases(ctx, all)
			if err != nil {
				return err
			}
			return a.print(leases, func(p *page) { printLeases(p, leases) })
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "closed leases too")
	return cmd
}

func (p *provider) leases(ctx context.Context, all bool) ([]leaseResult, error) {
	states := []markettypes.LeaseState{markettypes.LEASE_STATE_ACTIVE, markettypes.LEASE_STATE_RECLAIMING, markettypes.LEASE_STATE_SUSPENDED}
	if all {
		states = append(states, markettypes.LEASE_STATE_CLOSED)
	}
	out := []leaseResult{}
	for _, state := range states {
		leases, err := p.reader.Leases(ctx, state)
		if err != nil {
			return nil, err
		}
		for i := range leases {
			out = append(out, describe(&leases[i]))
		}
	}
	return out, nil
}

// stateNames and reasonNames are what people call them.
var (
	stateNames = map[markettypes.LeaseState]string{
		markettypes.LEASE_STATE_ACTIVE: "active", markettypes.LEASE_STATE_SUSPENDED: "suspended", markettypes.LEASE_STATE_CLOSED: "closed",
		markettypes.LEASE_STATE_RECLAIMING: "reclaiming",
	}
	reasonNames = map[markettypes.CloseReason]string{
		markettypes.CLOSE_REASON_TENANT: "tenant", markettypes.CLOSE_REASON_UNSTABLE: "unstable",
		markettypes.CLOSE_REASON_DECOMMISSION: "decommission", markettypes.CLOSE_REASON_MANIFEST_TIMEOUT: "manifest timeout",
		markettypes.CLOSE_REASON_INSUFFICIENT_FUNDS: "insufficient funds",
	}
)

func describe(l *markettypes.QueryLeaseResponse) leaseResult {
	return leaseResult{
		Lease: l.Lease.Id.String(), State: stateNames[l.Lease.State], Price: l.Lease.Price.String(),
		Earned: sdk.DecCoin{Denom: l.Lease.Price.Denom, Amount: l.Payment.Accrued}.String(), Withdrawn: l.Payment.Withdrawn.String() + l.Lease.Price.Denom,
		CreatedAt: l.Lease.CreatedAt, ClosedAt: l.Lease.ClosedAt, Reason: reasonNames[l.Lease.Reason],
	}
}

func printLeases(p *page, leases []leaseResult) {
	if len(leases) == 0 {
		p.linef("no leases")
		return
	}
	p.linef("LEASE\tSTATE\tPRICE/BLOCK\tEARNED\tWITHDRAWN\tSINCE\tREASON")
	for _, l := range leases {
		p.linef("%s\t%s\t%s\t%s\t%s\t%d\t%s", l.Lease, l.State, l.Price, l.Earned, l.Withdrawn, l.CreatedAt, l.Reason)
	}
}

func (a *app) withdrawCommand() *cobra.Command {
	return &cobra.Command{
		Use: "withdraw", Short: "Take out what the leases have earned", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := context.WithTimeout(cmd.Context(), 2*time.Minute)
			defer cancel()
			p, err := a.provider()
			if err != nil {
				return err
			}
			send, err := chain.NewSender(p.client, chain.SenderConfig{})
			if err != nil {
				return err
			}
			got, err := daemon.Withdraw(ctx, p.address, p.reader, p.cfg.Chain.Behalf(p.client, send))
			if err != nil {
				return err
			}
			return a.print(map[string]string{"withdrawn": got.String()}, func(p *page) {
				if got.IsZero() {
					p.linef("nothing to withdraw")
					return
				}
				p.linef("withdrawn\t%s", got)
			})
		},
	}
}

// uncollected counts open orders without keeping them.
type uncollected struct{}

// Order implements chain.Collector.
func (uncollected) Order(*markettypes.Order) {}
