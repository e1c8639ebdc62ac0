package stack

import "berth.dev/berth/sdl/doc"

// Grammar is what a part of a document is made of that all versions share: its mappings, with the keys that are read.
type Grammar struct {
	// EnvValue is an environment variable in a mapping, EnvEntry one in a list.
	EnvValue, EnvEntry doc.Shape
}

// TheGrammar returns the grammar that the readers of this package follow.
func TheGrammar() Grammar { return Grammar{EnvValue: envValueShape, EnvEntry: envEntryShape} }
