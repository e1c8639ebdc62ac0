// Package span reads and writes lengths of time as texts such as 90m, for packages that must not know a clock.
package span

import (
	"fmt"
	"time"
)

// Parse reads a length of time, such as 1h30m, and gives it in whole seconds, cut.
func Parse(text string) (seconds int64, err error) {
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, fmt.Errorf("%q is not a length of time such as 90m", text)
	}
	return int64(d / time.Second), nil
}

// Format writes a number of seconds, such as 1h30m0s.
func Format(seconds int64) string { return (time.Duration(seconds) * time.Second).String() }
