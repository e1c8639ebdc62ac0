package document

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"berth.dev/berth/sdl/compile"
	"berth.dev/berth/sdl/dotenv"
)

// The flags of commands that compile documents.
const (
	FlagEnvFile = "env-file"
	FlagNoEnv   = "no-env"
)

// Variables are what documents may refer to as ${NAME}: those of files, the later ones over the earlier, and below them
// those of the process's environment. It remembers which of them were taken, so that who signs for a stranger's
// document sees what it asked for.
type Variables struct {
	files []variableFile
	noEnv bool
	env   func(name string) (string, bool)
	used  map[string]string // by name, where it came from: a file, or nothing for the environment
}

type variableFile struct {
	name   string
	values map[string]string
}

// NewVariables returns the variables of an environment alone; os.LookupEnv is that of the process.
func NewVariables(env func(name string) (string, bool)) *Variables {
	return &Variables{env: env, used: map[string]string{}}
}

// AddFlags gives a command the flags --env-file and --no-env. A file is read as soon as the flag is parsed, so that one
// that cannot be read is bad usage.
func AddFlags(fs *pflag.FlagSet) {
	v := NewVariables(os.LookupEnv)
	fs.Var(v, FlagEnvFile, "file of lines NAME=VALUE for the document's ${NAME}, over those of the environment; may be given several times, the last one counts")
	fs.BoolVar(&v.noEnv, FlagNoEnv, false, "take no variables from the environment, only from --env-file")
}

// FromFlags returns the variables that a command's flags give, or those of the process's environment if it has no such
// flags.
func FromFlags(fs *pflag.FlagSet) *Variables {
	if f := fs.Lookup(FlagEnvFile); f != nil {
		if v, ok := f.Value.(*Variables); ok {
			return v
		}
	}
	return NewVariables(os.LookupEnv)
}

// Set reads a file; it is how the flag is given. It shows no values.
func (v *Variables) Set(file string) error {
	vars, err := readVariables(file)
	if err != nil {
		return err
	}
	v.files = append(v.files, variableFile{file, dotenv.Map(vars)})
	return nil
}

// readVariables reads a file of variables, which may be a pipe.
func readVariables(file string) ([]dotenv.Var, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, unreadable(file, err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, dotenv.MaxBytes+1))
	if err != nil {
		return nil, unreadable(file, err)
	}
	vars, err := dotenv.Parse(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return vars, nil
}

// String names the files, as the flag's value.
func (v *Variables) String() string {
	var names []string
	if v != nil {
		for _, f := range v.files {
			names = append(names, f.name)
		}
	}
	return strings.Join(names, ",")
}

// Type is the flag's type in the help.
func (v *Variables) Type() string { return "file" }

// Lookup returns the value of a variable, and remembers that it was asked for.
func (v *Variables) Lookup(name string) (string, bool) {
	for _, f := range slices.Backward(v.files) {
		if value, ok := f.values[name]; ok {
			v.used[name] = f.name
			return value, true
		}
	}
	if v.noEnv {
		return "", false
	}
	value, ok := v.env(name)
	if ok {
		v.used[name] = ""
	}
	return value, ok
}

// Load reads a document that may refer to the variables; see the function Load.
func (v *Variables) Load(file string, stdin io.Reader) (compile.Input, error) {
	in, err := Load(file, stdin)
	in.Lookup = v.Lookup
	for _, f := range v.files {
		for name := range f.values {
			in.Names = append(in.Names, name)
		}
	}
	slices.Sort(in.Names)
	in.Names = slices.Compact(in.Names)
	return in, err
}

// Taken says in one line which variables documents took, and from where; it is empty if they took none. It shows no
// values.
func (v *Variables) Taken() string {
	from := map[string][]string{}
	for name, file := range v.used {
		from[file] = append(from[file], name)
	}
	var parts []string
	add := func(file, where string) {
		if names := from[file]; len(names) > 0 {
			slices.Sort(names)
			parts = append(parts, strings.Join(names, ", ")+" from "+where)
			delete(from, file)
		}
	}
	add("", "the environment")
	for _, f := range v.files {
		add(f.name, f.name)
	}
	if len(parts) == 0 {
		return ""
	}
	return "Variables taken: " + strings.Join(parts, "; ")
}
