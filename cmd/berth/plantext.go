package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	sdk "github.com/cosmos/cosmos-sdk/types"

	manifesttypes "berth.dev/berth/manifest/types"
	"berth.dev/berth/sdl"
	"berth.dev/berth/sdl/explain"
	"berth.dev/berth/sdl/quantity"
	"berth.dev/berth/tenant"
)

// writePlan writes a plan for people. Values of environment variables are left out.
func writePlan(w io.Writer, p *sdl.Plan, blockTime time.Duration) error {
	var b strings.Builder
	var prices []tenant.Price
	for i, g := range p.Groups {
		amount, denom := explain.MaxPrice(g)
		price := tenant.Price{DecCoin: sdk.DecCoin{Denom: denom, Amount: amount}}
		prices = append(prices, price)
		writeGroup(&b, g, p.Manifests[i])
		fmt.Fprintf(&b, "  at most %s\n\n", costs(price, blockTime))
	}
	writeDoors(&b, explain.Doors(p), len(p.Groups) > 1)
	if len(prices) > 1 {
		sum, err := tenant.SumPrices(prices...)
		if err != nil {
			return err
		}
		fmt.Fprintf(&b, "In all, at most %s.\n", costs(sum, blockTime))
	}
	fmt.Fprintf(&b, "A month is 30 days of blocks of %s (--block-time). Bids are usually lower than these maxima.\n", blockTime)
	_, err := io.WriteString(w, b.String())
	return err
}

func costs(p tenant.Price, blockTime time.Duration) string {
	month := p.Over(tenant.Month, blockTime)
	return tenant.FormatDec(p.DecCoin) + " per block, " + tenant.FormatDec(month.DecCoin) + " per month"
}

func writeGroup(b *strings.Builder, g sdl.Group, m manifesttypes.Group) {
	fmt.Fprintf(b, "Group %s: one provider %s\n", g.Name, requirements(g))
	t := newTable("SERVICE", "IMAGE", "COUNT", "CPU", "MEMORY", "STORAGE", "MAX PRICE").alignRight(2, 3, 4, 5, 6)
	for i, r := range g.Resources {
		var storage []string
		for _, v := range r.Storage {
			storage = append(storage, quantity.FormatBytes(v.Bytes))
		}
		t.add(r.Service, m.Services[i].Image, strconv.FormatUint(uint64(r.Count), 10), quantity.FormatCPU(r.CPUMilli),
			quantity.FormatBytes(r.MemoryBytes), strings.Join(storage, "+"), tenant.FormatDec(sdk.DecCoin{Denom: r.Denom, Amount: r.Price}))
	}
	b.WriteString(t.render("  "))
	for _, s := range m.Services {
		writeDetails(b, s)
	}
}

// requirements says which providers a group accepts.
func requirements(g sdl.Group) string {
	var parts []string
	for _, a := range g.Attributes {
		parts = append(parts, a.Key+"="+a.Value)
	}
	if len(parts) == 0 {
		return "of any kind"
	}
	return "with " + printable(strings.Join(parts, ", "))
}

func writeDetails(b *strings.Builder, s manifesttypes.Service) {
	if len(s.Args) > 0 {
		fmt.Fprintf(b, "  %s runs with %s\n", s.Name, counted(len(s.Args), "argument"))
	}
	if len(s.DependsOn) > 0 {
		fmt.Fprintf(b, "  %s starts after %s\n", s.Name, strings.Join(s.DependsOn, ", "))
	}
	if len(s.Env) > 0 {
		var names []string
		for _, e := range s.Env {
			names = append(names, e.Name)
		}
		fmt.Fprintf(b, "  %s gets the variables %s\n", s.Name, strings.Join(names, ", "))
	}
}

func writeDoors(b *strings.Builder, doors []explain.Door, withGroup bool) {
	if len(doors) == 0 {
		b.WriteString("Nobody can connect to these services: none exposes a port.\n\n")
		return
	}
	b.WriteString("Who can connect to what:\n")
	t := newTable("TO", "PORT", "PROTOCOL", "FROM", "HOSTS").alignRight(1)
	for _, d := range doors {
		name := d.Service
		if withGroup {
			name = d.Group + "/" + d.Service
		}
		from := d.Clients
		if d.Public {
			from = append([]string{"anyone"}, from...)
		}
		if len(from) == 0 {
			from = []string{"nobody"}
		}
		t.add(name, strconv.FormatUint(uint64(d.Port), 10), d.Proto, strings.Join(from, ", "), strings.Join(d.Hosts, ", "))
	}
	b.WriteString(t.render("  ") + "\n")
}
