package chain

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	grpctypes "github.com/cosmos/cosmos-sdk/types/grpc"
	"github.com/cosmos/cosmos-sdk/types/query"

	"berth.dev/berth/client"
	audittypes "berth.dev/berth/x/audit/types"
	deploymenttypes "berth.dev/berth/x/deployment/types"
	markettypes "berth.dev/berth/x/market/types"
	providertypes "berth.dev/berth/x/provider/types"
)

// ErrStale means that a node answered from a height below the one that was asked for. Nothing was learned.
var ErrStale = errors.New("the node answered from an older height")

// Presence is what is known about a lease on chain. Unknown is not Absent: a node that can't be reached, or that lags,
// must never look like a closed lease. The zero value is the safe one.
type Presence int

// What may be known.
const (
	Unknown Presence = iota
	Present
	Absent
)

// String names the presence for logs.
func (p Presence) String() string {
	switch p {
	case Present:
		return "present"
	case Absent:
		return "absent"
	default:
		return "unknown"
	}
}

// pageSize is how many records one query asks for: a page of orders is then one to two megabytes.
const pageSize = 5000

// Reader asks the chain for what a provider needs to know. Each answer must come from a height that is not below the
// one given; otherwise it is ErrStale.
type Reader struct {
	conn     grpc.ClientConnInterface
	provider string
	unfed    atomic.Bool // the last reading of orders by the feed failed halfway
}

// NewReader reads for the provider with this address.
func NewReader(conn grpc.ClientConnInterface, provider string) *Reader {
	return &Reader{conn: conn, provider: provider}
}

// answer holds the height that a query was answered at.
type answer struct{ md metadata.MD }

func (a *answer) option() grpc.CallOption { return grpc.Header(&a.md) }

// height is that of the answer; 0 when the node did not say.
func (a *answer) height() int64 {
	values := a.md.Get(grpctypes.GRPCBlockHeightHeader)
	if len(values) == 0 {
		return 0
	}
	h, err := strconv.ParseInt(values[0], 10, 64)
	if err != nil {
		return 0
	}
	return h
}

func (a *answer) notBelow(height int64) error {
	if got := a.height(); got < height {
		return fmt.Errorf("asked for height %d or later, got %d: %w", height, got, ErrStale)
	}
	return nil
}

// LeasePresence says whether a lease lives, from a height not below notBelow. It is Absent only when the chain holds
// the lease and it is closed, when the chain holds its deployment and that is closed, or when the chain has pruned the
// deployment for good (PINV-3). "Not found" alone proves nothing: it is Unknown, with a nil error.
func (r *Reader) LeasePresence(ctx context.Context, id markettypes.LeaseID, notBelow int64) (Presence, error) {
	var a answer
	res, err := markettypes.NewQueryClient(r.conn).Lease(ctx, &markettypes.QueryLeaseRequest{Id: id}, a.option())
	switch {
	case client.IsNotFound(err):
		return r.deploymentPresence(ctx, id.DeploymentID(), notBelow)
	case err != nil:
		return Unknown, fmt.Errorf("read lease %s: %w", id, err)
	}
	if err := a.notBelow(notBelow); err != nil {
		return Unknown, fmt.Errorf("read lease %s: %w", id, err)
	}
	switch res.Lease.State {
	case markettypes.LEASE_STATE_ACTIVE, markettypes.LEASE_STATE_SUSPENDED, markettypes.LEASE_STATE_RECLAIMING:
		return Present, nil
	case markettypes.LEASE_STATE_CLOSED:
		return Absent, nil
	default:
		return Unknown, nil
	}
}

// deploymentPresence says whether a deployment is known to be closed. One that is not found is, if its dseq is at or
// below its owner's prune floor: it was pruned, and its number never comes back.
//
// The floor is read first, and "not found" counts only from that height on. In the other order a node that lags could
// miss a deployment that was created since, and a floor that rose later, by one with a higher dseq, would seem to prove
// the living one gone.
func (r *Reader) deploymentPresence(ctx context.Context, id deploymenttypes.DeploymentID, notBelow int64) (Presence, error) {
	var floorAt, foundAt answer
	q := deploymenttypes.NewQueryClient(r.conn)
	floor, err := q.PruneFloor(ctx, &deploymenttypes.QueryPruneFloorRequest{Owner: id.Owner}, floorAt.option())
	if err == nil {
		err = floorAt.notBelow(notBelow)
	}
	if err != nil {
		return Unknown, fmt.Errorf("read the prune floor of %s: %w", id.Owner, err)
	}
	d, err := q.Deployment(ctx, &deploymenttypes.QueryDeploymentRequest{Owner: id.Owner, Dseq: id.Dseq}, foundAt.option())
	missing := client.IsNotFound(err)
	if err == nil || missing {
		err = foundAt.notBelow(floorAt.height())
	}
	switch {
	case err != nil:
		return Unknown, fmt.Errorf("read deployment %s: %w", id, err)
	case missing && id.Dseq <= floor.Dseq:
		return Absent, nil
	case !missing && d.Deployment.State == deploymenttypes.DEPLOYMENT_STATE_CLOSED:
		return Absent, nil
	}
	return Unknown, nil
}

// Lease returns a lease with its payment.
func (r *Reader) Lease(ctx context.Context, id markettypes.LeaseID, notBelow int64) (*markettypes.QueryLeaseResponse, error) {
	var a answer
	res, err := markettypes.NewQueryClient(r.conn).Lease(ctx, &markettypes.QueryLeaseRequest{Id: id}, a.option())
	if err == nil {
		err = a.notBelow(notBelow)
	}
	if err != nil {
		return nil, fmt.Errorf("read lease %s: %w", id, err)
	}
	return res, nil
}

// Deployment returns a deployment with its groups.
func (r *Reader) Deployment(ctx context.Context, id deploymenttypes.DeploymentID, notBelow int64) (*deploymenttypes.QueryDeploymentResponse, error) {
	var a answer
	res, err := deploymenttypes.NewQueryClient(r.conn).Deployment(ctx,
		&deploymenttypes.QueryDeploymentRequest{Owner: id.Owner, Dseq: id.Dseq}, a.option())
	if err == nil {
		err = a.notBelow(notBelow)
	}
	if err != nil {
		return nil, fmt.Errorf("read deployment %s: %w", id, err)
	}
	return res, nil
}

// Order returns one order.
func (r *Reader) Order(ctx context.Context, id markettypes.OrderID) (markettypes.Order, error) {
	res, err := markettypes.NewQueryClient(r.conn).Order(ctx, &markettypes.QueryOrderRequest{Id: id})
	if err != nil {
		return markettypes.Order{}, fmt.Errorf("read order %s: %w", id, err)
	}
	return res.Order, nil
}

// Provider returns our record; found is false when the chain positively has none.
func (r *Reader) Provider(ctx context.Context) (record providertypes.Provider, found bool, err error) {
	res, err := providertypes.NewQueryClient(r.conn).Provider(ctx, &providertypes.QueryProviderRequest{Owner: r.provider})
	if client.IsNotFound(err) {
		return providertypes.Provider{}, false, nil
	}
	if err != nil {
		return providertypes.Provider{}, false, fmt.Errorf("read provider %s: %w", r.provider, err)
	}
	return res.Provider, true, nil
}

// Audits lists what auditors have signed of us, from a height not below notBelow.
func (r *Reader) Audits(ctx context.Context, notBelow int64) ([]audittypes.SignedAttributes, error) {
	q := audittypes.NewQueryClient(r.conn)
	out, err := pages(func(p *query.PageRequest) ([]audittypes.SignedAttributes, *query.PageResponse, error) {
		var a answer
		res, err := q.Records(ctx, &audittypes.QueryRecordsRequest{Provider: r.provider, Pagination: p}, a.option())
		if err == nil {
			err = a.notBelow(notBelow)
		}
		return res.GetRecords(), res.GetPagination(), err
	})
	if err != nil {
		return nil, fmt.Errorf("list what auditors have signed of %s: %w", r.provider, err)
	}
	return out, nil
}

// Params returns the market's parameters.
func (r *Reader) Params(ctx context.Context) (markettypes.Params, error) {
	res, err := markettypes.NewQueryClient(r.conn).Params(ctx, &markettypes.QueryParamsRequest{})
	if err != nil {
		return markettypes.Params{}, fmt.Errorf("read the market's parameters: %w", err)
	}
	return res.Params, nil
}

// Leases lists our leases in a state, with their payments.
func (r *Reader) Leases(ctx context.Context, state markettypes.LeaseState) ([]markettypes.QueryLeaseResponse, error) {
	q := markettypes.NewQueryClient(r.conn)
	out, err := pages(func(p *query.PageRequest) ([]markettypes.QueryLeaseResponse, *query.PageResponse, error) {
		res, err := q.Leases(ctx, &markettypes.QueryLeasesRequest{Provider: r.provider, State: state, Pagination: p})
		return res.GetLeases(), res.GetPagination(), err
	})
	if err != nil {
		return nil, fmt.Errorf("list own leases: %w", err)
	}
	return out, nil
}

func (r *Reader) openBids(ctx context.Context) ([]markettypes.Bid, error) {
	q := markettypes.NewQueryClient(r.conn)
	out, err := pages(func(p *query.PageRequest) ([]markettypes.Bid, *query.PageResponse, error) {
		res, err := q.Bids(ctx, &markettypes.QueryBidsRequest{Provider: r.provider, State: markettypes.BID_STATE_OPEN, Pagination: p})
		return res.GetBids(), res.GetPagination(), err
	})
	if err != nil {
		return nil, fmt.Errorf("list own bids: %w", err)
	}
	return out, nil
}

// openOrders gives each open order, from a height not below notBelow, to each, which must not keep it or parts of it
// other than texts.
func (r *Reader) openOrders(ctx context.Context, notBelow int64, each func(*markettypes.Order)) error {
	err := errNoFeed
	if !r.unfed.Swap(false) {
		err = r.fedOrders(ctx, notBelow, each)
	}
	if errors.Is(err, errNoFeed) {
		err = r.listedOrders(ctx, notBelow, each)
	} else if err != nil && ctx.Err() == nil && !errors.Is(err, ErrStale) {
		r.unfed.Store(true) // what was given already can't be taken back, so that the next try goes the other way
	}
	if err != nil {
		return fmt.Errorf("list open orders: %w", err)
	}
	return nil
}

// listedOrders reads the orders by the query that every node has. It counts the bids of each, which takes longer than
// reading it.
func (r *Reader) listedOrders(ctx context.Context, notBelow int64, each func(*markettypes.Order)) error {
	q := markettypes.NewQueryClient(r.conn)
	_, err := pages(func(p *query.PageRequest) ([]struct{}, *query.PageResponse, error) {
		var a answer
		res, err := q.Orders(ctx, &markettypes.QueryOrdersRequest{State: markettypes.ORDER_STATE_OPEN, Pagination: p}, a.option())
		if err == nil {
			err = a.notBelow(notBelow)
		}
		if err != nil {
			return nil, nil, err
		}
		for i := range res.Orders {
			each(&res.Orders[i])
		}
		return nil, res.Pagination, nil
	})
	return err
}

// pages asks for page after page until the last.
func pages[T any](ask func(*query.PageRequest) ([]T, *query.PageResponse, error)) ([]T, error) {
	var all []T
	page := &query.PageRequest{Limit: pageSize}
	for {
		items, res, err := ask(page)
		if err != nil {
			return nil, err
		}
		all = append(all, items...)
		if res == nil || len(res.NextKey) == 0 {
			return all, nil
		}
		page = &query.PageRequest{Key: res.NextKey, Limit: pageSize}
	}
}

// Collector takes the open orders of a snapshot one by one, as they are read: a list of all of them would take several
// times the memory of what is made of them.
type Collector interface {
	// Order takes an order, of which it must not keep other parts than texts.
	Order(o *markettypes.Order)
}

// Snapshot is what the chain holds for a provider, read from a height not below Height. It is not one instant: an
// event of a block after Height may already show in it, so that events are applied as if they might be repeated.
type Snapshot struct {
	Height int64
	// Open is the number of open orders. They are in Collected, or, where nobody collects them, in Orders.
	Open      int
	Orders    []markettypes.Order
	Collected Collector
	// Bids are our open bids, Leases our active and suspended leases.
	Bids   []markettypes.Bid
	Leases []markettypes.Lease
	// Held are the orders of our leases and of those bids whose order is not among the open ones.
	Held   []markettypes.Order
	Params markettypes.Params
}

// Order implements Collector.
func (s *Snapshot) Order(o *markettypes.Order) { s.Orders = append(s.Orders, *o) }

// Snapshot reads everything anew, from a height not below notBelow, and gives the open orders to c, which may be nil.
func (r *Reader) Snapshot(ctx context.Context, notBelow int64, c Collector) (*Snapshot, error) {
	var a answer
	params, err := markettypes.NewQueryClient(r.conn).Params(ctx, &markettypes.QueryParamsRequest{}, a.option())
	if err != nil {
		return nil, fmt.Errorf("read the market's parameters: %w", err)
	}
	if err := a.notBelow(max(1, notBelow)); err != nil {
		return nil, fmt.Errorf("read the market: %w", err)
	}
	s := &Snapshot{Height: a.height(), Params: params.Params, Collected: c}
	if c == nil {
		c = s
	}
	if s.Bids, err = r.openBids(ctx); err != nil {
		return nil, err
	}
	for _, state := range []markettypes.LeaseState{markettypes.LEASE_STATE_ACTIVE, markettypes.LEASE_STATE_SUSPENDED, markettypes.LEASE_STATE_RECLAIMING} {
		leases, err := r.Leases(ctx, state)
		if err != nil {
			return nil, err
		}
		for _, l := range leases {
			s.Leases = append(s.Leases, l.Lease)
		}
	}
	need := s.held()
	// Orders are read last: an order that was bid on or leased in between then is among the former, never lost.
	err = r.openOrders(ctx, s.Height, func(o *markettypes.Order) {
		s.Open++
		if _, ours := need[o.Id]; ours {
			need[o.Id] = true
		}
		c.Order(o)
	})
	if err != nil {
		return nil, err
	}
	return s, r.readHeld(ctx, s, need)
}

// held are the orders behind our leases and bids, whose sizes are what the inventory has to hold; none is known yet.
func (s *Snapshot) held() map[markettypes.OrderID]bool {
	need := make(map[markettypes.OrderID]bool, len(s.Bids)+len(s.Leases))
	for i := range s.Bids {
		need[s.Bids[i].Id.OrderID()] = false
	}
	for i := range s.Leases {
		need[s.Leases[i].Id.OrderID()] = false
	}
	return need
}

// readHeld reads those of the orders that are not known.
func (r *Reader) readHeld(ctx context.Context, s *Snapshot, need map[markettypes.OrderID]bool) error {
	for id, known := range need {
		if known {
			continue
		}
		order, err := r.Order(ctx, id)
		if err != nil {
			return err
		}
		s.Held = append(s.Held, order)
	}
	return nil
}
