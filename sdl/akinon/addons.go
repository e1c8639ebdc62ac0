package akinon

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"berth.dev/berth/sdl"
	"berth.dev/berth/sdl/app"
	"berth.dev/berth/sdl/doc"
	"berth.dev/berth/sdl/suggest"
)

// addon is one use of a plan.
type addon struct {
	plan *plan
	at   *doc.Node // nil for the mail addon, which needs no entry
	// role is as written, prefix what its variables begin with, and service the name under which it is found.
	role, prefix, service string
	version               string
	size                  app.Size
}

// name is a variable of the addon: HOST of the role db is DB_HOST.
func (a addon) name(suffix string) string {
	if a.prefix == "" {
		return suffix
	}
	return a.prefix + "_" + suffix
}

// Plans are the names of the plans of addons, in the order of the format's description.
func Plans() []string {
	out := make([]string, len(plans))
	for i := range plans {
		out[i] = plans[i].name
	}
	return out
}

// addons reads the companion services, and adds the one that every application has.
func (v *reader) addons(o doc.Object) {
	var list []addon
	if n := o.Get("addons"); n != nil {
		entries, _ := n.Entries(v.Reporter, "addons")
		for _, e := range entries {
			if a, ok := v.addon(e); ok && !v.skipped(a) && v.alone(list, a) {
				list = append(list, a)
			}
		}
	}
	v.mailFor(&list)
	v.store(list)
	for _, a := range list {
		v.provide(a)
	}
}

// mailFor adds the addon that needs no entry.
func (v *reader) mailFor(list *[]addon) {
	if slices.ContainsFunc(*list, func(a addon) bool { return a.plan.name == planMail }) {
		return
	}
	mail := planOf(planMail)
	a := addon{plan: mail, role: mail.role, prefix: mail.prefix, service: serviceOf(mail.role)}
	if v.skipped(a) {
		v.Warn(sdl.Diagnostic{Code: "W-NO-MAIL", Message: "without the mail addon the variables EMAIL_* are not set"})
		return
	}
	if v.alone(*list, a) {
		*list = append(*list, a)
	}
}

// skipped tells whether an addon is left out.
func (v *reader) skipped(a addon) bool {
	return slices.Contains(v.in.Skip, a.role) || slices.Contains(v.in.Skip, a.plan.name)
}

func planOf(name string) *plan {
	for i := range plans {
		if plans[i].name == name {
			return &plans[i]
		}
	}
	return nil
}

// addon reads one entry.
func (v *reader) addon(n *doc.Node) (addon, bool) {
	o, ok := n.Object(v.Reporter, doc.Shape{What: "an addon", Keys: Fields.Keys("addons[]"), Lenient: true}.ShortFor("plan", ""))
	if !ok {
		return addon{}, false
	}
	at := o.Require(v.Reporter, "plan", `"plan": "postgresql"`)
	if at == nil {
		return addon{}, false
	}
	name, ok := at.Scalar(v.Reporter, "plan")
	if !ok {
		return addon{}, false
	}
	p := planOf(name)
	if p == nil {
		v.Report(at.Problem("E-ADDON-PLAN", "plan %s is not one of %s", at.Show(), strings.Join(Plans(), ", ")).
			WithAllowed(strings.Join(Plans(), ", ")).WithSuggestion(suggest.Nearest(name, Plans())))
		return addon{}, false
	}
	a := addon{plan: p, at: n, role: p.role, prefix: p.prefix}
	ok = v.role(&a, o)
	v.options(&a, o)
	if at := o.Get("scope"); at != nil {
		if _, scalar := at.Scalar(v.Reporter, "scope"); scalar {
			v.Warn(at.Problem("W-NO-EFFECT", "scope %s has no effect: an addon belongs to its deployment", at.Show()))
		}
	}
	a.service = serviceOf(a.role)
	return a, ok
}

// role reads under which name the application finds the addon.
func (v *reader) role(a *addon, o doc.Object) bool {
	role, at := v.text(o, "as", "as")
	if at == nil {
		return true
	}
	prefix := strings.ToUpper(strings.ReplaceAll(role, "-", "_"))
	switch {
	case !a.plan.renamed:
		v.Report(at.Problem("E-ADDON-ROLE", "plan %s has no as: its variables have fixed names", a.plan.name).WithFound("").WithHint("leave it out"))
		return false
	case !isVariable(prefix) || serviceOf(role) == "":
		v.Report(at.Problem("E-ADDON-ROLE", "as %s cannot begin the names of variables", at.Show()).WithAllowed("letters, digits, - and _, starting with a letter"))
		return false
	}
	a.role, a.prefix = role, prefix
	return true
}

// serviceOf is the name under which the companion of a role is found.
func serviceOf(role string) string { return app.ServiceName(role) }

// alone tells whether nothing else has an addon's name or variables, or reports what does.
func (v *reader) alone(list []addon, a addon) bool {
	for _, b := range list {
		if a.service == b.service || a.prefix != "" && a.prefix == b.prefix {
			d := a.problem("E-ADDON-ROLE", "the role %s is taken by plan %s already", a.role, b.plan.name)
			if a.plan.renamed {
				d = d.WithHint(`give one of them another with "as"`)
			}
			v.Report(d)
			return false
		}
	}
	for _, p := range v.app.Processes {
		if p.Service == a.service && (p.Count > 0 || p.Scale != nil) {
			v.Report(a.problem("E-ADDON-ROLE", "the addon %s and the process %q would both be called %s where they run", a.plan.name, p.Name, a.service))
			return false
		}
	}
	return true
}

// problem starts a diagnostic at the addon's entry, if it has one.
func (a addon) problem(code, format string, args ...any) sdl.Diagnostic {
	if a.at == nil {
		return sdl.Diagnostic{Code: code, Message: fmt.Sprintf(format, args...)}
	}
	return a.at.Problem(code, format, args...).WithFound("")
}

// options reads the size and version of an addon.
func (v *reader) options(a *addon, o doc.Object) {
	n := o.Get("options")
	if n == nil {
		return
	}
	opts, ok := Fields.Object(v.Reporter, n, "addons[].options", "options")
	if !ok {
		return
	}
	if kind, at := v.text(opts, "instance_type", "instance_type"); at != nil {
		size, known := instanceTypes[kind]
		if !known {
			v.Report(at.Problem("E-ADDON-OPTION", "instance_type %s is not known here", at.Show()).WithAllowed(strings.Join(typeNames(), ", ")).
				WithHint("leave it out, and write into berth.yaml: compute: {" + a.role + ": {cpu: 2, memory: 16Gi}}"))
		}
		a.size = size
	}
	if at := opts.Get("instance_count"); at != nil {
		if count, ok := at.Uint(v.Reporter, "E-ADDON-OPTION", "instance_count", 1, 1<<20); ok && count > 1 {
			v.Report(at.Problem("E-ADDON-OPTION", "instance_count %d: a companion has one instance", count).WithAllowed("1").WithSuggestion("1"))
		}
	}
	version, at := v.text(opts, "version", "version")
	switch {
	case at == nil:
	case !a.plan.versions:
		v.Warn(at.Problem("W-NO-EFFECT", "version %s of plan %s has no effect", at.Show(), a.plan.name).
			WithHint("give --image " + a.role + "=REFERENCE for another version"))
	case !isVersion(version):
		v.Report(at.Problem("E-ADDON-OPTION", "version %s is not a version such as 8.17.4", at.Show()))
	default:
		a.version = version
	}
}

// isVersion tells whether s is numbers with dots between them.
func isVersion(s string) bool {
	parts := strings.Split(s, ".")
	for _, p := range parts {
		if n, err := strconv.ParseUint(p, 10, 16); err != nil || strconv.FormatUint(n, 10) != p {
			return false
		}
	}
	return len(parts) >= 2 && len(parts) <= 4
}

// provide adds the variables of an addon and, unless the tenant gives all of them, the companion that they lead to.
func (v *reader) provide(a addon) {
	contract := a.plan.variables(a)
	var given, missing []string
	loose := 0 // given, and no sign that the companion is not wanted
	for _, name := range contract {
		switch {
		case !v.given(name):
			missing = append(missing, name)
			continue
		case slices.Contains(a.plan.loose, name):
			loose++
		}
		given = append(given, name)
	}
	external := v.in.Overlay.External[a.role] || a.plan.make == nil || len(given) == len(contract)
	if provider := v.in.Overlay.Providers[a.role]; provider != "" && !external {
		v.Report(a.problem("E-ADDON-PROVIDER", "nothing else than the default can run the addon %s: provider %q is not known", a.role, sdl.Printable(provider)).
			WithHint("leave provider out, or give the addon's variables"))
		return
	}
	if external {
		for _, name := range contract {
			v.app.Variables = append(v.app.Variables, app.Variable{
				Name: name, At: a.place(), Description: a.plan.name + " that you run elsewhere", Required: true, Secret: true, Addon: a.role,
			})
		}
		return
	}
	if len(given) > loose {
		v.Report(a.problem("E-ADDON-PARTIAL", "%s is given, but not %s: give all variables of %s, or none to have it run here",
			strings.Join(given, ", "), strings.Join(missing, ", "), a.role))
		return
	}
	a.plan.make(v, a)
}

func (a addon) place() app.Place { return app.PlaceOf(a.at) }

// given tells whether the tenant gives the value of a variable.
func (v *reader) given(name string) bool {
	_, overlaid := v.in.Overlay.Env[name]
	return overlaid || v.in.Given != nil && v.in.Given(name)
}

// constant adds a variable that follows from the companion. It is kept in sync: what was stored of another one must not
// stay.
func (v *reader) constant(a addon, name, value string) {
	v.app.Variables = append(v.app.Variables, app.Variable{Name: name, At: a.place(), Value: &value, Sync: true, Addon: a.role})
}

// credential adds a variable that is made once and stays.
func (v *reader) credential(a addon, name string, length int, alphabet string) {
	v.app.Variables = append(v.app.Variables, app.Variable{
		Name: name, At: a.place(), Secret: true, Required: true, Generate: &app.Generate{Length: length, Alphabet: alphabet}, Addon: a.role,
	})
}

// companion adds a service that only the application reaches, at one port.
func (v *reader) companion(a addon, p app.Process) {
	p.Name, p.Service, p.At, p.Count = a.role, a.service, a.place(), 1
	p.Size = a.size.Or(p.Size)
	v.app.Companions = append(v.app.Companions, app.Companion{Process: p, Plan: a.plan.name})
}
