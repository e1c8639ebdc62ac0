//go:build testnet

package testnet

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

const (
	// inside marks the process that runs in the namespaces.
	inside = "BERTH_TESTNET_INSIDE"
	// bridge joins the nodes; the test itself is at bridgeAddress on it.
	bridge        = "br0"
	bridgeAddress = "10.213.7.1/24"
	hostPattern   = "10.213.7.%d"
	firstHost     = 10
)

func TestMain(m *testing.M) {
	if os.Getenv(inside) != "" {
		if err := enterSandbox(); err != nil {
			fmt.Fprintln(os.Stderr, "testnet:", err)
			os.Exit(1)
		}
		os.Exit(m.Run())
	}
	if os.Getuid() != 0 {
		fmt.Fprintln(os.Stderr, "testnet: the nodes' network namespaces need root")
		os.Exit(1)
	}
	runtime.LockOSThread() // the death signal below comes when the thread that started the child ends
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), inside+"=1")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID, Pdeathsig: syscall.SIGKILL,
	}
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit) && exit.ExitCode() > 0:
		os.Exit(exit.ExitCode())
	case err != nil:
		fmt.Fprintln(os.Stderr, "testnet:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// enterSandbox makes the mounts that belong to the namespaces, and the bridge.
func enterSandbox() error {
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make the mounts private: %w", err)
	}
	if err := syscall.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	if err := os.MkdirAll("/run/netns", 0o755); err != nil {
		return err
	}
	if err := syscall.Mount("tmpfs", "/run/netns", "tmpfs", 0, ""); err != nil {
		return fmt.Errorf("mount /run/netns: %w", err)
	}
	return ip(
		"link set lo up",
		"link add "+bridge+" type bridge",
		"link set "+bridge+" up",
		"addr add "+bridgeAddress+" dev "+bridge,
	)
}

// ip runs commands of iproute2.
func ip(commands ...string) error {
	for _, command := range commands {
		if out, err := exec.Command("ip", strings.Fields(command)...).CombinedOutput(); err != nil {
			return fmt.Errorf("ip %s: %w: %s", command, err, out)
		}
	}
	return nil
}

// addHost makes the network namespace of a node and joins it to the bridge.
func addHost(name, address string) error {
	return ip(
		"netns add "+name,
		"-n "+name+" link set lo up",
		// The test's process is the first of its process namespace, and its network namespace has the bridge.
		"-n "+name+" link add eth0 type veth peer name "+name+" netns 1",
		"-n "+name+" addr add "+address+"/24 dev eth0",
		"-n "+name+" link set eth0 up",
		"link set "+name+" master "+bridge,
		"link set "+name+" up",
	)
}
