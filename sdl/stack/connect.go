package stack

import (
	"fmt"
	"slices"
	"strings"

	"berth.dev/berth/manifest"
	manifesttypes "berth.dev/berth/manifest/types"
	"berth.dev/berth/sdl"
	"berth.dev/berth/sdl/doc"
)

// exposes checks that the clients of exposed ports exist, and that no port is offered twice.
func (v *resolver) exposes() {
	for i := range v.Services {
		s := &v.Services[i]
		first := make(map[[2]uint32]int, len(s.Expose))
		kept := s.Expose[:0]
		for j := range s.Expose {
			e := s.Expose[j]
			for _, t := range e.To {
				v.client(s, t)
			}
			door := [2]uint32{e.As, 0}
			if isUDP(&e) {
				door[1] = 1
			}
			other, twice := first[door]
			if !twice || e.As == 0 {
				first[door] = len(kept)
				kept = append(kept, e)
				continue
			}
			if !v.join(s, &kept[other], e) {
				kept = append(kept, e)
			}
		}
		s.Expose = kept
	}
}

// join reports a port that is offered twice. Where the format allows it and the two differ in their clients only, they
// become one.
func (v *resolver) join(s *Service, into *Expose, e Expose) bool {
	d := e.At.Problem("E-PORT-DUPLICATE", "service %q exposes port %d in line %d already", s.Name, e.As, into.At.Line()).
		WithHint("list all clients of a port under one to")
	if !v.JoinPorts || into.Port != e.Port || into.Proto != e.Proto {
		v.Report(d)
		return false
	}
	d.Code, d.Message = "W-PORT-DUPLICATE", fmt.Sprintf("service %q exposes port %d twice; the other time at %s", s.Name, e.As, into.At.Path())
	v.Warn(d)
	into.To = append(into.To, e.To...)
	into.Accept = append(into.Accept, e.Accept...)
	if into.HTTP == nil {
		into.HTTP = e.HTTP
	}
	return true
}

func isUDP(e *Expose) bool { return e.Proto == manifesttypes.PROTO_UDP }

func (v *resolver) client(s *Service, t To) {
	if t.Service.At == nil {
		return
	}
	if v.services[t.Service.Name] == nil {
		v.unknown("E-UNKNOWN-SERVICE", "service", t.Service.At, t.Service.Name, v.serviceNames, s.Name)
		return
	}
	here, there := v.where[s.Name], v.where[t.Service.Name]
	if t.Global || len(here) == 0 || len(there) == 0 {
		return
	}
	if !slices.ContainsFunc(here, func(p string) bool { return slices.Contains(there, p) }) {
		v.Warn(t.Service.At.Problem("W-NO-CLIENT", "service %q shares no placement with %q, so that none of its instances can connect",
			t.Service.Name, s.Name).WithHint("add global: true to let it connect from other placements"))
	}
}

// hosts checks that a host name leads to one port. The same name may lead to one http and one https port.
func (v *resolver) hosts() {
	type claim struct {
		Ref
		proto manifesttypes.Proto
	}
	var claims []claim
	for _, s := range v.Services {
		for _, e := range s.Expose {
			for _, h := range e.Accept {
				claims = append(claims, claim{h, e.Proto})
			}
		}
	}
	slices.SortStableFunc(claims, func(a, b claim) int { return doc.ByPlace(a.At, b.At) })
	type door struct {
		host  string
		proto manifesttypes.Proto
	}
	first := make(map[door]*doc.Node, len(claims))
	for _, c := range claims {
		d := door{c.Name, c.proto}
		if other, twice := first[d]; twice {
			v.Report(c.At.Problem("E-HOST-DUPLICATE", "host %s is accepted in %s already", c.At.Show(), other.Place(c.At)).
				WithHint("a host name leads to one port of one service"))
			continue
		}
		first[d] = c.At
	}
}

// dependencies checks that services wait for services that exist, that are deployed where they can be reached, and
// that no service waits for itself.
func (v *resolver) dependencies() {
	edges := make(map[string][]string, len(v.Services))
	for _, s := range v.Services {
		edges[s.Name] = nil
		for _, d := range s.DependsOn {
			switch target := v.services[d.Name]; {
			case target == nil:
				v.unknown("E-UNKNOWN-SERVICE", "service", d.At, d.Name, v.serviceNames, s.Name)
			case len(v.where[d.Name]) == 0 && v.Incomplete():
				edges[s.Name] = append(edges[s.Name], d.Name)
			case len(v.where[d.Name]) == 0 && len(v.where[s.Name]) > 0:
				v.Report(d.At.Problem("E-DEPENDS-UNDEPLOYED", "service %q depends on %q, which is not deployed", s.Name, d.Name).
					WithHint("add " + d.Name + " to deployment"))
			default:
				edges[s.Name] = append(edges[s.Name], d.Name)
				v.reachable(s, d, target)
			}
		}
	}
	v.cycles(edges)
}

// reachable checks that each placement of a service holds the service that it depends on, or may reach it elsewhere.
func (v *resolver) reachable(s Service, d Ref, target *Service) {
	linked := slices.ContainsFunc(target.Expose, func(e Expose) bool {
		return slices.ContainsFunc(e.To, func(t To) bool { return t.Global && t.Service.Name == s.Name })
	})
	if linked {
		return
	}
	for _, p := range v.where[s.Name] {
		if !slices.Contains(v.where[d.Name], p) {
			v.Report(d.At.Problem("E-DEPENDS-GROUP", "service %q in placement %q depends on %q, which runs in %s only and does not let it connect from there",
				s.Name, p, d.Name, strings.Join(v.where[d.Name], ", ")).
				WithHint("expose a port of " + d.Name + " to {service: " + s.Name + ", global: true}"))
			return
		}
	}
}

// cycles reports each circle of dependencies once, at the dependency that closes it. Of very many it reports some.
func (v *resolver) cycles(edges map[string][]string) {
	const most = 20
	for range most {
		cycle := manifest.Cycle(edges)
		if cycle == nil {
			return
		}
		last, first := cycle[len(cycle)-2], cycle[0]
		for _, d := range v.services[last].DependsOn {
			if d.Name == first {
				v.Report(d.At.Problem("E-DEPENDS-CYCLE", "services depend on each other in a circle: %s", trail(cycle)).
					WithHint("remove one of the dependencies"))
				break
			}
		}
		edges[last] = slices.DeleteFunc(edges[last], func(n string) bool { return n == first })
	}
}

// trail writes a circle, without its middle if it is long.
func trail(names []string) string {
	const most = 12
	if len(names) > most {
		names = slices.Concat(names[:most-2], []string{"..."}, names[len(names)-1:])
	}
	return strings.Join(names, " -> ")
}

// edgesOf lists the connections of a group with other groups, sorted. When there are far too many, it stops and the
// list is merely too long.
func (v *resolver) edgesOf(group string) []manifesttypes.Edge {
	var out []manifesttypes.Edge
	for i := range v.Services {
		target := &v.Services[i]
		for _, e := range target.Expose {
			for _, t := range e.To {
				if t.Global && t.Service.At != nil {
					out = v.edges(out, group, t.Service.Name, target.Name, e.As)
				}
				if len(out) > 2*manifest.MaxEdges {
					return out
				}
			}
		}
	}
	return manifest.SortEdges(out)
}

// edges adds the connections from one service to a port of another that have one end in a group.
func (v *resolver) edges(out []manifesttypes.Edge, group, from, to string, port uint32) []manifesttypes.Edge {
	add := func(a, b string) {
		if a != b {
			out = append(out, manifesttypes.Edge{FromGroup: a, FromService: from, ToGroup: b, ToService: to, Port: port})
		}
	}
	if slices.Contains(v.where[from], group) {
		for _, b := range v.where[to] {
			add(group, b)
		}
	}
	if slices.Contains(v.where[to], group) {
		for _, a := range v.where[from] {
			add(a, group)
		}
	}
	return out
}

var kinds = map[manifesttypes.Proto]sdl.EndpointKind{
	manifesttypes.PROTO_HTTP:  sdl.EndpointHTTP,
	manifesttypes.PROTO_HTTPS: sdl.EndpointHTTP,
	manifesttypes.PROTO_TCP:   sdl.EndpointPort,
	manifesttypes.PROTO_UDP:   sdl.EndpointPort,
}
