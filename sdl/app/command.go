package app

import "strings"

// HookCommand is how a hook runs: by /bin/sh, which stops at the first command that fails, also within a pipe where the
// shell knows how.
func HookCommand(command string) []string {
	return []string{"/bin/sh", "-c", "set -e; (set -o pipefail) 2>/dev/null && set -o pipefail; " + command}
}

// Quote writes a text as one word of a shell.
func Quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
