// Package doctor finds out what a machine lacks to run a cluster.
package doctor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// requirement is something that must be found, and the Debian package with it.
type requirement struct {
	what    string
	debian  string
	present func(Machine) bool
}

// Machine is what is asked about a machine; tests give their own answers.
type Machine struct {
	OS      string
	Root    bool
	Program func(name string) bool
	File    func(glob string) bool
	Debian  bool
}

// This returns the machine that we run on.
func This() Machine {
	return Machine{
		OS:   runtime.GOOS,
		Root: os.Geteuid() == 0,
		Program: func(name string) bool {
			_, err := exec.LookPath(name)
			return err == nil
		},
		File: func(glob string) bool {
			m, _ := filepath.Glob(glob)
			return len(m) > 0
		},
		Debian: exists("/etc/debian_version"),
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func program(name, debian string) requirement {
	return requirement{what: "program " + name, debian: debian, present: func(m Machine) bool { return m.Program(name) }}
}

var running = []requirement{
	program("ip", "iproute2"), program("nft", "nftables"), program("iptables", "iptables"), program("conntrack", "conntrack"),
}

var building = []requirement{
	program("gcc", "gcc"), program("pkg-config", "pkg-config"),
	{what: "C library headers", debian: "libc6-dev", present: func(m Machine) bool { return m.File("/usr/include/stdlib.h") }},
	{what: "static libseccomp", debian: "libseccomp-dev", present: func(m Machine) bool {
		return m.File("/usr/lib/*/libseccomp.a") || m.File("/usr/lib/libseccomp.a") || m.File("/usr/lib64/libseccomp.a")
	}},
}

// ErrImpossible means that this machine cannot run a cluster whatever is
// installed on it.
var ErrImpossible = errors.New("this machine cannot run a local Kubernetes")

// Report is what a machine lacks.
type Report struct {
	// Reasons cannot be mended by installing anything.
	Reasons []string
	// Missing and Packages are what is lacking and where Debian has it.
	Missing  []string
	Packages []string
}

// Err returns nil when nothing is lacking, else an error that says what to do.
func (r Report) Err() error {
	if len(r.Reasons) > 0 {
		return fmt.Errorf("%w: %s", ErrImpossible, strings.Join(r.Reasons, "; "))
	}
	if len(r.Missing) > 0 {
		return fmt.Errorf("missing: %s; install them: apt-get install -y --no-install-recommends %s",
			strings.Join(r.Missing, ", "), strings.Join(r.Packages, " "))
	}
	return nil
}

// Examine says what m lacks. With build it also asks for what compiling needs.
func Examine(m Machine, build bool) Report {
	var r Report
	if m.OS != "linux" {
		r.Reasons = append(r.Reasons, "containers need Linux, this is "+m.OS)
		return r
	}
	if !m.Root {
		r.Reasons = append(r.Reasons, "network namespaces, mounts and control groups need root")
	}
	if !m.File("/sys/fs/cgroup/cgroup.controllers") && !m.File("/sys/fs/cgroup/*/cgroup.procs") {
		r.Reasons = append(r.Reasons, "no control groups are mounted on /sys/fs/cgroup")
	}
	wanted := running
	if build {
		wanted = slices.Concat(running, building)
	}
	for _, req := range wanted {
		if !req.present(m) {
			r.Missing = append(r.Missing, req.what)
			r.Packages = append(r.Packages, req.debian)
		}
	}
	return r
}

// Mend installs what is missing, if that is possible here, and says so on out.
// It returns the error of the report when nothing can be done.
func Mend(ctx context.Context, m Machine, build bool, out io.Writer) error {
	r := Examine(m, build)
	if r.Err() == nil {
		return nil
	}
	if len(r.Reasons) > 0 || !m.Debian || !m.Program("apt-get") {
		return r.Err()
	}
	fmt.Fprintf(out, "installing %s (for: %s)\n", strings.Join(r.Packages, " "), strings.Join(r.Missing, ", "))
	if err := apt(ctx, out, append([]string{"install", "-y", "--no-install-recommends"}, r.Packages...)); err != nil {
		// The lists may be old or absent.
		if err := apt(ctx, out, []string{"update"}); err != nil {
			return errors.Join(r.Err(), err)
		}
		if err := apt(ctx, out, append([]string{"install", "-y", "--no-install-recommends"}, r.Packages...)); err != nil {
			return errors.Join(r.Err(), err)
		}
	}
	return Examine(m, build).Err()
}

func apt(ctx context.Context, out io.Writer, args []string) error {
	cmd := exec.CommandContext(ctx, "apt-get", append([]string{"-q"}, args...)...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("apt-get %s: %w", args[0], err)
	}
	return nil
}
