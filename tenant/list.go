package tenant

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"

	"cosmossdk.io/math"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"berth.dev/berth/units"
	deploymenttypes "berth.dev/berth/x/deployment/types"
)

// Summary is one line of a list of deployments.
type Summary struct {
	Dseq     uint64   `json:"dseq"`
	State    string   `json:"state"`
	Document string   `json:"document,omitempty"`
	Groups   []string `json:"groups"`
	// Leases counts the leases that stand.
	Leases        int     `json:"leases"`
	CreatedAt     int64   `json:"created_at"`
	PricePerBlock Price   `json:"price_per_block"`
	PricePerMonth *Price  `json:"price_per_month"`
	Escrow        Escrow  `json:"escrow"`
	FundedUntil   *Moment `json:"funded_until"`
	// Step is what this machine would do next; empty without a state file.
	Step Step `json:"step,omitempty"`
}

// List returns the deployments of the key's account in the order of their numbers: the active ones, or all.
func (m *Machine) List(ctx context.Context, all bool) ([]Summary, error) {
	state := deploymenttypes.DEPLOYMENT_STATE_ACTIVE
	if all {
		state = deploymenttypes.DEPLOYMENT_STATE_UNSPECIFIED
	}
	found, err := m.Chain.Deployments(ctx, m.Chain.Address(), state)
	if err != nil {
		return nil, asFailure(err)
	}
	out := []Summary{}
	for _, d := range found {
		st, err := m.chainStatus(ctx, d.Deployment.Id)
		if err != nil {
			return nil, asFailure(err)
		}
		out = append(out, m.summary(st))
	}
	unsent, err := m.unsent(ctx)
	if err != nil {
		return nil, asFailure(err)
	}
	out = append(out, unsent...)
	slices.SortFunc(out, func(a, b Summary) int { return cmp.Compare(a.Dseq, b.Dseq) })
	return out, nil
}

// StateUnsent is the state of a deployment that this machine has prepared and the chain does not have: it was interrupted
// before its first transaction, or the outcome of that is not known yet.
const StateUnsent = "unsent"

// unsent are the key's deployments of which only this machine knows.
func (m *Machine) unsent(ctx context.Context) ([]Summary, error) {
	known, err := m.Store.List()
	if err != nil {
		return nil, err
	}
	var out []Summary
	for _, dseq := range known {
		s, err := m.Store.Load(dseq)
		if err != nil || s.Step != StepCreate || s.Owner != m.Chain.Address() {
			continue // a state that cannot be read is told of by who needs it
		}
		if _, err = m.Chain.Deployment(ctx, s.ID()); !errors.Is(err, ErrNotFound) {
			if err != nil {
				return nil, err
			}
			continue
		}
		none := Price{sdk.DecCoin{Denom: units.BaseDenom, Amount: math.LegacyZeroDec()}}
		zero := sdk.NewInt64Coin(units.BaseDenom, 0)
		sum := Summary{
			Dseq: dseq, State: StateUnsent, Step: s.Step, Document: s.Document, Groups: []string{}, PricePerBlock: none,
			Escrow: Escrow{State: StateUnsent, Deposited: zero, Paid: zero, Refunded: zero, Spendable: none, Accrued: none},
		}
		for _, g := range s.Groups {
			sum.Groups = append(sum.Groups, g.Name)
		}
		out = append(out, sum)
	}
	return out, nil
}

func (m *Machine) summary(st *Status) Summary {
	s := Summary{
		Dseq: st.Dseq, State: st.State, CreatedAt: st.CreatedAt, PricePerBlock: st.PricePerBlock, PricePerMonth: st.PricePerMonth,
		Escrow: st.Escrow, FundedUntil: st.FundedUntil, Groups: []string{},
	}
	for _, g := range st.Groups {
		s.Groups = append(s.Groups, g.Name)
		if g.Lease != nil {
			s.Leases++
		}
	}
	if local, err := m.Store.Load(st.Dseq); err == nil && local.Owner == st.Owner {
		s.Step, s.Document = local.Step, local.Document
	}
	return s
}

// OnlyActive is the number of the one active deployment; none or several are a KindUsage failure.
func (m *Machine) OnlyActive(ctx context.Context) (uint64, error) {
	found, err := m.Chain.Deployments(ctx, m.Chain.Address(), deploymenttypes.DEPLOYMENT_STATE_ACTIVE)
	if err != nil {
		return 0, asFailure(err)
	}
	switch len(found) {
	case 0:
		return 0, failf(KindUsage, []Hint{HintDeploy, HintList}, "%s has no active deployment", m.Chain.Address())
	case 1:
		return found[0].Deployment.Id.Dseq, nil
	}
	numbers := make([]string, len(found))
	for i, d := range found {
		numbers[i] = strconv.FormatUint(d.Deployment.Id.Dseq, 10)
	}
	return 0, failf(KindUsage, []Hint{HintList}, "there are %d active deployments: name one of %s", len(found), strings.Join(numbers, ", "))
}

// ProviderInfo is a provider with its record.
type ProviderInfo struct {
	Provider   string            `json:"provider"`
	Host       string            `json:"host"`
	Region     string            `json:"region"`
	Attributes map[string]string `json:"attributes"`
	Email      string            `json:"email,omitempty"`
	Website    string            `json:"website,omitempty"`
	Since      int64             `json:"since"`
	Record     Record            `json:"record"`
}

// Providers lists the registered providers with their records.
func (m *Machine) Providers(ctx context.Context) ([]ProviderInfo, error) {
	found, err := m.Chain.Providers(ctx)
	if err != nil {
		return nil, asFailure(err)
	}
	out := []ProviderInfo{}
	for _, p := range found {
		r, err := m.Chain.Record(ctx, p.Owner)
		if err != nil {
			return nil, asFailure(err)
		}
		info := ProviderInfo{
			Provider: p.Owner, Host: p.HostUri, Attributes: attributeMap(p.Attributes), Email: p.Info.Email, Website: p.Info.Website,
			Since: p.CreatedAt, Record: newRecord(r),
		}
		info.Region = info.Attributes["region"]
		out = append(out, info)
	}
	return out, nil
}

// Bids lists the open bids of a deployment by group.
func (m *Machine) Bids(ctx context.Context, id deploymenttypes.DeploymentID) ([]GroupOffers, error) {
	d, err := m.activeDeployment(ctx, id)
	if err != nil {
		return nil, asFailure(err)
	}
	s := &State{Owner: id.Owner, Dseq: id.Dseq}
	for _, g := range d.Groups {
		s.Groups = append(s.Groups, GroupState{Name: g.Spec.Name})
	}
	w := &bidWatch{m: m, s: s, records: map[string]Record{}, audits: map[string][]string{}, accept: m.Accept, blockTime: m.blockTime(ctx)}
	for _, g := range d.Groups {
		w.specs = append(w.specs, g.Spec)
	}
	if w.providers, err = m.Chain.Providers(ctx); err != nil {
		return nil, asFailure(err)
	}
	bids, err := m.Chain.Bids(ctx, id)
	if err != nil {
		return nil, asFailure(err)
	}
	head, err := m.Chain.Head(ctx)
	if err != nil {
		return nil, asFailure(err)
	}
	if err := w.gather(ctx, bids, head.Height); err != nil {
		return nil, asFailure(err)
	}
	return w.groups, nil
}
