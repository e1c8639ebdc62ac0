package main

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"time"
)

func init() { subcommands["latency"] = latency }

const (
	// latencyWork is what a request makes the server digest, in bytes: about a tenth of a millisecond.
	latencyWork = 128 << 10
	// latencyPause is between two requests.
	latencyPause = 2 * time.Millisecond
)

// latency is a neighbour that wants its answers in time: a server and its one client, over tcp within the instance. It
// prints "p50 MICROSECONDS p99 MICROSECONDS requests COUNT" for each window: `latency WINDOW_SECONDS`.
func latency(args []string) error {
	n, err := numbers(args, "WINDOW_SECONDS")
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	failed := make(chan error, 1)
	go func() { failed <- digestServer(l) }()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		return err
	}
	for {
		line, err := window(c, time.Duration(n[0])*time.Second)
		if err != nil {
			return errors.Join(err, <-failed)
		}
		fmt.Println(line)
	}
}

// digestServer answers each byte of one connection with a byte of a digest.
func digestServer(l net.Listener) error {
	c, err := l.Accept()
	if err != nil {
		return err
	}
	work, request := make([]byte, latencyWork), make([]byte, 1)
	for {
		if _, err := io.ReadFull(c, request); err != nil {
			return err
		}
		work[0] = request[0]
		sum := sha256.Sum256(work)
		if _, err := c.Write(sum[:1]); err != nil {
			return err
		}
	}
}

// window asks for a time and sums up how long the answers took.
func window(c net.Conn, length time.Duration) (string, error) {
	var took []time.Duration
	buffer := []byte{1}
	pause := time.NewTicker(latencyPause)
	defer pause.Stop()
	for start := time.Now(); time.Since(start) < length; <-pause.C {
		asked := time.Now()
		if _, err := c.Write(buffer); err != nil {
			return "", err
		}
		if _, err := io.ReadFull(c, buffer); err != nil {
			return "", err
		}
		took = append(took, time.Since(asked))
	}
	slices.Sort(took)
	at := func(percent int) int64 { return took[(len(took)-1)*percent/100].Microseconds() }
	return fmt.Sprintf("p50 %d p99 %d requests %d", at(50), at(99), len(took)), nil
}
