package build

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// The ways in which docker builds. A client before version 23 has BuildKit in it; later ones need the plugin buildx for
// it, and without that there is the older builder, which knows no mounts.
type flavour int

const (
	flavourBuiltIn flavour = iota
	flavourBuildx
	flavourOld
)

// docker builds a Dockerfile with docker or, where there is none, with a BuildKit of its own, and pushes it.
func (j *job) docker(ctx context.Context, text string) (Built, error) {
	if err := os.WriteFile(j.path("Dockerfile"), []byte(text), 0o600); err != nil {
		return Built{}, fmt.Errorf("write the Dockerfile: %w", err)
	}
	version, noDocker := j.ask(ctx, "docker", "version", "--format", "{{.Client.Version}} {{.Server.Version}}")
	if noDocker == nil {
		if how := j.flavour(ctx, version); how != flavourOld {
			return j.withDocker(ctx, how)
		}
	}
	_, noBuildKit := j.ask(ctx, "buildctl", "debug", "workers")
	switch {
	case noBuildKit == nil:
		return j.withBuildKit(ctx)
	case noDocker == nil && j.recipe.Predeploy == "":
		return j.withDocker(ctx, flavourOld)
	case noDocker == nil:
		return Built{}, fmt.Errorf("%w: a build with predeploy needs BuildKit, for which docker lacks its plugin buildx. Install it (docker-buildx-plugin, or docker-buildx)", ErrNoBuilder)
	}
	return Built{}, fmt.Errorf("%w: %w; %w. Install Docker or BuildKit, or start its daemon, or build the image elsewhere and deploy it with --image REFERENCE",
		ErrNoBuilder, noDocker, noBuildKit)
}

// flavour tells how docker builds, by what it says of its versions.
func (j *job) flavour(ctx context.Context, version string) flavour {
	digits, _, _ := strings.Cut(version, ".")
	if major, err := strconv.Atoi(digits); err == nil && major < 23 {
		return flavourBuiltIn
	}
	if _, err := j.ask(ctx, "docker", "buildx", "version"); err != nil {
		return flavourOld
	}
	return flavourBuildx
}

func (j *job) withDocker(ctx context.Context, how flavour) (Built, error) {
	args, kit := []string{"build", "--file", j.path("Dockerfile"), "--tag", j.ref}, "DOCKER_BUILDKIT=1"
	switch how {
	case flavourOld:
		kit = "DOCKER_BUILDKIT=0"
	case flavourBuildx: // its builder may keep what it builds to itself
		args = append(args, "--load")
	}
	if j.recipe.Predeploy != "" {
		args = append(args, "--secret", "id="+secretID+",src="+j.path("env"))
	}
	if err := j.call(ctx, []string{kit}, "docker", append(args, j.context)...); err != nil {
		return Built{}, err
	}
	return j.pushed(ctx)
}

// pushed sends an image of docker's to its registry, and returns it as it is there.
func (j *job) pushed(ctx context.Context) (Built, error) {
	if err := j.call(ctx, nil, "docker", "push", j.ref); err != nil {
		return Built{}, err
	}
	out, err := j.command(ctx, "docker", "image", "inspect", j.ref).Output()
	if err != nil {
		return Built{}, fmt.Errorf("ask docker for the digest of %s: %w", j.ref, err)
	}
	var images []struct {
		RepoDigests []string
		Config      struct{ ExposedPorts map[string]struct{} }
	}
	if err := json.Unmarshal(out, &images); err != nil || len(images) != 1 {
		return Built{}, fmt.Errorf("ask docker for the digest of %s: it says nothing that can be read: %w", j.ref, err)
	}
	for _, one := range images[0].RepoDigests {
		if name, digest, ok := strings.Cut(one, "@"); ok && sameRepository(name, untagged(j.ref)) && isDigest(digest) {
			return j.built(digest, images[0].Config.ExposedPorts), nil
		}
	}
	return Built{}, fmt.Errorf("docker knows no digest of %s after it was pushed", j.ref)
}

// built is an image with a digest, whose configuration has these ports, such as 8000/tcp.
func (j *job) built(digest string, exposed map[string]struct{}) Built {
	b := Built{Ref: untagged(j.ref) + "@" + digest}
	for port := range exposed {
		number, proto, _ := strings.Cut(port, "/")
		if n, err := strconv.ParseUint(number, 10, 16); err == nil && n > 0 && (proto == "tcp" || proto == "") {
			b.Ports = append(b.Ports, uint32(n))
		}
	}
	slices.Sort(b.Ports)
	return b
}

// sameRepository compares names, of which docker leaves out the host and library of its own registry.
func sameRepository(a, b string) bool {
	short := func(s string) string {
		s = strings.TrimPrefix(strings.TrimPrefix(s, "index."), "docker.io/")
		return strings.TrimPrefix(s, "library/")
	}
	return short(a) == short(b)
}

var digestForm = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)

func isDigest(s string) bool { return digestForm.MatchString(s) }

// ask runs a program that is to answer at once. Its error says whether the program is missing, or what it said.
func (b *Builder) ask(ctx context.Context, name string, args ...string) (string, error) {
	look := b.Look
	if look == nil {
		look = exec.LookPath
	}
	if _, err := look(name); err != nil {
		return "", fmt.Errorf("%s is not installed", name)
	}
	var out, errs bytes.Buffer
	cmd := b.command(ctx, name, args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		said := strings.TrimSpace(errs.String())
		if i := strings.LastIndexByte(said, '\n'); i >= 0 {
			said = strings.TrimSpace(said[i+1:])
		}
		if said == "" {
			said = err.Error()
		}
		return "", errors.New(name + ": " + strings.TrimRight(said, "."))
	}
	return strings.TrimSpace(out.String()), nil
}
