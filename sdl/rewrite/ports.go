package rewrite

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	manifesttypes "berth.dev/berth/manifest/types"
	"berth.dev/berth/sdl"
)

// The ports that clients use for http and https, unless they are told others.
const (
	httpPort  = "80"
	httpsPort = "443"
)

// port converts an exposed port. Versions 2 have tcp and udp only; what is tcp, open to anyone and at port 80 for
// clients is routed by host name.
func (u *upgrade) port(at *place) {
	v := at.value
	port := v.textOf("port")
	as, proto := cmp.Or(v.textOf("as"), port), v.textOf("proto")
	if proto == "" {
		proto = map[string]string{httpPort: "http", httpsPort: "https"}[port]
	}
	byHost := proto == "http" || proto == "https"
	switch {
	case v.public():
		u.publicPort(at, as, proto)
	case byHost:
		u.lost[u.source(at)] = true
		u.warn(u.pick(at, "proto", "the port is "+proto+" in version 1.0 and tcp in version "+u.to+"; for services that connect to it that is the same"))
	}
	if e := v.find("proto"); byHost && e != nil && !e.value.empty() {
		v.set("proto", "tcp")
	}
}

// publicPort converts a port that anyone may connect to.
func (u *upgrade) publicPort(at *place, as, proto string) {
	switch {
	case proto == "http" && as != httpPort:
		u.loses(at, "as", "http is at port 80 for all clients in version "+u.to+": services that use port "+as+" would find nothing there",
			"say as: 80 if no service uses port "+as)
		at.value.set("as", httpPort)
	case proto == "https":
		u.loses(at, "proto", "version "+u.to+" passes no https through by its host name: clients would find the port at another one, that the provider chooses",
			"serve http at port 80, or stay with version 1.0")
		if as == httpPort {
			u.loses(at, "as", "version "+u.to+" routes what clients see as port 80 by host name: it would be http", "choose another as")
		}
	case proto != "http" && as == httpPort:
		u.loses(at, "as", "version "+u.to+" routes what clients see as port 80 by host name: the port would be http, and have none of its own",
			"say proto: http if it is, or choose another as")
	}
}

// loses reports that a port will not be what it was, at one of its keys.
func (u *upgrade) loses(at *place, key, message, hint string) {
	u.lost[u.source(at)] = true
	u.lose(u.pick(at, key, message).WithHint(hint))
}

// source is the node that a port was read from.
func (u *upgrade) source(at *place) *yaml.Node {
	if n := u.origin[at.value.node]; n != nil {
		return n
	}
	return at.value.node
}

// pick is a diagnostic at a key of a port or, if it has no such key, at its number.
func (u *upgrade) pick(at *place, key, message string) sdl.Diagnostic {
	for _, key := range []string{key, "port"} {
		if e := at.value.find(key); e != nil && e.value.node.Line > 0 {
			return u.place(e.value.node, at.path+"."+key, message)
		}
	}
	return u.place(at.value.node, at.path, message)
}

// scalarOf is the scalar that a key leads to, or nil.
func (v *value) scalarOf(key string) *yaml.Node {
	kid := v.get(key)
	if kid == nil {
		return nil
	}
	if n := deref(kid.node); n.Kind == yaml.ScalarNode {
		return n
	}
	return nil
}

// textOf is the text that a key leads to, empty if there is nothing.
func (v *value) textOf(key string) string {
	if n := v.scalarOf(key); n != nil && n.ShortTag() != "!!null" {
		return n.Value
	}
	return ""
}

// set gives a key a text.
func (v *value) set(key, text string) {
	e := v.find(key)
	if e == nil {
		v.entries = append(v.entries, keyed(key, scalar(text)))
		return
	}
	props, old := e.value.props, e.value.node
	e.value = scalar(text)
	e.value.props, e.value.node.Anchor = props, old.Anchor
	e.value.node.Line, e.value.node.Column = old.Line, old.Column
}

// public tells whether anyone may connect to a port.
func (v *value) public() bool {
	to := v.get("to")
	if to == nil {
		return false
	}
	list := deref(to.node)
	return list.Kind == yaml.SequenceNode && slices.ContainsFunc(list.Content, func(n *yaml.Node) bool {
		global, service := get(n, "global"), get(n, "service")
		return global != nil && strings.EqualFold(global.Value, "true") && (service == nil || service.ShortTag() == "!!null")
	})
}

// compare reports where a plan differs from the one before, but for ports of which that was said, and for units that
// services share.
func (c *converter) compare(a, b *sdl.Plan) {
	if len(a.Groups) != len(b.Groups) || a.Reclaim != b.Reclaim {
		c.refuse(c.at("deployment", "the result would ask for other things in version "+c.to))
		return
	}
	for i := range a.Groups {
		c.compareGroup(a, b, i)
	}
}

func (c *converter) compareGroup(a, b *sdl.Plan, i int) {
	ga, gb, ma, mb := a.Groups[i], b.Groups[i], a.Manifests[i], b.Manifests[i]
	if ga.Name != gb.Name || !slices.Equal(ga.Attributes, gb.Attributes) || !slices.Equal(ga.SignedBy.AllOf, gb.SignedBy.AllOf) ||
		!slices.Equal(ga.SignedBy.AnyOf, gb.SignedBy.AnyOf) || len(ma.Services) != len(mb.Services) {
		c.refuse(c.at("profiles.placement"+under(ga.Name), "the placement would ask for another provider in version "+c.to))
		return
	}
	changed := false
	for j := range ma.Services {
		sa, sb := ma.Services[j], mb.Services[j]
		ra, paidA := ga.Unit(sa)
		rb, paidB := gb.Unit(sb)
		path := "services" + under(sa.Name)
		changed = c.comparePorts(path, sa, sb) || changed
		sa.Expose, sb.Expose, sa.UnitId, sb.UnitId = nil, nil, 0, 0
		if sa.String() != sb.String() {
			c.refuse(c.at(path, "the service would not be the same in version "+c.to))
		}
		if paidA != paidB || !sameResource(ra, rb) {
			c.refuse(c.at("deployment"+under(sa.Name)+under(ga.Name), "the service would get other resources, or at another price, in version "+c.to))
		}
	}
	if !changed && (!sameEndpoints(ga, gb) || !slices.Equal(ma.Edges, mb.Edges)) {
		c.refuse(c.at("profiles.placement"+under(ga.Name), "the connections of the placement would not be the same in version "+c.to))
	}
}

// comparePorts refuses a port that would be another one, and tells whether one was lost, which was said before.
func (c *converter) comparePorts(path string, a, b manifesttypes.Service) (lost bool) {
	for k := range a.Expose {
		at := path + ".expose[" + strconv.Itoa(k) + "]"
		if c.lost[c.node(at)] {
			lost = true
		} else if k >= len(b.Expose) || a.Expose[k].String() != b.Expose[k].String() {
			c.refuse(c.at(at, "the port would not be the same in version "+c.to))
		}
	}
	return lost
}

// sameResource tells whether instances of two units get the same for the same price.
func sameResource(a, b sdl.Resource) bool {
	sameVolume := func(a, b sdl.Volume) bool {
		return a.Name == b.Name && a.Bytes == b.Bytes && slices.Equal(a.Attributes, b.Attributes)
	}
	return a.CPUMilli == b.CPUMilli && a.MemoryBytes == b.MemoryBytes && slices.EqualFunc(a.Storage, b.Storage, sameVolume) &&
		a.GPU == b.GPU && slices.Equal(a.GPUAttributes, b.GPUAttributes) && samePrice(a, b) && a.Denom == b.Denom
}

// samePrice tells whether two prices are equal, or both open.
func samePrice(a, b sdl.Resource) bool {
	return a.Open() && b.Open() || !a.Open() && !b.Open() && a.Price.Equal(b.Price)
}

// sameEndpoints tells whether two groups need the same endpoints, in whichever units.
func sameEndpoints(a, b sdl.Group) bool {
	all := func(g sdl.Group) (kinds []sdl.EndpointKind, leased []uint32) {
		for _, r := range g.Resources {
			kinds, leased = append(kinds, r.Endpoints...), append(leased, r.LeasedIPs...)
		}
		slices.Sort(kinds)
		slices.Sort(leased)
		return kinds, leased
	}
	ka, la := all(a)
	kb, lb := all(b)
	return slices.Equal(ka, kb) && slices.Equal(la, lb)
}
