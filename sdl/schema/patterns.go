package schema

import (
	"fmt"
	"strings"

	"berth.dev/berth/manifest"
	"berth.dev/berth/sdl/quantity"
	providertypes "berth.dev/berth/x/provider/types"
)

// Patterns keep to what RE2 and ECMAScript share: they are for editors and other tools of any language. What they must
// agree with stands in package manifest; a test holds both together.

// label is a DNS label.
var label = fmt.Sprintf(`[a-z0-9]([a-z0-9-]{0,%d}[a-z0-9])?`, manifest.MaxNameBytes-2)

var (
	serviceName = quantity.Pattern{
		Expr:      fmt.Sprintf(`^[a-z]([a-z0-9-]{0,%d}[a-z0-9])?$`, manifest.MaxNameBytes-2),
		Otherwise: "a DNS label: at most 63 of a-z, 0-9 and -, starting with a letter, not ending with -",
	}
	groupName = quantity.Pattern{
		Expr:      fmt.Sprintf(`^[A-Za-z0-9]([A-Za-z0-9._-]{0,%d}[A-Za-z0-9])?$`, manifest.MaxNameBytes-2),
		Otherwise: "at most 63 letters, digits, '-', '_' and '.', with a letter or digit at both ends",
	}
	volumeName = quantity.Pattern{
		Expr:      "^" + label + "$",
		Otherwise: "at most 63 of a-z, 0-9 and '-', with a letter or digit at both ends",
	}
	envName = quantity.Pattern{
		Expr:      fmt.Sprintf(`^[A-Za-z_.-][A-Za-z0-9_.-]{0,%d}$`, manifest.MaxEnvNameBytes-1),
		Otherwise: "letters, digits, '_', '-' and '.', not starting with a digit",
	}
	envAssignment = quantity.Pattern{
		Expr:      fmt.Sprintf(`^[A-Za-z_.-][A-Za-z0-9_.-]{0,%d}=`, manifest.MaxEnvNameBytes-1),
		Otherwise: "NAME=VALUE; a name has letters, digits, '_', '-' and '.', and does not start with a digit",
	}
	attributeKey = quantity.Pattern{
		Expr:      `^[a-zA-Z][a-zA-Z0-9_/.-]{1,126}[a-zA-Z0-9_*]?$`,
		Otherwise: "2 to 128 letters, digits, '_', '/', '.' and '-', starting with a letter",
	}
	attributeValue = quantity.Pattern{
		Expr:      "^[^ " + control + "]([^" + control + "]*[^ " + control + "])?$",
		Otherwise: fmt.Sprintf("1 to %d bytes of text, without control characters or space at its ends", providertypes.MaxAttributeValue),
	}
	// denom is what the Cosmos SDK takes for a denomination.
	denom    = quantity.Pattern{Expr: `^[a-zA-Z][a-zA-Z0-9/:._-]{2,127}$`, Otherwise: "a denomination of the chain, such as ubrt"}
	notBlank = quantity.Pattern{Expr: "[^" + blank + "]", Otherwise: "it must not be blank"}
)

// control are the characters that an attribute must not have, blank those that count as space.
const (
	control = "\\x00-\\x1f\\x7f-\\x9f\u2028-\u202e\u2066-\u2069"
	blank   = "\\t\\n\\v\\f\\r \u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
)

// reference is in a text that variables are put into, so that nothing is known of it yet.
const reference = `\$\{`

// hosts matches host names: labels, of which the last one is not a number.
var hosts = []quantity.Pattern{
	{Expr: `^(` + label + `\.)*` + label + `$|` + reference, Otherwise: allowedHost},
	{Expr: `(^|\.)[0-9]*[a-z-][a-z0-9-]*$|` + reference, Otherwise: "the last part of a host name is not a number"},
	{Expr: fmt.Sprintf(`^[^$]{1,%d}$|`, manifest.MaxHostBytes) + reference, Otherwise: fmt.Sprintf("at most %d characters", manifest.MaxHostBytes)},
}

const allowedHost = "a DNS name in lower case, without scheme, port or path, for example www.example.com"

// images matches references of images. What stands before the first slash is a registry if it has a point or a colon.
var images = []quantity.Pattern{
	{Expr: `^(` + imageName() + `)(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(@sha256:[0-9a-f]{64})?$|` + reference, Otherwise: allowedImage},
	{Expr: fmt.Sprintf(`^[^$]{1,%d}$|`, manifest.MaxImageBytes) + reference, Otherwise: fmt.Sprintf("at most %d characters", manifest.MaxImageBytes)},
}

const allowedImage = "[HOST[:PORT]/]PATH[:TAG][@sha256:DIGEST], the path in lower case, for example nginx:1.27"

func imageName() string {
	const (
		part      = `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
		firstPart = `[a-z0-9]+((_|__|-+)[a-z0-9]+)*` // of several
	)
	registryLabel := strings.ReplaceAll(label, "a-z", "A-Za-z")
	port := `:[0-9]{1,5}`
	registry := registryLabel + `((\.` + registryLabel + `)+(` + port + `)?|` + port + `)`
	return part + `|(` + firstPart + `|` + registry + `)(/` + part + `)+`
}

// mounts matches absolute paths below the root; those that lead back to it with .. match, too.
var mounts = []quantity.Pattern{
	{Expr: `^/[^:\x00]*$`, Otherwise: "an absolute path such as /data"},
	{Expr: `/([^./]|\.[^./]|\.\.[^/])`, Otherwise: "a path below /, such as /data"},
}

// notices matches durations up to a number of seconds, each of their parts for itself.
func notices(most uint64) []quantity.Pattern {
	const allowed = "whole seconds from 1s to 720h, written as 30s, 90m, 1h or 1h30m"
	up := func(n uint64, unit string) string {
		return "(0*" + strings.Trim(quantity.WholeNumberPattern(0, n), "^$") + unit + ")?"
	}
	return []quantity.Pattern{
		{Expr: "^" + up(most/3600, "h") + up(most/60, "m") + up(most, "s") + "$", Otherwise: allowed},
		{Expr: `^([0-9]{1,7}[hms])*$`, Otherwise: allowed},
		{Expr: `[1-9]`, Otherwise: allowed},
	}
}

// anyCase matches words in upper and lower case.
func anyCase(words ...string) string {
	var out []string
	for _, w := range words {
		var b strings.Builder
		for _, c := range w {
			b.WriteString("[" + strings.ToUpper(string(c)) + string(c) + "]")
		}
		out = append(out, b.String())
	}
	return "^(" + strings.Join(out, "|") + ")$"
}
