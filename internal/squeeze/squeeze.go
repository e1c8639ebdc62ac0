// Package squeeze makes answers of a node smaller: they travel as base64 in JSON, of which every byte costs more than it
// takes to compress.
package squeeze

import (
	"bytes"
	"compress/flate"
	"errors"
	"fmt"
	"io"
	"sync"
)

// ErrTooLarge means that data takes more room than the reader gives it.
var ErrTooLarge = errors.New("the compressed data is too large")

var writers = sync.Pool{New: func() any {
	w, err := flate.NewWriter(io.Discard, flate.BestSpeed)
	if err != nil {
		panic(err) // the level is one that exists
	}
	return w
}}

// Pack compresses data, quickly rather than well.
func Pack(data []byte) ([]byte, error) {
	var out bytes.Buffer
	w := writers.Get().(*flate.Writer)
	defer writers.Put(w)
	w.Reset(&out)
	if _, err := w.Write(data); err != nil {
		return nil, fmt.Errorf("compress: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("compress: %w", err)
	}
	return out.Bytes(), nil
}

// Unpack gives back what Pack took, if it is no more than limit bytes.
func Unpack(packed []byte, limit int64) ([]byte, error) {
	r := flate.NewReader(bytes.NewReader(packed))
	var out bytes.Buffer
	out.Grow(int(min(limit, 8*int64(len(packed)))) + bytes.MinRead)
	n, err := out.ReadFrom(io.LimitReader(r, limit+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("decompress: %w", err)
	case n > limit:
		return nil, fmt.Errorf("decompress more than %d bytes: %w", limit, ErrTooLarge)
	}
	return out.Bytes(), nil
}
