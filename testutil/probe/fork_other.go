//go:build !linux

package main

import (
	"errors"
	"syscall"
)

func forkSleeper(*syscall.Timespec) error { return errors.New("only Linux has process limits to try") }
