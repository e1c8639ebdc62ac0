package app

import "testing"

func TestRegistry(t *testing.T) {
	for ref, want := range map[string]string{
		"nginx": "docker.io", "nginx:1.27": "docker.io", "acme/shop:1": "docker.io", "docker.io/acme/shop": "docker.io", "ghcr.io/acme/shop@sha256:00": "ghcr.io",
		"localhost/shop": "localhost", "localhost:5000/shop:1": "localhost:5000", "10.0.0.1:5000/a/b": "10.0.0.1:5000",
	} {
		if got := Registry(ref); got != want {
			t.Errorf("%s: %s, want %s", ref, got, want)
		}
	}
}
