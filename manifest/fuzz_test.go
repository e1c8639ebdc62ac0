package manifest_test

import (
	"bytes"
	"encoding/json"
	"testing"

	"berth.dev/berth/internal/worktime"
	"berth.dev/berth/manifest"
	manifesttypes "berth.dev/berth/manifest/types"
)

// rich is a group in which everything that a group may have is there.
func rich(name string) manifesttypes.Group {
	g := group(name)
	s := &g.Services[1]
	s.Command = []string{"/bin/sh", "-c"}
	s.Gpu, s.GpuAttributes = 1, []manifesttypes.Attribute{{Key: "vendor/nvidia/model/a100", Value: "true"}}
	s.Credentials = &manifesttypes.Credentials{Host: "registry.example.com", Email: "a@example.com", Username: "me", Password: "hunter2"}
	s.Permissions = []string{"events", "logs"}
	s.Tee = "cpu"
	s.Env = append(s.Env, manifesttypes.EnvVar{Name: "TOKEN", Value: "hunter3", Secret: true})
	s.Expose[0].HttpOptions = &manifesttypes.HTTPOptions{MaxBodyBytes: 1000, ReadTimeoutMs: 1000, NextCases: []string{"error"}}
	s.Expose[0].To[0].Ip = "front"
	s.Volumes = append(s.Volumes, manifesttypes.Volume{Name: "data", Bytes: 1 << 30, Mount: "/data", ReadOnly: true,
		Attributes: []manifesttypes.Attribute{{Key: "class", Value: "beta2"}, {Key: "persistent", Value: "true"}}})
	g.Salt = salt(7)
	return g
}

// FuzzDecode holds that what Decode takes is canonical and survives all that is done with a stranger's group.
func FuzzDecode(f *testing.F) {
	for _, g := range []manifesttypes.Group{group("east"), rich("east"), cared("east"), {Name: "east"}, {}} {
		b, err := manifest.Encode(g)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
		f.Add(append(b, 0))
		f.Add(b[:len(b)/2])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		worktime.Check(t, len(b), func() {
			g, err := manifest.Decode(b)
			if err != nil {
				return
			}
			again, err := manifest.Encode(g)
			if err != nil || !bytes.Equal(again, b) {
				t.Fatalf("not canonical: %x, then %x: %v", b, again, err)
			}
			_ = manifest.Validate(g)
			_ = manifest.Check(g, specOf(group("east")))
		})
	})
}

// FuzzOpen holds that nothing but the sealed envelopes opens under a root.
func FuzzOpen(f *testing.F) {
	root, envelopes, err := manifest.Seal([]manifesttypes.Group{group("a"), group("b")}, [][]byte{salt(1), salt(2)})
	if err != nil {
		f.Fatal(err)
	}
	for _, e := range envelopes {
		wire, err := e.Marshal()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(wire)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		worktime.Check(t, len(b), func() {
			var e manifesttypes.Envelope
			if e.Unmarshal(b) != nil {
				return
			}
			if _, err := manifest.Open(e, root[:]); err != nil {
				return
			}
			if want := envelopes[e.Gseq-1]; !bytes.Equal(e.Group, want.Group) {
				t.Fatalf("opened a group that was not sealed: %x", e.Group)
			}
		})
	})
}

// FuzzDecodeSealed holds that the file of a sealed manifest, which people may have edited, is read or refused, and reads
// the same once written again.
func FuzzDecodeSealed(f *testing.F) {
	_, envelopes, err := manifest.Seal([]manifesttypes.Group{group("a")}, [][]byte{salt(1)})
	if err != nil {
		f.Fatal(err)
	}
	good, err := json.Marshal(manifest.Sealed{Owner: "berth1x", Dseq: 7, Root: "00", Salts: map[string]string{"a": "00"}, Envelopes: envelopes})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(`{"owner":"a","dseq":1,"envelopes":[{}]}`))
	f.Add([]byte(`{"owner":"a","dseq":1,"envelopes":[{}]} {}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		worktime.Check(t, len(b), func() {
			s, err := manifest.DecodeSealed(b)
			if err != nil {
				return
			}
			written, err := json.Marshal(s)
			if err != nil {
				t.Fatal(err)
			}
			again, err := manifest.DecodeSealed(written)
			if err != nil {
				t.Fatal(err)
			}
			if rewritten, err := json.Marshal(again); err != nil || !bytes.Equal(rewritten, written) {
				t.Fatalf("%s, then %s: %v", written, rewritten, err)
			}
		})
	})
}
