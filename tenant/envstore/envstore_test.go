package envstore_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"berth.dev/berth/sdl/app"
	"berth.dev/berth/tenant/envstore"
)

// signer is a key that signs by hashing.
func signer(key string) envstore.Signer {
	return func(data []byte) ([]byte, error) {
		a, b := sha256.Sum256(append([]byte(key), data...)), sha256.Sum256(append([]byte(key+key), data...))
		return append(a[:], b[:]...), nil
	}
}

func newStore(dir, key string) *envstore.Store {
	s := envstore.New(dir, "devnet", "berth1"+key, signer(key))
	s.Now = func() time.Time { return time.Unix(1_700_000_000, 0) }
	return s
}

func open(t *testing.T, s *envstore.Store, a envstore.App) *envstore.Env {
	t.Helper()
	e, err := s.Open(a)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func save(t *testing.T, s *envstore.Store, e *envstore.Env, dseq uint64) {
	t.Helper()
	if err := s.Save(e, dseq); err != nil {
		t.Fatal(err)
	}
}

var shop = envstore.App{Name: "shop", Directory: "/srv/shop"}

func TestValuesAreKeptEncrypted(t *testing.T) {
	dir := t.TempDir()
	s := newStore(dir, "anna")
	e := open(t, s, shop)
	if e.Stored() {
		t.Error("stored before it was saved")
	}
	for name, value := range map[string]string{"TOKEN": "kanarienvogel", "EMPTY": "", "LINES": "a\nb"} {
		if err := e.Set(name, value, envstore.Given, s.Now()); err != nil {
			t.Fatal(err)
		}
	}
	save(t, s, e, 0)
	again := open(t, newStore(dir, "anna"), shop)
	if d := cmp.Diff([]string{"EMPTY", "LINES", "TOKEN"}, again.Names()); d != "" || !again.Stored() {
		t.Error(d)
	}
	if v, ok := again.Get("TOKEN"); !ok || v.Value != "kanarienvogel" || v.Origin != envstore.Given {
		t.Errorf("TOKEN = %+v", v)
	}
	files := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if info.Mode().Perm()&0o077 != 0 && path != dir {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		if d.IsDir() {
			return nil
		}
		files++
		data, err := os.ReadFile(path)
		if bytes.Contains(data, []byte("kanarienvogel")) || bytes.Contains(data, []byte("TOKEN")) {
			t.Errorf("%s shows a value or its name", path)
		}
		return err
	})
	if err != nil || files != 2 {
		t.Errorf("%d files, %v", files, err)
	}
}

func TestOtherKeysAndDamage(t *testing.T) {
	dir := t.TempDir()
	s := newStore(dir, "anna")
	e := open(t, s, shop)
	save(t, s, e, 0)
	if _, err := newStore(dir, "bert").Open(shop); !errors.Is(err, envstore.ErrKey) || !strings.Contains(err.Error(), "--key") {
		t.Errorf("another owner: %v", err)
	}
	forged := envstore.New(dir, "devnet", "berth1anna", signer("bert"))
	if _, err := forged.Open(shop); !errors.Is(err, envstore.ErrKey) {
		t.Errorf("another key under the same address: %v", err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "env", "devnet", "*.json"))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	whole, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, damaged := range []string{
		strings.Replace(string(whole), `"app": "shop"`, `"app": "shep"`, 1), // the head is bound to the values
		string(whole[:len(whole)/2]), "", "{}", strings.Replace(string(whole), `"version": 1`, `"version": 2`, 1),
	} {
		if err := os.WriteFile(files[0], []byte(damaged), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Open(shop); err == nil || strings.Contains(err.Error(), "no such file") {
			t.Errorf("opened, or lost: %v", err)
		}
	}
	random := envstore.New(t.TempDir(), "devnet", "berth1c", func(data []byte) ([]byte, error) {
		return []byte(fmt.Sprintf("%064d", time.Now().UnixNano())), nil
	})
	e = open(t, random, shop)
	if err := random.Save(e, 0); !errors.Is(err, envstore.ErrSigner) {
		t.Errorf("a key that signs differently each time: %v", err)
	}
}

func TestTwoWriters(t *testing.T) {
	s := newStore(t.TempDir(), "anna")
	first, second := open(t, s, shop), open(t, s, shop)
	save(t, s, first, 0)
	if err := s.Save(second, 0); !errors.Is(err, envstore.ErrChanged) {
		t.Fatalf("the second writer: %v", err)
	}
	save(t, s, open(t, s, shop), 0)
	if err := s.Save(first, 0); !errors.Is(err, envstore.ErrChanged) {
		t.Errorf("the first writer, late: %v", err)
	}
}

func TestDeploymentsHaveTheirOwn(t *testing.T) {
	s := newStore(t.TempDir(), "anna")
	if heads, err := s.List(); err != nil || len(heads) != 0 {
		t.Fatal(heads, err)
	}
	blue := envstore.App{Name: "blue", Directory: "/srv/shop"}
	for i, a := range []envstore.App{shop, blue, {Name: "shop", Directory: "/srv/other"}} {
		e := open(t, s, a)
		if err := e.Set("N", fmt.Sprint(i), envstore.Given, s.Now()); err != nil {
			t.Fatal(err)
		}
		save(t, s, e, uint64(i)*10)
	}
	for dseq, want := range map[uint64]string{10: "1", 20: "2"} {
		e, err := s.OfDeployment(dseq)
		if err != nil {
			t.Fatal(err)
		}
		if v, _ := e.Get("N"); v.Value != want {
			t.Errorf("deployment %d has %q", dseq, v.Value)
		}
	}
	if _, err := s.OfDeployment(30); !errors.Is(err, envstore.ErrNone) {
		t.Errorf("no deployment: %v", err)
	}
	heads, err := s.List()
	if err != nil || len(heads) != 3 || heads[0].Directory != "/srv/other" || heads[1].App != "blue" {
		t.Errorf("List = %+v, %v", heads, err)
	}
}

func TestSetRefuses(t *testing.T) {
	s := newStore(t.TempDir(), "anna")
	e := open(t, s, shop)
	for name, value := range map[string]string{"": "x", "1A": "x", "A B": "x", "A=hunter2": "x", "B": "a\x00", "C": "\xff", "D": strings.Repeat("x", 512<<10+1)} {
		err := e.Set(name, value, envstore.Given, s.Now())
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("Set(%q) = %v", name, err)
		}
	}
	if len(e.Names()) != 0 {
		t.Error(e.Names())
	}
}

func ptr(s string) *string { return &s }

var secret = &app.Generate{Length: 64, Alphabet: app.AlphabetHex}

func resolve(t *testing.T, s *envstore.Store, vars []app.Variable, in envstore.Inputs) map[string]string {
	t.Helper()
	e := open(t, s, shop)
	values, err := s.Resolve(e, vars, in)
	if err != nil {
		t.Fatal(err)
	}
	save(t, s, e, 0)
	return values
}

func TestAValueIsSetOnce(t *testing.T) {
	s := newStore(t.TempDir(), "anna")
	vars := []app.Variable{{Name: "WEB_CONCURRENCY", Value: ptr("5"), Required: true}, {Name: "LATER", Required: false}}
	if got := resolve(t, s, vars, envstore.Inputs{})["WEB_CONCURRENCY"]; got != "5" {
		t.Errorf("first: %q", got)
	}
	vars[0].Value = ptr("6")
	if got := resolve(t, s, vars, envstore.Inputs{})["WEB_CONCURRENCY"]; got != "5" {
		t.Errorf("a changed manifest replaced a stored value: %q", got)
	}
	e := open(t, s, shop)
	if err := e.Set("WEB_CONCURRENCY", "9", envstore.Given, s.Now()); err != nil {
		t.Fatal(err)
	}
	save(t, s, e, 0)
	if got := resolve(t, s, vars, envstore.Inputs{File: map[string]string{"WEB_CONCURRENCY": "7"}}); got["WEB_CONCURRENCY"] != "9" {
		t.Errorf("what was set by hand: %q", got)
	}
	// What a manifest has only later is taken when it comes, sync or not.
	later := append(vars[:len(vars):len(vars)], app.Variable{Name: "NEW", Value: ptr("n"), Required: true}, app.Variable{Name: "NEW_SECRET", Generate: secret})
	if got := resolve(t, s, later, envstore.Inputs{}); got["NEW"] != "n" || len(got["NEW_SECRET"]) != 64 {
		t.Errorf("variables that came later: %q", got["NEW"])
	}
	// Optional, without a value and without a terminal: absent, not empty.
	if v, there := resolve(t, s, vars, envstore.Inputs{})["LATER"]; there {
		t.Errorf("LATER = %q", v)
	}
}

// TestVariablesOfAddons: what was typed or given for an addon is kept without it, and not passed on, unless it is given
// anew. What follows from another variable is neither stored nor asked for.
func TestVariablesOfAddons(t *testing.T) {
	s := newStore(t.TempDir(), "anna")
	dsn := app.Variable{Name: "SENTRY_DSN", Required: true, Addon: "sentry"}
	made := app.Variable{Name: "DATABASE_URL", Required: true, Addon: "database", Made: &app.Made{From: "DATABASE_PASSWORD"}}
	got := resolve(t, s, []app.Variable{dsn, made}, envstore.Inputs{Flags: map[string]string{"SENTRY_DSN": "a", "EXTRA": "b"}})
	if d := cmp.Diff(map[string]string{"SENTRY_DSN": "a", "EXTRA": "b"}, got); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(map[string]string{"EXTRA": "b"}, resolve(t, s, nil, envstore.Inputs{})); d != "" {
		t.Errorf("without the addon: %s", d)
	}
	if got := resolve(t, s, []app.Variable{dsn}, envstore.Inputs{}); got["SENTRY_DSN"] != "a" {
		t.Errorf("with it again: %v", got)
	}
	resolve(t, s, nil, envstore.Inputs{})
	if got := resolve(t, s, nil, envstore.Inputs{Flags: map[string]string{"SENTRY_DSN": "a"}}); got["SENTRY_DSN"] != "a" {
		t.Errorf("given anew: %v", got)
	}
}

func TestSyncOverwrites(t *testing.T) {
	s := newStore(t.TempDir(), "anna")
	vars := []app.Variable{{Name: "FEATURE_FLAGS", Value: ptr("a"), Sync: true}, {Name: "ROTATING", Generate: secret, Sync: true}}
	first := resolve(t, s, vars, envstore.Inputs{})
	e := open(t, s, shop)
	if err := e.Set("FEATURE_FLAGS", "b", envstore.Given, s.Now()); err != nil {
		t.Fatal(err)
	}
	save(t, s, e, 0)
	second := resolve(t, s, vars, envstore.Inputs{Flags: map[string]string{"OTHER": "x"}})
	if second["FEATURE_FLAGS"] != "a" || second["ROTATING"] == first["ROTATING"] || second["OTHER"] != "x" {
		t.Errorf("%v then %v", first, second)
	}
}

func TestGeneratedValuesStay(t *testing.T) {
	s := newStore(t.TempDir(), "anna")
	vars := []app.Variable{{Name: "SECRET_KEY", Generate: secret}, {Name: "DB_PASSWORD", Generate: &app.Generate{Length: 32, Alphabet: app.AlphabetText}, Internal: true}}
	first := resolve(t, s, vars, envstore.Inputs{})
	if !regexp.MustCompile(`^[0-9a-f]{64}$`).MatchString(first["SECRET_KEY"]) || !regexp.MustCompile(`^[0-9A-Za-z]{32}$`).MatchString(first["DB_PASSWORD"]) {
		t.Error("not of the wanted form")
	}
	if d := cmp.Diff(first, resolve(t, s, vars, envstore.Inputs{})); d != "" {
		t.Errorf("changed with the second deploy: %s", d)
	}
	other := open(t, s, envstore.App{Name: "other", Directory: shop.Directory})
	values, err := s.Resolve(other, vars, envstore.Inputs{})
	if err != nil || values["SECRET_KEY"] == first["SECRET_KEY"] {
		t.Errorf("another deployment has the same value, or %v", err)
	}
}

var schema = []app.Variable{
	{Name: "SECRET_KEY", Required: true, MinLength: 12, MaxLength: 128, Description: "Secret Key"},
	{Name: "API_URL", Required: true, Description: "Base URL for the API"},
}

func TestEverythingWrongAtOnce(t *testing.T) {
	s := newStore(t.TempDir(), "anna")
	for value, want := range map[string]string{
		"":                        "SECRET_KEY: required, not set (Secret Key)\nAPI_URL: required, not set (Base URL for the API)",
		"hunter2hunt":             "SECRET_KEY: 11 characters, minimum 12\nAPI_URL: required, not set (Base URL for the API)",
		strings.Repeat("x", 129):  "SECRET_KEY: 129 characters, maximum 128\nAPI_URL: required, not set (Base URL for the API)",
		"hunter2hunter":           "API_URL: required, not set (Base URL for the API)",
		strings.Repeat("ğ", 12):   "API_URL: required, not set (Base URL for the API)",
		strings.Repeat("x", 128):  "API_URL: required, not set (Base URL for the API)",
		strings.Repeat("漢", 11):   "SECRET_KEY: 11 characters, minimum 12\nAPI_URL: required, not set (Base URL for the API)",
		"with a zero\x00 inside.": "SECRET_KEY: the value is not text in UTF-8, or holds a zero byte\nSECRET_KEY: required, not set (Secret Key)\nAPI_URL: required, not set (Base URL for the API)",
	} {
		e := open(t, s, shop)
		_, err := s.Resolve(e, schema, envstore.Inputs{Flags: map[string]string{"SECRET_KEY": value}})
		var problems envstore.Problems
		if !errors.As(err, &problems) || problems.Error() != want {
			t.Errorf("%q: %v, want %s", value, err, want)
		}
		if len(e.Names()) != 0 {
			t.Errorf("%q was stored although it is refused", value)
		}
	}
}

// TestAsking holds the dialogue with a person: what is typed is hidden where the name says so, refused answers are asked
// again with the reason, and what is optional may stay out, for good.
func TestAsking(t *testing.T) {
	s := newStore(t.TempDir(), "anna")
	answers := []string{"hunter2hunt", "", "hunter2hunter", "https://api", ""}
	var asked []envstore.Question
	ask := func(q envstore.Question) (string, error) {
		asked = append(asked, q)
		a := answers[0]
		answers = answers[1:]
		return a, nil
	}
	vars := append([]app.Variable{}, schema...)
	vars = append(vars, app.Variable{Name: "OPTIONAL"})
	got := resolve(t, s, vars, envstore.Inputs{Ask: ask})
	if d := cmp.Diff(map[string]string{"SECRET_KEY": "hunter2hunter", "API_URL": "https://api"}, got); d != "" {
		t.Error(d)
	}
	want := []envstore.Question{
		{Name: "SECRET_KEY", Description: "Secret Key", Masked: true},
		{Name: "SECRET_KEY", Description: "Secret Key", Masked: true, Wrong: "SECRET_KEY: 11 characters, minimum 12"},
		{Name: "SECRET_KEY", Description: "Secret Key", Masked: true, Wrong: "SECRET_KEY: required, not set (Secret Key)"},
		{Name: "API_URL", Description: "Base URL for the API"},
		{Name: "OPTIONAL", Optional: true},
	}
	if d := cmp.Diff(want, asked); d != "" {
		t.Error(d)
	}
	asked = nil
	resolve(t, s, vars, envstore.Inputs{Ask: ask})
	if len(asked) != 0 {
		t.Errorf("asked again: %v", asked)
	}
	if text := want[0].Text(); text != "Enter value for SECRET_KEY (Secret Key)" {
		t.Error(text)
	}
	gone := errors.New("the person left")
	e := open(t, s, envstore.App{Name: "x", Directory: "/x"})
	if _, err := s.Resolve(e, schema, envstore.Inputs{Ask: func(envstore.Question) (string, error) { return "", gone }}); !errors.Is(err, gone) {
		t.Error(err)
	}
}
