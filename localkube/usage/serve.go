package usage

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
)

// The API as the API server is told of it.
const (
	Group   = "metrics.k8s.io"
	Version = "v1beta1"
	// Service is the Service, in Namespace, behind which the API server finds us,
	// and the name that the certificate must bear.
	Namespace = "kube-system"
	Service   = "metrics"

	groupVersion = Group + "/" + Version
	root         = "/apis/" + groupVersion
)

const (
	// maxAsked is how many requests are answered at once; others wait their turn.
	maxAsked = 8
	// maxItems is how many pods are told of at once.
	maxItems = 5000
	// goodbye is how long requests have to end when we do.
	goodbye = 2 * time.Second
)

// Config says where to read and where to serve.
type Config struct {
	// Rest reaches the API server, and gives the keys that the kubelet knows us by.
	Rest *rest.Config
	// Kubelet is the kubelet's URL.
	Kubelet string
	// Listen is the address to serve at, Certificate and Key are the files for it.
	Listen, Certificate, Key string
	// Authority is the file of the authority that signs the API server's
	// certificates. Caller is the name in the one that it shows: who asks through
	// it has been looked at, and nobody else may ask.
	Authority, Caller string
	Log               *slog.Logger
}

// Run serves until ctx ends.
func Run(ctx context.Context, cfg Config) error { return run(ctx, cfg, func(string) {}) }

// run is Run; it says at which address it serves when it does.
func run(ctx context.Context, cfg Config, serves func(address string)) error {
	tlsConfig, err := cfg.tls()
	if err != nil {
		return err
	}
	objects, err := metadata.NewForConfig(cfg.Rest)
	if err != nil {
		return fmt.Errorf("make a client: %w", err)
	}
	client, err := rest.HTTPClientFor(cfg.Rest)
	if err != nil {
		return fmt.Errorf("make a client: %w", err)
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", cfg.Listen)
	if err != nil {
		return fmt.Errorf("serve what pods use: %w", err)
	}
	api := &server{objects: objects, kubelet: &kubelet{client: client, url: cfg.Kubelet, now: time.Now}, log: cfg.Log}
	srv := &http.Server{
		Handler: http.TimeoutHandler(limited(api.handler(), maxAsked), 2*patience, "it took too long"), TLSConfig: tlsConfig,
		ReadTimeout: patience, WriteTimeout: 3 * patience, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
		ErrorLog: slog.NewLogLogger(cfg.Log.Handler(), slog.LevelDebug),
	}
	ended := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(ended)
		ctx, cancel := context.WithTimeout(context.Background(), goodbye)
		defer cancel()
		_ = srv.Shutdown(ctx)
	})
	serves(listener.Addr().String())
	err = srv.ServeTLS(listener, "", "")
	if !stop() {
		<-ended
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("serve what pods use: %w", err)
}

func (c Config) tls() (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(c.Certificate, c.Key)
	if err != nil {
		return nil, fmt.Errorf("read the certificate: %w", err)
	}
	data, err := os.ReadFile(c.Authority)
	if err != nil {
		return nil, fmt.Errorf("read the authority: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(data) {
		return nil, fmt.Errorf("read the authority: %s holds no certificate", c.Authority)
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}, NextProtos: []string{"h2", "http/1.1"},
		ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool,
		VerifyConnection: func(s tls.ConnectionState) error {
			if name := s.PeerCertificates[0].Subject.CommonName; name != c.Caller {
				return fmt.Errorf("%q may not ask here", name)
			}
			return nil
		},
	}, nil
}

// limited answers so many requests at once.
func limited(next http.Handler, most int) http.Handler {
	turns := make(chan struct{}, most)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case turns <- struct{}{}:
			defer func() { <-turns }()
			next.ServeHTTP(w, r)
		case <-r.Context().Done():
		}
	})
}

type server struct {
	objects metadata.Interface
	kubelet *kubelet
	log     *slog.Logger
}

// handler serves what a group of the API consists of.
func (s *server) handler() http.Handler {
	mux := http.NewServeMux()
	ok := func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) }
	for _, path := range []string{"/healthz", "/livez", "/readyz"} {
		mux.HandleFunc("GET "+path, ok)
	}
	mux.HandleFunc("GET /apis/"+Group, func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, apiGroup()) })
	mux.HandleFunc("GET "+root, func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, apiResources()) })
	mux.HandleFunc("GET "+root+"/nodes", s.reply(s.nodes))
	mux.HandleFunc("GET "+root+"/nodes/{name}", s.reply(s.node))
	mux.HandleFunc("GET "+root+"/pods", s.reply(s.pods))
	mux.HandleFunc("GET "+root+"/namespaces/{namespace}/pods", s.reply(s.pods))
	mux.HandleFunc("GET "+root+"/namespaces/{namespace}/pods/{name}", s.reply(s.pod))
	return mux
}

func apiGroup() metav1.APIGroup {
	v := metav1.GroupVersionForDiscovery{GroupVersion: groupVersion, Version: Version}
	return metav1.APIGroup{
		TypeMeta: metav1.TypeMeta{Kind: "APIGroup", APIVersion: "v1"},
		Name:     Group, Versions: []metav1.GroupVersionForDiscovery{v}, PreferredVersion: v,
	}
}

func apiResources() metav1.APIResourceList {
	return metav1.APIResourceList{
		TypeMeta: metav1.TypeMeta{Kind: "APIResourceList", APIVersion: "v1"}, GroupVersion: groupVersion,
		APIResources: []metav1.APIResource{
			{Name: "nodes", Kind: "NodeMetrics", Verbs: metav1.Verbs{"get", "list"}},
			{Name: "pods", Kind: "PodMetrics", Namespaced: true, Verbs: metav1.Verbs{"get", "list"}},
		},
	}
}

// metrics is an object of the API: of a node, or of a pod with its containers.
type metrics struct {
	metav1.TypeMeta `json:",inline"`
	Metadata        metav1.ObjectMeta `json:"metadata"`
	Timestamp       metav1.Time       `json:"timestamp"`
	Window          metav1.Duration   `json:"window"`
	Usage           usage             `json:"usage,omitempty"`
	Containers      []container       `json:"containers,omitempty"`
}

type metricsList struct {
	metav1.TypeMeta `json:",inline"`
	Metadata        metav1.ListMeta `json:"metadata"`
	Items           []metrics       `json:"items"`
}

// reply sends what an answer function returns, an error in the form of the API.
func (s *server) reply(of func(*http.Request) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		got, err := s.answerTo(r, of)
		if err == nil {
			answer(w, http.StatusOK, got)
			return
		}
		status := apierrors.APIStatus(nil)
		if !errors.As(err, &status) {
			s.log.Warn("what pods use cannot be told", "path", r.URL.Path, "err", err)
			status = apierrors.NewServiceUnavailable(err.Error())
		}
		st := status.Status()
		st.TypeMeta = metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}
		answer(w, int(st.Code), st)
	}
}

func (s *server) answerTo(r *http.Request, of func(*http.Request) (any, error)) (any, error) {
	if watch := r.URL.Query().Get("watch"); watch != "" && watch != "0" && watch != "false" {
		return nil, apierrors.NewMethodNotSupported(schema.GroupResource{Group: Group, Resource: "metrics"}, "watch")
	}
	return of(r)
}

func answer(w http.ResponseWriter, code int, v any) {
	data, err := json.Marshal(v)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_, _ = w.Write(data)
}

var (
	podsOf  = schema.GroupVersionResource{Version: "v1", Resource: "pods"}
	nodesOf = schema.GroupVersionResource{Version: "v1", Resource: "nodes"}
)

// listed are the objects that a request selects. Those of the API server's
// cache will do.
func (s *server) listed(r *http.Request, of schema.GroupVersionResource) ([]metav1.PartialObjectMetadata, error) {
	q := r.URL.Query()
	list, err := s.objects.Resource(of).Namespace(r.PathValue("namespace")).List(r.Context(), metav1.ListOptions{
		LabelSelector: q.Get("labelSelector"), FieldSelector: q.Get("fieldSelector"), ResourceVersion: "0", Limit: maxItems,
	})
	if err != nil {
		return nil, err
	}
	return list.Items, nil
}

func (s *server) nodes(r *http.Request) (any, error) {
	items, err := s.listed(r, nodesOf)
	if err != nil {
		return nil, err
	}
	now, err := s.kubelet.newest(r.Context())
	if err != nil {
		return nil, err
	}
	out := metricsList{TypeMeta: metav1.TypeMeta{Kind: "NodeMetricsList", APIVersion: groupVersion}, Items: []metrics{}}
	for i := range items {
		if m, ok := now.ofNode(items[i].ObjectMeta); ok {
			out.Items = append(out.Items, m)
		}
	}
	return out, nil
}

func (s *server) node(r *http.Request) (any, error) {
	o, err := s.objects.Resource(nodesOf).Get(r.Context(), r.PathValue("name"), metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	now, err := s.kubelet.newest(r.Context())
	if err != nil {
		return nil, err
	}
	if m, ok := now.ofNode(o.ObjectMeta); ok {
		return m, nil
	}
	return nil, apierrors.NewNotFound(schema.GroupResource{Group: Group, Resource: "nodes"}, o.Name)
}

func (s *server) pods(r *http.Request) (any, error) {
	items, err := s.listed(r, podsOf)
	if err != nil {
		return nil, err
	}
	now, err := s.kubelet.newest(r.Context())
	if err != nil {
		return nil, err
	}
	out := metricsList{TypeMeta: metav1.TypeMeta{Kind: "PodMetricsList", APIVersion: groupVersion}, Items: []metrics{}}
	for i := range items {
		if m, ok := now.ofPod(items[i].ObjectMeta); ok {
			out.Items = append(out.Items, m)
		}
	}
	return out, nil
}

func (s *server) pod(r *http.Request) (any, error) {
	o, err := s.objects.Resource(podsOf).Namespace(r.PathValue("namespace")).Get(r.Context(), r.PathValue("name"), metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	now, err := s.kubelet.newest(r.Context())
	if err != nil {
		return nil, err
	}
	if m, ok := now.ofPod(o.ObjectMeta); ok {
		return m, nil
	}
	return nil, apierrors.NewNotFound(schema.GroupResource{Group: Group, Resource: "pods"}, o.Name)
}

func (n *reading) ofNode(o metav1.ObjectMeta) (metrics, bool) {
	if n.own == nil || o.Name != n.node {
		return metrics{}, false
	}
	m := metricsOf("NodeMetrics", o, n.own.at)
	m.Usage = n.own.use
	return m, true
}

func (n *reading) ofPod(o metav1.ObjectMeta) (metrics, bool) {
	p, ok := n.pods[o.UID]
	if !ok {
		return metrics{}, false
	}
	m := metricsOf("PodMetrics", o, p.at)
	m.Containers = p.containers
	return m, true
}

func metricsOf(kind string, o metav1.ObjectMeta, at time.Time) metrics {
	return metrics{
		TypeMeta:  metav1.TypeMeta{Kind: kind, APIVersion: groupVersion},
		Metadata:  metav1.ObjectMeta{Name: o.Name, Namespace: o.Namespace, Labels: o.Labels, CreationTimestamp: o.CreationTimestamp},
		Timestamp: metav1.NewTime(at), Window: metav1.Duration{Duration: window},
	}
}
