// Package build makes an image of a source tree with the builder that the tenant's machine has, and sends it to a
// registry. What is built is decided here, in text and lists of arguments; the builders are programs of their own:
// docker, buildctl of BuildKit, and pack for buildpacks.
package build

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/google/go-containerregistry/pkg/v1/remote"

	"berth.dev/berth/manifest"
)

// The conditions that callers tell apart.
var (
	// ErrNoBuilder means that this machine has no program that could build.
	ErrNoBuilder = errors.New("there is nothing to build with")
	// ErrFailed means that a builder ended with an error, which it has shown itself.
	ErrFailed = errors.New("the build failed")
	// ErrNothing means that the tree does not say how to build it.
	ErrNothing = errors.New("the sources do not say how to build them")
)

// Recipe says what to build. Of Buildpacks, Runtime and the tree's Dockerfile the first that there is counts.
type Recipe struct {
	// Buildpacks are identifiers of buildpacks, in their order; Builder is the image that has them.
	Buildpacks []string
	Builder    string
	// Runtime is a base image, and Script a file of the tree that runs in it.
	Runtime, Script string
	// Command is what the image of a runtime runs by itself.
	Command []string
	// Predeploy is a command that runs last and whose changes are kept; it sees Env.
	Predeploy string
	Env       map[string]string
}

// DefaultBuilder has the buildpacks of the common languages.
const DefaultBuilder = "heroku/builder:24"

// Builder runs builds.
type Builder struct {
	// Log takes what the builders print.
	Log io.Writer
	// Look finds a program; exec.LookPath if nil.
	Look func(string) (string, error)
	// Transport leads to the registry, which is asked for what BuildKit does not say; the library's own if nil.
	Transport http.RoundTripper
}

// job is one build in the making.
type job struct {
	*Builder
	recipe Recipe
	// dir is private to the job: context is what goes into the image, and beside it lie what only the builder reads.
	dir, context string
	ref          string // with its tag
}

// Built is an image in its registry.
type Built struct {
	// Ref is its reference with the digest, which no later push can change.
	Ref string
	// Ports are the TCP ports that the image exposes, the least first.
	Ports []uint32
	// Launcher is what starts a program in an image of buildpacks, with the variables that these set; empty for others.
	Launcher []string
}

// launcher starts what follows as it stands, without a shell.
var launcher = []string{"/cnb/lifecycle/launcher", "--"}

// Image builds a tree and pushes it to a repository, such as registry.example.com/me/shop, with or without a tag. Its
// error is ErrNoBuilder, ErrNothing or ErrFailed where it is one of these.
func (b *Builder) Image(ctx context.Context, t Tree, r Recipe, repository string) (Built, error) {
	if !manifest.IsImage(repository) || strings.Contains(repository, "@") {
		return Built{}, fmt.Errorf("%q is not a repository to push to, such as registry.example.com/me/shop", repository)
	}
	dir, err := os.MkdirTemp("", "berth-build-")
	if err != nil {
		return Built{}, fmt.Errorf("make a directory to build in: %w", err)
	}
	defer os.RemoveAll(dir)
	j := job{Builder: b, recipe: r, dir: dir, context: filepath.Join(dir, "context")}
	hash, err := t.stage(j.context)
	if err != nil {
		return Built{}, err
	}
	if j.ref = repository; !tagged(repository) {
		j.ref += ":berth-" + hash[:12]
	}
	if err := j.secrets(); err != nil {
		return Built{}, err
	}
	return j.run(ctx, t)
}

func tagged(ref string) bool { return strings.Contains(ref[strings.LastIndexByte(ref, '/')+1:], ":") }

func untagged(ref string) string {
	if !tagged(ref) {
		return ref
	}
	return ref[:strings.LastIndexByte(ref, ':')]
}

// secrets writes the variables that the last step sees.
func (j *job) secrets() error {
	if j.recipe.Predeploy == "" {
		return nil
	}
	if err := os.WriteFile(j.path("env"), []byte(assignments(j.recipe.Env)), 0o600); err != nil {
		return fmt.Errorf("write the variables of the build: %w", err)
	}
	return nil
}

func (j *job) path(name string) string { return filepath.Join(j.dir, name) }

func (j *job) run(ctx context.Context, t Tree) (Built, error) {
	if len(j.recipe.Buildpacks) > 0 {
		return j.buildpacks(ctx)
	}
	text, err := j.dockerfile(t)
	if err != nil {
		return Built{}, err
	}
	if j.recipe.Predeploy != "" {
		text = strings.TrimRight(text, "\n") + "\n" + predeploy(j.recipe.Predeploy)
	}
	return j.docker(ctx, text)
}

// dockerfile is the text to build: made of a runtime, or the tree's own.
func (j *job) dockerfile(t Tree) (string, error) {
	if r := j.recipe; r.Runtime != "" {
		info := t.File(r.Script)
		if r.Script != "" && !info.Exists {
			return "", fmt.Errorf("build: there is no file %s in the sources", r.Script)
		}
		return Dockerfile(r.Runtime, r.Script, info.Executable && info.Shebang, r.Command), nil
	}
	text, err := os.ReadFile(filepath.Join(t.Dir, "Dockerfile"))
	if errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("build %s: %w: give it a Dockerfile, name buildpacks, or deploy an image with --image", t.Dir, ErrNothing)
	}
	if err != nil {
		return "", fmt.Errorf("read the Dockerfile: %w", err)
	}
	return string(text), nil
}

func (j *job) withBuildKit(ctx context.Context) (Built, error) {
	args := []string{
		"build", "--frontend", "dockerfile.v0", "--local", "context=" + j.context, "--local", "dockerfile=" + j.dir,
		"--output", "type=image,name=" + j.ref + ",push=true", "--metadata-file", j.path("metadata"),
	}
	if j.recipe.Predeploy != "" {
		args = append(args, "--secret", "id="+secretID+",src="+j.path("env"))
	}
	if err := j.call(ctx, nil, "buildctl", args...); err != nil {
		return Built{}, err
	}
	data, err := os.ReadFile(j.path("metadata"))
	if err != nil {
		return Built{}, fmt.Errorf("read what BuildKit says of the image: %w", err)
	}
	var said struct {
		Digest string `json:"containerimage.digest"`
	}
	if err := json.Unmarshal(data, &said); err != nil || !isDigest(said.Digest) {
		return Built{}, errors.New("BuildKit says no digest of the image")
	}
	ports, err := exposed(ctx, cmp.Or(j.Transport, remote.DefaultTransport), untagged(j.ref), said.Digest)
	if err != nil {
		fmt.Fprintf(j.Log, "What ports the image exposes is not known: %v\n", err)
	}
	return j.built(said.Digest, ports), nil
}

// reported finds the digest in what pack says of an image.
var reported = regexp.MustCompile(`(?m)^\s*digest\s*=\s*"(sha256:[0-9a-f]{64})"`)

// buildpacks builds with pack, and then runs the last step on top of the image.
func (j *job) buildpacks(ctx context.Context) (Built, error) {
	if _, err := j.ask(ctx, "pack", "version"); err != nil {
		return Built{}, fmt.Errorf("%w: %w, and buildpacks need it (https://buildpacks.io/docs/install-pack) and Docker. Install them, write a Dockerfile, "+
			"or build the image elsewhere and deploy it with --image REFERENCE", ErrNoBuilder, err)
	}
	builder := j.recipe.Builder
	if builder == "" {
		builder = DefaultBuilder
	}
	// By itself pack keeps a cache for each tag, which are as many as there are versions of the sources.
	sum := sha256.Sum256([]byte(untagged(j.ref)))
	cache := "type=build;format=volume;name=berth-" + hex.EncodeToString(sum[:8])
	args := []string{"build", j.ref, "--path", j.context, "--builder", builder, "--trust-builder", "--publish", "--report-output-dir", j.dir, "--cache", cache}
	for _, id := range j.recipe.Buildpacks {
		args = append(args, "--buildpack", id)
	}
	if err := j.call(ctx, nil, "pack", args...); err != nil {
		return Built{}, err
	}
	data, err := os.ReadFile(j.path("report.toml"))
	if err != nil {
		return Built{}, fmt.Errorf("read what pack says of the image: %w", err)
	}
	m := reported.FindSubmatch(data)
	if m == nil {
		return Built{}, errors.New("pack says no digest of the image")
	}
	built := j.built(string(m[1]), nil)
	if j.recipe.Predeploy != "" {
		if built, err = j.docker(ctx, "FROM "+built.Ref+"\n"+predeploy(j.recipe.Predeploy, launcher...)); err != nil {
			return Built{}, err
		}
	}
	built.Launcher = launcher
	return built, nil
}

// command is a call of a program. Arguments are given as they are: no shell reads them.
func (b *Builder) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	if b.Look != nil {
		if found, err := b.Look(name); err == nil {
			name = found
		}
	}
	return exec.CommandContext(ctx, name, args...)
}

// call runs a builder, whose output goes to the log.
func (b *Builder) call(ctx context.Context, env []string, name string, args ...string) error {
	cmd := b.command(ctx, name, args...)
	cmd.Stdout, cmd.Stderr = b.Log, b.Log
	cmd.Env = append(os.Environ(), env...)
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fmt.Errorf("%w: %s %s: %w", ErrFailed, name, args[0], err)
	}
	return nil
}
