package doctor

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

// machine has everything but what is named.
func machine(lacks ...string) Machine {
	has := func(name string) bool { return !slices.Contains(lacks, name) }
	return Machine{
		OS: "linux", Root: has("root"), Debian: has("debian"), Program: has,
		File: func(glob string) bool {
			return !slices.ContainsFunc(lacks, func(l string) bool { return strings.Contains(glob, l) })
		},
	}
}

func TestExamine(t *testing.T) {
	mac := machine()
	mac.OS = "darwin"
	for name, tc := range map[string]struct {
		m          Machine
		build      bool
		want       string // part of the error; empty: none
		impossible bool
	}{
		"everything there":             {machine(), true, "", false},
		"another system":               {mac, true, "need Linux, this is darwin", true},
		"not root":                     {machine("root"), true, "root", true},
		"no control groups":            {machine("cgroup"), true, "control groups", true},
		"no nft":                       {machine("nft"), true, "apt-get install -y --no-install-recommends nftables", false},
		"no compiler":                  {machine("gcc", "libseccomp"), true, "gcc libseccomp-dev", false},
		"no compiler, nothing to make": {machine("gcc", "libseccomp"), false, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			err := Examine(tc.m, tc.build).Err()
			if (err == nil) != (tc.want == "") || (err != nil && !strings.Contains(err.Error(), tc.want)) {
				t.Errorf("Examine = %v, want %q", err, tc.want)
			}
			if errors.Is(err, ErrImpossible) != tc.impossible {
				t.Errorf("Examine = %v, impossible = %v, want %v", err, !tc.impossible, tc.impossible)
			}
		})
	}
}

func TestMendDoesNotTouchOtherSystems(t *testing.T) {
	var out strings.Builder
	if err := Mend(t.Context(), machine("nft", "debian"), true, &out); err == nil || out.Len() > 0 {
		t.Errorf("Mend = %v and said %q, want an error and silence", err, out.String())
	}
	if err := Mend(t.Context(), machine(), true, &out); err != nil {
		t.Errorf("Mend of a machine that lacks nothing = %v", err)
	}
}
