package kube

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"

	manifesttypes "berth.dev/berth/manifest/types"
	"berth.dev/berth/provider/cluster"
)

// limits of what is rendered, so that no object outgrows what the API server takes.
const (
	maxServices = 256
	maxImage    = 1024
	maxCount    = 10_000
	maxAmount   = 1 << 60 // of memory or storage, in bytes: sums of them stay far below an overflow
	maxCPUMilli = 1 << 40
)

// problems collects what cannot be honoured, each with the path of its field.
type problems []error

func (p *problems) add(field, format string, args ...any) {
	*p = append(*p, fmt.Errorf("%s: %s", field, fmt.Sprintf(format, args...)))
}

func (p *problems) addAll(field string, msgs []string) {
	for _, m := range msgs {
		p.add(field, "%s", m)
	}
}

// check returns everything in a workload that Kubernetes or this cluster cannot honour. A manifest was validated
// before it came here; nevertheless nothing that ends in a name, a port or a path is trusted.
func check(w cluster.Workload, s settings) error {
	var p problems
	if n := len(w.Group.Services); n == 0 || n > maxServices {
		p.add("services", "%d services, want 1..%d", n, maxServices)
	}
	checkLinks(&p, w.Group, s)
	names := map[string]bool{}
	for _, sv := range w.Group.Services {
		field := "services." + sv.Name
		if names[sv.Name] {
			p.add(field, "the name is used twice")
		}
		names[sv.Name] = true
		checkService(&p, field, sv, s)
	}
	checkAddresses(&p, w.Group.Services, s)
	checkRoutes(&p, w, s)
	return errors.Join(p...)
}

func checkService(p *problems, field string, sv manifesttypes.Service, s settings) {
	p.addAll(field+".name", validation.IsDNS1035Label(sv.Name))
	if sv.Image == "" || len(sv.Image) > maxImage || strings.ContainsFunc(sv.Image, notGraphic) {
		p.add(field+".image", "%.100q is not the name of an image", sv.Image)
	}
	if _, known := s.ImageUsers[sv.Image]; !known && !s.UserNamespaces {
		p.add(field+".image", "%.100q may run as root, and this cluster has no user namespaces to confine it", sv.Image)
	}
	if sv.Count < 1 || sv.Count > maxCount {
		p.add(field+".count", "%d is not in 1..%d", sv.Count, maxCount)
	}
	if sv.CpuMilli < 1 || sv.CpuMilli > maxCPUMilli {
		p.add(field+".cpu", "%d thousandths of a core is out of range", sv.CpuMilli)
	}
	if sv.MemoryBytes < 1 || sv.MemoryBytes > maxAmount {
		p.add(field+".memory", "%d bytes is out of range", sv.MemoryBytes)
	}
	checkEnv(p, field, sv.Env)
	checkVolumes(p, field, sv, s)
	checkPlace(p, field, sv, s)
	checkCredentials(p, field, sv)
	checkExpose(p, field, sv.Expose, s)
	checkAbilities(p, field, sv)
	checkCare(p, field, sv, s)
	if s.Routes == "" && slices.ContainsFunc(sv.Expose, cluster.Routed) {
		p.add(field+".expose", "this cluster has neither a Gateway nor an ingress controller for http from outside")
	}
}

// checkAbilities refuses what this driver cannot do. The plan of such a document requires attributes that its operator
// would not have claimed; what comes all the same must not be run as if it asked for less.
func checkAbilities(p *problems, field string, sv manifesttypes.Service) {
	if len(sv.Permissions) > 0 {
		p.add(field+".permissions", "this provider lets no service read its deployment")
	}
	if sv.Tee != "" {
		p.add(field+".tee", "this provider has no trusted execution")
	}
}

func notGraphic(r rune) bool { return r <= ' ' || r == 0x7f }

func checkEnv(p *problems, field string, env []manifesttypes.EnvVar) {
	seen := map[string]bool{}
	for i, e := range env {
		at := fmt.Sprintf("%s.env[%d]", field, i)
		p.addAll(at, validation.IsEnvVarName(e.Name))
		if seen[e.Name] {
			p.add(at, "%.100q is set twice", e.Name)
		}
		seen[e.Name] = true
		if strings.ContainsRune(e.Value, 0) {
			p.add(at, "the value holds a zero byte")
		}
	}
}

func checkVolumes(p *problems, field string, sv manifesttypes.Service, s settings) {
	mounts, names := map[string]bool{}, map[string]bool{}
	for i, v := range sv.Volumes {
		at := fmt.Sprintf("%s.volumes[%d]", field, i)
		if v.Bytes < 1 || v.Bytes > maxAmount {
			p.add(at, "%d bytes is out of range", v.Bytes)
		}
		if persistent(v) {
			checkPersistent(p, at, sv, v, s)
			if names[v.Name] {
				p.add(at+".name", "%.100q is used twice", v.Name)
			}
			names[v.Name] = true
		}
		switch {
		case v.Mount == "":
			continue
		case !path.IsAbs(v.Mount) || path.Clean(v.Mount) != v.Mount || v.Mount == "/" || strings.ContainsAny(v.Mount, ":\x00"):
			p.add(at+".mount", "%.100q is not an absolute path in the container", v.Mount)
		case mounts[v.Mount]:
			p.add(at+".mount", "%.100q is used twice", v.Mount)
		}
		mounts[v.Mount] = true
	}
}

func attribute(all []manifesttypes.Attribute, key string) string {
	for _, a := range all {
		if a.Key == key {
			return a.Value
		}
	}
	return ""
}

func checkExpose(p *problems, field string, expose []manifesttypes.Expose, s settings) {
	targets := map[servicePort]uint32{}
	for i, e := range expose {
		at := fmt.Sprintf("%s.expose[%d]", field, i)
		if e.Port < 1 || e.Port > 65535 {
			p.add(at+".port", "%d is not in 1..65535", e.Port)
		}
		if e.As < 1 || e.As > 65535 {
			p.add(at+".as", "%d is not in 1..65535", e.As)
		}
		if _, known := manifesttypes.Proto_name[int32(e.Proto)]; !known || e.Proto == manifesttypes.PROTO_UNSPECIFIED {
			p.add(at+".proto", "unknown protocol %d", e.Proto)
		}
		key := portOf(e)
		if port, used := targets[key]; used && port != e.Port {
			p.add(at+".as", "%d leads to port %d and to port %d", e.As, port, e.Port)
		}
		targets[key] = e.Port
		checkOptions(p, at, e, s)
		for j, host := range e.Accept {
			p.addAll(fmt.Sprintf("%s.accept[%d]", at, j), checkHost(host, s.Domain))
		}
	}
}

// checkRoutes refuses https where TLS is not passed through, and hosts for which it is not.
func checkRoutes(p *problems, w cluster.Workload, s settings) {
	for _, sv := range w.Group.Services {
		for i, e := range sv.Expose {
			if e.Proto != manifesttypes.PROTO_HTTPS || !cluster.Anyone(e) || s.Routes == "" {
				continue
			}
			at := fmt.Sprintf("services.%s.expose[%d]", sv.Name, i)
			if !s.Able.passes("x." + s.Domain) {
				p.add(at+".proto", "https: this cluster passes no TLS through to services by server name; proto tcp gets a port of its own")
				continue
			}
			for j, host := range e.Accept {
				if !s.Able.passes(host) {
					p.add(fmt.Sprintf("%s.accept[%d]", at, j), "%.100q: this cluster does not pass TLS of that name through", host)
				}
			}
		}
	}
}

// checkHost refuses host names that are none or too long for a proof, the provider's own, and those that look like a
// generated one, which may be another lease's.
func checkHost(host, domain string) []string {
	if msgs := validation.IsDNS1123Subdomain(host); len(msgs) > 0 {
		return msgs
	}
	if len(proofPrefix)+len(host) > validation.DNS1123SubdomainMaxLength {
		return []string{fmt.Sprintf("%.100s: the name is too long for the record that shows whose it is", host)}
	}
	if label, ok := strings.CutSuffix(host, "."+domain); host == domain || ok && looksGenerated(label) {
		return []string{fmt.Sprintf("%s is kept for the provider and the host names that it gives", host)}
	}
	return nil
}

func looksGenerated(label string) bool {
	i := strings.LastIndexByte(label, '-')
	if i < 0 || len(label)-i-1 != 8 {
		return false
	}
	return strings.Trim(label[i+1:], "0123456789abcdef") == ""
}
