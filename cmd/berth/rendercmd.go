package main

import (
	"io"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

	"berth.dev/berth/internal/document"
	"berth.dev/berth/provider/cluster/kube"
	"berth.dev/berth/sdl"
	"berth.dev/berth/sdl/app"
)

func newRenderCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "render [FILE]",
		Short: "Print the Kubernetes objects that a provider would apply",
		Long: "Compile a document and print the objects that a provider with default settings would apply for it, for review. Nothing\n" +
			"is sent. Names of the lease, the domain and the network are examples, and secrets are hidden; what is not known yet stands\n" +
			"as " + app.Unbuilt + " for an image. Hooks are printed as the jobs that they become, at the end of their group.\n\n" +
			"FILE may be - for standard input; without one, the document of the working directory is taken.",
		Example: "  berth render app.json --image ghcr.io/acme/shop:1.4\n  berth render deploy.yaml -o json | jq '.[].kind'",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			format, err := outputFormat(cmd)
			if err != nil {
				return err
			}
			file, err := documentOf(args)
			if err != nil {
				return err
			}
			plan, err := compileDocument(cmd, file)
			if err != nil {
				return err
			}
			objects, err := rendered(plan)
			if err != nil {
				return exitWith(exitUsage, err)
			}
			return writeResult(cmd.OutOrStdout(), format, objects, func(w io.Writer) error { return writeObjects(w, objects) })
		},
	}
	document.AddFlags(cmd.Flags())
	addAppFlags(cmd)
	return cmd
}

// rendered are the objects of all groups of a plan. What is still open of it is filled with what says so.
func rendered(plan *sdl.Plan) ([]map[string]any, error) {
	objects := []map[string]any{}
	for _, g := range plan.Manifests {
		for i := range g.Services {
			s := &g.Services[i]
			if s.Image == "" {
				s.Image = app.Unbuilt
			}
		}
		all, err := kube.Preview(g)
		if err != nil {
			return nil, err
		}
		objects = append(objects, all...)
	}
	return objects, nil
}

// writeObjects writes objects as documents of YAML.
func writeObjects(w io.Writer, objects []map[string]any) error {
	for _, o := range objects {
		text, err := yaml.Marshal(o)
		if err != nil {
			return err
		}
		if _, err := io.WriteString(w, "---\n"+string(text)); err != nil {
			return err
		}
	}
	return nil
}
