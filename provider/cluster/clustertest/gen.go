package clustertest

import (
	"fmt"
	"slices"
	"strings"

	"pgregory.net/rapid"

	manifesttypes "berth.dev/berth/manifest/types"
	markettypes "berth.dev/berth/x/market/types"
)

// Leases draws lease ids.
func Leases() *rapid.Generator[markettypes.LeaseID] {
	return rapid.Custom(func(t *rapid.T) markettypes.LeaseID {
		address := rapid.StringMatching(`berth1[02-9ac-hj-np-z]{38,58}`)
		return markettypes.LeaseID{
			Owner: address.Draw(t, "owner"), Provider: address.Draw(t, "provider"),
			Dseq: rapid.Uint64Min(1).Draw(t, "dseq"), Gseq: rapid.Uint32Range(1, 100).Draw(t, "gseq"),
			Oseq: rapid.Uint32Range(1, 1000).Draw(t, "oseq"),
		}
	})
}

// Groups draws groups that a provider would accept: names, ports, hosts and amounts are legal, everything else is as
// odd as it may be.
func Groups() *rapid.Generator[manifesttypes.Group] {
	return rapid.Custom(func(t *rapid.T) manifesttypes.Group {
		names := rapid.SliceOfNDistinct(ServiceNames(), 1, 6, rapid.ID[string]).Draw(t, "names")
		slices.Sort(names)
		g := manifesttypes.Group{Name: "here", Salt: make([]byte, 32)}
		for i, name := range names {
			s := service(t, name, names)
			s.UnitId = uint32(i) + 1
			g.Services = append(g.Services, s)
		}
		return g
	})
}

// ServiceNames draws DNS labels that start with a letter, many of them near to what other objects are called.
func ServiceNames() *rapid.Generator[string] {
	return rapid.OneOf(
		rapid.SampledFrom([]string{"web", "db", "web-80", "web-from-db", "from", "any", "manifest", "workload", "lease", "deny-all", "allow-dns", "ports"}),
		rapid.StringMatching(`[a-z]([a-z0-9-]{0,5}[a-z0-9])?`),
		rapid.StringMatching(`[a-z][a-z0-9-]{60,61}[a-z0-9]`),
	)
}

func service(t *rapid.T, name string, names []string) manifesttypes.Service {
	s := manifesttypes.Service{
		Name:        name,
		Image:       rapid.StringMatching(`([a-z]{1,9}\.example/)?[a-z]{1,20}(:[a-z0-9.]{1,9})?`).Draw(t, "image"),
		Command:     rapid.SliceOfN(text(), 0, 3).Draw(t, "command"),
		Args:        rapid.SliceOfN(text(), 0, 3).Draw(t, "args"),
		Count:       rapid.Uint32Range(1, 50).Draw(t, "count"),
		CpuMilli:    rapid.Uint64Range(10, 512_000).Draw(t, "cpu"),
		MemoryBytes: rapid.Uint64Range(1<<20, 1<<40).Draw(t, "memory"),
		Gpu:         rapid.SampledFrom([]uint32{0, 0, 1, 8}).Draw(t, "gpu"),
	}
	for _, n := range rapid.SliceOfNDistinct(rapid.StringMatching(`[A-Za-z_][A-Za-z0-9_.-]{0,20}`), 0, 4, rapid.ID[string]).Draw(t, "env") {
		s.Env = append(s.Env, manifesttypes.EnvVar{Name: n, Value: text().Draw(t, "value")})
	}
	for i := range rapid.IntRange(0, 2).Draw(t, "volumes") {
		v := manifesttypes.Volume{Name: fmt.Sprintf("v%d", i), Bytes: rapid.Uint64Range(1<<20, 1<<40).Draw(t, "bytes")}
		if rapid.Bool().Draw(t, "mounted") {
			v.Mount = fmt.Sprintf("/data/%d", i)
			v.ReadOnly = rapid.Bool().Draw(t, "read only")
		}
		if rapid.Bool().Draw(t, "ram") {
			v.Attributes = []manifesttypes.Attribute{{Key: "class", Value: "ram"}}
		}
		s.Volumes = append(s.Volumes, v)
	}
	s.DependsOn = slices.Compact(slices.Sorted(slices.Values(rapid.SliceOfN(rapid.SampledFrom(names), 0, 2).Draw(t, "depends on"))))
	s.Expose = exposes(t, names)
	return s
}

func text() *rapid.Generator[string] {
	return rapid.Map(rapid.OneOf(
		rapid.SampledFrom([]string{"", "$(PATH)", "$$", "a=b", "--", "\n", "{{.}}", "日本"}), rapid.StringN(0, 20, -1),
	), func(s string) string { return strings.ReplaceAll(strings.ToValidUTF8(s, "?"), "\x00", "") })
}

func exposes(t *rapid.T, names []string) []manifesttypes.Expose {
	var out []manifesttypes.Expose
	ports := rapid.SliceOfNDistinct(rapid.Uint32Range(1, 65535), 0, 4, rapid.ID[uint32]).Draw(t, "ports")
	for _, as := range ports {
		e := manifesttypes.Expose{
			Port: rapid.Uint32Range(1, 65535).Draw(t, "port"), As: as,
			Proto: manifesttypes.Proto(rapid.IntRange(1, 4).Draw(t, "proto")),
		}
		if e.Proto == manifesttypes.PROTO_HTTP || e.Proto == manifesttypes.PROTO_HTTPS {
			hosts := rapid.SliceOfN(rapid.StringMatching(`[a-z0-9]([a-z0-9-]{0,9}[a-z0-9])?\.(example|test)`), 0, 20).Draw(t, "hosts")
			e.Accept = slices.Compact(slices.Sorted(slices.Values(hosts)))
		}
		clients := append([]string{"", "elsewhere"}, names...)
		for _, c := range rapid.SliceOfNDistinct(rapid.SampledFrom(clients), 0, 3, rapid.ID[string]).Draw(t, "to") {
			e.To = append(e.To, manifesttypes.To{Service: c, Global: c == "" || rapid.Bool().Draw(t, "global")})
		}
		out = append(out, e)
	}
	return out
}
