// Command hello is the demo workload: a small web server that says who answers, and that can try connections from
// where it runs. Listens on $PORT, 8080 by default.
//
//	GET /            version, host name of the instance and the host that was asked for
//	GET /fetch?url=  what another URL answers, seen from here: 200 with its text, or 502 with the error
//	GET /healthz     ok
//	GET /exit?code=  ends the process, to show what a crash looks like
package main

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"
)

// maxFetch bounds what /fetch reads of the other side.
const maxFetch = 64 << 10

func main() {
	port := os.Getenv("PORT")
	if port == "" {
		port = "8080"
	}
	host, err := os.Hostname()
	if err != nil {
		log.Fatalf("read the host name: %v", err)
	}
	version := os.Getenv("HELLO_VERSION")
	mux := http.NewServeMux()
	mux.HandleFunc("GET /", func(w http.ResponseWriter, r *http.Request) {
		log.Printf("%s %s from %s", r.Method, r.URL.Path, r.RemoteAddr)
		fmt.Fprintf(w, "hello from %s, version %s, asked for %s\n", host, version, r.Host)
		if greeting := os.Getenv("GREETING"); greeting != "" {
			fmt.Fprintln(w, greeting)
		}
	})
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /fetch", fetch)
	mux.HandleFunc("GET /exit", func(_ http.ResponseWriter, r *http.Request) {
		code, err := strconv.Atoi(r.FormValue("code"))
		if err != nil {
			code = 1
		}
		log.Printf("asked to end with code %d", code)
		os.Exit(code)
	})
	go endOnSignal()
	server := http.Server{Addr: ":" + port, Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	log.Printf("hello version %s listens on :%s", version, port)
	log.Fatal(server.ListenAndServe())
}

// fetch tries a connection from here and tells how it went.
func fetch(w http.ResponseWriter, r *http.Request) {
	c := http.Client{Timeout: 3 * time.Second}
	res, err := c.Get(r.FormValue("url"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer res.Body.Close()
	w.WriteHeader(res.StatusCode)
	if _, err := io.Copy(w, io.LimitReader(res.Body, maxFetch)); err != nil {
		log.Printf("copy the answer: %v", err)
	}
}

// endOnSignal ends at once: what is under way has been drained before the signal comes.
func endOnSignal() {
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGTERM, os.Interrupt)
	<-c
	log.Print("ends")
	os.Exit(0)
}
