package build

import (
	"context"
	"fmt"
	"net/http"
	"runtime"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// registryTime bounds what a registry is asked for altogether.
const registryTime = 15 * time.Second

// exposed are the ports of the configuration of an image in its registry, such as 8000/tcp, of several platforms for this
// machine's. It is asked with what docker's login has stored, and by HTTP only if it is on this machine or network.
func exposed(ctx context.Context, transport http.RoundTripper, repository, digest string) (map[string]struct{}, error) {
	ctx, cancel := context.WithTimeout(ctx, registryTime)
	defer cancel()
	ref, err := name.NewDigest(repository + "@" + digest)
	if err != nil {
		return nil, fmt.Errorf("name the image: %w", err)
	}
	image, err := remote.Image(ref, remote.WithContext(ctx), remote.WithTransport(transport), remote.WithAuthFromKeychain(authn.DefaultKeychain),
		remote.WithPlatform(v1.Platform{OS: "linux", Architecture: runtime.GOARCH}))
	if err != nil {
		return nil, fmt.Errorf("ask the registry %s for the image: %w", ref.RegistryStr(), err)
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, fmt.Errorf("ask the registry %s for the image's configuration: %w", ref.RegistryStr(), err)
	}
	return config.Config.ExposedPorts, nil
}
