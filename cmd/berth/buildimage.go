package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"berth.dev/berth/sdl"
	"berth.dev/berth/sdl/app"
	"berth.dev/berth/sdl/appjson"
	"berth.dev/berth/sdl/compile"
	"berth.dev/berth/sdl/procfile"
	"berth.dev/berth/tenant/build"
)

const (
	flagApp          = "app"
	flagBuild        = "build"
	flagBuilder      = "builder"
	flagRegistryAuth = "registry-auth"
)

// addDeployFlags gives a command the flags of how an application that is deployed is told apart, and its image is had.
func addDeployFlags(cmd *cobra.Command) {
	cmd.Flags().String(flagApp, "", "applications: name of the application, where a directory has several")
	cmd.Flags().String(flagBuild, "", "applications: build the sources beside the manifest, and push the image to this repository")
	cmd.Flags().String(flagBuilder, "", "applications: image that builds with buildpacks (default "+build.DefaultBuilder+")")
	cmd.Flags().String(flagRegistryAuth, "", "applications: what lets the provider pull the image: docker, for what docker login stored, or a file with USER:PASSWORD")
}

// buildImage builds what a manifest says, where --build names a repository to push to, and gives the image to all
// processes of in. Nothing of the build is undone when something fails later: an image in a registry costs no lease.
func buildImage(cmd *cobra.Command, in *compile.Input, c compile.Result, file string) error {
	repository, err := cmd.Flags().GetString(flagBuild)
	if err != nil || repository == "" {
		return err
	}
	if dry, err := cmd.Flags().GetBool("dry-run"); err == nil && dry {
		return usageErrorf("--build %s: --dry-run sends nothing, and a build sends an image to its registry; leave out one of them", repository)
	}
	if c.Overlay.Images[app.All] != "" {
		return usageErrorf("--build %s: an image is given, too; leave out one of them", repository)
	}
	tree := build.Tree{Dir: "."}
	if file != "-" {
		tree.Dir = filepath.Dir(file)
	}
	recipe := recipeOf(c, tree.Dir)
	recipe.Env = in.Values
	if recipe.Builder, err = cmd.Flags().GetString(flagBuilder); err != nil {
		return err
	}
	if recipe.Builder != "" && len(recipe.Buildpacks) == 0 {
		return usageErrorf("--builder %s: nothing is built with buildpacks; name them with --buildpack", recipe.Builder)
	}
	if recipe.Script != "" && recipe.Runtime == "" {
		return usageErrorf("--build %s: scripts.build has no runtime to run in", repository)
	}
	builder := build.Builder{Log: cmd.ErrOrStderr()}
	built, err := builder.Image(cmd.Context(), tree, recipe, repository)
	switch {
	case errors.Is(err, build.ErrNoBuilder), errors.Is(err, build.ErrNothing):
		return exitWith(exitUsage, err)
	case err != nil:
		return fmt.Errorf("build the image: %w", err)
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "Built %s\n", built.Ref)
	images := maps.Clone(in.Overlay.Images)
	put(&images, app.All, built.Ref)
	in.Overlay.Images = images
	in.Overlay.Built = &app.Built{Ref: built.Ref, Launcher: built.Launcher}
	if c.Format == appjson.Format {
		portOf(cmd, in, c, built.Ports)
	}
	return nil
}

// portOf lets web take connections where its image exposes a port, if it exposes one only and none is given.
func portOf(cmd *cobra.Command, in *compile.Input, c compile.Result, ports []uint32) {
	if _, given := c.Overlay.Ports[app.Web]; given || len(ports) == 0 {
		return
	}
	if len(ports) > 1 {
		fmt.Fprintf(cmd.ErrOrStderr(), "The image exposes the ports %s; web takes connections at %d. --port web=PORT chooses another\n", numbers(ports), appjson.Port)
		return
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "web takes connections at %d, the port that the image exposes\n", ports[0])
	set := maps.Clone(in.Overlay.Ports)
	put(&set, app.Web, ports[0])
	in.Overlay.Ports = set
}

func numbers(ports []uint32) string {
	texts := make([]string, len(ports))
	for i, p := range ports {
		texts[i] = strconv.FormatUint(uint64(p), 10)
	}
	return strings.Join(texts, ", ")
}

// recipeOf is how the sources of an application are built. The overlay's buildpacks win over what the manifest says.
func recipeOf(c compile.Result, dir string) build.Recipe {
	r := build.Recipe{Buildpacks: c.Overlay.Buildpacks}
	b := c.App.Build
	if b == nil {
		return r
	}
	r.Runtime, r.Script, r.Predeploy = b.Runtime, b.Script, b.Predeploy
	if len(r.Buildpacks) == 0 {
		r.Buildpacks = b.Buildpacks
	}
	if c.Overlay.Predeploy != "" { // it is a hook then
		r.Predeploy = ""
	}
	if r.Runtime != "" {
		r.Command = webCommand(dir)
	}
	return r
}

// webCommand is what the image of a tree runs by itself: the process web of its Procfile.
func webCommand(dir string) []string {
	data, err := os.ReadFile(filepath.Join(dir, compile.Procfile))
	if err != nil {
		return nil // that was reported when the manifest was compiled
	}
	web := procfile.Parse(sdl.NewReporter(compile.Procfile), compile.Procfile, data).Find(app.Web)
	if web == nil {
		return nil
	}
	return procfile.Argv(web.Command)
}
