// Package appjson is the front-end for app.json, the manifest of Dokku and Heroku. It reads what the manifest and the
// Procfile beside it say into the common model of applications, and reports everything that is wrong at once.
package appjson

import (
	"cmp"
	"maps"
	"regexp"
	"slices"
	"strings"

	"berth.dev/berth/manifest"
	manifesttypes "berth.dev/berth/manifest/types"
	"berth.dev/berth/sdl"
	"berth.dev/berth/sdl/app"
	"berth.dev/berth/sdl/doc"
)

// Format is the name of the format.
const Format = "app.json"

// Port is where a process takes connections that does not say otherwise.
const Port = 5000

// Release is the process of a Procfile that runs before a rollout.
const Release = "release"

// Input is what a manifest is read with.
type Input struct {
	// Procfile are the processes of the Procfile; HasProcfile tells whether there is one.
	Procfile    []app.Entry
	HasProcfile bool
	Overlay     app.Overlay
	// Environment names the part of environments that is put over the document; empty for none.
	Environment string
	// SkipAddons are addons that are left out.
	SkipAddons []string
	// Given tells whether the tenant gives a variable's value; nil for none. An addon whose variable is given is not run.
	Given func(name string) bool
}

// Marks are the keys of which a document has at least one if it is an app.json of this kind; others are of programs
// that use the same file name.
var Marks = []string{"buildpacks", "cron", "env", "formation", "healthchecks", "scripts"}

// Read reads a manifest. What it returns is usable only if no error was reported; it returns nil for a document that is
// of another kind.
func Read(r *sdl.Reporter, root *doc.Node, in Input) *app.App {
	if expo := root.Child("expo"); expo != nil {
		r.Report(expo.Key().Problem("E-EXPO", "this app.json configures Expo or React Native, not a deployment").
			WithHint("write a deploy.yaml, or an app.json in a directory of its own"))
		return nil
	}
	m := &reader{Reporter: r, in: in, app: &app.App{Format: Format}}
	root = m.environment(root)
	o, ok := Fields.Object(r, root, "", "the document")
	if !ok {
		return nil
	}
	m.about(o)
	m.buildpacks(o.Get("buildpacks"))
	m.addons(o.Get("addons"))
	m.env(o.Get("env"))
	m.formation(o.Get("formation"))
	m.checks(o.Get("healthchecks"))
	m.processes()
	m.cron(o.Get("cron"))
	m.scripts(o.Get("scripts"))
	return m.app
}

type reader struct {
	*sdl.Reporter
	in    Input
	app   *app.App
	image string // of all processes, as the manifest says
	// formations and healths are by the name of the process.
	formations map[string]*formation
	healths    map[string]*health
	// provided are the variables of addons.
	provided map[string]bool
}

// entry is a process of the Procfile, or nil.
func (m *reader) entry(name string) *app.Entry {
	i := slices.IndexFunc(m.in.Procfile, func(e app.Entry) bool { return e.Name == name })
	if i < 0 {
		return nil
	}
	return &m.in.Procfile[i]
}

// environment puts a part of environments over the document.
func (m *reader) environment(root *doc.Node) *doc.Node {
	if m.in.Environment == "" {
		return root
	}
	var names []string
	var over *doc.Node
	if all := root.Child("environments"); all != nil {
		for _, e := range all.Items() {
			names = append(names, e.Name())
		}
		over = all.Child(m.in.Environment)
	}
	if over == nil || over.Kind() != doc.Map {
		have := "the document has none"
		if len(names) > 0 {
			have = strings.Join(names, ", ")
		}
		m.Report(sdl.Diagnostic{Code: "E-ENVIRONMENT", Path: "environments", Message: "there is no environment " + sdl.Printable(m.in.Environment)}.WithAllowed(have))
		return root
	}
	merged := map[string]*doc.Node{}
	for _, n := range slices.Concat(root.Items(), over.Items()) {
		if below := merged[n.Name()]; below != nil && n.Name() == "env" && n.Kind() == doc.Map && below.Kind() == doc.Map {
			n = hold(n, slices.Concat(below.Items(), n.Items()))
		}
		merged[n.Name()] = n
	}
	var all []*doc.Node
	for _, n := range merged {
		all = append(all, n)
	}
	return hold(root, all)
}

// hold is a mapping in the place of n with these values, of which the last of a name counts.
func hold(n *doc.Node, values []*doc.Node) *doc.Node {
	byName := map[string]*doc.Node{}
	for _, v := range values {
		byName[v.Name()] = v
	}
	var entries []doc.Entry
	for name, v := range byName {
		entries = append(entries, doc.Entry{Name: name, Value: v})
	}
	slices.SortFunc(entries, func(a, b doc.Entry) int { return cmp.Compare(a.Name, b.Name) })
	return n.Holding(entries)
}

// text reads a text; numbers and truth values are not meant.
func (m *reader) text(n *doc.Node, what string) string {
	if n == nil {
		return ""
	}
	s, _ := n.Scalar(m.Reporter, what)
	return s
}

// about reads what describes the application.
func (m *reader) about(o doc.Object) {
	m.app.Title = m.text(o.Get("name"), "name")
	if m.app.Name = app.Slug(m.app.Title, app.MaxNameBytes); m.app.Name == "" && m.app.Title != "" {
		m.Report(o.Get("name").Problem("E-NAME", "name %s holds no letter", o.Get("name").Show()))
	}
	m.app.Description = m.text(o.Get("description"), "description")
	if n := o.Get("image"); n != nil {
		if image := m.text(n, "image"); !manifest.IsImage(image) {
			m.Report(n.Problem("E-IMAGE", "%s is not the reference of an image", n.Show()).WithAllowed("[HOST[:PORT]/]PATH[:TAG][@sha256:DIGEST]"))
		}
	}
	if n := o.Get("success_url"); n != nil {
		m.app.Success = m.text(n, "success_url")
		web := strings.HasPrefix(m.app.Success, "https://") || strings.HasPrefix(m.app.Success, "http://")
		if !web && (strings.Contains(m.app.Success, ":") || strings.ContainsAny(m.app.Success, " \t\n")) {
			m.Report(n.Problem("E-URL", "success_url is neither a URL nor a path").WithHint("for example /welcome"))
		}
	}
	m.image = m.text(o.Get("image"), "image")
}

var (
	herokuURL = regexp.MustCompile(`^(?:https://github\.com/|git@github\.com:|git://github\.com/)heroku/heroku-buildpack-([a-z0-9-]+?)(?:\.git)?(?:#.*)?$`)
	shorthand = regexp.MustCompile(`^([A-Za-z0-9_.-]+)/([A-Za-z0-9_.-]+)$`)
	// languages are the buildpacks of Heroku that there are in the form that builders take, by the names that they have in
	// the old form.
	languages = map[string]string{
		"python": "python", "nodejs": "nodejs", "ruby": "ruby", "go": "go", "php": "php", "java": "java", "jvm": "jvm", "gradle": "gradle",
		"scala": "scala", "sbt": "sbt", "dotnet": "dotnet", "procfile": "procfile",
	}
)

// builds tells whether an image is built from the source tree, as far as is known: it was, or none is given.
func (m *reader) builds() bool {
	return m.in.Overlay.Built != nil || m.in.Overlay.Images[app.All] == "" && m.in.Overlay.Images[app.Web] == "" && m.image == ""
}

func (m *reader) build(at *doc.Node) *app.Build {
	if m.app.Build == nil {
		m.app.Build = &app.Build{At: app.PlaceOf(at)}
	}
	return m.app.Build
}

func (m *reader) buildpacks(n *doc.Node) {
	if n == nil {
		return
	}
	entries, _ := n.Entries(m.Reporter, "buildpacks")
	var ids []string
	for _, e := range entries {
		o, ok := e.Object(m.Reporter, doc.Shape{What: "a buildpack", Keys: Fields.Keys("buildpacks[]"), Lenient: true}.ShortFor("url", ""))
		if !ok {
			continue
		}
		if u := o.Require(m.Reporter, "url", "heroku/python"); u != nil {
			ids = append(ids, m.buildpack(u)...)
		}
	}
	if m.builds() && len(m.in.Overlay.Buildpacks) == 0 && len(ids) > 0 {
		m.build(n).Buildpacks = ids
	}
}

func (m *reader) buildpack(n *doc.Node) []string {
	text := m.text(n, "url")
	name := ""
	if x := herokuURL.FindStringSubmatch(text); x != nil {
		name = x[1]
	} else if x := shorthand.FindStringSubmatch(text); x != nil {
		if name = x[2]; x[1] != "heroku" {
			name = ""
		}
	}
	if id := languages[name]; id != "" {
		return []string{"heroku/" + id}
	}
	d := n.Problem("E-BUILDPACK", "%s is a buildpack of the old kind, or none", n.Show()).
		WithHint("use a buildpack of heroku/LANGUAGE, a Dockerfile, or an image; --buildpack and berth.yaml win over this list")
	if !m.builds() || len(m.in.Overlay.Buildpacks) > 0 {
		d.Code = "W-BUILDPACK"
		m.Warn(d.WithHint("it is not used"))
		return nil
	}
	m.Report(d)
	return nil
}

// scripts reads what runs before and after a rollout.
func (m *reader) scripts(n *doc.Node) {
	if e := m.entry(Release); e != nil {
		m.hook("release", e.At, e.Command, manifesttypes.WHEN_BEFORE_ROLLOUT, false)
	}
	if n == nil {
		return
	}
	o, ok := Fields.Object(m.Reporter, n, "scripts", "scripts")
	if !ok {
		return
	}
	var dokku doc.Object
	if d := o.Get("dokku"); d != nil {
		dokku, _ = Fields.Object(m.Reporter, d, "scripts.dokku", "scripts.dokku")
		m.predeploy(dokku.Get("predeploy"))
	}
	m.script(o.Get("postdeploy"), "postdeploy", true)
	m.script(dokku.Get("postdeploy"), "dokku-postdeploy", false)
}

func (m *reader) predeploy(n *doc.Node) {
	if n == nil {
		return
	}
	command := m.command(n)
	switch {
	case command == "":
	case m.in.Overlay.Predeploy == app.PredeployJob:
		// Before the release, which may need what it does.
		release := m.app.Hooks
		m.app.Hooks = nil
		m.hook("predeploy", app.PlaceOf(n), command, manifesttypes.WHEN_BEFORE_ROLLOUT, false)
		m.app.Hooks = append(m.app.Hooks, release...)
	case !m.builds():
		m.Report(n.Key().Problem("E-PREDEPLOY-NEEDS-BUILD", "predeploy changes the image, which is built already").
			WithHint("use --build, or --predeploy=job to run it before the rollout without keeping what it changes"))
	default:
		m.build(n).Predeploy = command
	}
}

// command reads a command, which is not shown in messages.
func (m *reader) command(n *doc.Node) string {
	n.Hide()
	text := strings.TrimSpace(m.text(n, "a command"))
	if text == "" && n.Kind() == doc.Scalar {
		m.Report(n.Problem("E-MISSING", "the command is empty"))
	}
	return text
}

func (m *reader) script(n *doc.Node, name string, once bool) {
	if n == nil {
		return
	}
	if command := m.command(n); command != "" {
		m.hook(name, app.PlaceOf(n), command, manifesttypes.WHEN_AFTER_ROLLOUT, once)
	}
}

func (m *reader) hook(name string, at app.Place, command string, when manifesttypes.When, once bool) {
	m.app.Hooks = append(m.app.Hooks, app.Hook{Name: name, At: at, When: when, Once: once, Command: app.HookCommand(command)})
}

func sortedNames[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
