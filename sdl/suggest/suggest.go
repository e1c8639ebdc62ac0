// Package suggest finds the word that was probably meant.
package suggest

import "strings"

// Nearest returns the candidate that is nearest to word, or "" when none is near: the letters of the candidate differ
// from word's, upper and lower case alike, by at most one edit in three letters. An edit inserts, deletes or replaces
// a letter or swaps two neighbours. The first of equally near candidates wins.
func Nearest(word string, candidates []string) string {
	const longest = 64
	if word == "" || len(word) > longest {
		return ""
	}
	lower := strings.ToLower(word)
	best, most := "", max(1, len(word)/3)
	for _, c := range candidates {
		if c == word || len(c) > longest {
			continue
		}
		if d := distance(lower, strings.ToLower(c)); d <= most {
			best, most = c, d-1
		}
	}
	return best
}

// distance counts the edits between two words (optimal string alignment).
func distance(a, b string) int {
	var before, last, row []int
	last = make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	before, row = make([]int, len(b)+1), make([]int, len(b)+1)
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
