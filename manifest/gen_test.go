package manifest_test

import (
	"fmt"

	"pgregory.net/rapid"

	"berth.dev/berth/manifest"
	manifesttypes "berth.dev/berth/manifest/types"
	deploymenttypes "berth.dev/berth/x/deployment/types"
)

// service is a valid service.
func service(name string, unit uint32) manifesttypes.Service {
	return manifesttypes.Service{
		Name: name, Image: "berth.local/hello:1", Count: 2, UnitId: unit, CpuMilli: 100, MemoryBytes: 64 << 20,
		Args: []string{"serve"},
		Env:  []manifesttypes.EnvVar{{Name: "MODE", Value: "fast"}, {Name: "PASSWORD", Value: "hunter2"}},
		Expose: []manifesttypes.Expose{
			{Port: 8080, As: 80, Proto: manifesttypes.PROTO_HTTP, Accept: []string{"a.example.com", "b.example.com"}, To: []manifesttypes.To{{Global: true}}},
			{Port: 5432, As: 5432, Proto: manifesttypes.PROTO_TCP, To: []manifesttypes.To{{Service: "web"}, {Service: "worker", Global: true}}},
		},
		Volumes: []manifesttypes.Volume{{Name: "default", Bytes: 64 << 20}},
	}
}

// group is a valid group of two services that is joined with another group.
func group(name string) manifesttypes.Group {
	api, web := service("api", 1), service("web", 2)
	web.DependsOn = []string{"api"}
	return manifesttypes.Group{
		Name: name, Services: []manifesttypes.Service{api, web},
		Edges: []manifesttypes.Edge{{FromGroup: "other", FromService: "worker", ToGroup: name, ToService: "api", Port: 5432}},
	}
}

// specOf is what a group asks for on chain.
func specOf(g manifesttypes.Group) deploymenttypes.GroupSpec {
	spec := deploymenttypes.GroupSpec{Name: g.Name}
	for _, s := range g.Services {
		u := deploymenttypes.ResourceUnit{Id: s.UnitId, Count: s.Count, CpuMilli: s.CpuMilli, MemoryBytes: s.MemoryBytes, Gpu: deploymenttypes.GPU{Count: s.Gpu}}
		for _, v := range s.Volumes {
			u.Storage = append(u.Storage, deploymenttypes.Volume{Name: v.Name, Bytes: v.Bytes})
		}
		for _, k := range manifest.EndpointKinds(s.Expose) {
			u.Endpoints = append(u.Endpoints, deploymenttypes.Endpoint{Kind: k})
		}
		spec.Units = append(spec.Units, u)
	}
	return spec
}

func salt(seed byte) []byte {
	s := make([]byte, manifest.SaltBytes)
	for i := range s {
		s[i] = seed + byte(i)
	}
	return s
}

// groups draws groups with different names, with salts.
func groups(t *rapid.T) (gs []manifesttypes.Group, salts [][]byte) {
	n := rapid.IntRange(1, manifest.MaxGroups).Draw(t, "groups")
	for i := range n {
		g := group(fmt.Sprintf("g%d", i))
		g.Services[0].Image = rapid.StringMatching(`[a-z]{1,10}:[0-9]`).Draw(t, "image")
		g.Services[0].Env[0].Value = rapid.String().Draw(t, "value")
		gs = append(gs, g)
		salts = append(salts, rapid.SliceOfN(rapid.Byte(), manifest.SaltBytes, manifest.SaltBytes).Draw(t, "salt"))
	}
	return gs, salts
}
