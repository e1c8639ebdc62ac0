package usage

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/metadata/fake"
	"k8s.io/client-go/rest"

	"berth.dev/berth/localkube/pki"
)

const summaryText = `{
 "node": {"nodeName": "localkube", "cpu": {"time": "2026-01-02T03:04:05Z", "usageNanoCores": 1500000000}, "memory": {"workingSetBytes": 1073741824}},
 "pods": [
  {"podRef": {"name": "web-1", "namespace": "a", "uid": "u1"}, "containers": [
   {"name": "web", "cpu": {"time": "2026-01-02T03:04:05Z", "usageNanoCores": 250000000}, "memory": {"workingSetBytes": 4096}},
   {"name": "side", "cpu": {"time": "2026-01-02T03:04:01Z", "usageNanoCores": 1}, "memory": {"workingSetBytes": 18446744073709551615}}]},
  {"podRef": {"name": "web-2", "namespace": "a", "uid": "u2"}, "containers": [
   {"name": "web", "cpu": {"time": "2026-01-02T03:04:05Z"}, "memory": {"workingSetBytes": 4096}}]},
  {"podRef": {"name": "db-1", "namespace": "b", "uid": "u3"}, "containers": [
   {"name": "db", "cpu": {"time": "2026-01-02T03:04:05Z", "usageNanoCores": 0}, "memory": {"workingSetBytes": 0}}]},
  {"podRef": {"name": "gone", "namespace": "b", "uid": "u4"}, "containers": [
   {"name": "db", "cpu": {"time": "2026-01-02T03:04:05Z", "usageNanoCores": 5}, "memory": {"workingSetBytes": 5}}]}
 ]}`

func object(kind, namespace, name, uid string, lbls labels.Set) *metav1.PartialObjectMetadata {
	return &metav1.PartialObjectMetadata{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: kind},
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, UID: types.UID(uid), Labels: lbls},
	}
}

// fixture is the API in front of a kubelet that answers as it is told to.
func fixture(t *testing.T, kubeletSays http.HandlerFunc) (get func(path string) (int, string), k *kubelet) {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := metav1.AddMetaToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	objects := fake.NewSimpleMetadataClient(scheme,
		object("Node", "", "localkube", "n", labels.Set{"zone": "a"}),
		object("Pod", "a", "web-1", "u1", labels.Set{"app": "web"}), object("Pod", "a", "web-2", "u2", labels.Set{"app": "web"}),
		object("Pod", "b", "db-1", "u3", labels.Set{"app": "db"}), object("Pod", "b", "new", "u5", labels.Set{"app": "db"}),
	)
	node := httptest.NewServer(kubeletSays)
	t.Cleanup(node.Close)
	k = &kubelet{client: node.Client(), url: node.URL, now: time.Now}
	s := &server{objects: objects, kubelet: k, log: slog.New(slog.DiscardHandler)}
	h := s.handler()
	return func(path string) (int, string) {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, http.NoBody))
		return w.Code, w.Body.String()
	}, k
}

func says(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, text) }
}

func TestAnswers(t *testing.T) {
	get, _ := fixture(t, says(summaryText))
	for path, want := range map[string]struct {
		code       int
		have, lack []string
	}{
		"/apis/metrics.k8s.io":         {200, []string{`"kind":"APIGroup"`, `"groupVersion":"metrics.k8s.io/v1beta1"`}, nil},
		"/apis/metrics.k8s.io/v1beta1": {200, []string{`"kind":"APIResourceList"`, `"name":"pods"`, `"namespaced":true`}, nil},
		"/readyz":                      {200, []string{"ok"}, nil},
		"/apis":                        {404, nil, nil},
		root + "/pods": {200, []string{
			`"kind":"PodMetricsList"`, `"name":"web-1","namespace":"a"`, `"cpu":"250m"`, `"memory":"4Ki"`, `"name":"db-1"`, `"window":"10s"`,
			`"timestamp":"2026-01-02T03:04:01Z"`, // of the older container
		}, []string{"web-2", "gone", `"new"`}},
		root + "/namespaces/a/pods":                                  {200, []string{"web-1"}, []string{"db-1"}},
		root + "/namespaces/a/pods?labelSelector=app%3Dweb":          {200, []string{"web-1"}, nil},
		root + "/namespaces/a/pods?labelSelector=app%3Ddb":           {200, []string{`"items":[]`}, nil},
		root + "/namespaces/none/pods":                               {200, []string{`"items":[]`}, nil},
		root + "/namespaces/a/pods/web-1":                            {200, []string{`"kind":"PodMetrics"`, `"cpu":"250m"`, `"labels":{"app":"web"}`}, nil},
		root + "/namespaces/a/pods/web-2":                            {404, []string{`"kind":"Status"`, `"reason":"NotFound"`}, nil},
		root + "/namespaces/a/pods/none":                             {404, []string{`"reason":"NotFound"`}, nil},
		root + "/namespaces/a/pods?watch=true":                       {405, []string{`"reason":"MethodNotAllowed"`}, nil},
		root + "/nodes":                                              {200, []string{`"kind":"NodeMetricsList"`, `"cpu":"1500m"`, `"memory":"1Gi"`}, []string{"containers"}},
		root + "/nodes?labelSelector=zone%3Db":                       {200, []string{`"items":[]`}, nil},
		root + "/nodes/localkube":                                    {200, []string{`"kind":"NodeMetrics"`}, nil},
		root + "/nodes/other":                                        {404, []string{`"reason":"NotFound"`}, nil},
		root + "/namespaces/a/pods?watch=false&labelSelector=app":    {200, []string{"web-1"}, nil},
		root + "/namespaces/a/services":                              {404, nil, nil},
		root + "/namespaces/b/pods?labelSelector=app%20in%20(db,x)":  {200, []string{"db-1", `"cpu":"0"`}, []string{"web"}},
		root + "/namespaces/b/pods?labelSelector=app%20notin%20(db)": {200, []string{`"items":[]`}, nil},
	} {
		code, body := get(path)
		if code != want.code {
			t.Errorf("%s: %d %s, want %d", path, code, body, want.code)
		}
		for _, s := range want.have {
			if !strings.Contains(body, s) {
				t.Errorf("%s: %s does not hold %s", path, body, s)
			}
		}
		for _, s := range want.lack {
			if strings.Contains(body, s) {
				t.Errorf("%s: %s holds %s", path, body, s)
			}
		}
	}
}

// TestKubeletInTrouble: what cannot be learned is an error in the form of the
// API, never an empty list, which would tell that nothing is used.
func TestKubeletInTrouble(t *testing.T) {
	for name, says := range map[string]http.HandlerFunc{
		"refused":  func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) },
		"nonsense": says("{"),
		"endless": func(w http.ResponseWriter, _ *http.Request) {
			line := strings.Repeat(" ", 1<<20)
			for range maxSummary>>20 + 2 {
				_, _ = io.WriteString(w, line)
			}
		},
	} {
		get, _ := fixture(t, says)
		code, body := get(root + "/pods")
		var st metav1.Status
		if err := json.Unmarshal([]byte(body), &st); err != nil || code != 503 || st.Reason != metav1.StatusReasonServiceUnavailable {
			t.Errorf("%s: %d %s", name, code, body)
		}
	}
}

// TestKubeletIsAskedOnceASecond also when it fails.
func TestKubeletIsAskedOnceASecond(t *testing.T) {
	asked, fail := 0, false
	get, k := fixture(t, func(w http.ResponseWriter, r *http.Request) {
		if asked++; fail {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		if r.URL.RequestURI() != "/stats/summary?only_cpu_and_memory=true" {
			t.Errorf("asked for %s", r.URL)
		}
		_, _ = io.WriteString(w, summaryText)
	})
	now := time.Unix(1000, 0)
	k.now = func() time.Time { return now }
	for i, step := range []struct {
		after      time.Duration
		fail       bool
		code, want int
	}{{0, false, 200, 1}, {fresh / 2, true, 200, 1}, {fresh, true, 503, 2}, {fresh / 2, false, 503, 2}, {fresh, false, 200, 3}} {
		now, fail = now.Add(step.after), step.fail
		if code, body := get(root + "/pods"); code != step.code || asked != step.want {
			t.Errorf("step %d: %d after %d questions, want %d after %d; %s", i, code, asked, step.code, step.want, body)
		}
	}
}

// TestOnlyTheCallerMayAsk: others with a certificate of the same authority, or
// with none, get no answer.
func TestOnlyTheCallerMayAsk(t *testing.T) {
	dir := t.TempDir()
	ca, err := pki.NewAuthority("test", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	issue := func(name string, ips ...netip.Addr) tls.Certificate {
		pair, err := ca.Issue(pki.Subject{CommonName: name, IPs: ips})
		if err != nil {
			t.Fatal(err)
		}
		if err := pair.Write(dir, name); err != nil {
			t.Fatal(err)
		}
		c, err := tls.X509KeyPair(pair.Cert, pair.Key)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	issue("server", netip.MustParseAddr("127.0.0.1"))
	if err := ca.Write(dir, "ca"); err != nil {
		t.Fatal(err)
	}
	file := func(name string) string { return filepath.Join(dir, name) }
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	const at = "127.0.0.1:0"
	cfg := Config{
		Rest: &rest.Config{Host: "https://127.0.0.1:1"}, Kubelet: "https://127.0.0.1:1", Listen: at, Caller: "front",
		Certificate: file("server.crt"), Key: file("server.key"), Authority: file("ca.crt"), Log: slog.New(slog.DiscardHandler),
	}
	address := make(chan string, 1)
	go func() { done <- run(ctx, cfg, func(a string) { address <- a }) }()
	url := "https://" + <-address + "/readyz"
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca.Cert)
	for _, who := range []struct {
		name  string
		certs []tls.Certificate
		ok    bool
	}{{"the caller", []tls.Certificate{issue("front")}, true}, {"somebody", []tls.Certificate{issue("somebody")}, false}, {"nobody", nil, false}} {
		client := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, Certificates: who.certs}}}
		resp, err := client.Get(url)
		if (err == nil) != who.ok {
			t.Errorf("%s: %v", who.name, err)
		}
		if err == nil {
			_ = resp.Body.Close()
		}
		client.CloseIdleConnections()
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Run: %v", err)
	}
	for name, change := range map[string]func(*Config){
		"no certificate": func(c *Config) { c.Certificate = file("absent") },
		"no authority":   func(c *Config) { c.Authority = file("absent") },
		"not one":        func(c *Config) { c.Authority = file("server.key") },
	} {
		c := cfg
		change(&c)
		if err := Run(t.Context(), c); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
