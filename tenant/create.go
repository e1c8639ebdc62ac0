package tenant

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"berth.dev/berth/client"
	deploymenttypes "berth.dev/berth/x/deployment/types"
	escrowtypes "berth.dev/berth/x/escrow/types"
)

// create opens the deployment, unless an earlier try did.
func create(ctx context.Context, m *Machine, s *State) (Step, error) {
	there, err := m.isActive(ctx, s)
	if err != nil {
		return "", err
	}
	if there {
		return StepBids, nil
	}
	msg, err := s.createMsg()
	if err != nil {
		return "", err
	}
	res, err := m.Chain.Send(ctx, msg)
	if err != nil {
		return m.createdAnyway(ctx, s, err)
	}
	s.Transactions = append(s.Transactions, TxState{Action: "create", Hash: res.Hash, Height: res.Height})
	m.tell(Sent{Dseq: s.Dseq, Action: "create", Hash: res.Hash, Height: res.Height})
	return StepBids, nil
}

// createdAnyway looks whether a create transaction took effect although sending it failed: an earlier one may have
// been under way.
func (m *Machine) createdAnyway(ctx context.Context, s *State, sendErr error) (Step, error) {
	if ctx.Err() != nil {
		return "", sendErr
	}
	if there, err := m.isActive(ctx, s); err == nil && there {
		return StepBids, nil
	}
	err := fmt.Errorf("create deployment %d: %w", s.Dseq, sendErr)
	if errors.Is(sendErr, client.ErrUnknownOutcome) {
		return "", &Failure{Kind: KindUnreachable, Err: err}
	}
	balance, berr := m.Chain.Balance(ctx, s.Owner, s.Deposit.Denom)
	if errors.Is(sendErr, client.ErrNoAccount) || berr == nil && balance.LT(s.Deposit.Amount) {
		return "", &Failure{Kind: KindFunds, Err: err, Hints: []Hint{HintFund, HintResume}}
	}
	return "", &Failure{Kind: asFailure(err).Kind, Err: err, Hints: []Hint{HintResume}}
}

// isActive reports whether the deployment stands on chain. A deployment of the same number that is not this one, or
// that was closed while this one was still to be created, is an error.
func (m *Machine) isActive(ctx context.Context, s *State) (bool, error) {
	d, err := m.Chain.Deployment(ctx, s.ID())
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if s.Step == StepCreate && !bytes.Equal(d.Deployment.ManifestHash, s.Hash()) {
		return false, failf(KindUsage, []Hint{HintDeploy, HintList}, "deployment %d on chain is another one: its manifest differs", s.Dseq)
	}
	active := d.Deployment.State == deploymenttypes.DEPLOYMENT_STATE_ACTIVE
	if s.Step == StepCreate && !active {
		return false, failf(KindLease, []Hint{HintDeploy, HintStatus}, "deployment %d was closed in the meantime", s.Dseq)
	}
	return active, nil
}

func (s *State) createMsg() (*deploymenttypes.MsgCreateDeployment, error) {
	specs, err := s.Specs()
	if err != nil {
		return nil, err
	}
	auction := deploymenttypes.Auction{Mode: deploymenttypes.AUCTION_MODE_TENANT}
	if s.Auction.Lowest {
		auction = deploymenttypes.Auction{Mode: deploymenttypes.AUCTION_MODE_LOWEST, Window: s.Auction.Window}
	}
	return &deploymenttypes.MsgCreateDeployment{
		Id: s.ID(), Groups: specs, ManifestHash: s.Hash(), Deposit: s.Deposit, Auction: auction,
		Reclamation: deploymenttypes.Reclamation{MinWindowSeconds: s.Reclaim}, DepositSources: depositSources(s.Granters),
	}, nil
}

// depositSources draws deposits from grants first, in their order, and the rest from the account's own balance; without
// grants the chain takes the balance by itself.
func depositSources(granters []string) []escrowtypes.DepositSource {
	if len(granters) == 0 {
		return nil
	}
	var out []escrowtypes.DepositSource
	for _, g := range granters {
		out = append(out, escrowtypes.DepositSource{Kind: escrowtypes.SOURCE_GRANT, Granter: g})
	}
	return append(out, escrowtypes.DepositSource{Kind: escrowtypes.SOURCE_BALANCE})
}
