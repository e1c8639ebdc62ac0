package kube

import (
	corev1 "k8s.io/api/core/v1"

	manifesttypes "berth.dev/berth/manifest/types"
)

const (
	// volumeGroup is the group that instances write to their persistent volumes by, whoever they run as. It stands
	// within the 65536 ids of a user namespace, and images have no group of this number.
	volumeGroup int64 = 60613

	// layoutNested is a volume of which a directory is mounted. Kubernetes gives a volume to a group when its root does
	// not belong to it, with all that is below: the root stays as Kubernetes made it, and what an instance does to the
	// owner and mode of its own directory, as databases do that share it with nobody, is never undone. It also keeps
	// lost+found from programs that want an empty directory.
	layoutNested = "nested"
	nestedPath   = "data"
)

// nested tells whether a directory of a persistent volume is mounted. Volumes that were made before this was done are
// mounted as a whole for as long as they live: their data lies at the root.
func (r *rendering) nested(sv manifesttypes.Service, v manifesttypes.Volume) bool {
	for _, c := range r.Held.claims {
		if c.service == sv.Name && c.volume == v.Name {
			return c.nested
		}
	}
	return true
}

// share lets an instance write to its persistent volumes, which belong to root when they are new, by a group.
func (r *rendering) share(spec *corev1.PodSpec, sv manifesttypes.Service, group int64) {
	if !stateful(sv) {
		return
	}
	spec.SecurityContext.FSGroup = &group
	spec.SecurityContext.FSGroupChangePolicy = new(corev1.FSGroupChangeOnRootMismatch)
}

// shareUnknown is share for an instance whose user is not known. It may be root, which gives a volume to whom it likes:
// if one is mounted as a whole, a restart would give it back to the group, so that nothing is shared then.
func (r *rendering) shareUnknown(spec *corev1.PodSpec, sv manifesttypes.Service) {
	for _, v := range sv.Volumes {
		if persistent(v) && !r.nested(sv, v) {
			return
		}
	}
	r.share(spec, sv, volumeGroup)
}

func (r *rendering) mounts(sv manifesttypes.Service) []corev1.VolumeMount {
	var out []corev1.VolumeMount
	for i, v := range sv.Volumes {
		if v.Mount == "" {
			continue
		}
		m := corev1.VolumeMount{Name: volumeName(i, v), MountPath: v.Mount, ReadOnly: v.ReadOnly}
		if persistent(v) && r.nested(sv, v) {
			m.SubPath = nestedPath
		}
		out = append(out, m)
	}
	return out
}
