// Package sdl20 reads documents of the Stack Definition Language, versions 2.0 and 2.1. The two differ in one thing:
// in 2.1 the services of a placement that use one compute profile share its resource unit. The package only parses and
// diagnoses; what the parts of a document mean together is the business of package stack.
package sdl20

import (
	"regexp"
	"strconv"

	"berth.dev/berth/sdl"
	"berth.dev/berth/sdl/doc"
	"berth.dev/berth/sdl/stack"
)

// Versions are what documents of these versions say as their version.
var Versions = []string{"2.0", "2.1"}

// Spellings are versions as some documents write them, which are read as those that they mean.
var Spellings = map[string]string{"2": "2.0", "2.0.0": "2.0", "2.1.0": "2.1"}

// Read reads a document that package include has put together, of a version that the caller has checked, and reports everything that is wrong with its form. What
// could be read is returned even so, that its meaning may be checked too. It is nil if the document is no mapping.
func Read(r *sdl.Reporter, root *doc.Node, version string) *stack.Stack {
	top, ok := root.Object(r, documentShape)
	if !ok {
		return nil
	}
	s := &stack.Stack{SharedUnits: version == "2.1", NeedsGlobal: true, JoinPorts: true}
	services := stack.Require(r, top, "services", "services: {web: {image: nginx}}")
	profiles := stack.Require(r, top, "profiles", "profiles: {compute: ..., placement: ...}")
	deployment := stack.Require(r, top, "deployment", "deployment: {web: {east: {profile: web, count: 1}}}")
	if n := top.Get("endpoints"); n != nil {
		s.Endpoints = readEndpoints(r, n)
	}
	if n := top.Get("reclamation"); n != nil {
		s.Reclaim = readReclamation(r, n)
	}
	if services != nil {
		for _, node := range stack.Named(r, services, "services", "web: {image: nginx}") {
			s.Services = append(s.Services, readService(r, node))
		}
	}
	if profiles != nil {
		readProfiles(r, profiles, s)
	}
	if deployment != nil {
		s.Deployments = stack.ReadDeployment(r, deployment, deploymentShape)
	}
	return s
}

// endpointName is what may name a leased address.
var endpointName = regexp.MustCompile(`^[a-z][a-z0-9_-]{1,62}$`)

func readEndpoints(r *sdl.Reporter, n *doc.Node) []stack.Ref {
	nodes, _ := n.Named(r, "endpoints")
	var out []stack.Ref
	for _, node := range nodes {
		if !endpointName.MatchString(node.Name()) {
			r.Report(node.Key().Problem("E-NAME", "%s cannot name an endpoint", node.Key().Show()).
				WithAllowed("2 to 63 of a-z, 0-9, - and _, starting with a letter"))
		}
		out = append(out, stack.Ref{Name: node.Name(), At: node})
		o, ok := node.Object(r, endpointShape)
		if !ok {
			continue
		}
		kind := o.Require(r, "kind", "kind: ip")
		if kind == nil {
			continue
		}
		if text, ok := kind.Scalar(r, "kind"); ok && text != "ip" {
			r.Report(kind.Problem("E-ENDPOINT", "%s is not a kind of endpoint", kind.Show()).WithAllowed("ip").WithSuggestion("ip"))
		}
	}
	return out
}

// maxReclaim is the longest notice that a document may ask for, in seconds: 30 days.
const maxReclaim = 30 * 24 * 3600

// notice is a duration in hours, minutes and seconds, at least one of them.
var notice = regexp.MustCompile(`^(?:(\d{1,7})h)?(?:(\d{1,7})m)?(?:(\d{1,7})s)?$`)

// readReclamation reads the shortest notice of a provider, in whole seconds.
func readReclamation(r *sdl.Reporter, n *doc.Node) uint32 {
	o, ok := n.Object(r, reclamationShape)
	if !ok {
		return 0
	}
	window := o.Require(r, "min_window", "min_window: 1h")
	if window == nil {
		return 0
	}
	text, ok := window.Scalar(r, "min_window")
	if !ok {
		return 0
	}
	var seconds uint64
	parts := notice.FindStringSubmatch(text)
	for i, unit := range []uint64{3600, 60, 1} {
		if parts != nil && parts[i+1] != "" {
			v, _ := strconv.ParseUint(parts[i+1], 10, 32) // at most seven digits
			seconds += v * unit
		}
	}
	if seconds < 1 || seconds > maxReclaim {
		r.Report(window.Problem("E-RECLAMATION", "%s is not a notice", window.Show()).
			WithAllowed("whole seconds from 1s to 720h, written as 30s, 90m, 1h or 1h30m"))
		return 0
	}
	return uint32(seconds)
}
