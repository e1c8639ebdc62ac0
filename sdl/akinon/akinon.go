// Package akinon reads the manifests of applications that consist of an akinon.json and a Procfile: what is built, which
// processes run and how many of each, what tells that they are well, which companion services they need, and which
// variables have to be given.
package akinon

import (
	"cmp"
	"path"
	"slices"
	"strings"

	"berth.dev/berth/manifest"
	manifesttypes "berth.dev/berth/manifest/types"
	"berth.dev/berth/sdl"
	"berth.dev/berth/sdl/app"
	"berth.dev/berth/sdl/doc"
	"berth.dev/berth/sdl/procfile"
)

// Format is the name of the format, and of its file.
const Format = "akinon.json"

// Placeholder is the key that samples of the format have for what they leave out. It means nothing, wherever it stands.
const Placeholder = "..."

// Port is where the process web takes connections, by the format's contract.
const Port = 8008

// The numbers of the format's contract and of its probes.
const (
	autoLeast       = 3 // of what max: "auto" stands for
	autoFactor      = 2 // times min
	scalePercent    = 80
	scaleCooldown   = 300
	probePeriod     = 5
	probeTimeout    = 5
	bootFailures    = 60 // five minutes to start
	probeFailures   = 3
	wantedStatus    = 200
	variablePort    = "PORT"
	maxLength       = 512 << 10
	healthcheckHint = `"healthcheck": "/healthz"`
)

// Input is what stands beside the manifest.
type Input struct {
	// Procfile is the processes, nil if the file is missing or broken; HasProcfile tells the two apart.
	Procfile    procfile.File
	HasProcfile bool
	// Overlay says which companions are not run.
	Overlay app.Overlay
	// Given tells whether the tenant gives a variable's value; nil for none. Companions whose variables are all given
	// are not run.
	Given func(name string) bool
	// File tells of a file of the source tree, by its path from the root; nil if there is no tree to look at.
	File func(path string) FileInfo
	// ProcfileName is what diagnostics call the Procfile; empty for just that.
	ProcfileName string
	// Skip are addons to leave out, by their roles or plans. The plan mail is the one that every application has otherwise.
	Skip []string
	// NoHealthcheck lets the process web do without: it is ready when its port takes connections.
	NoHealthcheck bool
}

// FileInfo is what matters of a file of the source tree.
type FileInfo struct {
	// Exists is true for a regular file.
	Exists bool
	// Executable tells whether anyone may execute it, and Shebang whether it starts with #!.
	Executable, Shebang bool
}

// Read reads a manifest whose keys Placeholder were left out, and reports everything that is wrong with it. What it
// returns is for app.Compile, and complete only if there was no error.
func Read(r *sdl.Reporter, root *doc.Node, in Input) *app.App {
	v := reader{Reporter: r, in: in, app: &app.App{Format: Format}}
	o, ok := Fields.Object(r, root, "", Format)
	if !ok {
		return v.app
	}
	v.identity(o)
	v.scripts(o)
	v.formation(o)
	v.addons(o)
	v.env(o)
	return v.app
}

type reader struct {
	*sdl.Reporter
	in  Input
	app *app.App
	// shared tells that static_cdn uses the store of cdn.
	shared bool
}

// text reads a value of text that may be absent.
func (v *reader) text(o doc.Object, key, what string) (string, *doc.Node) {
	n := o.Get(key)
	if n == nil {
		return "", nil
	}
	s, ok := n.Scalar(v.Reporter, what)
	if !ok {
		return "", nil
	}
	return s, n
}

func (v *reader) identity(o doc.Object) {
	name, at := v.text(o, "name", "name")
	v.app.Title, v.app.Name = name, app.Slug(name, app.MaxNameBytes)
	if at != nil && v.app.Name == "" {
		v.Report(at.Problem("E-NAME", "name %s has no letter that a host name could begin with", at.Show()).WithHint("for example mcapp-9000"))
	}
	v.app.Description, _ = v.text(o, "description", "description")
}

// scripts reads what is built and what runs before a rollout.
func (v *reader) scripts(o doc.Object) {
	build := app.Build{At: app.PlaceOf(o.Node())}
	if image, n := v.text(o, "runtime", "runtime"); n != nil {
		build.At, build.Runtime = app.PlaceOf(n), image
		if !manifest.IsImage(image) {
			v.Report(n.Problem("E-IMAGE", "runtime %s is not the reference of an image", n.Show()).WithAllowed("[HOST[:PORT]/]PATH[:TAG][@sha256:DIGEST]"))
		}
	}
	release := v.in.Procfile.Find(procfile.Release)
	if n := o.Get("scripts"); n != nil {
		if s, ok := Fields.Object(v.Reporter, n, "scripts", "scripts"); ok {
			if file, at := v.script(s, "build"); file != "" {
				build.At, build.Script = app.PlaceOf(at), file
			}
			if file, at := v.script(s, "release"); file != "" {
				if release != nil {
					v.Warn(at.Problem("W-RELEASE-TWICE", "scripts.release runs before a rollout, and the process release of the Procfile does not"))
				}
				v.hook(app.PlaceOf(at), v.runs(file))
				release = nil
			}
		}
	}
	if release != nil {
		v.hook(v.placeOf(*release), procfile.Argv(release.Command))
	}
	if build.Runtime != "" || build.Script != "" {
		v.app.Build = &build
	}
	if build.Script != "" && build.Runtime == "" && len(v.in.Overlay.Images) == 0 {
		v.Warn(build.At.Problem("W-NO-RUNTIME", "the script has no runtime to run in, so no image can be built").
			WithHint(`for example "runtime": "python:3.10-slim", or --image REFERENCE`))
	}
}

func (v *reader) placeOf(p procfile.Process) app.Place {
	return app.Place{File: cmp.Or(v.in.ProcfileName, "Procfile"), Line: p.Line, Column: p.Column, Path: p.Name}
}

func (v *reader) hook(at app.Place, command []string) {
	v.app.Hooks = append(v.app.Hooks, app.Hook{Name: procfile.Release, At: at, When: manifesttypes.WHEN_BEFORE_ROLLOUT, Command: command})
}

// script reads the path of a script: a file of the tree, named from its root.
func (v *reader) script(o doc.Object, key string) (string, *doc.Node) {
	text, n := v.text(o, key, "scripts."+key)
	if n == nil {
		return "", nil
	}
	file := path.Clean(text)
	if text == "" || path.IsAbs(text) || file == "." || file == ".." || strings.HasPrefix(file, "../") || strings.ContainsFunc(text, unprintable) {
		v.Report(n.Problem("E-SCRIPT", "scripts.%s %s is not the path of a file within the application", key, n.Show()).
			WithHint("name it from the application's root, for example scripts/" + key + ".sh"))
		return "", nil
	}
	if v.in.File == nil {
		return file, n
	}
	info := v.in.File(file)
	switch {
	case !info.Exists:
		v.Report(n.Problem("E-SCRIPT", "scripts.%s: there is no file %s in the application", key, n.Show()))
	case !info.Executable:
		v.Warn(n.Problem("W-SCRIPT-MODE", "scripts.%s: %s is not executable, so sh runs it whatever its first line says", key, n.Show()).
			WithHint("git update-index --chmod=+x " + file))
	}
	return file, n
}

func unprintable(r rune) bool { return r < ' ' || r == 0x7f }

// runs is how a script of the image is started: by itself if it can be, else by sh. Without a tree to look at, that is
// found out where it runs.
func (v *reader) runs(file string) []string {
	file = "./" + file
	if v.in.File == nil {
		return []string{"/bin/sh", "-c", `if [ -x "$0" ]; then exec "$0"; else exec sh "$0"; fi`, file}
	}
	if info := v.in.File(strings.TrimPrefix(file, "./")); info.Executable && info.Shebang {
		return []string{file}
	}
	return []string{"sh", file}
}

// formation reads how many instances of which processes run.
func (v *reader) formation(o doc.Object) {
	if !v.in.HasProcfile && len(v.in.Overlay.Commands) == 0 {
		v.Report(o.Node().Problem("E-PROCFILE", "there is no Procfile beside the manifest, which says what its processes run").WithFound("").
			WithHint("write for example web: ./server, or give --command web='./server'"))
	}
	entries := map[string]*doc.Node{}
	if n := o.Get("formation"); n != nil {
		nodes, _ := n.Named(v.Reporter, "formation")
		for _, p := range nodes {
			if v.known(p) {
				entries[p.Name()] = p
			}
		}
	}
	for _, p := range v.in.Procfile {
		switch {
		case p.Name == procfile.Release:
		case entries[p.Name] != nil:
			v.process(p.Name, p.Label, procfile.Argv(p.Command), entries[p.Name])
		case p.Name == app.Web:
			v.lonelyWeb(p)
		default:
			v.Warn(v.placeOf(p).Problem("W-PROCESS-NOT-IN-FORMATION", "process %q has no entry in formation, so it does not run", p.Name))
		}
		delete(entries, p.Name)
	}
	for name, n := range entries { // of the overlay: known saw to it
		v.process(name, procfile.Label(name), procfile.Argv(v.in.Overlay.Commands[name]), n)
	}
	slices.SortFunc(v.app.Processes, func(a, b app.Process) int { return strings.Compare(a.Name, b.Name) })
}

// known tells whether an entry of formation has a command, or reports that it has none.
func (v *reader) known(n *doc.Node) bool {
	name := n.Name()
	if v.in.Overlay.Commands[name] != "" {
		return true
	}
	if p := v.in.Procfile.Find(name); p != nil && name != procfile.Release {
		return true
	}
	if v.in.HasProcfile && v.in.Procfile != nil { // otherwise that was said of the file
		v.Report(v.in.Procfile.Missing(n.Key().Problem("E-FORMATION-NO-PROCESS", ""), name))
	}
	return false
}

// lonelyWeb runs the process web, of which the manifest says nothing.
func (v *reader) lonelyWeb(p procfile.Process) {
	v.Warn(v.placeOf(p).Problem("W-PROCESS-NOT-IN-FORMATION",
		"process web has no entry in formation: one instance runs, and is ready when port %d takes connections", Port).
		WithHint(`write "formation": {"web": {` + healthcheckHint + `}}`))
	v.app.Processes = append(v.app.Processes, app.Process{
		Name: p.Name, Service: p.Label, At: v.placeOf(p), Command: procfile.Argv(p.Command), Count: 1,
		Port: Port, Env: portEnv(), Exposes: webExposes(), Probes: portProbes(),
	})
}

func portEnv() []app.Env { return []app.Env{{Name: variablePort, Value: "8008"}} }

func webExposes() []app.Expose {
	return []app.Expose{{Port: Port, As: 80, Proto: manifesttypes.PROTO_HTTP, Public: true}}
}

// process reads an entry of formation.
func (v *reader) process(name, label string, command []string, n *doc.Node) {
	o, ok := Fields.Object(v.Reporter, n, "formation.*", "a process")
	if !ok {
		return
	}
	p := app.Process{Name: name, Service: label, At: app.PlaceOf(n), Command: command, Env: portEnv()}
	least, okLeast := v.number(o, "min", 1)
	v.most(&p, o, least, okLeast)
	v.health(&p, o)
	if v.in.Overlay.LivenessFile[p.Name] && (p.Probes == nil || p.Probes.Liveness == nil) {
		v.Warn(sdl.Diagnostic{Code: "W-NO-EFFECT", Path: "livenessFile." + p.Name, Message: "livenessFile has no effect on " + p.Name + ", whose healthcheck is no file"})
	}
	if name == app.Web {
		p.Port, p.Exposes = Port, webExposes()
	}
	v.app.Processes = append(v.app.Processes, p)
}

// number reads a number of instances.
func (v *reader) number(o doc.Object, key string, otherwise uint32) (uint32, bool) {
	n := o.Get(key)
	if n == nil {
		return otherwise, true
	}
	i, ok := n.Uint(v.Reporter, "E-RANGE", key, 0, manifest.MaxCount)
	return uint32(i), ok
}

// most reads the greatest number of instances, and decides whether the number follows the load.
func (v *reader) most(p *app.Process, o doc.Object, least uint32, sound bool) {
	p.Count = least
	n := o.Get("max")
	if n == nil || !sound {
		return
	}
	most, auto := max(autoLeast, autoFactor*least), n.Kind() == doc.Scalar && n.Text() == "auto"
	if !auto {
		i, err := v.upTo(n)
		if !err {
			return
		}
		if most = i; most < least {
			v.Report(n.Problem("E-SCALE", "max %d is less than min %d", most, least).WithAllowed(`at least min, or "auto"`))
			return
		}
	}
	if least == 0 || most == least {
		return
	}
	p.Scale = &app.Scale{
		At: app.PlaceOf(n), Min: least, Max: min(most, manifest.MaxCount), Auto: auto, CooldownSeconds: scaleCooldown,
		Triggers: []manifesttypes.Trigger{{Resource: manifest.TriggerCPU, UtilizationPercent: scalePercent}},
	}
}

// upTo reads a greatest number that is not "auto".
func (v *reader) upTo(n *doc.Node) (uint32, bool) {
	if n.Kind() == doc.Scalar && !strings.ContainsAny(n.Text(), "0123456789") {
		v.Report(n.Problem("E-SCALE", "max %s is neither a number nor \"auto\"", n.Show()).WithAllowed(`a whole number from 0 to 50, or "auto"`).
			WithSuggestion(`"auto"`))
		return 0, false
	}
	i, ok := n.Uint(v.Reporter, "E-RANGE", "max", 0, manifest.MaxCount)
	return uint32(i), ok
}

// health reads what tells that an instance is well.
func (v *reader) health(p *app.Process, o doc.Object) {
	text, n := v.text(o, "healthcheck", "healthcheck")
	switch {
	case p.Name == app.Web && n == nil && v.in.NoHealthcheck:
		p.Probes = portProbes()
	case p.Name == app.Web && n == nil && !o.Has("healthcheck"):
		v.Report(o.Node().Key().Problem("E-WEB-HEALTHCHECK", "web has no healthcheck: a path that answers 200 when it can take requests").WithFound("").
			WithHint(healthcheckHint + ", or --no-healthcheck to wait for its port only"))
	case n == nil: // or that was reported
	case p.Name == app.Web && !manifest.IsProbePath(text):
		v.Report(n.Problem("E-HEALTHCHECK", "healthcheck %s of web is not a path that starts with one /", n.Show()).WithHint(healthcheckHint))
	case p.Name == app.Web:
		p.Probes = pathProbes(text)
	case !path.IsAbs(text) || len(text) > manifest.MaxPathBytes || strings.ContainsFunc(text, unprintable):
		v.Report(n.Problem("E-HEALTHCHECK", "healthcheck %s of %s is not the absolute path of a file", n.Show(), p.Name).
			WithHint(`"healthcheck": "/tmp/healthz", a file that is there while the process is well`))
	default:
		p.Probes = fileProbes(text, v.in.Overlay.StartsAgain(p.Name))
	}
}

// pathProbes send no connections to an instance that does not answer. Only one that never did is started again.
func pathProbes(path string) *manifesttypes.Probes {
	probe := func(failures uint32) *manifesttypes.Probe {
		return &manifesttypes.Probe{
			Http:          &manifesttypes.HTTPGet{Path: path, Port: Port, Status: wantedStatus},
			PeriodSeconds: probePeriod, TimeoutSeconds: probeTimeout, FailureThreshold: failures,
		}
	}
	return &manifesttypes.Probes{Startup: probe(bootFailures), Readiness: probe(probeFailures)}
}

func portProbes() *manifesttypes.Probes {
	return &manifesttypes.Probes{Readiness: &manifesttypes.Probe{
		TcpPort: Port, PeriodSeconds: probePeriod, TimeoutSeconds: probeTimeout, FailureThreshold: probeFailures,
	}}
}

// fileProbes look for a file. There is no probe of the start, which would end an instance whose file stays away for long:
// the format says that it is not healthy then, not that it is started again. Where the tenant wants that, the file has the
// time that web has for its first answer.
func fileProbes(file string, again bool) *manifesttypes.Probes {
	probe := func(failures uint32) *manifesttypes.Probe {
		return &manifesttypes.Probe{
			Exec: []string{"test", "-e", file}, PeriodSeconds: probePeriod, TimeoutSeconds: probeTimeout, FailureThreshold: failures,
		}
	}
	if again {
		return &manifesttypes.Probes{Startup: probe(bootFailures), Readiness: probe(probeFailures), Liveness: probe(probeFailures)}
	}
	return &manifesttypes.Probes{Readiness: probe(probeFailures)}
}

// env reads the variables that have to be given.
func (v *reader) env(o doc.Object) {
	n := o.Get("env")
	if n == nil {
		return
	}
	nodes, _ := n.Named(v.Reporter, "env")
	for _, one := range nodes {
		v.variable(one)
	}
}

func (v *reader) variable(n *doc.Node) {
	name := n.Name()
	switch {
	case !isVariable(name):
		v.Report(n.Key().Problem("E-ENV", "%q cannot name a variable", doc.ShowKey(name)).WithAllowed("letters, digits and _, not starting with a digit"))
		return
	case name == variablePort:
		v.Report(n.Key().Problem("E-ENV", "%s is always %d", variablePort, Port))
		return
	case slices.ContainsFunc(v.app.Variables, func(x app.Variable) bool { return x.Name == name }):
		v.Report(n.Key().Problem("E-ENV", "%s is a variable of an addon, which gives it its value", name).WithHint("leave it out of env"))
		return
	}
	o, ok := Fields.Object(v.Reporter, n, "env.*", "a variable")
	if !ok {
		return
	}
	x := app.Variable{Name: name, At: app.PlaceOf(n), Secret: true}
	if kind, at := v.text(o, "type", "type"); at != nil && kind != "text" {
		v.Warn(at.Problem("W-NO-EFFECT", "type %s is read as \"text\", the only one there is", at.Show()).WithSuggestion(`"text"`))
	}
	x.Description, _ = v.text(o, "description", "description")
	if at := o.Get("required"); at != nil {
		x.Required, _ = at.Bool(v.Reporter, "required")
	}
	x.MinLength, x.MaxLength = v.length(o, "minlength", 0), v.length(o, "maxlength", 1)
	if x.MaxLength > 0 && x.MinLength > x.MaxLength {
		v.Report(o.Get("minlength").Problem("E-RANGE", "minlength %d is more than maxlength %d", x.MinLength, x.MaxLength))
	}
	v.app.Variables = append(v.app.Variables, x)
}

func (v *reader) length(o doc.Object, key string, least uint64) int {
	n := o.Get(key)
	if n == nil {
		return 0
	}
	i, _ := n.Uint(v.Reporter, "E-RANGE", key, least, maxLength)
	return int(i)
}

func isVariable(s string) bool {
	return s != "" && len(s) <= manifest.MaxEnvNameBytes && (s[0] < '0' || s[0] > '9') && !strings.ContainsFunc(s, func(r rune) bool {
		return (r|0x20 < 'a' || r|0x20 > 'z') && (r < '0' || r > '9') && r != '_'
	})
}
