package addresses

import (
	"fmt"
	"log/slog"
	"net/netip"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
)

func service(namespace, name, share, at string, age int, ports ...int32) *corev1.Service {
	s := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, CreationTimestamp: metav1.NewTime(time.Unix(int64(1000-age), 0))},
		Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer},
	}
	if share != "" {
		s.Annotations = map[string]string{Share: share}
	}
	if at != "" {
		s.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: at}}
	}
	for _, p := range ports {
		s.Spec.Ports = append(s.Spec.Ports, corev1.ServicePort{Name: fmt.Sprint(p), Port: p, Protocol: corev1.ProtocolTCP})
	}
	return s
}

func TestAssign(t *testing.T) {
	pool := netip.MustParsePrefix("10.9.0.0/30")
	other := "example.com/addresses"
	foreign := service("f", "foreign", "", "", 9, 80)
	foreign.Spec.LoadBalancerClass = &other
	plain := service("p", "plain", "", "", 9, 80)
	plain.Spec.Type = corev1.ServiceTypeClusterIP
	got := Assign(pool, []*corev1.Service{
		service("b", "second", "", "", 1, 80),
		service("a", "first", "", "", 2, 80),
		service("c", "keeps", "", "10.9.0.0", 0, 80),
		service("c", "elsewhere", "", "192.0.2.1", 0, 80),
		service("d", "one", "x", "", 0, 80), service("d", "two", "x", "", 0, 81), service("e", "two", "x", "", 0, 82),
		foreign, plain,
	})
	want := map[string]string{
		"c/keeps": "10.9.0.0", "a/first": "10.9.0.1", "b/second": "10.9.0.2", "c/elsewhere": "10.9.0.3",
	}
	for name, at := range got {
		if want[name.String()] != at.String() {
			t.Errorf("%s has %s, want %q", name, at, want[name.String()])
		}
	}
	if len(got) != len(want) {
		t.Errorf("%v, want %v: the pool has four", got, want)
	}
	// Ports decide whether an address is shared, and namespaces whether it may be.
	got = Assign(pool, []*corev1.Service{
		service("d", "one", "x", "", 5, 80), service("d", "two", "x", "", 4, 81), service("d", "three", "x", "", 3, 80), service("e", "one", "x", "", 2, 82),
	})
	for name, at := range map[string]string{"one": "10.9.0.0", "two": "10.9.0.0", "three": "10.9.0.1"} {
		if has := got[types.NamespacedName{Namespace: "d", Name: name}]; has.String() != at {
			t.Errorf("%s has %s, want %s", name, has, at)
		}
	}
	if has := got[types.NamespacedName{Namespace: "e", Name: "one"}]; has.String() != "10.9.0.2" {
		t.Errorf("another namespace's has %s", has)
	}
}

// TestRun: a Service is told its address, and one that comes later another one.
func TestRun(t *testing.T) {
	client := fake.NewClientset(service("a", "first", "", "", 2, 80))
	ctx := t.Context()
	ended := make(chan error, 1)
	go func() {
		ended <- Run(ctx, Config{Client: client, Pool: netip.MustParsePrefix("10.9.0.0/30"), Log: slog.New(slog.DiscardHandler)})
	}()
	await := func(namespace, name, want string) {
		t.Helper()
		for deadline := time.Now().Add(20 * time.Second); ; <-time.After(5 * time.Millisecond) {
			s, err := client.CoreV1().Services(namespace).Get(ctx, name, metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if at, ok := present(s); ok && at.String() == want {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s has %v, want %s", name, s.Status.LoadBalancer, want)
			}
		}
	}
	await("a", "first", "10.9.0.0")
	if _, err := client.CoreV1().Services("b").Create(ctx, service("b", "second", "", "", 1, 80), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	await("b", "second", "10.9.0.1")
	select {
	case err := <-ended:
		t.Fatalf("it ended: %v", err)
	default:
	}
}
