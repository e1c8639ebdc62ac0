package chain

import (
	"context"
	"fmt"

	"github.com/cosmos/cosmos-sdk/types/query"

	"berth.dev/berth/client"
	deploymenttypes "berth.dev/berth/x/deployment/types"
	markettypes "berth.dev/berth/x/market/types"
	providertypes "berth.dev/berth/x/provider/types"
)

// Linked is what the chain says of a deployment's groups and leases, whoever holds them.
type Linked struct {
	// Height is that of the answer, or an earlier one.
	Height int64
	// Groups are the names of the groups by their numbers.
	Groups map[uint32]string
	// Leases are all leases, closed ones included.
	Leases []markettypes.Lease
}

// Linked reads a deployment's groups and leases, from a height not below notBelow.
func (r *Reader) Linked(ctx context.Context, id deploymenttypes.DeploymentID, notBelow int64) (Linked, error) {
	d, err := r.Deployment(ctx, id, notBelow)
	if err != nil {
		return Linked{}, err
	}
	out := Linked{Height: notBelow, Groups: make(map[uint32]string, len(d.Groups))}
	for _, g := range d.Groups {
		out.Groups[g.Id.Gseq] = g.Spec.Name
	}
	q := markettypes.NewQueryClient(r.conn)
	leases, err := pages(func(p *query.PageRequest) ([]markettypes.QueryLeaseResponse, *query.PageResponse, error) {
		var a answer
		res, err := q.Leases(ctx, &markettypes.QueryLeasesRequest{Owner: id.Owner, Dseq: id.Dseq, Pagination: p}, a.option())
		if err == nil {
			err = a.notBelow(notBelow)
		}
		return res.GetLeases(), res.GetPagination(), err
	})
	if err != nil {
		return Linked{}, fmt.Errorf("list the leases of deployment %s: %w", id, err)
	}
	for i := range leases {
		out.Leases = append(out.Leases, leases[i].Lease)
	}
	return out, nil
}

// Record returns the record of any provider; found is false when the chain positively has none.
func (r *Reader) Record(ctx context.Context, owner string) (record providertypes.Provider, found bool, err error) {
	res, err := providertypes.NewQueryClient(r.conn).Provider(ctx, &providertypes.QueryProviderRequest{Owner: owner})
	if client.IsNotFound(err) {
		return providertypes.Provider{}, false, nil
	}
	if err != nil {
		return providertypes.Provider{}, false, fmt.Errorf("read provider %s: %w", owner, err)
	}
	return res.Provider, true, nil
}
