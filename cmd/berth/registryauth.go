package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	manifesttypes "berth.dev/berth/manifest/types"
	"berth.dev/berth/sdl/app"
	"berth.dev/berth/sdl/compile"
	"berth.dev/berth/tenant/registryauth"
)

// authDocker is the value of --registry-auth that stands for what docker's login stored.
const authDocker = "docker"

// registryAuth finds what opens the registries of an application's images, where --registry-auth asks for it. Nothing is
// taken from docker otherwise: it would go to a provider, whom the tenant has not chosen yet.
func registryAuth(cmd *cobra.Command, in *compile.Input, c compile.Result) error {
	from, err := cmd.Flags().GetString(flagRegistryAuth)
	if err != nil || from == "" {
		return err
	}
	registries := registriesOf(in, c)
	if from != authDocker && len(registries) > 1 {
		return usageErrorf("--registry-auth %s: a file opens one registry, and the images are of %s", from, strings.Join(registries, " and "))
	}
	out, found := map[string]manifesttypes.Credentials{}, errors.New("no image is given")
	for _, registry := range registries {
		var login registryauth.Login
		if from == authDocker {
			login, err = registryauth.Docker(cmd.Context(), registry)
		} else {
			login, err = registryauth.File(from)
		}
		if err != nil {
			if !errors.Is(err, registryauth.ErrNone) {
				return exitWith(exitUsage, fmt.Errorf("--registry-auth: %w", err))
			}
			found = err
			continue
		}
		out[registry] = manifesttypes.Credentials{Host: registry, Username: login.User, Password: login.Password}
	}
	if len(out) == 0 {
		return exitWith(exitUsage, fmt.Errorf("--registry-auth: %w", found), "docker login REGISTRY")
	}
	in.Overlay.Credentials = out
	return nil
}

// registriesOf are the registries of the application's images. Those of companions are not the tenant's.
func registriesOf(in *compile.Input, c compile.Result) []string {
	images := map[string]string{}
	for _, p := range c.App.Processes {
		images[p.Name] = p.Image
	}
	maps.Copy(images, c.Overlay.Images)
	maps.Copy(images, in.Overlay.Images)
	for _, x := range c.App.Companions {
		delete(images, x.Name)
	}
	var out []string
	for _, image := range images {
		if image != "" {
			out = append(out, app.Registry(image))
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
