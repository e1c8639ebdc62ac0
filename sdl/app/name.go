package app

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"berth.dev/berth/manifest"
)

// MaxNameBytes is the most bytes of an application's name: a group's and a host name's are made of it.
const MaxNameBytes = 40

// Slug makes a DNS label of at most most bytes of a name: lower case, what is no letter, digit or dash as a dash, and
// none of those at the ends. It begins with a letter. It is empty if nothing is left.
func Slug(name string, most int) string {
	var b strings.Builder
	for _, r := range strings.ToLower(name) {
		if r < 'a' && (r < '0' || r > '9') || r > 'z' {
			r = '-'
		}
		if r != '-' || b.Len() > 0 && !strings.HasSuffix(b.String(), "-") {
			b.WriteRune(r)
		}
	}
	s := strings.TrimLeft(b.String(), "-0123456789")
	return strings.TrimRight(s[:min(len(s), most)], "-")
}

// ServiceName is the DNS label under which a process runs.
func ServiceName(process string) string { return Slug(process, manifest.MaxNameBytes) }

// maxTaskBytes leaves room for what Kubernetes adds to the names of a task's runs.
const maxTaskBytes = 52

// TaskName is the DNS label under which a task runs: that of its application, and eight hexadecimal digits that are the
// same for the same command and schedule.
func TaskName(base, command, schedule string) string {
	sum := sha256.Sum256([]byte(command + "\x00" + schedule))
	hash := hex.EncodeToString(sum[:4])
	if base = Slug(base, maxTaskBytes-len(hash)-1); base == "" {
		base = "task"
	}
	return base + "-" + hash
}
