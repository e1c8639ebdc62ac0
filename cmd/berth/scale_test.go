package main

import (
	"reflect"
	"testing"
)

func TestParseCounts(t *testing.T) {
	got, err := parseCounts([]string{"web=3", "worker=0"})
	if err != nil || !reflect.DeepEqual(got, map[string]uint32{"web": 3, "worker": 0}) {
		t.Errorf("%v, %v", got, err)
	}
	for _, bad := range [][]string{nil, {"web"}, {"=3"}, {"web="}, {"web=-1"}, {"web=4294967296"}, {"web=1", "web=2"}} {
		if got, err := parseCounts(bad); err == nil {
			t.Errorf("%q is read as %v", bad, got)
		}
	}
}
