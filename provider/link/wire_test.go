package link

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
)

func TestHeaderRoundTrip(t *testing.T) {
	for _, k := range []Kind{Ask, TCP, UDP} {
		want := header(k)
		b, err := appendHeader(nil, want)
		if err != nil {
			t.Fatal(err)
		}
		got, err := readHeader(bytes.NewReader(b))
		if err != nil || got != want {
			t.Errorf("got %+v, %v, want %+v", got, err, want)
		}
	}
}

func TestHeadersThatAreNone(t *testing.T) {
	good, err := appendHeader(nil, header(TCP))
	if err != nil {
		t.Fatal(err)
	}
	body := good[2:]
	edit := func(f func(b []byte) []byte) []byte { return f(bytes.Clone(body)) }
	for name, b := range map[string][]byte{
		"empty": nil, "short": body[:3],
		"version": edit(func(b []byte) []byte { b[0] = 2; return b }), "kind": edit(func(b []byte) []byte { b[1] = 9; return b }),
		"port": edit(func(b []byte) []byte { b[2], b[3] = 0, 0; return b }), "more": append(bytes.Clone(body), 0), "less": body[:len(body)-1],
		"lease": []byte(strings.Replace(string(body), "/7/1/1/", "/7/01/", 1)), "service": []byte(strings.Replace(string(body), "app", "A_p", 1)),
	} {
		if h, err := parseHeader(b); !errors.Is(err, errMalformed) {
			t.Errorf("%s: %+v, %v", name, h, err)
		}
	}
	long := header(TCP)
	long.To = strings.Repeat("a", 256)
	if _, err := appendHeader(nil, long); err == nil {
		t.Error("a service of 256 bytes was written")
	}
}

func FuzzHeader(f *testing.F) {
	good, _ := appendHeader(nil, header(UDP))
	f.Add(good)
	f.Add([]byte{0, 4, 1, 1, 0, 80})
	f.Add([]byte{255, 255})
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := readHeader(bytes.NewReader(b))
		if err != nil {
			return
		}
		again, err := appendHeader(nil, h)
		if err != nil || !bytes.HasPrefix(b, again) {
			t.Errorf("%x was read as %+v, which is written %x, %v", b, h, again, err)
		}
	})
}

func FuzzAnswer(f *testing.F) {
	f.Add(appendAnswer(nil, NotReady, "no instance"))
	f.Add([]byte{0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		err := readAnswer(bytes.NewReader(b))
		if r, ok := errors.AsType[*Refusal](err); ok && (r.Code == OK || r.Code > lastCode || len(r.Text) > maxText || strings.ContainsFunc(r.Text, func(c rune) bool { return c < ' ' || c > '~' })) {
			t.Errorf("%x gives %+v", b, r)
		}
	})
}

func FuzzDatagrams(f *testing.F) {
	two, _ := appendDatagram(nil, []byte("one"))
	two, _ = appendDatagram(two, nil)
	f.Add(two)
	f.Add([]byte{255, 255, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		r, buf := bytes.NewReader(b), make([]byte, maxDatagram)
		var again []byte
		for {
			n, err := readDatagram(r, buf)
			if err != nil {
				if errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) && !bytes.Equal(again, b) {
					t.Errorf("%x was read as %x", b, again)
				}
				return
			}
			if again, err = appendDatagram(again, buf[:n]); err != nil {
				t.Fatal(err)
			}
		}
	})
}
