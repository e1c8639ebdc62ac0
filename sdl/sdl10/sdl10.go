// Package sdl10 reads documents of the Stack Definition Language, version 1.0. It only parses and diagnoses; what the
// parts of a document mean together is the business of package stack.
package sdl10

import (
	"cmp"
	"slices"

	manifesttypes "berth.dev/berth/manifest/types"
	"berth.dev/berth/sdl"
	"berth.dev/berth/sdl/doc"
	"berth.dev/berth/sdl/stack"
)

// Version is what a document of this version says as its version.
const Version = "1.0"

// Read reads a document, whose version was checked by the caller, and reports everything that is wrong with its form.
// What could be read is returned even so, that its meaning may be checked too. It is nil if the document is no mapping.
func Read(r *sdl.Reporter, root *doc.Node) *stack.Stack {
	top, ok := root.Object(r, documentShape)
	if !ok {
		return nil
	}
	if n := top.Get("include"); n != nil {
		r.Report(n.Key().Problem("E-INCLUDE", "include is not supported: a document stands for itself").
			WithHint("copy what the other files hold into this one"))
	}
	s := &stack.Stack{}
	l := layout{r: r, top: top}
	services := l.section("services", "services: {web: {image: nginx}}")
	profiles := l.section("profiles", "profiles: {compute: ..., placement: ...}")
	deployment := l.section("deployment", "deployment: {web: {east: {profile: web, count: 1}}}")
	if services != nil {
		l.readServices(services, s)
	}
	if profiles != nil {
		l.readProfiles(profiles, s)
	}
	if deployment != nil {
		l.readDeployment(deployment, s)
	}
	return s
}

// layout finds the sections of a document, also where they stand at the wrong depth.
type layout struct {
	r     *sdl.Reporter
	top   doc.Object
	moved []*doc.Node
}

// sections are the keys of the top level that hold others.
var sections = []string{"services", "profiles", "deployment"}

// section returns a section of the document, or reports that it is missing. A section that is indented too far is
// reported, and returned as if it stood right.
func (l *layout) section(key, example string) *doc.Node {
	if n := l.top.Get(key); n != nil {
		return n
	}
	for _, under := range sections {
		outer := l.top.Get(under)
		if outer == nil {
			continue
		}
		if inner := outer.Child(key); inner != nil && inner.Kind() == doc.Map {
			l.r.Report(inner.Key().Problem("E-INDENT", "%s stands under %s, but belongs at the top level", key, under).
				WithHint("indent it as far as " + under))
			l.moved = append(l.moved, inner)
			return inner
		}
	}
	if key == "profiles" && (l.top.Node().Child("compute") != nil || l.top.Node().Child("placement") != nil) {
		return nil // reported as unknown keys, which belong under profiles
	}
	return l.top.Require(l.r, key, example)
}

// named reads a mapping of names that must not be empty, without the sections that strayed into it.
func (l *layout) named(n *doc.Node, what, example string) []*doc.Node {
	return slices.DeleteFunc(named(l.r, n, what, example), func(n *doc.Node) bool { return slices.Contains(l.moved, n) })
}

// named reads a mapping of names that must not be empty.
func named(r *sdl.Reporter, n *doc.Node, what, example string) []*doc.Node {
	nodes, ok := n.Named(r, what)
	if ok && len(nodes) == 0 {
		r.Report(n.Key().Problem("E-MISSING", "%s is empty", what).WithHint("for example " + example))
	}
	return nodes
}

func (l *layout) readServices(n *doc.Node, s *stack.Stack) {
	for _, node := range l.named(n, "services", "web: {image: nginx}") {
		s.Services = append(s.Services, readService(l.r, node))
	}
}

func readService(r *sdl.Reporter, n *doc.Node) stack.Service {
	s := stack.Service{Ref: stack.Ref{Name: n.Name(), At: n}}
	stack.CheckServiceName(r, n)
	o, ok := n.Object(r, serviceShape)
	if !ok {
		return s
	}
	if image := o.Require(r, "image", "image: nginx:1.27"); image != nil {
		s.Image = stack.ReadImage(r, image)
	}
	if deps := o.Get("depends-on"); deps != nil {
		s.DependsOn = readDependsOn(r, deps)
	}
	if args := o.Get("args"); args != nil {
		s.Args = readTexts(r, args, "args", "an argument")
	}
	if env := o.Get("env"); env != nil {
		s.Env = readEnv(r, env)
	}
	if expose := o.Get("expose"); expose != nil {
		entries, _ := expose.Entries(r, "expose")
		for _, e := range entries {
			s.Expose = append(s.Expose, readExpose(r, e))
		}
	}
	return s
}

func readTexts(r *sdl.Reporter, n *doc.Node, what, one string) []string {
	entries, _ := n.Entries(r, what)
	var out []string
	for _, e := range entries {
		if text, ok := e.Scalar(r, one); ok {
			out = append(out, text)
		}
	}
	return out
}

// readDependsOn reads a list of services: each is a name, or a mapping with the name as its service.
func readDependsOn(r *sdl.Reporter, n *doc.Node) []stack.Ref {
	entries, _ := n.Entries(r, "depends-on")
	var out []stack.Ref
	for _, e := range entries {
		if e.Kind() == doc.Map {
			o, _ := e.Object(r, dependencyShape)
			if e = o.Require(r, "service", "service: db"); e == nil {
				continue
			}
		}
		if name, ok := e.Scalar(r, "a dependency"); ok {
			out = append(out, stack.Ref{Name: name, At: e})
		}
	}
	return out
}

func (l *layout) readProfiles(n *doc.Node, s *stack.Stack) {
	r, shape := l.r, profilesShape
	for _, m := range l.moved {
		shape.Keys = append(slices.Clone(shape.Keys), m.Name())
	}
	o, ok := n.Object(r, shape)
	if !ok {
		return
	}
	if c := o.Require(r, "compute", "compute: {web: {cpu: 0.5, memory: 512Mi, storage: 1Gi}}"); c != nil {
		for _, node := range named(r, c, "profiles.compute", "web: {cpu: 0.5, memory: 512Mi, storage: 1Gi}") {
			s.Compute = append(s.Compute, readCompute(r, node))
		}
	}
	if p := o.Require(r, "placement", "placement: {east: {attributes: {region: us-east}, pricing: {web: 20u}}}"); p != nil {
		for _, node := range named(r, p, "profiles.placement", "east: {attributes: {region: us-east}, pricing: {web: 20u}}") {
			s.Placements = append(s.Placements, readPlacement(r, node))
		}
	}
}

// volumeName is the name of a service's only volume, the container's own file system.
const volumeName = "default"

func readCompute(r *sdl.Reporter, n *doc.Node) stack.Compute {
	c := stack.Compute{Ref: stack.Ref{Name: n.Name(), At: n}}
	o, ok := n.Object(r, computeShape)
	if !ok {
		return c
	}
	if cpu := o.Require(r, "cpu", "cpu: 0.5"); cpu != nil {
		c.CPUMilli = stack.ReadCPU(r, cpu)
	}
	if memory := o.Require(r, "memory", "memory: 512Mi"); memory != nil {
		c.MemoryBytes = stack.ReadMemory(r, memory)
	}
	if storage := readStorage(r, o); storage != nil {
		c.Volumes = []manifesttypes.Volume{{Name: volumeName, Bytes: stack.ReadVolume(r, storage)}}
	}
	return c
}

// readStorage finds the storage of a compute profile, which older documents call disk.
func readStorage(r *sdl.Reporter, o doc.Object) *doc.Node {
	disk := o.Get("disk")
	if disk == nil {
		return o.Require(r, "storage", "storage: 1Gi")
	}
	if o.Has("storage") {
		r.Report(disk.Key().Problem("E-DUPLICATE-KEY", "disk is another name of storage, which is there too").WithHint("remove disk"))
		return o.Get("storage")
	}
	r.Warn(disk.Key().Problem("W-DISK", "disk is an old name of storage").WithSuggestion("storage"))
	return disk
}

func readPlacement(r *sdl.Reporter, n *doc.Node) stack.Placement {
	p := stack.Placement{Ref: stack.Ref{Name: n.Name(), At: n}}
	stack.CheckGroupName(r, n)
	o, ok := n.Object(r, placementShape)
	if !ok {
		return p
	}
	if attributes := o.Get("attributes"); attributes != nil {
		p.Attributes = stack.ReadAttributes(r, attributes)
	}
	if pricing := o.Require(r, "pricing", "pricing: {web: 20u}"); pricing != nil {
		for _, node := range named(r, pricing, "pricing", "web: 20u") {
			p.Pricing = append(p.Pricing, stack.Price{
				Ref: stack.Ref{Name: node.Name(), At: node}, Amount: stack.ReadPrice(r, node), Denom: sdl.Denom,
			})
		}
	}
	return p
}

func (l *layout) readDeployment(n *doc.Node, s *stack.Stack) {
	for _, service := range l.named(n, "deployment", "web: {east: {profile: web, count: 1}}") {
		for _, place := range named(l.r, service, "the deployment of a service", "east: {profile: web, count: 1}") {
			s.Deployments = append(s.Deployments, readPlace(l.r, service, place))
		}
	}
	slices.SortStableFunc(s.Deployments, func(a, b stack.Deployment) int {
		return cmp.Or(cmp.Compare(a.Service.Name, b.Service.Name), cmp.Compare(a.Placement.Name, b.Placement.Name))
	})
}

func readPlace(r *sdl.Reporter, service, place *doc.Node) stack.Deployment {
	d := stack.Deployment{
		Service:   stack.Ref{Name: service.Name(), At: service},
		Placement: stack.Ref{Name: place.Name(), At: place},
	}
	o, ok := place.Object(r, deploymentShape)
	if !ok {
		return d
	}
	if profile := o.Require(r, "profile", "profile: web"); profile != nil {
		if name, ok := profile.Scalar(r, "profile"); ok {
			d.Profile = stack.Ref{Name: name, At: profile}
		}
	}
	if count := o.Require(r, "count", "count: 1"); count != nil {
		d.Count = stack.ReadCount(r, count)
	}
	return d
}
