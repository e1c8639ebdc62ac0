package kube

import (
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	manifesttypes "berth.dev/berth/manifest/types"
	"berth.dev/berth/provider/cluster/clustertest"
)

// TestVolumesAreShared: whoever an image runs as may write to its volumes by a group; volumes of before that are mounted
// as a whole stay so, and root, which has made them its own, keeps them from a group.
func TestVolumesAreShared(t *testing.T) {
	whole := held{claims: []claim{{name: "v-db-0", service: "db", volume: "data", class: "beta2", storageClass: "fast", bytes: 1 << 30}}}
	nested := held{claims: []claim{whole.claims[0]}}
	nested.claims[0].nested = true
	for name, tc := range map[string]struct {
		held    held
		user    int64 // 0 if it is not known
		group   int64 // 0 for none
		subPath string
		layout  string
	}{
		"a new volume":                      {held{}, 0, volumeGroup, nestedPath, layoutNested},
		"a new volume of a known user":      {held{}, 999, 999, nestedPath, layoutNested},
		"a volume that is there":            {nested, 0, volumeGroup, nestedPath, layoutNested},
		"a volume of before":                {whole, 0, 0, "", ""},
		"a volume of before of a known one": {whole, 999, 999, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := testSettings()
			s.StorageClasses = map[string]storageClass{"beta2": {Name: "fast"}}
			s.Held = tc.held
			if tc.user != 0 {
				s.ImageUsers = map[string]int64{"db:1": tc.user}
			}
			_, objects, err := renderTyped(clustertest.Workload(testLease, database(1)), s, allStart)
			if err != nil {
				t.Fatal(err)
			}
			var set *appsv1.StatefulSet
			for _, o := range objects {
				if found, ok := o.(*appsv1.StatefulSet); ok {
					set = found
				}
			}
			if set == nil {
				t.Fatal("there is no StatefulSet")
			}
			pod := set.Spec.Template.Spec
			var group int64
			if g := pod.SecurityContext.FSGroup; g != nil {
				group = *g
				if p := pod.SecurityContext.FSGroupChangePolicy; p == nil || *p != corev1.FSGroupChangeOnRootMismatch {
					t.Errorf("the group is given the volume again at each start: %v", p)
				}
			}
			if group != tc.group {
				t.Errorf("group %d, want %d", group, tc.group)
			}
			if mounts := pod.Containers[0].VolumeMounts; len(mounts) != 1 || mounts[0].SubPath != tc.subPath {
				t.Errorf("mounts %+v, want the volume's %q", mounts, tc.subPath)
			}
			if got := set.Spec.VolumeClaimTemplates[0].Labels[labelLayout]; got != tc.layout {
				t.Errorf("layout %q, want %q", got, tc.layout)
			}
		})
	}
}

// TestVolumesOfBeforeGoUnshared: one volume that is mounted as a whole keeps the group from all volumes of its pod, as
// Kubernetes knows no group of one volume.
func TestVolumesOfBeforeGoUnshared(t *testing.T) {
	s := testSettings()
	s.StorageClasses = map[string]storageClass{"beta2": {Name: "fast"}}
	s.Held = held{claims: []claim{{name: "v-db-0", service: "db", volume: "data", class: "beta2", storageClass: "fast", bytes: 1 << 30}}}
	db := database(1)
	db.Volumes = append(db.Volumes, clustertest.Persistent("more", "beta2", 1<<30))
	r := &rendering{settings: s, workload: clustertest.Workload(testLease, db)}
	spec := r.podTemplate(db).Spec
	if spec.SecurityContext.FSGroup != nil {
		t.Errorf("group %d, want none", *spec.SecurityContext.FSGroup)
	}
	if !r.nested(db, db.Volumes[2]) || r.nested(db, db.Volumes[1]) || r.nested(manifesttypes.Service{Name: "other"}, db.Volumes[1]) != true {
		t.Error("the layout of a volume is not that of its claim alone")
	}
}
