package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"berth.dev/berth/tenant"
)

func newCostCommand(connect connector) *cobra.Command {
	return &cobra.Command{
		Use:   "cost [DSEQ]",
		Short: "Show what a deployment costs, has cost, and how long it is funded",
		Long: "Show the money of a deployment as the chain has it: the price of each lease, what each provider has earned, what is\n" +
			"left in escrow and how long that lasts. Prices per hour, day and month (of 30 days) rest on the mean time between\n" +
			"blocks of the last minutes.",
		Args: cobra.MaximumNArgs(1),
		RunE: withSession(connect, func(ctx context.Context, s *session, args []string) error {
			dseq, err := s.dseq(ctx, args)
			if err != nil {
				return err
			}
			c, err := s.Cost(ctx, s.id(dseq))
			if err != nil {
				return err
			}
			return s.print(c, func(w io.Writer) error {
				_, err := io.WriteString(w, s.costText(c))
				return err
			})
		}),
	}
}

func (s *session) costText(c *tenant.Cost) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Deployment %d: %s\n", c.Dseq, c.State)
	t := newTable("GROUP", "PROVIDER", "STATE", "PER BLOCK", "PER DAY", "PER MONTH", "EARNED").alignRight(3, 4, 5, 6)
	for _, l := range c.Leases {
		day, month := perMonth(l.Rate.PerDay), perMonth(l.Rate.PerMonth)
		if l.Until > 0 {
			day, month = "-", "-"
		}
		t.add(l.Group, shortAddress(l.Provider), l.State, tenant.FormatDec(l.Rate.PerBlock.DecCoin), day, month, rounded(l.Earned.DecCoin))
	}
	if len(c.Leases) > 0 {
		b.WriteString(t.render("  "))
	}
	fmt.Fprintf(&b, "Costs now     %s\n", costText(c.Now.PerBlock, c.Now.PerMonth))
	fmt.Fprintf(&b, "Spent         %s\n", rounded(c.Spent.DecCoin))
	fmt.Fprintf(&b, "Escrow        %s of %s left\n", wholeUnits(c.Escrow.Spendable), tenant.FormatCoin(c.Escrow.Deposited))
	if c.State == "closed" {
		fmt.Fprintf(&b, "Refunded      %s\n", tenant.FormatCoin(c.Escrow.Refunded))
		return b.String()
	}
	fmt.Fprintf(&b, "Funded until  %s\n", momentText(c.FundedUntil, s.Clock.Now()))
	return b.String()
}
