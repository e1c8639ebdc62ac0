package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

func init() {
	subcommands["link-db"] = linkDB
	subcommands["link-app"] = linkApp
}

// linkDB stands in for a database: at the port that it is given it sends back what comes, by tcp and by udp.
func linkDB(args []string) error {
	if len(args) != 1 {
		return errors.New("want a port")
	}
	l, err := net.Listen("tcp", ":"+args[0])
	if err != nil {
		return err
	}
	u, err := net.ListenPacket("udp", ":"+args[0])
	if err != nil {
		return err
	}
	go func() {
		buf := make([]byte, 64<<10)
		for {
			n, from, err := u.ReadFrom(buf)
			if err == nil {
				_, _ = u.WriteTo(buf[:n], from)
			}
		}
	}()
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer c.Close()
			_, _ = io.Copy(c, c)
		}()
	}
}

const linkTimeout = 2 * time.Second

// linkApp tries connections from where it runs, as it is asked by http on port 8080. The status is always 200, so that no
// answer of something on the way is taken for its own; the body is "answered", or "failed: " and the reason.
//
//	GET /tcp?to=HOST:PORT   a connection of its own
//	GET /udp?to=HOST:PORT   a datagram
//	GET /hold?to=HOST:PORT  a connection that is kept; /held tries the one that was kept last
func linkApp([]string) error {
	var mu sync.Mutex
	var kept net.Conn
	try := func(network string) func(string) error {
		return func(to string) error {
			c, err := net.DialTimeout(network, to, linkTimeout)
			if err != nil {
				return err
			}
			defer c.Close()
			return talk(c)
		}
	}
	mux := http.NewServeMux() // not the default one, which has handlers of gRPC's
	handle := func(path string, f func(to string) error) {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) {
			if err := f(r.FormValue("to")); err != nil {
				fmt.Fprintln(w, "failed:", err)
				return
			}
			fmt.Fprintln(w, "answered")
		})
	}
	handle("/", func(string) error { return nil })
	handle("/tcp", try("tcp"))
	handle("/udp", try("udp"))
	handle("/hold", func(to string) error {
		c, err := net.DialTimeout("tcp", to, linkTimeout)
		if err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		if kept != nil {
			_ = kept.Close()
		}
		kept = c
		return talk(c)
	})
	handle("/held", func(string) error {
		mu.Lock()
		defer mu.Unlock()
		if kept == nil {
			return errors.New("nothing is kept")
		}
		return talk(kept)
	})
	server := http.Server{Addr: ":8080", Handler: mux, ReadHeaderTimeout: linkTimeout}
	return server.ListenAndServe()
}

// talk checks that what is sent comes back.
func talk(c net.Conn) error {
	if err := c.SetDeadline(time.Now().Add(linkTimeout)); err != nil {
		return err
	}
	if _, err := io.WriteString(c, "hello\n"); err != nil {
		return err
	}
	line, err := bufio.NewReader(c).ReadString('\n')
	if err == nil && line != "hello\n" {
		err = fmt.Errorf("%q came back", line)
	}
	return err
}
