package main

import (
	"syscall"
	"unsafe"
)

// forkSleeper makes a process that sleeps for a while and ends. The child makes nothing but system calls: of the Go
// runtime only this thread is left in it.
//
//go:norace
//go:nosplit
func forkSleeper(pause *syscall.Timespec) error {
	// 17 is SIGCHLD: the parent hears of the child's end as of any child's.
	child, _, errno := syscall.RawSyscall6(syscall.SYS_CLONE, 17, 0, 0, 0, 0, 0)
	if errno != 0 {
		return errno
	}
	if child == 0 {
		_, _, _ = syscall.RawSyscall(syscall.SYS_NANOSLEEP, uintptr(unsafe.Pointer(pause)), 0, 0)
		_, _, _ = syscall.RawSyscall(syscall.SYS_EXIT_GROUP, 0, 0, 0)
	}
	return nil
}
