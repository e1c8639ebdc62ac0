package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

	"berth.dev/berth/provider/cluster/kube"
	"berth.dev/berth/provider/daemon"
	"berth.dev/berth/provider/doctor"
)

// doctorResult is what doctor reports.
type doctorResult struct {
	OK     int             `json:"ok"`
	Warn   int             `json:"warn"`
	Fail   int             `json:"fail"`
	Checks []doctor.Report `json:"checks"`
}

func (a *app) doctorCommand() *cobra.Command {
	var o daemon.CheckOptions
	var only []string
	cmd := &cobra.Command{
		Use: "doctor", Short: "Say what this provider, its account and its cluster lack, and what mends it", Args: noArgs,
		Long: `Say what this provider, its account and its cluster lack, and what mends it.

Each check is ok, warn (something that tenants may want is missing, or could not be
looked at) or fail (leases would not run, or not as promised). They run side by side,
each with a time limit. Nothing is changed: objects are only tried with a dry run.

With --probe IMAGE, or cluster.probe_image in provider.yaml, pods in a namespace of
their own show what the cluster enforces; the namespace is removed again. The image is
one of this program. --quick leaves that out.

The exit code is 0 if no check failed, and 1 otherwise. docs/ops/doctor.md lists the
checks.`,
		Example: "  berth-provider doctor\n  berth-provider doctor --probe registry.example/berth-provider:1\n" +
			"  berth-provider doctor --quick -o json | jq '.checks[] | select(.level != \"ok\")'",
		RunE: func(cmd *cobra.Command, _ []string) error {
			checks, err := a.checks(o, only)
			if err != nil {
				return err
			}
			res := doctorResult{Checks: doctor.Run(cmd.Context(), checks)}
			res.OK, res.Warn, res.Fail = doctor.Count(res.Checks, doctor.OK), doctor.Count(res.Checks, doctor.Warn), doctor.Count(res.Checks, doctor.Fail)
			if err := a.print(res, res.text); err != nil {
				return err
			}
			if res.Fail > 0 {
				return fmt.Errorf("%d of %d checks failed", res.Fail, len(res.Checks))
			}
			return nil
		},
	}
	o.Input = a.in
	fl := cmd.Flags()
	fl.BoolVar(&o.Quick, "quick", false, "make no pods, even if cluster.probe_image is set")
	fl.StringVar(&o.ProbeImage, "probe", "", "image of this program to run pods of")
	fl.StringVar(&o.Kubeconfig, "kubeconfig", "", "look at the cluster with this kubeconfig's rights, for what the daemon's own do not allow to see")
	fl.StringSliceVar(&only, "only", nil, "names of the checks to run")
	return cmd
}

// checks are those to run. A configuration that cannot be read is a finding too.
func (a *app) checks(o daemon.CheckOptions, only []string) ([]doctor.Check, error) {
	home := daemon.Home(a.home)
	cfg, err := daemon.LoadConfig(home.ConfigFile())
	if errors.Is(err, os.ErrNotExist) {
		_, _, err := a.config()
		return nil, err
	}
	checks := []doctor.Check{daemon.CheckConfig(err)}
	if err == nil {
		checks = append(checks, daemon.Checks(home, cfg, o)...)
	}
	if len(only) == 0 {
		return checks, nil
	}
	for _, name := range only {
		if !slices.ContainsFunc(checks, func(c doctor.Check) bool { return c.Name == name }) {
			return nil, &usageError{fmt.Errorf("there is no check %q here", name)}
		}
	}
	return slices.DeleteFunc(checks, func(c doctor.Check) bool { return !slices.Contains(only, c.Name) }), nil
}

func (r doctorResult) text(p *page) {
	for _, c := range r.Checks {
		p.linef("%-4s\t%s\t%s", c.Level, c.Name, oneLine(c.Detail))
		if c.Mend != "" {
			p.linef("\t\t→ %s", oneLine(c.Mend))
		}
	}
	p.linef("%d ok, %d warn, %d fail", r.OK, r.Warn, r.Fail)
}

// oneLine keeps what comes from elsewhere to one line without control characters.
func oneLine(s string) string {
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r == '\n' || r == '\t' || r < ' ' || r == 0x7f }), " ")
}

func (a *app) roleCommand() *cobra.Command {
	return &cobra.Command{
		Use: "role", Short: "Print the ClusterRole that the daemon needs, for kubectl apply -f -", Args: noArgs,
		Long: `Print the ClusterRole that the daemon needs, for kubectl apply -f -.

It names every right that the Kubernetes driver uses, and no others. deploy/kubernetes
holds it with everything else that runs the daemon inside of its cluster.`,
		RunE: func(*cobra.Command, []string) error {
			role := kube.Role()
			y, err := yaml.Marshal(role)
			if err != nil {
				return fmt.Errorf("write the role: %w", err)
			}
			return a.print(role, func(p *page) { p.linef("%s", strings.TrimSuffix(string(y), "\n")) })
		},
	}
}
