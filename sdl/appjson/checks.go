package appjson

import (
	"fmt"
	"slices"
	"strings"

	"berth.dev/berth/manifest"
	manifesttypes "berth.dev/berth/manifest/types"
	"berth.dev/berth/sdl"
	"berth.dev/berth/sdl/app"
	"berth.dev/berth/sdl/doc"
	"berth.dev/berth/sdl/quantity"
	"berth.dev/berth/sdl/suggest"
)

// The numbers of a check that says nothing of them; those of Kubernetes differ.
const (
	defaultAttempts = 3
	defaultWait     = 5
	defaultTimeout  = 5
	// defaultUptime is how long an instance runs before it counts, where no check says otherwise.
	defaultUptime = 10
)

// The types of checks.
const (
	startup   = "startup"
	readiness = "readiness"
	liveness  = "liveness"
)

var types = []string{startup, readiness, liveness}

// health is what is said of the health of a process.
type health struct {
	node    *doc.Node
	probes  map[string]*manifesttypes.Probe
	ignored map[string][]string // by type, the names of checks that do not count
	at      map[string]*doc.Node
	uptime  uint32
	given   bool // there is a check
}

func (m *reader) checks(n *doc.Node) {
	m.healths = map[string]*health{}
	if n == nil {
		return
	}
	nodes, _ := n.Named(m.Reporter, "healthchecks")
	for _, x := range nodes {
		h := &health{node: x, probes: map[string]*manifesttypes.Probe{}, ignored: map[string][]string{}, at: map[string]*doc.Node{}}
		m.healths[x.Name()] = h
		entries, _ := x.Entries(m.Reporter, "the healthchecks of a process")
		for _, e := range entries {
			m.check(h, e)
		}
		for _, kind := range types {
			if names := h.ignored[kind]; len(names) > 0 {
				m.Warn(h.at[kind].Remark("W-PROBE-MULTI", "of the checks of type %s the first counts, not %s", kind, strings.Join(names, ", ")))
			}
		}
	}
}

// unhealthy warns of checks of processes that there are none of.
func (m *reader) unhealthy(names []string) {
	for _, name := range sortedNames(m.healths) {
		if h := m.healths[name]; !slices.Contains(names, name) {
			m.Warn(h.node.Key().Remark("W-PROCESS-UNKNOWN", "there is no process %s of which the health could be checked", doc.ShowKey(name)).
				WithAllowed(strings.Join(names, ", ")).WithSuggestion(suggest.Nearest(name, names)))
		}
	}
}

func (m *reader) check(h *health, n *doc.Node) {
	o, ok := Fields.Object(m.Reporter, n, "healthchecks.*[]", "a check")
	if !ok {
		return
	}
	kind := startup
	if t := o.Get("type"); t != nil {
		if kind = m.text(t, "type"); !slices.Contains(types, kind) {
			m.Report(t.Problem("E-PROBE-TYPE", "%s is not a type of check", t.Show()).WithAllowed(strings.Join(types, ", ")).
				WithSuggestion(suggest.Nearest(kind, types)))
			return
		}
	}
	name := m.text(o.Get("name"), "name")
	m.onFailure(o.Get("onFailure"), h.node.Name(), name)
	p := m.probe(o)
	way := m.way(n, o, p)
	if w := o.Get("warn"); w != nil {
		if only, _ := w.Bool(m.Reporter, "warn"); only {
			m.Warn(w.Key().Remark("W-PROBE-WARN", "a check that only warns is not run: it has no effect"))
			return
		}
	}
	switch way {
	case "":
		return
	case "uptime":
		if h.uptime == 0 {
			h.uptime = uint32(m.uptime(o))
		}
		h.given = true
		return
	}
	m.content(o, p, kind, way)
	h.given = true
	if h.probes[kind] != nil {
		h.ignored[kind] = append(h.ignored[kind], nameOf(name, n))
		h.at[kind] = n
		return
	}
	h.probes[kind] = p
}

func nameOf(name string, n *doc.Node) string {
	if name == "" {
		return n.Path()
	}
	return fmt.Sprintf("%q", doc.Shorten(sdl.Printable(name)))
}

// probe reads the numbers of a check.
func (m *reader) probe(o doc.Object) *manifesttypes.Probe {
	number := func(key string, otherwise uint32, least, most uint64) uint32 {
		n := o.Get(key)
		if n == nil {
			return otherwise
		}
		v, _ := n.Uint(m.Reporter, "E-RANGE", key, least, most)
		return uint32(v)
	}
	return &manifesttypes.Probe{
		FailureThreshold: number("attempts", defaultAttempts, 1, manifest.MaxProbeThreshold), SuccessThreshold: 1,
		PeriodSeconds:       number("wait", defaultWait, 1, manifest.MaxProbeSeconds),
		TimeoutSeconds:      number("timeout", defaultTimeout, 1, manifest.MaxProbeSeconds),
		InitialDelaySeconds: number("initialDelay", 0, 0, manifest.MaxProbeSeconds),
	}
}

// way says by which of its four ways a check is made, and reads that into the probe; empty after an error. A port of 0
// stands for the process's.
func (m *reader) way(n *doc.Node, o doc.Object, p *manifesttypes.Probe) string {
	var ways []string
	for _, key := range []string{"command", "listening", "path", "uptime"} {
		x := o.Get(key)
		if x == nil {
			continue
		}
		if key == "listening" {
			if on, ok := x.Bool(m.Reporter, key); !on && ok {
				continue
			}
		}
		ways = append(ways, key)
	}
	before := m.Errors()
	port := uint64(0)
	if x := o.Get("port"); x != nil {
		port, _ = x.Uint(m.Reporter, "E-PORT", "port", 1, manifest.MaxPort)
	}
	if len(ways) > 1 {
		m.Report(o.Get(ways[1]).Key().Remark("E-PROBE", "%s stand together, of which a check has one", strings.Join(ways, " and ")).
			WithHint("make a check of each"))
		return ""
	}
	if len(ways) == 0 {
		m.Warn(n.Remark("W-PROBE-UPTIME", "the check has no command, listening, path or uptime: an instance counts when it has run for %d s", defaultUptime))
		return "uptime"
	}
	m.unused(o, ways[0])
	switch ways[0] {
	case "command":
		p.Exec = m.exec(o.Get("command"))
	case "listening":
		p.TcpPort = uint32(port)
	case "path":
		p.Http = m.http(o, uint32(port))
	case "uptime":
		m.uptime(o)
	}
	if m.Errors() > before {
		return ""
	}
	return ways[0]
}

// unused warns of what has no effect beside the way of a check.
func (m *reader) unused(o doc.Object, way string) {
	for _, key := range []string{"scheme", "httpHeaders", "port"} {
		if x := o.Get(key); x != nil && way != "path" && (key != "port" || way != "listening") {
			m.Warn(x.Key().Remark("W-NO-EFFECT", "%s has no effect on a check by %s", key, way))
		}
	}
}

func (m *reader) uptime(o doc.Object) uint64 {
	n := o.Get("uptime")
	if n == nil {
		return defaultUptime
	}
	v, _ := n.Uint(m.Reporter, "E-RANGE", "uptime", 1, manifest.MaxMinReadySeconds)
	return v
}

func (m *reader) exec(n *doc.Node) []string {
	if n.Kind() == doc.Scalar {
		n.Hide()
	}
	entries, _ := n.Entries(m.Reporter, "command")
	var words []string
	for _, e := range entries {
		e.Hide()
		if word, ok := e.Scalar(m.Reporter, "a word of the command"); ok {
			words = append(words, word)
		}
	}
	if n.Kind() == doc.List && len(entries) == 0 {
		m.Report(n.Problem("E-MISSING", "the command is empty"))
	}
	return words
}

func (m *reader) http(o doc.Object, port uint32) *manifesttypes.HTTPGet {
	n := o.Get("path")
	get := &manifesttypes.HTTPGet{Path: m.text(n, "path"), Port: port}
	if !manifest.IsProbePath(get.Path) && n.Kind() == doc.Scalar {
		d := n.Problem("E-PROBE-PATH", "%s is not a path: it begins with one / and holds neither spaces nor #", n.Show())
		if manifest.IsProbePath("/" + get.Path) {
			d = d.WithSuggestion(fmt.Sprintf("%q", "/"+get.Path))
		}
		m.Report(d)
	}
	if s := o.Get("scheme"); s != nil {
		switch strings.ToUpper(m.text(s, "scheme")) {
		case "HTTP":
		case "HTTPS":
			get.Tls = true
		default:
			m.Report(s.Problem("E-PROBE-SCHEME", "%s is not a scheme", s.Show()).WithAllowed("HTTP, HTTPS"))
		}
	}
	if h := o.Get("httpHeaders"); h != nil {
		get.Headers = m.headers(h)
	}
	return get
}

func (m *reader) headers(n *doc.Node) []manifesttypes.Header {
	entries, _ := n.Entries(m.Reporter, "httpHeaders")
	if len(entries) > manifest.MaxHeaders {
		m.Report(n.Problem("E-LIMIT", "%d headers, at most %d are allowed", len(entries), manifest.MaxHeaders))
		return nil
	}
	var out []manifesttypes.Header
	for _, e := range entries {
		o, ok := Fields.Object(m.Reporter, e, "healthchecks.*[].httpHeaders[]", "a header")
		if !ok {
			continue
		}
		var h manifesttypes.Header
		if x := o.Require(m.Reporter, "name", `"name": "X-Check"`); x != nil {
			if h.Name = m.text(x, "name"); !manifest.IsHeaderName(h.Name) {
				m.Report(x.Problem("E-HEADER", "%s cannot name a header", x.Show()))
			}
		}
		if x := o.Get("value"); x != nil {
			x.Hide() // it may be a token
			if h.Value = m.text(x, "value"); !manifest.IsHeaderValue(h.Value) {
				m.Report(x.Problem("E-HEADER", "the value of a header is printable ASCII of at most %d bytes", manifest.MaxHeaderValueBytes))
			}
		}
		out = append(out, h)
	}
	return out
}

// content reads what the answer to a startup check must hold, which only a rollout looks at.
func (m *reader) content(o doc.Object, p *manifesttypes.Probe, kind, way string) {
	n := o.Get("content")
	if n == nil {
		return
	}
	text := m.text(n, "content")
	switch {
	case kind != startup || way != "path":
		m.Warn(n.Key().Remark("W-PROBE-CONTENT", "content has no effect: it is looked for by startup checks with a path only"))
	case len(text) > manifest.MaxContentBytes:
		m.Report(n.Problem("E-RANGE", "content has %d bytes, at most %d are allowed", len(text), manifest.MaxContentBytes))
	default:
		p.Http.Content = text
	}
}

func (m *reader) onFailure(n *doc.Node, process, check string) {
	if n == nil {
		return
	}
	o, ok := Fields.Object(m.Reporter, n, "healthchecks.*[].onFailure", "onFailure")
	if !ok {
		return
	}
	if c := o.Get("command"); c != nil {
		m.Warn(c.Key().Remark("W-HOST-COMMAND", "the command of onFailure runs nowhere: it is for the host, which is the provider's").
			WithHint("use url: the tool that deploys posts to it"))
	}
	u := o.Get("url")
	if u == nil {
		return
	}
	u.Hide() // it may hold a token
	text := m.text(u, "url")
	if !strings.HasPrefix(text, "https://") && !strings.HasPrefix(text, "http://") {
		m.Report(u.Problem("E-URL", "the url of onFailure begins with https:// or http://"))
		return
	}
	m.app.Notices = append(m.app.Notices, app.Notice{At: app.PlaceOf(u), Process: process, Check: check, URL: text})
}

// apply sets the probes of a process that takes connections at a port. Without any check it counts when it has run for
// a while; one that is checked by its uptime alone has no probe at all.
func (h *health) apply(m *reader, p *app.Process, port uint32) {
	if h == nil || !h.given {
		p.MinReadySeconds = defaultUptime
		return
	}
	p.MinReadySeconds = h.uptime
	p.Probes = &manifesttypes.Probes{Startup: h.probes[startup], Readiness: h.probes[readiness], Liveness: h.probes[liveness]}
	for _, x := range []*manifesttypes.Probe{p.Probes.Startup, p.Probes.Readiness, p.Probes.Liveness} {
		switch {
		case x == nil || len(x.Exec) > 0:
		case x.Http != nil && x.Http.Port == 0:
			x.Http.Port = port
		case x.Http == nil && x.TcpPort == 0:
			x.TcpPort = port
		}
	}
}

// average reads an amount of each instance.
func (m *reader) average(n *doc.Node, kind string) uint64 {
	text := m.text(n, "value")
	read := quantity.CPU
	if kind == manifest.TriggerMemory {
		read = quantity.Bytes
	}
	v, problem := read(text)
	if problem != nil || v == 0 {
		d := n.Problem("E-TRIGGER", "value %s of trigger %s is not an amount", n.Show(), kind)
		if problem != nil {
			d = d.WithAllowed(problem.Allowed)
		}
		m.Report(d)
	}
	return v
}
