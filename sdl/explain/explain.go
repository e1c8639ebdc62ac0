// Package explain derives from a plan what people ask about it: who can connect to what, and what it may cost.
package explain

import (
	"slices"
	"strings"

	"cosmossdk.io/math"

	manifesttypes "berth.dev/berth/manifest/types"
	"berth.dev/berth/sdl"
)

// Door is an exposed port of a service in one group, with those who may connect to it.
type Door struct {
	Group   string
	Service string
	// Port is the one that clients use.
	Port  uint32
	Proto string
	// Hosts are the names under which a public http or https port is reached, beside the one that the provider makes.
	Hosts []string
	// Clients are the services that may connect and are deployed where they can, each with its group in front where
	// that is another one; Public means that anyone else may, too.
	Clients []string
	Public  bool
}

// Doors lists the exposed ports of a plan by group, service and place in the document.
func Doors(p *sdl.Plan) []Door {
	in := map[string][]string{}
	for _, g := range p.Manifests {
		for _, s := range g.Services {
			in[s.Name] = append(in[s.Name], g.Name)
		}
	}
	var out []Door
	for _, g := range p.Manifests {
		for _, s := range g.Services {
			for _, e := range s.Expose {
				out = append(out, door(g.Name, s.Name, e, in))
			}
		}
	}
	return out
}

func door(group, service string, e manifesttypes.Expose, in map[string][]string) Door {
	d := Door{Group: group, Service: service, Port: e.As, Proto: sdl.ProtoName(e.Proto), Hosts: e.Accept}
	for _, t := range e.To {
		if t.Service == "" {
			d.Public = true
			continue
		}
		for _, g := range in[t.Service] {
			switch {
			case g == group:
				d.Clients = append(d.Clients, t.Service)
			case t.Global:
				d.Clients = append(d.Clients, g+"/"+t.Service)
			}
		}
	}
	slices.SortFunc(d.Clients, func(a, b string) int {
		// Those of the same group have no slash and come first.
		if x, y := strings.Contains(a, "/"), strings.Contains(b, "/"); x != y {
			if y {
				return -1
			}
			return 1
		}
		return strings.Compare(a, b)
	})
	return d
}

// MaxPrice is the most that a group may cost per block: the sum over its resources of price times count. The group
// has at least one resource, and all have one denom.
func MaxPrice(g sdl.Group) (amount math.LegacyDec, denom string) {
	amount = math.LegacyZeroDec()
	for _, r := range g.Resources {
		amount, denom = amount.Add(r.Price.MulInt64(int64(r.Count))), r.Denom
	}
	return amount, denom
}
