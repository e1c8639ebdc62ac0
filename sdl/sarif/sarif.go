// Package sarif writes the diagnostics of documents in SARIF 2.1.0, which code hosts and editors read.
package sarif

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"

	"berth.dev/berth/sdl"
)

// Tool is what found the problems.
type Tool struct{ Name, Version string }

// Marshal writes one run of a tool: what it found in documents, whose texts are given by the names that the diagnostics
// have. Relative names stay relative; absolute ones become file URIs.
func Marshal(tool Tool, found sdl.Diagnostics, sources sdl.Sources) ([]byte, error) {
	index := make(map[string]int, len(rules))
	r := run{
		Tool:       toolJSON{Driver: driver{Name: tool.Name, Version: tool.Version, Rules: make([]ruleJSON, len(rules))}},
		ColumnKind: "unicodeCodePoints", Results: make([]result, 0, len(found)),
	}
	for i, x := range rules {
		index[x.code] = i
		r.Tool.Driver.Rules[i] = newRule(x)
	}
	for _, d := range found {
		out := newResult(d, sources[d.File])
		if i, ok := index[d.Code]; ok {
			out.RuleIndex = &i
		}
		r.Results = append(r.Results, out)
	}
	data, err := json.MarshalIndent(log{
		Schema: "https://json.schemastore.org/sarif-2.1.0.json", Version: "2.1.0", Runs: []run{r},
	}, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write SARIF: %w", err)
	}
	return append(data, '\n'), nil
}

// What follows are the parts of the format that are used, under its own names.

type log struct {
	Schema  string `json:"$schema"`
	Version string `json:"version"`
	Runs    []run  `json:"runs"`
}

type run struct {
	Tool       toolJSON `json:"tool"`
	ColumnKind string   `json:"columnKind"`
	Results    []result `json:"results"`
}

type toolJSON struct {
	Driver driver `json:"driver"`
}

type driver struct {
	Name    string     `json:"name"`
	Version string     `json:"version,omitempty"`
	Rules   []ruleJSON `json:"rules"`
}

type ruleJSON struct {
	ID            string        `json:"id"`
	Short         message       `json:"shortDescription"`
	Help          help          `json:"help"`
	Configuration configuration `json:"defaultConfiguration"`
	Properties    properties    `json:"properties"`
}

type message struct {
	Text string `json:"text"`
}

type help struct {
	Text     string `json:"text"`
	Markdown string `json:"markdown"`
}

type configuration struct {
	Level string `json:"level"`
}

type properties struct {
	Tags []string `json:"tags"`
}

type result struct {
	RuleID    string     `json:"ruleId"`
	RuleIndex *int       `json:"ruleIndex,omitempty"`
	Level     string     `json:"level"`
	Message   message    `json:"message"`
	Locations []location `json:"locations"`
	Fixes     []fix      `json:"fixes,omitempty"`
}

type location struct {
	Physical physical  `json:"physicalLocation"`
	Logical  []logical `json:"logicalLocations,omitempty"`
}

type physical struct {
	Artifact artifact `json:"artifactLocation"`
	Region   *region  `json:"region,omitempty"`
}

type artifact struct {
	URI string `json:"uri"`
}

type region struct {
	StartLine   int `json:"startLine"`
	StartColumn int `json:"startColumn"`
	EndColumn   int `json:"endColumn,omitempty"`
}

type logical struct {
	Name string `json:"fullyQualifiedName"`
}

type fix struct {
	Description message  `json:"description"`
	Changes     []change `json:"artifactChanges"`
}

type change struct {
	Artifact     artifact      `json:"artifactLocation"`
	Replacements []replacement `json:"replacements"`
}

type replacement struct {
	Deleted  region   `json:"deletedRegion"`
	Inserted *message `json:"insertedContent,omitempty"`
}

// level is what the format calls a severity; it uses the same words.
func level(s sdl.Severity) string { return string(s) }

func newRule(r rule) ruleJSON {
	severity := sdl.Error
	if strings.HasPrefix(r.code, "W-") {
		severity = sdl.Warning
	}
	return ruleJSON{
		ID: r.code, Short: message{plain(r.meaning)}, Help: help{plain(r.meaning), r.meaning},
		Configuration: configuration{level(severity)}, Properties: properties{[]string{r.section}},
	}
}

// plain is a text of Markdown without its marks, which are those of code and of links.
func plain(s string) string {
	s = strings.ReplaceAll(s, "`", "")
	for {
		before, rest, ok := strings.Cut(s, "[")
		if !ok {
			return s
		}
		name, rest, ok := strings.Cut(rest, "](")
		if !ok {
			return s
		}
		_, after, ok := strings.Cut(rest, ")")
		if !ok {
			return s
		}
		s = before + name + after
	}
}

func newResult(d sdl.Diagnostic, source []byte) result {
	where := location{Physical: physical{Artifact: artifact{uri(d.File)}}}
	if d.Path != "" {
		where.Logical = []logical{{d.Path}}
	}
	out := result{RuleID: d.Code, Level: level(d.Severity), Message: message{text(d)}}
	edit, editable := d.Edit(source)
	if d.Line > 0 {
		where.Physical.Region = &region{StartLine: d.Line, StartColumn: d.Column}
		if editable && edit.End > edit.Start {
			*where.Physical.Region = place(source, d.Line, edit)
		}
	}
	if editable {
		out.Fixes = []fix{{
			Description: message{"Write " + d.Suggestion},
			Changes: []change{{artifact{uri(d.File)}, []replacement{{
				Deleted: place(source, d.Line, edit), Inserted: &message{edit.Text},
			}}}},
		}}
	}
	out.Locations = []location{where}
	return out
}

// place is the region of an edit, which is part of one line.
func place(source []byte, line int, e sdl.Edit) region {
	start := e.Start
	for start > 0 && source[start-1] != '\n' {
		start--
	}
	first := utf8.RuneCount(source[start:e.Start]) + 1
	return region{line, first, first + utf8.RuneCount(source[e.Start:e.End])}
}

// text is a message with everything that is said of a problem: readers of the format show one text.
func text(d sdl.Diagnostic) string {
	out := d.Message
	if d.Allowed != "" && !strings.Contains(d.Message, d.Allowed) {
		out += "; allowed: " + d.Allowed
	}
	if d.Suggestion != "" {
		out += "; did you mean: " + d.Suggestion
	}
	if d.Hint != "" {
		out += "; hint: " + d.Hint
	}
	return out
}

// uri is the reference of a file, relative if its name is.
func uri(file string) string {
	var b strings.Builder
	if strings.HasPrefix(file, "/") {
		b.WriteString("file://")
	} else if first, _, _ := strings.Cut(file, "/"); strings.Contains(first, ":") {
		b.WriteString("./") // or what precedes the colon were a scheme
	}
	for i := range len(file) {
		c := file[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._~/:@!$&'()*+,;=", c) >= 0 {
			b.WriteByte(c)
			continue
		}
		fmt.Fprintf(&b, "%%%02X", c)
	}
	return b.String()
}
