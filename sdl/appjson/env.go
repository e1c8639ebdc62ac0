package appjson

import (
	"regexp"

	"berth.dev/berth/sdl/app"
	"berth.dev/berth/sdl/doc"
)

var envName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// secretLength is how many hexadecimal digits a generated secret has: 32 random bytes.
const secretLength = 64

// env reads the variables. Values are in no message.
func (m *reader) env(n *doc.Node) {
	if n == nil {
		return
	}
	nodes, _ := n.Named(m.Reporter, "env")
	for _, v := range nodes {
		v.Hide()
		if !envName.MatchString(v.Name()) {
			m.Report(v.Key().Problem("E-ENV", "%s cannot name an environment variable", v.Key().Show()).
				WithAllowed("letters, digits and '_', not starting with a digit"))
			continue
		}
		if v.Name() == "PORT" {
			m.Warn(v.Key().Remark("W-PORT", "PORT is set to the port of each process that takes connections, whatever stands here").
				WithHint("give the port with --port web=NUMBER, or in berth.yaml"))
		}
		if m.provided[v.Name()] {
			continue // the addon gives it a value, whatever stands here
		}
		m.variable(v)
	}
}

func (m *reader) variable(n *doc.Node) {
	v := app.Variable{Name: n.Name(), At: app.PlaceOf(n.Key()), Required: true}
	switch n.Kind() {
	case doc.Scalar:
		v.Value = m.value(n)
	case doc.Map:
		o, _ := Fields.Object(m.Reporter, n, "env.*", "an environment variable")
		m.described(&v, o)
	default:
		m.Report(n.Remark("E-TYPE", "an environment variable is a text, or an object with value, generator, required, sync and description, found %s", n.Kind()))
	}
	m.app.Variables = append(m.app.Variables, v)
}

// value is a default value. Numbers and truth values are taken as they are written.
func (m *reader) value(n *doc.Node) *string {
	n.Hide()
	if n.Kind() != doc.Scalar {
		m.Report(n.Remark("E-TYPE", "the value of an environment variable is a text, found %s", n.Kind()))
		return nil
	}
	if n.IsBare() {
		m.Warn(n.Remark("W-ENV-TYPE", "the value is taken as text, as it is written").WithHint("put it into double quotes"))
	}
	text := n.Text()
	return &text
}

func (m *reader) described(v *app.Variable, o doc.Object) {
	v.Description = m.text(o.Get("description"), "description")
	if n := o.Get("value"); n != nil {
		v.Value = m.value(n)
	}
	if n := o.Get("required"); n != nil {
		v.Required, _ = n.Bool(m.Reporter, "required")
	}
	if n := o.Get("sync"); n != nil {
		v.Sync, _ = n.Bool(m.Reporter, "sync")
	}
	n := o.Get("generator")
	if n == nil {
		return
	}
	switch name := m.text(n, "generator"); {
	case name != "secret":
		m.Report(n.Problem("E-GENERATOR", "%s is not a generator", n.Show()).WithAllowed(`"secret"`).WithSuggestion(`"secret"`))
	case v.Value != nil:
		m.Warn(n.Key().Remark("W-GENERATOR", "%s has a value, which is used instead of a generated one", v.Name))
	default:
		v.Generate = &app.Generate{Length: secretLength, Alphabet: app.AlphabetHex}
		v.Secret = true
		if v.Sync {
			m.Warn(n.Key().Remark("W-ROTATING-SECRET", "%s is generated anew by every deployment, because of sync", v.Name).
				WithHint("without sync it is made once and kept"))
		}
	}
}
