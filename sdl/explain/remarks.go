package explain

import (
	"fmt"
	"slices"
)

// The codes of remarks. Like those of diagnostics they are stable.
const (
	// RemarkNoPublic: nobody outside of the deployment can reach anything of it.
	RemarkNoPublic = "no-public"
	// RemarkNoPort: a service exposes no port, so that nobody can connect to it.
	RemarkNoPort = "no-port"
	// RemarkNobody: a service exposes ports, but nobody can connect to any of them.
	RemarkNobody = "nobody"
	// RemarkClosed: nobody can connect to one of a service's ports.
	RemarkClosed = "closed"
	// RemarkDependsClosed: a service waits for another that does not let it connect.
	RemarkDependsClosed = "depends-closed"
	// RemarkOwnVolumes: instances of a service have a persistent volume each, and share none.
	RemarkOwnVolumes = "own-volumes"
)

// Remark is something that is allowed and may be meant, but often is not.
type Remark struct {
	Code      string `json:"code"`
	Placement string `json:"placement,omitempty"`
	Service   string `json:"service,omitempty"`
	Text      string `json:"text"`

	marked string // Text with its names marked
}

func (e *Explanation) remarks() []Remark {
	out := []Remark{}
	if !slices.ContainsFunc(e.Doors, func(d Door) bool { return d.Public }) {
		remarker{Remark{}, &out}.add(RemarkNoPublic, "nobody outside can connect to anything: no port is open to anyone")
	}
	doors := map[[2]string][]Door{}
	for _, d := range e.Doors {
		k := [2]string{d.Group, d.Service}
		doors[k] = append(doors[k], d)
	}
	open := e.open()
	for _, p := range e.Placements {
		for _, s := range p.Services {
			r := remarker{Remark{Placement: p.Name, Service: s.Name}, &out}
			r.closed(doors[[2]string{p.Name, s.Name}])
			r.dependencies(s, open)
			r.volumes(s)
		}
	}
	return out
}

// reach is a service that may connect to another; an empty placement and client mean anyone.
type reach struct{ placement, client, service string }

func (e *Explanation) open() map[reach]bool {
	open := map[reach]bool{}
	for _, c := range e.Connections {
		open[reach{c.FromGroup, c.FromService, c.ToService}] = true
	}
	return open
}

// remarker adds remarks about one service. Texts in them are names from the document.
type remarker struct {
	about Remark
	out   *[]Remark
}

func (r remarker) add(code, format string, args ...any) {
	for i, a := range args {
		if text, ok := a.(string); ok {
			args[i] = name(text)
		}
	}
	r.about.Code, r.about.marked = code, fmt.Sprintf(format, args...)
	r.about.Text = unmark.Replace(r.about.marked)
	*r.out = append(*r.out, r.about)
}

// closed remarks on ports that nobody can connect to.
func (r remarker) closed(doors []Door) {
	shut := 0
	for _, d := range doors {
		if d.Closed() {
			shut++
		}
	}
	switch {
	case len(doors) == 0:
		r.add(RemarkNoPort, "nobody can connect to %s: it exposes no port", r.about.Service)
	case shut == len(doors):
		r.add(RemarkNobody, "nobody can connect to %s: "+plural(shut, "its port is", "its ports are")+" open to nobody that is deployed where it could connect", r.about.Service)
	default:
		for _, d := range doors {
			if d.Closed() {
				r.add(RemarkClosed, "nobody can connect to port %d ("+d.Proto+") of %s", d.Port, r.about.Service)
			}
		}
	}
}

// dependencies remarks on services that are waited for and can never be reached. What anyone may reach can be.
func (r remarker) dependencies(s Service, open map[reach]bool) {
	for _, d := range s.After {
		if !open[reach{r.about.Placement, s.Name, d}] && !open[reach{"", "", d}] {
			r.add(RemarkDependsClosed, "%s waits for %s, but can never connect to it: no port of %s is open to %s", s.Name, d, d, s.Name)
		}
	}
}

func (r remarker) volumes(s Service) {
	for _, v := range s.Volumes {
		if v.Kind == Persistent && s.Instances > 1 {
			r.add(RemarkOwnVolumes, "each of the %d instances of %s has a volume %s of its own: they do not share what they write", s.Instances, s.Name, v.Name)
		}
	}
}

func plural(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}
