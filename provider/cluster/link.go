package cluster

import (
	"context"
	"net/netip"
	"slices"
	"strings"

	manifesttypes "berth.dev/berth/manifest/types"
	markettypes "berth.dev/berth/x/market/types"
)

// Link is a port of a service of another group of the same deployment, as some services of a lease may use it: by the
// service's name and port, through the provider, which carries each connection to the provider that runs the service.
type Link struct {
	// Service and Port are what clients connect to; both tcp and udp of the port lead to the provider.
	Service string
	Port    uint32
	// Clients are the services of the lease that may connect, sorted.
	Clients []string
	// Address is where the provider takes the connections of this link alone.
	Address netip.AddrPort
	// Ready says that an instance elsewhere takes connections now.
	Ready bool
	// Why says for people why it is not ready.
	Why string
}

// Linker is the part of a cluster that links need. Its methods may be called from several goroutines.
type Linker interface {
	// LinkAddress is the address at which pods reach this process, and from which it reaches them, as far as the
	// cluster knows; an error if it does not.
	LinkAddress(ctx context.Context) (netip.Addr, error)
	// SetLinks makes these all links of a lease. Until it was called for a lease, nothing is known of its links: those
	// that the cluster has stay, and services that wait for one go on waiting. A lease that the cluster does not hold is
	// no error: its links count once it does.
	SetLinks(ctx context.Context, lease markettypes.LeaseID, links []Link) error
	// ForgetLinks drops what SetLinks told of a lease that has ended.
	ForgetLinks(lease markettypes.LeaseID)
	// Instances are where the ready instances of a service take connections to a port of their containers; none for a
	// lease or a service that is not there.
	Instances(ctx context.Context, lease markettypes.LeaseID, service string, port uint32, udp bool) ([]netip.AddrPort, error)
	// Client tells which service of a lease connects from an address. The service is empty, and ok true, for an address
	// behind which any of them may stand, such as a node's; ok is false for the address of a stranger.
	Client(ctx context.Context, lease markettypes.LeaseID, from netip.Addr) (service string, ok bool, err error)
}

// MissingLinks says for people which links a service of a group depends on that are not ready: those to services of other
// groups that its edges lead to. Links that are not known, as before SetLinks was called, are not ready.
func MissingLinks(g manifesttypes.Group, sv manifesttypes.Service, links []Link) []string {
	var out []string
	for _, dep := range sv.DependsOn {
		if slices.ContainsFunc(g.Services, func(s manifesttypes.Service) bool { return s.Name == dep }) {
			continue
		}
		groups := groupsOf(g, sv.Name, dep)
		if len(groups) == 0 {
			continue
		}
		if why, ok := ready(sv.Name, dep, links); !ok {
			text := "link to " + dep + " in group " + strings.Join(groups, " or ")
			if why != "" {
				text += " (" + why + ")"
			}
			out = append(out, text)
		}
	}
	return out
}

// ready tells whether all links of a client to a service are ready, and there is one, and why not.
func ready(client, service string, links []Link) (why string, ok bool) {
	for _, l := range links {
		if l.Service == service && slices.Contains(l.Clients, client) {
			if !l.Ready {
				return l.Why, false
			}
			ok = true
		}
	}
	return "", ok
}

// groupsOf are the other groups in which a client may reach a service.
func groupsOf(g manifesttypes.Group, client, service string) []string {
	var groups []string
	for _, e := range g.Edges {
		if e.FromGroup == g.Name && e.FromService == client && e.ToService == service && !slices.Contains(groups, e.ToGroup) {
			groups = append(groups, e.ToGroup)
		}
	}
	return groups
}
