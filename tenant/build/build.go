// Package build makes an image of a source tree with the builder that the tenant's machine has, and sends it to a
// registry. What is built is decided here, in text and lists of arguments; the builders are programs of their own:
// docker, buildctl of BuildKit, and pack for buildpacks.
package build

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

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
}

// job is one build in the making.
type job struct {
	*Builder
	recipe Recipe
	// dir is private to the job: context is what goes into the image, and beside it lie what only the builder reads.
	dir, context string
	ref          string // with its tag
}

// Image builds a tree and pushes it to a repository, such as registry.example.com/me/shop, with or without a tag. It
// returns the reference with the digest, which no later push can change. Its error is ErrNoBuilder, ErrNothing or
// ErrFailed where it is one of these.
func (b *Builder) Image(ctx context.Context, t Tree, r Recipe, repository string) (string, error) {
	if !manifest.IsImage(repository) || strings.Contains(repository, "@") {
		return "", fmt.Errorf("%q is not a repository to push to, such as registry.example.com/me/shop", repository)
	}
	dir, err := os.MkdirTemp("", "berth-build-")
	if err != nil {
		return "", fmt.Errorf("make a directory to build in: %w", err)
	}
	defer os.RemoveAll(dir)
	j := job{Builder: b, recipe: r, dir: dir, context: filepath.Join(dir, "context")}
	hash, err := t.stage(j.context)
	if err != nil {
		return "", err
	}
	if j.ref = repository; !tagged(repository) {
		j.ref += ":berth-" + hash[:12]
	}
	if err := j.secrets(); err != nil {
		return "", err
	}
	digest, err := j.run(ctx, t)
	if err != nil {
		return "", err
	}
	return untagged(repository) + "@" + digest, nil
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

func (j *job) run(ctx context.Context, t Tree) (string, error) {
	if len(j.recipe.Buildpacks) > 0 {
		return j.buildpacks(ctx)
	}
	text, err := j.dockerfile(t)
	if err != nil {
		return "", err
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

// docker builds a Dockerfile with docker or, where there is none, with a BuildKit of its own, and pushes it.
func (j *job) docker(ctx context.Context, text string) (string, error) {
	if err := os.WriteFile(j.path("Dockerfile"), []byte(text), 0o600); err != nil {
		return "", fmt.Errorf("write the Dockerfile: %w", err)
	}
	switch {
	case j.answers(ctx, "docker", "version", "--format", "{{.Server.Version}}"):
		return j.withDocker(ctx)
	case j.answers(ctx, "buildctl", "debug", "workers"):
		return j.withBuildKit(ctx)
	}
	return "", fmt.Errorf("%w: neither docker nor buildctl is here with a daemon that answers. Install Docker or BuildKit, "+
		"or build the image elsewhere and deploy it with --image REFERENCE", ErrNoBuilder)
}

func (j *job) withDocker(ctx context.Context) (string, error) {
	args := []string{"build", "--file", j.path("Dockerfile"), "--tag", j.ref}
	if j.recipe.Predeploy != "" {
		args = append(args, "--secret", "id="+secretID+",src="+j.path("env"))
	}
	if err := j.call(ctx, []string{"DOCKER_BUILDKIT=1"}, "docker", append(args, j.context)...); err != nil {
		return "", err
	}
	return j.pushed(ctx)
}

// pushed sends an image of docker's to its registry, and returns the digest that it has there.
func (j *job) pushed(ctx context.Context) (string, error) {
	if err := j.call(ctx, nil, "docker", "push", j.ref); err != nil {
		return "", err
	}
	out, err := j.command(ctx, "docker", "image", "inspect", "--format", "{{json .RepoDigests}}", j.ref).Output()
	if err != nil {
		return "", fmt.Errorf("ask docker for the digest of %s: %w", j.ref, err)
	}
	var list []string
	if err := json.Unmarshal(out, &list); err != nil {
		return "", fmt.Errorf("ask docker for the digest of %s: %w", j.ref, err)
	}
	for _, one := range list {
		if name, digest, ok := strings.Cut(one, "@"); ok && sameRepository(name, untagged(j.ref)) && isDigest(digest) {
			return digest, nil
		}
	}
	return "", fmt.Errorf("docker knows no digest of %s after it was pushed", j.ref)
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

func (j *job) withBuildKit(ctx context.Context) (string, error) {
	args := []string{
		"build", "--frontend", "dockerfile.v0", "--local", "context=" + j.context, "--local", "dockerfile=" + j.dir,
		"--output", "type=image,name=" + j.ref + ",push=true", "--metadata-file", j.path("metadata"),
	}
	if j.recipe.Predeploy != "" {
		args = append(args, "--secret", "id="+secretID+",src="+j.path("env"))
	}
	if err := j.call(ctx, nil, "buildctl", args...); err != nil {
		return "", err
	}
	data, err := os.ReadFile(j.path("metadata"))
	if err != nil {
		return "", fmt.Errorf("read what BuildKit says of the image: %w", err)
	}
	var said struct {
		Digest string `json:"containerimage.digest"`
	}
	if err := json.Unmarshal(data, &said); err != nil || !isDigest(said.Digest) {
		return "", errors.New("BuildKit says no digest of the image")
	}
	return said.Digest, nil
}

// reported finds the digest in what pack says of an image.
var reported = regexp.MustCompile(`(?m)^\s*digest\s*=\s*"(sha256:[0-9a-f]{64})"`)

// buildpacks builds with pack, and then runs the last step on top of the image.
func (j *job) buildpacks(ctx context.Context) (string, error) {
	if !j.answers(ctx, "pack", "version") {
		return "", fmt.Errorf("%w: buildpacks need pack (https://buildpacks.io/docs/install-pack) and Docker. Install them, write a Dockerfile, "+
			"or build the image elsewhere and deploy it with --image REFERENCE", ErrNoBuilder)
	}
	builder := j.recipe.Builder
	if builder == "" {
		builder = DefaultBuilder
	}
	args := []string{"build", j.ref, "--path", j.context, "--builder", builder, "--trust-builder", "--publish", "--report-output-dir", j.dir}
	for _, id := range j.recipe.Buildpacks {
		args = append(args, "--buildpack", id)
	}
	if err := j.call(ctx, nil, "pack", args...); err != nil {
		return "", err
	}
	data, err := os.ReadFile(j.path("report.toml"))
	if err != nil {
		return "", fmt.Errorf("read what pack says of the image: %w", err)
	}
	m := reported.FindSubmatch(data)
	if m == nil {
		return "", errors.New("pack says no digest of the image")
	}
	digest := string(m[1])
	if j.recipe.Predeploy == "" {
		return digest, nil
	}
	return j.docker(ctx, "FROM "+untagged(j.ref)+"@"+digest+"\n"+predeploy(j.recipe.Predeploy))
}

// answers tells whether a program is here and does what it is asked.
func (b *Builder) answers(ctx context.Context, name string, args ...string) bool {
	look := b.Look
	if look == nil {
		look = exec.LookPath
	}
	if _, err := look(name); err != nil {
		return false
	}
	return b.command(ctx, name, args...).Run() == nil
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
