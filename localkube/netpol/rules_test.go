package netpol

import (
	"bytes"
	"flag"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	netv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"pgregory.net/rapid"
	"sigs.k8s.io/yaml"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// load reads a state from a YAML stream of pods, namespaces and policies. A pod's annotation
// "assigned" is the address that the network plugin reported.
func load(t *testing.T, file string) State {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	s := State{PodNetwork: netip.MustParsePrefix("10.244.0.0/24"), Assigned: map[types.NamespacedName]netip.Addr{}}
	for _, doc := range bytes.Split(data, []byte("\n---\n")) {
		var kind metav1.TypeMeta
		decode(t, doc, &kind)
		switch kind.Kind {
		case "Pod":
			p := &corev1.Pod{}
			decode(t, doc, p)
			p.UID = types.UID(p.Namespace + "/" + p.Name)
			if a := p.Annotations["assigned"]; a != "" {
				s.Assigned[keyOf(p)] = netip.MustParseAddr(a)
			}
			if p.Annotations["gone"] == "" {
				s.Pods = append(s.Pods, p)
			}
		case "Namespace":
			ns := &corev1.Namespace{}
			decode(t, doc, ns)
			s.Namespaces = append(s.Namespaces, ns)
		case "NetworkPolicy":
			np := &netv1.NetworkPolicy{}
			decode(t, doc, np)
			s.Policies = append(s.Policies, np)
		default:
			t.Fatalf("%s: unknown kind %q", file, kind.Kind)
		}
	}
	return s
}

func decode(t *testing.T, doc []byte, into any) {
	t.Helper()
	if err := yaml.Unmarshal(doc, into); err != nil {
		t.Fatalf("%v in\n%s", err, doc)
	}
}

func states(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no states in testdata: %v", err)
	}
	return files
}

func TestRenderGolden(t *testing.T) {
	for _, file := range states(t) {
		t.Run(filepath.Base(file), func(t *testing.T) {
			got := Render(load(t, file))
			golden := strings.TrimSuffix(file, ".yaml") + ".nft"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("rules differ from %s:\n%s", golden, got)
			}
		})
	}
}

// The packet filter itself must accept every script that we render. It reads
// them without applying anything, which needs its program but a namespace of
// its own only where it insists on root.
func TestTheRulesAreWellFormed(t *testing.T) {
	if _, err := exec.LookPath("nft"); err != nil || os.Geteuid() != 0 {
		unable(t, "needs nft and root")
	}
	for _, file := range states(t) {
		cmd := exec.Command("nft", "--check", "-f", "-")
		cmd.Stdin = strings.NewReader(Render(load(t, file)))
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: nft: %v\n%s", file, err, out)
		}
	}
}

func TestOrderDoesNotMatter(t *testing.T) {
	for _, file := range states(t) {
		s := load(t, file)
		want := Render(s)
		rapid.Check(t, func(t *rapid.T) {
			r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
			shuffled := State{
				PodNetwork: s.PodNetwork, Assigned: s.Assigned,
				Pods: slices.Clone(s.Pods), Namespaces: slices.Clone(s.Namespaces), Policies: slices.Clone(s.Policies),
			}
			r.Shuffle(len(shuffled.Pods), func(i, j int) { shuffled.Pods[i], shuffled.Pods[j] = shuffled.Pods[j], shuffled.Pods[i] })
			r.Shuffle(len(shuffled.Policies), func(i, j int) {
				shuffled.Policies[i], shuffled.Policies[j] = shuffled.Policies[j], shuffled.Policies[i]
			})
			if got := Render(shuffled); got != want {
				t.Fatalf("%s: another order gives other rules", file)
			}
		})
	}
}

// A pod that a policy selects for a direction never has a way that no rule
// gives it: its chain ends in a drop, and its address is in the verdict map.
func TestSelectedPodsAreIsolated(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := State{PodNetwork: netip.MustParsePrefix("10.244.0.0/24"), Namespaces: []*corev1.Namespace{{ObjectMeta: metav1.ObjectMeta{Name: "a"}}}}
		n := rapid.IntRange(1, 8).Draw(t, "pods")
		for i := range n {
			p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: string(rune('a' + i)), UID: types.UID(rune('a' + i))}}
			p.Labels = map[string]string{"app": rapid.SampledFrom([]string{"x", "y"}).Draw(t, "app")}
			p.Status.PodIP = netip.AddrFrom4([4]byte{10, 244, 0, byte(10 + i)}).String()
			s.Pods = append(s.Pods, p)
		}
		directions := rapid.SampledFrom([][]netv1.PolicyType{{"Ingress"}, {"Egress"}, {"Ingress", "Egress"}}).Draw(t, "directions")
		s.Policies = []*netv1.NetworkPolicy{{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "deny"}, Spec: netv1.NetworkPolicySpec{
			PodSelector: metav1.LabelSelector{MatchLabels: map[string]string{"app": "x"}}, PolicyTypes: directions,
		}}}
		script := Render(s)
		for _, p := range s.Pods {
			chain := strings.ReplaceAll(p.Status.PodIP, ".", "-")
			for prefix, direction := range map[string]netv1.PolicyType{"in-": "Ingress", "out-": "Egress"} {
				selected := p.Labels["app"] == "x" && slices.Contains(directions, direction)
				jump := strings.Contains(script, p.Status.PodIP+" : jump "+prefix+chain)
				_, rest, found := strings.Cut(script, "chain "+prefix+chain+" {")
				body, _, _ := strings.Cut(rest, "}")
				if jump != selected || found != selected || (selected && !strings.Contains(body, "counter drop")) {
					t.Fatalf("pod %s, %s: selected=%v jump=%v chain=%v\n%s", p.Name, direction, selected, jump, found, script)
				}
			}
		}
	})
}
