package manifest

import (
	"strings"
	"unicode/utf8"
)

// IsServiceName tells whether s may name a service: a DNS label that starts with a letter, at most MaxNameBytes of
// a-z, 0-9 and -, because other services reach it under this name.
func IsServiceName(s string) bool {
	return isLabel(s) && s[0] >= 'a'
}

// IsGroupName tells whether s may name a group: at most MaxNameBytes of letters, digits, '-', '_' and '.', with a
// letter or digit at both ends. Groups are never looked up in DNS.
func IsGroupName(s string) bool {
	if s == "" || len(s) > MaxNameBytes || !isAlnum(s[0]) || !isAlnum(s[len(s)-1]) {
		return false
	}
	return onlyBytes(s, func(c byte) bool { return isAlnum(c) || c == '-' || c == '_' || c == '.' })
}

// IsHost tells whether s is a host name that clients can ask for: a lower-case DNS name of at most 253 characters
// whose last label is not a number, so that it is no IP address.
func IsHost(s string) bool {
	if s == "" || len(s) > MaxHostBytes {
		return false
	}
	rest, label, more := s, "", true
	for more {
		label, rest, more = strings.Cut(rest, ".")
		if !isLabel(label) {
			return false
		}
	}
	return !onlyBytes(label, isDigit)
}

// IsEnvName tells whether s may name an environment variable: letters, digits, '_', '-' and '.', not starting with
// a digit.
func IsEnvName(s string) bool {
	if s == "" || len(s) > MaxEnvNameBytes || isDigit(s[0]) {
		return false
	}
	return onlyBytes(s, func(c byte) bool { return isAlnum(c) || c == '_' || c == '-' || c == '.' })
}

// IsImage tells whether s is a reference of a container image: [HOST[:PORT]/]PATH[:TAG][@sha256:DIGEST].
func IsImage(s string) bool {
	if s == "" || len(s) > MaxImageBytes {
		return false
	}
	name, digest, pinned := strings.Cut(s, "@")
	if pinned && !isDigest(digest) {
		return false
	}
	if i := strings.LastIndexByte(name, ':'); i > strings.LastIndexByte(name, '/') {
		if !isTag(name[i+1:]) {
			return false
		}
		name = name[:i]
	}
	first, path, more := strings.Cut(name, "/")
	if more && (strings.ContainsAny(first, ".:") || first == "localhost") {
		return isRegistry(first) && isRepository(path)
	}
	return isRepository(name)
}

func isRegistry(s string) bool {
	host, port, ok := strings.Cut(s, ":")
	if ok && (len(port) == 0 || len(port) > 5 || !onlyBytes(port, isDigit)) {
		return false
	}
	// Some letters beyond ASCII have an ASCII letter as their lower case.
	if !onlyBytes(host, func(c byte) bool { return c < utf8.RuneSelf }) {
		return false
	}
	for label := range strings.SplitSeq(host, ".") {
		if !isLabel(strings.ToLower(label)) {
			return false
		}
	}
	return true
}

func isRepository(s string) bool {
	for part := range strings.SplitSeq(s, "/") {
		if !isRepositoryPart(part) {
			return false
		}
	}
	return true
}

// isRepositoryPart wants lower-case letters and digits, with separators ".", "_", "__" or dashes between them only.
func isRepositoryPart(s string) bool {
	if s == "" || !isLowerAlnum(s[0]) || !isLowerAlnum(s[len(s)-1]) {
		return false
	}
	for i := 0; i < len(s); {
		if isLowerAlnum(s[i]) {
			i++
			continue
		}
		end := i
		for !isLowerAlnum(s[end]) {
			end++
		}
		if sep := s[i:end]; sep != "." && sep != "_" && sep != "__" && strings.Trim(sep, "-") != "" {
			return false
		}
		i = end
	}
	return true
}

func isTag(s string) bool {
	if s == "" || len(s) > 128 || s[0] == '.' || s[0] == '-' {
		return false
	}
	return onlyBytes(s, func(c byte) bool { return isAlnum(c) || c == '_' || c == '.' || c == '-' })
}

func isDigest(s string) bool {
	hex, ok := strings.CutPrefix(s, "sha256:")
	return ok && len(hex) == 64 && onlyBytes(hex, func(c byte) bool { return isDigit(c) || c >= 'a' && c <= 'f' })
}

// IsVolumeName tells whether s can name a volume: a lower-case DNS label.
func IsVolumeName(s string) bool { return isLabel(s) }

// isArch tells whether s can name an architecture, such as amd64.
func isArch(s string) bool {
	return len(s) <= MaxNameBytes && isLowerAlnum(s[0]) && isLowerAlnum(s[len(s)-1]) &&
		onlyBytes(s, func(c byte) bool { return isLowerAlnum(c) || c == '.' || c == '_' || c == '-' })
}

// isLabel tells whether s is a lower-case DNS label.
func isLabel(s string) bool {
	if s == "" || len(s) > MaxNameBytes || !isLowerAlnum(s[0]) || !isLowerAlnum(s[len(s)-1]) {
		return false
	}
	return onlyBytes(s, func(c byte) bool { return isLowerAlnum(c) || c == '-' })
}

func onlyBytes(s string, ok func(byte) bool) bool {
	for i := range len(s) {
		if !ok(s[i]) {
			return false
		}
	}
	return true
}

func isDigit(c byte) bool      { return c >= '0' && c <= '9' }
func isLowerAlnum(c byte) bool { return c >= 'a' && c <= 'z' || isDigit(c) }
func isAlnum(c byte) bool      { return isLowerAlnum(c) || c >= 'A' && c <= 'Z' }
