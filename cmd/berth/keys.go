package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/cosmos/cosmos-sdk/crypto/hd"
	"github.com/cosmos/cosmos-sdk/crypto/keyring"
	sdk "github.com/cosmos/cosmos-sdk/types"

	"berth.dev/berth/client"
	"berth.dev/berth/tenant/home"
)

// keyInfo is a key for output. The mnemonic is there only when the key has just been made.
type keyInfo struct {
	Name     string `json:"name"`
	Address  string `json:"address"`
	PubKey   string `json:"public_key"`
	Mnemonic string `json:"mnemonic,omitempty"`
}

func newKeysCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "keys",
		Short: "Keep the keys that sign and pay",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(
		&cobra.Command{Use: "add [NAME]", Short: "Make a new key", Args: cobra.MaximumNArgs(1),
			Long: "Make a new key and print its mnemonic, once: whoever has the words has the funds, and without them a lost\n" +
				"keyring is lost for good.",
			RunE: withKeyring(addKey)},
		&cobra.Command{Use: "import [NAME]", Short: "Add a key by its mnemonic, read from standard input", Args: cobra.MaximumNArgs(1), RunE: withKeyring(importKey)},
		&cobra.Command{Use: "list", Short: "List the keys", Args: cobra.NoArgs, RunE: withKeyring(listKeys)},
		&cobra.Command{Use: "show [NAME]", Short: "Show a key's address", Args: cobra.MaximumNArgs(1), RunE: withKeyring(showKey)},
	)
	return cmd
}

// withKeyring opens the home's keyring; name is the first argument or the configured key.
func withKeyring(run func(cmd *cobra.Command, ring keyring.Keyring, name string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		dir, err := homeDir(cmd)
		if err != nil {
			return err
		}
		cfg, err := loadConfig(dir)
		if err != nil {
			return err
		}
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("make the home: %w", err)
		}
		ring, err := client.OpenKeyring(backend(cmd, cfg), dir, cmd.InOrStdin())
		if err != nil {
			return exitWith(exitUsage, err)
		}
		name := firstNonEmpty(setting(cmd, "key", "BERTH_KEY"), cfg.Key, home.DefaultKey)
		if len(args) > 0 {
			name = args[0]
		}
		return run(cmd, ring, name)
	}
}

func newKeyInfo(r *keyring.Record) (keyInfo, error) {
	address, err := r.GetAddress()
	if err != nil {
		return keyInfo{}, fmt.Errorf("address of key %q: %w", r.Name, err)
	}
	pub, err := r.GetPubKey()
	if err != nil {
		return keyInfo{}, fmt.Errorf("public key of %q: %w", r.Name, err)
	}
	return keyInfo{Name: r.Name, Address: address.String(), PubKey: fmt.Sprintf("%x", pub.Bytes())}, nil
}

// unused makes sure that no key is overwritten.
func unused(cmd *cobra.Command, ring keyring.Keyring, name string) error {
	if _, err := ring.Key(name); err == nil {
		return exitWith(exitUsage, fmt.Errorf("there is a key %q already; choose another name", name), self(cmd)+" keys list")
	}
	return nil
}

func addKey(cmd *cobra.Command, ring keyring.Keyring, name string) error {
	if err := unused(cmd, ring, name); err != nil {
		return err
	}
	r, mnemonic, err := ring.NewMnemonic(name, keyring.English, sdk.GetConfig().GetFullBIP44Path(), keyring.DefaultBIP39Passphrase, hd.Secp256k1)
	if err != nil {
		return fmt.Errorf("make key %q: %w", name, err)
	}
	info, err := newKeyInfo(r)
	if err != nil {
		return err
	}
	info.Mnemonic = mnemonic
	return printResult(cmd, info, func(w io.Writer) error {
		_, err := fmt.Fprintf(w, "%s  %s\n\nWrite these words down and keep them safe; they are not shown again:\n\n  %s\n", info.Name, info.Address, mnemonic)
		return err
	})
}

func importKey(cmd *cobra.Command, ring keyring.Keyring, name string) error {
	if err := unused(cmd, ring, name); err != nil {
		return err
	}
	words, err := readMnemonic(cmd)
	if err != nil {
		return err
	}
	r, err := ring.NewAccount(name, words, keyring.DefaultBIP39Passphrase, sdk.GetConfig().GetFullBIP44Path(), hd.Secp256k1)
	if errors.Is(err, keyring.ErrDuplicatedAddress) {
		return exitWith(exitUsage, errors.New("the keyring has this key already, under another name"), self(cmd)+" keys list")
	}
	if err != nil {
		return exitWith(exitInput, errors.New("these words are not a valid mnemonic")) // the cause could hold some of them
	}
	info, err := newKeyInfo(r)
	if err != nil {
		return err
	}
	return printResult(cmd, info, keyText(info))
}

// readMnemonic reads the words without showing them.
func readMnemonic(cmd *cobra.Command) (string, error) {
	in := cmd.InOrStdin()
	var data []byte
	var err error
	if f, ok := in.(*os.File); ok && isTerminal(f) {
		fmt.Fprint(cmd.ErrOrStderr(), "Mnemonic (not shown): ")
		data, err = term.ReadPassword(int(f.Fd()))
		fmt.Fprintln(cmd.ErrOrStderr())
	} else {
		data, err = io.ReadAll(io.LimitReader(in, 4096))
	}
	if err != nil {
		return "", fmt.Errorf("read the mnemonic: %w", err)
	}
	words := strings.Join(strings.Fields(string(data)), " ")
	if words == "" {
		return "", exitWith(exitInput, errors.New("no mnemonic was given on standard input"))
	}
	return words, nil
}

func listKeys(cmd *cobra.Command, ring keyring.Keyring, _ string) error {
	records, err := ring.List()
	if err != nil {
		return fmt.Errorf("list the keys: %w", err)
	}
	list := []keyInfo{}
	for _, r := range records {
		info, err := newKeyInfo(r)
		if err != nil {
			return err
		}
		list = append(list, info)
	}
	return printResult(cmd, list, func(w io.Writer) error {
		if len(list) == 0 {
			_, err := fmt.Fprintf(w, "No keys. Make one with:\n  %s keys add\n", self(cmd))
			return err
		}
		t := newTable("NAME", "ADDRESS")
		for _, k := range list {
			t.add(k.Name, k.Address)
		}
		_, err := io.WriteString(w, t.String())
		return err
	})
}

func showKey(cmd *cobra.Command, ring keyring.Keyring, name string) error {
	r, err := ring.Key(name)
	if err != nil {
		return exitWith(exitUsage, fmt.Errorf("there is no key %q", name), self(cmd)+" keys list", self(cmd)+" keys add "+quoted(name))
	}
	info, err := newKeyInfo(r)
	if err != nil {
		return err
	}
	return printResult(cmd, info, keyText(info))
}

func keyText(info keyInfo) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := fmt.Fprintf(w, "%s  %s\n", info.Name, info.Address)
		return err
	}
}
