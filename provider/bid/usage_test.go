package bid

import (
	"testing"

	"berth.dev/berth/provider/inventory"
	deploymenttypes "berth.dev/berth/x/deployment/types"
	providertypes "berth.dev/berth/x/provider/types"
)

// TestUsageCountsEverything: what a held order takes shows with its resource and class.
func TestUsageCountsEverything(t *testing.T) {
	b := NewBook(testPolicy(), nil, 0)
	b.inv = *oneNode(4000)
	o := order(1, 1000, 2)
	u := &o.Spec.Units[0]
	u.Gpu = deploymenttypes.GPU{Count: 1, Attributes: []providertypes.Attribute{{Key: "vendor/nvidia/model/a100", Value: "true"}}}
	u.Storage = []deploymenttypes.Volume{{Name: "d", Bytes: 1 << 20, Attributes: []providertypes.Attribute{{Key: "persistent", Value: "true"}}}}
	u.Endpoints = []deploymenttypes.Endpoint{{Kind: deploymenttypes.ENDPOINT_KIND_IP, Sequence: 1}, {Kind: deploymenttypes.ENDPOINT_KIND_PORT}}
	compiled, err := Compile(&o)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok, err := b.inv.Reserve(o.Id, &compiled.Demand); !ok || err != nil {
		t.Fatalf("%v, %v", ok, err)
	}
	type key struct {
		of    inventory.Resource
		class string
	}
	got := map[key][2]int64{}
	for _, x := range b.Usage() {
		got[key{x.Resource, x.Class}] = [2]int64{x.Capacity, x.Held}
	}
	for k, want := range map[key][2]int64{
		{inventory.CPU, ""}: {4000, 2000}, {inventory.Pods, ""}: {110, 2}, {inventory.GPU, ""}: {4, 2},
		{inventory.GPU, "vendor/nvidia/model/a100/ram/80Gi/interface/sxm"}: {4, 2},
		{inventory.Persistent, "default"}:                                  {1 << 30, 2 << 20},
		{inventory.Ports, ""}:                                              {2, 1},
		{inventory.Addresses, ""}:                                          {1, 1},
	} {
		if got[k] != want {
			t.Errorf("%s %s: %v, want %v", k.of, k.class, got[k], want)
		}
	}
}
