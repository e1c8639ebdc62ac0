package cluster

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// sysctls are the kernel parameters that the kubelet sets for the whole
// machine. They are saved when a cluster starts and put back when it goes.
var sysctls = []string{
	"vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops",
	"kernel/keys/root_maxkeys", "kernel/keys/root_maxbytes",
}

// scattered are the places outside the state directory where the programs
// leave things whatever they are told.
var scattered = []string{"/var/lib/kubelet", "/var/lib/cni", "/var/log/containers", "/var/log/pods", "/run/containerd"}

// cgroupDir is where control groups are mounted.
const cgroupDir = "/sys/fs/cgroup"

// before is what the machine looked like before the cluster came.
type before struct {
	Sysctls map[string]string `json:"sysctls"`
	// Existed lists the scattered places that were there already.
	Existed []string `json:"existed"`
}

// remember saves the machine's state, once for the life of a cluster.
func (c Config) remember() error {
	file := c.path("before.json")
	if _, err := os.Stat(file); err == nil {
		return nil
	}
	b := before{Sysctls: map[string]string{}}
	for _, name := range sysctls {
		if value, err := os.ReadFile("/proc/sys/" + name); err == nil {
			b.Sysctls[name] = strings.TrimSpace(string(value))
		}
	}
	for _, dir := range scattered {
		if _, err := os.Stat(dir); err == nil {
			b.Existed = append(b.Existed, dir)
		}
	}
	data, err := json.MarshalIndent(b, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(file, data, 0o644); err != nil {
		return fmt.Errorf("save the machine's settings: %w", err)
	}
	return nil
}

// restore puts the machine's settings back and removes what was left outside
// the state directory.
func (c Config) restore(sockets []string) error {
	var b before
	data, err := os.ReadFile(c.path("before.json"))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = json.Unmarshal(data, &b)
	}
	if err != nil {
		return fmt.Errorf("read the machine's saved settings: %w", err)
	}
	var errs []error
	for _, name := range sysctls {
		value, saved := b.Sysctls[name]
		now, err := os.ReadFile("/proc/sys/" + name)
		if !saved || err != nil || strings.TrimSpace(string(now)) == value {
			continue
		}
		errs = append(errs, os.WriteFile("/proc/sys/"+name, []byte(value), 0o644))
	}
	for _, s := range sockets {
		_ = os.Remove(s)
	}
	for _, dir := range scattered {
		if !slices.Contains(b.Existed, dir) {
			errs = append(errs, os.RemoveAll(dir))
		}
	}
	c.removeOwn()
	return errors.Join(errs...)
}

// removeOwn removes this cluster's files from places that others use too.
func (c Config) removeOwn() {
	const results = "/var/lib/cni/results/"
	prefix := results + c.cniNetwork() + "-"
	own, _ := filepath.Glob(prefix + "*-eth0")
	for _, f := range own {
		pod := strings.TrimSuffix(strings.TrimPrefix(f, prefix), "-eth0")
		_ = os.Remove(f)
		_ = os.Remove(results + "cni-loopback-" + pod + "-lo") // bears no network's name
	}
	links, _ := filepath.Glob("/var/log/containers/*")
	for _, l := range links {
		if to, err := os.Readlink(l); err == nil && strings.HasPrefix(to, c.State+"/") {
			_ = os.Remove(l)
		}
	}
}

// cgroupsUp makes the cluster's control group in every hierarchy.
func (c Config) cgroupsUp() error {
	if unified() {
		// Children may use only what the parent hands down; a controller
		// that the kernel lacks is left out.
		for _, name := range []string{"cpuset", "cpu", "io", "memory", "hugetlb", "pids"} {
			_ = os.WriteFile(cgroupDir+"/cgroup.subtree_control", []byte("+"+name), 0o644)
		}
	}
	for _, dir := range c.cgroups() {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("make control group: %w", err)
		}
		inheritCPUSet(dir)
	}
	return nil
}

// inheritCPUSet gives a new control group its parent's processors and memory
// nodes: in version 1 it starts with none and would accept no process.
func inheritCPUSet(dir string) {
	for _, name := range []string{"cpuset.cpus", "cpuset.mems"} {
		own, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || len(bytes.TrimSpace(own)) > 0 {
			continue
		}
		if parent, err := os.ReadFile(filepath.Join(filepath.Dir(dir), name)); err == nil {
			_ = os.WriteFile(filepath.Join(dir, name), parent, 0o644)
		}
	}
}

// unified says whether the machine uses control groups of version 2 only.
func unified() bool {
	_, err := os.Stat(cgroupDir + "/cgroup.controllers")
	return err == nil
}

// cgroups lists the cluster's control group in every hierarchy.
func (c Config) cgroups() []string {
	if unified() {
		return []string{cgroupDir + c.cgroup()}
	}
	var dirs []string
	hierarchies, _ := filepath.Glob(cgroupDir + "/*/cgroup.procs")
	for _, h := range hierarchies {
		dirs = append(dirs, filepath.Dir(h)+c.cgroup())
	}
	return dirs
}

// killPods kills every process in the cluster's control groups, until none is
// left: a process may fork while the list is read.
func (c Config) killPods(ctx context.Context) error {
	for {
		pids := map[int]bool{}
		for _, root := range c.cgroups() {
			_ = filepath.WalkDir(root, func(dir string, d fs.DirEntry, err error) error {
				if err == nil && d.IsDir() {
					readPids(filepath.Join(dir, "cgroup.procs"), pids)
				}
				return nil
			})
		}
		alive := false
		for pid := range pids {
			if unix.Kill(pid, unix.SIGKILL) == nil && !zombie(pid) {
				alive = true
			}
		}
		if !alive {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("kill the pods' processes: %w", ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func readPids(file string, into map[int]bool) {
	data, err := os.ReadFile(file)
	if err != nil {
		return
	}
	for line := range strings.Lines(string(data)) {
		if pid, err := strconv.Atoi(strings.TrimSpace(line)); err == nil && pid > 1 {
			into[pid] = true
		}
	}
}

func zombie(pid int) bool {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	return err != nil || bytes.Contains(data, []byte("\nState:\tZ"))
}

// cgroupsDown removes the control groups, deepest first. A dead process can
// keep one busy for a moment.
func (c Config) cgroupsDown(ctx context.Context) error {
	for {
		var left []string
		for _, root := range c.cgroups() {
			left = append(left, removeGroups(root)...)
		}
		if len(left) == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("remove control groups: %s are still in use", strings.Join(left, ", "))
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func removeGroups(root string) (left []string) {
	var dirs []string
	_ = filepath.WalkDir(root, func(dir string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			dirs = append(dirs, dir)
		}
		return nil
	})
	for _, dir := range slices.Backward(dirs) {
		if err := os.Remove(dir); err != nil && !errors.Is(err, os.ErrNotExist) {
			left = append(left, dir)
		}
	}
	return left
}

// shims lists the container shims of this cluster's containerd: they live on
// in containerd's own control group, and are known by the socket they name.
func (c Config) shims() []int {
	var pids []int
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			continue
		}
		args := strings.Split(string(data), "\x00")
		ours := slices.ContainsFunc(args, func(a string) bool { return strings.HasPrefix(a, c.State+"/") })
		if strings.HasSuffix(args[0], "containerd-shim-runc-v2") && ours {
			if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(f))); err == nil {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}

// killShims kills the shims and waits until they are gone.
func (c Config) killShims(ctx context.Context) error {
	for {
		alive := slices.DeleteFunc(c.shims(), zombie)
		if len(alive) == 0 {
			return nil
		}
		for _, pid := range alive {
			_ = unix.Kill(pid, unix.SIGKILL)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("kill the container shims: %w", ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// shimSockets lists the sockets that shims leave behind when they are killed.
func (c Config) shimSockets() []string {
	var sockets []string
	files, _ := filepath.Glob(c.path("containerd", "state", "io.containerd.runtime.v2.task", "*", "*", "bootstrap.json"))
	for _, f := range files {
		var b struct{ Address string }
		data, err := os.ReadFile(f)
		if err == nil && json.Unmarshal(data, &b) == nil {
			sockets = append(sockets, strings.TrimPrefix(b.Address, "unix://"))
		}
	}
	return sockets
}

// unmount detaches everything that is mounted below the state directory.
func (c Config) unmount() error {
	data, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return fmt.Errorf("list mounts: %w", err)
	}
	var errs []error
	for _, m := range slices.Backward(mountsBelow(string(data), c.State)) {
		if err := unix.Unmount(m, unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
			errs = append(errs, fmt.Errorf("unmount %s: %w", m, err))
		}
	}
	return errors.Join(errs...)
}

// mountsBelow reads the mount points below dir from the text of mountinfo, in
// the order in which they were mounted.
func mountsBelow(mountinfo, dir string) []string {
	var mounts []string
	unescape := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)
	for line := range strings.Lines(mountinfo) {
		fields := strings.Fields(line)
		if len(fields) < 5 {
			continue
		}
		if m := unescape.Replace(fields[4]); strings.HasPrefix(m, dir+"/") {
			mounts = append(mounts, m)
		}
	}
	return mounts
}
