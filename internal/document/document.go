// Package document opens the documents that commands are given: it is where the pure compiler gets its files from.
package document

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"berth.dev/berth/sdl/compile"
	"berth.dev/berth/sdl/doc"
	"berth.dev/berth/sdl/files"
)

// Stdin is the name that stands for standard input.
const Stdin = "-"

// Load reads a document, or standard input for Stdin, and no more of it than a document may have and one byte, so that
// the compiler sees that there is more. Files that the document names are read when it is compiled, from the document's
// directory or below; for standard input that is the working directory.
func Load(file string, stdin io.Reader) (compile.Input, error) {
	data, err := read(file, stdin)
	if err != nil {
		return compile.Input{}, err
	}
	dir := "."
	if file != Stdin {
		dir = filepath.Dir(file)
	}
	return compile.Input{File: file, Data: data, ReadFile: reader(dir)}, nil
}

func read(file string, stdin io.Reader) ([]byte, error) {
	in := stdin
	if file != Stdin {
		f, err := os.Open(file)
		if err != nil {
			return nil, unreadable(file, err)
		}
		defer f.Close()
		in = f
	}
	data, err := io.ReadAll(io.LimitReader(in, doc.MaxBytes+1))
	if err != nil {
		return nil, unreadable(file, err)
	}
	return data, nil
}

// unreadable says that a file cannot be read, and names it once.
func unreadable(file string, err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("there is no file %s", file)
	}
	var pathErr *os.PathError
	if errors.As(err, &pathErr) {
		err = pathErr.Err
	}
	return fmt.Errorf("%s cannot be read: %w", file, err)
}

// reader reads files of a directory or below it. A document may come from somebody else: what lies elsewhere on the
// tenant's machine must not end up in it, by .. or through a symbolic link.
func reader(dir string) func(path string) ([]byte, error) {
	return func(path string) ([]byte, error) {
		data, err := readBelow(dir, filepath.FromSlash(path))
		return data, meaning(err)
	}
}

func readBelow(dir, path string) ([]byte, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	// Looked at before it is opened: opening a pipe would wait for somebody to write.
	info, err := root.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, files.ErrNotRegular
	}
	f, err := root.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, doc.MaxBytes+1))
}

// meaning gives the errors of os.Root that have no name of their own the one that the compiler knows.
func meaning(err error) error {
	var pathErr *os.PathError
	if errors.As(err, &pathErr) && strings.Contains(pathErr.Err.Error(), "escapes") {
		return files.ErrOutside
	}
	return err
}
