package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// An instance whose health a test decides, by files below /state: it runs `put` and `drop` inside.
func init() {
	subcommands["tended"] = tended
	subcommands["put"] = put
	subcommands["drop"] = drop
	subcommands["has"] = has
	subcommands["hold"] = hold
}

// stateDir holds the files. It has to be a volume where the user may write to nothing else.
const stateDir = "/state"

// lookEvery is how often files are looked for that nothing tells of.
const lookEvery = 100 * time.Millisecond

func there(name string) bool {
	_, err := os.Stat(filepath.Join(stateDir, filepath.Base(name)))
	return err == nil
}

// tended serves http on port 8080 and begins with the files that its arguments name, NAME or NAME=TEXT, and a file "kept" if
// there is one. /check/NAME answers with the status in the file of that name, 200 if it is empty and 503 without it; any
// other path answers 200 and the process's start. While there are files started, ready or alive, ports 9090, 9091 and 9092
// are listened on; while there is one called load, a processor is kept busy.
func tended(args []string) error {
	old, err := os.ReadDir(stateDir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, f := range old { // a volume outlives a container
		if f.Name() == "kept" {
			continue
		}
		if err := os.RemoveAll(filepath.Join(stateDir, f.Name())); err != nil {
			return err
		}
	}
	for _, a := range args {
		name, text, _ := strings.Cut(a, "=")
		if err := put([]string{name, text}); err != nil {
			return err
		}
	}
	began := time.Now().UTC().Format(time.RFC3339Nano)
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, began) })
	mux.HandleFunc("/check/{name}", func(w http.ResponseWriter, r *http.Request) {
		data, err := os.ReadFile(filepath.Join(stateDir, filepath.Base(r.PathValue("name"))))
		code, _ := strconv.Atoi(strings.TrimSpace(string(data)))
		switch {
		case err != nil:
			code = http.StatusServiceUnavailable
		case code == 0:
			code = http.StatusOK
		case code >= 300 && code < 400:
			w.Header().Set("Location", "/")
		}
		w.WriteHeader(code)
		_, _ = fmt.Fprint(w, r.PathValue("name"))
	})
	go listenWhile("started", ":9090")
	go listenWhile("ready", ":9091")
	go listenWhile("alive", ":9092")
	go busyWhile("load")
	return (&http.Server{Addr: ":8080", Handler: mux, ReadHeaderTimeout: time.Minute}).ListenAndServe()
}

func listenWhile(name, address string) {
	var l net.Listener
	for range time.Tick(lookEvery) {
		switch {
		case there(name) && l == nil:
			l, _ = net.Listen("tcp", address) // what fails is tried again
			if l != nil {
				go answerAll(l)
			}
		case !there(name) && l != nil:
			_ = l.Close()
			l = nil
		}
	}
}

func answerAll(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		_ = c.Close()
	}
}

func busyWhile(name string) {
	for range time.Tick(lookEvery) {
		for there(name) {
			for began := time.Now(); time.Since(began) < lookEvery; {
				_ = began
			}
		}
	}
}

// put makes a file: `put NAME [TEXT]`.
func put(args []string) error {
	if len(args) == 0 {
		return errors.New("want a name")
	}
	file := filepath.Join(stateDir, filepath.Base(args[0]))
	return errors.Join(os.MkdirAll(stateDir, 0o777), os.WriteFile(file, []byte(strings.Join(args[1:], " ")), 0o644))
}

// drop removes files.
func drop(args []string) error {
	var errs []error
	for _, name := range args {
		errs = append(errs, os.Remove(filepath.Join(stateDir, filepath.Base(name))))
	}
	return errors.Join(errs...)
}

// has fails unless all files are there.
func has(args []string) error {
	for _, name := range args {
		if !there(name) {
			return fmt.Errorf("%s is not there", name)
		}
	}
	return nil
}

// hold ends when the file `go` is there, after it has said that it waits for it.
func hold([]string) error {
	fmt.Println("waiting")
	for range time.Tick(lookEvery) {
		if there("go") {
			return nil
		}
	}
	return nil
}
