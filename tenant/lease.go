package tenant

import (
	"context"
	"errors"
	"fmt"

	"cosmossdk.io/math"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"berth.dev/berth/client"
	escrowtypes "berth.dev/berth/x/escrow/types"
	markettypes "berth.dev/berth/x/market/types"
)

// createLeases takes the chosen bids in one transaction, but for groups that have a lease already.
func createLeases(ctx context.Context, m *Machine, s *State) (Step, error) {
	if _, err := m.syncLeases(ctx, s); err != nil {
		return "", err
	}
	var msgs []sdk.Msg
	for i, g := range s.Groups {
		switch {
		case g.Leased:
		case g.Choice == nil:
			return StepBids, nil
		default:
			msgs = append(msgs, &markettypes.MsgCreateLease{Id: s.BidID(i)})
		}
	}
	if len(msgs) == 0 {
		return StepManifest, nil
	}
	res, err := m.Chain.Send(ctx, msgs...)
	if err != nil {
		return m.notLeased(ctx, s, err)
	}
	for i := range s.Groups {
		s.Groups[i].Leased = true
	}
	s.Transactions = append(s.Transactions, TxState{Action: "lease", Hash: res.Hash, Height: res.Height})
	m.tell(Sent{Dseq: s.Dseq, Action: "lease", Hash: res.Hash, Height: res.Height})
	return StepManifest, nil
}

// notLeased looks why a lease transaction failed: it may have taken effect after all, a bid may be gone, so that others
// must be looked at, or the escrow may not suffice.
func (m *Machine) notLeased(ctx context.Context, s *State, sendErr error) (Step, error) {
	if ctx.Err() != nil {
		return "", sendErr
	}
	if _, err := m.syncLeases(ctx, s); err != nil {
		return "", err
	}
	if s.allLeased() {
		return StepManifest, nil
	}
	gone, need, err := m.lookAtChoices(ctx, s)
	if err != nil {
		return "", err
	}
	if gone {
		return StepBids, nil
	}
	err = fmt.Errorf("take the bids: %w", sendErr)
	if errors.Is(sendErr, client.ErrUnknownOutcome) {
		return "", &Failure{Kind: KindUnreachable, Err: err}
	}
	escrow, eerr := m.Chain.Escrow(ctx, s.ID())
	if eerr == nil && (escrow.Account.State != escrowtypes.ACCOUNT_STATE_OPEN || escrow.Spendable.Amount.LT(escrow.Account.Rate.Add(need))) {
		return "", &Failure{Kind: KindFunds, Err: fmt.Errorf("the deposit that is left does not pay for the leases: %w", err), Hints: []Hint{HintTopUp, HintResume, HintClose}}
	}
	return "", &Failure{Kind: KindLease, Err: err, Hints: []Hint{HintResume, HintStatus, HintClose}}
}

// lookAtChoices forgets chosen bids that cannot be taken any more and sums up the price of the others.
func (m *Machine) lookAtChoices(ctx context.Context, s *State) (gone bool, need math.LegacyDec, err error) {
	bids, err := m.Chain.Bids(ctx, s.ID())
	if err != nil {
		return false, math.LegacyDec{}, err
	}
	open := map[markettypes.BidID]markettypes.Bid{}
	for _, b := range bids {
		if b.State == markettypes.BID_STATE_OPEN {
			open[b.Id] = b
		}
	}
	need = math.LegacyZeroDec()
	for i, g := range s.Groups {
		if g.Leased || g.Choice == nil {
			continue
		}
		b, ok := open[s.BidID(i)]
		if !ok {
			m.tell(Warned{fmt.Sprintf("group %q: the bid of %s is gone; looking at the others", g.Name, g.Choice.Provider)})
			s.Groups[i].Choice, gone = nil, true
			continue
		}
		need = need.Add(b.Price.Amount)
	}
	return gone, need, nil
}

// ended is a lease that the state knew and that is over.
type ended struct {
	group    string
	provider string
	reason   markettypes.CloseReason
}

// syncLeases brings the state's leases in line with the chain's, and returns those that have ended.
func (m *Machine) syncLeases(ctx context.Context, s *State) ([]ended, error) {
	leases, err := m.Chain.Leases(ctx, s.ID())
	if err != nil {
		return nil, err
	}
	var over []ended
	for i := range s.Groups {
		g := &s.Groups[i]
		if l := standing(leases, uint32(i+1)); l != nil {
			g.Choice, g.Leased = &Choice{Oseq: l.Id.Oseq, Provider: l.Id.Provider}, true
			continue
		}
		if g.Leased {
			e := ended{group: g.Name, provider: g.Choice.Provider}
			for _, l := range leases {
				if l.Lease.Id == s.BidID(i) {
					e.reason = l.Lease.Reason
				}
			}
			over = append(over, e)
			g.Choice, g.Leased = nil, false
		}
	}
	return over, nil
}

// standing is the lease of a group that has not ended; nil when there is none.
func standing(leases []markettypes.QueryLeaseResponse, gseq uint32) *markettypes.Lease {
	for _, l := range leases {
		if l.Lease.Id.Gseq == gseq && l.Lease.State != markettypes.LEASE_STATE_CLOSED {
			return &l.Lease
		}
	}
	return nil
}

// dropEndedLeases makes the machine look for new bids where a lease has ended since the state was written.
func (m *Machine) dropEndedLeases(ctx context.Context, s *State) error {
	over, err := m.syncLeases(ctx, s)
	if err != nil {
		return err
	}
	for _, e := range over {
		m.tell(Warned{e.text() + "; looking for another provider"})
	}
	if len(over) > 0 || s.Step.Final() && !s.allLeased() {
		s.Step = StepBids
	}
	return m.save(s)
}

func (e ended) text() string {
	text := fmt.Sprintf("group %q: the lease of %s has ended", e.group, e.provider)
	if r := ReasonText(e.reason); r != "" {
		text += " (" + r + ")"
	}
	return text
}

// checkLeases fails when a lease has ended, or is suspended for want of funds.
func (m *Machine) checkLeases(ctx context.Context, s *State) error {
	leases, err := m.Chain.Leases(ctx, s.ID())
	if err != nil {
		if errors.Is(err, ErrUnreachable) {
			return nil // nothing was learned; the providers still answer
		}
		return err
	}
	for i, g := range s.Groups {
		l := standing(leases, uint32(i+1))
		if l == nil {
			e := ended{group: g.Name, provider: s.BidID(i).Provider}
			for _, c := range leases {
				if c.Lease.Id == s.BidID(i) {
					e.reason = c.Lease.Reason
				}
			}
			return failf(KindLease, []Hint{HintResume, HintStatus, HintClose}, "%s", e.text())
		}
		if l.State == markettypes.LEASE_STATE_SUSPENDED {
			return failf(KindFunds, []Hint{HintTopUp, HintClose}, "group %q: the lease is suspended, as the deposit is used up", g.Name)
		}
	}
	return nil
}
