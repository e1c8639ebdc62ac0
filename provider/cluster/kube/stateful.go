package kube

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/validation"

	manifesttypes "berth.dev/berth/manifest/types"
)

const (
	// labelVolume and labelClass say on a claim which volume of the manifest it is, and of which class in documents.
	labelVolume = "berth.dev/volume"
	labelClass  = "berth.dev/storage-class"
	// labelKept marks claims that no instance of the manifest uses any more.
	labelKept = "berth.dev/kept"
	// labelLayout says on a claim how its volume is mounted; without it the volume is mounted as a whole.
	labelLayout = "berth.dev/volume-layout"

	// defaultClass is the class of a persistent volume that names none; ramClass is memory, and never persistent.
	defaultClass = "default"
	ramClass     = "ram"

	// maxStatefulName leaves room in labels of 63 characters for the hash of a revision and the number of an instance.
	maxStatefulName = 46
)

// storageClass is what a class in documents stands for.
type storageClass struct {
	// Name is the cluster's class.
	Name string
	// Grows says that the class lets claims grow.
	Grows bool
}

// persistent tells whether a volume outlives its instances.
func persistent(v manifesttypes.Volume) bool { return attribute(v.Attributes, "persistent") == "true" }

// classOf is the class of a persistent volume as documents name it.
func classOf(v manifesttypes.Volume) string {
	return or(attribute(v.Attributes, "class"), defaultClass)
}

// stateful tells whether a service has a persistent volume. Its instances then have names of their own that stay, and
// each has its own volumes under its name.
func stateful(sv manifesttypes.Service) bool { return slices.ContainsFunc(sv.Volumes, persistent) }

// statefulName is the name of a service's StatefulSet.
func statefulName(service string) string {
	if len(service) <= maxStatefulName {
		return service
	}
	return strings.TrimRight(service[:maxStatefulName-9], "-") + "-" + digest([]byte(service), 4)
}

// workloadKey names the object that keeps a service's instances.
func workloadKey(sv manifesttypes.Service) key {
	if stateful(sv) {
		return key{kindStatefulSet, statefulName(sv.Name)}
	}
	return key{kindDeployment, sv.Name}
}

// otherKey names the object that would keep a service's instances if it had no persistent volumes, or had some.
func otherKey(sv manifesttypes.Service) key {
	if stateful(sv) {
		return key{kindDeployment, sv.Name}
	}
	return key{kindStatefulSet, statefulName(sv.Name)}
}

// keepsInstances tells whether objects of a kind keep the instances of a service.
func keepsInstances(kind string) bool { return kind == kindDeployment || kind == kindStatefulSet }

// statefulSet renders the instances of a service with persistent volumes. An update ends an instance before it starts
// it anew, so that a volume never has two writers. Instances do not wait for each other: one that cannot become ready
// must not keep a corrected manifest from it.
func (r *rendering) statefulSet(sv manifesttypes.Service) *appsv1.StatefulSet {
	s := &appsv1.StatefulSet{
		TypeMeta:   metav1.TypeMeta{APIVersion: "apps/v1", Kind: kindStatefulSet},
		ObjectMeta: r.meta(statefulName(sv.Name), labelService, sv.Name),
		Spec: appsv1.StatefulSetSpec{
			Replicas:             r.replicas(sv),
			ServiceName:          sv.Name,
			PodManagementPolicy:  appsv1.ParallelPodManagement,
			RevisionHistoryLimit: new(int32(1)),
			MinReadySeconds:      int32(sv.MinReadySeconds),
			Selector:             &metav1.LabelSelector{MatchLabels: r.selector(sv.Name)},
			UpdateStrategy:       appsv1.StatefulSetUpdateStrategy{Type: appsv1.RollingUpdateStatefulSetStrategyType},
			PersistentVolumeClaimRetentionPolicy: &appsv1.StatefulSetPersistentVolumeClaimRetentionPolicy{
				WhenDeleted: appsv1.RetainPersistentVolumeClaimRetentionPolicyType,
				WhenScaled:  appsv1.RetainPersistentVolumeClaimRetentionPolicyType,
			},
			Template:             r.podTemplate(sv),
			VolumeClaimTemplates: r.claimTemplates(sv),
		},
	}
	r.markRestart(&s.Spec.Template, sv.Name)
	return s
}

// claimTemplate is the name of a volume's template. Kubernetes names claims TEMPLATE-SERVICE-NUMBER: the part that a
// tenant chooses is replaced by a hash of fixed length, so that no two volumes of a lease can meet under one name.
func claimTemplate(volume string) string { return "v" + digest([]byte(volume), 5) }

func (r *rendering) claimTemplates(sv manifesttypes.Service) []corev1.PersistentVolumeClaim {
	var out []corev1.PersistentVolumeClaim
	for _, v := range sv.Volumes {
		if !persistent(v) {
			continue
		}
		class := r.clusterClass(sv, v)
		labels := with(r.labels, labelService, sv.Name, labelVolume, v.Name, labelClass, classOf(v))
		if r.nested(sv, v) {
			labels[labelLayout] = layoutNested
		}
		out = append(out, corev1.PersistentVolumeClaim{
			ObjectMeta: metav1.ObjectMeta{Name: claimTemplate(v.Name), Labels: labels},
			Spec: corev1.PersistentVolumeClaimSpec{
				AccessModes:      []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
				StorageClassName: &class,
				Resources: corev1.VolumeResourceRequirements{
					Requests: corev1.ResourceList{corev1.ResourceStorage: *bytesQuantity(int64(v.Bytes))},
				},
			},
		})
	}
	return out
}

// clusterClass is the cluster's class of a volume. What was made stays where it is, also when the operator gives the
// class in documents another meaning.
func (r *rendering) clusterClass(sv manifesttypes.Service, v manifesttypes.Volume) string {
	for _, c := range r.Held.claims {
		if c.service == sv.Name && c.volume == v.Name {
			return c.storageClass
		}
	}
	return r.StorageClasses[classOf(v)].Name
}

// claim is the persistent volume of an instance as the cluster holds it.
type claim struct {
	name, service, volume string
	ordinal               int64
	class, storageClass   string // in documents, and the cluster's
	bytes                 int64
	kept, ending, nested  bool
	uid                   string
}

// claimsOf reads the claims of a lease, in the order of their names.
func claimsOf(l live) []claim {
	var out []claim
	for k, u := range l {
		if k.kind == kindClaim {
			out = append(out, readClaim(u))
		}
	}
	slices.SortFunc(out, func(a, b claim) int { return strings.Compare(a.name, b.name) })
	return out
}

func readClaim(u *unstructured.Unstructured) claim {
	labels := u.GetLabels()
	c := claim{
		name: u.GetName(), service: labels[labelService], volume: labels[labelVolume], class: labels[labelClass],
		kept: labels[labelKept] == "true", nested: labels[labelLayout] == layoutNested, ending: u.GetDeletionTimestamp() != nil, uid: string(u.GetUID()),
	}
	c.storageClass, _, _ = unstructured.NestedString(u.Object, "spec", "storageClassName")
	size, _, _ := unstructured.NestedString(u.Object, "spec", "resources", "requests", "storage")
	c.bytes = parseBytes(size)
	c.ordinal = -1
	if n, err := strconv.ParseInt(c.name[strings.LastIndexByte(c.name, '-')+1:], 10, 32); err == nil {
		c.ordinal = n
	}
	return c
}

// volumeOf is the volume of a service that a claim is for, if an instance of the service uses it.
func (c claim) volumeOf(services []manifesttypes.Service) (manifesttypes.Volume, bool) {
	for _, sv := range services {
		if sv.Name != c.service || c.ordinal < 0 || c.ordinal >= int64(sv.Count) {
			continue
		}
		for _, v := range sv.Volumes {
			if persistent(v) && v.Name == c.volume {
				return v, true
			}
		}
	}
	return manifesttypes.Volume{}, false
}

// checkPersistent refuses a persistent volume that the cluster cannot give, and one that it would have to take data from.
func checkPersistent(p *problems, at string, sv manifesttypes.Service, v manifesttypes.Volume, s settings) {
	p.addAll(at+".name", validation.IsDNS1123Label(v.Name))
	class := classOf(v)
	if v.Mount == "" {
		p.add(at+".mount", "a persistent volume needs a path in the container")
	}
	if class == ramClass {
		p.add(at, "memory is never persistent")
		return
	}
	made := false
	for _, c := range s.Held.claims {
		if c.service != sv.Name || c.volume != v.Name {
			continue
		}
		made = true
		switch {
		case c.class != class:
			p.add(at, "volume %s was made as class %s and cannot become class %s; a volume of another name can", v.Name, c.class, class)
			return
		case int64(v.Bytes) < c.bytes:
			p.add(at, "volume %s has %d bytes and cannot shrink to %d", v.Name, c.bytes, v.Bytes)
			return
		case int64(v.Bytes) > c.bytes && !s.grows(c.storageClass):
			p.add(at, "volume %s has %d bytes and cannot grow to %d: volumes of class %s keep their size", v.Name, c.bytes, v.Bytes, class)
			return
		}
	}
	if _, sold := s.StorageClasses[class]; !sold && !made {
		p.add(at, "this provider has no persistent volumes of class %q", class)
	}
}

func (s settings) grows(storageClass string) bool {
	for _, c := range s.StorageClasses {
		if c.Name == storageClass {
			return c.Grows
		}
	}
	return false
}

// storageUse sums up the persistent volumes of a lease, in bytes and in claims.
type storageUse struct {
	// wanted is what the manifest's instances use, kept what none of them uses any more; both by the cluster's class.
	wanted, kept map[string]int64
	// claims counts all of them, fresh what is to be made of them.
	claims, fresh int64
}

func total(m map[string]int64) (sum int64) {
	for _, n := range m {
		sum = addTimes(sum, 1, n)
	}
	return sum
}

func (r *rendering) storageUse() storageUse {
	u := storageUse{wanted: map[string]int64{}, kept: map[string]int64{}}
	for _, sv := range r.workload.Group.Services {
		for _, v := range sv.Volumes {
			if persistent(v) {
				class := r.clusterClass(sv, v)
				u.wanted[class] = addTimes(u.wanted[class], int64(sv.Count), int64(v.Bytes))
				u.fresh += int64(sv.Count)
				u.claims += int64(sv.Count)
			}
		}
	}
	for _, c := range r.Held.claims {
		if _, used := c.volumeOf(r.workload.Group.Services); used {
			u.fresh--
			continue
		}
		u.kept[c.storageClass] = addTimes(u.kept[c.storageClass], 1, c.bytes)
		u.claims++
	}
	return u
}

// checkKept refuses new volumes beside kept ones that together with them come to more than twice of what the lease pays
// for: volumes of services that left the manifest are never deleted, and must not be a way to any amount of storage.
func (r *rendering) checkKept() error {
	u := r.storageUse()
	if wanted, kept := total(u.wanted), total(u.kept); u.fresh > 0 && kept > wanted {
		return fmt.Errorf("services: volumes of %d bytes are kept of services that left the manifest, more than the %d bytes of the present ones: "+
			"give a service its former name to use its volumes again, or make a new lease", kept, wanted)
	}
	return nil
}

// claimPatch is a change of a claim: it grows to bytes, unless that is 0, and is marked as kept or not.
type claimPatch struct {
	name  string
	bytes int64
	kept  bool
}

// patchesOf are the changes of claims that a manifest asks for.
func patchesOf(services []manifesttypes.Service, claims []claim) []claimPatch {
	var out []claimPatch
	for _, c := range claims {
		v, used := c.volumeOf(services)
		p := claimPatch{name: c.name, kept: !used}
		if used && int64(v.Bytes) > c.bytes {
			p.bytes = int64(v.Bytes)
		}
		if !c.ending && (p.bytes > 0 || p.kept != c.kept) {
			out = append(out, p)
		}
	}
	return out
}

// fixed are the parts of a StatefulSet that Kubernetes never changes. One that needs others is made anew around its
// instances, which go on meanwhile.
var fixed = []string{"serviceName", "podManagementPolicy", "selector", "volumeClaimTemplates"}

// mustReplace tells whether a live StatefulSet has to be made anew for the rendered one.
func mustReplace(have, want *unstructured.Unstructured) bool {
	if want.GetKind() != kindStatefulSet {
		return false
	}
	for _, field := range fixed {
		h, _, _ := unstructured.NestedFieldNoCopy(have.Object, "spec", field)
		w, _, _ := unstructured.NestedFieldNoCopy(want.Object, "spec", field)
		if !covers(h, w) {
			return true
		}
	}
	return false
}
