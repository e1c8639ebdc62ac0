package daemon

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/cosmos-sdk/types/query"
	"github.com/cosmos/cosmos-sdk/x/authz"
	banktypes "github.com/cosmos/cosmos-sdk/x/bank/types"

	"berth.dev/berth/client"
	"berth.dev/berth/provider/chain"
	"berth.dev/berth/provider/cluster/kube"
	"berth.dev/berth/provider/doctor"
	"berth.dev/berth/provider/gateway"
	"berth.dev/berth/provider/terms"
	providertypes "berth.dev/berth/x/provider/types"
)

// CheckOptions say how a provider is looked at.
type CheckOptions struct {
	// Input answers the keyring's passphrase prompts.
	Input io.Reader
	// Quick leaves out what makes pods in the cluster.
	Quick bool
	// ProbeImage is the image of the probe's pods, if not the configured one.
	ProbeImage string
	// Kubeconfig names the cluster with other rights than the daemon's, if it is not empty.
	Kubeconfig string
}

// Checks are what must hold for a provider to run: of its home, its account on chain, its gateway and its cluster.
func Checks(home Home, cfg Config, o CheckOptions) []doctor.Check {
	e := newExamined(home, cfg, o.Input)
	out := slices.Concat(e.homeChecks(), e.chainChecks(), e.gatewayChecks())
	if cfg.Cluster.Driver != DriverKube {
		return out
	}
	return append(out, e.clusterChecks(o)...)
}

// examined is a provider that is looked at.
type examined struct {
	home   Home
	cfg    Config
	client *client.Client // nil if there is no key to be had
	reader *chain.Reader
	keyErr error
	owner  string
}

func newExamined(home Home, cfg Config, in io.Reader) *examined {
	e := &examined{home: home, cfg: cfg, owner: cfg.Chain.Owner}
	kr, err := home.Keyring(cfg.Chain.KeyringBackend, in)
	if err == nil {
		e.client, err = cfg.Chain.Client(kr)
	}
	if e.keyErr = err; err != nil {
		// Without the key everything that needs none can still be asked of the chain.
		e.client, _ = client.New(client.Config{Node: cfg.Chain.Node, ChainID: cfg.Chain.ChainID, GasPrices: cfg.Chain.GasPrices})
	} else {
		e.owner = cfg.Chain.Provider(e.client)
	}
	if e.client != nil {
		e.reader = chain.NewReader(e.client.Conn(), e.owner)
	}
	return e
}

func (e *examined) homeChecks() []doctor.Check {
	return []doctor.Check{
		{Name: "home", What: "nobody else can read the home, and its state can be written", Run: e.checkHome,
			Mend: fmt.Sprintf("chmod -R go= %s", e.home)},
		{Name: "pricing", What: "the prices and the policy are valid", Run: e.checkPricing,
			Mend: "mend the file that the finding names; berth-provider simulate tries it on orders"},
		{Name: "key", What: "the key that signs can be used", Run: e.checkKey,
			Mend: "berth-provider init, or set chain.key and chain.keyring_backend in provider.yaml"},
	}
}

func (e *examined) checkHome(context.Context) doctor.Finding {
	var open []string
	err := filepath.WalkDir(string(e.home), func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		// What stands in the home itself is kept from others by the home; keys are looked at one by one.
		if secret := d.Name() == "provider.yaml" || strings.HasSuffix(path, ".key"); (path == string(e.home) || secret) && info.Mode().Perm()&0o077 != 0 {
			open = append(open, fmt.Sprintf("%s has mode %04o", path, info.Mode().Perm()))
		}
		return nil
	})
	switch {
	case err != nil:
		return doctor.Failf("%v", err)
	case len(open) > 0:
		return doctor.Failf("%s", strings.Join(open, ", "))
	}
	f, err := os.CreateTemp(filepath.Join(string(e.home), "state"), ".doctor-*")
	if err != nil {
		return doctor.Failf("the state cannot be written: %v", err).By("mkdir -p %s, as the user that the daemon runs as, with room left on the disk", filepath.Join(string(e.home), "state"))
	}
	_, err = f.WriteString("ok\n")
	if err = errors.Join(err, f.Sync(), f.Close(), os.Remove(f.Name())); err != nil {
		return doctor.Failf("the state cannot be written: %v", err).By("free room on the disk of %s", e.home)
	}
	return doctor.Okf("%s", e.home)
}

func (e *examined) checkPricing(context.Context) doctor.Finding {
	if e.cfg.Pricing.File == "" {
		return doctor.Okf("the table in provider.yaml")
	}
	path := e.home.PricingFile(e.cfg.Pricing)
	if _, err := terms.Load(path); err != nil {
		return doctor.Failf("%v", err)
	}
	return doctor.Okf("%s", path)
}

func (e *examined) checkKey(context.Context) doctor.Finding {
	if e.keyErr != nil {
		return doctor.Failf("%v", e.keyErr)
	}
	return doctor.Okf("%s signs as %s", e.cfg.Chain.Key, e.client.Address())
}

func (e *examined) chainChecks() []doctor.Check {
	return []doctor.Check{
		{Name: "chain", What: "the node answers, and serves the configured chain", Run: e.checkChain,
			Mend: "set chain.node and chain.chain_id in provider.yaml"},
		{Name: "chain-sync", What: "the node is not catching up, and its last block is recent by this machine's clock", Run: e.checkSync,
			Mend: "wait for the node, or set chain.node to another; timedatectl shows whether this machine's clock is kept"},
		{Name: "balance", What: "the signing key can pay fees, and the provider the deposits of bids", Run: e.checkBalance,
			Mend: "berthd tx bank send FROM ADDRESS AMOUNT"},
		{Name: "grants", What: "a key that is not the owner's holds the owner's grants", Run: e.checkGrants,
			Mend: "run what berth-provider grants prints, where the owner's key is"},
		{Name: "record", What: "the record on chain says what provider.yaml says", Run: e.checkRecord,
			Mend: "berth-provider init --register, or let berth-provider run write it (auto_register: true)"},
		{Name: "tls-pin", What: "the record on chain holds the pin of the gateway's key", Run: e.checkPin,
			Mend: "berth-provider init --register"},
	}
}

// reach returns a finding that nothing can be known without the chain, and false, if there is no access to it at all.
func (e *examined) reach() (doctor.Finding, bool) {
	if e.client == nil {
		return doctor.Failf("no access to the chain: %v", e.keyErr).By("set chain.node in provider.yaml"), false
	}
	return doctor.Finding{}, true
}

func (e *examined) checkChain(ctx context.Context) doctor.Finding {
	if f, ok := e.reach(); !ok {
		return f
	}
	head, err := e.client.Head(ctx)
	if err != nil {
		return doctor.Failf("%v", err)
	}
	return doctor.Okf("%s at height %d", head.ChainID, head.Height)
}

const (
	// lateBlock is the age of the last block from which on a node is taken to hang.
	lateBlock = time.Minute
	// earlyBlock is how far in the future the last block may seem to be: clocks of validators differ a little.
	earlyBlock = 10 * time.Second
)

func (e *examined) checkSync(ctx context.Context) doctor.Finding {
	if f, ok := e.reach(); !ok {
		return f
	}
	head, err := e.client.Head(ctx)
	if err != nil {
		return doctor.Failf("not known: %v", err)
	}
	switch age := time.Since(head.Time); {
	case head.CatchingUp:
		return doctor.Failf("the node is catching up, at height %d", head.Height)
	case age > lateBlock:
		return doctor.Failf("the last block is %s old: the chain or the node hangs, or this clock is ahead", age.Round(time.Second))
	case age < -earlyBlock:
		return doctor.Failf("the last block is %s in the future: this clock is behind", (-age).Round(time.Second))
	default:
		return doctor.Okf("the last block is %s old", max(age, 0).Round(100*time.Millisecond))
	}
}

// leastBids is how many bids the provider should be able to deposit for.
const leastBids = 10

func (e *examined) checkBalance(ctx context.Context) doctor.Finding {
	if e.keyErr != nil {
		return doctor.Failf("not known without the key: %v", e.keyErr)
	}
	signer, err := e.balance(ctx, e.client.Address().String())
	if err != nil {
		return doctor.Failf("not known: %v", err)
	}
	if signer.IsZero() {
		return doctor.Failf("%s has nothing to pay fees with", e.client.Address())
	}
	owner, err := e.balance(ctx, e.owner)
	if err != nil {
		return doctor.Failf("not known: %v", err)
	}
	params, err := e.reader.Params(ctx)
	if err != nil {
		return doctor.Failf("the chain's parameters are not known: %v", err)
	}
	bids := int64(-1)
	for _, least := range params.BidMinDeposits {
		if n := owner.AmountOf(least.Denom).Quo(least.Amount); bids < 0 || n.Int64() > bids {
			bids = n.Int64()
		}
	}
	switch {
	case bids == 0:
		return doctor.Failf("%s has %s: not enough for the deposit of one bid, %s", e.owner, owner, sdk.Coins(params.BidMinDeposits))
	case bids > 0 && bids < leastBids:
		return doctor.Warnf("%s has %s: enough for the deposits of %d bids", e.owner, owner, bids)
	}
	return doctor.Okf("%s has %s", e.owner, owner)
}

func (e *examined) balance(ctx context.Context, address string) (sdk.Coins, error) {
	res, err := banktypes.NewQueryClient(e.client.Conn()).AllBalances(ctx, &banktypes.QueryAllBalancesRequest{
		Address: address, Pagination: &query.PageRequest{Limit: maxBalances},
	})
	if err != nil {
		return nil, fmt.Errorf("read the balance of %s: %w", address, err)
	}
	return res.Balances, nil
}

func (e *examined) checkGrants(ctx context.Context) doctor.Finding {
	if e.keyErr != nil {
		return doctor.Failf("not known without the key: %v", e.keyErr)
	}
	key := e.client.Address().String()
	if key == e.owner {
		return doctor.Okf("the key is the owner's own")
	}
	var missing []string
	for _, msg := range chain.DelegatedMessages() {
		if !e.cfg.AutoRegister && strings.Contains(msg, ".provider.") {
			continue
		}
		res, err := authz.NewQueryClient(e.client.Conn()).Grants(ctx, &authz.QueryGrantsRequest{Granter: e.owner, Grantee: key, MsgTypeUrl: msg})
		if err != nil && !client.IsNotFound(err) {
			return doctor.Failf("not known: %v", err)
		}
		if err != nil || len(res.Grants) == 0 {
			missing = append(missing, msg[strings.LastIndexByte(msg, '.')+1:])
		}
	}
	if len(missing) > 0 {
		return doctor.Failf("%s may not act for %s with %s", key, e.owner, strings.Join(missing, ", "))
	}
	return doctor.Okf("all of them")
}

// record reads the record on chain; a finding instead of it when there is none.
func (e *examined) record(ctx context.Context) (providertypes.Provider, *doctor.Finding) {
	failed := func(f doctor.Finding) (providertypes.Provider, *doctor.Finding) { return providertypes.Provider{}, &f }
	if e.owner == "" || e.client == nil {
		return failed(doctor.Failf("not known without the key: %v", e.keyErr))
	}
	have, found, err := e.reader.Provider(ctx)
	switch {
	case err != nil:
		return failed(doctor.Failf("not known: %v", err))
	case !found && e.cfg.AutoRegister:
		return failed(doctor.Warnf("%s has no record on chain yet: berth-provider run writes it", e.owner))
	case !found:
		return failed(doctor.Failf("%s has no record on chain", e.owner).By("berth-provider init --register"))
	}
	return have, nil
}

func (e *examined) checkRecord(ctx context.Context) doctor.Finding {
	have, f := e.record(ctx)
	if f != nil {
		return *f
	}
	if len(have.TlsPins) == 0 {
		return doctor.Failf("the record has no pin")
	}
	// The pin is a check of its own.
	want := e.cfg.record(e.owner, have.TlsPins[0])
	var differ []string
	if have.HostUri != want.HostUri {
		differ = append(differ, fmt.Sprintf("host_uri is %s, not %s", have.HostUri, want.HostUri))
	}
	if registration(want, have, true) != nil && len(differ) == 0 {
		differ = append(differ, "attributes or info are others")
	}
	switch {
	case len(differ) == 0:
		return doctor.Okf("%s with %d attributes", have.HostUri, len(have.Attributes))
	case e.cfg.AutoRegister:
		return doctor.Warnf("%s", strings.Join(differ, ", "))
	}
	return doctor.Failf("%s", strings.Join(differ, ", "))
}

func (e *examined) checkPin(ctx context.Context) doctor.Finding {
	pin, f := e.pin()
	if f != nil {
		return *f
	}
	have, f := e.record(ctx)
	if f != nil {
		return *f
	}
	for _, p := range have.TlsPins {
		if bytes.Equal(p, pin) {
			return doctor.Okf("%x", pin)
		}
	}
	return doctor.Failf("the record holds other pins: tenants refuse this gateway")
}

// pin is that of the gateway's key, which is not made here.
func (e *examined) pin() ([]byte, *doctor.Finding) {
	if _, err := os.Stat(e.home.TLSKeyFile()); err != nil {
		f := doctor.Failf("the gateway has no key: %v", err).By("berth-provider init")
		return nil, &f
	}
	_, pin, err := e.home.TLS()
	if err != nil {
		f := doctor.Failf("%v", err).By("chmod 600 %s", e.home.TLSKeyFile())
		return nil, &f
	}
	return pin, nil
}

func (e *examined) gatewayChecks() []doctor.Check {
	return []doctor.Check{
		{Name: "host-uri", What: "the gateway is reached by its host_uri, and presents the key whose pin is on chain", Run: e.checkGateway,
			Mend: "start berth-provider run, open gateway.listen to the world, and set gateway.host_uri in provider.yaml to where it is reached"},
	}
}

// checkGateway connects to where tenants do. From inside of a network that does not lead back to itself it can fail
// while tenants get through.
func (e *examined) checkGateway(ctx context.Context) doctor.Finding {
	pin, f := e.pin()
	if f != nil {
		return *f
	}
	u, err := url.Parse(e.cfg.Gateway.HostURI)
	if err != nil {
		return doctor.Failf("host_uri: %v", err)
	}
	address := u.Host
	if u.Port() == "" {
		address += ":443"
	}
	var got []byte
	d := tls.Dialer{Config: &tls.Config{
		MinVersion:         tls.VersionTLS13,
		InsecureSkipVerify: true, //nolint:gosec // names and issuers mean nothing here; the pin below is the check
		VerifyConnection: func(s tls.ConnectionState) error {
			var leaf *x509.Certificate
			if len(s.PeerCertificates) > 0 {
				leaf = s.PeerCertificates[0]
				got = gateway.Pin(leaf)
			}
			return nil
		},
	}}
	conn, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return doctor.Failf("%s is not reached from here: %v", e.cfg.Gateway.HostURI, err)
	}
	if err := conn.Close(); err != nil {
		return doctor.Warnf("%s breaks off: %v", e.cfg.Gateway.HostURI, err)
	}
	if !bytes.Equal(got, pin) {
		return doctor.Failf("%s presents another key", e.cfg.Gateway.HostURI).By("set gateway.host_uri in provider.yaml to this gateway; nothing in between may end its TLS")
	}
	return doctor.Okf("%s presents the key", e.cfg.Gateway.HostURI)
}

// clusterChecks are those of the cluster, or the one that says why there are none.
func (e *examined) clusterChecks(o CheckOptions) []doctor.Check {
	cfg := e.cfg
	if o.Kubeconfig != "" {
		cfg.Cluster.Kubeconfig = o.Kubeconfig
	}
	owner := e.owner
	if owner == "" {
		owner = "unknown" // what needs the provider's own name says so
	}
	var driver *kube.Cluster
	kc, err := cfg.kube(owner, slog.New(slog.DiscardHandler))
	if err == nil {
		driver, err = kube.New(kc)
	}
	if err != nil {
		return []doctor.Check{{
			Name: "api", What: "the API server answers", Mend: "set cluster.kubeconfig in provider.yaml",
			Run: func(context.Context) doctor.Finding { return doctor.Failf("%v", err) },
		}}
	}
	image := o.ProbeImage
	if image == "" {
		image = cfg.Cluster.ProbeImage
	}
	if o.Quick {
		image = ""
	}
	return driver.Checks(kube.CheckOptions{
		Attributes: cfg.Attributes, ProbeImage: image, InstallRole: "berth-provider role | kubectl apply -f -",
	})
}

// CheckConfig is the check of provider.yaml, which came to err when it was read.
func CheckConfig(err error) doctor.Check {
	return doctor.Check{
		Name: "config", What: "provider.yaml is valid", Mend: "mend what the finding names; berth-provider init writes a file with a comment on every setting",
		Run: func(context.Context) doctor.Finding {
			if err != nil {
				return doctor.Failf("%v", err)
			}
			return doctor.Okf("every setting is understood")
		},
	}
}
