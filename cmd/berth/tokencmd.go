package main

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"berth.dev/berth/provider/gateway/token"
	deploymenttypes "berth.dev/berth/x/deployment/types"
	markettypes "berth.dev/berth/x/market/types"
)

// tokenBackdate makes a token good at providers whose clocks are behind.
const tokenBackdate = time.Minute

// tokenFlags say what a token for somebody else allows.
type tokenFlags struct {
	scopes, leases         []string
	fingerprint, recipient string
	lifetime               time.Duration
}

// tokenMade is a token for output.
type tokenMade struct {
	Token    string    `json:"token"`
	Provider string    `json:"provider"`
	HostURI  string    `json:"host_uri"`
	Scopes   []string  `json:"scopes"`
	Leases   []string  `json:"leases"`
	Expires  time.Time `json:"expires"`
}

func newTokenCommand(connect connector) *cobra.Command {
	var o tokenFlags
	cmd := &cobra.Command{
		Use:   "token [DSEQ] --for FINGERPRINT",
		Short: "Let somebody else look at a deployment for some minutes",
		Long: "Sign a token with which somebody else can ask a deployment's provider, by default to read only: its logs, status and\n" +
			"events. It is good for the one TLS certificate whose SHA-256 fingerprint is given, so nobody else can use it, and\n" +
			"for at most 14 minutes. The other one needs no key or funds, only a network, and\n\n" +
			"  berth token key                   # prints the fingerprint to send you\n" +
			"  berth logs -f --token TOKEN       # looks, with what you send back; status and events too\n\n" +
			"or, without berth, makes a certificate with\n\n" +
			"  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=me -keyout me.key -out me.crt\n" +
			"  openssl x509 -in me.crt -noout -fingerprint -sha256\n\n" +
			"and asks with curl --cert me.crt --key me.key -H \"Authorization: Bearer TOKEN\".",
		Example: "  berth token 123456 --for 9F:86:D0:…\n  berth token --scope logs --lease 123456/1 --for 9F86D0…",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := o.claims()
			if err != nil {
				return exitWith(exitUsage, err)
			}
			return withSession(connect, func(ctx context.Context, s *session, args []string) error {
				return s.makeToken(ctx, args, o, c)
			})(cmd, args)
		},
	}
	f := cmd.Flags()
	f.StringSliceVar(&o.scopes, "scope", []string{string(token.Events), string(token.Logs), string(token.Status)}, "what it allows: "+strings.Join(scopeNames(token.Scopes()), ", "))
	f.StringSliceVar(&o.leases, "lease", nil, "only these leases: DSEQ, DSEQ/GSEQ or DSEQ/GSEQ/OSEQ (default the whole deployment)")
	f.StringVar(&o.fingerprint, "for", "", "SHA-256 fingerprint of the other one's TLS certificate")
	f.StringVar(&o.recipient, "provider", "", "address of the provider, where the deployment has several")
	f.DurationVar(&o.lifetime, "lifetime", token.MaxLifetime-tokenBackdate, "how long it is good")
	cmd.AddCommand(newTokenKeyCommand())
	return cmd
}

func scopeNames(all []token.Scope) []string {
	out := make([]string, len(all))
	for i, s := range all {
		out[i] = string(s)
	}
	return out
}

// claims reads what the command line alone says of the token.
func (o tokenFlags) claims() (token.Claims, error) {
	var c token.Claims
	for _, name := range o.scopes {
		if !slices.Contains(token.Scopes(), token.Scope(name)) {
			return c, fmt.Errorf("--scope: %q is none of %s", name, strings.Join(scopeNames(token.Scopes()), ", "))
		}
		c.Scopes = append(c.Scopes, token.Scope(name))
	}
	if len(c.Scopes) == 0 {
		return c, errors.New("--scope: a token without a scope allows nothing")
	}
	for _, text := range o.leases {
		l, err := token.ParseLease(text)
		if err != nil {
			return c, fmt.Errorf("--lease: %w", err)
		}
		c.Leases = append(c.Leases, l)
	}
	if o.lifetime < time.Second || o.lifetime > token.MaxLifetime-tokenBackdate {
		return c, fmt.Errorf("--lifetime: %s is not between 1s and %s", o.lifetime, token.MaxLifetime-tokenBackdate)
	}
	var err error
	c.Thumbprint, err = parseFingerprint(o.fingerprint)
	return c, err
}

// parseFingerprint reads a SHA-256 as openssl prints it, in hexadecimal digits or in base64url.
func parseFingerprint(text string) (sum [sha256.Size]byte, err error) {
	if text == "" {
		return sum, errors.New("--for: whose certificate may use the token? Give its SHA-256 fingerprint")
	}
	if _, after, found := strings.Cut(text, "="); found {
		text = after
	}
	b, err := hex.DecodeString(strings.ReplaceAll(text, ":", ""))
	if err != nil {
		b, err = base64.RawURLEncoding.Strict().DecodeString(text)
	}
	if err != nil || len(b) != len(sum) {
		return sum, fmt.Errorf("--for: %.80q is not a SHA-256 fingerprint of 64 hexadecimal digits", text)
	}
	copy(sum[:], b)
	return sum, nil
}

func (s *session) makeToken(ctx context.Context, args []string, o tokenFlags, c token.Claims) error {
	signer, ok := s.Chain.(token.Signer)
	if !ok {
		return exitWith(exitUsage, errors.New("this key cannot sign tokens"))
	}
	dseq, err := tokenDeployment(c.Leases, args, func() (uint64, error) { return s.dseq(ctx, args) })
	if err != nil {
		return err
	}
	if len(c.Leases) == 0 {
		c.Leases = []token.Lease{{Dseq: dseq}}
	}
	leases, err := s.Chain.Leases(ctx, deploymenttypes.DeploymentID{Owner: s.Chain.Address(), Dseq: dseq})
	if err != nil {
		return err
	}
	if c.Provider, err = tokenProvider(leases, dseq, o.recipient); err != nil {
		return exitWith(exitUsage, err)
	}
	provider, err := s.Chain.Provider(ctx, c.Provider)
	if err != nil {
		return err
	}
	head, err := s.Chain.Head(ctx)
	if err != nil {
		return err
	}
	now := s.Clock.Now()
	c.ChainID, c.IssuedAt, c.NotBefore, c.Expires = head.ChainID, now.Add(-tokenBackdate), now.Add(-tokenBackdate), now.Add(o.lifetime)
	raw, err := token.Issue(signer, c)
	if err != nil {
		return err
	}
	made := tokenMade{Token: raw, Provider: c.Provider, HostURI: provider.HostUri, Scopes: o.scopes, Expires: c.Expires.UTC().Truncate(time.Second)}
	for _, l := range c.Leases {
		made.Leases = append(made.Leases, l.String())
	}
	fmt.Fprintf(s.err, "Good until %s at %s, for that certificate only.\n", made.Expires.Format(time.RFC3339), printable(made.HostURI))
	return s.print(made, func(w io.Writer) error {
		_, err := fmt.Fprintln(w, raw)
		return err
	})
}

// tokenDeployment is the deployment of the token: that of its leases, or else the one that is asked for.
func tokenDeployment(leases []token.Lease, args []string, ask func() (uint64, error)) (uint64, error) {
	if len(leases) == 0 {
		return ask()
	}
	dseq := leases[0].Dseq
	for _, l := range leases {
		if l.Dseq != dseq {
			return 0, usageErrorf("--lease: deployments %d and %d are two; make a token for each", dseq, l.Dseq)
		}
	}
	if len(args) == 0 {
		return dseq, nil
	}
	switch asked, err := ask(); {
	case err != nil:
		return 0, err
	case asked != dseq:
		return 0, usageErrorf("--lease: it is of deployment %d, not of %d", dseq, asked)
	}
	return dseq, nil
}

// tokenProvider is whom the token is for: the one provider of the deployment's active leases, or the one that was chosen.
func tokenProvider(leases []markettypes.QueryLeaseResponse, dseq uint64, chosen string) (string, error) {
	var found []string
	for _, l := range leases {
		if l.Lease.State != markettypes.LEASE_STATE_CLOSED && !slices.Contains(found, l.Lease.Id.Provider) {
			found = append(found, l.Lease.Id.Provider)
		}
	}
	slices.Sort(found)
	switch {
	case len(found) == 0:
		return "", fmt.Errorf("deployment %d has no lease", dseq)
	case chosen != "" && !slices.Contains(found, chosen):
		return "", fmt.Errorf("--provider: deployment %d has no lease with %s; it has with %s", dseq, chosen, strings.Join(found, ", "))
	case chosen != "":
		return chosen, nil
	case len(found) > 1:
		return "", fmt.Errorf("deployment %d has leases with several providers; choose one by --provider: %s", dseq, strings.Join(found, ", "))
	}
	return found[0], nil
}
