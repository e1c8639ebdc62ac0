// Command probe is the workload of localkube's own checks: it serves its name,
// and looks at the network from inside a pod that holds nothing else.
//
//	probe                    serve on $PORT (default 8080)
//	probe get URL            print what a URL answers
//	probe first URL          fetch it once, at once, then serve the outcome: was the first packet let through?
//	probe resolve NAME       print a name's addresses
//	probe cat FILE           print a file
package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) < 2 {
		return serve("")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	switch args[0] {
	case "get":
		body, err := get(ctx, args[1])
		fmt.Print(body)
		return err
	case "first":
		// Short: a packet that is dropped is not sent again within it.
		ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
		defer cancel()
		body, err := get(ctx, args[1])
		return serve(fmt.Sprintf("first=%q error=%v\n", body, err))
	case "resolve":
		addrs, err := net.DefaultResolver.LookupHost(ctx, args[1])
		fmt.Println(strings.Join(addrs, " "))
		return err
	case "cat":
		data, err := os.ReadFile(args[1])
		fmt.Print(string(data))
		return err
	}
	return fmt.Errorf("unknown command %q", args[0])
}

func get(ctx context.Context, url string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	return string(body), err
}

func serve(note string) error {
	host, err := os.Hostname()
	if err != nil {
		return err
	}
	port := os.Getenv("PORT")
	if port == "" {
		port = "8080"
	}
	fmt.Println("probe serves on", host)
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "probe %s asked as %s\n%s", host, r.Host, note)
	})
	srv := &http.Server{Addr: ":" + port, ReadHeaderTimeout: 5 * time.Second}
	return srv.ListenAndServe()
}
