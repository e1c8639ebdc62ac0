package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"berth.dev/berth/provider/chain"
)

// grant is one permission that the owner gives to the daemon's key.
type grant struct {
	Message string `json:"message"`
	Command string `json:"command"`
}

// grantsResult is what grants reports.
type grantsResult struct {
	Owner  string  `json:"owner"`
	Key    string  `json:"key"`
	Grants []grant `json:"grants"`
}

func (a *app) grantsCommand() *cobra.Command {
	return &cobra.Command{
		Use: "grants", Args: noArgs,
		Short: "Print the commands with which an owner's key lets this daemon's key act for it",
		Long: `Print the commands with which an owner's key lets this daemon's key act for it.

They are for a provider whose chain.owner is set: the owner's key stays cold and the
daemon's key bids, withdraws and closes leases by these grants. Deposits are paid by
the owner and earnings go to it; the daemon's key pays fees only. Nothing is sent.`,
		RunE: func(*cobra.Command, []string) error {
			p, err := a.provider()
			if err != nil {
				return err
			}
			key := p.client.Address().String()
			if key == p.address {
				return &usageError{fmt.Errorf("the key %q owns the provider itself; set its owner with `berth-provider init --owner ADDRESS` first", p.cfg.Chain.Key)}
			}
			res := grantsResult{Owner: p.address, Key: key}
			for _, msg := range chain.DelegatedMessages() {
				res.Grants = append(res.Grants, grant{Message: msg, Command: strings.Join([]string{
					"berthd tx authz grant", key, "generic --msg-type", msg, "--from", p.address,
					"--chain-id", p.cfg.Chain.ChainID, "--node", p.cfg.Chain.Node, "--gas auto --gas-adjustment 1.3 --gas-prices", p.cfg.Chain.GasPrices,
				}, " ")})
			}
			return a.print(res, func(out *page) {
				for _, g := range res.Grants {
					out.linef("%s", g.Command)
				}
			})
		},
	}
}
