package sdl20

import (
	"path"
	"slices"
	"strings"

	manifesttypes "berth.dev/berth/manifest/types"
	"berth.dev/berth/sdl"
	"berth.dev/berth/sdl/doc"
	"berth.dev/berth/sdl/stack"
	"berth.dev/berth/sdl/suggest"
)

func readService(r *sdl.Reporter, n *doc.Node) stack.Service {
	s := stack.Service{Ref: stack.Ref{Name: n.Name(), At: n}}
	stack.CheckServiceName(r, n)
	o, ok := n.Object(r, serviceShape)
	if !ok {
		return s
	}
	if image := o.Require(r, "image", "image: nginx:1.27"); image != nil {
		s.Image = stack.ReadImage(r, image)
	}
	if command := o.Get("command"); command != nil {
		s.Command = stack.ReadTexts(r, command, "command", "a word of a command")
	}
	if args := o.Get("args"); args != nil {
		s.Args = stack.ReadTexts(r, args, "args", "an argument")
	}
	s.Env = stack.ReadEnv(r, o)
	if deps := o.Get("dependencies"); deps != nil {
		s.DependsOn = stack.ReadDependsOn(r, deps, "dependencies", dependencyShape)
	}
	if expose := o.Get("expose"); expose != nil {
		for _, e := range stack.Mappings(r, expose, "expose") {
			s.Expose = append(s.Expose, readExpose(r, e))
		}
	}
	if params := o.Get("params"); params != nil {
		readParams(r, params, &s)
	}
	if credentials := o.Get("credentials"); credentials != nil {
		s.Credentials = readCredentials(r, credentials)
	}
	return s
}

func readParams(r *sdl.Reporter, n *doc.Node, s *stack.Service) {
	o, ok := n.Object(r, paramsShape)
	if !ok {
		return
	}
	if storage := o.Get("storage"); storage != nil {
		s.Mounts = readMounts(r, storage)
	}
	if permissions := o.Get("permissions"); permissions != nil {
		s.Permissions = readPermissions(r, permissions)
	}
	if tee := o.Get("tee"); tee != nil {
		if kind, ok := oneOf(r, tee, "E-TEE", "a kind of trusted execution", tees...); ok {
			s.TEE = stack.Ref{Name: kind, At: tee}
		}
	}
}

// tees are the kinds of trusted execution, permissions what a service may read of its own deployment.
var (
	tees        = []string{"cpu", "cpu-gpu"}
	permissions = []string{"deployment", "events", "logs"}
)

// readMounts reads where the volumes of a service appear in its file system.
func readMounts(r *sdl.Reporter, n *doc.Node) []stack.Mount {
	nodes, _ := n.Named(r, "storage")
	var out []stack.Mount
	for _, node := range nodes {
		m := stack.Mount{Ref: stack.Ref{Name: node.Name(), At: node}}
		o, ok := node.Object(r, mountShape)
		if !ok {
			continue
		}
		if at := o.Get("mount"); at != nil {
			m.Path = readMountPath(r, at)
			m.Unread = m.Path == ""
		}
		if ro := o.Get("readOnly"); ro != nil {
			m.ReadOnly, _ = ro.Bool(r, "readOnly")
		}
		out = append(out, m)
	}
	return out
}

func readMountPath(r *sdl.Reporter, n *doc.Node) string {
	text, ok := n.Scalar(r, "mount")
	if !ok {
		return ""
	}
	clean := path.Clean(text)
	if !path.IsAbs(text) || clean == "/" || strings.ContainsAny(text, ":\x00") {
		d := n.Problem("E-MOUNT", "%s is not an absolute path below /", n.Show()).WithAllowed("an absolute path such as /data")
		if fixed := path.Clean("/" + text); !path.IsAbs(text) && fixed != "/" && !strings.ContainsAny(text, ":\x00~") {
			d = d.WithSuggestion(fixed)
		}
		r.Report(d)
		return ""
	}
	return clean
}

func readPermissions(r *sdl.Reporter, n *doc.Node) []string {
	o, ok := n.Object(r, permissionsShape)
	if !ok || o.Get("read") == nil {
		return nil
	}
	entries, _ := o.Get("read").Entries(r, "read")
	var out []string
	for _, e := range entries {
		if what, ok := oneOf(r, e, "E-PERMISSION", "a permission", permissions...); ok {
			out = append(out, what)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// oneOf reads one of some words.
func oneOf(r *sdl.Reporter, n *doc.Node, code, what string, words ...string) (string, bool) {
	text, ok := n.Scalar(r, what)
	if !ok || slices.Contains(words, text) {
		return text, ok
	}
	meant := strings.ToLower(strings.TrimSpace(text))
	if !slices.Contains(words, meant) {
		meant = suggest.Nearest(meant, words)
	}
	r.Report(n.Problem(code, "%s is not %s", n.Show(), what).WithAllowed(strings.Join(words, ", ")).WithSuggestion(meant))
	return "", false
}

// readCredentials reads what opens a registry. Nothing of it is ever shown.
func readCredentials(r *sdl.Reporter, n *doc.Node) *manifesttypes.Credentials {
	o, ok := n.Object(r, credentialsShape)
	if !ok {
		return nil
	}
	var c manifesttypes.Credentials
	for _, field := range []struct {
		key  string
		into *string
		must bool
	}{{"host", &c.Host, true}, {"email", &c.Email, false}, {"username", &c.Username, true}, {"password", &c.Password, true}} {
		value := o.Get(field.key)
		if field.must {
			value = o.Require(r, field.key, field.key+": ...")
		}
		if value == nil {
			continue
		}
		if value.Kind() != doc.Scalar {
			r.Report(value.Problem("E-TYPE", "%s is a single value, found %s", field.key, value.Kind()))
			continue
		}
		if *field.into = value.Text(); field.must && !value.Missing() && strings.TrimSpace(value.Text()) == "" {
			r.Report(value.Problem("E-CREDENTIALS", "%s is blank", field.key).WithFound("").WithHint("remove credentials if the registry needs none"))
		}
	}
	return &c
}
