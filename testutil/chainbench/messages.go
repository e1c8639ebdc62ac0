package chainbench

import (
	"bytes"
	"fmt"

	"cosmossdk.io/math"

	sdk "github.com/cosmos/cosmos-sdk/types"
	banktypes "github.com/cosmos/cosmos-sdk/x/bank/types"

	"berth.dev/berth/units"
	deploymenttypes "berth.dev/berth/x/deployment/types"
	markettypes "berth.dev/berth/x/market/types"
	providertypes "berth.dev/berth/x/provider/types"
)

const (
	// batch is how many bids a bid transaction carries.
	batch = markettypes.MaxBatch
	// unitPrice is the most that an instance may cost per block.
	unitPrice = "100000"
)

func coin(amount int64) sdk.Coin { return sdk.NewInt64Coin(units.BaseDenom, amount) }

func rate(amount string) sdk.DecCoin {
	return sdk.NewDecCoinFromDec(units.BaseDenom, math.LegacyMustNewDecFromStr(amount))
}

func (c *Chain) sendMsg(from, to int) sdk.Msg {
	return banktypes.NewMsgSend(c.Addr(from), c.Addr(to), sdk.NewCoins(coin(1)))
}

func attributes() []providertypes.Attribute {
	return []providertypes.Attribute{{Key: "region", Value: "eu-west"}, {Key: "tier", Value: "community"}}
}

// providerMsg registers account i as a provider that meets every order of the benchmarks.
func (c *Chain) providerMsg(i int) sdk.Msg {
	return &providertypes.MsgCreateProvider{
		Owner: c.Addr(i).String(), HostUri: fmt.Sprintf("https://p%d.example.org", i), TlsPins: [][]byte{bytes.Repeat([]byte{1}, 32)},
		Attributes: attributes(),
	}
}

func (c *Chain) deploymentID(owner int, dseq uint64) deploymenttypes.DeploymentID {
	return deploymenttypes.DeploymentID{Owner: c.Addr(owner).String(), Dseq: dseq}
}

// deployMsg asks for a web server with a volume: one group of one unit, as most deployments are.
func (c *Chain) deployMsg(owner int, dseq uint64, deposit int64, auction deploymenttypes.Auction) *deploymenttypes.MsgCreateDeployment {
	return &deploymenttypes.MsgCreateDeployment{
		Id: c.deploymentID(owner, dseq), ManifestHash: bytes.Repeat([]byte{7}, 32), Deposit: coin(deposit), Auction: auction,
		Groups: []deploymenttypes.GroupSpec{{
			Name:         "web",
			Requirements: deploymenttypes.PlacementRequirements{Attributes: attributes()},
			Units: []deploymenttypes.ResourceUnit{{
				Id: 1, CpuMilli: 500, MemoryBytes: 512 << 20, Count: 2, Price: rate(unitPrice),
				Storage:   []deploymenttypes.Volume{{Name: "data", Bytes: 1 << 30}},
				Endpoints: []deploymenttypes.Endpoint{{Kind: deploymenttypes.ENDPOINT_KIND_HTTP, Sequence: 1}},
			}},
		}},
	}
}

func lowest(window uint32) deploymenttypes.Auction {
	return deploymenttypes.Auction{Mode: deploymenttypes.AUCTION_MODE_LOWEST, Window: window}
}

// order is the first order of a deployment of deployMsg.
func (c *Chain) order(owner int, dseq uint64) markettypes.OrderID {
	return markettypes.OrderID{Owner: c.Addr(owner).String(), Dseq: dseq, Gseq: 1, Oseq: 1}
}

// bidsMsg bids on orders at a price per block.
func (c *Chain) bidsMsg(provider int, price string, orders ...markettypes.OrderID) *markettypes.MsgCreateBids {
	msg := &markettypes.MsgCreateBids{Provider: c.Addr(provider).String()}
	deposit := markettypes.DefaultParams().BidMinDeposits[0]
	for _, id := range orders {
		msg.Bids = append(msg.Bids, markettypes.BidItem{OrderId: id, Price: rate(price), Deposit: deposit})
	}
	return msg
}

func (c *Chain) leaseMsg(id markettypes.OrderID, provider int) sdk.Msg {
	return &markettypes.MsgCreateLease{Id: id.BidID(c.Addr(provider).String())}
}
