package app

import (
	"slices"
	"strings"

	manifesttypes "berth.dev/berth/manifest/types"
)

// Built is an image that was made of the application's sources just now.
type Built struct {
	// Ref is its reference.
	Ref string
	// Launcher is the program of the image that starts all others, with its first arguments; empty for none.
	Launcher []string
}

// DockerHub is the registry of references that name none.
const DockerHub = "docker.io"

// Registry is the registry of an image's reference, such as ghcr.io or localhost:5000.
func Registry(ref string) string {
	host, _, found := strings.Cut(ref, "/")
	if !found || !strings.ContainsAny(host, ".:") && host != "localhost" {
		return DockerHub
	}
	return host
}

// images completes what runs in the application's own images: what opens their registry, and what starts a program in an
// image that was built.
func (b *builder) images() {
	for _, p := range b.list {
		if p.companion {
			continue
		}
		if c, ok := b.overlay.Credentials[Registry(p.service.Image)]; ok {
			p.service.Credentials = &c
		}
		built := b.overlay.Built
		if built == nil || built.Ref != p.service.Image || len(built.Launcher) == 0 {
			continue
		}
		p.service.Command = launched(built.Launcher, p.service.Command)
		for i, h := range p.service.Hooks {
			p.service.Hooks[i].Command = launched(built.Launcher, h.Command)
		}
	}
}

// launched is a command as a launcher runs it. What the image runs by itself is launched already.
func launched(launcher, command []string) []string {
	if len(command) == 0 {
		return command
	}
	return slices.Concat(launcher, command)
}

// credentials are what opens registries, by their names as Registry has them.
type credentials = map[string]manifesttypes.Credentials
