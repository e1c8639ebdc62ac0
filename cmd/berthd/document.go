package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/cosmos/cosmos-sdk/client"
	"github.com/cosmos/cosmos-sdk/client/flags"
	"github.com/cosmos/cosmos-sdk/client/tx"
	sdk "github.com/cosmos/cosmos-sdk/types"

	"berth.dev/berth/internal/document"
	"berth.dev/berth/internal/durable"
	"berth.dev/berth/manifest"
	"berth.dev/berth/sdl"
	"berth.dev/berth/sdl/chainspec"
	"berth.dev/berth/sdl/compile"
	deploymenttypes "berth.dev/berth/x/deployment/types"
	escrowtypes "berth.dev/berth/x/escrow/types"
)

const (
	flagDeposit     = "deposit"
	flagDseq        = "dseq"
	flagAuction     = "auction"
	flagWindow      = "window"
	flagSources     = "deposit-sources"
	flagNotice      = "reclaim-notice"
	flagSaltsFile   = "salts-file"
	flagManifestOut = "manifest-out"
	// maxSealed is the most bytes that are read of a sealed manifest.
	maxSealed = 10 << 20
)

// errBadDocument means that a document has errors, which have been written to stderr.
var errBadDocument = errors.New("the document has errors")

// addDocumentCommands adds the commands that take a document to those of the deployment module.
func addDocumentCommands(root *cobra.Command) {
	deployment, _, err := root.Find([]string{"tx", "deployment"})
	if err != nil || deployment.Name() != "deployment" {
		panic("the deployment module has no transaction commands")
	}
	deployment.AddCommand(createCommand(), updateCommand())
}

func createCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "create FILE",
		Short: "Open a deployment of a document",
		Long: "Compile a document, open a deployment of it and write the sealed manifest to a file, from which it is sent\n" +
			"to the providers when there are leases. The file holds the document's secrets.",
		Example: "berthd tx deployment create deploy.yaml --deposit 5000000ubrt --from tenant --manifest-out m.json",
		Args:    cobra.ExactArgs(1),
		RunE:    runCreate,
	}
	cmd.Flags().String(flagDeposit, "", "deposit into the deployment's escrow account, for example 5000000ubrt (required)")
	cmd.Flags().Uint64(flagDseq, 0, "the deployment's number; 0 takes the chain's height")
	cmd.Flags().String(flagAuction, "tenant", "who picks the winning bid: tenant, or lowest for the chain")
	cmd.Flags().Uint32(flagWindow, 2, "blocks for which bids are collected with --auction lowest")
	cmd.Flags().String(flagSources, "", "what the deposit is drawn from, in this order, for example grant:ADDRESS,balance; default: the balance")
	cmd.Flags().Uint32(flagNotice, 0, "least notice in seconds that a provider gives before it takes a lease back; 0 asks for none")
	addManifestFlags(cmd)
	must(cmd.MarkFlagRequired(flagDeposit))
	flags.AddTxFlagsToCmd(cmd)
	return cmd
}

func updateCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "update DSEQ FILE",
		Short:   "Replace the manifest of a deployment by a document's",
		Example: "berthd tx deployment update 7 deploy.yaml --from tenant --salts-file m.json --manifest-out m.json",
		Args:    cobra.ExactArgs(2),
		RunE:    runUpdate,
	}
	addManifestFlags(cmd)
	flags.AddTxFlagsToCmd(cmd)
	return cmd
}

func addManifestFlags(cmd *cobra.Command) {
	document.AddFlags(cmd.Flags())
	cmd.Flags().String(flagSaltsFile, "", "sealed manifest of before, whose salts are used again for groups of the same name")
	cmd.Flags().String(flagManifestOut, "", "file for the sealed manifest; default FILE.manifest.json")
}

func runCreate(cmd *cobra.Command, args []string) error {
	clientCtx, err := client.GetClientTxContext(cmd)
	if err != nil {
		return err
	}
	plan, err := compileFile(cmd, args[0])
	if err != nil {
		return err
	}
	msg := deploymenttypes.MsgCreateDeployment{Groups: chainspec.Groups(plan)}
	if msg.Auction, err = readAuction(cmd); err != nil {
		return err
	}
	if msg.Deposit, err = readDeposit(cmd); err != nil {
		return err
	}
	if msg.DepositSources, err = readSources(cmd); err != nil {
		return err
	}
	if msg.Reclamation.MinWindowSeconds, err = cmd.Flags().GetUint32(flagNotice); err != nil {
		return err
	}
	if msg.Id, err = newDeploymentID(cmd, clientCtx); err != nil {
		return err
	}
	if msg.ManifestHash, err = sealTo(cmd, args[0], msg.Id, plan); err != nil {
		return err
	}
	return tx.GenerateOrBroadcastTxCLI(clientCtx, cmd.Flags(), &msg)
}

func readSources(cmd *cobra.Command) ([]escrowtypes.DepositSource, error) {
	list, err := cmd.Flags().GetString(flagSources)
	if err != nil {
		return nil, err
	}
	return escrowtypes.ParseSources(list)
}

func runUpdate(cmd *cobra.Command, args []string) error {
	clientCtx, err := client.GetClientTxContext(cmd)
	if err != nil {
		return err
	}
	dseq, err := strconv.ParseUint(args[0], 10, 64)
	if err != nil || dseq == 0 {
		return fmt.Errorf("%q is not the number of a deployment", args[0])
	}
	plan, err := compileFile(cmd, args[1])
	if err != nil {
		return err
	}
	msg := deploymenttypes.MsgUpdateDeployment{
		Id: deploymenttypes.DeploymentID{Owner: clientCtx.GetFromAddress().String(), Dseq: dseq},
	}
	if msg.ManifestHash, err = sealTo(cmd, args[1], msg.Id, plan); err != nil {
		return err
	}
	return tx.GenerateOrBroadcastTxCLI(clientCtx, cmd.Flags(), &msg)
}

// compileFile compiles a document and writes what is wrong with it to stderr. It fails with errBadDocument.
func compileFile(cmd *cobra.Command, name string) (*sdl.Plan, error) {
	variables := document.FromFlags(cmd.Flags())
	in, err := variables.Load(name, cmd.InOrStdin())
	if err != nil {
		return nil, err
	}
	result := compile.Document(in)
	if err := result.Found.WriteText(cmd.ErrOrStderr(), result.Sources); err != nil {
		return nil, err
	}
	if result.Plan == nil {
		return nil, fmt.Errorf("%s: %w", name, errBadDocument)
	}
	if taken := variables.Taken(); taken != "" {
		cmd.PrintErrln(taken) // before anything is signed: the document may be a stranger's
	}
	return result.Plan, nil
}

// readLimited reads a file of at most so many bytes.
func readLimited(name string, limit int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("%s is larger than %d bytes", name, limit)
	}
	return data, nil
}

func readAuction(cmd *cobra.Command) (deploymenttypes.Auction, error) {
	mode, err := cmd.Flags().GetString(flagAuction)
	if err != nil {
		return deploymenttypes.Auction{}, err
	}
	switch mode {
	case "tenant":
		return deploymenttypes.Auction{Mode: deploymenttypes.AUCTION_MODE_TENANT}, nil
	case "lowest":
		window, err := cmd.Flags().GetUint32(flagWindow)
		return deploymenttypes.Auction{Mode: deploymenttypes.AUCTION_MODE_LOWEST, Window: window}, err
	}
	return deploymenttypes.Auction{}, fmt.Errorf("--%s: %q is neither tenant nor lowest", flagAuction, mode)
}

func readDeposit(cmd *cobra.Command) (sdk.Coin, error) {
	text, err := cmd.Flags().GetString(flagDeposit)
	if err != nil {
		return sdk.Coin{}, err
	}
	coin, err := sdk.ParseCoinNormalized(text)
	if err != nil {
		return sdk.Coin{}, fmt.Errorf("--%s: %w", flagDeposit, err)
	}
	return coin, nil
}

// newDeploymentID takes the number that was given, or the chain's height, which this owner has hardly used before.
func newDeploymentID(cmd *cobra.Command, clientCtx client.Context) (deploymenttypes.DeploymentID, error) {
	id := deploymenttypes.DeploymentID{Owner: clientCtx.GetFromAddress().String()}
	dseq, err := cmd.Flags().GetUint64(flagDseq)
	if err != nil {
		return id, err
	}
	if dseq == 0 {
		height, err := chainHeight(cmd.Context(), clientCtx)
		if err != nil {
			return id, fmt.Errorf("choose the deployment's number (or give --%s): %w", flagDseq, err)
		}
		dseq = uint64(height)
	}
	id.Dseq = dseq
	return id, nil
}

func chainHeight(ctx context.Context, clientCtx client.Context) (int64, error) {
	node, err := clientCtx.GetNode()
	if err != nil {
		return 0, err
	}
	status, err := node.Status(ctx)
	if err != nil {
		return 0, fmt.Errorf("ask the node for its height: %w", err)
	}
	return status.SyncInfo.LatestBlockHeight, nil
}

// sealTo seals the plan's manifests, keeps them in the output file and returns their root. The file is written before
// the transaction is sent: a deployment whose manifest is lost could never run.
func sealTo(cmd *cobra.Command, document string, id deploymenttypes.DeploymentID, plan *sdl.Plan) ([]byte, error) {
	saltsFile, err := cmd.Flags().GetString(flagSaltsFile)
	if err != nil {
		return nil, err
	}
	out, err := cmd.Flags().GetString(flagManifestOut)
	if err != nil {
		return nil, err
	}
	if out == "" {
		out = filepath.Base(document) + ".manifest.json"
	}
	known, err := readSalts(saltsFile)
	if err != nil {
		return nil, err
	}
	sealed, root, err := seal(id, plan, known)
	if err != nil {
		return nil, err
	}
	bz, err := json.MarshalIndent(sealed, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode the sealed manifest: %w", err)
	}
	if err := durable.WriteFile(out, append(bz, '\n'), 0o600); err != nil {
		return nil, fmt.Errorf("write the sealed manifest: %w", err)
	}
	cmd.PrintErrf("deployment %s: sealed manifest written to %s\n", id, out)
	return root, nil
}

// seal binds the plan's manifests with the salts of before, and new random ones for groups that had none.
func seal(id deploymenttypes.DeploymentID, plan *sdl.Plan, known map[string]string) (manifest.Sealed, []byte, error) {
	sealed := manifest.Sealed{Owner: id.Owner, Dseq: id.Dseq, Salts: map[string]string{}}
	salts := make([][]byte, len(plan.Manifests))
	for i, m := range plan.Manifests {
		if text, ok := known[m.Name]; ok {
			salt, err := hex.DecodeString(text)
			if err != nil {
				return sealed, nil, fmt.Errorf("salt of group %q: %w", m.Name, err)
			}
			salts[i] = salt
		} else {
			salts[i] = make([]byte, manifest.SaltBytes)
			_, _ = rand.Read(salts[i]) // never fails
		}
		sealed.Salts[m.Name] = hex.EncodeToString(salts[i])
	}
	root, envelopes, err := manifest.Seal(plan.Manifests, salts)
	if err != nil {
		return sealed, nil, fmt.Errorf("seal the manifest: %w", err)
	}
	sealed.Root, sealed.Envelopes = hex.EncodeToString(root[:]), envelopes
	return sealed, root[:], nil
}

func readSalts(name string) (map[string]string, error) {
	if name == "" {
		return nil, nil
	}
	data, err := readLimited(name, maxSealed)
	if err != nil {
		return nil, err
	}
	var before manifest.Sealed
	if err := json.Unmarshal(data, &before); err != nil {
		return nil, fmt.Errorf("%s is not a sealed manifest: %w", name, err)
	}
	return before.Salts, nil
}
