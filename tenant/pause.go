package tenant

import (
	"context"
	"errors"
	"fmt"

	sdk "github.com/cosmos/cosmos-sdk/types"

	deploymenttypes "berth.dev/berth/x/deployment/types"
)

// GroupsChanged is the result of pausing or starting a deployment's groups.
type GroupsChanged struct {
	Dseq uint64 `json:"dseq"`
	// Groups are the names of those that changed; none if all were in that state already.
	Groups []string `json:"groups"`
	Tx     string   `json:"tx,omitempty"`
	Height int64    `json:"height,omitempty"`
}

// Pause ends the leases of all open groups of a deployment, with what they run and its data, and keeps the deployment with
// its deposit: nothing is paid until Start. Pausing again changes nothing.
func (m *Machine) Pause(ctx context.Context, dseq uint64) (*GroupsChanged, error) {
	return m.changeGroups(ctx, dseq, deploymenttypes.GROUP_STATE_OPEN, "pause", func(id deploymenttypes.GroupID) sdk.Msg {
		return &deploymenttypes.MsgPauseGroup{Id: id}
	})
}

// Start asks for bids on all paused groups of a deployment again; Resume then takes one for each and sends the manifests. It
// refuses a deployment that this machine has no state of, as nobody could send its manifests then. Starting again changes
// nothing.
func (m *Machine) Start(ctx context.Context, dseq uint64) (*GroupsChanged, error) {
	if _, err := m.Load(dseq); err != nil {
		return nil, err
	}
	return m.changeGroups(ctx, dseq, deploymenttypes.GROUP_STATE_PAUSED, "start", func(id deploymenttypes.GroupID) sdk.Msg {
		return &deploymenttypes.MsgStartGroup{Id: id}
	})
}

// changeGroups sends a message for each group that is in a state, all in one transaction.
func (m *Machine) changeGroups(ctx context.Context, dseq uint64, from deploymenttypes.GroupState, action string, change func(deploymenttypes.GroupID) sdk.Msg) (*GroupsChanged, error) {
	c, err := m.sendGroups(ctx, dseq, from, action, change)
	if err == nil {
		return c, nil
	}
	f := *asFailure(err)
	f.Dseq = dseq
	if ctx.Err() != nil {
		f.Kind, f.Err, f.Hints = KindInterrupted, interruption{fmt.Sprintf("in the %s of deployment %d; trying again does nothing twice", action, dseq), ctx.Err()}, []Hint{HintStatus}
	}
	return nil, &f
}

func (m *Machine) sendGroups(ctx context.Context, dseq uint64, from deploymenttypes.GroupState, action string, change func(deploymenttypes.GroupID) sdk.Msg) (*GroupsChanged, error) {
	id := deploymenttypes.DeploymentID{Owner: m.Chain.Address(), Dseq: dseq}
	d, err := m.Chain.Deployment(ctx, id)
	if errors.Is(err, ErrNotFound) {
		return nil, m.missing(ctx, id)
	}
	if err != nil {
		return nil, err
	}
	if d.Deployment.State != deploymenttypes.DEPLOYMENT_STATE_ACTIVE {
		return nil, failf(KindUsage, []Hint{HintDeploy, HintList}, "deployment %d is closed", dseq)
	}
	out := &GroupsChanged{Dseq: dseq, Groups: []string{}}
	var msgs []sdk.Msg
	for _, g := range d.Groups {
		if g.State == from {
			out.Groups = append(out.Groups, g.Spec.Name)
			msgs = append(msgs, change(g.Id))
		}
	}
	if len(msgs) == 0 {
		return out, nil
	}
	res, err := m.Chain.Send(ctx, msgs...)
	if err != nil {
		return nil, &Failure{Kind: asFailure(err).Kind, Err: fmt.Errorf("%s deployment %d: %w", action, dseq, err), Hints: []Hint{HintStatus}}
	}
	out.Tx, out.Height = res.Hash, res.Height
	m.tell(Sent{Dseq: dseq, Action: action, Hash: res.Hash, Height: res.Height})
	return out, nil
}
