//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"cosmossdk.io/math"

	sdk "github.com/cosmos/cosmos-sdk/types"
	banktypes "github.com/cosmos/cosmos-sdk/x/bank/types"

	"berth.dev/berth/client"
	"berth.dev/berth/tenant"
	"berth.dev/berth/units"
	escrowtypes "berth.dev/berth/x/escrow/types"
	markettypes "berth.dev/berth/x/market/types"
)

func TestHelloAnswersByItsHostName(t *testing.T) {
	d := deploy(t, example("hello"))
	if len(d.URLs) != 1 {
		t.Fatalf("deploy gave the URLs %v, want one", d.URLs)
	}
	if err := want(t.Context(), d.URLs[0], "hello from hello-"); err != nil {
		t.Error(err)
	}
	s := status(t, d.Dseq)
	if !s.Ready || s.FundedUntil == nil || !s.PricePerBlock.Amount.IsPositive() {
		t.Errorf("status says ready=%v, funded until %v, price %v", s.Ready, s.FundedUntil, s.PricePerBlock)
	}
	if code, _, err := get(t.Context(), strings.Replace(d.URLs[0], "hello-", "nobody-", 1)); err != nil || code != 404 {
		t.Errorf("an unknown host answers %d, %v; want 404", code, err)
	}
}

// TestOneTransactionIsEnough: where the chain picks the bid, a deployment is one transaction; all calls to the provider
// share a token, which is the second signature (TestCallsWithOneSignature of the gateway's client).
func TestOneTransactionIsEnough(t *testing.T) {
	out, err := program(t.Context(), "berth", "deploy", "--yes", "--auction", "lowest", example("hello"), "--home", marketplace.TenantHome, "-o", "jsonl")
	if err != nil {
		t.Fatal(err)
	}
	var sent []string
	var d deployed
	for line := range strings.Lines(string(out)) {
		var e struct {
			Event  string `json:"event"`
			Action string `json:"action"`
			deployed
		}
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		switch e.Event {
		case "transaction":
			sent = append(sent, e.Action)
		case "result":
			d = e.deployed
		}
	}
	closeAfter(t, d.Dseq)
	if len(sent) != 1 || sent[0] != "create" {
		t.Errorf("the transactions are %v, want one that creates", sent)
	}
	if len(d.URLs) != 1 {
		t.Fatalf("the result has the URLs %v", d.URLs)
	}
	if err := want(t.Context(), d.URLs[0], "hello from hello-"); err != nil {
		t.Error(err)
	}
}

func TestOnlyTheNamedServiceReaches(t *testing.T) {
	d := deploy(t, filepath.Join("testdata", "three-services.yaml"))
	byService := map[string]string{}
	for _, u := range d.URLs {
		host := strings.TrimPrefix(u, "http://")
		byService[host[:strings.LastIndex(strings.Split(host, ".")[0], "-")]] = u
	}
	web, other := byService["web"], byService["other"]
	if web == "" || other == "" {
		t.Fatalf("URLs are %v, want one of web and one of other", d.URLs)
	}
	eventually(t, "web reaches api", func(ctx context.Context) error {
		code, body, err := fetch(ctx, web, "http://api:3000/")
		if err == nil && (code != 200 || !strings.Contains(body, "hello from api-")) {
			err = fmt.Errorf("answer %d %q", code, body)
		}
		return err
	})
	for _, target := range []string{"http://api:3000/", "http://api:8080/"} {
		if code, body, err := fetch(t.Context(), other, target); err != nil || code != 502 {
			t.Errorf("other reaches %s: %d %q, %v; want 502", target, code, body, err)
		}
	}
	// The host part of api's name exists for nobody outside.
	if code, _, err := get(t.Context(), strings.Replace(web, "web-", "api-", 1)); err != nil || code != 404 {
		t.Errorf("api answers from outside: %d, %v; want 404", code, err)
	}
}

func TestAnUpdateRollsWithoutAFailedRequest(t *testing.T) {
	two := edited(t, example("hello"), "count: 1", "count: 2")
	d := deploy(t, two)
	if err := want(t.Context(), d.URLs[0], "version 1"); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	failures := make(chan error, 1)
	var asked int
	go func() {
		defer close(failures)
		for ctx.Err() == nil {
			if err := want(ctx, d.URLs[0], "hello from"); err != nil && ctx.Err() == nil {
				failures <- fmt.Errorf("request %d: %w", asked, err)
				return
			}
			asked++
		}
	}()
	next := edited(t, two, "hello:1", "hello:2")
	berth(t, nil, "update", "--yes", strconv.FormatUint(d.Dseq, 10), next)
	eventually(t, "version 2", func(ctx context.Context) error {
		for range 8 {
			if err := want(ctx, d.URLs[0], "version 2"); err != nil {
				return err
			}
		}
		return nil
	})
	// The old instances end a while after the new ones answer; requests go on until they are gone.
	eventually(t, "the old instances to end", func(ctx context.Context) error {
		pods, err := cluster(t).CoreV1().Pods("").List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		for _, p := range pods.Items {
			for _, c := range p.Spec.Containers {
				if strings.HasSuffix(c.Image, "hello:1") {
					return fmt.Errorf("pod %s still runs hello:1", p.Name)
				}
			}
		}
		return nil
	})
	stop()
	if err := <-failures; err != nil {
		t.Error(err)
	}
	t.Logf("%d requests during the update", asked)
}

func TestAKilledProviderLosesNothingAndBidsNothingTwice(t *testing.T) {
	d := deploy(t, example("hello"))
	killProviders(t)
	// An order that comes while the providers are down is bid on once when they are back.
	var second deployed
	berth(t, &second, "deploy", "--yes", "--bid-wait", "60s", example("hello"))
	defer berth(t, nil, "close", "--yes", strconv.FormatUint(second.Dseq, 10))
	killProviders(t)
	eventually(t, "both deployments to be ready", func(ctx context.Context) error {
		for _, dseq := range []uint64{d.Dseq, second.Dseq} {
			var s tenant.Status
			if err := tryBerth(ctx, &s, "status", strconv.FormatUint(dseq, 10)); err != nil {
				return err
			}
			if !s.Ready {
				return fmt.Errorf("deployment %d is not ready", dseq)
			}
		}
		return want(ctx, d.URLs[0], "hello from")
	})
	bids, err := markettypes.NewQueryClient(chain(t).Conn()).Bids(t.Context(), &markettypes.QueryBidsRequest{Owner: marketplace.Tenant, Dseq: second.Dseq})
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]int{}
	for _, b := range bids.Bids {
		seen[b.Id.String()]++
	}
	for id, n := range seen {
		if n != 1 {
			t.Errorf("bid %s stands %d times", id, n)
		}
	}
	leases, err := markettypes.NewQueryClient(chain(t).Conn()).Leases(t.Context(), &markettypes.QueryLeasesRequest{Owner: marketplace.Tenant, State: markettypes.LEASE_STATE_ACTIVE})
	if err != nil {
		t.Fatal(err)
	}
	if len(leases.Leases) != 2 {
		t.Errorf("%d leases are active, want 2", len(leases.Leases))
	}
}

// killProviders kills both daemons; the devnet's supervisor starts them again.
func killProviders(t *testing.T) {
	t.Helper()
	for _, p := range marketplace.Providers {
		path := filepath.Join(marketplace.State, "pids", "provider-"+p.Name)
		var old int
		eventually(t, "a pid of "+p.Name, func(context.Context) (err error) {
			old, err = readPid(path)
			return err
		})
		if err := syscall.Kill(old, syscall.SIGKILL); err != nil {
			t.Fatalf("kill provider %s: %v", p.Name, err)
		}
		eventually(t, p.Name+" to come back", func(context.Context) error {
			pid, err := readPid(path)
			if err == nil && pid == old {
				err = errors.New("the pid is still the old one")
			}
			return err
		})
	}
}

func readPid(path string) (int, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(data)))
}

func TestACloseRefundsExactly(t *testing.T) {
	ctx := t.Context()
	c := chain(t)
	before := balance(t, c, marketplace.Tenant)
	from, err := c.Head(ctx)
	if err != nil {
		t.Fatal(err)
	}
	// Large enough to earn several units in a few seconds.
	large := edited(t, example("hello"), "cpu: 100m", "cpu: 600m", "memory: 64Mi", "memory: 512Mi")
	var d deployed
	berth(t, &d, "deploy", "--yes", "--deposit", "3000000ubrt", large)
	s := status(t, d.Dseq)
	lease, err := markettypes.ParseBidID(s.Groups[0].Lease.ID)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "some units to be earned", func(ctx context.Context) error {
		if err := tryBerth(ctx, &s, "status", strconv.FormatUint(d.Dseq, 10)); err != nil {
			return err
		}
		if s.Escrow.Accrued.Amount.LT(math.LegacyNewDec(3)) {
			return fmt.Errorf("%s has been earned", s.Escrow.Accrued)
		}
		return nil
	})
	var closed tenant.Closed
	berth(t, &closed, "close", "--yes", strconv.FormatUint(d.Dseq, 10))

	var to client.Head
	eventually(t, "a block after the close", func(ctx context.Context) error {
		if to, err = c.Head(ctx); err != nil {
			return err
		}
		if to.Height <= closed.Height {
			return fmt.Errorf("the chain is at %d", to.Height)
		}
		return nil
	})
	res, err := markettypes.NewQueryClient(c.Conn()).Lease(ctx, &markettypes.QueryLeaseRequest{Id: lease})
	if err != nil {
		t.Fatal(err)
	}
	l, p := res.Lease, res.Payment
	blocks := l.ClosedAt - l.CreatedAt
	earned := l.Price.Amount.MulInt64(blocks).TruncateInt()
	t.Logf("%d blocks at %s: %s earned", blocks, l.Price, earned)
	if !earned.IsPositive() || !earned.Equal(p.Withdrawn) || !earned.Equal(closed.Paid.Amount) {
		t.Errorf("%d blocks at %s earn %s, but the payment withdrew %s and the close paid %s", blocks, l.Price, earned, p.Withdrawn, closed.Paid)
	}
	deposit := math.NewInt(3_000_000)
	if got := closed.Refunded.Amount; !got.Equal(deposit.Sub(earned)) {
		t.Errorf("refund is %s, want %s - %s", got, deposit, earned)
	}
	fees := feesPaid(t, c, marketplace.Tenant, from.Height+1, to.Height)
	if got, want := balance(t, c, marketplace.Tenant), before.Sub(fees).Sub(earned); !got.Equal(want) {
		t.Errorf("the tenant has %s, want %s = %s - fees %s - earned %s", got, want, before, fees, earned)
	}
	inv, err := escrowtypes.NewQueryClient(c.Conn()).Invariants(ctx, &escrowtypes.QueryInvariantsRequest{})
	if err != nil || len(inv.Broken) != 0 {
		t.Errorf("invariants: %v, %v", inv, err)
	}
	eventually(t, "the namespace to be gone", func(ctx context.Context) error {
		list, err := cluster(t).CoreV1().Namespaces().List(ctx, metav1.ListOptions{})
		if err != nil && !apierrors.IsNotFound(err) {
			return err
		}
		for _, ns := range list.Items {
			for _, v := range ns.Annotations {
				if v == lease.String() {
					return fmt.Errorf("namespace %s is still there", ns.Name)
				}
			}
		}
		return nil
	})
}

func balance(t *testing.T, c *client.Client, address string) math.Int {
	t.Helper()
	res, err := banktypes.NewQueryClient(c.Conn()).Balance(t.Context(), &banktypes.QueryBalanceRequest{Address: address, Denom: units.BaseDenom})
	if err != nil {
		t.Fatal(err)
	}
	return res.Balance.Amount
}

// feesPaid sums what an account paid for its transactions in some blocks, failed ones too.
func feesPaid(t *testing.T, c *client.Client, address string, from, to int64) math.Int {
	t.Helper()
	sum := math.ZeroInt()
	for h := from; h <= to; h++ {
		res, err := c.RPC().BlockResults(t.Context(), &h)
		if err != nil {
			t.Fatal(err)
		}
		for _, tx := range res.TxsResults {
			for _, e := range tx.Events {
				fee, payer := "", ""
				for _, a := range e.Attributes {
					switch a.Key {
					case sdk.AttributeKeyFee:
						fee = a.Value
					case sdk.AttributeKeyFeePayer:
						payer = a.Value
					}
				}
				if e.Type != sdk.EventTypeTx || payer != address || fee == "" {
					continue
				}
				coins, err := sdk.ParseCoinsNormalized(fee)
				if err != nil {
					t.Fatal(err)
				}
				sum = sum.Add(coins.AmountOf(units.BaseDenom))
			}
		}
	}
	return sum
}

// TestAPausedDeploymentRunsAgain: paused, it answers nobody and costs nothing; started, it answers at a lease of its own.
func TestAPausedDeploymentRunsAgain(t *testing.T) {
	d := deploy(t, example("hello"))
	dseq := strconv.FormatUint(d.Dseq, 10)
	var changed tenant.GroupsChanged
	berth(t, &changed, "pause", dseq)
	s := status(t, d.Dseq)
	if len(changed.Groups) != 1 || !s.PricePerBlock.Amount.IsZero() || s.Groups[0].Lease != nil || s.Groups[0].State != "paused" {
		t.Errorf("paused: %+v, status %+v", changed, s)
	}
	eventually(t, "nobody to answer", func(ctx context.Context) error {
		code, body, err := get(ctx, d.URLs[0])
		if err == nil && code != 404 {
			err = fmt.Errorf("answer %d %q", code, body)
		}
		return err
	})
	var again deployed
	berth(t, &again, "start", dseq)
	if again.Dseq != d.Dseq || len(again.URLs) != 1 || again.URLs[0] == d.URLs[0] {
		t.Fatalf("started: %+v, it was %+v", again, d)
	}
	if err := want(t.Context(), again.URLs[0], "hello from hello-"); err != nil {
		t.Error(err)
	}
}
