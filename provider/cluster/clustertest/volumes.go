package clustertest

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	manifesttypes "berth.dev/berth/manifest/types"
	"berth.dev/berth/provider/cluster"
	markettypes "berth.dev/berth/x/market/types"
)

// Persistent returns a persistent volume of a class that is mounted at /data.
func Persistent(name, class string, bytes uint64) manifesttypes.Volume {
	return manifesttypes.Volume{Name: name, Bytes: bytes, Mount: "/data", Attributes: []manifesttypes.Attribute{
		{Key: "class", Value: class}, {Key: "persistent", Value: "true"},
	}}
}

// keeper is a service with a persistent volume.
func (s *suite) keeper(name string) manifesttypes.Service {
	sv := Service(name, s.Image)
	sv.Volumes = append(sv.Volumes, Persistent("data", s.class(), 16<<20))
	return sv
}

func (s *suite) class() string {
	if s.StorageClass == "" {
		return "default"
	}
	return s.StorageClass
}

func (s *suite) volumes(t *testing.T, id markettypes.LeaseID) []cluster.Volume {
	t.Helper()
	all, err := s.Cluster.Volumes(t.Context(), id)
	if err != nil {
		t.Fatalf("Volumes(%s): %v", id, err)
	}
	return all
}

// sameVolumes fails unless the volumes are those that were there before, and kept as told.
func sameVolumes(t *testing.T, when string, got, before []cluster.Volume, kept bool) {
	t.Helper()
	want := slices.Clone(before)
	for i := range want {
		want[i].Kept = kept
	}
	if !slices.Equal(got, want) {
		t.Fatalf("%s: volumes are %+v, want %+v", when, got, want)
	}
}

func testVolumesLast(t *testing.T, s *suite) {
	id := s.lease(t)
	db, web := s.keeper("db"), Service("web", s.Image)
	db.Count = 2
	s.apply(t, Workload(id, db, web))
	s.awaitReady(t, id)
	first := s.volumes(t, id)
	if len(first) != 2 || first[0].ID == "" || first[0].ID == first[1].ID || first[0].Class != s.class() || first[0].Bytes != 16<<20 {
		t.Fatalf("two instances have the volumes %+v, want one each", first)
	}
	sameVolumes(t, "at the start", first, first, false)

	db.Image = s.NextImage
	db.Env = []manifesttypes.EnvVar{{Name: "MODE", Value: "next"}}
	s.apply(t, Workload(id, db, web))
	s.await(t, "the update", func() (bool, string) { return Complete(s.status(t, id)) })
	sameVolumes(t, "after an update", s.volumes(t, id), first, false)

	s.Cluster = s.Restart(t)
	sameVolumes(t, "after a restart of the provider", s.volumes(t, id), first, false)

	db.Count = 1
	s.apply(t, Workload(id, db, web))
	s.awaitReady(t, id)
	if got := s.volumes(t, id); len(got) != 2 || got[0].Kept || !got[1].Kept {
		t.Fatalf("with one instance: volumes are %+v, want the second one kept", got)
	}
	db.Count = 2

	s.apply(t, Workload(id, web))
	s.awaitReady(t, id)
	sameVolumes(t, "while their service is gone", s.volumes(t, id), first, true)

	s.apply(t, Workload(id, db, web))
	s.awaitReady(t, id)
	sameVolumes(t, "after their service came back", s.volumes(t, id), first, false)

	if err := s.Cluster.Remove(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	s.awaitGone(t, id)
	if _, err := s.Cluster.Volumes(t.Context(), id); !errors.Is(err, cluster.ErrNotFound) {
		t.Errorf("Volumes after Remove: got %v, want ErrNotFound", err)
	}
	s.apply(t, Workload(id, db, web))
	s.awaitReady(t, id)
	for _, v := range s.volumes(t, id) {
		if v.ID == first[0].ID || v.ID == first[1].ID {
			t.Errorf("a volume of a removed lease came back: %+v", v)
		}
	}
}

func testVolumeRefused(t *testing.T, s *suite) {
	id := s.lease(t)
	db, web := s.keeper("db"), Service("web", s.Image)
	held := Workload(id, db, web)
	s.apply(t, held)
	s.awaitReady(t, id)
	before := s.volumes(t, id)
	for name, change := range map[string]func(v *manifesttypes.Volume){
		"smaller":       func(v *manifesttypes.Volume) { v.Bytes-- },
		"another class": func(v *manifesttypes.Volume) { v.Attributes = Persistent("data", "beta9", 1).Attributes },
	} {
		next := db
		next.Volumes = slices.Clone(db.Volumes)
		change(&next.Volumes[len(next.Volumes)-1])
		other := web
		other.Image = s.NextImage
		if err := s.Cluster.Apply(t.Context(), Workload(id, next, other)); !errors.Is(err, cluster.ErrRefused) {
			t.Errorf("%s: got %v, want ErrRefused", name, err)
		}
		if ok, what := Complete(s.status(t, id)); !ok {
			t.Errorf("%s: what ran was disturbed: %s", name, what)
		}
		sameVolumes(t, fmt.Sprintf("after %s was refused", name), s.volumes(t, id), before, false)
		sameWorkload(t, s.list(t)[id].Workload, held)
	}
}
