package kube

import (
	"encoding/json"
	"errors"
	"reflect"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"pgregory.net/rapid"

	"berth.dev/berth/provider/cluster"
	"berth.dev/berth/provider/cluster/clustertest"
)

func dropNulls(v any) {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			if e == nil {
				delete(v, k)
				continue
			}
			dropNulls(e)
		}
	case []any:
		for _, e := range v {
			dropNulls(e)
		}
	}
}

// TestConversionIsTheGeneralOne holds that our converter gives what the general one gives, and our encoder what
// encoding/json gives: a hash of it stands on every object of every running lease, and another one would have all of
// them written anew.
func TestConversionIsTheGeneralOne(t *testing.T) {
	same := func(t rapid.TB, o runtime.Object) {
		want, err := runtime.DefaultUnstructuredConverter.ToUnstructured(o)
		if err != nil {
			t.Fatal(err)
		}
		dropNulls(want)
		delete(want, "status")
		got, text, err := unstructuredOf(o, nil)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("%T:\ngot  %v\nwant %v", o, got, want)
		}
		wantText, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		if string(text) != string(wantText) {
			t.Fatalf("%T:\ngot  %s\nwant %s", o, text, wantText)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		id, g := clustertest.Leases().Draw(t, "lease"), clustertest.Groups().Draw(t, "group")
		s := testSettings()
		s.IPv6 = rapid.Bool().Draw(t, "ipv6")
		if rapid.Bool().Draw(t, "ingress") {
			s.Routes = RouteIngress
		}
		_, typed, err := renderTyped(clustertest.Workload(id, g.Services...), s, allStart)
		if errors.Is(err, cluster.ErrRefused) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range typed {
			same(t, o)
		}
	})
	role := Role()
	role.CreationTimestamp = metav1.Unix(1, 0)
	same(t, role)
}

// TestRenderingSharesWhatIsEqual bounds what rendering ten services takes of memory: labels, selectors and ports that stand in
// many objects are converted once.
func TestRenderingSharesWhatIsEqual(t *testing.T) {
	w, s := tenServices(), testSettings()
	const most = 7500
	if n := testing.AllocsPerRun(3, func() {
		if _, err := render(w, s, allStart); err != nil {
			t.Fatal(err)
		}
	}); n > most {
		t.Errorf("%.0f allocations, at most %d are allowed", n, most)
	}
}
