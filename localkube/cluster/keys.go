package cluster

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"

	"berth.dev/berth/localkube/addons"
	"berth.dev/berth/localkube/pki"
	"berth.dev/berth/localkube/usage"
)

// frontProxy is the name by which servers behind the API server know it.
const frontProxy = "front-proxy-client"

// identity is a certificate to issue; users among them get a kubeconfig too.
type identity struct {
	name string
	user bool
	pki.Subject
}

func (c Config) identities() []identity {
	masters := []string{"system:masters"}
	loopback := netip.MustParseAddr("127.0.0.1")
	return []identity{
		{name: "apiserver", Subject: pki.Subject{
			CommonName: "kube-apiserver",
			IPs:        []netip.Addr{c.NodeIP(), c.APIService(), loopback},
			DNS:        []string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"},
		}},
		{name: "apiserver-kubelet", Subject: pki.Subject{CommonName: "apiserver-kubelet-client", Groups: masters}},
		{name: "front-proxy", Subject: pki.Subject{CommonName: frontProxy}},
		{name: "admin", user: true, Subject: pki.Subject{CommonName: "admin", Groups: masters}},
		{name: "controllers", user: true, Subject: pki.Subject{CommonName: "system:kube-controller-manager"}},
		{name: "scheduler", user: true, Subject: pki.Subject{CommonName: "system:kube-scheduler"}},
		{name: "proxy", user: true, Subject: pki.Subject{CommonName: "system:kube-proxy"}},
		{name: "policy", user: true, Subject: pki.Subject{CommonName: "localkube:policy"}},
		{name: "volumes", user: true, Subject: pki.Subject{CommonName: "localkube:volumes"}},
		{name: "addresses", user: true, Subject: pki.Subject{CommonName: "localkube:addresses"}},
		{name: "usage", user: true, Subject: pki.Subject{
			CommonName: "localkube:usage", IPs: []netip.Addr{c.NodeIP()}, DNS: []string{usage.Service + "." + usage.Namespace + ".svc"},
		}},
		{name: "kubelet", user: true, Subject: pki.Subject{
			CommonName: "system:node:" + NodeName, Groups: []string{"system:nodes"},
			IPs: []netip.Addr{c.NodeIP()}, DNS: []string{NodeName},
		}},
	}
}

// keys writes every key, certificate and kubeconfig, once for the life of a
// cluster. The authority's certificate is written last: it marks the whole.
func (c Config) keys(now time.Time) error {
	if _, err := os.Stat(c.path("pki", "ca.crt")); err == nil {
		return nil
	}
	ca, err := pki.NewAuthority("localkube", now)
	if err != nil {
		return err
	}
	sa, err := pki.ServiceAccountKey()
	if err != nil {
		return err
	}
	for _, id := range c.identities() {
		pair, err := ca.Issue(id.Subject)
		if err != nil {
			return err
		}
		if err := pair.Write(c.path("pki"), id.name); err != nil {
			return err
		}
		if !id.user {
			continue
		}
		if err := c.writeKubeconfig(id.name, ca.Cert, pair); err != nil {
			return err
		}
	}
	if err := c.edgeKeys(now); err != nil {
		return err
	}
	return errors.Join(sa.Write(c.path("pki"), "sa"), ca.Write(c.path("pki"), "ca"))
}

// edgeKeys writes the certificate of the domains' names. It has an authority of
// its own, which people may come to trust: it must sign nothing else.
func (c Config) edgeKeys(now time.Time) error {
	if c.Domains == "" {
		return nil
	}
	ca, err := pki.NewAuthority("localkube edge", now)
	if err != nil {
		return err
	}
	names := make([]string, 0, len(c.domains()))
	for _, d := range c.domains() {
		names = append(names, "*."+d)
	}
	pair, err := ca.Issue(pki.Subject{CommonName: "edge", DNS: names})
	if err != nil {
		return err
	}
	if err := os.WriteFile(c.EdgeAuthority(), ca.Cert, 0o644); err != nil {
		return fmt.Errorf("write the edge's authority: %w", err)
	}
	return pair.Write(c.path("pki"), "edge")
}

// authorities fills in what the API server is to trust, and the certificate of
// the domains' names.
func (c Config) authorities(v *addons.Values) error {
	ca, err := os.ReadFile(c.path("pki", "ca.crt"))
	if err != nil {
		return fmt.Errorf("read the authority: %w", err)
	}
	v.Authority = base64.StdEncoding.EncodeToString(ca)
	if c.Domains == "" {
		return nil
	}
	cert, err1 := os.ReadFile(c.path("pki", "edge.crt"))
	key, err2 := os.ReadFile(c.path("pki", "edge.key"))
	if err := errors.Join(err1, err2); err != nil {
		return fmt.Errorf("read the edge's certificate: %w", err)
	}
	v.Domains = c.domains()
	v.Certificate, v.Key = base64.StdEncoding.EncodeToString(cert), base64.StdEncoding.EncodeToString(key)
	return nil
}

// writeKubeconfig writes a kubeconfig that holds its keys, so that the file
// alone is enough wherever it is copied.
func (c Config) writeKubeconfig(user string, ca []byte, pair pki.Pair) error {
	const name = "localkube"
	cfg := api.NewConfig()
	cfg.Clusters[name] = &api.Cluster{Server: c.APIServer(), CertificateAuthorityData: ca}
	cfg.AuthInfos[user] = &api.AuthInfo{ClientCertificateData: pair.Cert, ClientKeyData: pair.Key}
	cfg.Contexts[name] = &api.Context{Cluster: name, AuthInfo: user}
	cfg.CurrentContext = name
	if err := clientcmd.WriteToFile(*cfg, c.kubeconfig(user)); err != nil {
		return fmt.Errorf("write kubeconfig of %s: %w", user, err)
	}
	return nil
}
