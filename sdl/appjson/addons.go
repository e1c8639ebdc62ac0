package appjson

import (
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"berth.dev/berth/sdl"
	"berth.dev/berth/sdl/app"
	"berth.dev/berth/sdl/doc"
	"berth.dev/berth/sdl/suggest"
)

// families are the addons of Heroku that have a companion here: by the name of their plans, what begins the names of
// their variables there.
var families = map[string]struct {
	prefix   string
	postgres bool
}{
	"heroku-postgresql": {"DATABASE", true},
	"heroku-redis":      {"REDIS", false},
	"openredis":         {"OPENREDIS", false},
	"rediscloud":        {"REDISCLOUD", false},
	"redistogo":         {"REDISTOGO", false},
}

func familyNames() []string { return slices.Sorted(maps.Keys(families)) }

const passwordLength = 32

var (
	prefixName   = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]{0,62}$`)
	majorVersion = regexp.MustCompile(`^[1-9][0-9]?$`)
)

// addon is one use of a family.
type addon struct {
	at       *doc.Node
	plan     string
	prefix   string // of its variables
	role     string // under which it is found and overlaid
	postgres bool
	version  string
}

// addons reads what runs beside the application. What has no companion here is refused, unless it is left out: the
// application expects its variables.
func (m *reader) addons(n *doc.Node) {
	m.provided = map[string]bool{}
	if n == nil {
		return
	}
	entries, _ := n.Entries(m.Reporter, "addons")
	roles := map[string]string{}
	for _, e := range entries {
		a, ok := m.addon(e)
		if !ok {
			continue
		}
		if other, taken := roles[a.role]; taken {
			m.Report(e.Problem("E-ADDON-ROLE", "the role %s is taken by plan %s already", a.role, other).WithFound("").WithHint(`give one of them another with "as"`))
			continue
		}
		roles[a.role] = a.plan
		m.provide(a)
	}
}

// addon reads an entry: the name of a plan, or an object with one.
func (m *reader) addon(n *doc.Node) (addon, bool) {
	at := n
	var o doc.Object
	if n.Kind() == doc.Map {
		var ok bool
		if o, ok = Fields.Object(m.Reporter, n, "addons[]", "an addon"); !ok {
			return addon{}, false
		}
		if at = o.Require(m.Reporter, "plan", `"plan": "heroku-postgresql"`); at == nil {
			return addon{}, false
		}
	}
	plan, ok := at.Scalar(m.Reporter, "an addon")
	if !ok {
		return addon{}, false
	}
	family, _, _ := strings.Cut(plan, ":")
	if slices.Contains(m.in.SkipAddons, family) || slices.Contains(m.in.SkipAddons, plan) {
		return addon{}, false
	}
	f, known := families[family]
	if !known {
		m.Report(at.Problem("E-ADDON", "addon %s does not run here", at.Show()).WithAllowed(strings.Join(familyNames(), ", ")).
			WithSuggestion(suggest.Nearest(family, familyNames())).
			WithHint("leave it out with --skip-addon " + sdl.Printable(family) + ", and give its variables as values"))
		return addon{}, false
	}
	a := addon{at: at, plan: family, prefix: f.prefix, postgres: f.postgres}
	if n.Kind() == doc.Map {
		m.attached(&a, o)
	}
	a.role = app.ServiceName(a.prefix)
	return a, !slices.Contains(m.in.SkipAddons, a.role)
}

// attached reads under which name an addon is found, and its version.
func (m *reader) attached(a *addon, o doc.Object) {
	if x := o.Get("as"); x != nil {
		switch as := m.text(x, "as"); {
		case prefixName.MatchString(as):
			a.prefix = strings.ToUpper(strings.ReplaceAll(as, "-", "_"))
		case x.Kind() == doc.Scalar:
			m.Report(x.Problem("E-ADDON-ROLE", "as %s cannot begin the names of variables", x.Show()).WithAllowed("letters, digits, - and _, starting with a letter"))
		}
	}
	options := o.Get("options")
	if options == nil {
		return
	}
	if options.Kind() != doc.Map {
		m.Report(options.Problem("E-TYPE", "options is an object, found %s", options.Kind()))
		return
	}
	for _, x := range options.Items() {
		if x.Name() != "version" || !a.postgres {
			m.Warn(x.Key().Remark("W-NO-EFFECT", "%s of an addon %s has no effect", doc.ShowKey(x.Name()), a.plan))
			continue
		}
		if a.version = m.text(x, "version"); !majorVersion.MatchString(a.version) {
			m.Report(x.Problem("E-ADDON-OPTION", "version %s is not a major version of PostgreSQL such as 17", x.Show()))
			a.version = ""
		}
	}
}

// provide adds the companion of an addon and the variable that leads to it. Where the tenant gives that, it leads
// elsewhere, and nothing runs.
func (m *reader) provide(a addon) {
	name, place := a.prefix+"_URL", app.PlaceOf(a.at)
	m.provided[name] = true
	if m.in.Overlay.External[a.role] || m.given(name) {
		m.app.Variables = append(m.app.Variables, app.Variable{
			Name: name, At: place, Description: a.plan + " that you run elsewhere", Required: true, Secret: true, Addon: a.role,
		})
		return
	}
	var p app.Process
	if a.postgres {
		password := a.prefix + "_PASSWORD"
		p = app.Postgres("", "", password)
		if a.version != "" {
			p.Image = "postgres:" + a.version
		}
		m.app.Variables = append(m.app.Variables,
			app.Variable{Name: password, At: place, Required: true, Secret: true, Internal: true, Addon: a.role, Generate: &app.Generate{Length: passwordLength, Alphabet: app.AlphabetText}},
			app.Variable{Name: name, At: place, Secret: true, Addon: a.role, Made: &app.Made{
				Before: "postgres://" + app.PostgresUser + ":", From: password,
				After: "@" + a.role + ":" + strconv.Itoa(app.PostgresPort) + "/" + app.PostgresUser,
			}})
	} else {
		p = app.Redis()
		url := "redis://" + a.role + ":" + strconv.Itoa(app.RedisPort)
		m.app.Variables = append(m.app.Variables, app.Variable{Name: name, At: place, Value: &url, Sync: true, Addon: a.role})
	}
	p.Name, p.Service, p.At, p.Count = a.role, a.role, place, 1
	m.app.Companions = append(m.app.Companions, app.Companion{Process: p, Plan: a.plan})
}

// given tells whether the tenant gives the value of a variable.
func (m *reader) given(name string) bool {
	_, overlaid := m.in.Overlay.Env[name]
	return overlaid || m.in.Given != nil && m.in.Given(name)
}
