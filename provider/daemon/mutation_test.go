package daemon

import (
	"bytes"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"

	manifesttypes "berth.dev/berth/manifest/types"
	markettypes "berth.dev/berth/x/market/types"
)

// mutationsVariable asks for more mutations than a run of the tests makes.
const mutationsVariable = "BERTH_MUTATIONS"

// TestMutatedManifests changes a manifest that the chain has the hash of, by bits and by structure: what is accepted has
// the group's bytes that were hashed, and no other envelope is.
func TestMutatedManifests(t *testing.T) {
	n := 1000
	if text := os.Getenv(mutationsVariable); text != "" {
		var err error
		if n, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	root, env := seal(t, webGroup(1, "berth.local/hello:1"))
	spec, id := webSpec(), markettypes.LeaseID{Gseq: env.Gseq}
	if _, err := checkManifest(env, id, root, spec); err != nil {
		t.Fatalf("the manifest itself is refused: %v", err)
	}
	r := rand.New(rand.NewPCG(1, 2))
	accepted := 0
	for i := range n {
		e := mutate(r, env)
		group, err := checkManifest(e, id, root, spec)
		if err != nil {
			continue
		}
		accepted++
		if got, sealed := seal(t, group); !bytes.Equal(got, root) || !bytes.Equal(e.Group, sealed.Group) {
			t.Fatalf("mutation %d is accepted, and its hash is not the chain's", i)
		}
	}
	t.Logf("%d of %d mutations are accepted: those that changed nothing", accepted, n)
}

// mutate returns an envelope that differs from env, or by chance does not.
func mutate(r *rand.Rand, env manifesttypes.Envelope) manifesttypes.Envelope {
	out := manifesttypes.Envelope{Group: bytes.Clone(env.Group), Gseq: env.Gseq}
	for _, leaf := range env.Leaves {
		out.Leaves = append(out.Leaves, bytes.Clone(leaf))
	}
	switch r.IntN(9) {
	case 0: // one bit of the group
		out.Group[r.IntN(len(out.Group))] ^= 1 << r.IntN(8)
	case 1: // one bit of a leaf
		leaf := out.Leaves[r.IntN(len(out.Leaves))]
		leaf[r.IntN(len(leaf))] ^= 1 << r.IntN(8)
	case 2:
		out.Group = out.Group[:r.IntN(len(out.Group))]
	case 3:
		out.Group = append(out.Group, byte(r.Uint32()))
	case 4: // a piece twice
		from := r.IntN(len(out.Group))
		to := from + r.IntN(len(out.Group)-from) + 1
		out.Group = append(bytes.Clone(out.Group[:to]), out.Group[from:]...)
	case 5: // a piece missing
		from := r.IntN(len(out.Group))
		to := from + r.IntN(len(out.Group)-from) + 1
		out.Group = append(bytes.Clone(out.Group[:from]), out.Group[to:]...)
	case 6:
		out.Gseq = r.Uint32N(4)
	case 7: // another number of leaves
		out.Leaves = append(out.Leaves, bytes.Clone(out.Leaves[0]))
	case 8: // two bytes change places
		a, b := r.IntN(len(out.Group)), r.IntN(len(out.Group))
		out.Group[a], out.Group[b] = out.Group[b], out.Group[a]
	}
	return out
}
