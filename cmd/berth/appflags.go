package main

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"berth.dev/berth/manifest"
	"berth.dev/berth/sdl"
	"berth.dev/berth/sdl/app"
	"berth.dev/berth/sdl/compile"
	"berth.dev/berth/sdl/quantity"
)

// appFlag is a flag that may be given several times, each with [PROCESS=]VALUE or NAME=VALUE; set reads one.
type appFlag struct {
	kind string
	all  []string
	set  func(text string) error
}

// Set reads one value.
func (f *appFlag) Set(text string) error {
	if err := f.set(text); err != nil {
		return err
	}
	f.all = append(f.all, text)
	return nil
}

// String shows nothing: values may be secret.
func (f *appFlag) String() string { return "" }

// Type is the flag's type in the help.
func (f *appFlag) Type() string { return f.kind }

// appFlags are what the flags of a command say of an application.
type appFlags struct {
	pflag.Value
	overlay     app.Overlay
	format      string
	environment string
	skip        []string
	noMail      bool
	mail        string // it has a password in it
	unchecked   bool
}

// appFlagsOf finds them; nil for a command that has none.
func appFlagsOf(cmd *cobra.Command) *appFlags {
	for _, name := range []string{flagFormat, flagInputFormat} {
		if f := cmd.Flags().Lookup(name); f != nil {
			if a, ok := f.Value.(*appFlags); ok {
				return a
			}
		}
	}
	return nil
}

// The flag of a document's format, where --format is that of the result under its other name.
const (
	flagFormat      = "format"
	flagInputFormat = "input-format"
)

// Set takes the format; it is how --format is given, whose value also holds the other flags.
func (a *appFlags) Set(text string) error {
	if !slices.Contains(compile.Formats, text) {
		return fmt.Errorf("%q is not one of %s", text, strings.Join(compile.Formats, ", "))
	}
	a.format = text
	return nil
}

// String is the format.
func (a *appFlags) String() string { return a.format }

// Type is the flag's type in the help.
func (a *appFlags) Type() string { return "format" }

// into gives a document what the flags say.
func (a *appFlags) into(in *compile.Input) {
	in.Format, in.Overlay, in.Environment, in.SkipAddons, in.NoHealthcheck = a.format, a.overlay, a.environment, a.skip, a.unchecked
	if a.noMail {
		in.SkipAddons = append(slices.Clone(a.skip), mailRole)
	}
	in.Given = func(name string) bool { _, given := a.overlay.Env[name]; return given }
}

// addAppFlags gives a command the flags of applications.
func addAppFlags(cmd *cobra.Command) { addAppFlagsAs(cmd, flagFormat) }

// addAppFlagsAs is addAppFlags with another name of the flag of the format.
func addAppFlagsAs(cmd *cobra.Command, format string) {
	a, fs := &appFlags{}, cmd.Flags()
	o := &a.overlay
	fs.Var(a, format, "format of the document: "+strings.Join(compile.Formats, ", ")+" (default: found out)")
	several := func(name, kind, usage string, set func(text string) error) {
		fs.Var(&appFlag{kind: kind, set: set}, name, usage)
	}
	process := func(name, value, usage string, take func(process, text string) error) {
		several(name, "[process=]"+value, usage, func(text string) error {
			key, rest, found := strings.Cut(text, "=")
			if !found {
				key, rest = app.All, text
			}
			return take(key, rest)
		})
	}
	process("image", "ref", "applications: image of all processes, or of one", func(p, text string) error {
		if !manifest.IsImage(text) {
			return fmt.Errorf("%q is not the reference of an image", text)
		}
		put(&o.Images, p, text)
		return nil
	})
	process("command", "command", "applications: what a process runs", func(p, text string) error {
		if p == app.All {
			p = app.Web
		}
		put(&o.Commands, p, text)
		return nil
	})
	process("port", "port", "applications: where a process takes connections (default web)", func(p, text string) error {
		n, err := strconv.ParseUint(text, 10, 16)
		if err != nil || n == 0 {
			return fmt.Errorf("%q is not a port", text)
		}
		if p == app.All {
			p = app.Web
		}
		put(&o.Ports, p, uint32(n))
		return nil
	})
	process("size", "cpu,memory[,storage]", "applications: what an instance takes, such as web=1cpu,1Gi", func(p, text string) error {
		size, err := parseSize(text)
		put(&o.Compute, p, size)
		return err
	})
	process("max-price", "price", "applications: the most for one instance and block, such as web=20ubrt", func(p, text string) error {
		price, err := app.ParsePrice(text)
		put(&o.Prices, p, price)
		return err
	})
	several("budget", "amount", "applications: the most for everything per month, such as 30, spread over what has no price", func(text string) error {
		b, err := app.ParseBudget(text)
		o.Budget = b
		return err
	})
	process("domain", "host", "applications: a host name of web, or of another process that is open to anyone", func(p, text string) error {
		put(&o.Domains, p, append(o.Domains[p], text))
		return nil
	})
	process("auto-max", "n", "applications: the most instances of a process whose number is left open", func(p, text string) error {
		n, err := strconv.ParseUint(text, 10, 32)
		if err != nil || n < 1 || n > manifest.MaxCount {
			return fmt.Errorf("%q is not from 1 to %d", text, manifest.MaxCount)
		}
		put(&o.AutoMax, p, uint32(n))
		return nil
	})
	attribute := func(text string) error {
		key, value, found := strings.Cut(text, "=")
		all := append(slices.Clone(o.Attributes), sdl.Attribute{Key: key, Value: value})
		if err := app.CheckAttributes(all); !found || err != nil {
			return fmt.Errorf("%q is no KEY=VALUE that a provider could have", text)
		}
		o.Attributes = all
		return nil
	}
	several("attr", "key=value", "applications: an attribute that the provider must have", attribute)
	several("region", "name", "applications: the region of the provider", func(text string) error { return attribute("region=" + text) })
	fs.StringArrayVar(&o.SignedBy.AnyOf, "signed-by", nil, "applications: an auditor that must have signed the provider's attributes; of several, one of them")
	fs.StringArrayVar(&o.Exclude, "exclude", nil, "applications: the address of a provider whose bids are not taken")
	addWordFlags(several, o)
	several("env", "name=value", "applications: the value of a variable; name alone takes it from the environment", func(text string) error {
		name, value, given := strings.Cut(text, "=")
		if !given {
			value, given = os.LookupEnv(name)
		}
		if !given || !manifest.IsEnvName(name) {
			return fmt.Errorf("%q is no NAME=VALUE, nor a variable of the environment", sdl.Printable(name))
		}
		put(&o.Env, name, value)
		return nil
	})
	fs.StringArrayVar(&o.Buildpacks, "buildpack", nil, "applications: a buildpack of the build, instead of the manifest's")
	fs.StringVar(&a.environment, "environment", "", "applications: the part of the manifest's environments that is put over it")
	fs.BoolVar(&a.unchecked, "no-healthcheck", false, "applications: let web do without the healthcheck that its format demands")
	fs.StringVar(&a.mail, "mail", "", "akinon.json: the server that sends mail, such as smtp://user:password@host:587?tls=true")
	fs.BoolVar(&a.noMail, "no-mail", false, "akinon.json: leave out the mail addon")
	fs.StringArrayVar(&a.skip, "skip-addon", nil, "applications: an addon that is left out")
}

// addWordFlags are the flags that take one of a few words.
func addWordFlags(several func(name, kind, usage string, set func(text string) error), o *app.Overlay) {
	several("reserve", "max|min", "applications: how many instances of a process that scales are ordered (default max)", func(text string) error {
		if text != app.ReserveMax && text != app.ReserveMin {
			return fmt.Errorf("%q is neither max nor min", text)
		}
		o.Reserve = text
		return nil
	})
	several("predeploy", "job", "applications: job runs predeploy before the rollout, instead of in the build", func(text string) error {
		if text != app.PredeployJob {
			return fmt.Errorf("%q is not %s", text, app.PredeployJob)
		}
		o.Predeploy = text
		return nil
	})
}

func put[V any](m *map[string]V, key string, value V) {
	if *m == nil {
		*m = map[string]V{}
	}
	(*m)[key] = value
}

// parseSize reads CPU,MEMORY[,STORAGE], of which each may be empty.
func parseSize(text string) (app.Size, error) {
	var s app.Size
	parts := strings.Split(text, ",")
	if len(parts) > 3 {
		return s, fmt.Errorf("%q is not CPU,MEMORY,STORAGE", text)
	}
	for i, part := range parts {
		if part == "" {
			continue
		}
		var n uint64
		var problem *quantity.Problem
		if i == 0 {
			n, problem = quantity.CPU(strings.TrimSuffix(part, "cpu"))
		} else {
			n, problem = quantity.Bytes(part)
		}
		if problem != nil {
			return s, problem
		}
		*[]*uint64{&s.CPUMilli, &s.MemoryBytes, &s.StorageBytes}[i] = n
	}
	return s, nil
}
