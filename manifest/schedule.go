package manifest

import (
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"strconv"
	"strings"

	"berth.dev/berth/internal/span"
)

// A Schedule is a set of times at which a task runs, in UTC.
type Schedule struct{ canonical string }

// String is the schedule as Kubernetes reads it: Sunday is 0.
func (s Schedule) String() string { return s.canonical }

// field is one of the five parts of a schedule.
type field struct {
	name     string
	from, to uint
	names    []string // of the numbers from `from` on
}

var fields = [...]field{
	{name: "minute", to: 59},
	{name: "hour", to: 23},
	{name: "day of the month", from: 1, to: 31},
	{name: "month", from: 1, to: 12, names: []string{"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"}},
	{name: "day of the week", to: 6, names: []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}},
}

// descriptors stand for the schedules that people ask for most.
var descriptors = []string{"@annually", "@daily", "@hourly", "@midnight", "@monthly", "@weekly", "@yearly"}

// ParseSchedule reads the five fields of cron (minute, hour, day of the month, month, day of the week, where Sunday is 0
// or 7), or a descriptor such as @daily, or @every with a duration of at least a minute. It takes nothing that
// Kubernetes would refuse, and no time zone: schedules are in UTC.
func ParseSchedule(s string) (Schedule, error) {
	if len(s) > MaxScheduleBytes {
		return Schedule{}, fmt.Errorf("%d bytes, at most %d are allowed", len(s), MaxScheduleBytes)
	}
	if !onlyBytes(s, func(c byte) bool { return c >= ' ' && c < 0x7f }) {
		return Schedule{}, errors.New("it holds characters other than printable ASCII")
	}
	if every, ok := strings.CutPrefix(s, "@every "); ok {
		return parseEvery(every)
	}
	if strings.HasPrefix(s, "@") {
		if !slices.Contains(descriptors, s) {
			return Schedule{}, fmt.Errorf("%q is none of %s and @every DURATION", s, strings.Join(descriptors, ", "))
		}
		return Schedule{s}, nil
	}
	parts := strings.Fields(s)
	if len(parts) != len(fields) {
		return Schedule{}, fmt.Errorf("%d fields, want minute, hour, day of the month, month and day of the week", len(parts))
	}
	for i, f := range fields {
		_, err := f.parse(parts[i])
		if err != nil && f.to == 6 {
			f.to = 7
			var set uint64
			if set, err = f.parse(parts[i]); err == nil {
				parts[i] = days(set)
			}
		}
		if err != nil {
			return Schedule{}, fmt.Errorf("%s %q: %w", f.name, parts[i], err)
		}
	}
	return Schedule{strings.Join(parts, " ")}, nil
}

func parseEvery(text string) (Schedule, error) {
	seconds, err := span.Parse(text)
	if err != nil {
		return Schedule{}, fmt.Errorf("@every %q: not a duration", text)
	}
	if seconds < MinEverySeconds || seconds > MaxEverySeconds {
		return Schedule{}, fmt.Errorf("@every %s is not from %s to %s", text, span.Format(MinEverySeconds), span.Format(MaxEverySeconds))
	}
	return Schedule{"@every " + span.Format(seconds)}, nil
}

// days writes a set of days of the week with Sunday as 0.
func days(set uint64) string {
	set = set&^(1<<7) | set>>7&1
	var out []string
	for ; set != 0; set &= set - 1 {
		out = append(out, strconv.Itoa(bits.TrailingZeros64(set)))
	}
	return strings.Join(out, ",")
}

// parse returns the set of the numbers that a field names.
func (f field) parse(s string) (set uint64, err error) {
	for part := range strings.SplitSeq(s, ",") {
		one, err := f.parsePart(part)
		if err != nil {
			return 0, err
		}
		set |= one
	}
	return set, nil
}

// parsePart reads one of *, N, N-M and each of them with /STEP; N/STEP goes on from N.
func (f field) parsePart(s string) (set uint64, err error) {
	span, stepText, stepped := strings.Cut(s, "/")
	step := uint(1)
	if stepped {
		if step, err = parseNumber(stepText); err != nil || step == 0 {
			return 0, fmt.Errorf("%q is not a step", stepText)
		}
	}
	from, to := f.from, f.to
	if span != "*" && span != "?" {
		low, high, ranged := strings.Cut(span, "-")
		if from, err = f.number(low); err != nil {
			return 0, err
		}
		switch {
		case ranged:
			if to, err = f.number(high); err != nil {
				return 0, err
			}
		case !stepped:
			to = from
		}
	}
	if from > to {
		return 0, fmt.Errorf("%q ends before it begins", span)
	}
	for n := from; n <= to; n += step {
		set |= 1 << n
	}
	return set, nil
}

func (f field) number(s string) (uint, error) {
	if i := slices.Index(f.names, strings.ToLower(s)); i >= 0 {
		return f.from + uint(i), nil
	}
	n, err := parseNumber(s)
	if err != nil {
		return 0, err
	}
	if n < f.from || n > f.to {
		return 0, fmt.Errorf("%d is not from %d to %d", n, f.from, f.to)
	}
	return n, nil
}

// parseNumber reads decimal digits; none of the numbers of a schedule has more than four.
func parseNumber(s string) (uint, error) {
	if s == "" || len(s) > 4 || !onlyBytes(s, isDigit) {
		return 0, fmt.Errorf("%q is not a number", s)
	}
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("%q is not a number", s)
	}
	return uint(n), nil
}
