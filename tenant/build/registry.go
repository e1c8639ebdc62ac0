package build

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"runtime"
	"strings"
	"time"

	"berth.dev/berth/tenant/registryauth"
)

// maxAnswer bounds what is read of a registry; manifests and configurations are a few KiB.
const maxAnswer = 4 << 20

// registryTime bounds what a registry is asked for altogether.
const registryTime = 15 * time.Second

// registryPull asks a registry about one repository.
type registryPull struct {
	client *http.Client
	// base is the address of the repository, and token what opens it; empty for not yet.
	base, authorization string
	host, repository    string
}

// exposed are the ports of the configuration of an image in its registry, such as 8000/tcp. It is asked with what docker's
// login has stored; by HTTP only if it is on this machine.
func exposed(ctx context.Context, client *http.Client, name, digest string) (map[string]struct{}, error) {
	ctx, cancel := context.WithTimeout(ctx, registryTime)
	defer cancel()
	host, repository, _ := strings.Cut(name, "/")
	if !strings.ContainsAny(host, ".:") && host != "localhost" {
		host, repository = "docker.io", name
	}
	p := registryPull{client: client, host: host, repository: repository}
	if host == "docker.io" {
		host = "registry-1.docker.io"
		if !strings.Contains(repository, "/") {
			p.repository = "library/" + repository
		}
	}
	p.base = "https://" + host
	if here(host) {
		p.base = "http://" + host
	}
	var manifest struct {
		Config    struct{ Digest string }
		Manifests []struct {
			Digest   string
			Platform struct{ OS, Architecture string }
		}
	}
	if err := p.get(ctx, "manifests/"+digest, &manifest); err != nil {
		return nil, err
	}
	for _, m := range manifest.Manifests { // of several platforms, or with a statement of how it was built
		if m.Platform.OS == "linux" && m.Platform.Architecture == runtime.GOARCH && isDigest(m.Digest) {
			if err := p.get(ctx, "manifests/"+m.Digest, &manifest); err != nil {
				return nil, err
			}
			break
		}
	}
	if !isDigest(manifest.Config.Digest) {
		return nil, fmt.Errorf("%s@%s has no configuration for linux/%s", name, digest, runtime.GOARCH)
	}
	var image struct {
		Config struct{ ExposedPorts map[string]struct{} }
	}
	err := p.get(ctx, "blobs/"+manifest.Config.Digest, &image)
	return image.Config.ExposedPorts, err
}

// here tells whether a host is this machine, which builders ask without TLS, too.
func here(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	ip := net.ParseIP(strings.Trim(host, "[]"))
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// get reads a JSON document of the repository, and finds out what opens it when it is refused.
func (p *registryPull) get(ctx context.Context, what string, into any) error {
	address := p.base + "/v2/" + p.repository + "/" + what
	res, err := p.ask(ctx, address, p.authorization)
	if err == nil && res.StatusCode == http.StatusUnauthorized && p.authorization == "" {
		_ = res.Body.Close()
		if p.authorization, err = p.authorized(ctx, res.Header.Get("WWW-Authenticate")); err != nil {
			return err
		}
		res, err = p.ask(ctx, address, p.authorization)
	}
	if err != nil {
		return err
	}
	return decode(res, p.host, into)
}

func (p *registryPull) ask(ctx context.Context, address, authorization string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, fmt.Errorf("ask the registry %s: %w", p.host, err)
	}
	for _, kind := range []string{"application/vnd.oci.image.index.v1+json", "application/vnd.oci.image.manifest.v1+json",
		"application/vnd.docker.distribution.manifest.list.v2+json", "application/vnd.docker.distribution.manifest.v2+json"} {
		req.Header.Add("Accept", kind)
	}
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	res, err := p.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask the registry %s: %w", p.host, err)
	}
	return res, nil
}

// decode reads an answer in JSON. What a server says that refuses is not repeated.
func decode(res *http.Response, host string, into any) error {
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("the registry %s answers %s", host, res.Status)
	}
	data, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("read what the registry %s says: %w", host, err)
	}
	if err := json.Unmarshal(data, into); err != nil {
		return fmt.Errorf("read what the registry %s says: %w", host, err)
	}
	return nil
}

var challenge = regexp.MustCompile(`(realm|service|scope)="([^"]*)"`)

// authorized is what a request is to carry: the login itself, or a token that is had for it.
func (p *registryPull) authorized(ctx context.Context, asked string) (string, error) {
	login, err := registryauth.Docker(ctx, p.host)
	if err != nil && !errors.Is(err, registryauth.ErrNone) {
		return "", err
	}
	req, rerr := http.NewRequestWithContext(ctx, http.MethodGet, p.base, nil)
	if rerr != nil {
		return "", fmt.Errorf("ask the registry %s: %w", p.host, rerr)
	}
	req.SetBasicAuth(login.User, login.Password)
	basic := req.Header.Get("Authorization")
	kind, _, _ := strings.Cut(asked, " ")
	if !strings.EqualFold(kind, "bearer") {
		return basic, err
	}
	terms := map[string]string{}
	for _, m := range challenge.FindAllStringSubmatch(asked, -1) {
		terms[m[1]] = m[2]
	}
	realm, perr := url.Parse(terms["realm"])
	if perr != nil || realm.Scheme != "https" && !here(realm.Host) {
		return "", fmt.Errorf("the registry %s gives its tokens at no address of TLS", p.host)
	}
	realm.RawQuery = url.Values{"service": {terms["service"]}, "scope": {"repository:" + p.repository + ":pull"}}.Encode()
	if err != nil { // there is no login: what anyone may read has tokens, too
		basic = ""
	}
	res, err := p.ask(ctx, realm.String(), basic)
	if err != nil {
		return "", err
	}
	var said struct {
		Token       string `json:"token"`
		AccessToken string `json:"access_token"`
	}
	if err := decode(res, p.host, &said); err != nil {
		return "", err
	}
	if said.Token == "" {
		said.Token = said.AccessToken
	}
	return "Bearer " + said.Token, nil
}
