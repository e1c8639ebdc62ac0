package bid

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	abci "github.com/cometbft/cometbft/abci/types"
	ctypes "github.com/cometbft/cometbft/rpc/core/types"
	comettypes "github.com/cometbft/cometbft/types"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"cosmossdk.io/math"

	codectypes "github.com/cosmos/cosmos-sdk/codec/types"
	"github.com/cosmos/cosmos-sdk/crypto/hd"
	"github.com/cosmos/cosmos-sdk/crypto/keyring"
	sdk "github.com/cosmos/cosmos-sdk/types"
	grpctypes "github.com/cosmos/cosmos-sdk/types/grpc"
	"github.com/cosmos/gogoproto/proto"

	"berth.dev/berth/client"
	"berth.dev/berth/internal/squeeze"
	"berth.dev/berth/provider/chain"
	"berth.dev/berth/provider/inventory"
	"berth.dev/berth/provider/policy"
	deploymenttypes "berth.dev/berth/x/deployment/types"
	markettypes "berth.dev/berth/x/market/types"
	providertypes "berth.dev/berth/x/provider/types"
)

// burstNode is a node that is asked for one block full of orders, and takes every transaction.
type burstNode struct {
	*client.Client // builds and signs transactions

	feed *markettypes.FeedBlocksResponse

	mu     sync.Mutex
	height int64
	all    chan struct{}
	want   int
}

func (n *burstNode) Head(context.Context) (client.Head, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return client.Head{ChainID: "burst", Height: n.height, Time: time.Unix(1000, 0)}, nil
}

func (n *burstNode) ABCIInfo(context.Context) (*ctypes.ResultABCIInfo, error) {
	return &ctypes.ResultABCIInfo{Response: abci.ResponseInfo{LastBlockHeight: 1}}, nil
}

func (n *burstNode) BlockResults(context.Context, *int64) (*ctypes.ResultBlockResults, error) {
	return nil, fmt.Errorf("no results")
}

func (n *burstNode) Account(context.Context) (number, sequence uint64, err error) { return 7, 0, nil }

func (n *burstNode) Estimate(context.Context, ...sdk.Msg) (client.Fee, error) {
	return client.Fee{}, fmt.Errorf("no simulation")
}

func (n *burstNode) Broadcast(_ context.Context, tx []byte) ([]byte, error) {
	return comettypes.Tx(tx).Hash(), nil
}

func (n *burstNode) FindTx(context.Context, []byte) (*client.Result, error) {
	out := markettypes.MsgCreateBidsResponse{Results: make([]markettypes.ItemResult, 100)}
	value, err := proto.Marshal(&out)
	return &client.Result{Height: 3, Responses: []*codectypes.Any{{Value: value}}}, err
}

// Invoke answers what a Reader asks.
func (n *burstNode) Invoke(_ context.Context, _ string, req, reply any, opts ...grpc.CallOption) error {
	for _, o := range opts {
		if h, ok := o.(grpc.HeaderCallOption); ok {
			*h.HeaderAddr = metadata.Pairs(grpctypes.GRPCBlockHeightHeader, strconv.FormatInt(1, 10))
		}
	}
	switch req.(type) {
	case *markettypes.QueryParamsRequest:
		reply.(*markettypes.QueryParamsResponse).Params.BidMinDeposits = []sdk.Coin{sdk.NewInt64Coin("ubrt", 7)}
	case *markettypes.FeedBlocksRequest:
		*reply.(*markettypes.FeedBlocksResponse) = *n.feed
	case *markettypes.FeedOrdersRequest:
		var err error
		reply.(*markettypes.FeedOrdersResponse).Orders, err = squeeze.Pack(nil)
		return err
	}
	return nil
}

func (n *burstNode) NewStream(context.Context, *grpc.StreamDesc, string, ...grpc.CallOption) (grpc.ClientStream, error) {
	return nil, fmt.Errorf("no streams")
}

// burstOrder is an order of two services of three instances; no two are alike.
func burstOrder(owner string, i int) markettypes.Order {
	price := sdk.NewDecCoin("ubrt", math.NewInt(1_000_000))
	unit := func(id uint32) deploymenttypes.ResourceUnit {
		return deploymenttypes.ResourceUnit{
			Id: id, CpuMilli: 100 + uint64(i%64), MemoryBytes: 128<<20 + uint64(i)<<10, Count: 3, Price: price,
			Storage:   []deploymenttypes.Volume{{Name: "default", Bytes: 256 << 20}},
			Endpoints: []deploymenttypes.Endpoint{{Kind: deploymenttypes.ENDPOINT_KIND_HTTP, Sequence: 1}},
		}
	}
	return markettypes.Order{
		Id: markettypes.OrderID{Owner: owner, Dseq: uint64(i/20 + 1), Gseq: uint32(i%20 + 1), Oseq: 1}, State: markettypes.ORDER_STATE_OPEN,
		Spec: deploymenttypes.GroupSpec{
			Name:         fmt.Sprintf("g%d", i%20),
			Requirements: deploymenttypes.PlacementRequirements{Attributes: []providertypes.Attribute{{Key: "region", Value: "east"}}},
			Units:        []deploymenttypes.ResourceUnit{unit(1), unit(2)},
		},
		CreatedAt: 2,
	}
}

func newBurstNode(b *testing.B, orders int) *burstNode {
	b.Helper()
	kr, err := client.OpenKeyring(keyring.BackendMemory, "", nil)
	if err != nil {
		b.Fatal(err)
	}
	if _, _, err := kr.NewMnemonic("us", keyring.English, sdk.FullFundraiserPath, keyring.DefaultBIP39Passphrase, hd.Secp256k1); err != nil {
		b.Fatal(err)
	}
	c, err := client.New(client.Config{Node: "tcp://127.0.0.1:1", ChainID: "burst", Keyring: kr, Key: "us"})
	if err != nil {
		b.Fatal(err)
	}
	block := markettypes.FeedBlock{Height: 2}
	for i := range orders {
		o := burstOrder(c.Address().String(), i)
		data, err := o.Marshal()
		if err != nil {
			b.Fatal(err)
		}
		block.Events = append(block.Events, markettypes.FeedEvent{Order: data})
	}
	data, err := (&markettypes.FeedBlocks{Blocks: []markettypes.FeedBlock{block}}).Marshal()
	if err != nil {
		b.Fatal(err)
	}
	n := &burstNode{Client: c, feed: &markettypes.FeedBlocksResponse{Head: 2}, height: 1, want: orders / batchSize, all: make(chan struct{})}
	if n.feed.Blocks, err = squeeze.Pack(data); err != nil {
		b.Fatal(err)
	}
	return n
}

// meter hears of steps.
type meter struct {
	mu    sync.Mutex
	sum   map[Step]time.Duration
	count map[Step]int
	sent  chan struct{}
}

func (m *meter) Decided(Code)           {}
func (m *meter) BidsSent(int, int, int) {}
func (m *meter) Reached(s Step, after time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sum[s] += after
	m.count[s]++
	if s == Broadcast {
		m.sent <- struct{}{}
	}
}

// BenchmarkBurst is the way from a node's answer with a block of 2,000 orders to signed transactions with bids on all of
// them, in the journal: everything but the node and the network.
func BenchmarkBurst(b *testing.B) {
	const orders = 2000
	n := newBurstNode(b, orders)
	nodes := make([]inventory.Node, 10_000)
	for i := range nodes {
		nodes[i] = inventory.Node{Name: "n" + strconv.Itoa(i), Capacity: inventory.Amounts{
			inventory.CPU: 256_000, inventory.Memory: 2 << 40, inventory.Storage: 50 << 40, inventory.Pods: inventory.NoLimit,
		}}
	}
	m := &meter{sum: map[Step]time.Duration{}, count: map[Step]int{}, sent: make(chan struct{}, orders)}
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		n.height = 1
		send, err := chain.NewSender(n, chain.SenderConfig{Journal: filepath.Join(b.TempDir(), "journal")})
		if err != nil {
			b.Fatal(err)
		}
		p := testPolicy()
		p.Provider, p.Attributes = n.Address().String(), []providertypes.Attribute{{Key: "region", Value: "east"}}
		l := NewLoop(p, send, LoopConfig{
			Provider: p.Provider, Terms: fixed{pricesOf(100), &policy.Rules{}}, ValidFor: time.Minute, Observer: m,
			Log: slog.New(slog.NewTextHandler(&bytes.Buffer{}, nil)),
		})
		l.SetRecord(p.Record)
		if err := l.SetBlockTime(500 * time.Millisecond); err != nil {
			b.Fatal(err)
		}
		l.SetSupply(inventory.Supply{Nodes: nodes}, true)
		l.Enable(0)
		hints := make(chan struct{}, 1)
		f, err := chain.NewFollower(chain.FollowerConfig{
			Provider: p.Provider, PlaceFile: filepath.Join(b.TempDir(), "place"), Poll: time.Hour,
			Collect: func() chain.Collector { return NewDraft() },
		}, n.Head, n, chain.NewReader(n, p.Provider), hints)
		if err != nil {
			b.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		var wg sync.WaitGroup
		wg.Go(func() { _ = l.Run(ctx) })
		ready := make(chan struct{}, 10)
		wg.Go(func() {
			_ = f.Run(ctx, func(_ context.Context, u chain.Update) error {
				err := l.Handle(u)
				ready <- struct{}{}
				return err
			})
		})
		<-ready
		n.mu.Lock()
		n.height = 2
		n.mu.Unlock()
		b.StartTimer()
		hints <- struct{}{}
		for range orders / batchSize {
			<-m.sent
		}
		b.StopTimer()
		cancel()
		wg.Wait()
		b.StartTimer()
	}
	for _, s := range []Step{Read, Decided, Signed, Noted, Broadcast} {
		b.ReportMetric(m.sum[s].Seconds()*1000/float64(max(1, m.count[s])), "ms-"+string(s))
	}
}
