// Package sdl10 reads documents of the Stack Definition Language, version 1.0. It only parses and diagnoses; what the
// parts of a document mean together is the business of package stack.
package sdl10

import (
	manifesttypes "berth.dev/berth/manifest/types"
	"berth.dev/berth/sdl"
	"berth.dev/berth/sdl/doc"
	"berth.dev/berth/sdl/stack"
)

// Version is what a document of this version says as its version.
const Version = "1.0"

// Read reads a document that package include has put together, and reports everything that is wrong with its form. What
// could be read is returned even so, that its meaning may be checked too. It is nil if the document is no mapping.
func Read(r *sdl.Reporter, root *doc.Node) *stack.Stack {
	top, ok := root.Object(r, documentShape)
	if !ok {
		return nil
	}
	s := &stack.Stack{}
	services := stack.Require(r, top, "services", "services: {web: {image: nginx}}")
	profiles := stack.Require(r, top, "profiles", "profiles: {compute: ..., placement: ...}")
	deployment := stack.Require(r, top, "deployment", "deployment: {web: {east: {profile: web, count: 1}}}")
	if services != nil {
		readServices(r, services, s)
	}
	if profiles != nil {
		readProfiles(r, profiles, s)
	}
	if deployment != nil {
		s.Deployments = stack.ReadDeployment(r, deployment, deploymentShape)
	}
	return s
}

func readServices(r *sdl.Reporter, n *doc.Node, s *stack.Stack) {
	for _, node := range stack.Named(r, n, "services", "web: {image: nginx}") {
		s.Services = append(s.Services, readService(r, node))
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
		s.DependsOn = stack.ReadDependsOn(r, deps, "depends-on", dependencyShape)
	}
	if args := o.Get("args"); args != nil {
		s.Args = stack.ReadTexts(r, args, "args", "an argument")
	}
	s.Env = stack.ReadEnv(r, o)
	if expose := o.Get("expose"); expose != nil {
		for _, e := range stack.Mappings(r, expose, "expose") {
			s.Expose = append(s.Expose, readExpose(r, e))
		}
	}
	return s
}

func readProfiles(r *sdl.Reporter, n *doc.Node, s *stack.Stack) {
	o, ok := n.Object(r, profilesShape)
	if !ok {
		return
	}
	if c := stack.Require(r, o, "compute", "compute: {web: {cpu: 0.5, memory: 512Mi, storage: 1Gi}}"); c != nil {
		for _, node := range stack.Named(r, c, "profiles.compute", "web: {cpu: 0.5, memory: 512Mi, storage: 1Gi}") {
			s.Compute = append(s.Compute, readCompute(r, node))
		}
	}
	if p := stack.Require(r, o, "placement", "placement: {east: {attributes: {region: us-east}, pricing: {web: 20u}}}"); p != nil {
		for _, node := range stack.Named(r, p, "profiles.placement", "east: {attributes: {region: us-east}, pricing: {web: 20u}}") {
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
		for _, node := range stack.Named(r, pricing, "pricing", "web: 20u") {
			p.Pricing = append(p.Pricing, stack.Price{
				Ref: stack.Ref{Name: node.Name(), At: node}, Amount: stack.ReadPrice(r, node), Denom: sdl.Denom,
			})
		}
	}
	return p
}
