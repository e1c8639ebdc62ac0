package kube

import (
	"encoding/base64"
	"strings"
	"unicode/utf8"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	manifesttypes "berth.dev/berth/manifest/types"
)

// maxCredential bounds each part of a registry's credentials, in bytes.
const maxCredential = 4096

// pullSecretName is the name of the Secret that opens the registry of a service's image. Like that of the env it holds a
// keyed hash of the content, so that a change rolls the instances and the name tells nothing.
func (r *rendering) pullSecretName(sv manifesttypes.Service) string {
	return objectName(rolePull, sv.Name, keyedDigest(r.LeaseKey, mustJSON(sv.Credentials), 8))
}

// dockerConfig is what the kubelet reads credentials from.
type dockerConfig struct {
	Auths map[string]dockerAuth `json:"auths"`
}

type dockerAuth struct {
	Username string `json:"username"`
	Password string `json:"password"`
	Email    string `json:"email,omitempty"`
	Auth     string `json:"auth"`
}

func (r *rendering) pullSecret(sv manifesttypes.Service) *corev1.Secret {
	c := sv.Credentials
	config := dockerConfig{Auths: map[string]dockerAuth{registryKey(c.Host): {
		Username: c.Username, Password: c.Password, Email: c.Email,
		Auth: base64.StdEncoding.EncodeToString([]byte(c.Username + ":" + c.Password)),
	}}}
	return &corev1.Secret{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
		ObjectMeta: r.meta(r.pullSecretName(sv), labelRole, rolePull, labelService, sv.Name),
		Type:       corev1.SecretTypeDockerConfigJson,
		Data:       map[string][]byte{corev1.DockerConfigJsonKey: mustJSON(config)},
	}
}

// registryKey is a registry as the kubelet compares it with an image: without a scheme, but for the one name that is an
// address with a path by custom.
func registryKey(host string) string {
	bare := strings.TrimPrefix(strings.TrimPrefix(host, "https://"), "http://")
	if name := strings.TrimSuffix(bare, "/"); name == "docker.io" || name == "index.docker.io" || name == "index.docker.io/v1" {
		return "https://index.docker.io/v1/"
	}
	return strings.TrimSuffix(bare, "/")
}

// checkCredentials never shows any part of them.
func checkCredentials(p *problems, field string, sv manifesttypes.Service) {
	c := sv.Credentials
	if c == nil {
		return
	}
	at := field + ".credentials"
	if c.Host == "" || c.Username == "" || c.Password == "" {
		p.add(at, "a host, a user name and a password are needed")
	}
	if strings.Contains(c.Username, ":") {
		p.add(at, "the user name holds a colon")
	}
	for _, part := range []string{c.Host, c.Email, c.Username, c.Password} {
		if len(part) > maxCredential || !utf8.ValidString(part) || strings.ContainsRune(part, 0) {
			p.add(at, "a part is not text of at most %d bytes", maxCredential)
		}
	}
}
