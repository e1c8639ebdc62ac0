package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	sdkerrors "github.com/cosmos/cosmos-sdk/types/errors"

	"berth.dev/berth/client"
	"berth.dev/berth/sdl"
	"berth.dev/berth/tenant"
	"berth.dev/berth/tenant/home"
	deploymenttypes "berth.dev/berth/x/deployment/types"
)

// session is one command's view of a network: the tenant's machine and where to print.
type session struct {
	*tenant.Machine
	cmd    *cobra.Command
	format string
	// out takes the result, err what happens on the way.
	out, err io.Writer
	style    style
	self     string
	// extras are what the manifest of an application says to the tenant's own tool; nil for other documents.
	extras *sdl.Extras
	in     *bufio.Reader
}

// connector opens the session of a command. Tests put another world in its place.
type connector func(cmd *cobra.Command) (*tenant.Machine, error)

// openSession makes a session whose news are shown as they come.
func openSession(cmd *cobra.Command, connect connector) (*session, error) {
	format, err := outputFormat(cmd)
	if err != nil {
		return nil, err
	}
	m, err := connect(cmd)
	if err != nil {
		return nil, err
	}
	s := &session{Machine: m, cmd: cmd, format: format, out: cmd.OutOrStdout(), err: cmd.ErrOrStderr(), self: self(cmd), in: bufio.NewReader(cmd.InOrStdin())}
	s.style = style(colours(cmd, s.err))
	m.Observe = newProgress(s).observe
	return s, nil
}

// print writes the command's result.
func (s *session) print(v any, text func(w io.Writer) error) error {
	if s.format == formatJSONL {
		return writeEvent(s.out, "result", v)
	}
	return writeResult(s.out, s.format, v, text)
}

// id names one of the account's own deployments.
func (s *session) id(dseq uint64) deploymenttypes.DeploymentID {
	return deploymenttypes.DeploymentID{Owner: s.Chain.Address(), Dseq: dseq}
}

// dseq reads the deployment number from the arguments; without one it is the only active deployment's.
func (s *session) dseq(ctx context.Context, args []string) (uint64, error) {
	if len(args) == 0 {
		return s.OnlyActive(ctx)
	}
	return parseDseq(args[0])
}

func parseDseq(arg string) (uint64, error) {
	dseq, err := strconv.ParseUint(arg, 10, 64)
	if err != nil || dseq == 0 {
		return 0, usageErrorf("%q is not a deployment's number", arg)
	}
	return dseq, nil
}

// withSession wraps a command that needs a network.
func withSession(connect connector, run func(ctx context.Context, s *session, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		s, err := openSession(cmd, connect)
		if err != nil {
			return err
		}
		defer s.Close()
		return run(cmd.Context(), s, args)
	}
}

// setting is a flag's value, or else an environment variable's.
func setting(cmd *cobra.Command, flag, env string) string {
	v, err := cmd.Flags().GetString(flag)
	if err == nil && v != "" {
		return v
	}
	return os.Getenv(env)
}

// homeDir is the tenant's home that the command line names.
func homeDir(cmd *cobra.Command) (string, error) {
	dir, err := home.Host().Find(setting(cmd, "home", "BERTH_HOME"))
	if err != nil {
		return "", exitWith(exitUsage, err)
	}
	return dir, nil
}

// loadConfig reads the home's configuration; one that does not exist is empty.
func loadConfig(dir string) (home.Config, error) {
	cfg, err := home.Load(dir)
	if errors.Is(err, home.ErrNoConfig) {
		return home.Config{}, nil
	}
	if err != nil {
		return home.Config{}, exitWith(exitUsage, err)
	}
	return cfg, nil
}

// connectNetwork opens the network and the key that the command line and the configuration name.
func connectNetwork(cmd *cobra.Command) (*tenant.Machine, error) {
	dir, err := homeDir(cmd)
	if err != nil {
		return nil, err
	}
	cfg, err := loadConfig(dir)
	if err != nil {
		return nil, err
	}
	name, network, err := chooseNetwork(cmd, cfg)
	if err != nil {
		return nil, err
	}
	if err := checkNode(network.Node); err != nil {
		return nil, exitWith(exitUsage, fmt.Errorf("network %s: %w", name, err), self(cmd)+" config list")
	}
	if b, cert, err := borrower(cmd, dir, network, time.Now()); b != nil || err != nil {
		if err != nil {
			return nil, err
		}
		return b.machine(cert, dir, name), nil
	}
	key := firstNonEmpty(setting(cmd, "key", "BERTH_KEY"), cfg.Key, home.DefaultKey)
	ring, err := client.OpenKeyring(backend(cmd, cfg), dir, cmd.InOrStdin())
	if err != nil {
		return nil, exitWith(exitUsage, err)
	}
	c, err := client.New(client.Config{Node: network.Node, ChainID: network.ChainID, Keyring: ring, Key: key, GasPrices: network.GasPrices})
	if errors.Is(err, sdkerrors.ErrKeyNotFound) {
		return nil, exitWith(exitUsage, fmt.Errorf("there is no key %q in %s", key, dir), self(cmd)+" keys list", self(cmd)+" keys import "+key+"   # a key whose words you have", self(cmd)+" keys add "+key+"      # a new one")
	}
	if err != nil {
		return nil, exitWith(exitUsage, err)
	}
	chain := tenant.NewChain(c)
	chainID := network.ChainID
	if chainID == "" { // a token for a provider names its chain
		head, err := chain.Head(cmd.Context())
		if err != nil {
			return nil, tenant.AsFailure(err)
		}
		chainID = head.ChainID
	}
	m := tenant.New(chain, tenant.Dialer(chainID, c), tenant.NewFileStore(dir, name), name)
	m.Reach = tenant.HTTPReach()
	return m, nil
}

// chooseNetwork is the network of the configuration, or a nameless one for a node that is given alone.
func chooseNetwork(cmd *cobra.Command, cfg home.Config) (string, home.Network, error) {
	node := setting(cmd, "node", "BERTH_NODE")
	wanted := setting(cmd, "network", "BERTH_NETWORK")
	if node != "" && wanted == "" && len(cfg.Networks) == 0 {
		return "default", home.Network{Node: node}, nil
	}
	if len(cfg.Networks) == 0 {
		return "", home.Network{}, exitWith(exitUsage, errors.New("no network is configured"),
			self(cmd)+" devnet up        # start a network of your own on this machine",
			self(cmd)+" config add NAME --node tcp://HOST:26657")
	}
	name, n, err := cfg.Network(wanted)
	if err != nil {
		return "", home.Network{}, exitWith(exitUsage, err, self(cmd)+" config list")
	}
	if node != "" {
		n.Node = node
	}
	return name, n, nil
}

// checkNode refuses what cannot be a node's address.
func checkNode(address string) error {
	full := address
	if !strings.Contains(full, "://") {
		full = "tcp://" + full
	}
	u, err := url.Parse(full)
	bad := err != nil || u.Hostname() == "" || u.User != nil
	switch {
	case bad:
	case u.Scheme == "tcp":
		bad = u.Port() == ""
	default:
		bad = u.Scheme != "http" && u.Scheme != "https"
	}
	if bad {
		return fmt.Errorf("%q is not a node's address, such as tcp://HOST:26657 or https://HOST", address)
	}
	return nil
}

func backend(cmd *cobra.Command, cfg home.Config) string {
	return firstNonEmpty(setting(cmd, "keyring-backend", "BERTH_KEYRING_BACKEND"), cfg.KeyringBackend, home.DefaultBackend)
}

func firstNonEmpty(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

// self is how to call this program again with the same network, home and key.
func self(cmd *cobra.Command) string {
	parts := []string{"berth"}
	if arg := os.Args[0]; filepath.Base(arg) == "berth" && strings.ContainsRune(arg, filepath.Separator) {
		parts[0] = arg
	}
	if f := cmd.Flags().Lookup("token"); f != nil && f.Changed { // never the token itself
		parts[0] = "BERTH_TOKEN=TOKEN " + parts[0]
	}
	for _, name := range []string{"home", "network", "node", "key", "keyring-backend"} {
		if f := cmd.Flags().Lookup(name); f != nil && f.Changed {
			parts = append(parts, "--"+name, quoted(f.Value.String()))
		}
	}
	return strings.Join(parts, " ")
}

// quoted makes a word safe to paste into a shell.
func quoted(s string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/._-:=@+,", r)
	}
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
