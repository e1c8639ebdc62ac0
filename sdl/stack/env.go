package stack

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"berth.dev/berth/manifest"
	manifesttypes "berth.dev/berth/manifest/types"
	"berth.dev/berth/sdl"
	"berth.dev/berth/sdl/doc"
	"berth.dev/berth/sdl/dotenv"
)

// EnvFileKeys are the two spellings of the key of a service that names files of environment variables.
var EnvFileKeys = []string{"env-file", "env_file"}

// ReadEnv reads the environment variables of a service: env, a list of NAME=VALUE in which the order counts, or a
// mapping; before them come those of the files that env-file names. Values are never put into messages. A value that
// comes from outside the document is secret.
func ReadEnv(r *sdl.Reporter, service doc.Object) []manifesttypes.EnvVar {
	e := envReader{report: r, first: map[string]int{}}
	if env := service.Get("env"); env != nil {
		e.read(env)
	}
	files := service.Get(EnvFileKeys[0])
	if other := service.Get(EnvFileKeys[1]); other != nil {
		if files != nil {
			r.Report(other.Key().Problem("E-DUPLICATE-KEY", "%s is another name of %s, which is there too", EnvFileKeys[1], EnvFileKeys[0]).
				WithHint("list all files under one of them: they are read in their order"))
		} else {
			files = other
		}
	}
	if files != nil {
		e.addFiles(files)
	}
	return e.vars
}

type envReader struct {
	report *sdl.Reporter
	vars   []manifesttypes.EnvVar
	first  map[string]int // the line in which a variable is set
}

func (e *envReader) read(n *doc.Node) {
	if n.Kind() == doc.Map {
		nodes, _ := n.Named(e.report, "env")
		for _, node := range nodes {
			e.entry(node)
		}
		return
	}
	entries, _ := n.Entries(e.report, "env")
	for _, node := range entries {
		e.listed(node)
	}
}

// entry reads a variable of a mapping: its value, or a mapping that says where the value comes from.
func (e *envReader) entry(n *doc.Node) {
	switch n.Kind() {
	case doc.Scalar:
		e.add(n, n.Name(), n.Text(), n.Secret())
	case doc.Map:
		e.object(n, envValueShape)
	default:
		e.report.Report(n.Remark("E-TYPE", "an environment variable is a single value, or a mapping with value or file, found %s", n.Kind()).
			WithHint(`an empty value is written ""`))
	}
}

// listed reads a variable of a list: NAME=VALUE, or a mapping with its name.
func (e *envReader) listed(n *doc.Node) {
	const allowed = "NAME=VALUE, or a mapping with name and value, or name and file"
	switch n.Kind() {
	case doc.Scalar:
		name, value, ok := strings.Cut(n.Text(), "=")
		if ok {
			e.add(n, name, value, n.Secret())
			return
		}
		e.report.Report(n.Remark("E-ENV", "an environment variable is NAME=VALUE, found no =").WithAllowed(allowed))
	case doc.Map:
		if n.Child("name") != nil || n.Child("value") != nil || n.Child("file") != nil {
			e.object(n, envEntryShape)
			return
		}
		d := n.Remark("E-ENV", "an environment variable is NAME=VALUE, found a mapping").WithAllowed(allowed)
		if items := n.Items(); len(items) == 1 && items[0].Kind() == doc.Scalar {
			d = d.WithHint("write " + doc.ShowKey(items[0].Name()) + "=... instead of " + doc.ShowKey(items[0].Name()) + ": ...")
		}
		e.report.Report(d)
	default:
		e.report.Report(n.Remark("E-ENV", "an environment variable is NAME=VALUE, found %s", n.Kind()).WithAllowed(allowed))
	}
}

var (
	envValueShape = doc.Shape{What: "an environment variable", Keys: []string{"value", "file", "secret"},
		Meant: map[string]string{"path": "file", "from": "file"}}
	envEntryShape = doc.Shape{What: "an environment variable", Keys: []string{"name", "value", "file", "secret"},
		Meant: map[string]string{"key": "name", "path": "file", "from": "file"}}
)

// object reads a variable that says whether it is secret, or which file holds its value. In a list it has its name as
// well. One from a file is secret unless it says otherwise, and so is one that a variable is part of.
func (e *envReader) object(n *doc.Node, shape doc.Shape) {
	o, _ := n.Object(e.report, shape)
	at, name := n, n.Name()
	if slices.Contains(shape.Keys, "name") {
		if at = o.Require(e.report, "name", "name: TOKEN"); at == nil {
			return
		}
		var ok bool
		if name, ok = at.Scalar(e.report, "the name of an environment variable"); !ok {
			return
		}
	}
	text, secret, ok := e.source(o, name)
	if mark := o.Get("secret"); mark != nil && ok {
		secret, ok = mark.Bool(e.report, "secret")
	}
	if ok {
		e.add(at, name, text, secret)
	}
}

// source reads the value of a variable, or that of its file.
func (e *envReader) source(o doc.Object, name string) (text string, secret, ok bool) {
	value, file := o.Get("value"), o.Get("file")
	switch {
	case value != nil && file != nil:
		e.report.Report(file.Key().Problem("E-ENV", "an environment variable has a value or a file, not both"))
	case file != nil:
		// Why a file could not be read has been reported.
		_, ok = file.Scalar(e.report, "file")
		return withoutLastEnd(string(file.Content())), true, ok && file.Content() != nil
	case value != nil:
		text, ok = value.Scalar(e.report, "the value of an environment variable")
		return text, value.Secret(), ok
	default:
		e.report.Report(o.Node().Remark("E-ENV", "environment variable %q has neither a value nor a file", doc.ShowKey(name)).
			WithHint(`an empty value is written value: ""`))
	}
	return "", false, false
}

// withoutLastEnd removes the end of a file's last line: editors add one that is not part of the value.
func withoutLastEnd(s string) string {
	return strings.TrimSuffix(strings.TrimSuffix(s, "\n"), "\r")
}

func (e *envReader) add(at *doc.Node, name, value string, secret bool) {
	if line, twice := e.first[name]; twice {
		e.report.Report(at.Remark("E-ENV", "environment variable %q is set in line %d already", doc.ShowKey(name), line).WithFound(doc.ShowKey(name)))
		return
	}
	e.first[name] = at.Line()
	if !manifest.IsEnvName(name) {
		if at.Name() == name { // in a mapping
			at = at.Key()
		}
		e.report.Report(at.Remark("E-ENV", "%q cannot name an environment variable", doc.ShowKey(name)).WithFound(doc.ShowKey(name)).
			WithAllowed("letters, digits, '_', '-' and '.', not starting with a digit").WithSuggestion(fixEnvName(name)))
		return
	}
	e.vars = append(e.vars, manifesttypes.EnvVar{Name: name, Value: value, Secret: secret})
}

// addFiles puts the variables of files before those of the document. A variable that the document sets is the
// document's; of one that several files set, the last one counts.
func (e *envReader) addFiles(n *doc.Node) {
	nodes := []*doc.Node{n}
	if n.Kind() != doc.Scalar {
		nodes, _ = n.Entries(e.report, EnvFileKeys[0])
	}
	var all []manifesttypes.EnvVar
	at := map[string]int{}
	for _, node := range nodes {
		if _, ok := node.Scalar(e.report, "the path of a file"); !ok || node.Content() == nil {
			continue
		}
		vars, err := dotenv.Parse(node.Content())
		if err != nil {
			e.report.Report(envFileProblem(node, err))
		}
		for _, v := range vars {
			if _, own := e.first[v.Name]; own {
				continue
			}
			i, twice := at[v.Name]
			if !twice {
				i = len(all)
				all = append(all, manifesttypes.EnvVar{Name: v.Name, Secret: true})
				at[v.Name] = i
			}
			all[i].Value = v.Value
		}
	}
	e.vars = append(all, e.vars...)
}

func envFileProblem(n *doc.Node, err error) sdl.Diagnostic {
	var bad *dotenv.Error
	if !errors.As(err, &bad) {
		return n.Problem("E-ENV-FILE", "file %s is no file of NAME=VALUE", n.Show())
	}
	return n.Problem("E-ENV-FILE", "file %s: %s", n.Show(), fmt.Sprintf("line %d: %s", bad.Line, bad.Reason)).
		WithAllowed("lines NAME=VALUE; values in single quotes as they are, in double quotes with \\n, \\t, \\\" and \\\\")
}

// fixEnvName removes what an assignment in a shell or another format leaves around a name.
func fixEnvName(name string) string {
	fixed := strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(name), "export "))
	fixed = strings.Trim(fixed, `"'`)
	if fixed != name && manifest.IsEnvName(fixed) {
		return fixed
	}
	if fixed = strings.ReplaceAll(fixed, " ", "_"); manifest.IsEnvName(fixed) && fixed != name {
		return fixed
	}
	return ""
}
