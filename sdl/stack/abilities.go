package stack

import (
	"cmp"
	"slices"

	"berth.dev/berth/sdl"
)

// Attributes that a provider must have for what not every provider can do. The plan requires them, so that only able
// providers bid; docs/spec/abilities.md lists them for operators.
const (
	abilityStorage     = "ability/storage/"    // + class: persistent volumes, or class ram
	abilityArch        = "ability/arch/"       // + architecture
	abilityIP          = "ability/ip"          // leased addresses
	abilityHTTP        = "ability/http"        // settings of routes
	abilityCredentials = "ability/credentials" //nolint:gosec // images of private registries; the name of an ability, no secret
	abilityPermissions = "ability/permissions" // what a service may read of its own deployment
	abilityTEE         = "ability/tee/"        // + kind of trusted execution
)

// abilities are the keys of the attributes that the deployments of a group need.
func (v *resolver) abilities(deployments []Deployment) []string {
	var keys []string
	for _, d := range deployments {
		s, c := v.services[d.Service.Name], v.compute[d.Profile.Name]
		for _, x := range c.Volumes {
			for _, a := range x.Attributes {
				if a.Key == "class" {
					keys = append(keys, abilityStorage+a.Value)
				}
			}
		}
		if c.Arch != "" {
			keys = append(keys, abilityArch+c.Arch)
		}
		if s.Credentials != nil {
			keys = append(keys, abilityCredentials)
		}
		if len(s.Permissions) > 0 {
			keys = append(keys, abilityPermissions)
		}
		if s.TEE.Name != "" {
			keys = append(keys, abilityTEE+s.TEE.Name)
		}
		for _, e := range s.Expose {
			if e.HTTP != nil {
				keys = append(keys, abilityHTTP)
			}
			for _, t := range e.To {
				if t.IP.At != nil {
					keys = append(keys, abilityIP)
				}
			}
		}
	}
	return keys
}

// require adds attributes of these keys that are true to those that a document asks for. What the document says of a
// key itself stays.
func require(have []sdl.Attribute, keys []string) []sdl.Attribute {
	out := slices.Clone(have)
	for _, key := range keys {
		if !slices.ContainsFunc(out, func(a sdl.Attribute) bool { return a.Key == key }) {
			out = append(out, sdl.Attribute{Key: key, Value: "true"})
		}
	}
	slices.SortFunc(out, func(a, b sdl.Attribute) int { return cmp.Compare(a.Key, b.Key) })
	return out
}
