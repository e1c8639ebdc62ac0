package explain

import (
	"cmp"
	"slices"

	"berth.dev/berth/manifest"
	manifesttypes "berth.dev/berth/manifest/types"
	"berth.dev/berth/sdl"
)

// Door is an exposed port of a service in one placement, with those who may connect to it.
type Door struct {
	Group   string `json:"placement"`
	Service string `json:"service"`
	// Port is the one that other services use, together with the service's name; ContainerPort is where the container listens.
	Port          uint32 `json:"port"`
	ContainerPort uint32 `json:"container_port"`
	Proto         string `json:"proto"`
	// Public means that anyone may connect, from anywhere. Hosts are the names under which a public http or https port is
	// reached, beside the one that the provider makes; Address is the leased address of a public port.
	Public  bool     `json:"anyone"`
	Hosts   []string `json:"hosts"`
	Address string   `json:"leased_address,omitempty"`
	// Clients are the services that may connect and are deployed where they can, sorted.
	Clients []Client `json:"clients"`
}

// Client is a service of a placement that may connect to a door.
type Client struct {
	Group   string `json:"placement"`
	Service string `json:"service"`
	// Link means that it is in another placement, hence reaches the door over a link between providers.
	Link bool `json:"link"`
}

// Closed tells whether nobody may connect.
func (d Door) Closed() bool { return !d.Public && len(d.Clients) == 0 }

// Connection is a client of one port.
type Connection struct {
	// FromGroup and FromService are the client; both are empty for anyone.
	FromGroup   string `json:"from_placement,omitempty"`
	FromService string `json:"from_service,omitempty"`
	ToGroup     string `json:"to_placement"`
	ToService   string `json:"to_service"`
	Port        uint32 `json:"port"`
	Proto       string `json:"proto"`
	Link        bool   `json:"link"`
}

// Doors lists the exposed ports of a plan by group, service and place in the document.
func Doors(p *sdl.Plan) []Door {
	in := map[string][]string{}
	for _, g := range p.Manifests {
		for _, s := range g.Services {
			in[s.Name] = append(in[s.Name], g.Name)
		}
	}
	out := []Door{}
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
	d := Door{
		Group: group, Service: service, Port: e.As, ContainerPort: e.Port, Proto: sdl.ProtoName(e.Proto),
		Hosts: list(e.Accept), Address: manifest.LeasedIP(e), Clients: []Client{},
	}
	for _, t := range e.To {
		if t.Service == "" {
			d.Public = d.Public || t.Global
			continue
		}
		for _, g := range in[t.Service] {
			if g == group || t.Global {
				d.Clients = append(d.Clients, Client{Group: g, Service: t.Service, Link: g != group})
			}
		}
	}
	slices.SortFunc(d.Clients, compareClients)
	d.Clients = slices.Compact(d.Clients)
	return d
}

// compareClients puts those of the same placement first.
func compareClients(a, b Client) int {
	if a.Link != b.Link {
		if b.Link {
			return -1
		}
		return 1
	}
	return cmp.Or(cmp.Compare(a.Group, b.Group), cmp.Compare(a.Service, b.Service))
}

// Connections lists who may connect to what, one entry for each port and client, in the order of the doors.
func Connections(doors []Door) []Connection {
	out := []Connection{}
	for _, d := range doors {
		to := Connection{ToGroup: d.Group, ToService: d.Service, Port: d.Port, Proto: d.Proto}
		if d.Public {
			out = append(out, to)
		}
		for _, c := range d.Clients {
			to.FromGroup, to.FromService, to.Link = c.Group, c.Service, c.Link
			out = append(out, to)
		}
	}
	return out
}
