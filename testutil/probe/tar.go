package main

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

func init() { subcommands["tar"] = tarProgram }

// tarProgram is as much of tar as copying uses: `tar -x -f - -C DIR` and `tar -c -f - -C DIR -- NAME`.
func tarProgram(args []string) error {
	if len(args) < 5 || args[1] != "-f" || args[2] != "-" || args[3] != "-C" {
		return fmt.Errorf("want -x or -c, -f - and -C DIR, got %q", args)
	}
	if err := os.Chdir(args[4]); err != nil {
		return err
	}
	switch {
	case args[0] == "-x":
		return unpack(tar.NewReader(os.Stdin))
	case args[0] == "-c" && len(args) == 7:
		out := tar.NewWriter(os.Stdout)
		err := filepath.WalkDir(args[6], func(name string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			return packFile(out, name, d)
		})
		return errors.Join(err, out.Close())
	}
	return fmt.Errorf("cannot do %q", args)
}

func unpack(in *tar.Reader) error {
	for {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if h.Typeflag == tar.TypeDir {
			if err := os.MkdirAll(h.Name, 0o755); err != nil {
				return err
			}
			continue
		}
		f, err := os.OpenFile(h.Name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, fs.FileMode(h.Mode).Perm())
		if err != nil {
			return err
		}
		_, err = io.Copy(f, in)
		if err := errors.Join(err, f.Close()); err != nil {
			return err
		}
	}
}

func packFile(out *tar.Writer, name string, d fs.DirEntry) error {
	info, err := d.Info()
	if err != nil {
		return err
	}
	h, err := tar.FileInfoHeader(info, "")
	if err != nil {
		return err
	}
	h.Name = name
	if err := out.WriteHeader(h); err != nil || info.IsDir() {
		return err
	}
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, f)
	return errors.Join(err, f.Close())
}
