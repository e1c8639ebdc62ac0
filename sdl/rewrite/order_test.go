package rewrite

import (
	"slices"
	"testing"

	"berth.dev/berth/sdl/doc"
	"berth.dev/berth/sdl/sdl10"
	"berth.dev/berth/sdl/sdl20"
)

// at follows keys to a form; an empty one stands for any name or entry.
func (f *form) at(path ...string) *form {
	for _, key := range path {
		if f = f.below(&entry{name: key}); f == nil {
			return keys()
		}
	}
	return f
}

// TestEveryKeyHasAPlace holds the order of keys and the keys that documents may have together.
func TestEveryKeyHasAPlace(t *testing.T) {
	one, two := sdl10.TheGrammar(), sdl20.TheGrammar()
	for _, tc := range []struct {
		shape doc.Shape
		form  *form
	}{
		{one.Service, form10.at("services", "")},
		{one.Expose, form10.at("services", "", "expose", "")},
		{one.To, form10.at("services", "", "expose", "", "to", "")},
		{one.Profiles, form10.at("profiles")},
		{one.Compute, form10.at("profiles", "compute", "")},
		{one.Placement, form10.at("profiles", "placement", "")},
		{one.Deployment, form10.at("deployment", "", "")},
		{two.Document, form20},
		{two.Service, form20.at("services", "")},
		{two.Expose, form20.at("services", "", "expose", "")},
		{two.To, form20.at("services", "", "expose", "", "to", "")},
		{two.HTTP, form20.at("services", "", "expose", "", "http_options")},
		{two.HTTP, form20.at("services", "", "expose", "", "to", "", "http_options")},
		{two.Params, form20.at("services", "", "params")},
		{two.Mount, form20.at("services", "", "params", "storage", "")},
		{two.Credentials, form20.at("services", "", "credentials")},
		{two.Profiles, form20.at("profiles")},
		{two.Compute, form20.at("profiles", "compute", "")},
		{two.Resources, form20.at("profiles", "compute", "", "resources")},
		{two.CPU, form20.at("profiles", "compute", "", "resources", "cpu")},
		{two.Volume, form20.at("profiles", "compute", "", "resources", "storage")},
		{two.VolumeAttributes, form20.at("profiles", "compute", "", "resources", "storage", "attributes")},
		{two.GPU, form20.at("profiles", "compute", "", "resources", "gpu")},
		{two.GPUAttributes, form20.at("profiles", "compute", "", "resources", "gpu", "attributes")},
		{two.GPUModel, form20.at("profiles", "compute", "", "resources", "gpu", "attributes", "vendor", "", "")},
		{two.Placement, form20.at("profiles", "placement", "")},
		{two.SignedBy, form20.at("profiles", "placement", "", "signedBy")},
		{two.Price, form20.at("profiles", "placement", "", "pricing", "")},
		{two.Deployment, form20.at("deployment", "", "")},
	} {
		want, got := slices.Sorted(slices.Values(tc.shape.Keys)), slices.Sorted(slices.Values(tc.form.keys))
		if !slices.Equal(got, want) {
			t.Errorf("%s: keys with a place are %v, want %v", tc.shape.What, got, want)
		}
	}
	for _, key := range one.Document.Keys {
		if !slices.Contains(form10.keys, key) {
			t.Errorf("section %s has no place", key)
		}
	}
}
