package daemon

import (
	"testing"
	"time"

	"encoding/json"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/cosmos/cosmos-sdk/codec"

	"berth.dev/berth/testutil/chaintest"
	"berth.dev/berth/units"
	audittypes "berth.dev/berth/x/audit/types"
	deploymenttypes "berth.dev/berth/x/deployment/types"
	markettypes "berth.dev/berth/x/market/types"
	providertypes "berth.dev/berth/x/provider/types"
)

// deployAs is deploy with an edit of what is asked for.
func (w *world) deployAs(edit func(*deploymenttypes.MsgCreateDeployment)) markettypes.OrderID {
	w.t.Helper()
	w.dseq++
	root, _ := seal(w.t, webGroup(1, "berth.local/hello:1"))
	msg := &deploymenttypes.MsgCreateDeployment{
		Id:     deploymenttypes.DeploymentID{Owner: w.tenant.Address().String(), Dseq: w.dseq},
		Groups: []deploymenttypes.GroupSpec{webSpec()}, ManifestHash: root, Deposit: sdk.NewInt64Coin(units.BaseDenom, 50_000_000),
	}
	edit(msg)
	w.send(msg)
	return markettypes.OrderID{Owner: msg.Id.Owner, Dseq: msg.Id.Dseq, Gseq: 1, Oseq: 1}
}

// TestSignaturesAreFollowed: an order that an auditor must have signed for waits until it has, and gets its bid then.
func TestSignaturesAreFollowed(t *testing.T) {
	w := newWorld(t)
	w.start()
	auditor := w.client("k2")
	order := w.deployAs(func(m *deploymenttypes.MsgCreateDeployment) {
		m.Groups[0].Requirements.SignedBy.AllOf = []string{auditor.Address().String()}
	})
	w.await("the refusal", func() bool { c, _ := w.daemon.bids.Counts(); return c.Waiting == 1 && c.Open == 0 })
	_, err := auditor.Send(t.Context(), &audittypes.MsgSignAttributes{
		Auditor: auditor.Address().String(), Provider: w.provider(), Attributes: []providertypes.Attribute{{Key: "region", Value: "east"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	w.awaitBid(order)
}

// TestNotice: an order that wants notice gets a bid that promises it; the lease, whose manifest never comes, is announced
// first, and closed when the notice has run out.
func TestNotice(t *testing.T) {
	w := newWorldOn(t, chaintest.Options{Genesis: func(cdc codec.JSONCodec, state map[string]json.RawMessage) {
		var g markettypes.GenesisState
		cdc.MustUnmarshalJSON(state[markettypes.ModuleName], &g)
		g.Params.MinReclaimWindowSeconds = 1
		state[markettypes.ModuleName] = cdc.MustMarshalJSON(&g)
	}})
	w.edit = func(c *Config) {
		c.Leases.ManifestTimeout, c.Bids.MaxNotice = Duration(time.Second), Duration(2*time.Second)
	}
	w.start()
	ask := func(seconds uint32) markettypes.OrderID {
		return w.deployAs(func(m *deploymenttypes.MsgCreateDeployment) { m.Reclamation.MinWindowSeconds = seconds })
	}
	tooMuch := ask(3)
	id := w.lease(ask(2))
	if got := w.leaseState(id).Lease.ReclaimWindowSeconds; got != 2 {
		t.Errorf("the lease owes %d s of notice", got)
	}
	w.await("the notice", func() bool { return w.leaseState(id).Lease.ReclaimDeadline != 0 })
	w.await("the close", func() bool { return w.leaseState(id).Lease.State == markettypes.LEASE_STATE_CLOSED })
	l := w.leaseState(id).Lease
	if l.Reason != markettypes.CLOSE_REASON_MANIFEST_TIMEOUT {
		t.Errorf("reason %s", l.Reason)
	}
	if n := w.bidsMade(tooMuch); n != 0 {
		t.Errorf("%d bids on an order that wants more notice than is given", n)
	}
}
