package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"berth.dev/berth/internal/document"
	"berth.dev/berth/sdl"
	"berth.dev/berth/sdl/app"
	"berth.dev/berth/sdl/appjson"
	"berth.dev/berth/sdl/compile"
	"berth.dev/berth/sdl/quantity"
	"berth.dev/berth/tenant/build"
)

func newInitCommand() *cobra.Command {
	var stdout bool
	cmd := &cobra.Command{
		Use:   "init [FILE]",
		Short: "Write a berth.yaml with what an application's manifest lacks",
		Long: "Read an application's manifest (app.json, akinon.json) and what stands beside it, and write a commented berth.yaml\n" +
			"next to it: what a deployment needs and the manifest cannot say. Nothing in it changes what the manifest means until a\n" +
			"line is uncommented. A berth.yaml that is there is not touched.",
		Example: "  berth init\n  berth init app.json --stdout",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			file, err := documentOf(args)
			if err != nil {
				return err
			}
			in, err := loadDocument(cmd, file)
			if err != nil {
				return err
			}
			if compile.Detect(in) == compile.FormatSDL {
				return usageErrorf("%s is an SDL document, which says all of that itself", file)
			}
			result, err := compileInput(cmd, in)
			if err != nil {
				return err
			}
			text := overlayText(result, exposedBeside(result, file))
			if stdout {
				_, err := io.WriteString(cmd.OutOrStdout(), text)
				return err
			}
			target := filepath.Join(filepath.Dir(file), app.OverlayFile)
			f, err := os.OpenFile(target, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644) //nolint:gosec // it holds no secret, and is meant to be shared
			if err != nil {
				return exitWith(exitUsage, fmt.Errorf("write %s: %w", target, err))
			}
			if _, err := f.WriteString(text); err != nil {
				f.Close()
				return fmt.Errorf("write %s: %w", target, err)
			}
			if err := f.Close(); err != nil {
				return fmt.Errorf("write %s: %w", target, err)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s\n", target)
			return nil
		},
	}
	document.AddFlags(cmd.Flags())
	addAppFlags(cmd)
	cmd.Flags().BoolVar(&stdout, "stdout", false, "print it instead of writing the file")
	return cmd
}

// exposedBeside is the port that the Dockerfile beside an app.json exposes, or 0.
func exposedBeside(r compile.Result, file string) uint32 {
	if r.Format != appjson.Format || file == "-" {
		return 0
	}
	text, err := os.ReadFile(filepath.Join(filepath.Dir(file), "Dockerfile"))
	if err != nil {
		return 0 // only a hint would come of it
	}
	return build.ExposedBy(string(text))
}

// overlayText is a berth.yaml for an application, in which everything is a comment.
// exposed is the port that the Dockerfile beside it exposes, or 0.
func overlayText(r compile.Result, exposed uint32) string {
	var b strings.Builder
	b.WriteString("# What " + printable(r.Format) + " does not say. Everything is optional; flags win over this file.\n# docs/spec/app-json.md describes each key.\n\n")
	list := func(key, what string, line func(s sdl.Resource) string) {
		fmt.Fprintf(&b, "# %s\n#%s:\n", what, key)
		for _, x := range r.Plan.Groups[0].Resources {
			b.WriteString("#  " + x.Service + ": " + line(x) + "\n")
		}
		b.WriteString("\n")
	}
	if len(r.Plan.Extras.Unbuilt) > 0 {
		b.WriteString("# The image of all processes; or image: {web: ..., worker: ...}.\n#image: registry.example/" + r.Plan.Groups[0].Name + ":1\n\n")
	}
	if exposed != 0 && exposed != appjson.Port {
		fmt.Fprintf(&b, "# Where web takes connections. The Dockerfile exposes this port, which a deployment with --build takes by itself.\n#port: {web: %d}\n\n", exposed)
	}
	list("compute", "What an instance takes. These are the sizes that count now; cron stands for all tasks.", func(x sdl.Resource) string {
		storage := uint64(0)
		if len(x.Storage) > 0 {
			storage = x.Storage[0].Bytes
		}
		return fmt.Sprintf("{cpu: %s, memory: %s, storage: %s}", quantity.FormatCPU(x.CPUMilli), quantity.FormatBytes(x.MemoryBytes), quantity.FormatBytes(storage))
	})
	b.WriteString("# The most that everything may cost per month, in whole tokens. Without it, and without prices, a deployment finds\n" +
		"# prices on the network. Or price: {web: 12ubrt}, for one instance and block.\n#budget: {perMonth: 40}\n\n" +
		"# Where it may run.\n#placement:\n#  region: eu-west\n#  signedBy: []\n#  exclude: []\n\n" +
		"# Host names of web; the provider gives one besides.\n#domain: [www.example.com]\n\n" +
		"# What is put into escrow at first.\n#deposit: 5BRT\n\n")
	for _, s := range r.Plan.Manifests[0].Services {
		if s.Scale != nil {
			b.WriteString("# The order reserves the most instances that a process scales to; min reserves the least, without scaling.\n#scale: {reserve: max}\n\n")
			break
		}
	}
	if inputs := r.Plan.Extras.Inputs; len(inputs) > 0 {
		b.WriteString("# Values of variables. Secrets are better kept with: berth env set NAME=VALUE\n#env:\n")
		for _, i := range inputs {
			note := i.State
			if i.Description != "" {
				note += ": " + strings.Join(strings.Fields(i.Description), " ")
			}
			b.WriteString(printable("#  "+i.Name+": {fromFile: .env.production} # "+note) + "\n")
		}
		b.WriteString("\n")
	}
	return strings.TrimRight(b.String(), "\n") + "\n"
}
