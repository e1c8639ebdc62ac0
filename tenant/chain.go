package tenant

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"cosmossdk.io/math"

	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/cosmos-sdk/types/query"
	banktypes "github.com/cosmos/cosmos-sdk/x/bank/types"

	"berth.dev/berth/client"
	audittypes "berth.dev/berth/x/audit/types"
	deploymenttypes "berth.dev/berth/x/deployment/types"
	escrowtypes "berth.dev/berth/x/escrow/types"
	markettypes "berth.dev/berth/x/market/types"
	providertypes "berth.dev/berth/x/provider/types"
)

var (
	// ErrUnreachable means that the chain could not be asked, so that nothing was learned.
	ErrUnreachable = errors.New("the chain cannot be reached")
	// ErrNotFound means that the chain was asked and does not have the thing.
	ErrNotFound = errors.New("not found on chain")
)

// Reader is what a tenant reads of the chain. Its errors wrap ErrUnreachable or ErrNotFound where those hold.
type Reader interface {
	Head(ctx context.Context) (client.Head, error)
	// BlockTime is the mean time between blocks; an error when it is not known yet.
	BlockTime(ctx context.Context) (time.Duration, error)
	Balance(ctx context.Context, address, denom string) (math.Int, error)
	EscrowParams(ctx context.Context) (escrowtypes.Params, error)
	Deployment(ctx context.Context, id deploymenttypes.DeploymentID) (deploymenttypes.QueryDeploymentResponse, error)
	// Deployments lists an owner's deployments; DEPLOYMENT_STATE_UNSPECIFIED means of all states.
	Deployments(ctx context.Context, owner string, state deploymenttypes.DeploymentState) ([]deploymenttypes.QueryDeploymentResponse, error)
	// PruneFloor is the highest dseq of an owner that the chain has pruned; a new one must be above it.
	PruneFloor(ctx context.Context, owner string) (uint64, error)
	// Bids, Leases and Orders are those of one deployment, in all states.
	Bids(ctx context.Context, id deploymenttypes.DeploymentID) ([]markettypes.Bid, error)
	Leases(ctx context.Context, id deploymenttypes.DeploymentID) ([]markettypes.QueryLeaseResponse, error)
	Orders(ctx context.Context, id deploymenttypes.DeploymentID) ([]markettypes.Order, error)
	// Escrow is a deployment's account as of the newest block.
	Escrow(ctx context.Context, id deploymenttypes.DeploymentID) (escrowtypes.QueryAccountResponse, error)
	Provider(ctx context.Context, address string) (providertypes.Provider, error)
	Providers(ctx context.Context) ([]providertypes.Provider, error)
	Record(ctx context.Context, provider string) (markettypes.ProviderRecord, error)
	// Auditors are the accounts that have signed attributes of a provider, in the order of their addresses.
	Auditors(ctx context.Context, provider string) ([]string, error)
}

// Chain is the chain with a key to sign for.
type Chain interface {
	Reader
	// Address is the signer's; empty without a key.
	Address() string
	// Estimate simulates a transaction and returns what it would cost.
	Estimate(ctx context.Context, msgs ...sdk.Msg) (client.Fee, error)
	// Send signs and sends the messages as one transaction and waits for its inclusion.
	Send(ctx context.Context, msgs ...sdk.Msg) (*client.Result, error)
}

// pageSize is how much one query asks for.
const pageSize = 200

// ClientChain is the Chain behind a client.
type ClientChain struct {
	*client.Client
	bank       banktypes.QueryClient
	escrow     escrowtypes.QueryClient
	deployment deploymenttypes.QueryClient
	market     markettypes.QueryClient
	provider   providertypes.QueryClient
	audit      audittypes.QueryClient
}

// NewChain makes the Chain behind c.
func NewChain(c *client.Client) *ClientChain {
	conn := c.Conn()
	return &ClientChain{
		Client: c, bank: banktypes.NewQueryClient(conn), escrow: escrowtypes.NewQueryClient(conn),
		deployment: deploymenttypes.NewQueryClient(conn), market: markettypes.NewQueryClient(conn),
		provider: providertypes.NewQueryClient(conn), audit: audittypes.NewQueryClient(conn),
	}
}

// asked says what a query's error means.
func asked(what string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.Canceled):
		return err
	case client.IsNotFound(err):
		return fmt.Errorf("%s: %w", what, ErrNotFound)
	case client.IsUnavailable(err):
		return fmt.Errorf("read %s: %w: %w", what, ErrUnreachable, client.Plain(err))
	default:
		return fmt.Errorf("read %s: %w", what, client.Plain(err))
	}
}

// Address implements Chain.
func (c *ClientChain) Address() string {
	if c.Client.Address().Empty() {
		return ""
	}
	return c.Client.Address().String()
}

// Head implements Reader.
func (c *ClientChain) Head(ctx context.Context) (client.Head, error) {
	head, err := c.Client.Head(ctx)
	if err != nil && ctx.Err() == nil && !errors.Is(err, client.ErrWrongChain) {
		err = fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	return head, err
}

// Balance implements Reader.
func (c *ClientChain) Balance(ctx context.Context, address, denom string) (math.Int, error) {
	res, err := c.bank.SpendableBalanceByDenom(ctx, &banktypes.QuerySpendableBalanceByDenomRequest{Address: address, Denom: denom})
	if err != nil {
		return math.Int{}, asked("the balance of "+address, err)
	}
	if res.Balance == nil {
		return math.ZeroInt(), nil
	}
	return res.Balance.Amount, nil
}

// EscrowParams implements Reader.
func (c *ClientChain) EscrowParams(ctx context.Context) (escrowtypes.Params, error) {
	res, err := c.escrow.Params(ctx, &escrowtypes.QueryParamsRequest{})
	if err != nil {
		return escrowtypes.Params{}, asked("the escrow's parameters", err)
	}
	return res.Params, nil
}

// Deployment implements Reader.
func (c *ClientChain) Deployment(ctx context.Context, id deploymenttypes.DeploymentID) (deploymenttypes.QueryDeploymentResponse, error) {
	res, err := c.deployment.Deployment(ctx, &deploymenttypes.QueryDeploymentRequest{Owner: id.Owner, Dseq: id.Dseq})
	if err != nil {
		return deploymenttypes.QueryDeploymentResponse{}, asked("deployment "+id.String(), err)
	}
	return *res, nil
}

// Deployments implements Reader.
func (c *ClientChain) Deployments(ctx context.Context, owner string, state deploymenttypes.DeploymentState) ([]deploymenttypes.QueryDeploymentResponse, error) {
	return pages("deployments of "+owner, func(p *query.PageRequest) ([]deploymenttypes.QueryDeploymentResponse, *query.PageResponse, error) {
		res, err := c.deployment.Deployments(ctx, &deploymenttypes.QueryDeploymentsRequest{Owner: owner, State: state, Pagination: p})
		if err != nil {
			return nil, nil, err
		}
		return res.Deployments, res.Pagination, nil
	})
}

// PruneFloor implements Reader.
func (c *ClientChain) PruneFloor(ctx context.Context, owner string) (uint64, error) {
	res, err := c.deployment.PruneFloor(ctx, &deploymenttypes.QueryPruneFloorRequest{Owner: owner})
	return res.GetDseq(), asked("the prune floor of "+owner, err)
}

// Bids implements Reader.
func (c *ClientChain) Bids(ctx context.Context, id deploymenttypes.DeploymentID) ([]markettypes.Bid, error) {
	return pages("bids on "+id.String(), func(p *query.PageRequest) ([]markettypes.Bid, *query.PageResponse, error) {
		res, err := c.market.Bids(ctx, &markettypes.QueryBidsRequest{Owner: id.Owner, Dseq: id.Dseq, Pagination: p})
		if err != nil {
			return nil, nil, err
		}
		return res.Bids, res.Pagination, nil
	})
}

// Leases implements Reader.
func (c *ClientChain) Leases(ctx context.Context, id deploymenttypes.DeploymentID) ([]markettypes.QueryLeaseResponse, error) {
	return pages("leases of "+id.String(), func(p *query.PageRequest) ([]markettypes.QueryLeaseResponse, *query.PageResponse, error) {
		res, err := c.market.Leases(ctx, &markettypes.QueryLeasesRequest{Owner: id.Owner, Dseq: id.Dseq, Pagination: p})
		if err != nil {
			return nil, nil, err
		}
		return res.Leases, res.Pagination, nil
	})
}

// Orders implements Reader.
func (c *ClientChain) Orders(ctx context.Context, id deploymenttypes.DeploymentID) ([]markettypes.Order, error) {
	return pages("orders of "+id.String(), func(p *query.PageRequest) ([]markettypes.Order, *query.PageResponse, error) {
		res, err := c.market.Orders(ctx, &markettypes.QueryOrdersRequest{Owner: id.Owner, Dseq: id.Dseq, Pagination: p})
		if err != nil {
			return nil, nil, err
		}
		return res.Orders, res.Pagination, nil
	})
}

// Escrow implements Reader.
func (c *ClientChain) Escrow(ctx context.Context, id deploymenttypes.DeploymentID) (escrowtypes.QueryAccountResponse, error) {
	account := escrowAccount(id)
	res, err := c.escrow.Account(ctx, &escrowtypes.QueryAccountRequest{Scope: account.Scope, Xid: account.Xid})
	if err != nil {
		return escrowtypes.QueryAccountResponse{}, asked("the escrow account of "+id.String(), err)
	}
	return *res, nil
}

// Provider implements Reader.
func (c *ClientChain) Provider(ctx context.Context, address string) (providertypes.Provider, error) {
	res, err := c.provider.Provider(ctx, &providertypes.QueryProviderRequest{Owner: address})
	if err != nil {
		return providertypes.Provider{}, asked("provider "+address, err)
	}
	return res.Provider, nil
}

// Providers implements Reader.
func (c *ClientChain) Providers(ctx context.Context) ([]providertypes.Provider, error) {
	return pages("the providers", func(p *query.PageRequest) ([]providertypes.Provider, *query.PageResponse, error) {
		res, err := c.provider.Providers(ctx, &providertypes.QueryProvidersRequest{Pagination: p})
		if err != nil {
			return nil, nil, err
		}
		return res.Providers, res.Pagination, nil
	})
}

// Record implements Reader.
func (c *ClientChain) Record(ctx context.Context, provider string) (markettypes.ProviderRecord, error) {
	res, err := c.market.ProviderRecord(ctx, &markettypes.QueryProviderRecordRequest{Provider: provider})
	if err != nil {
		return markettypes.ProviderRecord{}, asked("the record of "+provider, err)
	}
	return res.Record, nil
}

// Auditors implements Reader.
func (c *ClientChain) Auditors(ctx context.Context, provider string) ([]string, error) {
	records, err := pages("the audits of "+provider, func(p *query.PageRequest) ([]audittypes.SignedAttributes, *query.PageResponse, error) {
		res, err := c.audit.Records(ctx, &audittypes.QueryRecordsRequest{Provider: provider, Pagination: p})
		if err != nil {
			return nil, nil, err
		}
		return res.Records, res.Pagination, nil
	})
	out := []string{}
	for _, r := range records {
		if len(r.Attributes) > 0 {
			out = append(out, r.Auditor)
		}
	}
	slices.Sort(out)
	return out, err
}

// pages reads a whole list.
func pages[T any](what string, next func(*query.PageRequest) ([]T, *query.PageResponse, error)) ([]T, error) {
	var all []T
	p := &query.PageRequest{Limit: pageSize}
	for {
		page, info, err := next(p)
		if err != nil {
			return nil, asked(what, err)
		}
		all = append(all, page...)
		if info == nil || len(info.NextKey) == 0 {
			return all, nil
		}
		p = &query.PageRequest{Limit: pageSize, Key: info.NextKey}
	}
}

// escrowScope is the scope of deployments' escrow accounts.
const escrowScope = "deployment"

func escrowAccount(id deploymenttypes.DeploymentID) escrowtypes.AccountID {
	return escrowtypes.AccountID{Scope: escrowScope, Xid: id.String()}
}
