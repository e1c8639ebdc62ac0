package main

import (
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"syscall"

	"golang.org/x/term"
)

func init() { subcommands["session"] = session }

// session are the programs that the tests of sessions run in an instance:
//
//	exit CODE      ends with a code
//	cat            writes what it reads
//	write OUT ERR  writes two lines, one to each output
//	size           writes the sizes of its terminal as WIDTHxHEIGHT whenever they change
func session(args []string) error {
	if len(args) == 0 {
		return fmt.Errorf("want exit, cat, write or size")
	}
	switch args[0] {
	case "exit":
		code, err := strconv.Atoi(args[len(args)-1])
		if err != nil {
			return err
		}
		os.Exit(code)
	case "cat":
		_, err := io.Copy(os.Stdout, os.Stdin)
		return err
	case "write":
		fmt.Println(args[1])
		fmt.Fprintln(os.Stderr, args[2])
	case "size":
		return sizes()
	default:
		return fmt.Errorf("no program %q", args[0])
	}
	return nil
}

// sizes writes the size of the terminal until it is gone.
func sizes() error {
	changed := make(chan os.Signal, 8)
	signal.Notify(changed, syscall.SIGWINCH)
	for {
		width, height, err := term.GetSize(int(os.Stdin.Fd()))
		if err != nil {
			return err
		}
		if _, err := fmt.Printf("%dx%d\n", width, height); err != nil {
			return err
		}
		<-changed
	}
}
