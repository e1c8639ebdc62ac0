package manifest

import (
	"cmp"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"unicode/utf8"

	manifesttypes "berth.dev/berth/manifest/types"
)

// Validate checks everything of a group that a provider must not take on trust, whatever program built it: names,
// images, ports, hosts, sizes, order and references. Its error lists every break of a rule and is an ErrInvalid. It
// says nothing of the chain; see Check.
func Validate(g manifesttypes.Group) error {
	var v validator
	v.run(g)
	if len(v.errs) == 0 {
		return nil
	}
	return fmt.Errorf("validate manifest: %w: %w", ErrInvalid, errors.Join(v.errs...))
}

type validator struct{ errs []error }

// The bounds of what a hostile manifest can make an error say.
const (
	maxErrors     = 100
	maxErrorBytes = 300
)

func (v *validator) addf(format string, args ...any) {
	if len(v.errs) >= maxErrors {
		return
	}
	text := fmt.Sprintf(format, args...)
	if len(text) > maxErrorBytes {
		text = strings.ToValidUTF8(text[:maxErrorBytes], "") + "..."
	}
	v.errs = append(v.errs, errors.New(text))
}

func (v *validator) require(ok bool, format string, args ...any) {
	if !ok {
		v.addf(format, args...)
	}
}

func (v *validator) count(where, what string, n, most int) bool {
	v.require(n <= most, "%s: %d %s, at most %d are allowed", where, n, what, most)
	return n <= most
}

func (v *validator) run(g manifesttypes.Group) {
	v.require(g.Size() <= MaxBytes, "%d bytes, at most %d are allowed", g.Size(), MaxBytes)
	v.require(IsGroupName(g.Name), "%q cannot name a group", g.Name)
	v.require(len(g.Salt) == 0 || len(g.Salt) == SaltBytes, "salt has %d bytes, not %d", len(g.Salt), SaltBytes)
	if n := len(g.Services); n == 0 || n > MaxServices {
		v.addf("%d services, from 1 to %d are allowed", n, MaxServices)
		return
	}
	for i, s := range g.Services {
		v.require(i == 0 || g.Services[i-1].Name < s.Name, "services are not sorted by name, or %q appears twice", s.Name)
		if paused(s) {
			v.require(s.UnitId == 0, "service %q: a suspended task needs no unit, its unit id is %d", s.Name, s.UnitId)
		} else {
			v.require(s.UnitId > 0, "service %q: unit id is 0", s.Name)
		}
		v.service(s)
	}
	v.edges(g)
	v.dependencies(g)
}

func (v *validator) service(s manifesttypes.Service) {
	where := fmt.Sprintf("service %q", s.Name)
	v.require(IsServiceName(s.Name), "%s: not a DNS label that starts with a letter", where)
	v.require(IsImage(s.Image), "%s: %q is not the reference of an image", where, s.Image)
	v.require(s.Count >= MinCount && s.Count <= MaxCount, "%s: count %d is not from %d to %d", where, s.Count, MinCount, MaxCount)
	v.require(s.CpuMilli >= MinCPUMilli && s.CpuMilli <= MaxCPUMilli, "%s: %d milli-cpu are not from %d to %d", where, s.CpuMilli, MinCPUMilli, MaxCPUMilli)
	v.require(s.MemoryBytes >= MinMemoryBytes && s.MemoryBytes <= MaxMemoryBytes, "%s: %d bytes of memory are out of range", where, s.MemoryBytes)
	v.require(s.Gpu <= MaxGPU, "%s: %d gpus, at most %d are allowed", where, s.Gpu, MaxGPU)
	v.require(s.Gpu > 0 || len(s.GpuAttributes) == 0, "%s: gpu attributes without a gpu", where)
	v.attributes(where, s.GpuAttributes)
	v.words(where, "command", s.Command)
	v.words(where, "args", s.Args)
	v.env(where, s.Env)
	v.exposes(where, s.Expose)
	v.volumes(where, s.Volumes)
	v.extras(where, s)
	v.care(where, s)
}

// extras checks what few services have. Credentials are secret: no message shows any of them.
func (v *validator) extras(where string, s manifesttypes.Service) {
	if c := s.Credentials; c != nil {
		v.require(c.Host != "" && c.Username != "" && c.Password != "", "%s: credentials lack a host, user name or password", where)
		for _, text := range []string{c.Host, c.Email, c.Username, c.Password} {
			v.require(isText(text) && len(text) <= MaxCredentialBytes, "%s: credentials are not text of at most %d bytes each", where, MaxCredentialBytes)
		}
	}
	for i, p := range s.Permissions {
		v.require(slices.Contains(permissions, p), "%s: permission %q is not known", where, p)
		v.require(i == 0 || s.Permissions[i-1] < p, "%s: permissions are not sorted, or %q appears twice", where, p)
	}
	v.require(slices.Contains(tees, s.Tee), "%s: tee %q is not known", where, s.Tee)
	v.require(s.Arch == "" || isArch(s.Arch), "%s: %q is not the name of an architecture", where, s.Arch)
	v.require(s.Tee != "cpu-gpu" || s.Gpu > 0, "%s: tee cpu-gpu needs a gpu", where)
}

// The values of what few services have.
var (
	permissions = []string{"deployment", "events", "logs"}
	tees        = []string{"", "cpu", "cpu-gpu"}
	nextCases   = []string{"403", "404", "429", "500", "502", "503", "504", "error", "off", "timeout"}
)

// http checks the settings of a route.
func (v *validator) http(at string, e manifesttypes.Expose) {
	h := e.HttpOptions
	if h == nil {
		return
	}
	v.require(e.Proto == manifesttypes.PROTO_HTTP, "%s: only http ports have http options", at)
	v.require(h.MaxBodyBytes <= MaxBodyBytes && h.ProxyBufferBytes <= MaxProxyBufferBytes, "%s: http options: a size is out of range", at)
	v.require(max(h.ReadTimeoutMs, h.SendTimeoutMs, h.NextTimeoutMs) <= MaxRouteTimeoutMs, "%s: http options: a timeout is out of range", at)
	v.require(h.NextTries <= MaxNextTries, "%s: http options: next_tries is out of range", at)
	for i, c := range h.NextCases {
		v.require(slices.Contains(nextCases, c), "%s: http options: case %q is not known", at, c)
		v.require(i == 0 || h.NextCases[i-1] < c, "%s: http options: cases are not sorted, or %q appears twice", at, c)
	}
	v.require(len(h.NextCases) < 2 || !slices.Contains(h.NextCases, "off"), "%s: http options: off stands alone", at)
}

func (v *validator) words(where, what string, words []string) {
	if !v.count(where, "words of "+what, len(words), MaxArgs) {
		return
	}
	for i, w := range words {
		v.require(isText(w), "%s: %s[%d] holds a zero byte or is not UTF-8", where, what, i)
	}
}

// env never prints a value: values may be secret.
func (v *validator) env(where string, env []manifesttypes.EnvVar) {
	if !v.count(where, "environment variables", len(env), MaxEnv) {
		return
	}
	seen := make(map[string]bool, len(env))
	for _, e := range env {
		v.require(IsEnvName(e.Name), "%s: %q cannot name an environment variable", where, e.Name)
		v.require(!seen[e.Name], "%s: environment variable %s appears twice", where, e.Name)
		v.require(isText(e.Value), "%s: the value of %s holds a zero byte or is not UTF-8", where, e.Name)
		seen[e.Name] = true
	}
}

func (v *validator) exposes(where string, exposes []manifesttypes.Expose) {
	if !v.count(where, "exposed ports", len(exposes), MaxExposes) {
		return
	}
	type door struct {
		as  uint32
		udp bool
	}
	seen := map[door]bool{}
	for i, e := range exposes {
		at := fmt.Sprintf("%s: expose[%d]", where, i)
		v.require(e.Port >= 1 && e.Port <= MaxPort, "%s: port %d is not from 1 to %d", at, e.Port, MaxPort)
		v.require(e.As >= 1 && e.As <= MaxPort, "%s: as %d is not from 1 to %d", at, e.As, MaxPort)
		v.require(e.Proto >= manifesttypes.PROTO_HTTP && e.Proto <= manifesttypes.PROTO_UDP, "%s: protocol %d is not known", at, e.Proto)
		d := door{e.As, e.Proto == manifesttypes.PROTO_UDP}
		v.require(!seen[d], "%s: port %d is exposed twice", at, e.As)
		seen[d] = true
		v.hosts(at, e)
		v.http(at, e)
		v.clients(at, e.To)
	}
}

func (v *validator) hosts(at string, e manifesttypes.Expose) {
	if !v.count(at, "hosts", len(e.Accept), MaxHosts) {
		return
	}
	byHost := e.Proto == manifesttypes.PROTO_HTTP || e.Proto == manifesttypes.PROTO_HTTPS
	v.require(byHost || len(e.Accept) == 0, "%s: only http and https ports accept hosts", at)
	for i, h := range e.Accept {
		v.require(IsHost(h), "%s: %q is not a host name", at, h)
		v.require(i == 0 || e.Accept[i-1] < h, "%s: hosts are not sorted, or %q appears twice", at, h)
	}
}

func (v *validator) clients(at string, to []manifesttypes.To) {
	if !v.count(at, "clients", len(to), MaxTos) {
		return
	}
	for i, t := range to {
		v.require(t.Service != "" || t.Global, "%s: to[%d] names nobody", at, i)
		v.require(t.Service == "" || IsServiceName(t.Service), "%s: to[%d]: %q cannot name a service", at, i, t.Service)
		v.require(t.Ip == "" || t.Global && t.Service == "" && len(t.Ip) <= MaxNameBytes && isText(t.Ip), "%s: to[%d]: a leased address is for everyone", at, i)
		v.require(i == 0 || to[i-1].Service < t.Service, "%s: clients are not sorted, or %q appears twice", at, t.Service)
	}
}

func (v *validator) volumes(where string, volumes []manifesttypes.Volume) {
	if !v.count(where, "volumes", len(volumes), MaxVolumes) {
		return
	}
	names, mounts := map[string]bool{}, map[string]bool{}
	for _, x := range volumes {
		at := fmt.Sprintf("%s: volume %q", where, x.Name)
		v.require(isLabel(x.Name), "%s: not a DNS label", at)
		v.require(!names[x.Name], "%s: appears twice", at)
		v.require(x.Bytes >= MinVolumeBytes && x.Bytes <= MaxVolumeBytes, "%s: %d bytes are out of range", at, x.Bytes)
		v.attributes(at, x.Attributes)
		names[x.Name] = true
		if x.Mount == "" {
			continue
		}
		v.require(isMount(x.Mount), "%s: mount %q is not a clean absolute path below /", at, x.Mount)
		v.require(!mounts[x.Mount], "%s: mount %q is taken", at, x.Mount)
		mounts[x.Mount] = true
	}
}

func isMount(p string) bool {
	return isText(p) && path.IsAbs(p) && path.Clean(p) == p && p != "/" && !strings.Contains(p, ":")
}

func (v *validator) attributes(where string, attributes []manifesttypes.Attribute) {
	for i, a := range attributes {
		v.require(a.Key != "" && isText(a.Key) && isText(a.Value), "%s: attribute %q is empty or not text", where, a.Key)
		v.require(i == 0 || attributes[i-1].Key < a.Key, "%s: attributes are not sorted, or %q appears twice", where, a.Key)
	}
}

// compareEdges orders edges by their fields from left to right.
func compareEdges(a, b manifesttypes.Edge) int {
	return cmp.Or(
		cmp.Compare(a.FromGroup, b.FromGroup), cmp.Compare(a.FromService, b.FromService),
		cmp.Compare(a.ToGroup, b.ToGroup), cmp.Compare(a.ToService, b.ToService), cmp.Compare(a.Port, b.Port))
}

// SortEdges puts edges into the order that Validate wants and drops repeated ones.
func SortEdges(edges []manifesttypes.Edge) []manifesttypes.Edge {
	slices.SortFunc(edges, compareEdges)
	return slices.Compact(edges)
}

// edges checks that each connection with another group has one end here, and that an end here is a service, and a
// target here is one of its ports.
func (v *validator) edges(g manifesttypes.Group) {
	if !v.count("group", "edges", len(g.Edges), MaxEdges) {
		return
	}
	services := make(map[string]manifesttypes.Service, len(g.Services))
	for _, s := range g.Services {
		services[s.Name] = s
	}
	for i, e := range g.Edges {
		v.require(i == 0 || compareEdges(g.Edges[i-1], e) < 0, "edges[%d]: edges are not sorted, or one appears twice", i)
		v.require(IsGroupName(e.FromGroup) && IsGroupName(e.ToGroup) && IsServiceName(e.FromService) && IsServiceName(e.ToService),
			"edges[%d]: an end is not a name", i)
		v.require(e.FromGroup != e.ToGroup, "edges[%d]: both ends are in group %q", i, e.ToGroup)
		switch g.Name {
		case e.FromGroup:
			_, ok := services[e.FromService]
			v.require(ok, "edges[%d]: the group has no service %q", i, e.FromService)
			v.require(e.Port >= 1 && e.Port <= MaxPort, "edges[%d]: port %d is not from 1 to %d", i, e.Port, MaxPort)
		case e.ToGroup:
			v.require(Allows(services[e.ToService], e), "edges[%d]: service %q does not expose port %d to service %q of other groups",
				i, e.ToService, e.Port, e.FromService)
		default:
			v.addf("edges[%d]: neither end is in group %q", i, g.Name)
		}
	}
}

// Allows tells whether a service exposes the port of an edge to the service that the edge comes from.
func Allows(target manifesttypes.Service, e manifesttypes.Edge) bool {
	return slices.ContainsFunc(target.Expose, func(x manifesttypes.Expose) bool {
		return x.As == e.Port && slices.Contains(x.To, manifesttypes.To{Service: e.FromService, Global: true})
	})
}

// dependencies checks that services depend on services that they can wait for, and on none in a circle: such services
// would never start.
func (v *validator) dependencies(g manifesttypes.Group) {
	linked := map[[2]string]bool{}
	for _, e := range g.Edges {
		if e.FromGroup == g.Name {
			linked[[2]string{e.FromService, e.ToService}] = true
		}
	}
	local, tasks := make(map[string][]string, len(g.Services)), map[string]bool{}
	for _, s := range g.Services {
		local[s.Name] = s.DependsOn
		tasks[s.Name] = s.Cron != nil
	}
	for _, s := range g.Services {
		for i, d := range s.DependsOn {
			_, here := local[d]
			v.require(here || linked[[2]string{s.Name, d}], "service %q: depends on %q, which is neither in the group nor linked to it", s.Name, d)
			v.require(!tasks[d], "service %q: depends on %q, a task that runs at times and is never ready", s.Name, d)
			v.require(i == 0 || s.DependsOn[i-1] < d, "service %q: dependencies are not sorted, or %q appears twice", s.Name, d)
		}
	}
	if cycle := Cycle(local); cycle != nil {
		v.addf("services depend on each other in a circle: %s", strings.Join(cycle, " -> "))
	}
}

// Cycle finds a circle of dependencies and returns its names, the first repeated at the end, or nil where there is
// none. It is deterministic: it starts at the least name that is on a circle. Names that are no key are ignored.
func Cycle(dependsOn map[string][]string) []string {
	names := make([]string, 0, len(dependsOn))
	for n := range dependsOn {
		names = append(names, n)
	}
	slices.Sort(names)
	done := make(map[string]bool, len(names))
	for _, n := range names {
		if c := walk(n, dependsOn, done, nil); c != nil {
			return c
		}
	}
	return nil
}

func walk(name string, dependsOn map[string][]string, done map[string]bool, trail []string) []string {
	if i := slices.Index(trail, name); i >= 0 {
		return append(slices.Clone(trail[i:]), name)
	}
	if done[name] {
		return nil
	}
	trail = append(trail, name)
	for _, d := range dependsOn[name] {
		if c := walk(d, dependsOn, done, trail); c != nil {
			return c
		}
	}
	done[name] = true
	return nil
}

// isText tells whether s can be handed to a process: UTF-8 without zero bytes.
func isText(s string) bool { return utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 }
