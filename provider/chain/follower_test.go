package chain

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	abci "github.com/cometbft/cometbft/abci/types"
	ctypes "github.com/cometbft/cometbft/rpc/core/types"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	sdk "github.com/cosmos/cosmos-sdk/types"
	grpctypes "github.com/cosmos/cosmos-sdk/types/grpc"
	"github.com/cosmos/cosmos-sdk/types/query"
	"github.com/cosmos/gogoproto/proto"

	"berth.dev/berth/client"
	"berth.dev/berth/internal/orderevent"
	"berth.dev/berth/internal/squeeze"
	deploymenttypes "berth.dev/berth/x/deployment/types"
	markettypes "berth.dev/berth/x/market/types"
)

const us, them = "berth1us", "berth1them"

// fakeNode is a node whose height, blocks and faults a test sets.
type fakeNode struct {
	chainID  string
	height   int64
	state    int64 // height of the committed state; 0: height
	catching bool
	err      error
	pruned   int64 // blocks up to this one can't be had
	events   map[int64][]abci.Event
	reads    int
	feeds    bool // it remembers the market's events of its blocks
	halfway  bool // its lists of open orders by the feed end in an error

	orders      []markettypes.Order
	leases      map[markettypes.LeaseID]markettypes.Lease
	deployments map[deploymenttypes.DeploymentID]deploymenttypes.DeploymentState
	floor       uint64
	lag         int64 // how much older the answers about deployments are
}

func (n *fakeNode) committed() int64 {
	if n.state > 0 {
		return n.state
	}
	return n.height
}

func (n *fakeNode) head(context.Context) (client.Head, error) {
	return client.Head{ChainID: n.chainID, Height: n.height, CatchingUp: n.catching}, n.err
}

func (n *fakeNode) ABCIInfo(context.Context) (*ctypes.ResultABCIInfo, error) {
	return &ctypes.ResultABCIInfo{Response: abci.ResponseInfo{LastBlockHeight: n.committed()}}, n.err
}

func (n *fakeNode) BlockResults(_ context.Context, height *int64) (*ctypes.ResultBlockResults, error) {
	n.reads++
	if n.err != nil || *height > n.committed() || *height <= n.pruned {
		return nil, errors.New("could not find results for height")
	}
	return &ctypes.ResultBlockResults{Height: *height, FinalizeBlockEvents: n.events[*height]}, nil
}

// Invoke answers the queries that a Reader asks.
func (n *fakeNode) Invoke(_ context.Context, _ string, req, reply any, opts ...grpc.CallOption) error {
	if n.err != nil {
		return status.Error(codes.Unavailable, n.err.Error())
	}
	at := n.committed()
	if _, ok := req.(*deploymenttypes.QueryDeploymentRequest); ok {
		at -= n.lag
	}
	for _, o := range opts {
		if h, ok := o.(grpc.HeaderCallOption); ok {
			*h.HeaderAddr = metadata.Pairs(grpctypes.GRPCBlockHeightHeader, strconv.FormatInt(at, 10))
		}
	}
	switch q := req.(type) {
	case *deploymenttypes.QueryPruneFloorRequest:
		reply.(*deploymenttypes.QueryPruneFloorResponse).Dseq = n.floor
	case *markettypes.QueryLeaseRequest:
		l, ok := n.leases[q.Id]
		if !ok {
			return status.Error(codes.NotFound, "no lease")
		}
		reply.(*markettypes.QueryLeaseResponse).Lease = l
	case *deploymenttypes.QueryDeploymentRequest:
		state, ok := n.deployments[deploymenttypes.DeploymentID{Owner: q.Owner, Dseq: q.Dseq}]
		if !ok {
			return status.Error(codes.NotFound, "no deployment")
		}
		reply.(*deploymenttypes.QueryDeploymentResponse).Deployment.State = state
	case *markettypes.QueryOrdersRequest:
		return n.page(q.Pagination, reply.(*markettypes.QueryOrdersResponse))
	case *markettypes.QueryLeasesRequest:
		for _, l := range n.leases {
			if l.State == q.State && l.Id.Provider == q.Provider {
				out := reply.(*markettypes.QueryLeasesResponse)
				out.Leases = append(out.Leases, markettypes.QueryLeaseResponse{Lease: l})
			}
		}
	case *markettypes.FeedBlocksRequest:
		if !n.feeds || q.Provider != us || q.From <= n.pruned {
			return status.Error(codes.NotFound, "not remembered")
		}
		return n.feed(q.From, reply.(*markettypes.FeedBlocksResponse))
	case *markettypes.FeedOrdersRequest:
		if !n.feeds {
			return status.Error(codes.InvalidArgument, "unknown query path")
		}
		return n.feedPage(q, reply.(*markettypes.FeedOrdersResponse))
	case *markettypes.QueryOrderRequest:
		reply.(*markettypes.QueryOrderResponse).Order.Id = q.Id
	}
	return nil
}

// feedPage gives two orders at a time.
func (n *fakeNode) feedPage(q *markettypes.FeedOrdersRequest, out *markettypes.FeedOrdersResponse) (err error) {
	from, _ := strconv.Atoi(string(q.After))
	if n.halfway && from > 0 {
		return status.Error(codes.Internal, "no more")
	}
	to := min(from+2, len(n.orders))
	var all markettypes.FeedOrders
	for i := range n.orders[from:to] {
		data, err := n.orders[from+i].Marshal()
		if err != nil {
			return err
		}
		all.Orders = append(all.Orders, data)
	}
	if to < len(n.orders) {
		out.Next = []byte(strconv.Itoa(to))
	}
	data, err := all.Marshal()
	if err != nil {
		return err
	}
	out.Orders, err = squeeze.Pack(data)
	return err
}

// feed gives two blocks at a time, orders encoded.
func (n *fakeNode) feed(from int64, out *markettypes.FeedBlocksResponse) (err error) {
	out.Head = n.committed()
	var all markettypes.FeedBlocks
	for h := from; h <= out.Head && h < from+2; h++ {
		b := markettypes.FeedBlock{Height: h}
		for i := range n.events[h] {
			b.Events = append(b.Events, feedEvent(&n.events[h][i]))
		}
		all.Blocks = append(all.Blocks, b)
	}
	data, err := all.Marshal()
	if err != nil {
		return err
	}
	out.Blocks, err = squeeze.Pack(data)
	return err
}

// feedEvent is what a node's feed makes of an event.
func feedEvent(e *abci.Event) (out markettypes.FeedEvent) {
	var o markettypes.Order
	if e.Type == orderevent.Type && orderevent.Parse(e, &o) {
		if out.Order, _ = o.Marshal(); len(out.Order) > 0 {
			return out
		}
	}
	out.Type = e.Type
	for _, a := range e.Attributes {
		out.Attributes = append(out.Attributes, markettypes.FeedAttribute{Key: a.Key, Value: a.Value})
	}
	return out
}

// page gives two orders at a time.
func (n *fakeNode) page(p *query.PageRequest, out *markettypes.QueryOrdersResponse) error {
	from, _ := strconv.Atoi(string(p.Key))
	to := min(from+2, len(n.orders))
	out.Orders = n.orders[from:to]
	out.Pagination = &query.PageResponse{}
	if to < len(n.orders) {
		out.Pagination.NextKey = []byte(strconv.Itoa(to))
	}
	return nil
}

func (n *fakeNode) NewStream(context.Context, *grpc.StreamDesc, string, ...grpc.CallOption) (grpc.ClientStream, error) {
	return nil, errors.New("no streams")
}

func event(t *testing.T, msg proto.Message) abci.Event {
	t.Helper()
	ev, err := sdk.TypedEventToEvent(msg)
	if err != nil {
		t.Fatal(err)
	}
	ev = ev.AppendAttributes(sdk.NewAttribute("mode", "EndBlock")) // as baseapp does, unquoted
	return abci.Event(ev)
}

func lease(dseq uint64, provider string) markettypes.Lease {
	return markettypes.Lease{
		Id:    markettypes.LeaseID{Owner: "o", Dseq: dseq, Gseq: 1, Oseq: 1, Provider: provider},
		State: markettypes.LEASE_STATE_ACTIVE,
	}
}

// following is a follower over a fake node, and what it gave.
type following struct {
	*Follower
	got []Update
}

func follow(t *testing.T, n *fakeNode, file string) *following {
	t.Helper()
	f, err := NewFollower(FollowerConfig{Provider: us, PlaceFile: file, MaxReplay: 10}, n.head, n, NewReader(n, us), nil)
	if err != nil {
		t.Fatal(err)
	}
	return &following{Follower: f}
}

func (f *following) step(t *testing.T) error {
	t.Helper()
	return f.advance(t.Context(), func(_ context.Context, u Update) error {
		if len(f.got) > 0 && u.Height < f.got[len(f.got)-1].Height {
			t.Errorf("PINV-5: height %d after %d", u.Height, f.got[len(f.got)-1].Height)
		}
		f.got = append(f.got, u)
		return nil
	})
}

func newNode() *fakeNode {
	return &fakeNode{
		chainID: "c", height: 5, events: map[int64][]abci.Event{}, leases: map[markettypes.LeaseID]markettypes.Lease{},
		deployments: map[deploymenttypes.DeploymentID]deploymenttypes.DeploymentState{},
	}
}

func TestFollowerGivesSnapshotThenBlocks(t *testing.T) {
	for _, feeds := range []bool{false, true} {
		t.Run(fmt.Sprintf("feed %v", feeds), func(t *testing.T) { givesSnapshotThenBlocks(t, feeds) })
	}
}

func givesSnapshotThenBlocks(t *testing.T, feeds bool) {
	n, file := newNode(), filepath.Join(t.TempDir(), "height.json")
	n.feeds = feeds
	for i := range uint64(5) {
		n.orders = append(n.orders, markettypes.Order{Id: markettypes.OrderID{Owner: "o", Dseq: i + 1}})
	}
	n.leases[lease(7, us).Id] = lease(7, us)
	f := follow(t, n, file)
	if err := f.step(t); err != nil {
		t.Fatal(err)
	}
	if len(f.got) != 1 || f.got[0].Snapshot == nil || f.got[0].Height != 5 {
		t.Fatalf("got %+v, want a snapshot at 5", f.got)
	}
	if s := f.got[0].Snapshot; len(s.Orders) != 5 || len(s.Leases) != 1 || len(s.Held) != 1 || s.Held[0].Id.Dseq != 7 {
		t.Fatalf("snapshot %+v", s)
	}
	n.events[6] = []abci.Event{
		{Type: "transfer", Attributes: []abci.EventAttribute{{Key: "amount", Value: "1ubrt"}}},
		event(t, &markettypes.EventOrderCreated{Owner: "o", Order: markettypes.Order{Id: markettypes.OrderID{Owner: "o", Dseq: 9}}}),
		event(t, &markettypes.EventBidCreated{Provider: them, Bid: markettypes.Bid{}}),
		event(t, &markettypes.EventLeaseCreated{Provider: them, Lease: lease(1, them)}),
		event(t, &markettypes.EventLeaseClosed{Provider: us, Lease: lease(7, us)}),
		event(t, &markettypes.EventLeaseClosed{Provider: them, Lease: lease(8, them)}),
	}
	n.height = 7
	if err := f.step(t); err != nil {
		t.Fatal(err)
	}
	if len(f.got) != 3 || len(f.got[1].Events) != 3 || len(f.got[2].Events) != 0 || f.got[2].Height != 7 {
		t.Fatalf("got %+v, want block 6 with three events and block 7 without any", f.got[1:])
	}
	if e, ok := f.got[1].Events[2].(*markettypes.EventLeaseClosed); !ok || e.Lease.Id.Dseq != 7 {
		t.Errorf("last event %v", f.got[1].Events[2])
	}
	if p, err := LoadPlace(file); err != nil || p.Height < 6 || p.ChainID != "c" {
		t.Errorf("place %+v, %v: events at 6 must be durable", p, err)
	}
	if feeds && n.reads > 0 {
		t.Errorf("read the results of %d blocks that the node's feed has", n.reads)
	}
	reads := n.reads
	if err := f.step(t); err != nil || n.reads != reads || len(f.got) != 3 {
		t.Errorf("without a new block: %v, %d reads, %d updates", err, n.reads-reads, len(f.got))
	}
}

// TestFollowerReadsOrdersAnyWay: a node whose feed fails in the middle of the orders is asked for the list next time.
func TestFollowerReadsOrdersAnyWay(t *testing.T) {
	n := newNode()
	n.feeds, n.halfway = true, true
	for i := range uint64(5) {
		n.orders = append(n.orders, markettypes.Order{Id: markettypes.OrderID{Owner: "o", Dseq: i + 1}})
	}
	f := follow(t, n, filepath.Join(t.TempDir(), "height.json"))
	if err := f.step(t); err == nil || len(f.got) != 0 {
		t.Fatalf("half of the orders: %v, %d updates, want an error and none", err, len(f.got))
	}
	if err := f.step(t); err != nil || len(f.got) != 1 {
		t.Fatalf("the list: %v, %d updates", err, len(f.got))
	}
	if s := f.got[0].Snapshot; len(s.Orders) != 5 || s.Open != 5 {
		t.Errorf("%d orders, %d open, want 5", len(s.Orders), s.Open)
	}
}

func TestFollowerWaitsOutFaults(t *testing.T) {
	n, file := newNode(), filepath.Join(t.TempDir(), "height.json")
	f := follow(t, n, file)
	if err := f.step(t); err != nil {
		t.Fatal(err)
	}
	for name, fault := range map[string]func(){
		"no answer":   func() { n.err = errors.New("connection refused") },
		"catching up": func() { n.catching = true },
		"behind":      func() { n.height = 4 },
	} {
		before := *n
		fault()
		if err := f.step(t); err == nil || len(f.got) != 1 {
			t.Errorf("%s: %v, %d updates, want an error and none", name, err, len(f.got)-1)
		}
		*n = before
	}
	n.height, n.state = 6, 5 // stored, not yet executed
	if err := f.step(t); err != nil || len(f.got) != 1 {
		t.Errorf("a block without results: %v, %d updates, want none yet", err, len(f.got)-1)
	}
	n.state = 6
	if err := f.step(t); err != nil || len(f.got) != 2 {
		t.Errorf("and with them: %v, %d updates", err, len(f.got)-1)
	}
	n.chainID = "other"
	var fatal *fatalError
	if err := f.step(t); !errors.As(err, &fatal) {
		t.Errorf("another chain: %v, want the end", err)
	}
}

func TestFollowerReadsAnewAfterAGap(t *testing.T) {
	for name, tc := range map[string]struct {
		height, pruned int64
		blocks         int
	}{
		"short gap": {15, 0, 10},
		"long gap":  {16, 0, 0},
		"pruned":    {12, 9, 0},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode()
			f := follow(t, n, filepath.Join(t.TempDir(), "height.json"))
			if err := f.step(t); err != nil {
				t.Fatal(err)
			}
			n.height, n.pruned = tc.height, tc.pruned
			for range 3 {
				_ = f.step(t) // a pruned block fails once, then everything is read anew
			}
			last := f.got[len(f.got)-1]
			if last.Height != tc.height || (last.Snapshot == nil) != (tc.blocks > 0) || tc.blocks > 0 && len(f.got) != 1+tc.blocks {
				t.Errorf("%d updates, the last %+v", len(f.got), last)
			}
		})
	}
}

func TestFollowerNeverGoesBackAcrossRestarts(t *testing.T) {
	n, file := newNode(), filepath.Join(t.TempDir(), "height.json")
	f := follow(t, n, file)
	if err := f.step(t); err != nil {
		t.Fatal(err)
	}
	n.height = 3
	f = follow(t, n, file)
	if err := f.step(t); err == nil || len(f.got) != 0 {
		t.Errorf("a node that lost blocks: %v, %d updates, want an error and none", err, len(f.got))
	}
	n.height, n.state = 6, 4 // a node that answers queries from below
	f = follow(t, n, file)
	if err := f.step(t); !errors.Is(err, ErrStale) || len(f.got) != 0 {
		t.Errorf("stale answers: %v, %d updates, want ErrStale and none", err, len(f.got))
	}
	if err := os.WriteFile(file, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := NewFollower(FollowerConfig{PlaceFile: file}, n.head, n, NewReader(n, us), nil); err == nil {
		t.Error("a damaged place was taken for a cold start")
	}
}

func TestFollowerRunStops(t *testing.T) {
	n := newNode()
	f := follow(t, n, filepath.Join(t.TempDir(), "height.json"))
	ctx, cancel := context.WithCancel(t.Context())
	f.cfg.Poll = time.Millisecond
	err := f.Run(ctx, func(context.Context, Update) error { cancel(); return nil })
	if err != nil {
		t.Errorf("Run = %v, want nil after a stop", err)
	}
	boom := errors.New("boom")
	f = follow(t, n, filepath.Join(t.TempDir(), "height.json"))
	if err := f.Run(t.Context(), func(context.Context, Update) error { return boom }); !errors.Is(err, boom) {
		t.Errorf("Run = %v, want the sink's error", err)
	}
}

func TestLeasePresence(t *testing.T) {
	id := lease(1, us).Id
	closed := lease(1, us)
	closed.State = markettypes.LEASE_STATE_CLOSED
	suspended := lease(1, us)
	suspended.State = markettypes.LEASE_STATE_SUSPENDED
	for name, tc := range map[string]struct {
		node func(*fakeNode)
		want Presence
		err  string
	}{
		"active":                       {func(n *fakeNode) { n.leases[id] = lease(1, us) }, Present, ""},
		"suspended":                    {func(n *fakeNode) { n.leases[id] = suspended }, Present, ""},
		"closed":                       {func(n *fakeNode) { n.leases[id] = closed }, Absent, ""},
		"closed, from an older height": {func(n *fakeNode) { n.leases[id] = closed; n.height = 4 }, Unknown, "older height"},
		"closed, no height told":       {func(n *fakeNode) { n.leases[id] = closed; n.height = 0 }, Unknown, "older height"},
		"no answer":                    {func(n *fakeNode) { n.err = errors.New("away") }, Unknown, "away"},
		"neither lease nor deployment": {func(*fakeNode) {}, Unknown, ""},
		"no lease, deployment active":  {func(n *fakeNode) { n.deployments[id.DeploymentID()] = deploymenttypes.DEPLOYMENT_STATE_ACTIVE }, Unknown, ""},
		"no lease, deployment closed":  {func(n *fakeNode) { n.deployments[id.DeploymentID()] = deploymenttypes.DEPLOYMENT_STATE_CLOSED }, Absent, ""},
		"no lease, closed but from old": {func(n *fakeNode) {
			n.deployments[id.DeploymentID()] = deploymenttypes.DEPLOYMENT_STATE_CLOSED
			n.height = 4
		}, Unknown, "older height"},
		"pruned":                               {func(n *fakeNode) { n.floor = id.Dseq }, Absent, ""},
		"pruned, and others after it":          {func(n *fakeNode) { n.floor = id.Dseq + 9 }, Absent, ""},
		"above the floor":                      {func(n *fakeNode) { n.floor = id.Dseq - 1 }, Unknown, ""},
		"pruned, from an older height":         {func(n *fakeNode) { n.floor = id.Dseq; n.height = 4 }, Unknown, "older height"},
		"missing to a node behind the floor's": {func(n *fakeNode) { n.floor = id.Dseq; n.height = 9; n.lag = 1 }, Unknown, "older height"},
		"below the floor but active": {func(n *fakeNode) {
			n.floor = id.Dseq + 9
			n.deployments[id.DeploymentID()] = deploymenttypes.DEPLOYMENT_STATE_ACTIVE
		}, Unknown, ""},
		"a state from the future": {func(n *fakeNode) { l := lease(1, us); l.State = 9; n.leases[id] = l }, Unknown, ""},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode()
			tc.node(n)
			got, err := NewReader(n, us).LeasePresence(t.Context(), id, 5)
			if got != tc.want || (err == nil) != (tc.err == "") || err != nil && !strings.Contains(err.Error(), tc.err) {
				t.Errorf("LeasePresence = %s, %v, want %s, %q", got, err, tc.want, tc.err)
			}
		})
	}
}
