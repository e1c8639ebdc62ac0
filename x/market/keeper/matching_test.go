package keeper_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	audittypes "berth.dev/berth/x/audit/types"
	deploymenttypes "berth.dev/berth/x/deployment/types"
	"berth.dev/berth/x/market/types"
	providertypes "berth.dev/berth/x/provider/types"
)

func auditor(i int) string { return addr(30 + i).String() }

// sign makes an auditor vouch for attributes of a provider, given as keys and values.
func (c *chain) sign(by, provider string, attrs ...string) {
	c.t.Helper()
	_, err := c.audit.SignAttributes(c.ctx, &audittypes.MsgSignAttributes{Auditor: by, Provider: provider, Attributes: attributes(attrs...)})
	require.NoError(c.t, err)
}

func attributes(kv ...string) (attrs []providertypes.Attribute) {
	for i := 0; i < len(kv); i += 2 {
		attrs = append(attrs, providertypes.Attribute{Key: kv[i], Value: kv[i+1]})
	}
	return attrs
}

func TestSignedBy(t *testing.T) {
	a, b, other := auditor(0), auditor(1), auditor(2)
	eu, euGPU := []string{"region", "eu"}, []string{"region", "eu", "tier", "gold"}
	for name, tc := range map[string]struct {
		own      []string
		required []string
		allOf    []string
		anyOf    []string
		signed   map[string][]string
		want     types.ItemResult
	}{
		"nobody is named":                         {own: eu, required: eu},
		"all of one":                              {own: eu, required: eu, allOf: []string{a}, signed: map[string][]string{a: eu}},
		"all of one who has signed nothing":       {own: eu, required: eu, allOf: []string{a}, want: code(types.ErrNotAudited)},
		"all of two, one has signed":              {own: eu, required: eu, allOf: []string{a, b}, signed: map[string][]string{a: eu}, want: code(types.ErrNotAudited)},
		"all of two, both have":                   {own: eu, required: eu, allOf: []string{a, b}, signed: map[string][]string{a: eu, b: euGPU}},
		"all of two, one a part":                  {own: euGPU, required: euGPU, allOf: []string{a, b}, signed: map[string][]string{a: eu, b: euGPU}, want: code(types.ErrNotAudited)},
		"two parts are not a whole":               {own: euGPU, required: euGPU, anyOf: []string{a, b}, signed: map[string][]string{a: eu, b: {"tier", "gold"}}, want: code(types.ErrNotAudited)},
		"any of two, one a superset":              {own: eu, required: eu, anyOf: []string{a, b}, signed: map[string][]string{b: euGPU}},
		"any of two, none":                        {own: eu, required: eu, anyOf: []string{a, b}, signed: map[string][]string{other: eu}, want: code(types.ErrNotAudited)},
		"any of, another value":                   {own: eu, required: eu, anyOf: []string{a}, signed: map[string][]string{a: {"region", "us"}}, want: code(types.ErrNotAudited)},
		"both lists, both met":                    {own: eu, required: eu, allOf: []string{a}, anyOf: []string{b, other}, signed: map[string][]string{a: eu, b: eu}},
		"both lists, any_of not met":              {own: eu, required: eu, allOf: []string{a}, anyOf: []string{b}, signed: map[string][]string{a: eu}, want: code(types.ErrNotAudited)},
		"both lists, all_of not met":              {own: eu, required: eu, allOf: []string{a}, anyOf: []string{b}, signed: map[string][]string{b: eu}, want: code(types.ErrNotAudited)},
		"signed, but not the provider's own":      {own: nil, required: eu, allOf: []string{a}, signed: map[string][]string{a: eu}, want: code(types.ErrAttributes)},
		"a glob is met by what is signed":         {own: []string{"gpu/a100", "true"}, required: []string{"gpu/*", "true"}, allOf: []string{a}, signed: map[string][]string{a: {"gpu/a100", "true"}}},
		"nothing required, nothing signed":        {own: eu, allOf: []string{a}, want: code(types.ErrNotAudited)},
		"nothing required, any_of signed nothing": {own: eu, anyOf: []string{a}, want: code(types.ErrNotAudited)},
		"nothing required, something signed":      {own: eu, allOf: []string{a}, anyOf: []string{a, b}, signed: map[string][]string{a: {"tier", "gold"}}},
	} {
		t.Run(name, func(t *testing.T) {
			c := newChain(t)
			c.register(0, attributes(tc.own...)...)
			for by, attrs := range tc.signed {
				c.sign(by, provider(0), attrs...)
			}
			msg := deployMsg(0, 1)
			msg.Groups[0].Requirements = deploymenttypes.PlacementRequirements{
				Attributes: attributes(tc.required...), SignedBy: deploymenttypes.SignedBy{AllOf: tc.allOf, AnyOf: tc.anyOf},
			}
			require.Equal(t, tc.want, c.bids(0, item(c.deploy(msg), 100))[0])
		})
	}
}

// TestRevokedSignaturesAreSeen: a bid was eligible when it was made; the lease asks again.
func TestRevokedSignaturesAreSeen(t *testing.T) {
	c := newChain(t)
	c.register(0, attributes("region", "eu")...)
	c.register(1, attributes("region", "eu")...)
	for i := range 2 {
		c.sign(auditor(0), provider(i), "region", "eu")
	}
	signed := func(m *deploymenttypes.MsgCreateDeployment) *deploymenttypes.MsgCreateDeployment {
		require1("region", "eu")(m)
		m.Groups[0].Requirements.SignedBy.AllOf = []string{auditor(0)}
		return m
	}
	id, auction := c.deploy(signed(deployMsg(0, 1))), c.deploy(signed(auctionMsg(0, 2, 1)))
	for i := range 2 {
		c.bid(i, id, int64(100+i))
		c.bid(i, auction, int64(100+i))
	}
	_, err := c.audit.RevokeAttributes(c.ctx, &audittypes.MsgRevokeAttributes{Auditor: auditor(0), Provider: provider(0)})
	require.NoError(t, err)
	require.ErrorIs(t, c.createLease(id.BidID(provider(0))), types.ErrNotAudited)
	require.NoError(t, c.createLease(id.BidID(provider(1))))
	c.blocks(2)
	require.Equal(t, types.BID_STATE_ACTIVE, c.theBid(auction.BidID(provider(1))).State, "the lower bid was skipped")
}

func (c *chain) setAttributes(i int, kv ...string) error {
	_, err := c.tx(func(ctx context.Context) error {
		_, err := c.provider.UpdateProvider(ctx, &providertypes.MsgUpdateProvider{
			Owner: provider(i), HostUri: "https://a.example", TlsPins: [][]byte{make([]byte, 32)}, Attributes: attributes(kv...),
		})
		return err
	})
	return err
}

func (c *chain) deleteProvider(i int) error {
	_, err := c.tx(func(ctx context.Context) error {
		_, err := c.provider.DeleteProvider(ctx, &providertypes.MsgDeleteProvider{Owner: provider(i)})
		return err
	})
	return err
}

func TestAttributesOfLivingLeasesAreFrozen(t *testing.T) {
	c := newChain(t)
	c.register(0, attributes("gpu/b", "yes", "gpu/a", "yes", "region", "eu", "tier", "gold")...)
	msg := deployMsg(0, 1)
	msg.Groups[0].Requirements.Attributes = attributes("region", "eu", "gpu/*", "yes")
	id := c.deploy(msg)
	first := c.bid(0, id, 100)
	require.NoError(t, c.setAttributes(0, "gpu/b", "yes", "gpu/a", "yes", "region", "eu", "tier", "silver"), "a bid freezes nothing")
	require.NoError(t, c.createLease(first))
	require.Equal(t, []string{"gpu/a", "region"}, c.lease(first).Matched)

	msg = deployMsg(0, 2)
	msg.Groups[0].Requirements.Attributes = attributes("region", "eu")
	second := c.bid(0, c.deploy(msg), 100)
	require.NoError(t, c.createLease(second))

	require.NoError(t, c.setAttributes(0, "gpu/a", "yes", "region", "eu", "tier", "bronze", "new", "one"), "what no lease was matched on is free")
	err := c.setAttributes(0, "gpu/a", "yes", "region", "us", "tier", "bronze")
	require.ErrorIs(t, err, providertypes.ErrAttributesInUse)
	require.ErrorContains(t, err, first.OrderID().String(), "which lease is in the way")
	require.ErrorIs(t, c.setAttributes(0, "region", "eu"), providertypes.ErrAttributesInUse, "gpu/a would go")
	require.ErrorIs(t, c.deleteProvider(0), providertypes.ErrProviderInUse)

	require.NoError(t, c.closeLease(tenant(0), first, 0))
	require.NoError(t, c.setAttributes(0, "region", "eu"))
	require.ErrorIs(t, c.setAttributes(0), providertypes.ErrAttributesInUse, "the second lease lives")
	require.NoError(t, c.closeDeployment(second.DeploymentID()))
	require.NoError(t, c.setAttributes(0))
	require.NoError(t, c.deleteProvider(0))
	c.block()
}

// TestSuspendedLeasesFreezeToo: a lease that waits for a deposit, or that is being reclaimed, lives.
func TestSuspendedLeasesFreezeToo(t *testing.T) {
	c := newChain(t)
	c.at(start)
	c.register(0, attributes("region", "eu")...)
	msg := deployMsg(0, 1)
	msg.Deposit = coin(1000)
	require1("region", "eu")(msg)
	id := c.deploy(msg)
	require.Equal(t, []types.ItemResult{{}}, c.bids(0, noticed(id, 3600)))
	lease := id.BidID(provider(0))
	require.NoError(t, c.createLease(lease))
	_, err := c.startReclaim(provider(0), lease, 0)
	require.NoError(t, err)
	require.ErrorIs(t, c.setAttributes(0), providertypes.ErrAttributesInUse)
	require.ErrorIs(t, c.deleteProvider(0), providertypes.ErrProviderInUse)
	c.blocks(11)
	require.Equal(t, types.LEASE_STATE_SUSPENDED, c.lease(lease).State)
	require.ErrorIs(t, c.setAttributes(0), providertypes.ErrAttributesInUse)
	require.ErrorIs(t, c.deleteProvider(0), providertypes.ErrProviderInUse)
	c.blocks(6)
	require.Equal(t, types.LEASE_STATE_CLOSED, c.lease(lease).State)
	require.NoError(t, c.setAttributes(0))
	require.NoError(t, c.deleteProvider(0))
}

func TestBidsOfADeletedProviderCanOnlyBeClosed(t *testing.T) {
	c := newChain(t)
	c.register(0)
	id, auction := c.deploy(deployMsg(0, 1)), c.deploy(auctionMsg(0, 2, 1))
	bid := c.bid(0, id, 100)
	c.bid(0, auction, 100)
	require.NoError(t, c.deleteProvider(0))
	require.ErrorIs(t, c.createLease(bid), types.ErrProviderNotRegistered)
	require.Equal(t, types.ItemResult{}, c.closeBid(0, id))
	c.blocks(2)
	require.Equal(t, types.BID_STATE_LOST, c.theBid(auction.BidID(provider(0))).State)
	require.EqualValues(t, startBalance, c.balance(provider(0)).Int64())
}
