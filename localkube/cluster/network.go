package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"

	"berth.dev/berth/localkube/proc"
)

// networkUp makes the namespace and the link to it, unless they stand.
//
// The node needs a route to the service range although it never sends there:
// without one the kernel refuses a connection to a service before its address
// is rewritten, and the namespace has no default route. The host's routes let
// people and tests reach pods and services directly.
func (c Config) networkUp(ctx context.Context) error {
	if _, err := os.Stat(c.netns()); err == nil {
		return nil
	}
	inside := func(args ...string) []string { return append([]string{"-n", c.Name}, args...) }
	steps := [][]string{
		{"netns", "add", c.Name},
		{"link", "add", c.hostLink(), "type", "veth", "peer", "name", "eth0", "netns", c.Name},
		{"addr", "add", fmt.Sprintf("%s/%d", c.HostIP(), c.Link.Bits()), "dev", c.hostLink()},
		{"link", "set", c.hostLink(), "up"},
		inside("link", "set", "lo", "up"),
		inside("addr", "add", fmt.Sprintf("%s/%d", c.NodeIP(), c.Link.Bits()), "dev", "eth0"),
		inside("link", "set", "eth0", "up"),
		inside("route", "add", c.Services.String(), "dev", "eth0"),
		{"route", "add", c.Pods.String(), "via", c.NodeIP().String()},
		{"route", "add", c.Services.String(), "via", c.NodeIP().String()},
	}
	if c.Addresses.IsValid() {
		steps = append(steps, inside("route", "add", c.Addresses.String(), "dev", "eth0"), []string{"route", "add", c.Addresses.String(), "via", c.NodeIP().String()})
	}
	for _, args := range steps {
		if err := run(ctx, "ip", args...); err != nil {
			return errors.Join(fmt.Errorf("set up the network: %w", err), c.networkDown(ctx))
		}
	}
	return c.forwarding(ctx)
}

// forwarding turns the namespace into a router and shows bridged packets to
// the packet filter, without which policies would not see pod-to-pod traffic.
func (c Config) forwarding(ctx context.Context) error {
	const bridge = "/proc/sys/net/bridge/bridge-nf-call-"
	if _, err := os.Stat(bridge + "iptables"); err != nil {
		if err := run(ctx, "modprobe", "br_netfilter"); err != nil {
			return fmt.Errorf("policies need the kernel module br_netfilter: %w", err)
		}
	}
	err := proc.InNetNS(c.netns(), func() error {
		for _, file := range []string{"/proc/sys/net/ipv4/ip_forward", bridge + "iptables", bridge + "ip6tables"} {
			if err := os.WriteFile(file, []byte("1"), 0o644); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("set up forwarding in the namespace: %w", err)
	}
	return nil
}

// networkDown removes the link, which takes the host's routes with it, and the
// namespace. What is not there is no error.
func (c Config) networkDown(ctx context.Context) error {
	var errs []error
	if _, err := os.Stat("/sys/class/net/" + c.hostLink()); err == nil {
		errs = append(errs, run(ctx, "ip", "link", "del", c.hostLink()))
	}
	if _, err := os.Stat(c.netns()); err == nil {
		errs = append(errs, run(ctx, "ip", "netns", "del", c.Name))
	}
	return errors.Join(errs...)
}

// taken returns an error if another interface or route of the machine uses one
// of the cluster's networks.
func (c Config) taken(ctx context.Context) error {
	out, err := exec.CommandContext(ctx, "ip", "-json", "-4", "route", "show").Output()
	if err != nil {
		return fmt.Errorf("list routes: %w", err)
	}
	return c.conflicts(out)
}

// conflicts reads the routes that ip(8) lists as JSON.
func (c Config) conflicts(routes []byte) error {
	var list []struct{ Dst, Dev string }
	if err := json.Unmarshal(routes, &list); err != nil {
		return fmt.Errorf("read routes: %w", err)
	}
	var errs []error
	for _, r := range list {
		dst, err := parseDst(r.Dst)
		if err != nil || r.Dev == c.hostLink() {
			continue
		}
		for _, p := range []struct {
			own  netip.Prefix
			flag string
		}{{c.Link, "--link"}, {c.Pods, "--pods"}, {c.Services, "--services"}, {c.Addresses, "--addresses"}} {
			if p.own.Overlaps(dst) { // the zero prefix overlaps nothing
				errs = append(errs, fmt.Errorf("%s is in use by %s (route %s): choose another with %s", p.own, r.Dev, r.Dst, p.flag))
			}
		}
	}
	return errors.Join(errs...)
}

func run(ctx context.Context, name string, args ...string) error {
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}

// parseDst reads a route's destination; "default" and single hosts included.
func parseDst(s string) (netip.Prefix, error) {
	if !strings.Contains(s, "/") {
		ip, err := netip.ParseAddr(s)
		if err != nil {
			return netip.Prefix{}, err
		}
		return netip.PrefixFrom(ip, ip.BitLen()), nil
	}
	return netip.ParsePrefix(s)
}
