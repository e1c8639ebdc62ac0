//go:build !linux

package devnet

import (
	"os/exec"
	"syscall"
)

// dieWithParent has no counterpart here: children of a killed supervisor go on, and `devnet down` ends them by pid.
func dieWithParent(*exec.Cmd) {}

// detach takes a child out of our session, so that it outlives us.
func detach(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} }

// alive tells whether a process runs.
func alive(pid int) bool { return syscall.Kill(pid, 0) == nil }
