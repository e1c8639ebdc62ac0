package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

func init() {
	subcommands["app"] = app
	subcommands["get"] = fetch
}

// fetch prints what is answered at a URL.
func fetch(args []string) error {
	if len(args) != 1 {
		return errors.New("want a URL")
	}
	c := http.Client{Timeout: 5 * time.Second}
	res, err := c.Get(args[0]) //nolint:noctx // the client has a timeout, and nothing else runs here
	if err != nil {
		return err
	}
	defer res.Body.Close()
	_, err = io.Copy(os.Stdout, res.Body)
	return err
}

// healthFile holds the status that health checks are answered with; without it that is 200.
const healthFile = "/tmp/health"

// app is an application as Procfiles start it: it answers by http on $PORT of all addresses.
//
//	GET /            "app " and $APP_VERSION
//	GET /env?name=N  the value of a variable; 404 if it is not set
//	GET /healthz, /health/ready  the status that stands in /tmp/health
func app([]string) error {
	port := os.Getenv("PORT")
	if port == "" {
		return errors.New("PORT is not set")
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintln(w, "app", os.Getenv("APP_VERSION"))
	})
	mux.HandleFunc("GET /env", func(w http.ResponseWriter, r *http.Request) {
		value, set := os.LookupEnv(r.FormValue("name"))
		if !set {
			http.Error(w, "not set", http.StatusNotFound)
			return
		}
		_, _ = fmt.Fprintln(w, value)
	})
	for _, path := range []string{"/healthz", "/health/ready"} {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) {
			status := http.StatusOK
			if data, err := os.ReadFile(healthFile); err == nil {
				status, _ = strconv.Atoi(strings.TrimSpace(string(data)))
			}
			w.WriteHeader(max(status, http.StatusContinue))
		})
	}
	server := http.Server{Addr: ":" + port, Handler: mux, ReadHeaderTimeout: time.Minute}
	return server.ListenAndServe()
}
