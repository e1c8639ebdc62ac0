package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// The bombs of this file take what they can get. Each ends by itself at a most and after a time that its arguments give, so
// that a machine whose limits do not hold survives it.
func init() {
	subcommands["forkbomb"] = forkBomb
	subcommands["membomb"] = memBomb
	subcommands["fill"] = fill
	subcommands["flood"] = flood
	subcommands["pinned"] = pinned
}

// numbers reads arguments that are all whole numbers above 0.
func numbers(args []string, names ...string) ([]int64, error) {
	if len(args) != len(names) {
		return nil, fmt.Errorf("want %s, got %q", strings.Join(names, " "), args)
	}
	out := make([]int64, len(args))
	for i, a := range args {
		n, err := strconv.ParseInt(a, 10, 64)
		if err != nil || n < 1 {
			return nil, fmt.Errorf("%s: %q is not a number above 0", names[i], a)
		}
		out[i] = n
	}
	return out, nil
}

// pinned runs another subcommand on one processor: `pinned CPU SUBCOMMAND [ARGUMENT...]`.
func pinned(args []string) error {
	if len(args) < 2 {
		return errors.New("want a processor and a subcommand")
	}
	cpu, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	runtime.LockOSThread() // the mask is a thread's, and what it executes has it from the start
	var set unix.CPUSet
	set.Set(cpu)
	if err := unix.SchedSetaffinity(0, &set); err != nil {
		return fmt.Errorf("run on processor %d: %w", cpu, err)
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	return syscall.Exec(self, append([]string{self}, args[1:]...), os.Environ())
}

// forkBomb makes processes until it is refused, and goes on trying: `forkbomb MAX SECONDS`. The processes sleep and end
// with it.
func forkBomb(args []string) error {
	n, err := numbers(args, "MAX", "SECONDS")
	if err != nil {
		return err
	}
	end := time.Now().Add(time.Duration(n[1]) * time.Second)
	pause := &syscall.Timespec{Sec: n[1]}
	var made int64
	var refused error
	for time.Now().Before(end) && made < n[0] {
		switch err := forkSleeper(pause); {
		case err == nil:
			made++
		case refused == nil:
			refused = err
			fmt.Printf("capped at %d processes: %v\n", made, err)
		}
	}
	if refused == nil {
		fmt.Printf("not capped: %d processes\n", made)
	}
	<-time.After(time.Until(end))
	return nil
}

// memBomb takes memory and writes to it: `membomb BYTES SECONDS`.
func memBomb(args []string) error {
	n, err := numbers(args, "BYTES", "SECONDS")
	if err != nil {
		return err
	}
	const step = 1 << 20
	var held [][]byte
	for taken := int64(0); taken < n[0]; taken += step {
		block := make([]byte, step)
		for i := 0; i < len(block); i += 4 << 10 {
			block[i] = 1
		}
		held = append(held, block)
	}
	fmt.Printf("not killed with %d bytes\n", n[0])
	<-time.After(time.Duration(n[1]) * time.Second)
	runtime.KeepAlive(held)
	return nil
}

// fill writes a file: `fill PATH BYTES SECONDS`. It removes the file when it ends by itself.
func fill(args []string) error {
	if len(args) == 0 {
		return errors.New("want PATH BYTES SECONDS")
	}
	n, err := numbers(args[1:], "BYTES", "SECONDS")
	if err != nil {
		return err
	}
	f, err := os.Create(args[0])
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(args[0]) }()
	defer func() { _ = f.Close() }()
	block := slices.Repeat([]byte("berth"), 1<<20/5)
	for written := int64(0); written < n[0]; written += int64(len(block)) {
		if _, err := f.Write(block); err != nil {
			return err
		}
	}
	fmt.Printf("not stopped with %d bytes\n", n[0])
	<-time.After(time.Duration(n[1]) * time.Second)
	return nil
}

// flood writes lines as fast as they are taken: `flood BYTES SECONDS`.
func flood(args []string) error {
	n, err := numbers(args, "BYTES", "SECONDS")
	if err != nil {
		return err
	}
	end := time.Now().Add(time.Duration(n[1]) * time.Second)
	out := bufio.NewWriterSize(os.Stdout, 64<<10)
	line := strings.Repeat("flood ", 40) + "\n"
	for written := int64(0); written < n[0] && time.Now().Before(end); written += int64(len(line)) {
		if _, err := io.WriteString(out, line); err != nil {
			return err
		}
	}
	if err := out.Flush(); err != nil {
		return err
	}
	<-time.After(time.Until(end))
	return nil
}
