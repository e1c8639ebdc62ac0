package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"berth.dev/berth/client"
	"berth.dev/berth/provider/gateway/gatewayclient"
	"berth.dev/berth/provider/gateway/token"
	"berth.dev/berth/tenant"
	"berth.dev/berth/tenant/home"
	deploymenttypes "berth.dev/berth/x/deployment/types"
)

// addTokenFlag gives a command that only asks providers the flag of a token that somebody else has made.
func addTokenFlag(cmd *cobra.Command) *cobra.Command {
	cmd.Flags().String("token", "", "token of the deployment's owner for the certificate of `berth token key`, or @FILE (also $BERTH_TOKEN); no key is needed")
	return cmd
}

// borrowedToken is the token that the command line or the environment gives; empty if none, or if the command takes none.
func borrowedToken(cmd *cobra.Command) (string, error) {
	if cmd.Flags().Lookup("token") == nil {
		return "", nil
	}
	raw := setting(cmd, "token", "BERTH_TOKEN")
	file, ok := strings.CutPrefix(raw, "@")
	if !ok {
		return raw, nil
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return "", usageErrorf("--token: %w", err)
	}
	if raw = strings.TrimSpace(string(data)); raw == "" {
		return "", usageErrorf("--token: %s is empty", file)
	}
	return raw, nil
}

// borrower is what the holder of an owner's token needs of a command line.
func borrower(cmd *cobra.Command, dir string, network home.Network, now time.Time) (*borrowed, tls.Certificate, error) {
	raw, err := borrowedToken(cmd)
	if err != nil || raw == "" {
		return nil, tls.Certificate{}, err
	}
	fail := func(err error, next ...string) (*borrowed, tls.Certificate, error) {
		return nil, tls.Certificate{}, exitWith(exitUsage, err, next...)
	}
	claims, err := token.Peek(raw)
	if err != nil {
		return fail(fmt.Errorf("--token: %w", err))
	}
	if !now.Before(claims.Expires) {
		return fail(fmt.Errorf("--token: it ended at %s, %s; ask its maker for another one", claims.Expires.UTC().Format(time.RFC3339), fromNow(claims.Expires.Sub(now))))
	}
	if network.ChainID != "" && claims.ChainID != network.ChainID {
		return fail(fmt.Errorf("--token: it is for chain %q, and the network is %q", claims.ChainID, network.ChainID))
	}
	cert, err := readTokenKey(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return fail(errors.New("--token: a token is good for one certificate only, and there is none here: make one, and give its fingerprint to whoever makes the token"), self(cmd)+" token key")
	}
	if err != nil {
		return fail(fmt.Errorf("--token: %w", err))
	}
	if token.Thumbprint(cert.Leaf) != claims.Thumbprint {
		return fail(errors.New("--token: it was made for another certificate than the one here; ask its maker for one for this fingerprint"), self(cmd)+" token key")
	}
	c, err := client.New(client.Config{Node: network.Node, ChainID: claims.ChainID})
	if err != nil {
		return fail(err)
	}
	return &borrowed{ClientChain: tenant.NewChain(c), claims: claims, raw: raw}, cert, nil
}

// borrowed is the chain as the holder of an owner's token sees it: the owner's deployments, as far as the token goes. It
// signs nothing.
type borrowed struct {
	*tenant.ClientChain
	claims token.Claims
	raw    string
}

// Address implements tenant.Chain: whose deployments are looked at.
func (b *borrowed) Address() string { return b.claims.Owner }

// Deployments implements tenant.Reader.
func (b *borrowed) Deployments(ctx context.Context, owner string, state deploymenttypes.DeploymentState) ([]deploymenttypes.QueryDeploymentResponse, error) {
	found, err := b.ClientChain.Deployments(ctx, owner, state)
	return slices.DeleteFunc(found, func(d deploymenttypes.QueryDeploymentResponse) bool {
		return len(b.claims.Leases) > 0 && !slices.ContainsFunc(b.claims.Leases, func(l token.Lease) bool { return l.Dseq == d.Deployment.Id.Dseq })
	}), err
}

var errOnlyLooks = errors.New("a token allows no transaction: only the owner's key does")

// Estimate implements tenant.Chain.
func (*borrowed) Estimate(context.Context, ...sdk.Msg) (client.Fee, error) {
	return client.Fee{}, errOnlyLooks
}

// Send implements tenant.Chain.
func (*borrowed) Send(context.Context, ...sdk.Msg) (*client.Result, error) { return nil, errOnlyLooks }

// machine is the tenant's machine of a token's holder.
func (b *borrowed) machine(cert tls.Certificate, dir, network string) *tenant.Machine {
	dial := tenant.Dialer(b.claims.ChainID, nil, gatewayclient.Options{Token: b.raw, Certificate: &cert})
	m := tenant.New(b, dial, tenant.NewFileStore(dir, network), network)
	m.Reach = tenant.HTTPReach()
	return m
}

// tokenKeyFile holds the certificate for which others make tokens, and its key.
const tokenKeyFile = "token-key.pem"

func readTokenKey(dir string) (tls.Certificate, error) {
	path := filepath.Join(dir, tokenKeyFile)
	cert, err := tls.LoadX509KeyPair(path, path)
	if err != nil {
		return cert, fmt.Errorf("read %s: %w", path, err)
	}
	if cert.Leaf == nil {
		cert.Leaf, err = x509.ParseCertificate(cert.Certificate[0])
	}
	return cert, err
}

// makeTokenKey makes the certificate where there is none.
func makeTokenKey(dir string) (tls.Certificate, error) {
	if cert, err := readTokenKey(dir); !errors.Is(err, fs.ErrNotExist) {
		return cert, err
	}
	cert, err := gatewayclient.NewCertificate()
	if err != nil {
		return cert, err
	}
	key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	if err != nil {
		return cert, fmt.Errorf("encode the key: %w", err)
	}
	text := append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate[0]}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})...)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return cert, fmt.Errorf("make the home: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, tokenKeyFile), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return cert, fmt.Errorf("keep the certificate: %w", err)
	}
	_, err = f.Write(text)
	if err := errors.Join(err, f.Close()); err != nil {
		return cert, fmt.Errorf("keep the certificate: %w", err)
	}
	return cert, nil
}

// tokenKey is the certificate of this machine for output.
type tokenKey struct {
	Fingerprint string `json:"fingerprint"`
	File        string `json:"file"`
}

func newTokenKeyCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "key",
		Short: "Show the fingerprint for which somebody else makes a token for you",
		Long: "Make a certificate in the home directory, unless there is one, and print its SHA-256 fingerprint. Give that to the\n" +
			"owner of a deployment, who makes a token for it with `berth token --for`; the token is good on this machine only.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, err := homeDir(cmd)
			if err != nil {
				return err
			}
			cert, err := makeTokenKey(dir)
			if err != nil {
				return err
			}
			sum := token.Thumbprint(cert.Leaf)
			k := tokenKey{Fingerprint: strings.ToUpper(hex.EncodeToString(sum[:])), File: filepath.Join(dir, tokenKeyFile)}
			return printResult(cmd, k, func(w io.Writer) error {
				_, err := fmt.Fprintln(w, k.Fingerprint)
				return err
			})
		},
	}
}
