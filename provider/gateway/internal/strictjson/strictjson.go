// Package strictjson reads JSON from strangers. Package encoding/json is lenient in ways that let two readers of one
// document disagree: it folds the case of keys, lets the last of two equal keys win, replaces bad UTF-8 and ignores
// keys that it does not know. Here all of that is refused.
package strictjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

// maxDepth bounds the nesting of objects and arrays; the attributes of a volume of a group need ten.
const maxDepth = 12

// Check returns an error unless data is exactly one JSON value in UTF-8, nested at most 12 deep, whose objects hold
// only the given keys, none of them twice. The caller bounds the length of data.
func Check(data []byte, keys ...string) error {
	if !utf8.Valid(data) {
		return errors.New("text is not valid UTF-8")
	}
	allowed := make(map[string]bool, len(keys))
	for _, k := range keys {
		allowed[k] = true
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	if err := value(dec, allowed, 0); err != nil {
		return err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("text goes on after the JSON value")
	}
	return nil
}

// Unmarshal checks data as Check does and decodes it into v with encoding/json.
func Unmarshal(data []byte, v any, keys ...string) error {
	if err := Check(data, keys...); err != nil {
		return err
	}
	return json.Unmarshal(data, v)
}

func value(dec *json.Decoder, allowed map[string]bool, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("JSON is nested deeper than %d", maxDepth)
	}
	tok, err := dec.Token()
	if err != nil {
		return fmt.Errorf("read JSON: %w", err)
	}
	switch tok {
	case json.Delim('{'):
		err = object(dec, allowed, depth)
	case json.Delim('['):
		err = array(dec, allowed, depth)
	}
	return err
}

func object(dec *json.Decoder, allowed map[string]bool, depth int) error {
	seen := map[string]bool{}
	for dec.More() {
		tok, err := dec.Token()
		if err != nil {
			return fmt.Errorf("read JSON: %w", err)
		}
		// The decoder yields only strings in the place of a key.
		key, _ := tok.(string)
		switch {
		case !allowed[key]:
			return fmt.Errorf("unknown key %.40q", key)
		case seen[key]:
			return fmt.Errorf("key %q stands twice", key)
		}
		seen[key] = true
		if err := value(dec, allowed, depth+1); err != nil {
			return err
		}
	}
	return end(dec)
}

func array(dec *json.Decoder, allowed map[string]bool, depth int) error {
	for dec.More() {
		if err := value(dec, allowed, depth+1); err != nil {
			return err
		}
	}
	return end(dec)
}

// end takes the closing bracket.
func end(dec *json.Decoder) error {
	if _, err := dec.Token(); err != nil {
		return fmt.Errorf("read JSON: %w", err)
	}
	return nil
}
