package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"berth.dev/berth/localkube/addresses"
	"berth.dev/berth/localkube/build"
	"berth.dev/berth/localkube/cluster"
	"berth.dev/berth/localkube/doctor"
	"berth.dev/berth/localkube/netpol"
	"berth.dev/berth/localkube/progress"
	"berth.dev/berth/localkube/registry"
	"berth.dev/berth/localkube/usage"
	"berth.dev/berth/localkube/volumes"
)

const defaultState = "/var/lib/berth/localkube"

func newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           "localkube",
		Short:         "A single-node Kubernetes built from Go modules",
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.NoArgs,
	}
	root.AddCommand(newBuildCommand(), newUpCommand(), newDownCommand(), newStatusCommand(), newPushCommand(), newDoctorCommand(),
		newRegistryCommand(), newEnforceCommand(), newProvisionCommand(), newAddressesCommand(), newMeasureCommand())
	return root
}

// buildFlags are those of commands that may build.
type buildFlags struct{ source, cache string }

func (f *buildFlags) register(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.source, "source", "", "localkube source tree (default: found beside the program or above the current directory)")
	cmd.Flags().StringVar(&f.cache, "cache", build.DefaultCache(), "where built programs are kept")
}

func (f *buildFlags) builder(p *progress.Printer) (*build.Builder, error) {
	source, err := findSource(f.source)
	if err != nil {
		return nil, err
	}
	return &build.Builder{Source: source, Cache: f.cache, Progress: p}, nil
}

// findSource returns the directory that holds the sets' modules.
func findSource(given string) (string, error) {
	holds := func(dir string) bool {
		_, err := os.Stat(filepath.Join(dir, "kube", "go.mod"))
		return err == nil
	}
	if given != "" {
		abs, err := filepath.Abs(given)
		if err == nil && !holds(abs) {
			err = fmt.Errorf("%s holds no kube/go.mod", given)
		}
		return abs, err
	}
	if dir := os.Getenv("LOCALKUBE_SOURCE"); dir != "" {
		return findSource(dir)
	}
	if self, err := os.Executable(); err == nil {
		if dir := filepath.Join(filepath.Dir(self), "..", "localkube"); holds(dir) {
			return dir, nil
		}
	}
	dir, err := os.Getwd()
	for err == nil {
		for _, candidate := range []string{filepath.Join(dir, "localkube"), dir} {
			if holds(candidate) {
				return candidate, nil
			}
		}
		if dir == filepath.Dir(dir) {
			break
		}
		dir = filepath.Dir(dir)
	}
	return "", errors.New("the source of localkube was not found: name it with --source or $LOCALKUBE_SOURCE")
}

func newBuildCommand() *cobra.Command {
	var flags buildFlags
	var out string
	cmd := &cobra.Command{
		Use:   "build [--out DIR]",
		Short: "Build the cluster's programs into the cache",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			p := progress.New(cmd.ErrOrStderr())
			if err := doctor.Mend(cmd.Context(), buildMachine(), true, cmd.ErrOrStderr()); err != nil {
				return err
			}
			builder, err := flags.builder(p)
			if err != nil {
				return err
			}
			result, err := builder.Build(cmd.Context(), build.All())
			if err != nil {
				return err
			}
			return copyPrograms(result, out)
		},
	}
	flags.register(cmd)
	cmd.Flags().StringVar(&out, "out", "", "also copy the programs to this directory")
	return cmd
}

// buildMachine is this machine, as far as building goes: it needs no root.
func buildMachine() doctor.Machine {
	m := doctor.This()
	m.Root = true
	return m
}

func copyPrograms(result build.Result, out string) error {
	if out == "" {
		return nil
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	names := append([]string{build.Kube, build.Containerd, build.Shim, build.Runc, build.CoreDNS, build.Traefik, build.Pause}, build.CNI()...)
	for _, name := range names {
		from, err := result.Path(name)
		if err != nil {
			return err
		}
		data, err := os.ReadFile(from)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(out, name), data, 0o755); err != nil {
			return fmt.Errorf("copy %s: %w", name, err)
		}
	}
	return nil
}

func newUpCommand() *cobra.Command {
	var flags buildFlags
	var state, link, pods, services, given, output string
	cfg := cluster.Default("")
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Start the cluster, or repair it; on one that runs it changes nothing",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			if cfg.State, err = filepath.Abs(state); err != nil {
				return err
			}
			for _, n := range []struct {
				text string
				to   *netip.Prefix
			}{{link, &cfg.Link}, {pods, &cfg.Pods}, {services, &cfg.Services}, {given, &cfg.Addresses}} {
				if n.text == "" && n.to == &cfg.Addresses {
					continue
				}
				if *n.to, err = netip.ParsePrefix(n.text); err != nil {
					return err
				}
			}
			if err := cfg.Validate(); err != nil {
				return err
			}
			if output != "text" && output != "json" {
				return fmt.Errorf("unknown output %q: text or json", output)
			}
			if cfg, err = up(cmd.Context(), cfg, flags, cmd.ErrOrStderr()); err != nil {
				return err
			}
			return printInfo(cmd.OutOrStdout(), cfg, output)
		},
	}
	flags.register(cmd)
	f := cmd.Flags()
	f.StringVar(&state, "state", defaultState, "directory that holds everything the cluster keeps")
	f.StringVar(&cfg.Name, "name", cfg.Name, "name of the network namespace and of its link")
	f.StringVar(&link, "link", cfg.Link.String(), "network of four addresses between host and node")
	f.StringVar(&pods, "pods", cfg.Pods.String(), "network of pods")
	f.StringVar(&services, "services", cfg.Services.String(), "network of services")
	f.StringVar(&given, "addresses", "", "network of the addresses that Services of type LoadBalancer get, for example 10.201.0.0/28 (default none)")
	f.IntVar(&cfg.RegistryPort, "registry-port", cfg.RegistryPort, "port of the image registry on the host's address")
	f.StringVar(&cfg.Domains, "domains", "", "domains, separated by commas, whose names get a certificate at the edge")
	f.StringVarP(&output, "output", "o", "text", "what to print when it runs: text (the kubeconfig's path) or json")
	f.StringVar(&cfg.CPUs, "cpus", "", "processors, as in 0,2-3, to which the cluster's own processes are kept; containers may use all")
	f.BoolVar(&cfg.ControlPlane, "control-plane", false, "start no node: etcd, API server, controllers and scheduler only")
	return cmd
}

// up makes the cluster run and returns the configuration that it has.
func up(ctx context.Context, cfg cluster.Config, flags buildFlags, messages io.Writer) (cluster.Config, error) {
	p := progress.New(messages)
	unlock, err := lockState(cfg.State)
	if err != nil {
		return cfg, err
	}
	defer unlock()
	if cfg, err = keepRunning(cfg, p); err != nil {
		return cfg, err
	}
	if s, err := cfg.Status(); err == nil && s.Running() && cfg.Answers(ctx) {
		p.Say("the cluster runs already; nothing was changed")
		return cfg, nil
	}
	if err := doctor.Mend(ctx, doctor.This(), true, messages); err != nil {
		return cfg, err
	}
	builder, err := flags.builder(p)
	if err != nil {
		return cfg, err
	}
	c, err := assemble(ctx, builder, cfg, p)
	if err != nil {
		return cfg, err
	}
	return cfg, c.Up(ctx)
}

// printInfo prints what the users of a running cluster need.
func printInfo(w io.Writer, cfg cluster.Config, output string) error {
	if output == "text" {
		fmt.Fprintln(w, cfg.Kubeconfig())
		return nil
	}
	s, err := cfg.Status()
	if err != nil {
		return err
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(s.Info)
}

// keepRunning refuses to give a cluster that exists another configuration.
func keepRunning(cfg cluster.Config, p *progress.Printer) (cluster.Config, error) {
	if !cfg.Exists() {
		return cfg, nil
	}
	kept, err := cluster.Load(cfg.State)
	if err != nil {
		return cfg, err
	}
	if kept != cfg {
		p.Say("the cluster in %s keeps the networks and name with which it was made", cfg.State)
	}
	return kept, nil
}

// assemble builds what the cluster runs and names it.
func assemble(ctx context.Context, builder *build.Builder, cfg cluster.Config, p *progress.Printer) (*cluster.Cluster, error) {
	sets := build.All()
	if cfg.ControlPlane {
		sets = build.ControlPlane()
	}
	result, err := builder.Build(ctx, sets)
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	c := &cluster.Cluster{Config: cfg, Progress: p, Images: map[string]string{}}
	c.Programs.Self = self
	wanted := map[string]*string{build.Kube: &c.Programs.Kube}
	if !cfg.ControlPlane {
		wanted[build.Containerd], wanted[build.Runc], wanted[build.GatewayCRD] = &c.Programs.Containerd, &c.Programs.Runc, &c.CRDs
	}
	for name, to := range wanted {
		if *to, err = result.Path(name); err != nil {
			return nil, err
		}
	}
	c.Programs.CNI = filepath.Dir(c.Programs.Containerd)
	if cfg.ControlPlane {
		return c, nil
	}
	for _, name := range []string{build.Pause, build.CoreDNS, build.Traefik} {
		if c.Images[name], err = result.Path(name); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// lockState keeps two commands from changing one cluster at a time. The lock
// lies beside the state directory, which a command may remove.
func lockState(state string) (unlock func(), err error) {
	if err := os.MkdirAll(filepath.Dir(state), 0o755); err != nil {
		return nil, fmt.Errorf("make the state directory: %w", err)
	}
	name := filepath.Clean(state) + ".lock"
	for {
		f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			return nil, fmt.Errorf("lock the state directory: %w", err)
		}
		if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
			f.Close()
			return nil, fmt.Errorf("another command is changing the cluster in %s", state)
		}
		// Whoever held it may have removed the file since we opened it.
		ours, err1 := f.Stat()
		there, err2 := os.Stat(name)
		if err1 == nil && err2 == nil && os.SameFile(ours, there) {
			return func() {
				_ = os.Remove(name)
				f.Close()
			}, nil
		}
		f.Close()
	}
}

func newDownCommand() *cobra.Command {
	var state string
	cmd := &cobra.Command{
		Use:   "down",
		Short: "Remove the cluster and everything that it made",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			p := progress.New(cmd.ErrOrStderr())
			abs, err := filepath.Abs(state)
			if err != nil {
				return err
			}
			if _, err := os.Stat(abs); errors.Is(err, os.ErrNotExist) {
				p.Say("there is no cluster in %s", abs)
				return nil
			}
			unlock, err := lockState(abs)
			if err != nil {
				return err
			}
			defer unlock()
			cfg, err := cluster.Load(abs)
			if err != nil {
				return err
			}
			if !cfg.Exists() {
				return fmt.Errorf("%s is not a cluster's state directory; nothing was removed", abs)
			}
			if err := cfg.Down(cmd.Context()); err != nil {
				return err
			}
			p.Say("the cluster is gone")
			return nil
		},
	}
	cmd.Flags().StringVar(&state, "state", defaultState, "directory that holds everything the cluster keeps")
	return cmd
}

func newStatusCommand() *cobra.Command {
	var state, output string
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show what runs; fails when the cluster does not",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			abs, err := filepath.Abs(state)
			if err != nil {
				return err
			}
			cfg, err := cluster.Load(abs)
			if err != nil {
				return err
			}
			s, err := cfg.Status()
			if err != nil {
				return err
			}
			if err := printStatus(cmd.OutOrStdout(), s, output); err != nil {
				return err
			}
			if !s.Running() {
				return fmt.Errorf("no cluster runs in %s: start it with `localkube up --state %s`", abs, abs)
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&state, "state", defaultState, "directory that holds everything the cluster keeps")
	cmd.Flags().StringVarP(&output, "output", "o", "text", "text or json")
	return cmd
}

func printStatus(w io.Writer, s cluster.Status, output string) error {
	switch output {
	case "json":
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		return enc.Encode(s)
	case "text":
		for _, name := range sortedKeys(s.Processes) {
			state := "ended"
			if s.Processes[name] {
				state = "runs"
			}
			fmt.Fprintf(w, "%-12s %s\n", name, state)
		}
		if s.Info != nil {
			fmt.Fprintf(w, "kubeconfig   %s\nregistry     %s\nhttp         http://%s\n", s.Info.Kubeconfig, s.Info.Registry, s.Info.NodeIP)
		}
		return nil
	}
	return fmt.Errorf("unknown output %q: text or json", output)
}

func newPushCommand() *cobra.Command {
	var state, user string
	var env, entry []string
	cmd := &cobra.Command{
		Use:   "push REF BINARY|DIR",
		Short: "Put a program or a directory into the registry as an image",
		Long: `Put a program or a directory into the registry as an image of one layer.

REF is a name with a tag, as pods will use it: registry.example.com/team/web:v1.
Whatever host it names, the cluster pulls it from here.`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			abs, err := filepath.Abs(state)
			if err != nil {
				return err
			}
			cfg, err := cluster.Load(abs)
			if err != nil {
				return err
			}
			target, err := registry.Local(cfg.Registry(), args[0])
			if err != nil {
				return err
			}
			digest, err := registry.Push(cmd.Context(), target, registry.Image{Path: args[1], Env: env, User: user, Entrypoint: entry})
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s %s\n", args[0], digest)
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&state, "state", defaultState, "state directory of the cluster")
	f.StringArrayVar(&env, "env", nil, "NAME=VALUE of the image's environment; repeatable")
	f.StringArrayVar(&entry, "entrypoint", nil, "program and arguments to run; repeatable")
	f.StringVar(&user, "user", "65532", "numeric user to run as; 0 is root")
	return cmd
}

func newDoctorCommand() *cobra.Command {
	var mend bool
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Say what this machine lacks to run the cluster",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if mend {
				if err := doctor.Mend(cmd.Context(), doctor.This(), true, cmd.ErrOrStderr()); err != nil {
					return err
				}
			}
			if err := doctor.Examine(doctor.This(), true).Err(); err != nil {
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), "nothing is missing")
			return nil
		},
	}
	cmd.Flags().BoolVar(&mend, "install", false, "install what is missing with apt-get")
	return cmd
}

// newRegistryCommand serves the registry; the cluster starts it.
func newRegistryCommand() *cobra.Command {
	var listen, dir string
	var writers []string
	cmd := &cobra.Command{
		Use:    "serve-registry",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg := registry.Config{Dir: dir}
			for _, w := range writers {
				ip, err := netip.ParseAddr(w)
				if err != nil {
					return err
				}
				cfg.Writers = append(cfg.Writers, ip)
			}
			return registry.Serve(cmd.Context(), listen, cfg)
		},
	}
	cmd.Flags().StringVar(&listen, "listen", "", "address")
	cmd.Flags().StringVar(&dir, "dir", "", "where images are kept")
	cmd.Flags().StringArrayVar(&writers, "writer", nil, "address that may push")
	return cmd
}

// newEnforceCommand enforces network policies; the cluster starts it.
func newEnforceCommand() *cobra.Command {
	var kubeconfig, socket, pods string
	cmd := &cobra.Command{
		Use:    "enforce",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			network, err := netip.ParsePrefix(pods)
			if err != nil {
				return err
			}
			rest, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
			if err != nil {
				return err
			}
			rest.QPS, rest.Burst = 200, 400
			client, err := kubernetes.NewForConfig(rest)
			if err != nil {
				return err
			}
			return netpol.Run(cmd.Context(), netpol.Config{
				Client: client, PodNetwork: network, Socket: socket, Log: slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil)),
			})
		},
	}
	cmd.Flags().StringVar(&kubeconfig, "kubeconfig", "", "kubeconfig file")
	cmd.Flags().StringVar(&socket, "socket", "", "where the network plugin asks")
	cmd.Flags().StringVar(&pods, "pods", "", "network of pods")
	return cmd
}

// newProvisionCommand gives claims their volumes; the cluster starts it.
func newProvisionCommand() *cobra.Command {
	var kubeconfig, dir string
	var gib int64
	cmd := &cobra.Command{
		Use:    "provision",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			rest, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
			if err != nil {
				return err
			}
			rest.QPS, rest.Burst = 100, 200
			client, err := kubernetes.NewForConfig(rest)
			if err != nil {
				return err
			}
			return volumes.Run(cmd.Context(), volumes.Config{
				Client: client, Dir: dir, Node: cluster.NodeName, Capacity: gib << 30, Log: slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil)),
			})
		},
	}
	cmd.Flags().StringVar(&kubeconfig, "kubeconfig", "", "kubeconfig file")
	cmd.Flags().StringVar(&dir, "dir", "", "where volumes lie")
	cmd.Flags().Int64Var(&gib, "capacity", 64, "GiB that all volumes together may ask for")
	return cmd
}

// newAddressesCommand gives Services their addresses; the cluster starts it.
func newAddressesCommand() *cobra.Command {
	var kubeconfig, pool string
	cmd := &cobra.Command{
		Use:    "give-addresses",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			network, err := netip.ParsePrefix(pool)
			if err != nil {
				return err
			}
			rest, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
			if err != nil {
				return err
			}
			client, err := kubernetes.NewForConfig(rest)
			if err != nil {
				return err
			}
			return addresses.Run(cmd.Context(), addresses.Config{Client: client, Pool: network, Log: slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil))})
		},
	}
	cmd.Flags().StringVar(&kubeconfig, "kubeconfig", "", "kubeconfig file")
	cmd.Flags().StringVar(&pool, "pool", "", "network of the addresses")
	return cmd
}

// newMeasureCommand tells what pods use; the cluster starts it.
func newMeasureCommand() *cobra.Command {
	var kubeconfig string
	var cfg usage.Config
	cmd := &cobra.Command{
		Use:    "measure",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			rest, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
			if err != nil {
				return err
			}
			rest.QPS, rest.Burst = 100, 200
			cfg.Rest, cfg.Log = rest, slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil))
			return usage.Run(cmd.Context(), cfg)
		},
	}
	cmd.Flags().StringVar(&kubeconfig, "kubeconfig", "", "kubeconfig file")
	cmd.Flags().StringVar(&cfg.Kubelet, "kubelet", "", "URL of the kubelet")
	cmd.Flags().StringVar(&cfg.Listen, "listen", "", "address to serve at")
	cmd.Flags().StringVar(&cfg.Certificate, "certificate", "", "certificate of that address")
	cmd.Flags().StringVar(&cfg.Key, "key", "", "key of the certificate")
	cmd.Flags().StringVar(&cfg.Authority, "authority", "", "authority of who may ask")
	cmd.Flags().StringVar(&cfg.Caller, "caller", "", "name of who may ask")
	return cmd
}

func sortedKeys(m map[string]bool) []string { return slices.Sorted(maps.Keys(m)) }
