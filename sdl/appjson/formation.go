package appjson

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"berth.dev/berth/manifest"
	manifesttypes "berth.dev/berth/manifest/types"
	"berth.dev/berth/sdl"
	"berth.dev/berth/sdl/app"
	"berth.dev/berth/sdl/doc"
	"berth.dev/berth/sdl/procfile"
	"berth.dev/berth/sdl/suggest"
)

// formation is what is said of how many instances of a process run.
type formation struct {
	node     *doc.Node
	given    bool // a quantity is
	quantity uint32
	parallel uint32
	size     app.Size
	exposed  bool
	scale    *app.Scale
	// still is the number of instances of a process that does not scale, although it should.
	still uint32
}

const (
	mebi = 1 << 20
	gibi = 1 << 30
)

// sizes are the memory of Heroku's sizes.
var sizes = map[string]uint64{
	"eco": 512 * mebi, "basic": 512 * mebi, "free": 512 * mebi, "hobby": 512 * mebi, "standard-1x": 512 * mebi, "standard-2x": gibi,
	"performance-m": 2560 * mebi, "performance-l": 14 * gibi,
}

func (m *reader) formation(n *doc.Node) {
	m.formations = map[string]*formation{}
	if n == nil {
		return
	}
	nodes, _ := n.Named(m.Reporter, "formation")
	for _, x := range nodes {
		o, ok := Fields.Object(m.Reporter, x, "formation.*", "a process of the formation")
		if ok {
			m.formations[x.Name()] = m.formed(x, o)
		}
	}
}

func (m *reader) formed(n *doc.Node, o doc.Object) *formation {
	f := &formation{node: n}
	if n.Name() == app.Web {
		f.quantity = 1
	}
	if q := o.Get("quantity"); q != nil {
		v, ok := q.Uint(m.Reporter, "E-RANGE", "quantity", 0, manifest.MaxCount)
		f.quantity, f.given = uint32(v), ok
	}
	if p := o.Get("max_parallel"); p != nil {
		v, _ := p.Uint(m.Reporter, "E-RANGE", "max_parallel", 1, manifest.MaxCount)
		f.parallel = uint32(v)
	}
	if s := o.Get("size"); s != nil {
		f.size = m.size(s)
	}
	if s := o.Get("service"); s != nil {
		f.exposed = m.service(s)
		if f.exposed && n.Name() == app.Web {
			m.Warn(s.Key().Remark("W-WEB-SERVICE", "web is open to anyone already: service has no effect on it"))
			f.exposed = false
		}
	}
	if a := o.Get("autoscaling"); a != nil {
		m.autoscaling(f, a)
	}
	return f
}

func (m *reader) size(n *doc.Node) app.Size {
	text := m.text(n, "size")
	if memory, ok := sizes[strings.ToLower(text)]; ok {
		return app.Size{MemoryBytes: memory}
	}
	m.Warn(n.Problem("W-SIZE", "size %s is not known, and has no effect", n.Show()).
		WithHint("give the size with --size " + n.Key().Path() + "=1cpu,512Mi, or compute in berth.yaml"))
	return app.Size{}
}

// service reads whether a process is open to the others: true, or an object that says so.
func (m *reader) service(n *doc.Node) bool {
	if n.Kind() != doc.Map {
		exposed, _ := n.Bool(m.Reporter, "service")
		return exposed
	}
	o, _ := Fields.Object(m.Reporter, n, "formation.*.service", "service")
	x := o.Get("exposed")
	if x == nil {
		return false
	}
	exposed, _ := x.Bool(m.Reporter, "exposed")
	return exposed
}

func (m *reader) autoscaling(f *formation, n *doc.Node) {
	const path = "formation.*.autoscaling"
	o, ok := Fields.Object(m.Reporter, n, path, "autoscaling")
	if !ok {
		return
	}
	before := m.Errors()
	number := func(key string, otherwise, least, most uint32) uint32 {
		x := o.Get(key)
		if x == nil {
			return otherwise
		}
		v, _ := x.Uint(m.Reporter, "E-RANGE", key, uint64(least), uint64(most))
		return uint32(v)
	}
	s := &app.Scale{At: app.PlaceOf(n)}
	s.Min = number("min_quantity", f.quantity, 0, manifest.MaxCount)
	s.Max = number("max_quantity", max(f.quantity, s.Min), 1, manifest.MaxCount)
	s.CooldownSeconds = number("cooldown_seconds", 0, 0, manifest.MaxCooldownSeconds)
	s.CooldownSeconds = number("cooldown_period_seconds", s.CooldownSeconds, 0, manifest.MaxCooldownSeconds)
	if x := o.Get("cooldown_seconds"); x != nil {
		m.Warn(x.Key().Remark("W-ALIAS", "cooldown_seconds is read as cooldown_period_seconds").WithSuggestion("cooldown_period_seconds"))
	}
	if x := o.Get("polling_interval_seconds"); x != nil {
		number("polling_interval_seconds", 0, 1, manifest.MaxCooldownSeconds)
		m.Warn(x.Key().Remark("W-NO-EFFECT", "polling_interval_seconds has no effect: providers measure in intervals of their own"))
	}
	t := o.Get("triggers")
	if t == nil {
		return // no triggers, no scaling
	}
	still := m.triggers(s, t)
	switch {
	case m.Errors() > before:
	case s.Min > s.Max:
		m.Report(n.Problem("E-SCALE", "min_quantity %d is above max_quantity %d", s.Min, s.Max))
	case still:
		f.still = max(1, s.Min)
	case s.Min == 0 && len(s.Triggers) > 0:
		m.Report(n.Problem("E-SCALE", "min_quantity is 0: without an instance there is no load to measure").WithHint("let at least 1 run"))
	case len(s.Triggers) > 0:
		f.scale = s
	}
}

// trigger is a trigger as it is written.
type trigger struct {
	at       *doc.Node
	kind     string
	metric   string
	metadata *doc.Node
}

// triggers reads what asks for more instances: a list, or an object whose keys are the names of triggers, and their
// types unless these are given. It reports whether there are triggers that cannot work here, which makes the process
// stay as it is. Remarks stand at the whole, so that both forms give the same plan.
func (m *reader) triggers(s *app.Scale, n *doc.Node) (still bool) {
	var all []trigger
	if n.Kind() == doc.Map {
		nodes, _ := n.Named(m.Reporter, "triggers")
		for _, x := range nodes {
			all = append(all, m.trigger(x, x.Name()))
		}
	} else {
		entries, _ := n.Entries(m.Reporter, "triggers")
		for _, x := range entries {
			all = append(all, m.trigger(x, ""))
		}
	}
	slices.SortStableFunc(all, func(a, b trigger) int { return cmp.Compare(a.kind, b.kind) })
	for i, t := range all {
		switch {
		case t.kind == "":
		case t.kind == "http":
			m.unable(t, n)
			still = true
		case t.kind == "cron":
			m.Report(t.at.Problem("E-TRIGGER", "no provider changes the number of instances by the time of the day").WithAllowed("cpu, memory").
				WithHint("scale by cpu or memory, or give the quantity that the busiest time needs"))
		case t.kind != manifest.TriggerCPU && t.kind != manifest.TriggerMemory:
			m.Report(t.at.Problem("E-TRIGGER", "%q is not a trigger that scales here", sdl.Printable(t.kind)).WithAllowed("cpu, memory").
				WithSuggestion(suggest.Nearest(t.kind, []string{"cpu", "memory"})))
		case i > 0 && all[i-1].kind == t.kind:
			m.Report(t.at.Problem("E-TRIGGER", "there are two triggers of type %s", t.kind))
		default:
			m.resource(s, t, n)
		}
	}
	return still && len(s.Triggers) == 0
}

func (m *reader) trigger(n *doc.Node, name string) trigger {
	const path = "formation.*.autoscaling.triggers[]"
	o, ok := Fields.Object(m.Reporter, n, path, "a trigger")
	if !ok {
		return trigger{at: n}
	}
	t := trigger{at: n, kind: name, metadata: o.Get("metadata"), metric: m.text(o.Get("metricType"), "metricType")}
	if x := o.Get("type"); x != nil {
		t.kind, t.at = m.text(x, "type"), x
	} else if x := o.Get("name"); x != nil && t.kind == "" {
		t.kind, t.at = m.text(x, "name"), x
	}
	if t.kind == "" {
		m.Report(n.Problem("E-MISSING", "type is missing").WithHint(`for example "type": "cpu"`))
	}
	if t.metadata != nil && t.metadata.Kind() != doc.Map {
		m.Report(t.metadata.Problem("E-TYPE", "metadata is an object, found %s", t.metadata.Kind()))
		t.metadata = nil
	}
	return t
}

// knownMetadata are the keys of metadata that mean something, by the type of the trigger.
var knownMetadata = map[string][]string{
	"http":   {"scale_by", "request_rate_target_value", "request_rate_window_seconds", "concurrency_target_value", "scaledown_period_seconds"},
	"cpu":    {"value", "type", "metricType"},
	"memory": {"value", "type", "metricType"},
}

// unable says that a trigger does not work here.
func (m *reader) unable(t trigger, whole *doc.Node) {
	m.metadataKeys(t, whole)
	m.Warn(whole.Remark("W-TRIGGER", "trigger %s has no effect: no provider scales by requests yet; the least number of instances runs all the time", t.kind).
		WithHint("scale by cpu or memory"))
}

func (m *reader) metadataKeys(t trigger, whole *doc.Node) {
	if t.metadata == nil {
		return
	}
	var unknown []string
	for _, x := range t.metadata.Items() {
		if !slices.Contains(knownMetadata[t.kind], x.Name()) {
			unknown = append(unknown, doc.ShowKey(x.Name()))
		}
	}
	slices.Sort(unknown)
	if len(unknown) > 0 {
		m.Warn(whole.Remark("W-TRIGGER-KEY", "a trigger of type %s has no %s: it has no effect", t.kind, strings.Join(unknown, ", ")).
			WithAllowed(strings.Join(knownMetadata[t.kind], ", ")))
	}
}

// resource reads a trigger of processor or memory.
func (m *reader) resource(s *app.Scale, t trigger, whole *doc.Node) {
	m.metadataKeys(t, whole)
	metric := t.metric
	var value *doc.Node
	if t.metadata != nil {
		value = t.metadata.Child("value")
		for _, key := range []string{"metricType", "type"} {
			if x := t.metadata.Child(key); x != nil && metric == "" {
				metric = m.text(x, key)
			}
		}
	}
	if value == nil {
		m.Report(t.at.Problem("E-TRIGGER", "trigger %s has no value", t.kind).WithHint(`for example "metadata": {"value": "70"}`))
		return
	}
	out := manifesttypes.Trigger{Resource: t.kind}
	switch metric {
	case "", "Utilization":
		v, _ := value.Uint(m.Reporter, "E-TRIGGER", "value, in per cent,", 1, manifest.MaxUtilization)
		out.UtilizationPercent = uint32(v)
	case "AverageValue":
		out.AverageValue = m.average(value, t.kind)
	default:
		m.Report(t.at.Problem("E-TRIGGER", "metric type %q of trigger %s is not known", sdl.Printable(metric), t.kind).WithAllowed("Utilization, AverageValue"))
		return
	}
	s.Triggers = append(s.Triggers, out)
}

// processes are what runs: the processes of the Procfile, and those of the formation. Without a Procfile there is web,
// which runs what its image runs.
func (m *reader) processes() {
	var names, unformed []string
	for _, e := range m.in.Procfile {
		if e.Name != Release {
			names = append(names, e.Name)
		}
	}
	listed := slices.Clone(names)
	if !m.in.HasProcfile {
		names = append(names, app.Web)
	}
	for name := range m.formations {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		if m.formations[name] == nil && name != app.Web {
			unformed = append(unformed, name)
		}
		m.process(name, listed)
	}
	if len(unformed) > 0 {
		m.Warn(sdl.Diagnostic{Code: "W-PROCESS-NOT-IN-FORMATION", Path: "formation",
			Message: fmt.Sprintf("%s of the Procfile does not run: it has no quantity in the formation", strings.Join(unformed, ", "))}.
			WithHint(`for example "formation": {` + strconv.Quote(unformed[0]) + `: {"quantity": 1}}`))
	}
	m.unhealthy(names)
	if len(m.in.Overlay.LivenessFile) > 0 {
		m.Warn(sdl.Diagnostic{Code: "W-NO-EFFECT", Path: "livenessFile", Message: "livenessFile has no effect: healthchecks of app.json are no files"}.
			WithHint("give the process a healthcheck of type liveness"))
	}
}

// process adds a process, unless none of it runs.
func (m *reader) process(name string, listed []string) {
	f := m.formations[name]
	if f == nil {
		f = &formation{}
		if name == app.Web {
			f.quantity = 1
		}
	}
	p := app.Process{Name: name, At: m.placeOf(name, f), Count: cmp.Or(f.still, f.quantity), Scale: f.scale, Size: f.size, Image: m.image}
	if !m.commanded(&p, f, listed) || p.Count == 0 && p.Scale == nil {
		if f.node != nil && !f.given && f.scale == nil && name != app.Web {
			m.Warn(f.node.Key().Remark("W-NOT-RUN", "%s does not run: it has no quantity", name).WithHint(`for example "quantity": 1`))
		}
		return
	}
	if f.parallel > 0 {
		p.Rollout = &manifesttypes.Rollout{MaxSurge: f.parallel}
	}
	port := uint32(Port)
	if n, ok := m.in.Overlay.Ports[name]; ok {
		port = n
	}
	switch {
	case name == app.Web:
		p.Port = port
		p.Exposes = []app.Expose{{Port: port, As: 80, Proto: manifesttypes.PROTO_HTTP, Public: true}}
	case f.exposed:
		p.Port = port
		p.Exposes = []app.Expose{{Port: port, Proto: manifesttypes.PROTO_TCP, Inside: true}}
	}
	if p.Port > 0 {
		p.Env = []app.Env{{Name: "PORT", Value: strconv.FormatUint(uint64(p.Port), 10)}}
	}
	m.healths[name].apply(m, &p, port)
	m.app.Processes = append(m.app.Processes, p)
}

func (m *reader) placeOf(name string, f *formation) app.Place {
	if f.node != nil {
		return app.PlaceOf(f.node.Key())
	}
	if e := m.entry(name); e != nil {
		return e.At
	}
	return app.Place{File: m.File(), Path: "formation." + name}
}

// commanded finds what a process runs. It reports false if that is not known.
func (m *reader) commanded(p *app.Process, f *formation, listed []string) bool {
	if command := m.in.Overlay.Commands[p.Name]; command != "" {
		p.Command = procfile.Argv(command)
		return true
	}
	if e := m.entry(p.Name); e != nil && p.Name != Release {
		p.Command = procfile.Argv(e.Command)
		return true
	}
	if m.in.Overlay.Images[p.Name] != "" || p.Name == app.Web && !m.in.HasProcfile {
		return true
	}
	if m.in.HasProcfile {
		m.Report(f.node.Key().Problem("E-FORMATION-NO-PROCESS", "no such process in Procfile (have: %s)", strings.Join(listed, ", ")).
			WithAllowed(strings.Join(listed, ", ")).WithSuggestion(suggest.Meant(p.Name, listed)))
		return false
	}
	if p.Count > 0 || p.Scale != nil {
		m.Warn(f.node.Key().Remark("W-NO-COMMAND", "%s runs what its image runs: there is no Procfile that says otherwise", p.Name).
			WithHint("give its command in a Procfile or with --command " + p.Name + "=..., or its own image"))
	}
	return true
}
