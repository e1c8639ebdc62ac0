package devnet

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
	"strings"
)

// kube is what localkube tells of a cluster that is up.
type kube struct {
	Kubeconfig string `json:"kubeconfig"`
	// NodeIP is where tcp ports of workloads answer.
	NodeIP string `json:"node_ip"`
	// Registry is where images are pulled from, whatever their name.
	Registry string `json:"registry"`
	// HTTP is the address of the http entry.
	HTTP string `json:"http"`
	// HTTPS is the address of the TLS entry, and EdgeAuthority the certificate to trust for the providers' domains.
	HTTPS         string `json:"https"`
	EdgeAuthority string `json:"edge_authority"`
}

// demoImages are built from examples/images/hello; the version shows in the answers.
var demoImages = []string{"1", "2"}

func (c Config) localkubeUp(ctx context.Context, l layout, progress io.Writer) (kube, error) {
	program, err := c.program("localkube")
	if err != nil {
		return kube{}, err
	}
	domains := make([]string, 0, len(regions))
	for _, r := range regions {
		domains = append(domains, domainOf(r))
	}
	args := append([]string{"up", "--state", l.kube(), "--domains", strings.Join(domains, ","), "-o", "json"}, c.networks()...)
	out, err := output(ctx, progress, program, args...)
	if err != nil {
		return kube{}, fmt.Errorf("start localkube: %w", err)
	}
	var k kube
	if err := json.Unmarshal(out, &k); err != nil {
		return kube{}, fmt.Errorf("read what localkube says of its cluster: %w", err)
	}
	hello, err := c.program("hello")
	if err != nil {
		return kube{}, err
	}
	for _, v := range demoImages {
		if _, err := output(ctx, progress, program, "push", "--state", l.kube(), "berth.local/hello:"+v, hello, "--env", "HELLO_VERSION="+v); err != nil {
			return kube{}, fmt.Errorf("push the demo image hello:%s: %w", v, err)
		}
	}
	return k, nil
}

// networks gives a devnet with its own ports its own networks too; the usual one takes localkube's defaults.
func (c Config) networks() []string {
	if c.PortsBase == 0 {
		return nil
	}
	n := c.PortsBase % 40
	return []string{
		"--name", fmt.Sprintf("net%d", c.PortsBase), "--link", fmt.Sprintf("10.206.%d.0/30", n),
		"--pods", fmt.Sprintf("10.%d.0.0/24", 120+n), "--services", fmt.Sprintf("10.%d.0.0/16", 160+n),
	}
}

func (c Config) localkubeDown(ctx context.Context, l layout, progress io.Writer) error {
	if !exists(l.kube()) {
		return nil
	}
	program, err := c.program("localkube")
	if err != nil {
		return err
	}
	if _, err := output(ctx, progress, program, "down", "--state", l.kube()); err != nil {
		return fmt.Errorf("stop localkube: %w", err)
	}
	return nil
}

// output runs a program, shows what it says on stderr, and returns its stdout.
func output(ctx context.Context, progress io.Writer, program string, args ...string) ([]byte, error) {
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Stdout, cmd.Stderr = &out, io.MultiWriter(progress, &errs)
	if err := cmd.Run(); err != nil {
		if tail := bytes.TrimSpace(errs.Bytes()); len(tail) > 0 {
			if len(tail) > 2000 {
				tail = tail[len(tail)-2000:]
			}
			return nil, fmt.Errorf("%w: %s", err, tail)
		}
		return nil, err
	}
	return out.Bytes(), nil
}
