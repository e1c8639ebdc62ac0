package tenant

import (
	"context"
	"errors"
	"fmt"

	sdk "github.com/cosmos/cosmos-sdk/types"

	deploymenttypes "berth.dev/berth/x/deployment/types"
	escrowtypes "berth.dev/berth/x/escrow/types"
)

// Closed is the end of a deployment.
type Closed struct {
	Dseq  uint64 `json:"dseq"`
	Owner string `json:"owner"`
	// Already is true when it had been closed before.
	Already bool   `json:"already"`
	Tx      string `json:"tx,omitempty"`
	Height  int64  `json:"height"`
	// Deposited = Paid (to the providers) + Refunded (to the depositors), to the last unit.
	Deposited sdk.Coin `json:"deposited"`
	Paid      sdk.Coin `json:"paid"`
	Refunded  sdk.Coin `json:"refunded"`
}

// CloseDeployment closes a deployment and returns the exact refund. Closing it again changes nothing.
func (m *Machine) CloseDeployment(ctx context.Context, dseq uint64) (*Closed, error) {
	c, err := m.closeDeployment(ctx, dseq)
	if err == nil {
		return c, nil
	}
	f := *asFailure(err)
	f.Dseq = dseq
	if ctx.Err() != nil {
		f.Kind, f.Err, f.Hints = KindInterrupted, interruption{fmt.Sprintf("while closing deployment %d", dseq), ctx.Err()}, []Hint{HintClose}
	}
	return nil, &f
}

func (m *Machine) closeDeployment(ctx context.Context, dseq uint64) (*Closed, error) {
	id := deploymenttypes.DeploymentID{Owner: m.Chain.Address(), Dseq: dseq}
	active, height, err := m.closedAt(ctx, id)
	if err != nil {
		return nil, err
	}
	c := &Closed{Dseq: dseq, Owner: id.Owner, Already: !active, Height: height}
	if active {
		if err := m.sendClose(ctx, id, c); err != nil {
			return nil, err
		}
	}
	if s, err := m.Store.Load(dseq); err == nil && s.Owner == id.Owner && s.Step != StepClosed {
		s.Step = StepClosed
		if err := m.save(s); err != nil {
			m.tell(Warned{err.Error()})
		}
	}
	escrow, err := m.Chain.Escrow(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("deployment %d is closed, but its refund could not be read: %w", dseq, err)
	}
	money := newEscrow(escrow)
	c.Deposited, c.Paid, c.Refunded = money.Deposited, money.Paid, money.Refunded
	return c, nil
}

func (m *Machine) closedAt(ctx context.Context, id deploymenttypes.DeploymentID) (active bool, height int64, err error) {
	d, err := m.Chain.Deployment(ctx, id)
	if errors.Is(err, ErrNotFound) {
		return false, 0, m.missing(ctx, id)
	}
	return d.Deployment.State == deploymenttypes.DEPLOYMENT_STATE_ACTIVE, d.Deployment.ClosedAt, err
}

func (m *Machine) sendClose(ctx context.Context, id deploymenttypes.DeploymentID, c *Closed) error {
	res, err := m.Chain.Send(ctx, &deploymenttypes.MsgCloseDeployment{Id: id})
	if err == nil {
		c.Tx, c.Height = res.Hash, res.Height
		m.tell(Sent{Dseq: id.Dseq, Action: "close", Hash: res.Hash, Height: res.Height})
		return nil
	}
	if ctx.Err() != nil {
		return err
	}
	active, height, qerr := m.closedAt(ctx, id)
	if qerr == nil && !active { // an earlier try, or the end of its funds, came first
		c.Already, c.Height = true, height
		return nil
	}
	return &Failure{Kind: asFailure(err).Kind, Err: fmt.Errorf("close deployment %d: %w", id.Dseq, err), Hints: []Hint{HintClose, HintStatus}}
}

// ToppedUp is the result of a deposit.
type ToppedUp struct {
	Dseq   uint64   `json:"dseq"`
	Tx     string   `json:"tx"`
	Height int64    `json:"height"`
	Amount sdk.Coin `json:"amount"`
	Escrow Escrow   `json:"escrow"`
	// FundedUntil is nil while the deployment costs nothing.
	FundedUntil *Moment `json:"funded_until"`
	// Resumed is true when the deposit ended a suspension.
	Resumed bool `json:"resumed"`
}

// TopUp deposits more for a deployment: from the grants of granters in their order, and what they do not cover from the
// account's own balance.
func (m *Machine) TopUp(ctx context.Context, dseq uint64, amount sdk.Coin, granters ...string) (*ToppedUp, error) {
	t, err := m.topUp(ctx, dseq, amount, granters)
	if err == nil {
		return t, nil
	}
	f := *asFailure(err)
	f.Dseq = dseq
	if ctx.Err() != nil {
		f.Kind, f.Err, f.Hints = KindInterrupted, interruption{"while depositing; look at the status before trying again", ctx.Err()}, []Hint{HintStatus}
	}
	return nil, &f
}

func (m *Machine) topUp(ctx context.Context, dseq uint64, amount sdk.Coin, granters []string) (*ToppedUp, error) {
	id := deploymenttypes.DeploymentID{Owner: m.Chain.Address(), Dseq: dseq}
	if _, err := m.activeDeployment(ctx, id); err != nil {
		return nil, err
	}
	before, err := m.Chain.Escrow(ctx, id)
	if err != nil {
		return nil, err
	}
	if before.Account.Denom != amount.Denom {
		return nil, failf(KindUsage, nil, "deployment %d is paid in %s, not %s", dseq, before.Account.Denom, amount.Denom)
	}
	balance, err := m.Chain.Balance(ctx, id.Owner, amount.Denom)
	if err != nil {
		return nil, err
	}
	if balance.LT(amount.Amount) && len(granters) == 0 {
		return nil, failf(KindFunds, []Hint{HintFund}, "account %s has %s, less than %s", id.Owner, FormatCoin(sdk.NewCoin(amount.Denom, balance)), FormatCoin(amount))
	}
	res, err := m.Chain.Send(ctx, &escrowtypes.MsgDeposit{Depositor: id.Owner, AccountId: escrowAccount(id), Amount: amount, Sources: depositSources(granters)})
	if err != nil {
		return nil, &Failure{Kind: asFailure(err).Kind, Err: fmt.Errorf("deposit for deployment %d: %w", dseq, err), Hints: []Hint{HintStatus}}
	}
	m.tell(Sent{Dseq: dseq, Action: "deposit", Hash: res.Hash, Height: res.Height})
	st, err := m.chainStatus(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("the deposit is made, but the account could not be read: %w", err)
	}
	return &ToppedUp{
		Dseq: dseq, Tx: res.Hash, Height: res.Height, Amount: amount, Escrow: st.Escrow, FundedUntil: st.FundedUntil,
		Resumed: before.Account.State == escrowtypes.ACCOUNT_STATE_SUSPENDED && st.Escrow.State == "open",
	}, nil
}
