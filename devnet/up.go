package devnet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sync/errgroup"

	"berth.dev/berth/tenant/home"
)

// Progress is told what happens, a line at a time.
type Progress func(format string, args ...any)

// Up makes a devnet run and returns its description. On one that runs already it changes nothing and returns
// already = true; one that was stopped or has crashed is started again with the state that it had.
func Up(ctx context.Context, c Config, say Progress, output io.Writer) (info Info, already bool, err error) {
	if err := c.Validate(); err != nil {
		return Info{}, false, err
	}
	l := layout{c.State}
	info, err = Load(c.State)
	if err != nil && !errors.Is(err, ErrNone) {
		return Info{}, false, err
	}
	fresh := err != nil
	if !fresh && readPid(l.pid(supervisorName)) != 0 {
		return info, true, nil
	}
	if !fresh && info.Cluster != c.Cluster {
		return Info{}, false, fmt.Errorf("the devnet in %s uses cluster %s, not %s: run `berth devnet reset` for a new one", c.State, info.Cluster, c.Cluster)
	}
	if err := c.check(); err != nil {
		return Info{}, false, err
	}
	// A supervisor that starts without a finished devnet finds no stale process files.
	if err := errors.Join(os.RemoveAll(l.processes()), l.make()); err != nil {
		return Info{}, false, err
	}
	info, err = c.start(ctx, l, fresh, say, output)
	if err != nil {
		return Info{}, false, fmt.Errorf("%w\nwhat was started still runs: `berth devnet down` removes it, `berth devnet up` tries again", err)
	}
	return info, false, nil
}

// start brings up chain and cluster side by side, and then the providers, which need both.
func (c Config) start(ctx context.Context, l layout, fresh bool, say Progress, out io.Writer) (Info, error) {
	info := Info{
		State: c.State, ChainID: chainID, Node: "tcp://" + local(c.ports().rpc), Cluster: c.Cluster,
		Validators: c.Validators, TenantHome: l.tenant(),
	}
	if err := c.accounts(l, &info); err != nil {
		return Info{}, err
	}
	// An unfinished first start begins again: nobody has used that chain yet.
	if fresh {
		if err := os.RemoveAll(l.chain()); err != nil {
			return Info{}, fmt.Errorf("remove an unfinished chain: %w", err)
		}
		if err := c.initChain(ctx, l, c.funds(info), c.fundOrder(info)); err != nil {
			return Info{}, err
		}
	}
	var k kube
	group, gctx := errgroup.WithContext(ctx)
	group.Go(func() error { return c.startChain(gctx, l, info, say) })
	group.Go(func() (err error) {
		k, err = c.startCluster(gctx, l, say, out)
		return err
	})
	if err := group.Wait(); err != nil {
		return Info{}, err
	}
	if err := c.startProviders(ctx, l, info, k, say); err != nil {
		return Info{}, err
	}
	info.Kubeconfig, info.Registry = k.Kubeconfig, k.Registry
	if k.HTTP != "" {
		info.Ingress = local(c.ports().ingress)
	}
	if k.HTTPS != "" {
		info.TLS, info.EdgeAuthority = local(c.ports().tls), k.EdgeAuthority
	}
	if err := saveTenant(l, info.Node); err != nil {
		return Info{}, err
	}
	return info, writeJSON(l.info(), info)
}

// accounts makes the keys of tenant and providers.
func (c Config) accounts(l layout, info *Info) error {
	var err error
	if info.Tenant, err = newKey(l.tenant(), home.DefaultKey); err != nil {
		return err
	}
	for i, region := range regions {
		address, err := newKey(l.provider(region), providerKey)
		if err != nil {
			return err
		}
		info.Providers = append(info.Providers, c.providerInfo(l, i, address))
	}
	return nil
}

func (c Config) fundOrder(info Info) []string {
	order := []string{info.Tenant}
	for _, p := range info.Providers {
		order = append(order, p.Address)
	}
	return order
}

func (c Config) funds(info Info) map[string]string {
	funds := map[string]string{info.Tenant: tenantFunds}
	for _, p := range info.Providers {
		funds[p.Address] = providerFunds
	}
	return funds
}

func (c Config) startChain(ctx context.Context, l layout, info Info, say Progress) error {
	nodes, err := c.chainProcesses(l)
	if err != nil {
		return err
	}
	for _, p := range nodes {
		if err := writeProcess(l, p); err != nil {
			return err
		}
	}
	if err := c.supervise(ctx, l); err != nil {
		return err
	}
	if err := awaitChain(ctx, info.Node); err != nil {
		return fmt.Errorf("%w; see %s", err, l.log(nodes[0].Name))
	}
	say("chain %s makes blocks, RPC at %s", chainID, info.Node)
	return nil
}

// supervise hands the process files to the supervisor, which is started if it does not run.
func (c Config) supervise(ctx context.Context, l layout) error {
	if pid := readPid(l.pid(supervisorName)); pid != 0 {
		return hangup(pid)
	}
	self, err := c.program("berth")
	if err != nil {
		return err
	}
	return startSupervisor(ctx, l, self)
}

func (c Config) startCluster(ctx context.Context, l layout, say Progress, out io.Writer) (kube, error) {
	switch c.Cluster {
	case ClusterSimulated:
		return kube{}, nil
	case ClusterKubeconfig:
		path, err := filepath.Abs(c.Kubeconfig)
		if err != nil {
			return kube{}, fmt.Errorf("find the kubeconfig: %w", err)
		}
		if !isFile(path) {
			return kube{}, fmt.Errorf("there is no kubeconfig at %s", path)
		}
		return kube{Kubeconfig: path, HTTP: c.HTTP}, nil
	}
	k, err := c.localkubeUp(ctx, l, out)
	if err != nil {
		return kube{}, err
	}
	say("Kubernetes is ready, kubeconfig at %s", k.Kubeconfig)
	return k, nil
}

func (c Config) startProviders(ctx context.Context, l layout, info Info, k kube, say Progress) error {
	group, gctx := errgroup.WithContext(ctx)
	for i, p := range info.Providers {
		group.Go(func() error { return c.initProvider(gctx, i, p, k) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	for _, p := range info.Providers {
		proc, err := c.providerProcess(p)
		if err != nil {
			return err
		}
		if err := writeProcess(l, proc); err != nil {
			return err
		}
	}
	if k.HTTP != "" {
		f := process{Name: "ingress", Forward: &forward{Listen: local(c.ports().ingress), To: k.HTTP}}
		if err := writeProcess(l, f); err != nil {
			return err
		}
	}
	if k.HTTPS != "" {
		f := process{Name: "ingress-tls", Forward: &forward{Listen: local(c.ports().tls), To: k.HTTPS}}
		if err := writeProcess(l, f); err != nil {
			return err
		}
	}
	if err := c.supervise(ctx, l); err != nil {
		return err
	}
	group, gctx = errgroup.WithContext(ctx)
	for _, p := range info.Providers {
		group.Go(func() error { return awaitProvider(gctx, l, info.Node, p) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	say("providers %s (%s) and %s (%s) bid", regions[0], info.Providers[0].Gateway, regions[1], info.Providers[1].Gateway)
	return nil
}
