package manifest_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"berth.dev/berth/manifest"
	manifesttypes "berth.dev/berth/manifest/types"
	deploymenttypes "berth.dev/berth/x/deployment/types"
	providertypes "berth.dev/berth/x/provider/types"
)

func TestCheckAccepts(t *testing.T) {
	g := group("east")
	if err := manifest.Check(g, specOf(g)); err != nil {
		t.Error(err)
	}
	reversed := specOf(g)
	reversed.Units[0], reversed.Units[1] = reversed.Units[1], reversed.Units[0]
	if err := manifest.Check(g, reversed); err != nil {
		t.Errorf("units in another order: %v", err)
	}
}

func TestCheckRefuses(t *testing.T) {
	type spec = *deploymenttypes.GroupSpec
	for name, tc := range map[string]struct {
		change func(spec)
		says   string
	}{
		"name":           {func(s spec) { s.Name = "west" }, `named "east", on chain "west"`},
		"count":          {func(s spec) { s.Units[0].Count++ }, `service "api": count is 2, on chain 3`},
		"cpu":            {func(s spec) { s.Units[0].CpuMilli-- }, "cpu_milli is 100, on chain 99"},
		"memory":         {func(s spec) { s.Units[0].MemoryBytes-- }, "memory_bytes"},
		"gpu":            {func(s spec) { s.Units[0].Gpu.Count = 1 }, "gpu is 0, on chain 1"},
		"gpu attributes": {func(s spec) { s.Units[0].Gpu.Attributes = []providertypes.Attribute{{Key: "a", Value: "b"}} }, "gpu attributes"},
		"volume size":    {func(s spec) { s.Units[0].Storage[0].Bytes++ }, "volume 1"},
		"volume name":    {func(s spec) { s.Units[0].Storage[0].Name = "data" }, "volume 1"},
		"volume class": {func(s spec) {
			s.Units[0].Storage[0].Attributes = []providertypes.Attribute{{Key: "class", Value: "ssd"}}
		}, "volume 1"},
		"volume more":      {func(s spec) { s.Units[0].Storage = append(s.Units[0].Storage, s.Units[0].Storage[0]) }, "1 volumes, on chain 2"},
		"endpoint less":    {func(s spec) { s.Units[0].Endpoints = nil }, "endpoints"},
		"endpoint kind":    {func(s spec) { s.Units[0].Endpoints[0].Kind = deploymenttypes.ENDPOINT_KIND_PORT }, "endpoints"},
		"unit that is not": {func(s spec) { s.Units[0].Id = 9 }, "unit 1 is not on chain"},
		"unit left over":   {func(s spec) { u := s.Units[0]; u.Id = 9; s.Units = append(s.Units, u) }, "unit 9 is used by no service"},
	} {
		g := group("east")
		s := specOf(g)
		tc.change(&s)
		err := manifest.Check(g, s)
		if !errors.Is(err, manifest.ErrGroupMismatch) || !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s: Check = %v, want ErrGroupMismatch with %q", name, err, tc.says)
		}
	}
}

func TestCheckAddsUpSharedUnits(t *testing.T) {
	g := group("east")
	g.Services[1] = g.Services[0]
	g.Services[1].Name, g.Services[1].Count = "zweb", 3
	s := specOf(g)
	s.Units = s.Units[:1]
	s.Units[0].Count = g.Services[0].Count + 3
	s.Units[0].Endpoints = append(s.Units[0].Endpoints, s.Units[0].Endpoints...)
	if err := manifest.Check(g, s); err != nil {
		t.Errorf("two services of one unit: %v", err)
	}
	s.Units[0].Count--
	if err := manifest.Check(g, s); !errors.Is(err, manifest.ErrGroupMismatch) || !strings.Contains(err.Error(), "count is 5, on chain 4") {
		t.Errorf("one instance too many: %v", err)
	}
	s.Units[0].Count++
	s.Units[0].Endpoints = s.Units[0].Endpoints[:1]
	if err := manifest.Check(g, s); !errors.Is(err, manifest.ErrGroupMismatch) || !strings.Contains(err.Error(), "endpoints") {
		t.Errorf("one endpoint too many: %v", err)
	}
}

func TestCheckRefusesAUnitWithoutService(t *testing.T) {
	g := group("east")
	s := specOf(g)
	g.Services[1].UnitId = 1
	err := manifest.Check(g, s)
	if !errors.Is(err, manifest.ErrGroupMismatch) || !strings.Contains(err.Error(), "unit 2 is used by no") || !strings.Contains(err.Error(), "count is 4, on chain 2") {
		t.Errorf("Check = %v", err)
	}
}

func TestCheckListsEveryMismatch(t *testing.T) {
	g := group("east")
	s := specOf(g)
	s.Units[0].Count, s.Units[1].CpuMilli = 7, 7
	err := manifest.Check(g, s)
	if err == nil || !strings.Contains(err.Error(), "count is 2, on chain 7") || !strings.Contains(err.Error(), "cpu_milli is 100, on chain 7") {
		t.Errorf("Check = %v", err)
	}
}

func TestValidateAccepts(t *testing.T) {
	g := group("east")
	if err := manifest.Validate(g); err != nil {
		t.Error(err)
	}
	g.Salt = salt(1)
	g.Services[0].Volumes = append(g.Services[0].Volumes, manifesttypes.Volume{Name: "data", Bytes: 5 << 20, Mount: "/var/lib/data"})
	if err := manifest.Validate(g); err != nil {
		t.Error(err)
	}
}

func TestValidateRefuses(t *testing.T) {
	type g = *manifesttypes.Group
	for name, tc := range map[string]struct {
		change func(g)
		says   string
	}{
		"group name":          {func(g g) { g.Name = "-" }, "cannot name a group"},
		"salt":                {func(g g) { g.Salt = salt(1)[:31] }, "salt"},
		"no services":         {func(g g) { g.Services = nil }, "0 services"},
		"21 services":         {func(g g) { g.Services = make([]manifesttypes.Service, 21) }, "21 services"},
		"order":               {func(g g) { g.Services[0].Name = "zzz" }, "not sorted"},
		"service twice":       {func(g g) { g.Services[1] = g.Services[0] }, "not sorted"},
		"unit 0":              {func(g g) { g.Services[0].UnitId = 0 }, "unit id is 0"},
		"service name":        {func(g g) { g.Services[1].Name = "web_1" }, "not a DNS label"},
		"service digit":       {func(g g) { g.Services[0].Name = "1api" }, "not a DNS label"},
		"image":               {func(g g) { g.Services[0].Image = "a b" }, "not the reference of an image"},
		"count 0":             {func(g g) { g.Services[0].Count = 0 }, "count 0"},
		"count 51":            {func(g g) { g.Services[0].Count = 51 }, "count 51"},
		"cpu 9m":              {func(g g) { g.Services[0].CpuMilli = 9 }, "9 milli-cpu"},
		"cpu above":           {func(g g) { g.Services[0].CpuMilli = 384_001 }, "384001 milli-cpu"},
		"memory below":        {func(g g) { g.Services[0].MemoryBytes = 1<<20 - 1 }, "memory"},
		"memory above":        {func(g g) { g.Services[0].MemoryBytes = 2<<40 + 1 }, "memory"},
		"25 gpus":             {func(g g) { g.Services[0].Gpu = 25 }, "25 gpus"},
		"gpu attributes":      {func(g g) { g.Services[0].GpuAttributes = []manifesttypes.Attribute{{Key: "a", Value: "b"}} }, "without a gpu"},
		"zero byte in args":   {func(g g) { g.Services[0].Args[0] = "a\x00" }, "args[0]"},
		"args not UTF-8":      {func(g g) { g.Services[0].Args[0] = "\xff" }, "args[0]"},
		"many args":           {func(g g) { g.Services[0].Args = make([]string, 1025) }, "1025 words of args"},
		"env name":            {func(g g) { g.Services[0].Env[0].Name = "1A" }, "cannot name an environment variable"},
		"env twice":           {func(g g) { g.Services[0].Env[0].Name = "PASSWORD" }, "PASSWORD appears twice"},
		"env value":           {func(g g) { g.Services[0].Env[0].Value = "\x00" }, "value of MODE"},
		"port 0":              {func(g g) { g.Services[0].Expose[0].Port = 0 }, "port 0"},
		"port 65536":          {func(g g) { g.Services[0].Expose[0].Port = 65536 }, "port 65536"},
		"as 0":                {func(g g) { g.Services[0].Expose[0].As = 0 }, "as 0"},
		"as 65536":            {func(g g) { g.Services[0].Expose[0].As = 65536 }, "as 65536"},
		"as twice":            {func(g g) { g.Services[0].Expose[1].As = 80 }, "port 80 is exposed twice"},
		"protocol 0":          {func(g g) { g.Services[0].Expose[0].Proto = 0 }, "protocol 0"},
		"protocol 5":          {func(g g) { g.Services[0].Expose[0].Proto = 5 }, "protocol 5"},
		"host":                {func(g g) { g.Services[0].Expose[0].Accept[0] = "A.example.com" }, "not a host name"},
		"hosts in disorder":   {func(g g) { g.Services[0].Expose[0].Accept[0] = "z.example.com" }, "hosts are not sorted"},
		"host of tcp":         {func(g g) { g.Services[0].Expose[1].Accept = []string{"a.example.com"} }, "only http and https"},
		"client nobody":       {func(g g) { g.Services[0].Expose[0].To[0].Global = false }, "names nobody"},
		"client name":         {func(g g) { g.Services[0].Expose[1].To[0].Service = "A" }, "cannot name a service"},
		"clients in disorder": {func(g g) { g.Services[0].Expose[1].To[0].Service = "x" }, "clients are not sorted"},
		"volume name":         {func(g g) { g.Services[0].Volumes[0].Name = "" }, "not a DNS label"},
		"volume below":        {func(g g) { g.Services[0].Volumes[0].Bytes = 5<<20 - 1 }, "out of range"},
		"volume above":        {func(g g) { g.Services[0].Volumes[0].Bytes = 32<<40 + 1 }, "out of range"},
		"volume twice":        {func(g g) { g.Services[0].Volumes = append(g.Services[0].Volumes, g.Services[0].Volumes[0]) }, "appears twice"},
		"mount relative":      {func(g g) { g.Services[0].Volumes[0].Mount = "data" }, "absolute path"},
		"mount unclean":       {func(g g) { g.Services[0].Volumes[0].Mount = "/data/../etc" }, "absolute path"},
		"mount root":          {func(g g) { g.Services[0].Volumes[0].Mount = "/" }, "absolute path"},
		"edge elsewhere":      {func(g g) { g.Edges[0].ToGroup = "north" }, "neither end"},
		"edge to itself":      {func(g g) { g.Edges[0].FromGroup = "east" }, "both ends"},
		"edge not allowed":    {func(g g) { g.Edges[0].Port = 80 }, "does not expose port 80"},
		"edge stranger":       {func(g g) { g.Edges[0].FromService = "web" }, "does not expose port 5432"},
		"edge twice":          {func(g g) { g.Edges = append(g.Edges, g.Edges[0]) }, "edges are not sorted"},
		"edge name":           {func(g g) { g.Edges[0].FromGroup = "" }, "not a name"},
		"edge from nobody":    {func(g g) { g.Edges[0].FromGroup, g.Edges[0].ToGroup = "east", "other" }, "has no service"},
		"dependency":          {func(g g) { g.Services[1].DependsOn = []string{"nothing"} }, "neither in the group nor linked"},
		"dependency twice":    {func(g g) { g.Services[1].DependsOn = []string{"api", "api"} }, "dependencies are not sorted"},
		"circle":              {func(g g) { g.Services[0].DependsOn = []string{"web"} }, "api -> web -> api"},
		"too large":           {func(g g) { g.Services[0].Env[0].Value = strings.Repeat("x", manifest.MaxBytes) }, "bytes, at most"},
	} {
		g := group("east")
		tc.change(&g)
		err := manifest.Validate(g)
		if !errors.Is(err, manifest.ErrInvalid) || !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s: Validate = %v, want ErrInvalid with %q", name, err, tc.says)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: the error shows a value: %v", name, err)
		}
	}
}

func TestValidateErrorIsBounded(t *testing.T) {
	g := group("east")
	g.Services[0].Args = nil
	for i := range 1000 {
		g.Services[0].Args = append(g.Services[0].Args, fmt.Sprintf("\x00%d", i))
	}
	g.Services[1].Image = strings.Repeat("X", 100_000)
	if err := manifest.Validate(g); err == nil || len(err.Error()) > 64<<10 {
		t.Errorf("Validate = an error of %d bytes", len(err.Error()))
	}
}

func TestNames(t *testing.T) {
	label63, label64 := strings.Repeat("a", 63), strings.Repeat("a", 64)
	host253 := strings.Repeat("abcd.", 50) + "abc"
	digest := "sha256:" + strings.Repeat("0f", 32)
	for _, tc := range []struct {
		what string
		is   func(string) bool
		good []string
		bad  []string
	}{
		{"service", manifest.IsServiceName, []string{"a", "web-1", label63}, []string{"", "1a", "-a", "a-", "A", "a_b", "a.b", "ä", label64}},
		{"group", manifest.IsGroupName, []string{"a", "us-west", "US_West.2", "1", label63}, []string{"", "-a", "a-", ".a", "a b", "ä", label64}},
		{"host", manifest.IsHost, []string{"localhost", "a.example.com", "1.a", host253}, []string{"", ".", "a.", ".a", "a..b", "A.com", "a_b.com", "10.0.0.1", "1", "a.1", "*.a.com", "a.com:80", host253 + "d", label64 + ".com"}},
		{"env", manifest.IsEnvName, []string{"A", "_", "a.b-c_1"}, []string{"", "1A", "A=B", "A B", "Ä"}},
		{"image", manifest.IsImage,
			[]string{"nginx", "nginx:1.27", "library/nginx", "localhost/x", "localhost:5000/x:1", "r.example.com/a/b-c_d__e.f:v1", "x@" + digest, "x:1@" + digest, "R.example.com:5000/x", "a---b"},
			[]string{"", "Nginx", "nginx:", ":1", "nginx:-1", "a b", "a//b", "/a", "a/", "a:1:2", "x@sha256:00", "x@md5:00", "a..b", "a___b", "-a", "http://x", "\u212a8s.io/x", "r.example.com:port/x", "r.example.com:123456/x", "nginx:" + strings.Repeat("a", 129), strings.Repeat("a", 513)}},
	} {
		for _, s := range tc.good {
			if !tc.is(s) {
				t.Errorf("%s: %q is refused", tc.what, s)
			}
		}
		for _, s := range tc.bad {
			if tc.is(s) {
				t.Errorf("%s: %q is accepted", tc.what, s)
			}
		}
	}
}
