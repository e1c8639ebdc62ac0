package kube

import (
	"encoding/json"
	"fmt"
	"math/bits"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	manifesttypes "berth.dev/berth/manifest/types"
	"berth.dev/berth/provider/cluster"
)

const (
	// graceSeconds is how long an instance has for its end, the drain included.
	graceSeconds = 30
	// maxDrainSeconds leaves an instance some time to end after the drain.
	maxDrainSeconds = 20
)

// deployment renders a service's instances. A rollout starts an instance before it ends one, so that no request is
// lost and the number of ready instances never drops.
func (r *rendering) deployment(sv manifesttypes.Service) *appsv1.Deployment {
	d := &appsv1.Deployment{
		TypeMeta:   metav1.TypeMeta{APIVersion: "apps/v1", Kind: "Deployment"},
		ObjectMeta: r.meta(sv.Name, labelService, sv.Name),
		Spec: appsv1.DeploymentSpec{
			Replicas:             r.replicas(sv),
			RevisionHistoryLimit: new(int32(1)),
			Selector:             &metav1.LabelSelector{MatchLabels: r.selector(sv.Name)},
			Strategy:             appsv1.DeploymentStrategy{Type: appsv1.RollingUpdateDeploymentStrategyType},
			Template:             r.podTemplate(sv),
		},
	}
	r.markRestart(&d.Spec.Template, sv.Name)
	r.rollout(d, sv)
	return d
}

// replicas is how many instances a service may have now.
func (r *rendering) replicas(sv manifesttypes.Service) *int32 {
	if !r.starts(sv.Name) {
		return new(int32(0))
	}
	return new(int32(sv.Count))
}

// podTemplate renders an instance. Its revision label is a hash of the rest, by which the pods of the present manifest
// are known.
func (r *rendering) podTemplate(sv manifesttypes.Service) corev1.PodTemplateSpec {
	spec := corev1.PodSpec{
		ServiceAccountName:            serviceAccountName,
		AutomountServiceAccountToken:  new(false),
		EnableServiceLinks:            new(false),
		TerminationGracePeriodSeconds: new(int64(graceSeconds)),
		SecurityContext: &corev1.PodSecurityContext{
			SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
		},
		Containers: []corev1.Container{r.container(sv)},
		Volumes:    volumes(sv),
	}
	if class := r.runtimeClass(sv); class != "" {
		spec.RuntimeClassName = &class
	}
	if sv.Credentials != nil {
		spec.ImagePullSecrets = []corev1.LocalObjectReference{{Name: r.pullSecretName(sv)}}
	}
	r.place(&spec, sv)
	r.confine(&spec, sv)
	revision := digest(mustJSON(spec), 8)
	labels := with(r.labels, labelService, sv.Name, labelRevision, revision)
	return corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: spec}
}

// mustJSON encodes a value of plain fields, which cannot fail.
func mustJSON(v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("encode %T: %v", v, err))
	}
	return data
}

// rootCapabilities are what official images need that start as root, make their directories and then drop to a user of
// their own. In a user namespace they give nothing over the host.
var rootCapabilities = []corev1.Capability{
	"CHOWN", "DAC_OVERRIDE", "FOWNER", "NET_BIND_SERVICE", "SETGID", "SETUID",
}

// confine sets what an instance may do: an image whose user is known not to be root runs without any capability; any
// other runs in a user namespace, where its root is nobody on the host.
func (r *rendering) confine(spec *corev1.PodSpec, sv manifesttypes.Service) {
	security := &corev1.SecurityContext{
		AllowPrivilegeEscalation: new(false),
		Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
	}
	if user, known := r.ImageUsers[sv.Image]; known {
		spec.SecurityContext.RunAsNonRoot = new(true)
		spec.SecurityContext.RunAsUser = &user
		r.share(spec, sv, user)
	} else {
		r.shareUnknown(spec, sv)
		spec.HostUsers = new(false)
		security.Capabilities.Add = rootCapabilities
	}
	spec.Containers[0].SecurityContext = security
}

func (r *rendering) container(sv manifesttypes.Service) corev1.Container {
	c := corev1.Container{
		Name:         sv.Name,
		Image:        sv.Image,
		Command:      literal(sv.Command),
		Args:         literal(sv.Args),
		Env:          r.envVars(sv),
		Ports:        containerPorts(sv),
		Resources:    r.resources(sv),
		VolumeMounts: r.mounts(sv),
	}
	if len(sv.Expose) > 0 {
		c.Lifecycle = &corev1.Lifecycle{
			PreStop: &corev1.LifecycleHandler{Sleep: &corev1.SleepAction{Seconds: r.DrainSeconds}},
		}
	}
	probes(&c, sv)
	return c
}

// readiness connects to the first exposed port that is not udp.
func readiness(sv manifesttypes.Service) *corev1.Probe {
	for _, e := range sv.Expose {
		if e.Proto == manifesttypes.PROTO_UDP {
			continue
		}
		return &corev1.Probe{
			ProbeHandler:   corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromInt32(int32(e.Port))}},
			PeriodSeconds:  1,
			TimeoutSeconds: 1,
		}
	}
	return nil
}

// literal keeps Kubernetes from expanding $(NAME) in words that the tenant wrote for the container.
func literal(words []string) []string {
	var out []string
	for _, w := range words {
		out = append(out, strings.ReplaceAll(w, "$", "$$"))
	}
	return out
}

func containerPorts(sv manifesttypes.Service) []corev1.ContainerPort {
	type key struct {
		port  uint32
		proto corev1.Protocol
	}
	var out []corev1.ContainerPort
	seen := map[key]bool{}
	for _, e := range sv.Expose {
		k := key{e.Port, transport(e.Proto)}
		if !seen[k] {
			seen[k] = true
			out = append(out, corev1.ContainerPort{ContainerPort: int32(e.Port), Protocol: k.proto})
		}
	}
	return out
}

// The env of a service stands in a Secret, as its values may be secret. Keys are numbers, as the names of variables
// are freer than those of keys. The name of the Secret holds a hash of its content, so that a change rolls the
// instances, and an instance of the former manifest that restarts meanwhile still finds its own. It is a keyed hash:
// who may read pods but not Secrets learns nothing of the values, however weak they are.
func (r *rendering) envSecretName(sv manifesttypes.Service) string {
	if len(sv.Env) == 0 {
		return objectName("env", sv.Name, keyedDigest(r.LeaseKey, mustJSON(sv.Env), 8))
	}
	name, ok := r.shared.envs[&sv.Env[0]] // all of it belongs to one service
	if !ok {
		if r.shared.envs == nil {
			r.shared.envs = map[*manifesttypes.EnvVar]string{}
		}
		name = objectName("env", sv.Name, keyedDigest(r.LeaseKey, mustJSON(sv.Env), 8))
		r.shared.envs[&sv.Env[0]] = name
	}
	return name
}

func envKey(i int) string { return fmt.Sprintf("v%d", i) }

func (r *rendering) envSecret(sv manifesttypes.Service) *corev1.Secret {
	data := map[string][]byte{}
	for i, e := range sv.Env {
		data[envKey(i)] = []byte(e.Value)
	}
	return &corev1.Secret{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
		ObjectMeta: r.meta(r.envSecretName(sv), labelRole, roleEnv, labelService, sv.Name),
		Type:       corev1.SecretTypeOpaque,
		Data:       data,
	}
}

func (r *rendering) envVars(sv manifesttypes.Service) []corev1.EnvVar {
	var out []corev1.EnvVar
	if len(sv.Env) == 0 {
		return nil
	}
	secret := r.envSecretName(sv)
	for i, e := range sv.Env {
		out = append(out, corev1.EnvVar{Name: e.Name, ValueFrom: &corev1.EnvVarSource{
			SecretKeyRef: &corev1.SecretKeySelector{
				LocalObjectReference: corev1.LocalObjectReference{Name: secret}, Key: envKey(i),
			},
		}})
	}
	return out
}

// ram tells whether a volume is kept in memory; it counts as memory of the instance then.
func ram(v manifesttypes.Volume) bool { return attribute(v.Attributes, "class") == ramClass }

// memory is what an instance may use of a node's memory: its own, and its volumes in memory.
func memory(sv manifesttypes.Service) int64 {
	total := int64(sv.MemoryBytes)
	for _, v := range sv.Volumes {
		if ram(v) {
			total = addTimes(total, 1, int64(v.Bytes))
		}
	}
	return total
}

// storage is what an instance may write besides its volumes in memory and its persistent ones, in bytes.
func storage(sv manifesttypes.Service) int64 {
	total := int64(0)
	for _, v := range sv.Volumes {
		if !ram(v) && !persistent(v) {
			total += int64(v.Bytes)
		}
	}
	return max(total, int64(cluster.MinStorage))
}

// volumeName is the name of the volume at i in a pod; a persistent one has that of its claims' template.
func volumeName(i int, v manifesttypes.Volume) string {
	if persistent(v) {
		return claimTemplate(v.Name)
	}
	return fmt.Sprintf("v%d", i)
}

func volumes(sv manifesttypes.Service) []corev1.Volume {
	var out []corev1.Volume
	for i, v := range sv.Volumes {
		if v.Mount == "" || persistent(v) {
			continue
		}
		dir := &corev1.EmptyDirVolumeSource{SizeLimit: bytesQuantity(int64(v.Bytes))}
		if ram(v) {
			dir.Medium = corev1.StorageMediumMemory
		}
		out = append(out, corev1.Volume{Name: volumeName(i, v), VolumeSource: corev1.VolumeSource{EmptyDir: dir}})
	}
	return out
}

func bytesQuantity(n int64) *resource.Quantity { return resource.NewQuantity(n, resource.BinarySI) }

// resources are what an instance may use, and what the scheduler keeps for it: the same, so that a tenant gets what it
// pays for, whatever its neighbours do; or less where the operator sells more than there is, rounded down so that what
// fits the inventory fits the nodes.
func (r *rendering) resources(sv manifesttypes.Service) corev1.ResourceRequirements {
	list := func(o Overcommit) corev1.ResourceList {
		l := corev1.ResourceList{
			corev1.ResourceCPU:              *resource.NewMilliQuantity(part(int64(sv.CpuMilli), o.CPU), resource.DecimalSI),
			corev1.ResourceMemory:           *bytesQuantity(part(memory(sv), o.Memory)),
			corev1.ResourceEphemeralStorage: *bytesQuantity(part(storage(sv), o.Storage)),
		}
		if sv.Gpu > 0 {
			l[r.devices(sv).kind.Resource] = *resource.NewQuantity(int64(sv.Gpu), resource.DecimalSI)
		}
		return l
	}
	return corev1.ResourceRequirements{Requests: list(r.Overcommit), Limits: list(Overcommit{})}
}

// part is what is asked for of x when so many thousandths of what there is are sold; at least 1.
func part(x int64, thousandths uint32) int64 {
	if thousandths <= 1000 {
		return x
	}
	hi, lo := bits.Mul64(uint64(x), 1000)
	q, _ := bits.Div64(hi, lo, uint64(thousandths)) // x has 63 bits: hi is below 1000
	return max(1, int64(q))
}
