package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// The layouts of official images that start as root, make their directories and go on as a user of their own.
func init() {
	subcommands["web-layout"] = webLayout
	subcommands["web-worker"] = webWorker
	subcommands["database-layout"] = databaseLayout
	subcommands["database"] = database
}

const (
	webUser      = 101
	databaseUser = 999
)

// identity is who a process is, inside and outside of its user namespace.
type identity struct {
	UID int `json:"uid"`
	// UIDMap is the kernel's word on who users are outside, CapBnd the capabilities that root may have here.
	UIDMap string `json:"uid_map"`
	CapBnd string `json:"cap_bnd"`
	// Starts counts the starts on the present volume, Values are what was put there.
	Starts int      `json:"starts,omitempty"`
	Values []string `json:"values,omitempty"`
}

func whoami() identity {
	id := identity{UID: os.Getuid()}
	if m, err := os.ReadFile("/proc/self/uid_map"); err == nil {
		id.UIDMap = strings.Join(strings.Fields(string(m)), " ")
	}
	status, _ := os.ReadFile("/proc/self/status") // what can't be read stays empty, which no test takes for right
	for line := range strings.Lines(string(status)) {
		if caps, ok := strings.CutPrefix(line, "CapBnd:"); ok {
			id.CapBnd = strings.TrimSpace(caps)
		}
	}
	return id
}

// as starts this program anew as another user, with files, and ends with it.
func as(user int, files []*os.File, args ...string) error {
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = os.Stdout, os.Stderr, files
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(user), Gid: uint32(user)}}
	if err := cmd.Start(); err != nil {
		return err
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	go func() {
		for range stop {
			_ = cmd.Process.Signal(syscall.SIGTERM)
		}
	}()
	return cmd.Wait()
}

// owned makes a directory that belongs to a user, whoever it belonged to.
func owned(dir string, user int, mode os.FileMode) error {
	return errors.Join(os.MkdirAll(filepath.Dir(dir), 0o755), os.MkdirAll(dir, mode), os.Chown(dir, user, user), os.Chmod(dir, mode))
}

// webLayout is a web server: root writes a pid file, makes caches for its workers, and opens port 80; a worker serves.
func webLayout([]string) error {
	for _, dir := range []string{"client_temp", "proxy_temp"} {
		if err := owned(filepath.Join("/var/cache/web", dir), webUser, 0o700); err != nil {
			return err
		}
	}
	err := errors.Join(os.MkdirAll("/run", 0o755), os.WriteFile("/run/web.pid", []byte(strconv.Itoa(os.Getpid())), 0o644))
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", ":80")
	if err != nil {
		return err
	}
	f, err := l.(*net.TCPListener).File()
	if err != nil {
		return err
	}
	return as(webUser, []*os.File{f}, "web-worker")
}

func webWorker([]string) error {
	if err := os.WriteFile("/var/cache/web/client_temp/1", nil, 0o600); err != nil {
		return err
	}
	l, err := net.FileListener(os.NewFile(3, "port"))
	if err != nil {
		return err
	}
	return http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { tell(w, whoami()) }))
}

func tell(w http.ResponseWriter, v any) {
	if err := json.NewEncoder(w).Encode(v); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
}

// databaseLayout is a database server: root gives the directory of data, which is pgdata below the first argument, or
// what the second one names there, to the server's user, who goes on alone. It does so once.
func databaseLayout(args []string) error {
	if os.Getuid() != 0 {
		return database(args)
	}
	dir := dataDirectory(args)
	if info, err := os.Stat(dir); err != nil || info.Sys().(*syscall.Stat_t).Uid != databaseUser {
		if err := owned(dir, databaseUser, 0o700); err != nil {
			return err
		}
	}
	return as(databaseUser, nil, append([]string{"database"}, args...)...)
}

func dataDirectory(args []string) string {
	if len(args) > 1 {
		return filepath.Join(args[0], args[1])
	}
	return filepath.Join(args[0], "pgdata")
}

// onlyOwn refuses a directory that others than its owner may look into or write to, as database servers do.
func onlyOwn(dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return fmt.Errorf("%s may be used by others than its owner: mode %#o", dir, mode)
	}
	return nil
}

// database keeps values in a directory that it locks, and serves them on port 8080: / tells who it is and what it holds,
// /put?v=VALUE adds a value, /space?path=PATH tells the kind and size of a file system, /write?path=PATH tries to write.
func database(args []string) error {
	dir := dataDirectory(args)
	if err := errors.Join(os.MkdirAll(dir, 0o700), onlyOwn(dir)); err != nil {
		return err
	}
	lock, err := os.OpenFile(filepath.Join(dir, "postmaster.pid"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return fmt.Errorf("another instance writes here: %w", err)
	}
	starts, err := lines(filepath.Join(dir, "starts"))
	if err != nil {
		return err
	}
	if err := appendLine(filepath.Join(dir, "starts"), "start"); err != nil {
		return err
	}
	values := filepath.Join(dir, "values")
	mux := http.NewServeMux()
	mux.HandleFunc("/put", func(w http.ResponseWriter, r *http.Request) {
		if err := appendLine(values, r.FormValue("v")); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	})
	mux.HandleFunc("/space", func(w http.ResponseWriter, r *http.Request) {
		var st syscall.Statfs_t
		if err := syscall.Statfs(r.FormValue("path"), &st); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		fmt.Fprintf(w, "%x %d", st.Type, int64(st.Blocks)*st.Bsize)
	})
	mux.HandleFunc("/write", func(w http.ResponseWriter, r *http.Request) {
		if err := os.WriteFile(filepath.Join(r.FormValue("path"), "tried"), nil, 0o600); err != nil {
			http.Error(w, err.Error(), http.StatusForbidden)
		}
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		id := whoami()
		id.Starts = len(starts) + 1
		var err error
		if id.Values, err = lines(values); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		tell(w, id)
	})
	fmt.Printf("ready: start %d\n", len(starts)+1)
	return http.ListenAndServe(":8080", mux)
}

func lines(name string) ([]string, error) {
	data, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return strings.Fields(string(data)), err
}

func appendLine(name, line string) error {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(f, line)
	return errors.Join(err, f.Sync(), f.Close())
}
