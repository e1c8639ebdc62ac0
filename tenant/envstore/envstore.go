package envstore

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"berth.dev/berth/internal/durable"
	"berth.dev/berth/sdl/dotenv"
)

// The limits of what is stored of one application.
const (
	MaxValues     = dotenv.MaxVars
	MaxValueBytes = dotenv.MaxBytes
	maxFile       = 8 << 20
	version       = 1
)

// App is what values are of before there is a deployment.
type App struct {
	// Name tells the applications of one directory apart; it is empty for the only one.
	Name string
	// Directory is an absolute path.
	Directory string
}

// Origin says where a value comes from.
type Origin string

// The origins.
const (
	Given     Origin = "given"     // set by a command or a flag
	Typed     Origin = "typed"     // asked for on a terminal
	Default   Origin = "default"   // of the manifest
	Generated Origin = "generated" // made here, once
	// Skipped stands for no value: it was asked for, is optional, and nothing was typed.
	Skipped Origin = "skipped"
)

// Chosen tells whether a person decided on the value.
func (o Origin) Chosen() bool { return o == Given || o == Typed }

// Value is one variable's.
type Value struct {
	Value  string    `json:"value"`
	Origin Origin    `json:"origin"`
	Time   time.Time `json:"time"`
	// Addon is the role of the addon whose variable it was when it was used last. Without the addon it is kept, and not
	// passed on.
	Addon string `json:"addon,omitempty"`
}

// Head is what stands in the open in a file.
type Head struct {
	Version   int    `json:"version"`
	Network   string `json:"network"`
	Owner     string `json:"owner"`
	App       string `json:"app"`
	Directory string `json:"directory"`
	// Dseq is the deployment that has the values; 0 before there is one.
	Dseq uint64    `json:"dseq,omitempty"`
	Time time.Time `json:"time"`
	Salt []byte    `json:"salt"`
}

func (h Head) of() App { return App{h.App, h.Directory} }

// file is a file's form. The head is authenticated with the values.
type file struct {
	Head   Head   `json:"head"`
	Nonce  []byte `json:"nonce"`
	Sealed []byte `json:"sealed"`
}

// Env is the values of one application. It is written by Store.Save only.
type Env struct {
	Head   Head
	values map[string]Value
	read   []byte // of the file; nil if there is none
}

// Get returns the value of a name. A skipped one is none.
func (e *Env) Get(name string) (Value, bool) {
	v, ok := e.values[name]
	return v, ok && v.Origin != Skipped
}

// Names are the names that have a value, sorted.
func (e *Env) Names() []string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(e.values)) {
		if e.values[name].Origin != Skipped {
			out = append(out, name)
		}
	}
	return out
}

// Set stores a value. It refuses a name that no variable can have, and a value that no environment can hold; the error
// names the variable and never shows the value.
func (e *Env) Set(name, value string, origin Origin, now time.Time) error {
	switch {
	case !dotenv.IsName(name):
		return fmt.Errorf("%q cannot name a variable: letters, digits and _ do, not starting with a digit", cut(name))
	case len(value) > MaxValueBytes:
		return fmt.Errorf("%s: the value has more than %d bytes", name, MaxValueBytes)
	case !utf8.ValidString(value) || strings.ContainsRune(value, 0):
		return fmt.Errorf("%s: the value is not text in UTF-8, or holds a zero byte", name)
	}
	if _, there := e.values[name]; !there && len(e.values) >= MaxValues {
		return fmt.Errorf("%s: more than %d variables", name, MaxValues)
	}
	if old, there := e.values[name]; there && old.Value == value && old.Origin == origin && old.Addon == "" {
		return nil
	}
	e.values[name] = Value{Value: value, Origin: origin, Time: now.UTC().Truncate(time.Second)}
	return nil
}

// cut bounds a name for a message; it may be the whole of NAME=VALUE, of which nothing behind the equals sign is shown.
func cut(name string) string {
	name, _, _ = strings.Cut(name, "=")
	return name[:min(len(name), 80)]
}

// Unset removes a value and reports whether there was one.
func (e *Env) Unset(name string) bool {
	v, there := e.values[name]
	delete(e.values, name)
	return there && v.Origin != Skipped
}

// Stored tells whether the values are on disk.
func (e *Env) Stored() bool { return e.read != nil }

// Store is the values of one network and owner. Its zero value is not usable; see New.
type Store struct {
	dir     string
	network string
	owner   string
	sign    Signer
	// Now and Random can be replaced before the first use.
	Now    func() time.Time
	Random io.Reader
}

// New is the store of a network within a home. owner is the address of the key that sign signs with. It touches
// nothing until the first write.
func New(homeDir, network, owner string, sign Signer) *Store {
	return &Store{dir: filepath.Join(homeDir, "env", network), network: network, owner: owner, sign: sign, Now: time.Now, Random: rand.Reader}
}

// Label is what people call the application: its name, or its directory's.
func (a App) Label() string { return cmp.Or(a.Name, filepath.Base(a.Directory)) }

// path is the file of an application: its label for people to see, and a hash that tells all apart.
func (s *Store) path(a App) string {
	sum := sha256.Sum256([]byte(a.Directory + "\x00" + a.Name))
	plain := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' {
			return r
		}
		return -1
	}, strings.ToLower(a.Label()))
	return filepath.Join(s.dir, strings.Trim(plain[:min(len(plain), 40)]+"-"+hex.EncodeToString(sum[:8]), "-")+".json")
}

// Open reads the values of an application; there are none at first.
func (s *Store) Open(a App) (*Env, error) {
	e, err := s.read(s.path(a))
	if errors.Is(err, fs.ErrNotExist) {
		return &Env{Head: Head{Version: version, Network: s.network, Owner: s.owner, App: a.Name, Directory: a.Directory}, values: map[string]Value{}}, nil
	}
	return e, err
}

// OfDeployment reads the values of a deployment, or returns ErrNone.
func (s *Store) OfDeployment(dseq uint64) (*Env, error) {
	heads, err := s.List()
	if err != nil {
		return nil, err
	}
	for _, h := range heads {
		if h.Dseq == dseq && h.Owner == s.owner {
			return s.Open(App{h.App, h.Directory})
		}
	}
	return nil, fmt.Errorf("deployment %d: %w", dseq, ErrNone)
}

// List returns the heads of all files, by directory and name. It needs no key.
func (s *Store) List() ([]Head, error) {
	entries, err := os.ReadDir(s.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list the stored variables: %w", err)
	}
	var out []Head
	for _, d := range entries {
		if !strings.HasSuffix(d.Name(), ".json") || strings.HasPrefix(d.Name(), ".") {
			continue
		}
		f, _, err := load(filepath.Join(s.dir, d.Name()))
		if err != nil {
			return nil, err
		}
		out = append(out, f.Head)
	}
	slices.SortFunc(out, func(a, b Head) int {
		return strings.Compare(a.Directory+"\x00"+a.App, b.Directory+"\x00"+b.App)
	})
	return out, nil
}

// Save writes the values, of the deployment dseq if that is not 0. It fails with ErrChanged, and writes nothing, if the
// file is not the one that was read.
func (s *Store) Save(e *Env, dseq uint64) error {
	if e.Head.Owner != s.owner || e.Head.Network != s.network {
		return fmt.Errorf("save the variables of %s: %w", e.Head.of().Label(), s.foreign(e.Head))
	}
	head := e.Head
	if dseq != 0 {
		head.Dseq = dseq
	}
	head.Time = s.Now().UTC().Truncate(time.Second)
	if head.Salt == nil {
		head.Salt = make([]byte, saltBytes)
		if _, err := io.ReadFull(s.Random, head.Salt); err != nil {
			return fmt.Errorf("make a salt: %w", err)
		}
	}
	data, err := s.seal(head, e.values)
	if err != nil {
		return fmt.Errorf("save the variables of %s: %w", e.Head.of().Label(), err)
	}
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return fmt.Errorf("make the directory of variables: %w", err)
	}
	if err := s.replace(s.path(App{head.App, head.Directory}), e.read, data); err != nil {
		return fmt.Errorf("save the variables of %s: %w", e.Head.of().Label(), err)
	}
	e.Head, e.read = head, data
	return nil
}

// replace writes a file if it still holds what it held; nil stands for no file.
func (s *Store) replace(path string, old, data []byte) error {
	lock, err := os.OpenFile(filepath.Join(s.dir, ".lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		return fmt.Errorf("lock the variables: %w", err)
	}
	now, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if !bytes.Equal(now, old) {
		return ErrChanged
	}
	return durable.WriteFile(path, data, 0o600)
}

func (s *Store) seal(head Head, values map[string]Value) ([]byte, error) {
	aead, err := s.sign.aead(head.Salt)
	if err != nil {
		return nil, err
	}
	plain, err := json.Marshal(values)
	if err != nil {
		return nil, err
	}
	bound, err := json.Marshal(head)
	if err != nil {
		return nil, err
	}
	f := file{Head: head, Nonce: make([]byte, aead.NonceSize())}
	if _, err := io.ReadFull(s.Random, f.Nonce); err != nil {
		return nil, fmt.Errorf("make a nonce: %w", err)
	}
	f.Sealed = aead.Seal(nil, f.Nonce, plain, bound)
	data, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return nil, err
	}
	if len(data) > maxFile {
		return nil, fmt.Errorf("more than %d bytes", maxFile)
	}
	return append(data, '\n'), nil
}

// load reads a file without opening what is sealed in it.
func load(path string) (file, []byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return file{}, nil, fmt.Errorf("read the stored variables: %w", err)
	}
	if info.Size() > maxFile {
		return file{}, nil, fmt.Errorf("read %s: larger than %d bytes", path, maxFile)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return file{}, nil, fmt.Errorf("read the stored variables: %w", err)
	}
	f, err := decode(data)
	if err != nil {
		return file{}, nil, fmt.Errorf("read %s: %w", path, err)
	}
	return f, data, nil
}

func decode(data []byte) (file, error) {
	var f file
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&f); err != nil || dec.More() {
		return f, errors.New("it holds no stored variables")
	}
	if f.Head.Version != version {
		return f, fmt.Errorf("format version %d is not %d", f.Head.Version, version)
	}
	return f, nil
}

// CheckFile tells whether data is a file of stored variables. It needs no key, and sees nothing of what is sealed.
func CheckFile(data []byte) error {
	_, err := decode(data)
	return err
}

func (s *Store) read(path string) (*Env, error) {
	f, data, err := load(path)
	if err != nil {
		return nil, err
	}
	if f.Head.Owner != s.owner || f.Head.Network != s.network {
		return nil, fmt.Errorf("read the variables of %s: %w", f.Head.of().Label(), s.foreign(f.Head))
	}
	if len(f.Head.Salt) != saltBytes {
		return nil, fmt.Errorf("read %s: %w", path, ErrKey)
	}
	aead, err := s.sign.aead(f.Head.Salt)
	if err != nil {
		return nil, fmt.Errorf("read the variables of %s: %w", f.Head.of().Label(), err)
	}
	bound, err := json.Marshal(f.Head)
	if err != nil {
		return nil, err
	}
	if len(f.Nonce) != aead.NonceSize() {
		return nil, fmt.Errorf("read %s: %w", path, ErrKey)
	}
	plain, err := aead.Open(nil, f.Nonce, f.Sealed, bound)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, ErrKey)
	}
	e := &Env{Head: f.Head, read: data}
	if err := json.Unmarshal(plain, &e.values); err != nil || e.values == nil {
		return nil, fmt.Errorf("read %s: %w", path, ErrKey)
	}
	return e, nil
}

func (s *Store) foreign(h Head) error {
	if h.Network != s.network {
		return fmt.Errorf("they are of network %s, not %s: %w", h.Network, s.network, ErrKey)
	}
	return fmt.Errorf("they belong to %s, and the key to %s: name the owner's with --key: %w", h.Owner, s.owner, ErrKey)
}
