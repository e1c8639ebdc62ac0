package daemon

import (
	"context"
	"strings"
	"testing"
	"time"

	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/cosmos-sdk/x/authz"

	"berth.dev/berth/provider/chain"
	"berth.dev/berth/units"
)

// TestHotKeyActsForItsOwner runs a provider whose owner's key only makes grants: everything from the record to the
// withdrawal is signed by another key, deposits are the owner's and earnings go to it.
func TestHotKeyActsForItsOwner(t *testing.T) {
	w := newWorld(t)
	owner := w.client("k1")
	var grants []sdk.Msg
	for _, url := range chain.DelegatedMessages() {
		msg, err := authz.NewMsgGrant(owner.Address(), w.net.Addr(2), authz.NewGenericAuthorization(url), nil)
		if err != nil {
			t.Fatal(err)
		}
		grants = append(grants, msg)
	}
	if _, err := owner.Send(context.Background(), grants...); err != nil {
		t.Fatal(err)
	}
	_, before, err := owner.Account(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	w.edit = func(c *Config) {
		c.Chain.Key, c.Chain.Owner = "k2", owner.Address().String()
		c.Withdraw.Interval = Duration(300 * time.Millisecond)
	}
	w.start()
	if got := w.daemon.Provider(); got != owner.Address().String() {
		t.Fatalf("the provider is %s, want its owner %s", got, owner.Address())
	}
	root, env := seal(t, webGroup(1, "berth.local/hello:1"))
	id := w.lease(w.deploy(root))
	if err := w.put(id, env); err != nil {
		t.Fatal(err)
	}
	w.await("a withdrawal", func() bool { return w.leaseState(id).Payment.Withdrawn.IsPositive() })
	if payee := w.leaseState(id).Payment.Payee; payee != owner.Address().String() {
		t.Errorf("payments go to %s, want the owner %s", payee, owner.Address())
	}
	if _, after, err := owner.Account(context.Background()); err != nil || after != before {
		t.Errorf("the owner's sequence went from %d to %d (%v): its key was used", before, after, err)
	}
}

// TestHotKeyWithoutGrants does nothing in the owner's name, and says which grant is missing.
func TestHotKeyWithoutGrants(t *testing.T) {
	w := newWorld(t)
	hot := w.client("k2")
	send, err := chain.NewSender(hot, chain.SenderConfig{})
	if err != nil {
		t.Fatal(err)
	}
	cfg := ChainConfig{Owner: w.net.Addr(1).String()}
	_, err = Withdraw(context.Background(), cfg.Owner, chain.NewReader(hot.Conn(), cfg.Owner), cfg.Behalf(hot, send))
	if err != nil {
		t.Errorf("a withdrawal of nothing: %v", err)
	}
	c := validConfig()
	c.Pricing = PricingConfig{Denom: units.BaseDenom, PerBlock: &RatesConfig{CPU: "1"}}
	_, err = Register(context.Background(), c, cfg.Owner, make([]byte, 32), chain.NewReader(hot.Conn(), cfg.Owner), cfg.Behalf(hot, send))
	if err == nil || !strings.Contains(err.Error(), "MsgCreateProvider") {
		t.Errorf("registering without a grant: %v, want a refusal that names the message", err)
	}
}
