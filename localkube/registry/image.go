package registry

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Image describes an image with one layer.
type Image struct {
	// Path is a program, which becomes /NAME and the entry point, or a
	// directory, whose content becomes the root and whose entry point is the
	// only program in it unless Entrypoint says otherwise.
	Path string
	// Entrypoint overrides the program to run.
	Entrypoint []string
	// Env is the environment, NAME=VALUE.
	Env []string
	// User is the numeric user to run as; empty means root.
	User string
}

// Push builds the image and sends it to ref, which names its registry's
// address: HOST:PORT/NAME:TAG. The layer is not compressed: between processes
// of one machine packing costs seconds and saves nothing.
func Push(ctx context.Context, ref string, img Image) (digest string, err error) {
	target, err := name.ParseReference(ref, name.Insecure)
	if err != nil {
		return "", fmt.Errorf("read image reference: %w", err)
	}
	built, err := Build(img)
	if err != nil {
		return "", fmt.Errorf("build image %s: %w", ref, err)
	}
	if err := remote.Write(target, built, remote.WithContext(ctx)); err != nil {
		return "", fmt.Errorf("push %s: %w", ref, err)
	}
	hash, err := built.Digest()
	return hash.String(), err
}

// Build makes the image. The same files give the same digest: times and owners
// are fixed.
func Build(img Image) (v1.Image, error) {
	layerTar, program, err := pack(img.Path)
	if err != nil {
		return nil, err
	}
	entry := img.Entrypoint
	if len(entry) == 0 {
		if program == "" {
			return nil, fmt.Errorf("%s holds not exactly one program: say which to run", img.Path)
		}
		entry = []string{program}
	}
	out, err := mutate.AppendLayers(
		mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON),
		static.NewLayer(layerTar, types.OCIUncompressedLayer),
	)
	if err != nil {
		return nil, fmt.Errorf("add layer: %w", err)
	}
	file, err := out.ConfigFile()
	if err != nil {
		return nil, fmt.Errorf("read image configuration: %w", err)
	}
	file = file.DeepCopy()
	file.OS, file.Architecture = "linux", runtime.GOARCH
	file.Config = v1.Config{Entrypoint: entry, Env: append([]string{"PATH=/"}, img.Env...), User: img.User}
	return mutate.ConfigFile(out, file)
}

// pack returns the layer's tar and the only program in it, if there is one.
func pack(from string) (layer []byte, program string, err error) {
	info, err := os.Stat(from)
	if err != nil {
		return nil, "", err
	}
	var out bytes.Buffer
	p := &packer{tw: tar.NewWriter(&out), dirs: map[string]bool{}}
	p.dir("tmp", 0o1777)
	p.dir("etc", 0o755)
	if info.IsDir() {
		err = p.tree(from)
	} else {
		err = p.file(from, filepath.Base(from), 0o755)
	}
	if err == nil {
		err = p.tw.Close()
	}
	if err != nil {
		return nil, "", fmt.Errorf("pack %s: %w", from, err)
	}
	if len(p.programs) == 1 {
		program = p.programs[0]
	}
	return out.Bytes(), program, nil
}

type packer struct {
	tw       *tar.Writer
	programs []string
	dirs     map[string]bool
	err      error
}

func (p *packer) tree(root string) error {
	return filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil || file == root {
			return err
		}
		rel, err := filepath.Rel(root, file)
		if err != nil {
			return err
		}
		info, err := d.Info()
		switch {
		case err != nil:
			return err
		case d.IsDir():
			p.dir(filepath.ToSlash(rel), info.Mode().Perm())
			return p.err
		case info.Mode()&fs.ModeSymlink != 0:
			return p.link(file, filepath.ToSlash(rel))
		case !info.Mode().IsRegular():
			return fmt.Errorf("%s is neither a file, nor a directory, nor a link", file)
		}
		return p.file(file, filepath.ToSlash(rel), info.Mode().Perm())
	})
}

// dir packs a directory once: tools refuse layers that name one twice.
func (p *packer) dir(name string, mode fs.FileMode) {
	if p.err == nil && !p.dirs[name] {
		p.dirs[name] = true
		p.err = p.tw.WriteHeader(&tar.Header{Name: name + "/", Typeflag: tar.TypeDir, Mode: int64(mode), ModTime: time.Unix(0, 0)})
	}
}

// link packs a symbolic link as it is: it means what it means in the image.
func (p *packer) link(from, name string) error {
	to, err := os.Readlink(from)
	if err != nil {
		return err
	}
	if p.err == nil {
		p.err = p.tw.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeSymlink, Linkname: to, Mode: 0o777, ModTime: time.Unix(0, 0)})
	}
	return p.err
}

func (p *packer) file(from, name string, mode fs.FileMode) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if mode&0o111 != 0 {
		p.programs = append(p.programs, path.Join("/", name))
	}
	if p.err == nil {
		p.err = p.tw.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: int64(mode), Size: int64(len(data)), ModTime: time.Unix(0, 0)})
	}
	if p.err == nil {
		_, p.err = p.tw.Write(data)
	}
	return p.err
}

// Local turns an image's name, as pods use it, into its place in the registry
// at addr: containerd asks for the path only and leaves the host out.
func Local(addr, ref string) (string, error) {
	r, err := name.NewTag(ref)
	if err != nil {
		return "", fmt.Errorf("read image reference: %w", err)
	}
	return fmt.Sprintf("%s/%s:%s", addr, r.RepositoryStr(), r.TagStr()), nil
}
