package build

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"path"
	"slices"
)

// hashLength is how many hexadecimal digits of a hash name a cache entry.
const hashLength = 16

// Hash names the result of building s: two builds with the same hash give the
// same programs. It covers the set's description, the content of its inputs
// below source (go.mod and go.sum always among them), the Go version and the
// platform, but no file's time, mode or place.
func Hash(s Set, source fs.FS, goVersion, platform string) (string, error) {
	h := sha256.New()
	description, err := json.Marshal(s)
	if err != nil {
		return "", fmt.Errorf("describe set %s: %w", s.Name, err)
	}
	fmt.Fprintf(h, "%s\n%s\n%s\n", goVersion, platform, description)
	files, err := inputFiles(s, source)
	if err != nil {
		return "", fmt.Errorf("list the inputs of set %s: %w", s.Name, err)
	}
	for _, name := range files {
		data, err := fs.ReadFile(source, name)
		if err != nil {
			return "", fmt.Errorf("read an input of set %s: %w", s.Name, err)
		}
		fmt.Fprintf(h, "%s %d\n", name, len(data))
		h.Write(data)
	}
	return hex.EncodeToString(h.Sum(nil))[:hashLength], nil
}

// inputFiles lists the files that decide a set's hash, sorted, each once.
func inputFiles(s Set, source fs.FS) ([]string, error) {
	files := []string{path.Join(s.Dir, "go.mod"), path.Join(s.Dir, "go.sum")}
	if s.Dir == "." { // the base set's programs use the standard library only
		files = nil
	}
	for _, in := range s.Inputs {
		err := fs.WalkDir(source, path.Join(s.Dir, in), func(name string, d fs.DirEntry, err error) error {
			if err == nil && d.Type().IsRegular() {
				files = append(files, name)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	slices.Sort(files)
	return slices.Compact(files), nil
}
