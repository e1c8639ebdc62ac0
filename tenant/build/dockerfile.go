package build

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// workdir is where the sources lie in an image that is made of a runtime.
const workdir = "/app"

// secretID names the variables of a build that only one step sees, and secretFile is where it sees them.
const (
	secretID   = "berth_env"
	secretFile = "/run/secrets/" + secretID
)

// Dockerfile is the text that makes an image of a runtime: the sources are copied, and the script runs once, so that all
// that it does is one layer. A script that can run itself does, whatever shell its first line names; any other is given
// to sh. command is what the image runs by itself; it may be empty.
func Dockerfile(runtime, script string, direct bool, command []string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "FROM %s\nWORKDIR %s\nCOPY . %s\n", runtime, workdir, workdir)
	switch {
	case script == "":
	case direct:
		fmt.Fprintf(&b, "RUN %s\n", words("./"+script))
	default:
		fmt.Fprintf(&b, "RUN %s\n", words("sh", "./"+script))
	}
	if len(command) > 0 {
		fmt.Fprintf(&b, "ENTRYPOINT []\nCMD %s\n", words(command...))
	}
	return b.String()
}

func words(w ...string) string {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(w) // texts always can be
	return strings.TrimSpace(b.String())
}

// predeploy is the step that runs a command and keeps what it changes. It alone sees the application's variables: they
// are mounted for it, and are no part of any layer. An image may run as any user: all may read them, within the step.
// launcher, if there is one, starts it with what buildpacks have set.
func predeploy(command string, launcher ...string) string {
	script := "set -e; if (set -o pipefail) 2>/dev/null; then set -o pipefail; fi; set -a; . " + secretFile + "; set +a; " + command
	return "RUN --mount=type=secret,id=" + secretID + ",mode=0444,required=true " + words(append(slices.Clone(launcher), "/bin/sh", "-c", script)...) + "\n"
}

// ExposedBy is the one TCP port that a Dockerfile exposes in its last stage, or 0. A base image may expose others: what an
// image exposes is known for sure when it was built.
func ExposedBy(dockerfile string) uint32 {
	ports := map[uint32]bool{}
	for line := range strings.Lines(dockerfile) {
		f := strings.Fields(line)
		if len(f) == 0 {
			continue
		}
		switch strings.ToUpper(f[0]) {
		case "FROM":
			clear(ports)
		case "EXPOSE":
			for _, p := range f[1:] {
				number, proto, _ := strings.Cut(p, "/")
				n, err := strconv.ParseUint(number, 10, 16)
				if err != nil || n == 0 { // a range or a variable: that is not one port
					return 0
				}
				if proto == "" || strings.EqualFold(proto, "tcp") {
					ports[uint32(n)] = true
				}
			}
		}
	}
	if len(ports) != 1 {
		return 0
	}
	return slices.Collect(maps.Keys(ports))[0]
}

// assignments are variables as a shell reads them.
func assignments(env map[string]string) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(env)) {
		if shellName(name) {
			fmt.Fprintf(&b, "%s='%s'\n", name, strings.ReplaceAll(env[name], "'", `'\''`))
		}
	}
	return b.String()
}

// shellName tells whether a shell can have a variable of this name.
func shellName(s string) bool {
	return s != "" && (s[0] < '0' || s[0] > '9') && strings.IndexFunc(s, func(r rune) bool {
		return (r|0x20 < 'a' || r|0x20 > 'z') && (r < '0' || r > '9') && r != '_'
	}) < 0
}
