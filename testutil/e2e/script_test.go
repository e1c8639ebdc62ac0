//go:build e2e

package e2e

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"berth.dev/berth/manifest"
	deploymenttypes "berth.dev/berth/x/deployment/types"
	markettypes "berth.dev/berth/x/market/types"
)

// Each step of a deployment is a plain transaction too, for those who script.
func TestADeploymentByPlainTransactions(t *testing.T) {
	sealed := filepath.Join(t.TempDir(), "sealed.json")
	transact(t, "deployment", "create", example("hello"), "--deposit", "2000000ubrt", "--manifest-out", sealed)
	f := readSealed(t, sealed)
	query := markettypes.NewQueryClient(chain(t).Conn())
	var bid markettypes.Bid
	eventually(t, "a bid", func(ctx context.Context) error {
		res, err := query.Bids(ctx, &markettypes.QueryBidsRequest{Owner: f.Owner, Dseq: f.Dseq, State: markettypes.BID_STATE_OPEN})
		if err == nil && len(res.Bids) == 0 {
			err = fmt.Errorf("no bid yet")
		}
		if err == nil {
			bid = res.Bids[0]
		}
		return err
	})
	transact(t, "market", "create-lease", bid.Id.String())
	eventually(t, "the lease", func(ctx context.Context) error {
		_, err := query.Lease(ctx, &markettypes.QueryLeaseRequest{Id: bid.Id})
		return err
	})
	berth(t, nil, "manifest", "send", sealed)
	eventually(t, "the URL to answer", func(ctx context.Context) error {
		s := status(t, f.Dseq)
		if len(s.URLs) != 1 {
			return fmt.Errorf("URLs are %v", s.URLs)
		}
		return want(ctx, s.URLs[0], "hello from hello-")
	})
	transact(t, "deployment", "close", strconv.FormatUint(f.Dseq, 10))
	eventually(t, "the deployment to be closed", func(ctx context.Context) error {
		res, err := deploymenttypes.NewQueryClient(chain(t).Conn()).Deployment(ctx, &deploymenttypes.QueryDeploymentRequest{Owner: f.Owner, Dseq: f.Dseq})
		if err == nil && res.Deployment.State != deploymenttypes.DEPLOYMENT_STATE_CLOSED {
			err = fmt.Errorf("its state is %s", res.Deployment.State)
		}
		return err
	})
}

// transact sends one transaction with berthd and waits until it is included with success.
func transact(t *testing.T, args ...string) {
	t.Helper()
	args = append(append([]string{"tx"}, args...), "--from", "tenant", "--keyring-backend", "test", "--keyring-dir", marketplace.TenantHome,
		"--home", filepath.Join(t.TempDir(), "berthd"), "--node", marketplace.Node, "--chain-id", marketplace.ChainID,
		"--gas", "auto", "--gas-adjustment", "1.5", "--gas-prices", "0.0025ubrt", "--yes", "-o", "json")
	out, err := program(t.Context(), "berthd", args...)
	if err != nil {
		t.Fatal(err)
	}
	var res struct {
		TxHash string `json:"txhash"`
		Code   uint32 `json:"code"`
		RawLog string `json:"raw_log"`
	}
	if err := json.Unmarshal(out, &res); err != nil || res.Code != 0 {
		t.Fatalf("berthd %v: %v\n%s", args, err, out)
	}
	eventually(t, "transaction "+res.TxHash, func(ctx context.Context) error {
		hash, err := hex.DecodeString(res.TxHash)
		if err != nil {
			return err
		}
		_, err = chain(t).FindTx(ctx, hash)
		return err
	})
}

func readSealed(t *testing.T, path string) manifest.Sealed {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	f, err := manifest.DecodeSealed(data)
	if err != nil {
		t.Fatal(err)
	}
	return f
}
