package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	cmtcfg "github.com/cometbft/cometbft/config"

	cryptotypes "github.com/cosmos/cosmos-sdk/crypto/types"
	srvcfg "github.com/cosmos/cosmos-sdk/server/config"
	"github.com/cosmos/cosmos-sdk/telemetry"
	"github.com/cosmos/cosmos-sdk/x/genutil"
	genutiltypes "github.com/cosmos/cosmos-sdk/x/genutil/types"
)

// errHomeInUse refuses to write over a node that exists.
var errHomeInUse = errors.New("a node exists in this home; choose another --home or give --overwrite, which starts a new chain in it")

// nodeHome is what a new node's directory is made of.
type nodeHome struct {
	dir     string
	comet   *cmtcfg.Config
	app     *srvcfg.Config
	chainID string
	// keyringBackend and node are the defaults of the client commands run with this home.
	keyringBackend string
	node           string
}

// checkFree returns errHomeInUse if the directory has a genesis.
func checkFree(dir string, overwrite bool) error {
	_, err := os.Stat(filepath.Join(dir, "config", "genesis.json"))
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("look for a node in %s: %w", dir, err)
	case overwrite:
		return nil
	}
	return fmt.Errorf("%s: %w", dir, errHomeInUse)
}

// unsigned is the memory of a validator that has signed nothing yet.
const unsigned = `{"height":"0","round":0,"step":0}`

// clearData removes the blocks and state of a chain that is to be started anew; keys and configuration stay, but for
// the memory of what was signed, which belongs to the old chain.
func clearData(dir string) error {
	data := filepath.Join(dir, "data")
	if err := os.RemoveAll(data); err != nil {
		return fmt.Errorf("remove the old chain: %w", err)
	}
	if err := os.MkdirAll(data, 0o700); err != nil {
		return fmt.Errorf("remove the old chain: %w", err)
	}
	if err := os.WriteFile(filepath.Join(data, "priv_validator_state.json"), []byte(unsigned), 0o600); err != nil {
		return fmt.Errorf("remove the old chain: %w", err)
	}
	return nil
}

// makeKeys makes the node's keys, or reads those that are there, and returns the node's id and its block-signing key.
func (h nodeHome) makeKeys() (id string, pubKey cryptotypes.PubKey, err error) {
	for _, dir := range []string{"config", "data"} {
		if err := os.MkdirAll(filepath.Join(h.dir, dir), 0o700); err != nil {
			return "", nil, fmt.Errorf("make the node's home: %w", err)
		}
	}
	h.comet.SetRoot(h.dir)
	id, pubKey, err = genutil.InitializeNodeValidatorFiles(h.comet)
	if err != nil {
		return "", nil, fmt.Errorf("make the node's keys: %w", err)
	}
	return id, pubKey, nil
}

// write writes the configuration and the genesis.
func (h nodeHome) write(genesis *genutiltypes.AppGenesis) error {
	config := filepath.Join(h.dir, "config")
	h.comet.SetRoot(h.dir)
	if err := h.comet.ValidateBasic(); err != nil {
		return fmt.Errorf("check config.toml: %w", err)
	}
	cmtcfg.WriteConfigFile(filepath.Join(config, "config.toml"), h.comet)
	srvcfg.SetConfigTemplate(srvcfg.DefaultConfigTemplate)
	srvcfg.WriteConfigFile(filepath.Join(config, "app.toml"), h.app)
	clientToml := fmt.Sprintf("# Defaults of the client commands.\nchain-id = %q\nkeyring-backend = %q\noutput = \"text\"\nnode = %q\nbroadcast-mode = \"sync\"\n",
		h.chainID, h.keyringBackend, h.node)
	for name, content := range map[string]string{"client.toml": clientToml, telemetry.OtelFileName: ""} {
		if err := os.WriteFile(filepath.Join(config, name), []byte(content), 0o600); err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
	}
	if err := genutil.ExportGenesisFile(genesis, h.comet.GenesisFile()); err != nil {
		return fmt.Errorf("write the genesis: %w", err)
	}
	return nil
}
