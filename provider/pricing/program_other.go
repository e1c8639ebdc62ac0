//go:build !linux

package pricing

import "os/exec"

// ownGroup does nothing where groups of processes are not known.
func ownGroup(*exec.Cmd) {}

// killGroup ends the process.
func killGroup(cmd *exec.Cmd) { _ = cmd.Process.Kill() }

// awaitExit leaves the waiting to cmd.Wait.
func awaitExit(*exec.Cmd) bool { return false }
