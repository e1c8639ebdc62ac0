package app

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"berth.dev/berth/manifest"
	manifesttypes "berth.dev/berth/manifest/types"
	"berth.dev/berth/sdl"
	"berth.dev/berth/sdl/suggest"
)

// Config is what an application is compiled with.
type Config struct {
	Overlay Overlay
	// Values are those of variables, by name: stored, given or generated. They win over what the manifest and the overlay
	// say.
	Values map[string]string
	// Complete refuses what a deployment lacks: images, and values of required variables. Without it they are left open.
	Complete bool
}

// Web is the process that people reach.
const Web = "web"

// rootVolume is the file system of an instance.
const rootVolume = "default"

const (
	mebi = 1 << 20
	gibi = 1 << 30
)

// The sizes of instances for which none is given.
var (
	webSize    = Size{CPUMilli: 500, MemoryBytes: 512 * mebi, StorageBytes: gibi}
	workerSize = Size{CPUMilli: 250, MemoryBytes: 256 * mebi, StorageBytes: gibi}
	taskSize   = Size{CPUMilli: 250, MemoryBytes: 256 * mebi, StorageBytes: 512 * mebi}
)

// DefaultSize is the size of an instance of a process for which none is given.
func DefaultSize(process string) Size {
	if process == Web {
		return webSize
	}
	return workerSize
}

// Or fills the zero parts of a size.
func (s Size) Or(other Size) Size {
	return Size{cmp.Or(s.CPUMilli, other.CPUMilli), cmp.Or(s.MemoryBytes, other.MemoryBytes), cmp.Or(s.StorageBytes, other.StorageBytes)}
}

// Compile checks what the parts of an application mean together, reports all that is wrong, and returns the plan: one
// group, whose order counts the most instances that each process may have, and every task that is not suspended once.
// It returns nil if there is an error, be it found here or before.
func Compile(r *sdl.Reporter, a *App, c Config) *sdl.Plan {
	b := &builder{Reporter: r, app: a, config: c, overlay: c.Overlay, byName: map[string]Place{}}
	b.parts()
	b.overlaid()
	b.variables()
	b.clients()
	b.hooks()
	b.images()
	if r.Failed() {
		return nil
	}
	return b.plan()
}

// part is a service of the plan in the making.
type part struct {
	service manifesttypes.Service
	at      Place
	// key is the name by which the overlay calls it.
	key       string
	exposes   []Expose
	env       []Env
	price     Price
	companion bool
}

type builder struct {
	*sdl.Reporter
	app     *App
	config  Config
	overlay Overlay
	list    []*part
	byName  map[string]Place
	inputs  map[string]*sdl.Input
	values  map[string]manifesttypes.EnvVar
	// unbuilt are the services that have no image yet.
	unbuilt []string
}

// parts lists what runs.
func (b *builder) parts() {
	var companions []string
	for _, c := range b.app.Companions {
		if b.overlay.External[c.Name] {
			continue
		}
		if p := b.process(c.Process, Size{}, true); p != nil {
			companions = append(companions, p.service.Name)
		}
	}
	for _, x := range b.app.Processes {
		if p := b.process(x, DefaultSize(x.Name), false); p != nil {
			p.service.DependsOn = sorted(append(p.service.DependsOn, companions...))
		}
	}
	for _, t := range b.app.Tasks {
		if p := b.task(t); p != nil {
			p.service.DependsOn = sorted(companions)
		}
	}
	slices.SortFunc(b.list, func(x, y *part) int { return cmp.Compare(x.service.Name, y.service.Name) })
	if len(b.list) == 0 && !b.Failed() {
		b.Report(sdl.Diagnostic{Code: "E-NOTHING-RUNS", Message: "nothing of the application runs: no process has an instance"}.
			WithHint("give a process of the formation a quantity above 0"))
	}
}

// sorted is a list without repetitions.
func sorted(in []string) []string {
	out := slices.Clone(in)
	slices.Sort(out)
	return slices.Compact(out)
}

// add takes a service with a name of its own.
func (b *builder) add(p *part) *part {
	name := p.service.Name
	if !manifest.IsServiceName(name) {
		b.Report(p.at.Problem("E-NAME", "%q cannot be made the name of a service", p.key).
			WithAllowed("letters, digits and dashes, starting with a letter"))
		return nil
	}
	if other, taken := b.byName[name]; taken {
		b.Report(p.at.Problem("E-NAME", "the service of %q is called %s, and so is that of line %d", p.key, name, other.Line).WithHint("rename one of the two"))
		return nil
	}
	b.byName[name] = p.at
	b.list = append(b.list, p)
	return p
}

func (b *builder) process(x Process, size Size, companion bool) *part {
	if x.Count == 0 && x.Scale == nil {
		return nil
	}
	service := cmp.Or(x.Service, ServiceName(x.Name))
	p := &part{at: x.At, key: x.Name, exposes: x.Exposes, env: x.Env, price: b.price(x.Name, x.Service)}
	p.companion = companion
	if own, given := b.overlay.Compute[x.Name]; given || companion {
		size = own.Or(x.Size).Or(size)
	} else {
		size = b.overlay.Compute[All].Or(x.Size).Or(size)
	}
	p.service = manifesttypes.Service{
		Name: service, Image: b.image(x.Name, x.Image, companion), Command: x.Command, Args: x.Args, DependsOn: sorted(x.DependsOn),
		Count: x.Count, CpuMilli: size.CPUMilli, MemoryBytes: size.MemoryBytes, Volumes: b.volumes(x, size),
		Probes: x.Probes, MinReadySeconds: x.MinReadySeconds, Rollout: x.Rollout,
	}
	if x.Scale != nil {
		b.scale(&p.service, x)
	}
	return b.add(p)
}

// StartsAgain tells whether a process is started again while the file of its healthcheck is missing.
func (o Overlay) StartsAgain(process string) bool { return at(o.LivenessFile, process) }

// at is the entry of a key, or that of All.
func at[V any](m map[string]V, key string) V {
	if v, ok := m[key]; ok {
		return v
	}
	return m[All]
}

// image is the image of a process, or empty as long as it is open. An image for all is not for companions.
func (b *builder) image(process, said string, companion bool) string {
	if companion {
		return cmp.Or(b.overlay.Images[process], said)
	}
	return cmp.Or(b.overlay.Images[process], b.overlay.Images[All], said)
}

func (b *builder) price(keys ...string) Price {
	for _, k := range append(keys, All) {
		if p, ok := b.overlay.Prices[k]; ok {
			return p
		}
	}
	return Price{Denom: b.denom()}
}

// denom is the denomination of what has no price.
func (b *builder) denom() string {
	if b.overlay.Budget != nil {
		return b.overlay.Budget.Denom
	}
	for _, k := range slices.Sorted(maps.Keys(b.overlay.Prices)) {
		return b.overlay.Prices[k].Denom
	}
	return sdl.Denom
}

func (b *builder) volumes(x Process, size Size) []manifesttypes.Volume {
	out := []manifesttypes.Volume{{Name: rootVolume, Bytes: size.StorageBytes}}
	for _, v := range x.Volumes {
		m := manifesttypes.Volume{Name: v.Name, Bytes: v.Bytes, Mount: v.Mount, ReadOnly: v.ReadOnly}
		if n, ok := b.overlay.Data[x.Name]; ok && v.Persistent {
			m.Bytes = n
		}
		if v.Persistent {
			m.Attributes = []manifesttypes.Attribute{{Key: "class", Value: cmp.Or(v.Class, "default")}, {Key: "persistent", Value: "true"}}
		}
		out = append(out, m)
	}
	return out
}

// scale sets the bounds between which the number of instances follows the load. The order reserves the greater one.
func (b *builder) scale(s *manifesttypes.Service, x Process) {
	most := x.Scale.Max
	if n := at(b.overlay.AutoMax, x.Name); n > 0 && x.Scale.Auto {
		most = n
	}
	if most < x.Scale.Min {
		b.Report(x.Scale.At.Problem("E-SCALE", "%s: at most %d instances are fewer than the least, %d", x.Name, most, x.Scale.Min))
		return
	}
	if b.overlay.Reserve == ReserveMin {
		b.Warn(x.Scale.At.Problem("W-RESERVE-MIN", "%s runs with %d instances and does not scale: no more are reserved", x.Name, x.Scale.Min))
		s.Count = x.Scale.Min
		return
	}
	s.Count = most
	if most == x.Scale.Min {
		return
	}
	triggers := slices.Clone(x.Scale.Triggers)
	slices.SortFunc(triggers, func(a, b manifesttypes.Trigger) int { return cmp.Compare(a.Resource, b.Resource) })
	s.Scale = &manifesttypes.Scale{Min: x.Scale.Min, Triggers: triggers, CooldownSeconds: x.Scale.CooldownSeconds}
}

func (b *builder) task(t Task) *part {
	size := b.overlay.Compute[t.Name].Or(b.overlay.Compute[KeyTask]).Or(t.Size).Or(taskSize)
	cron := t.Cron
	image := cmp.Or(b.overlay.Images[t.Name], b.overlay.Images[KeyTask], b.image(Web, t.Image, false))
	return b.add(&part{at: t.At, key: t.Name, price: b.price(t.Name, KeyTask), service: manifesttypes.Service{
		Name: cmp.Or(t.Service, t.Name), Image: image, Command: t.Command, Args: t.Args, Count: 1,
		CpuMilli: size.CPUMilli, MemoryBytes: size.MemoryBytes, Volumes: b.volumes(Process{}, size), Cron: &cron,
	}})
}

// overlaid reports entries of the overlay that are for nothing, and images that are none.
func (b *builder) overlaid() {
	names := []string{KeyTask}
	for _, c := range b.app.Companions {
		names = append(names, c.Name)
	}
	for _, p := range b.app.Processes {
		names = append(names, p.Name)
	}
	for _, t := range b.app.Tasks {
		names = append(names, t.Name)
	}
	known := func(what string, keys []string) {
		slices.Sort(keys)
		for _, k := range keys {
			if k != All && !slices.Contains(names, k) {
				b.Report(sdl.Diagnostic{Code: "E-OVERLAY", Path: what + "." + k, Message: "there is no process " + k + " of which the " + what + " is given"}.
					WithAllowed(strings.Join(names, ", ")).WithSuggestion(suggest.Meant(k, names)))
			}
		}
	}
	known("image", slices.Collect(maps.Keys(b.overlay.Images)))
	known("compute", slices.Collect(maps.Keys(b.overlay.Compute)))
	known("price", slices.Collect(maps.Keys(b.overlay.Prices)))
	known("domain", slices.Collect(maps.Keys(b.overlay.Domains)))
	known("livenessFile", slices.Collect(maps.Keys(b.overlay.LivenessFile)))
	for _, p := range b.list {
		switch image := p.service.Image; {
		case image == "" && b.config.Complete:
			b.Report(p.at.Problem("E-NO-IMAGE", "%s has no image", p.key).
				WithHint("give --image " + p.key + "=REFERENCE, or image in berth.yaml, or build one with --build"))
		case image == "":
			b.unbuilt = append(b.unbuilt, p.service.Name)
		case !manifest.IsImage(image):
			b.Report(p.at.Problem("E-IMAGE", "%s: %q is not the reference of an image", p.key, sdl.Printable(image)).WithAllowed("[HOST[:PORT]/]PATH[:TAG][@sha256:DIGEST]"))
		}
	}
	if len(b.unbuilt) > 0 && b.app.Build == nil {
		b.Warn(sdl.Diagnostic{Code: "W-NO-IMAGE", Message: "no image is given yet for " + strings.Join(b.unbuilt, ", ")}.
			WithHint("a deployment needs --image REFERENCE, image in berth.yaml, or a source tree to build from"))
	}
}

// variables finds the value of every variable, and gives them to what runs.
func (b *builder) variables() {
	b.inputs, b.values = map[string]*sdl.Input{}, map[string]manifesttypes.EnvVar{}
	vars := slices.SortedFunc(slices.Values(b.app.Variables), func(x, y Variable) int { return cmp.Compare(x.Name, y.Name) })
	for _, v := range vars {
		if v.Made == nil {
			b.variable(v)
		}
	}
	for _, v := range vars {
		if from, ok := b.made(v); ok {
			b.values[v.Name] = manifesttypes.EnvVar{Name: v.Name, Value: v.Made.Before + from.Value + v.Made.After, Secret: from.Secret || v.Secret}
		}
	}
	for _, p := range b.list {
		env := map[string]manifesttypes.EnvVar{}
		if !p.companion {
			for _, v := range vars {
				if value, ok := b.values[v.Name]; ok && !v.Internal {
					env[v.Name] = value
				}
			}
			b.added(env, vars)
		}
		for _, e := range p.env {
			value := manifesttypes.EnvVar{Name: e.Name, Value: e.Value, Secret: e.Secret}
			if e.From != "" {
				from, ok := b.values[e.From]
				if !ok {
					continue
				}
				value.Value, value.Secret = from.Value, from.Secret
			}
			env[e.Name] = value
		}
		for _, name := range slices.Sorted(maps.Keys(env)) {
			p.service.Env = append(p.service.Env, env[name])
		}
	}
}

// added are variables that the manifest does not have, but that are given or stored for the application.
func (b *builder) added(env map[string]manifesttypes.EnvVar, vars []Variable) {
	for _, given := range []map[string]string{b.overlay.Env, b.config.Values} {
		for name, value := range given {
			if !slices.ContainsFunc(vars, func(v Variable) bool { return v.Name == name }) {
				env[name] = manifesttypes.EnvVar{Name: name, Value: value, Secret: true}
			}
		}
	}
}

func (b *builder) variable(v Variable) {
	input := sdl.Input{Name: v.Name, Description: v.Description}
	out := manifesttypes.EnvVar{Name: v.Name, Secret: true}
	given, ok := b.config.Values[v.Name]
	if !ok {
		given, ok = b.overlay.Env[v.Name]
	}
	switch {
	case ok:
		out.Value, input.State = given, sdl.InputGiven
		out.Secret = v.Secret || v.Generate != nil || v.Value == nil || given != *v.Value
	case v.Value != nil:
		out.Value, out.Secret = *v.Value, v.Secret
	case v.Generate != nil:
		input.State = sdl.InputGenerated
	case v.Required:
		input.State = sdl.InputMissing
	default:
		input.State = sdl.InputAbsent
	}
	if b.config.Complete && (input.State == sdl.InputMissing || input.State == sdl.InputGenerated) {
		b.Report(v.At.Problem("E-VALUE-MISSING", "%s has no value", v.Name).WithHint("give --env " + v.Name + "=..., or berth env set"))
	}
	if out.Secret && input.State != "" {
		b.inputs[v.Name] = &input
	}
	if input.State != sdl.InputMissing && input.State != sdl.InputAbsent {
		b.values[v.Name] = out
	}
}

// made is the value of which that of another variable is made.
func (b *builder) made(v Variable) (manifesttypes.EnvVar, bool) {
	if v.Made == nil {
		return manifesttypes.EnvVar{}, false
	}
	from, ok := b.values[v.Made.From]
	return from, ok
}

// clients says who may connect to what.
func (b *builder) clients() {
	for _, p := range b.list {
		for _, x := range p.exposes {
			e := manifesttypes.Expose{Port: x.Port, As: cmp.Or(x.As, x.Port), Proto: x.Proto}
			if x.Public {
				e.To = append(e.To, manifesttypes.To{Global: true})
				e.Accept = b.hosts(p, x)
			}
			if x.Inside {
				for _, q := range b.list {
					if q != p && !q.companion {
						e.To = append(e.To, manifesttypes.To{Service: q.service.Name})
					}
				}
			}
			p.service.Expose = append(p.service.Expose, e)
		}
	}
}

func (b *builder) hosts(p *part, x Expose) []string {
	hosts := slices.Concat(x.Hosts, b.overlay.Domains[p.key])
	if p.key == Web {
		hosts = append(hosts, b.overlay.Domains[All]...)
	}
	for _, h := range hosts {
		if !manifest.IsHost(h) {
			b.Report(p.at.Problem("E-HOST", "%q is not a host name", sdl.Printable(h)).WithAllowed("a lower-case DNS name such as shop.example.com"))
		}
	}
	return sorted(hosts)
}

// hooks gives each hook to the service in whose image it runs.
func (b *builder) hooks() {
	for _, h := range b.app.Hooks {
		p := b.host(h.Process)
		if p == nil {
			b.Report(h.At.Problem("E-HOOK", "hook %s has no process in whose image it could run", h.Name).WithHint("let one instance of web run"))
			continue
		}
		p.service.Hooks = append(p.service.Hooks, manifesttypes.Hook{
			Name: h.Name, When: h.When, Once: h.Once, Command: h.Command, Args: h.Args, DeadlineSeconds: h.DeadlineSeconds,
		})
	}
}

// host is the process of a hook.
func (b *builder) host(process string) *part {
	var first *part
	for _, p := range b.list {
		if p.companion || p.service.Cron != nil {
			continue
		}
		if p.key == cmp.Or(process, Web) {
			return p
		}
		if first == nil {
			first = p
		}
	}
	if process != "" {
		return nil
	}
	return first
}
