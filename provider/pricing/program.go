package pricing

import "time"

// ProgramConfig says how an external program is run.
type ProgramConfig struct {
	// Command is the program and its arguments.
	Command []string
	// Env is all that its environment holds besides PATH, LANG and TZ.
	Env map[string]string
	// Timeout is the longest wait for the next answer, BatchTimeout that for all answers of a block.
	Timeout, BatchTimeout time.Duration
}
