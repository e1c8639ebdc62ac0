package simulation

import (
	"context"
	"fmt"
	"math/rand"

	"cosmossdk.io/math"

	"github.com/cosmos/cosmos-sdk/testutil/simsx"
	sdk "github.com/cosmos/cosmos-sdk/types"

	"berth.dev/berth/testutil/simstate"
	"berth.dev/berth/x/deployment/types"
)

// minDeposit is above the escrow's smallest deposit of simulated chains.
const minDeposit = 10

// MsgCreateDeploymentFactory opens deployments in both auction modes, paid for a few blocks or a few dozen.
func (m Module) MsgCreateDeploymentFactory() simsx.SimMsgFactoryFn[*types.MsgCreateDeployment] {
	return func(ctx context.Context, data *simsx.ChainDataSource, reporter simsx.SimulationReporter) ([]simsx.SimAccount, *types.MsgCreateDeployment) {
		r := data.Rand().Rand
		active := simstate.Filter(m.state.Get(ctx).Deployments, func(d types.Deployment) bool { return d.State == types.DEPLOYMENT_STATE_ACTIVE })
		if len(active) >= maxActive {
			reporter.Skip("there are enough deployments")
			return nil, nil
		}
		owner := data.AnyAccountN(10, reporter, simsx.SimAccountFilterFn(func(a simsx.SimAccount) bool {
			return m.taken.Take(ctx, r, "create/"+a.AddressBech32)
		}))
		if reporter.IsSkipped() {
			return nil, nil
		}
		denom := simstate.Denoms()[r.Intn(len(simstate.Denoms()))]
		msg := &types.MsgCreateDeployment{
			Id:           types.DeploymentID{Owner: owner.AddressBech32, Dseq: m.nextDseq(ctx, r, owner.AddressBech32)},
			ManifestHash: simstate.Bytes(r, types.ManifestHashSize),
			Auction:      m.auction(ctx, r),
			Reclamation:  m.reclamation(ctx, r),
		}
		rate := math.LegacyZeroDec()
		for i := range simstate.Between(r, 1, 3) {
			g := m.group(ctx, r, denom, fmt.Sprintf("group-%d", i+1))
			rate = rate.Add(g.Price().Amount)
			msg.Groups = append(msg.Groups, g)
		}
		amount := rate.MulInt64(simstate.Between(r, 1, 60)).TruncateInt()
		msg.Deposit = sdk.NewCoin(denom, math.MaxInt(amount, math.NewInt(minDeposit)))
		msg.DepositSources = m.grants.Sources(ctx, r, owner.AddressBech32, msg.Deposit)
		return []simsx.SimAccount{owner}, msg
	}
}

// nextDseq is above all that the owner has used, mostly; one time in twenty it may have been used or pruned.
func (m Module) nextDseq(ctx context.Context, r *rand.Rand, owner string) uint64 {
	var top uint64
	g := m.state.Get(ctx)
	for _, f := range g.Floors {
		if f.Owner == owner {
			top = max(top, f.Dseq)
		}
	}
	for _, d := range g.Deployments {
		if d.Id.Owner == owner {
			top = max(top, d.Id.Dseq)
		}
	}
	if top > 0 && simstate.Chance(r, 5) {
		return uint64(simstate.Between(r, 1, int64(top)))
	}
	return top + uint64(simstate.Between(r, 1, 3))
}

func (m Module) auction(ctx context.Context, r *rand.Rand) types.Auction {
	if simstate.Chance(r, 50) {
		return types.Auction{Mode: types.AUCTION_MODE_TENANT}
	}
	return types.Auction{Mode: types.AUCTION_MODE_LOWEST, Window: uint32(simstate.Between(r, 1, int64(m.state.Get(ctx).Params.MaxAuctionWindow)))}
}

func (m Module) reclamation(ctx context.Context, r *rand.Rand) types.Reclamation {
	if simstate.Chance(r, 60) {
		return types.Reclamation{}
	}
	low, high := m.reclaim(ctx)
	return types.Reclamation{MinWindowSeconds: uint32(simstate.Between(r, int64(low), int64(high)))}
}

func (m Module) group(ctx context.Context, r *rand.Rand, denom, name string) types.GroupSpec {
	g := types.GroupSpec{Name: name}
	if all := m.providers.Providers(ctx); len(all) > 0 && simstate.Chance(r, 60) {
		p := all[r.Intn(len(all))]
		g.Requirements.Attributes = simstate.Requirements(r, p.Attributes)
		if auditors := m.audits.Auditors(ctx, p.Owner); len(auditors) > 0 && simstate.Chance(r, 30) {
			if simstate.Chance(r, 50) {
				g.Requirements.SignedBy.AllOf = auditors[:1]
			} else {
				g.Requirements.SignedBy.AnyOf = auditors
			}
		}
	}
	for i := range simstate.Between(r, 1, 2) {
		g.Units = append(g.Units, unit(r, uint32(i+1), denom))
	}
	return g
}

func unit(r *rand.Rand, id uint32, denom string) types.ResourceUnit {
	u := types.ResourceUnit{
		Id: id, CpuMilli: uint64(simstate.Between(r, types.MinCPU, types.MaxCPU)), MemoryBytes: uint64(simstate.Between(r, types.MinMemory, types.MaxMemory)),
		Count: uint32(simstate.Between(r, types.MinCount, 3)), Price: sdk.NewDecCoinFromDec(denom, simstate.Price(r)),
		Storage: []types.Volume{{Name: "default", Bytes: uint64(simstate.Between(r, types.MinVolume, types.MaxVolume))}},
	}
	if simstate.Chance(r, 20) {
		u.Gpu.Count = uint32(simstate.Between(r, 1, types.MaxGPU))
	}
	if simstate.Chance(r, 40) {
		u.Endpoints = []types.Endpoint{{Kind: types.ENDPOINT_KIND_HTTP}}
	}
	return u
}
