//go:build e2e

package kube

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// underRole returns the path of a kubeconfig whose user is a service account with exactly the driver's role, and looks
// at every answer: when the test ends, none may have been a refusal, and every request must stand in the role's table.
func underRole(t *testing.T, admin string) (kubeconfig string) {
	t.Helper()
	rc, err := restConfig(admin)
	if err != nil {
		t.Fatal(err)
	}
	token := roleToken(t, rc)
	transport, err := rest.TransportFor(rest.AnonymousClientConfig(rc))
	if err != nil {
		t.Fatal(err)
	}
	old := rest.AnonymousClientConfig(rc)
	old.NextProtos = []string{"http/1.1"}
	upgrading, err := rest.TransportFor(old)
	if err != nil {
		t.Fatal(err)
	}
	server, err := url.Parse(rc.Host)
	if err != nil {
		t.Fatal(err)
	}
	w := &refusals{next: transport, upgrading: upgrading, token: token, seen: map[string]bool{}}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(server) }, Transport: w, FlushInterval: -1,
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	}
	srv := httptest.NewServer(proxy)
	t.Cleanup(func() {
		srv.CloseClientConnections() // watches of drivers that were stopped
		srv.Close()
		may := allowed()
		for _, p := range w.refused {
			t.Errorf("refused under the driver's role: %s", p)
		}
		for p := range w.seen {
			if !may[p] {
				t.Errorf("the driver asked for %q, which its role does not name", p)
			}
		}
		t.Logf("%d different requests under the role", len(w.seen))
	})
	kubeconfig = filepath.Join(t.TempDir(), "kubeconfig")
	text := fmt.Sprintf(`{"apiVersion":"v1","kind":"Config","clusters":[{"name":"c","cluster":{"server":%q}}],"users":[{"name":"u","user":{}}],"contexts":[{"name":"x","context":{"cluster":"c","user":"u"}}],"current-context":"x"}`, srv.URL)
	if err := os.WriteFile(kubeconfig, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return kubeconfig
}

// roleToken makes a service account with the driver's role for the time of a test, and returns its token.
func roleToken(t *testing.T, rc *rest.Config) string {
	t.Helper()
	c, err := kubernetes.NewForConfig(rc)
	if err != nil {
		t.Fatal(err)
	}
	ctx, name := t.Context(), "role-"+digest([]byte(t.Name()+run), 6)
	role := Role()
	role.Name = name
	if _, err := c.RbacV1().ClusterRoles().Create(ctx, role, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.RbacV1().ClusterRoles().Delete(context.Background(), name, metav1.DeleteOptions{}) })
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if _, err := c.CoreV1().ServiceAccounts(metav1.NamespaceDefault).Create(ctx, account, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.CoreV1().ServiceAccounts(metav1.NamespaceDefault).Delete(context.Background(), name, metav1.DeleteOptions{})
	})
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: name},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Name: name, Namespace: metav1.NamespaceDefault}},
	}
	if _, err := c.RbacV1().ClusterRoleBindings().Create(ctx, binding, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.RbacV1().ClusterRoleBindings().Delete(context.Background(), name, metav1.DeleteOptions{})
	})
	tr, err := c.CoreV1().ServiceAccounts(metav1.NamespaceDefault).CreateToken(ctx, name, &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	token := tr.Status.Token
	// The API server learns of a new binding a moment later.
	rc = rest.AnonymousClientConfig(rc)
	rc.BearerToken = token
	if c, err = kubernetes.NewForConfig(rc); err != nil {
		t.Fatal(err)
	}
	await(t, "the role to be in force", func() (bool, string) {
		_, err := c.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
		return err == nil, fmt.Sprint(err)
	})
	return token
}

// refusals sends requests on with a token, and notes them and those that are refused.
type refusals struct {
	// upgrading is for requests that want another protocol, which HTTP/2 has no way to.
	next, upgrading http.RoundTripper

	token   string
	mu      sync.Mutex
	seen    map[string]bool
	refused []string
}

func (w *refusals) RoundTrip(r *http.Request) (*http.Response, error) {
	r.Header.Set("Authorization", "Bearer "+w.token)
	next := w.next
	if r.Header.Get("Upgrade") != "" {
		next = w.upgrading
	}
	res, err := next.RoundTrip(r)
	w.mu.Lock()
	defer w.mu.Unlock()
	if p, ok := permissionOf(r); ok {
		w.seen[p] = true
	}
	if err == nil && (res.StatusCode == http.StatusForbidden || res.StatusCode == http.StatusUnauthorized) && !byQuota(res) {
		w.refused = append(w.refused, fmt.Sprintf("%s %s: %s", r.Method, r.URL.Path, res.Status))
	}
	return res, err
}

// byQuota tells whether a quota refused a request, and no missing right.
func byQuota(res *http.Response) bool {
	body, err := io.ReadAll(res.Body)
	_ = res.Body.Close()
	res.Body = io.NopCloser(bytes.NewReader(body))
	return err == nil && bytes.Contains(body, []byte("quota"))
}
