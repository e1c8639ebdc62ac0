package envstore

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"berth.dev/berth/sdl/app"
)

// Inputs are where values come from besides the store.
type Inputs struct {
	// Flags are given with this command; they are stored.
	Flags map[string]string
	// File is what an overlay says. It is read each time, and not stored.
	File map[string]string
	// Ask asks a person, and says again what was wrong with the last answer. It is nil without a terminal. An empty answer
	// to an optional question means no value.
	Ask func(Question) (string, error)
}

// Question is a variable that is asked for.
type Question struct {
	Name, Description string
	Optional          bool
	// Masked keeps what is typed from being seen.
	Masked bool
	// Wrong is what is wrong with the last answer; empty at first.
	Wrong string
}

// Text is the question for people.
func (q Question) Text() string {
	text := "Enter value for " + q.Name
	if q.Description != "" {
		text += " (" + q.Description + ")"
	}
	if q.Optional {
		text += ", or nothing for none"
	}
	return text
}

// Problems are what is wrong with the values of an application: all of it.
type Problems []string

// Error is one problem a line.
func (p Problems) Error() string { return strings.Join(p, "\n") }

// Resolve finds the value of every variable and stores what has to stay the same. The first of these that there is counts:
// a manifest's own value that it keeps in sync; a flag; what a person set or typed; the overlay; what was stored of the
// manifest or generated; the manifest's value; a generated one; an answer. It returns Problems, and leaves the store as
// it was, if anything is missing or wrong. Values that nobody declares but that were set by hand are passed on as well,
// unless they were an addon's that is gone.
// The caller saves the store when it goes ahead.
func (s *Store) Resolve(e *Env, variables []app.Variable, in Inputs) (map[string]string, error) {
	draft := &Env{Head: e.Head, values: map[string]Value{}, read: e.read}
	for name, v := range e.values {
		draft.values[name] = v
	}
	var problems Problems
	if err := s.flags(draft, in.Flags); err != nil {
		problems = append(problems, err.Error())
	}
	values := map[string]string{}
	for _, v := range variables {
		if v.Made != nil {
			continue // it follows from another
		}
		value, set, err := s.resolve(draft, v, in)
		var wrong Problems
		switch {
		case errors.As(err, &wrong):
			problems = append(problems, wrong...)
		case err != nil:
			return nil, err
		case set:
			values[v.Name] = value
			draft.belongs(v)
		}
	}
	if len(problems) > 0 {
		return nil, problems
	}
	for name, v := range in.File {
		if _, declared := values[name]; !declared {
			values[name] = v
		}
	}
	for name, v := range draft.values {
		if v.Origin.Chosen() && v.Addon == "" && !declared(variables, name) {
			values[name] = v.Value
		}
	}
	e.values = draft.values
	return values, nil
}

// belongs notes of which addon a stored value is.
func (e *Env) belongs(v app.Variable) {
	if stored, has := e.values[v.Name]; has && stored.Addon != v.Addon {
		stored.Addon = v.Addon
		e.values[v.Name] = stored
	}
}

func declared(variables []app.Variable, name string) bool {
	return slices.ContainsFunc(variables, func(v app.Variable) bool { return v.Name == name })
}

func (s *Store) flags(e *Env, flags map[string]string) error {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(flags)) {
		errs = append(errs, e.Set(name, flags[name], Given, s.Now()))
	}
	return errors.Join(errs...)
}

// resolve finds the value of one variable. Its errors are Problems, but for those of the terminal and of randomness.
func (s *Store) resolve(e *Env, v app.Variable, in Inputs) (value string, set bool, err error) {
	value, from, set, err := s.find(e, v, in)
	if err != nil {
		return "", false, err
	}
	if !set || from.Chosen() && value == "" && v.Required {
		return s.ask(e, v, in, "")
	}
	if wrong := Check(v, value); wrong != "" {
		if from != Given && from != Typed || in.Ask == nil {
			return "", false, Problems{wrong}
		}
		return s.ask(e, v, in, wrong)
	}
	return value, true, nil
}

// find looks for a value everywhere but with a person.
func (s *Store) find(e *Env, v app.Variable, in Inputs) (value string, from Origin, set bool, err error) {
	stored, has := e.Get(v.Name)
	file, inFile := in.File[v.Name]
	switch {
	case v.Sync && v.Value != nil:
		return *v.Value, Default, true, e.Set(v.Name, *v.Value, Default, s.Now())
	case v.Sync && v.Generate != nil:
		return s.generate(e, v)
	case has && stored.Origin.Chosen():
		return stored.Value, stored.Origin, true, nil
	case inFile:
		return file, Default, true, nil
	case has:
		return stored.Value, stored.Origin, true, nil
	case v.Value != nil:
		return *v.Value, Default, true, e.Set(v.Name, *v.Value, Default, s.Now())
	case v.Generate != nil:
		return s.generate(e, v)
	}
	return "", "", false, nil
}

func (s *Store) generate(e *Env, v app.Variable) (string, Origin, bool, error) {
	value, err := Random(s.Random, *v.Generate)
	if err != nil {
		return "", "", false, err
	}
	return value, Generated, true, e.Set(v.Name, value, Generated, s.Now())
}

// Random makes a value. Each character is as likely as any other.
func Random(random io.Reader, g app.Generate) (string, error) {
	letters := len(g.Alphabet)
	if letters == 0 || letters > 256 || g.Length <= 0 {
		return "", errors.New("generate a value: no alphabet or no length")
	}
	fair := 256 - 256%letters
	out, one := make([]byte, 0, g.Length), make([]byte, 1)
	for len(out) < g.Length {
		if _, err := io.ReadFull(random, one); err != nil {
			return "", fmt.Errorf("generate a value: %w", err)
		}
		if int(one[0]) < fair {
			out = append(out, g.Alphabet[int(one[0])%letters])
		}
	}
	return string(out), nil
}

// mostAnswers bounds how often a person is asked for one variable.
const mostAnswers = 10

// ask asks a person until the answer will do.
func (s *Store) ask(e *Env, v app.Variable, in Inputs, wrong string) (value string, set bool, err error) {
	if in.Ask == nil {
		if !v.Required {
			return "", false, nil
		}
		return "", false, Problems{NotSet(v)}
	}
	if !v.Required && e.values[v.Name].Origin == Skipped {
		return "", false, nil
	}
	q := Question{Name: v.Name, Description: v.Description, Optional: !v.Required, Masked: v.Secret && v.Addon != "" || Sensitive(v.Name), Wrong: wrong}
	for range mostAnswers {
		answer, err := in.Ask(q)
		if err != nil {
			return "", false, err
		}
		if answer == "" && !v.Required {
			e.values[v.Name] = Value{Origin: Skipped, Time: s.Now().UTC()}
			return "", false, nil
		}
		q.Wrong = Check(v, answer)
		if answer == "" {
			q.Wrong = NotSet(v)
		}
		if q.Wrong == "" {
			if err := e.Set(v.Name, answer, Typed, s.Now()); err != nil {
				q.Wrong = err.Error()
				continue
			}
			return answer, true, nil
		}
	}
	return "", false, Problems{q.Wrong}
}

// NotSet says that a required variable has no value.
func NotSet(v app.Variable) string {
	if v.Description == "" {
		return v.Name + ": required, not set"
	}
	return v.Name + ": required, not set (" + v.Description + ")"
}

// Check says what is wrong with a value, or nothing; it never shows the value. Lengths count characters.
func Check(v app.Variable, value string) string {
	n := utf8.RuneCountInString(value)
	switch {
	case !utf8.ValidString(value) || strings.ContainsRune(value, 0):
		return v.Name + ": not text in UTF-8, or with a zero byte"
	case v.MinLength > 0 && n < v.MinLength:
		return fmt.Sprintf("%s: %d characters, minimum %d", v.Name, n, v.MinLength)
	case v.MaxLength > 0 && n > v.MaxLength:
		return fmt.Sprintf("%s: %d characters, maximum %d", v.Name, n, v.MaxLength)
	}
	return ""
}

// Sensitive tells whether a variable's name says that its value is not for everybody's eyes.
func Sensitive(name string) bool {
	upper := strings.ToUpper(name)
	return slices.ContainsFunc([]string{"SECRET", "PASSWORD", "TOKEN", "KEY"}, func(s string) bool { return strings.Contains(upper, s) })
}
