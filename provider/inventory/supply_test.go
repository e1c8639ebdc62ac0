package inventory

import (
	"math"
	"strings"
	"testing"

	"berth.dev/berth/provider/cluster"
)

func good(name string) cluster.Node {
	return cluster.Node{
		Name: name, CPU: 4000, Memory: 8 << 30, Storage: 100 << 30, Pods: 110, Arch: "amd64", ForeignCPU: 1000, ForeignMemory: 1 << 30, ForeignPods: 10,
		GPUs: []cluster.GPU{{Vendor: "nvidia", Model: "a100", RAM: "80Gi", Count: 8, Foreign: 2}},
	}
}

// TestReadRefusesNonsense: what can't be is named with its node and not sold; the rest of the node and all others are.
func TestReadRefusesNonsense(t *testing.T) {
	for name, tc := range map[string]struct {
		edit  func(*cluster.Node)
		lost  []Resource
		told  string
		pools cluster.Pools
	}{
		"2^64-1 gpus":    {edit: func(n *cluster.Node) { n.GPUs[0].Count = math.MaxInt64 }, lost: []Resource{GPU}, told: `node "bad" reports 9223372036854775807 of gpu vendor/nvidia/model/a100/ram/80Gi, and more than 1024 is not believed: none of it is sold`},
		"-1 gpus":        {edit: func(n *cluster.Node) { n.GPUs[0].Count = -1 }, lost: []Resource{GPU}, told: "below nothing"},
		"minus memory":   {edit: func(n *cluster.Node) { n.Memory = -8 << 30 }, lost: []Resource{Memory}, told: `node "bad" reports -8589934592 of memory, which is below nothing: none of it is sold`},
		"memory":         {edit: func(n *cluster.Node) { n.Memory = math.MaxInt64 }, lost: []Resource{Memory}, told: "memory"},
		"cpu":            {edit: func(n *cluster.Node) { n.CPU = math.MinInt64 }, lost: []Resource{CPU}, told: "cpu"},
		"storage":        {edit: func(n *cluster.Node) { n.Storage = -1 }, lost: []Resource{Storage}, told: "storage"},
		"pods":           {edit: func(n *cluster.Node) { n.Pods = -1 }, lost: []Resource{Pods}, told: "pods"},
		"minus taken":    {edit: func(n *cluster.Node) { n.ForeignCPU = -1 }, lost: []Resource{CPU}, told: "taken by others"},
		"all taken":      {edit: func(n *cluster.Node) { n.ForeignCPU = math.MaxInt64 }, lost: []Resource{CPU}},
		"gpus that fail": {edit: func(n *cluster.Node) { n.GPUs[0].Count = 1 }, lost: []Resource{GPU}},
		"pool":           {edit: func(*cluster.Node) {}, told: "the cluster reports -5 of persistent storage beta2, which is below nothing", pools: cluster.Pools{Persistent: map[string]cluster.Pool{"beta2": {Known: true, Total: -5}}}},
	} {
		t.Run(name, func(t *testing.T) {
			bad := good("bad")
			tc.edit(&bad)
			s, problems := Read([]cluster.Node{bad, good("well")}, tc.pools, Terms{})
			want := Amounts{CPU: 3000, Memory: 7 << 30, Storage: 100 << 30, Pods: 100}
			if got := s.Nodes[1]; got.Capacity != want || len(got.GPUs) != 1 || got.GPUs[0].Count != 6 {
				t.Errorf("the other node is sold as %+v", got)
			}
			devices := 1
			for _, r := range tc.lost {
				want[r] = 0
				if r == GPU {
					devices = 0
				}
			}
			if got := s.Nodes[0]; got.Capacity != want || len(got.GPUs) != devices {
				t.Errorf("sold as %+v, want %v", got, want)
			}
			switch {
			case tc.told == "" && len(problems) > 0, tc.told != "" && len(problems) != 1:
				t.Errorf("problems %v", problems)
			case tc.told != "" && !strings.Contains(problems[0].Error(), tc.told):
				t.Errorf("problem %q, want %q", problems[0], tc.told)
			}
			for _, p := range s.Pools.Persistent {
				if p.Total != 0 {
					t.Errorf("pool %+v", p)
				}
			}
		})
	}
}

func TestReadTakesANodeOnce(t *testing.T) {
	s, problems := Read([]cluster.Node{good("a"), good("a"), good("b")}, cluster.Pools{}, Terms{})
	if len(s.Nodes) != 2 || len(problems) != 1 || problems[0].Node != "a" {
		t.Errorf("%d nodes, problems %v", len(s.Nodes), problems)
	}
}

// TestTerms: what others use and the reserve go first, then the share, then the over-commit; pools know a share only.
func TestTerms(t *testing.T) {
	half, err := ParseFactor("0.5")
	if err != nil {
		t.Fatal(err)
	}
	n := good("a")
	n.GPUs = append(n.GPUs, cluster.GPU{Count: 2})
	s, problems := Read([]cluster.Node{n}, cluster.Pools{Ports: cluster.Pool{Known: true, Total: 100, Foreign: 40}}, Terms{
		Share: half, Overcommit: Overcommit{CPU: 1500, Memory: 2000}, Reserve: Amounts{CPU: 500, Memory: 1 << 30, Pods: 10, GPU: 5},
		Devices: GPUClass{Vendor: "amd", Model: "mi300x"},
	})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	got := s.Nodes[0]
	if want := (Amounts{CPU: 1875, Memory: 6 << 30, Storage: 50 << 30, Pods: 45}); got.Capacity != want {
		t.Errorf("capacity %v, want %v", got.Capacity, want)
	}
	if len(got.GPUs) != 2 || got.GPUs[0].Count != 3 || got.GPUs[1] != (GPUs{GPUClass{Vendor: "amd", Model: "mi300x"}, 1}) {
		t.Errorf("devices %+v", got.GPUs)
	}
	if s.Pools.Ports != (Pool{30, true}) || s.Pools.Addresses != (Pool{}) {
		t.Errorf("pools %+v", s.Pools)
	}
}

func TestOvercommit(t *testing.T) {
	for s, want := range map[string]uint32{"1": 1000, "1.5": 1500, "1.125": 1125, "10": 10_000, "2.50": 2500} {
		if got, err := ParseOvercommit(s); err != nil || got != want {
			t.Errorf("ParseOvercommit(%q) = %d, %v, want %d", s, got, err, want)
		}
	}
	for _, s := range []string{"", "0", "0.999", "10.001", "11", "1.0001", "1.", ".5", "-1", "1e1", " 1", "99999999999999999999"} {
		if got, err := ParseOvercommit(s); err == nil {
			t.Errorf("ParseOvercommit(%q) = %d, want an error", s, got)
		}
	}
	o := Overcommit{CPU: 1500, Memory: 10_000}
	for _, tc := range []struct {
		r       Resource
		x, want int64
	}{{CPU, 1001, 1501}, {CPU, -5, 0}, {Storage, 7, 7}, {Memory, math.MaxInt64, math.MaxInt64}, {CPU, math.MaxInt64 / 2, math.MaxInt64/4*3 + 1}} {
		if got := o.Of(tc.r, tc.x); got != tc.want {
			t.Errorf("Of(%s, %d) = %d, want %d", tc.r, tc.x, got, tc.want)
		}
	}
}

func TestParseGPU(t *testing.T) {
	a100 := gpuColumn{class: GPUClass{Vendor: "nvidia", Model: "a100", RAM: "80Gi", Interface: "sxm"}, ram: 80 << 30}
	unsaid := gpuColumn{class: GPUClass{Vendor: "nvidia", Model: "a100"}}
	for key, want := range map[string]struct{ ok, a100, unsaid bool }{
		"vendor/nvidia":                                    {true, true, true},
		"vendor/nvidia/model/*":                            {true, true, true},
		"vendor/nvidia/model/a100":                         {true, true, true},
		"vendor/nvidia/model/a100/ram/80Gi":                {true, true, false},
		"vendor/nvidia/model/*/ram/81920Mi":                {true, true, false},
		"vendor/nvidia/model/a100/ram/80G":                 {true, false, false},
		"vendor/nvidia/model/a100/ram/much":                {true, false, false},
		"vendor/nvidia/interface/sxm":                      {true, true, false},
		"vendor/nvidia/model/a100/ram/80Gi/interface/pcie": {true, false, false},
		"vendor/amd/model/*":                               {true, false, false},
		"vendor":                                           {},
		"vendor/":                                          {},
		"vendor/*":                                         {},
		"model/a100":                                       {},
		"vendor/nvidia/ram/80Gi/model/a100":                {},
		"vendor/nvidia/vendor/amd":                         {},
		"vendor/nvidia/model/a*":                           {},
		"vendor/nvidia/color/red":                          {},
		"":                                                 {},
	} {
		w, ok := ParseGPU(key)
		if ok != want.ok || ok && (w.matches(&a100) != want.a100 || w.matches(&unsaid) != want.unsaid) {
			t.Errorf("ParseGPU(%q): %t, matches %t and %t, want %+v", key, ok, w.matches(&a100), w.matches(&unsaid), want)
		}
	}
}
