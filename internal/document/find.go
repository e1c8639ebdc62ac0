package document

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Names are the files that are looked for where no document is named.
var Names = []string{"deploy.yaml", "deploy.yml", "akinon.json", "app.json"}

// ErrNone means that there is no document in a directory.
var ErrNone = errors.New("there is no document")

// Find returns the one document of a directory. Several are an error that names them: which is meant is not guessed.
func Find(dir string) (string, error) {
	var found []string
	for _, name := range Names {
		info, err := os.Stat(filepath.Join(dir, name))
		if err == nil && info.Mode().IsRegular() && (name != "app.json" || len(found) == 0 || !isExpo(filepath.Join(dir, name))) {
			found = append(found, name)
		}
	}
	switch len(found) {
	case 0:
		return "", fmt.Errorf("%w in %s: none of %s is there", ErrNone, dir, strings.Join(Names, ", "))
	case 1:
		return filepath.Join(dir, found[0]), nil
	}
	return "", fmt.Errorf("%s holds %s: name the one that is meant", dir, strings.Join(found, " and "))
}

// isExpo tells whether an app.json is of Expo, which uses the same name for something else.
func isExpo(file string) bool {
	data, err := os.ReadFile(file)
	return err == nil && strings.Contains(string(data), `"expo"`)
}
