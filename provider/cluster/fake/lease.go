package fake

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"time"

	manifesttypes "berth.dev/berth/manifest/types"
	"berth.dev/berth/provider/cluster"
	markettypes "berth.dev/berth/x/market/types"
)

// lease is the simulated state of one workload.
type lease struct {
	workload    cluster.Workload
	services    []*service // in the order of their names, as in the manifest
	volumes     []cluster.Volume
	terminating bool
	removeAfter int
	// links are those that were last set.
	links []cluster.Link
	// lost are the hosts that lead to another lease now.
	lost   map[string]markettypes.LeaseID
	events eventLog
	hooks  map[string]*hook // by SERVICE/HOOK
}

// door is a port of a service as clients see it: the same number in tcp and in udp are two.
type door struct {
	as  uint32
	udp bool
}

func doorOf(e manifesttypes.Expose) door { return door{e.As, e.Proto == manifesttypes.PROTO_UDP} }

// service is the simulated state of one service.
type service struct {
	spec manifesttypes.Service
	// age counts the steps since all dependencies were ready.
	age int
	// ready instances, of which updated run the present spec.
	ready, updated uint32
	failure        string
	reason         cluster.Reason
	ports          map[door]uint32 // -> external port
	log            []cluster.LogLine
	// previous is what the instances wrote before they were started last, by instance.
	previous []cluster.LogLine
	// run counts how often the instances were started, and begun is how much had been written before the last time.
	run, begun int
	// task is what is known of the runs of a task; load is how many instances the load asks for.
	task cluster.TaskStatus
	load uint32
}

func (s *service) runs() int {
	if s == nil {
		return 0
	}
	return s.run
}

// newLease starts w. Services that stay as they were keep their state, and those that changed keep their old
// instances until the new ones are ready.
func newLease(w cluster.Workload, old *lease, takePort func(key string) uint32) *lease {
	l := &lease{workload: w, hooks: map[string]*hook{}}
	if old != nil && !old.terminating {
		l.events = old.events
		l.hooks = nextHooks(old.hooks, l.manifest(), w.Accepted.After(old.workload.Accepted) && old.manifest() == l.manifest())
	}
	for _, spec := range w.Group.Services {
		s := &service{spec: spec, ports: map[door]uint32{}}
		if prev := old.find(spec.Name); prev != nil {
			s.task, s.load = prev.task, prev.load
			s.ready, s.ports, s.log, s.previous = min(prev.ready, s.wanted()), prev.ports, prev.log, prev.previous
			s.run, s.begun = prev.run, prev.begun
			if same(prev.spec, spec) {
				s.age, s.updated, s.failure, s.reason = prev.age, prev.updated, prev.failure, prev.reason
			}
		}
		if w.Suspended {
			s.stop()
		}
		for _, e := range spec.Expose {
			if _, ok := s.ports[doorOf(e)]; !ok && forwarded(e) {
				s.ports[doorOf(e)] = takePort(fmt.Sprintf("%s/%s/%s/%d", w.Lease, spec.Name, protoName(e.Proto), e.As))
			}
		}
		l.services = append(l.services, s)
	}
	return l
}

func same(a, b manifesttypes.Service) bool {
	x, errX := a.Marshal()
	y, errY := b.Marshal()
	return errX == nil && errY == nil && bytes.Equal(x, y)
}

// adopt makes all instances ready at once: they ran on while nobody looked.
func (l *lease) adopt() {
	if l.workload.Suspended {
		return
	}
	for _, s := range l.services {
		s.start()
		for _, h := range s.spec.Hooks {
			l.hooks[hookKey(s.spec.Name, h.Name)] = &hook{manifest: l.manifest(), once: h.Once, state: cluster.HookSucceeded}
		}
	}
}

// started notes that the instances of a service have started.
func (l *lease) started(now time.Time, s *service) {
	for i := range s.wanted() {
		l.note(now, cluster.Event{Service: s.spec.Name, Instance: instance(s.spec.Name, i), Kind: "Started", Message: "started image " + s.spec.Image})
	}
}

// stop ends all instances.
func (s *service) stop() { s.ready, s.updated, s.age, s.failure, s.reason = 0, 0, 0, "", "" }

// fail ends all instances with a message.
func (s *service) fail(reason cluster.Reason, message string) {
	s.stop()
	s.failure, s.reason = message, reason
}

func (l *lease) find(name string) *service {
	if l == nil {
		return nil
	}
	for _, s := range l.services {
		if s.spec.Name == name {
			return s
		}
	}
	return nil
}

// forwarded tells whether an expose gets a port of the provider.
func forwarded(e manifesttypes.Expose) bool {
	return cluster.Anyone(e) && !cluster.Routed(e)
}

// step moves every service one step on, and tells whether an instance became ready. Dependencies are looked at as they
// were before the step, so the order of services does not matter, unless readiness takes no time at all: then the
// loop goes on until nothing changes.
func (l *lease) step(cfg Config, held bool) bool {
	now := cfg.Now
	if held || l.workload.Suspended {
		return false
	}
	any := false
	for {
		var due []*service
		back := l.held()
		for _, s := range l.services {
			if s.failure != "" || s.updated >= s.wanted() || !l.dependenciesReady(s) || back[s.spec.Name] {
				continue
			}
			if slices.Contains(cfg.MissingImages, s.spec.Image) {
				s.failure, s.reason = "image "+s.spec.Image+" does not exist", cluster.ReasonImage
				l.note(now(), cluster.Event{Service: s.spec.Name, Instance: instance(s.spec.Name, 0), Kind: "Failed", Warning: true, Message: s.failure})
				continue
			}
			if slices.Contains(cfg.CrashingImages, s.spec.Image) {
				s.crash()
				l.note(now(), cluster.Event{Service: s.spec.Name, Instance: instance(s.spec.Name, 0), Kind: "BackOff", Warning: true, Count: 4, Message: s.failure})
				continue
			}
			due = append(due, s)
		}
		moved := false
		for _, s := range due {
			s.age++
			if s.age > cfg.ReadyAfter {
				s.start()
				l.started(now(), s)
				moved, any = true, true
			}
		}
		if l.stepHooks(cfg) {
			moved = true
		}
		if cfg.ReadyAfter > 0 || !moved {
			return any
		}
	}
}

func (s *service) start() {
	s.ready, s.updated = s.wanted(), s.wanted()
	s.run, s.begun = s.run+1, len(s.log)
	for i := range s.wanted() {
		s.log = append(s.log, cluster.LogLine{
			Service: s.spec.Name, Instance: instance(s.spec.Name, i), Line: "started " + s.spec.Image,
		})
	}
}

// crash starts an instance of one of Config.CrashingImages, which ends at once.
func (s *service) crash() {
	s.previous = nil
	for i := range crashLines {
		s.previous = append(s.previous, cluster.LogLine{Service: s.spec.Name, Instance: instance(s.spec.Name, 0), Line: fmt.Sprintf("line %d", i+1)})
	}
	s.log = append(s.log, s.previous...)
	s.failure, s.reason = "ended 4 times, last with exit code 3", cluster.ReasonCrash
}

// crashLines is how much an instance that crashes writes.
const crashLines = 60

func (l *lease) dependenciesReady(s *service) bool {
	for _, name := range s.spec.DependsOn {
		if d := l.find(name); d != nil && d.ready < d.wanted() {
			return false
		}
	}
	// What has been started once goes on without its links.
	return s.ready > 0 || len(cluster.MissingLinks(l.workload.Group, s.spec, l.links)) == 0
}

func instance(service string, i uint32) string { return fmt.Sprintf("%s-%d", service, i) }

func (l *lease) status(cfg Config) []cluster.ServiceStatus {
	var out []cluster.ServiceStatus
	back := l.held()
	for _, s := range l.services {
		st := cluster.ServiceStatus{
			Name: s.spec.Name, Desired: s.wanted(), Ready: s.ready, Updated: s.updated,
			Failed: s.failure != "", Task: s.taskStatus(l.workload.Suspended),
		}
		st.Message, st.Reason = l.message(s)
		l.lookAtHooks(s.spec, back, &st)
		if s.reason == cluster.ReasonCrash {
			st.Log = s.lastLines()
		}
		for _, r := range cluster.Routes(l.workload.Lease, s.spec, cfg.Domain) {
			for _, host := range append([]string{r.Host}, r.Accept...) {
				to, lost := l.lost[host]
				switch {
				case lost && st.Message == "":
					st.Message, st.Reason = fmt.Sprintf("host %s leads to lease %s now; send this manifest again to take it back", host, to), cluster.ReasonOutside
				case lost:
				case r.Proto == manifesttypes.PROTO_HTTPS:
					st.URLs = append(st.URLs, cluster.SecureURL(host, cfg.HTTPSPort))
				default:
					st.URLs = append(st.URLs, cluster.URL(host, cfg.IngressPort))
				}
			}
		}
		for _, e := range s.spec.Expose {
			if forwarded(e) {
				st.Ports = append(st.Ports, cluster.ForwardedPort{
					Host: cfg.Host, Port: e.As, ExternalPort: s.ports[doorOf(e)], Proto: protoName(e.Proto),
				})
			}
		}
		out = append(out, st)
	}
	return out
}

func (l *lease) message(s *service) (string, cluster.Reason) {
	switch {
	case l.workload.Suspended:
		return cluster.SuspendedMessage, cluster.ReasonSuspended
	case s.failure != "":
		return s.failure, s.reason
	case s.updated >= s.wanted():
		return "", ""
	case !l.dependenciesReady(s):
		if missing := cluster.MissingLinks(l.workload.Group, s.spec, l.links); s.ready == 0 && len(missing) > 0 {
			return "waiting for " + strings.Join(missing, ", "), cluster.ReasonDependency
		}
		return "waiting for the services it depends on", cluster.ReasonDependency
	default:
		return "starting", cluster.ReasonStarting
	}
}

// lastLines are the last lines of a service's output, as a status shows them.
func (s *service) lastLines() []string {
	var out []string
	for _, l := range s.log[max(0, len(s.log)-cluster.MaxFailureLog):] {
		out = append(out, l.Line[:min(len(l.Line), cluster.MaxFailureLine)])
	}
	return out
}

func protoName(p manifesttypes.Proto) string {
	if p == manifesttypes.PROTO_UDP {
		return "udp"
	}
	return "tcp"
}
