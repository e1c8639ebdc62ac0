// Package suggest finds the word that was probably meant.
package suggest

import "strings"

// longest is the most bytes of a word that is compared.
const longest = 64

// mostWork bounds the comparisons of letters for one word: those of some hundred names.
const mostWork = 40_000

// Nearest returns the candidate that is nearest to word, or "" when none is near: the letters of the candidate differ
// from word's, upper and lower case alike, by at most one edit in three letters. An edit inserts, deletes or replaces
// a letter or swaps two neighbours. The first of equally near candidates wins. Of very many candidates some are not
// looked at, so that the work is bounded.
func Nearest(word string, candidates []string) string {
	if word == "" || len(word) > longest {
		return ""
	}
	lower := strings.ToLower(word)
	best, most, work := "", max(1, len(word)/3), 0
	for _, c := range candidates {
		if c == word || len(c) > longest || len(c) > len(word)+most || len(word) > len(c)+most {
			continue
		}
		if work += len(word) * len(c); work > mostWork {
			break
		}
		if d := distance(lower, strings.ToLower(c)); d <= most {
			best, most = c, d-1
		}
	}
	return best
}

// Same returns the first candidate that differs from word in upper and lower case, in what separates words, or in being
// a plural only, or "".
func Same(word string, candidates []string) string {
	if len(word) > longest {
		return ""
	}
	bare := bareWord(word)
	for _, c := range candidates {
		if len(c) <= len(word)+longest/8 && bareWord(c) == bare {
			return c
		}
	}
	return ""
}

// Meant returns the candidate that is the same word, or the nearest one, or "".
func Meant(word string, candidates []string) string {
	if same := Same(word, candidates); same != "" {
		return same
	}
	return Nearest(word, candidates)
}

var separators = strings.NewReplacer("-", "", "_", "", " ", "", ".", "")

func bareWord(s string) string {
	return strings.TrimSuffix(separators.Replace(strings.ToLower(s)), "s")
}

// distance counts the edits between two words of at most longest bytes (optimal string alignment). Lower case can be
// longer than upper case, hence the room.
func distance(a, b string) int {
	var rows [3][4*longest + 1]int
	before, last, row := &rows[0], &rows[1], &rows[2]
	for j := range len(b) + 1 {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
