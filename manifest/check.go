package manifest

import (
	"fmt"
	"slices"
	"strings"

	manifesttypes "berth.dev/berth/manifest/types"
	deploymenttypes "berth.dev/berth/x/deployment/types"
	providertypes "berth.dev/berth/x/provider/types"
)

// EndpointKinds lists what the exposed ports of a service need of its provider, sorted: one entry for each port that
// anyone may connect to. http and https ports are routed by host name (https by the server name of TLS) and share
// the provider's ports; tcp and udp ports need a port of the provider each.
func EndpointKinds(exposes []manifesttypes.Expose) []deploymenttypes.EndpointKind {
	var kinds []deploymenttypes.EndpointKind
	for _, e := range exposes {
		if !Public(e) {
			continue
		}
		if LeasedIP(e) != "" {
			kinds = append(kinds, deploymenttypes.ENDPOINT_KIND_IP)
		}
		switch e.Proto {
		case manifesttypes.PROTO_HTTP, manifesttypes.PROTO_HTTPS:
			kinds = append(kinds, deploymenttypes.ENDPOINT_KIND_HTTP)
		default:
			kinds = append(kinds, deploymenttypes.ENDPOINT_KIND_PORT)
		}
	}
	slices.Sort(kinds)
	return kinds
}

// Public tells whether anyone may connect to an exposed port from anywhere: global, and no service is named.
func Public(e manifesttypes.Expose) bool {
	return slices.ContainsFunc(e.To, func(t manifesttypes.To) bool { return t.Global && t.Service == "" })
}

// LeasedIP is the name of the leased address at which anyone may connect to an exposed port; empty for none.
func LeasedIP(e manifesttypes.Expose) string {
	for _, t := range e.To {
		if t.Global && t.Service == "" {
			return t.Ip
		}
	}
	return ""
}

// paused tells whether a service is a task that is kept without being run: nothing is paid for it.
func paused(s manifesttypes.Service) bool { return s.Cron != nil && s.Cron.Suspended }

// Check verifies that a group asks its provider for exactly what its spec on chain pays for: the same name, and for
// each resource unit services of its size whose counts and endpoints add up to the unit's. A suspended task has no
// unit, and hooks run within their service's. Its error lists every difference and is an ErrGroupMismatch.
func Check(g manifesttypes.Group, spec deploymenttypes.GroupSpec) error {
	var found mismatches
	if g.Name != spec.Name {
		found.addf("group is named %q, on chain %q", g.Name, spec.Name)
	}
	units := make(map[uint32]deploymenttypes.ResourceUnit, len(spec.Units))
	for _, u := range spec.Units {
		units[u.Id] = u
	}
	used := make(map[uint32]*demand, len(spec.Units))
	for _, s := range g.Services {
		if paused(s) && s.UnitId == 0 {
			continue
		}
		unit, ok := units[s.UnitId]
		if !ok {
			found.addf("service %q: unit %d is not on chain", s.Name, s.UnitId)
			continue
		}
		if used[s.UnitId] == nil {
			used[s.UnitId] = &demand{}
		}
		used[s.UnitId].add(s)
		found.compare(s, unit)
	}
	for _, u := range spec.Units {
		if used[u.Id] == nil {
			found.addf("unit %d is used by no service", u.Id)
			continue
		}
		found.compareTotal(*used[u.Id], u)
	}
	if len(found) == 0 {
		return nil
	}
	return fmt.Errorf("check group %q: %s: %w", g.Name, strings.Join(found, "; "), ErrGroupMismatch)
}

// demand is what the services of one unit ask for together.
type demand struct {
	services []string
	count    uint64
	kinds    []deploymenttypes.EndpointKind
}

func (d *demand) add(s manifesttypes.Service) {
	d.services = append(d.services, s.Name)
	d.count += uint64(s.Count)
	d.kinds = append(d.kinds, EndpointKinds(s.Expose)...)
}

type mismatches []string

func (m *mismatches) addf(format string, args ...any) { *m = append(*m, fmt.Sprintf(format, args...)) }

// compare lists the differences between a service and its unit.
func (m *mismatches) compare(s manifesttypes.Service, u deploymenttypes.ResourceUnit) {
	number := func(what string, got, want uint64) {
		if got != want {
			m.addf("service %q: %s is %d, on chain %d", s.Name, what, got, want)
		}
	}
	number("cpu_milli", s.CpuMilli, u.CpuMilli)
	number("memory_bytes", s.MemoryBytes, u.MemoryBytes)
	number("gpu", uint64(s.Gpu), uint64(u.Gpu.Count))
	if !sameAttributes(s.GpuAttributes, u.Gpu.Attributes) {
		m.addf("service %q: gpu attributes differ from those on chain", s.Name)
	}
	m.compareVolumes(s, u)
}

// compareTotal lists the differences between what the services of a unit ask for together and the unit.
func (m *mismatches) compareTotal(d demand, u deploymenttypes.ResourceUnit) {
	who := fmt.Sprintf("service %q", strings.Join(d.services, "+"))
	if d.count != uint64(u.Count) {
		m.addf("%s: count is %d, on chain %d", who, d.count, u.Count)
	}
	want := make([]deploymenttypes.EndpointKind, 0, len(u.Endpoints))
	for _, e := range u.Endpoints {
		want = append(want, e.Kind)
	}
	slices.Sort(want)
	slices.Sort(d.kinds)
	if !slices.Equal(d.kinds, want) {
		m.addf("%s: its exposed ports need the endpoints %v, on chain %v", who, d.kinds, want)
	}
}

func (m *mismatches) compareVolumes(s manifesttypes.Service, u deploymenttypes.ResourceUnit) {
	if len(s.Volumes) != len(u.Storage) {
		m.addf("service %q: %d volumes, on chain %d", s.Name, len(s.Volumes), len(u.Storage))
		return
	}
	for i, v := range s.Volumes {
		w := u.Storage[i]
		if v.Name != w.Name || v.Bytes != w.Bytes || !sameAttributes(v.Attributes, w.Attributes) {
			m.addf("service %q: volume %d is %q of %d bytes, on chain %q of %d bytes, or their attributes differ",
				s.Name, i+1, v.Name, v.Bytes, w.Name, w.Bytes)
		}
	}
}

func sameAttributes(a []manifesttypes.Attribute, b []providertypes.Attribute) bool {
	return slices.EqualFunc(a, b, func(x manifesttypes.Attribute, y providertypes.Attribute) bool {
		return x.Key == y.Key && x.Value == y.Value
	})
}
