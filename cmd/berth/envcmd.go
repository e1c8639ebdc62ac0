package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/cosmos/cosmos-sdk/types/tx/signing"

	"berth.dev/berth/client"
	"berth.dev/berth/sdl/dotenv"
	"berth.dev/berth/tenant/envstore"
	"berth.dev/berth/tenant/home"
)

const envTargets = "An application is a directory, or a file in it; without one it is the working directory. --app tells the applications of one\n" +
	"directory apart. A deployment is named by its number."

// newEnvCommand keeps the variables of applications.
func newEnvCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "env",
		Short: "Keep the values of an application's variables on this machine",
		Long: "The values of an application's variables are kept on this machine, encrypted with your key, before there is a deployment\n" +
			"and from one to the next. A deployment sets what its manifest says and what has no value yet; what is set is changed by\n" +
			"nobody but you, unless the manifest keeps it in sync. A change takes effect with the next deploy or update.\n\n" + envTargets,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.PersistentFlags().String(flagApp, "", "name of the application, where a directory has several")
	show := false
	list := &cobra.Command{
		Use: "list [DEPLOYMENT|DIRECTORY]", Short: "List the variables that have a value", Args: cobra.MaximumNArgs(1),
		Long:    "List the variables that have a value, with where it comes from. Values are shown with --show only.\n\n" + envTargets,
		Example: "  berth env list\n  berth env list 123456 --show -o json",
		RunE:    func(cmd *cobra.Command, args []string) error { return listEnv(cmd, args, show) },
	}
	list.Flags().BoolVar(&show, "show", false, "show the values, too")
	cmd.AddCommand(list,
		&cobra.Command{
			Use: "set [DEPLOYMENT|DIRECTORY] NAME=VALUE...", Short: "Set variables", Args: cobra.MinimumNArgs(1),
			Long:    "Set variables. What stands on a command line is seen by others on this machine and kept by your shell: for secrets use\nberth env import - instead.\n\n" + envTargets,
			Example: "  berth env set WEB_CONCURRENCY=9\n  berth env set shop/ API_URL=https://api.example.com\n  berth env set 123456 --app blue DEBUG=1",
			RunE:    setEnv,
		},
		&cobra.Command{
			Use: "unset [DEPLOYMENT|DIRECTORY] NAME...", Short: "Forget the values of variables", Args: cobra.MinimumNArgs(1),
			Long: "Forget the values of variables. The next deployment then sets what its manifest says, makes a new one where it is\n" +
				"generated, or asks. A directory is named with a slash or as . here, to tell it from a variable.\n\n" + envTargets,
			Example: "  berth env unset DEBUG\n  berth env unset ./shop DEBUG TOKEN",
			RunE:    unsetEnv,
		},
		&cobra.Command{
			Use: "import [DEPLOYMENT|DIRECTORY] FILE", Short: "Set the variables of a file of lines NAME=VALUE", Args: cobra.RangeArgs(1, 2),
			Long:    "Set the variables of a file of lines NAME=VALUE, or of standard input for -.\n\n" + envTargets,
			Example: "  berth env import .env.production\n  printf 'TOKEN=%s' \"$TOKEN\" | berth env import -",
			RunE:    importEnv,
		},
	)
	return cmd
}

// openEnvStore opens the values of the network and key that the command line and the configuration name. It needs no
// network.
func openEnvStore(cmd *cobra.Command) (*envstore.Store, error) {
	dir, err := homeDir(cmd)
	if err != nil {
		return nil, err
	}
	cfg, err := loadConfig(dir)
	if err != nil {
		return nil, err
	}
	network, _, err := chooseNetwork(cmd, cfg)
	if err != nil {
		return nil, err
	}
	ring, err := client.OpenKeyring(backend(cmd, cfg), dir, cmd.InOrStdin())
	if err != nil {
		return nil, exitWith(exitUsage, err)
	}
	key := firstNonEmpty(setting(cmd, "key", "BERTH_KEY"), cfg.Key, home.DefaultKey)
	record, err := ring.Key(key)
	if err != nil {
		return nil, exitWith(exitUsage, fmt.Errorf("there is no key %q in %s", key, dir), self(cmd)+" keys add "+key, self(cmd)+" keys list")
	}
	address, err := record.GetAddress()
	if err != nil {
		return nil, fmt.Errorf("address of key %q: %w", key, err)
	}
	return envstore.New(dir, network, address.String(), func(data []byte) ([]byte, error) {
		signature, _, err := ring.Sign(key, data, signing.SignMode_SIGN_MODE_DIRECT)
		return signature, err
	}), nil
}

// applicationAt is the application of a directory, or of a file's directory, by which its values are found.
func applicationAt(path, name string) (envstore.App, error) {
	info, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		return envstore.App{}, usageErrorf("there is no directory or file %s", path)
	}
	if err != nil {
		return envstore.App{}, usageErrorf("%s cannot be read: %w", path, err)
	}
	if !info.IsDir() {
		path = filepath.Dir(path)
	}
	// One directory has one name, whatever leads to it.
	if path, err = filepath.Abs(path); err == nil {
		path, err = filepath.EvalSymlinks(path)
	}
	if err != nil {
		return envstore.App{}, usageErrorf("find the directory: %w", err)
	}
	return envstore.App{Name: name, Directory: path}, nil
}

// openEnv reads the values that an argument names.
func openEnv(cmd *cobra.Command, target string) (*envstore.Store, *envstore.Env, error) {
	store, err := openEnvStore(cmd)
	if err != nil {
		return nil, nil, err
	}
	if dseq, err := strconv.ParseUint(target, 10, 64); err == nil {
		e, err := store.OfDeployment(dseq)
		if errors.Is(err, envstore.ErrNone) {
			return nil, nil, exitWith(exitUsage, err, self(cmd)+" list --all")
		}
		return store, e, asEnvError(err)
	}
	name, err := cmd.Flags().GetString(flagApp)
	if err != nil {
		return nil, nil, err
	}
	a, err := applicationAt(target, name)
	if err != nil {
		return nil, nil, err
	}
	e, err := store.Open(a)
	return store, e, asEnvError(err)
}

// asEnvError gives errors of the store their exit code.
func asEnvError(err error) error {
	if errors.Is(err, envstore.ErrKey) || errors.Is(err, envstore.ErrSigner) {
		return exitWith(exitUsage, err)
	}
	return err
}

// envItem is a variable for output.
type envItem struct {
	Name   string          `json:"name"`
	Value  *string         `json:"value,omitempty"`
	Origin envstore.Origin `json:"origin"`
	Time   time.Time       `json:"time"`
}

func listEnv(cmd *cobra.Command, args []string, show bool) error {
	_, e, err := openEnv(cmd, first(args, "."))
	if err != nil {
		return err
	}
	list := []envItem{}
	for _, name := range e.Names() {
		v, _ := e.Get(name)
		item := envItem{Name: name, Origin: v.Origin, Time: v.Time}
		if show {
			item.Value = &v.Value
		}
		list = append(list, item)
	}
	return printResult(cmd, list, func(w io.Writer) error {
		if len(list) == 0 {
			_, err := fmt.Fprintf(w, "No variables. Set one with:\n  %s env set NAME=VALUE\n", self(cmd))
			return err
		}
		head := []string{"NAME", "ORIGIN", "SET"}
		if show {
			head = append(head, "VALUE")
		}
		t := newTable(head...)
		for _, i := range list {
			row := []string{i.Name, string(i.Origin), i.Time.Local().Format("2006-01-02 15:04")}
			if show {
				row = append(row, strconv.Quote(*i.Value))
			}
			t.add(row...)
		}
		_, err := io.WriteString(w, t.String())
		return err
	})
}

func first(args []string, otherwise string) string {
	if len(args) == 0 {
		return otherwise
	}
	return args[0]
}

// storeEnv writes values and says which.
func storeEnv(cmd *cobra.Command, target string, change func(s *envstore.Store, e *envstore.Env) ([]string, error)) error {
	store, e, err := openEnv(cmd, target)
	if err != nil {
		return err
	}
	names, err := change(store, e)
	if err != nil {
		return err
	}
	if err := store.Save(e, 0); err != nil {
		return asEnvError(err)
	}
	slices.Sort(names)
	names = slices.Compact(names)
	return printResult(cmd, map[string]any{"changed": nonNil(names), "dseq": e.Head.Dseq}, func(w io.Writer) error {
		_, err := fmt.Fprintf(w, "%s: %s. It takes effect with the next deploy or update.\n", counted(len(names), "variable"), strings.Join(names, ", "))
		return err
	})
}

func setEnv(cmd *cobra.Command, args []string) error {
	target := "."
	if !strings.Contains(args[0], "=") {
		target, args = args[0], args[1:]
	}
	if len(args) == 0 {
		return usageErrorf("give NAME=VALUE")
	}
	return storeEnv(cmd, target, func(s *envstore.Store, e *envstore.Env) (names []string, err error) {
		for _, a := range args {
			name, value, ok := strings.Cut(a, "=")
			if !ok {
				return nil, usageErrorf("an argument is not NAME=VALUE") // it could be a secret
			}
			if err := e.Set(name, value, envstore.Given, s.Now()); err != nil {
				return nil, exitWith(exitInput, err)
			}
			names = append(names, name)
		}
		return names, nil
	})
}

func unsetEnv(cmd *cobra.Command, args []string) error {
	target := "."
	if _, err := strconv.ParseUint(args[0], 10, 64); err == nil || args[0] == "." || args[0] == ".." || strings.ContainsRune(args[0], os.PathSeparator) {
		target, args = args[0], args[1:]
	}
	if len(args) == 0 {
		return usageErrorf("give the names of variables")
	}
	return storeEnv(cmd, target, func(_ *envstore.Store, e *envstore.Env) ([]string, error) {
		for _, name := range args {
			if !e.Unset(name) {
				return nil, usageErrorf("the variable %q has no value", name)
			}
		}
		return args, nil
	})
}

func importEnv(cmd *cobra.Command, args []string) error {
	target, file := ".", args[len(args)-1]
	if len(args) == 2 {
		target = args[0]
	}
	data, err := readEnvFile(cmd, file)
	if err != nil {
		return err
	}
	vars, err := dotenv.Parse(data)
	if err != nil {
		return exitWith(exitInput, fmt.Errorf("%s: %w", file, err))
	}
	return storeEnv(cmd, target, func(s *envstore.Store, e *envstore.Env) (names []string, err error) {
		for _, v := range vars {
			if err := e.Set(v.Name, v.Value, envstore.Given, s.Now()); err != nil {
				return nil, exitWith(exitInput, fmt.Errorf("%s: line %d: %w", file, v.Line, err))
			}
			names = append(names, v.Name)
		}
		return names, nil
	})
}

func readEnvFile(cmd *cobra.Command, file string) ([]byte, error) {
	in := cmd.InOrStdin()
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return nil, exitWith(exitUsage, fmt.Errorf("read the variables: %w", err))
		}
		defer f.Close()
		in = f
	}
	data, err := io.ReadAll(io.LimitReader(in, dotenv.MaxBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read the variables: %w", err)
	}
	return data, nil
}

// askValues asks a person for values; it is nil without a terminal, and then nobody is asked.
func askValues(cmd *cobra.Command) func(envstore.Question) (string, error) {
	in, ok := cmd.InOrStdin().(*os.File)
	if !ok || !isTerminal(in) || !isTerminal(cmd.ErrOrStderr()) {
		return nil
	}
	return func(q envstore.Question) (string, error) {
		if q.Wrong != "" {
			fmt.Fprintln(cmd.ErrOrStderr(), printable(q.Wrong))
		}
		fmt.Fprint(cmd.ErrOrStderr(), printable(q.Text())+": ")
		text, err := typed(cmd.Context(), in, q.Masked)
		if q.Masked || err != nil {
			fmt.Fprintln(cmd.ErrOrStderr())
		}
		if errors.Is(err, io.EOF) {
			return "", exitWith(exitInput, errors.New("the input ended before a value was typed"))
		}
		return text, err
	}
}

// typed reads a line of a terminal, without showing it if it is masked. It ends with ctx and then leaves the terminal as
// it was, although the read itself goes on until the program exits.
func typed(ctx context.Context, in *os.File, masked bool) (string, error) {
	before, err := term.GetState(int(in.Fd()))
	if err != nil {
		return "", fmt.Errorf("look at the terminal: %w", err)
	}
	type answer struct {
		text string
		err  error
	}
	read := make(chan answer, 1)
	go func() {
		if masked {
			text, err := term.ReadPassword(int(in.Fd()))
			read <- answer{string(text), err}
			return
		}
		text, err := oneLine(in)
		read <- answer{text, err}
	}()
	select {
	case <-ctx.Done():
		return "", errors.Join(ctx.Err(), term.Restore(int(in.Fd()), before))
	case a := <-read:
		return a.text, a.err
	}
}

// oneLine reads up to the end of a line and nothing behind it, which may be the answer to the next question.
func oneLine(in io.Reader) (string, error) {
	var line []byte
	for one := make([]byte, 1); ; {
		_, err := io.ReadFull(in, one)
		switch {
		case err != nil && len(line) == 0:
			return "", err
		case err != nil || one[0] == '\n':
			return strings.TrimRight(string(line), "\r"), nil
		}
		line = append(line, one[0])
	}
}
