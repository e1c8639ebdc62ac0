//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"berth.dev/berth/client"
	markettypes "berth.dev/berth/x/market/types"
)

// pushProbe gives the devnet's registry the image of the tests' own workload.
func pushProbe(t *testing.T) {
	t.Helper()
	bin := os.Getenv("BERTH_BIN")
	if _, err := program(t.Context(), "localkube", "push", "--state", filepath.Join(marketplace.State, "kube"), "berth.local/probe:1", filepath.Join(bin, "probe")); err != nil {
		t.Fatal(err)
	}
}

// regions are the services of testdata/two-regions.yaml that can be asked.
type regions struct {
	deployed
	app, other, spare string
}

func deployRegions(t *testing.T) regions {
	t.Helper()
	r := regions{deployed: deploy(t, filepath.Join("testdata", "two-regions.yaml"))}
	for _, u := range r.URLs {
		host := strings.TrimPrefix(u, "http://")
		switch name := host[:strings.LastIndex(strings.Split(host, ".")[0], "-")]; name {
		case "app":
			r.app = u
		case "other":
			r.other = u
		case "spare":
			r.spare = u
		}
	}
	if r.app == "" || r.other == "" || r.spare == "" {
		t.Fatalf("URLs are %v, want those of app, other and spare", r.URLs)
	}
	return r
}

// reaches asks a service to try a connection, and returns an error unless it was answered.
func reaches(ctx context.Context, base, path, to string) error {
	outcome, err := try(ctx, base, path, to)
	if err == nil && outcome != "answered" {
		err = fmt.Errorf("%s of %s: %s", path, to, outcome)
	}
	return err
}

// try asks a service to try a connection, and returns what the service itself says of it.
func try(ctx context.Context, base, path, to string) (string, error) {
	code, body, err := get(ctx, strings.TrimSuffix(base, "/")+path+"?to="+url.QueryEscape(to))
	if err != nil {
		return "", err
	}
	outcome := strings.TrimSpace(body)
	if code != http.StatusOK || (outcome != "answered" && !strings.HasPrefix(outcome, "failed:")) {
		return "", fmt.Errorf("the service was not asked: %d %q", code, body)
	}
	return outcome, nil
}

// closed asks a service to try a connection that must fail from where it runs.
func closed(t *testing.T, base, path, to string) {
	t.Helper()
	var outcome string
	eventually(t, base+" tries "+path+" of "+to, func(ctx context.Context) (err error) {
		outcome, err = try(ctx, base, path, to)
		return err
	})
	if outcome == "answered" {
		t.Errorf("%s tries %s of %s: it is answered; want that it fails", base, path, to)
	}
}

// TestAServiceElsewhereIsReachedByWhoMay is the seed's table across datacenters, with connections.
func TestAServiceElsewhereIsReachedByWhoMay(t *testing.T) {
	pushProbe(t)
	r := deployRegions(t)
	for path, to := range map[string]string{"/tcp": "db:5432", "/udp": "db:5433"} {
		eventually(t, "app reaches db by "+path, func(ctx context.Context) error { return reaches(ctx, r.app, path, to) })
		closed(t, r.other, path, to)
		closed(t, r.spare, path, to)
	}
	// Nor do the others by address: where the link begins, and where the database runs.
	door, instance := linkAddresses(t)
	if err := reaches(t.Context(), r.app, "/tcp", door); err != nil {
		t.Errorf("app does not reach its own door: %v", err)
	}
	stranger := deployRegions(t)
	for _, base := range []string{r.other, r.spare, stranger.other, stranger.spare, stranger.app} {
		closed(t, base, "/tcp", door)
		closed(t, base, "/tcp", instance)
	}
	closed(t, r.app, "/tcp", instance)
}

// linkAddresses are where the one link of port 5432 begins, and where its database runs.
func linkAddresses(t *testing.T) (door, instance string) {
	t.Helper()
	slices, err := cluster(t).DiscoveryV1().EndpointSlices("").List(t.Context(), metav1.ListOptions{LabelSelector: "berth.dev/role=link"})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range slices.Items {
		if strings.Contains(s.Name, "5432") {
			door = fmt.Sprintf("%s:%d", s.Endpoints[0].Addresses[0], *s.Ports[0].Port)
		}
	}
	pods, err := cluster(t).CoreV1().Pods("").List(t.Context(), metav1.ListOptions{LabelSelector: "berth.dev/service=db"})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range pods.Items {
		if p.DeletionTimestamp == nil && p.Status.PodIP != "" {
			instance = p.Status.PodIP + ":5000"
		}
	}
	if door == "" || instance == "" {
		t.Fatalf("the link begins at %q and leads to %q", door, instance)
	}
	return door, instance
}

// TestALinkComesBackAndEndsWithItsLeases kills both providers, and then closes one lease at a time.
func TestALinkComesBackAndEndsWithItsLeases(t *testing.T) {
	pushProbe(t)
	r := deployRegions(t)
	eventually(t, "a connection to be kept", func(ctx context.Context) error { return reaches(ctx, r.app, "/hold", "db:5432") })
	killProviders(t)
	eventually(t, "the link to come back", func(ctx context.Context) error { return reaches(ctx, r.app, "/hold", "db:5432") })
	if err := reaches(t.Context(), r.app, "/held", ""); err != nil {
		t.Error(err)
	}
	closeLease(t, r.Dseq, "east")
	eventually(t, "the connection to end with the database's lease", func(ctx context.Context) error {
		if err := reaches(ctx, r.app, "/held", ""); err == nil {
			return errors.New("it goes on")
		}
		return nil
	})
	closed(t, r.app, "/tcp", "db:5432")

	second := deployRegions(t)
	eventually(t, "a connection to be kept", func(ctx context.Context) error { return reaches(ctx, second.app, "/hold", "db:5432") })
	if err := serves(t.Context(), 1); err != nil {
		t.Error(err)
	}
	closeLease(t, second.Dseq, "west")
	eventually(t, "the connection to end with the application's lease", func(ctx context.Context) error { return serves(ctx, 0) })
}

// serves checks how many connections the provider of the east carries to its workloads.
func serves(ctx context.Context, want int) error {
	for _, p := range marketplace.Providers {
		if p.Region != "east" {
			continue
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.Metrics, nil)
		if err != nil {
			return err
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		defer res.Body.Close()
		text := new(strings.Builder)
		if err := res.Write(text); err != nil {
			return err
		}
		line := fmt.Sprintf("berth_provider_link_streams{kind=\"tcp\",side=\"serving\"} %d\n", want)
		if !strings.Contains(text.String(), line) {
			return fmt.Errorf("the metrics do not say %q", line)
		}
	}
	return nil
}

// closeLease closes the lease of a deployment with the provider of a region.
func closeLease(t *testing.T, dseq uint64, region string) {
	t.Helper()
	kr, err := client.OpenKeyring("test", marketplace.TenantHome, strings.NewReader(""))
	if err != nil {
		t.Fatal(err)
	}
	records, err := kr.List()
	if err != nil || len(records) != 1 {
		t.Fatalf("the tenant has %d keys, %v", len(records), err)
	}
	c, err := client.New(client.Config{Node: marketplace.Node, ChainID: marketplace.ChainID, Keyring: kr, Key: records[0].Name})
	if err != nil {
		t.Fatal(err)
	}
	var msgs []sdk.Msg
	for _, g := range status(t, dseq).Groups {
		id, err := markettypes.ParseBidID(g.Lease.ID)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range marketplace.Providers {
			if p.Address == id.Provider && p.Region == region {
				msgs = append(msgs, &markettypes.MsgCloseLease{Signer: marketplace.Tenant, Id: id})
			}
		}
	}
	if len(msgs) != 1 {
		t.Fatalf("deployment %s has %d leases in the %s, want one", strconv.FormatUint(dseq, 10), len(msgs), region)
	}
	if _, err := c.Send(t.Context(), msgs...); err != nil {
		t.Fatal(err)
	}
}

func TestTheExampleOfTwoRegions(t *testing.T) {
	d := deploy(t, example("two-regions"))
	eventually(t, "web reaches db", func(ctx context.Context) error {
		code, body, err := fetch(ctx, d.URLs[0], "http://db:5432/")
		if err == nil && (code != http.StatusOK || !strings.Contains(body, "hello from db-")) {
			err = fmt.Errorf("answer %d %q", code, body)
		}
		return err
	})
}
