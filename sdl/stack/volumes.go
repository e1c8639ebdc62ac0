package stack

import (
	"slices"

	"berth.dev/berth/manifest"
	manifesttypes "berth.dev/berth/manifest/types"
)

// mounted are a profile's volumes with the places where a service mounts them.
func mounted(volumes []manifesttypes.Volume, mounts []Mount) []manifesttypes.Volume {
	if len(mounts) == 0 {
		return volumes
	}
	out := slices.Clone(volumes)
	for i := range out {
		for _, m := range mounts {
			if m.Name == out[i].Name {
				out[i].Mount, out[i].ReadOnly = m.Path, m.ReadOnly
			}
		}
	}
	return out
}

// volumes checks that services mount volumes that their compute profiles have, and every volume that would be of no
// use otherwise, each at a place of its own.
func (v *resolver) volumes() {
	if v.tooMany() {
		return
	}
	done := map[[2]string]bool{}
	for _, d := range v.Deployments {
		s, c := v.services[d.Service.Name], v.compute[d.Profile.Name]
		if s == nil || c == nil || done[[2]string{s.Name, c.Name}] {
			continue
		}
		done[[2]string{s.Name, c.Name}] = true
		v.mounts(s, c)
		v.unmounted(s, c)
	}
	for i := range v.Services {
		v.places(&v.Services[i])
	}
}

// tooMany reports profiles with more volumes, and services with more mounts, than there can be.
func (v *resolver) tooMany() bool {
	before := v.Errors()
	for _, c := range v.Compute {
		if n := len(c.Volumes); n > manifest.MaxVolumes {
			v.Report(c.At.Key().Problem("E-LIMIT", "compute profile %q has %d volumes, at most %d are allowed", c.Name, n, manifest.MaxVolumes))
		}
	}
	for _, s := range v.Services {
		if n := len(s.Mounts); n > manifest.MaxVolumes {
			v.Report(s.At.Key().Problem("E-LIMIT", "service %q mounts %d volumes, at most %d are allowed", s.Name, n, manifest.MaxVolumes))
		}
	}
	return v.Errors() > before
}

func (v *resolver) mounts(s *Service, c *Compute) {
	names := make([]string, len(c.Volumes))
	for i, x := range c.Volumes {
		names[i] = x.Name
	}
	for _, m := range s.Mounts {
		if !slices.Contains(names, m.Name) {
			v.Report(m.At.Key().Problem("E-UNKNOWN-VOLUME", "compute profile %q of service %q has no volume %s", c.Name, s.Name, m.At.Key().Show()).
				WithAllowed(list(names)).WithSuggestion(near(m.Name, names)))
		}
	}
}

// unmounted reports volumes that a service could not reach.
func (v *resolver) unmounted(s *Service, c *Compute) {
	for _, x := range c.Volumes {
		if len(x.Attributes) == 0 || slices.ContainsFunc(s.Mounts, func(m Mount) bool { return m.Name == x.Name && (m.Path != "" || m.Unread) }) {
			continue
		}
		d := s.At.Key().Problem("E-UNMOUNTED", "service %q does not say where volume %q of compute profile %q is mounted", s.Name, x.Name, c.Name).
			WithHint("add params: {storage: {" + x.Name + ": {mount: /data}}} to the service")
		if persistent := slices.Contains(x.Attributes, manifesttypes.Attribute{Key: "persistent", Value: "true"}); !persistent {
			d.Code = "W-UNMOUNTED"
			v.Warn(d)
			continue
		}
		v.Report(d)
	}
}

// places checks that no two volumes of a service share a place.
func (v *resolver) places(s *Service) {
	first := map[string]int{}
	for _, m := range s.Mounts {
		if m.Path == "" {
			continue
		}
		if line, twice := first[m.Path]; twice {
			v.Report(m.At.Key().Problem("E-MOUNT", "%s is where the volume in line %d is mounted already", m.Path, line))
			continue
		}
		first[m.Path] = m.At.Line()
	}
}
