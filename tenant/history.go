package tenant

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/cosmos/gogoproto/proto"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"berth.dev/berth/client"
	"berth.dev/berth/manifest"
	manifesttypes "berth.dev/berth/manifest/types"
)

// The bounds of what is kept of earlier manifests: so many, and so many bytes of them in all.
const (
	maxRevisions     = 10
	maxRevisionBytes = 16 << 20
)

// Revision is an earlier manifest of a deployment, by which it can be rolled back. It holds secrets.
type Revision struct {
	ManifestHash string `json:"manifest_hash"`
	// Envelopes are the protobuf encodings of the Envelopes, one for each group.
	Envelopes [][]byte `json:"envelopes"`
	// Document is the path that it came from.
	Document string `json:"document,omitempty"`
	// Ready says that all services ran with it.
	Ready bool `json:"ready"`
	// Until is when another manifest took its place.
	Until time.Time `json:"until"`
}

func (r Revision) size() (n int) {
	for _, e := range r.Envelopes {
		n += len(e)
	}
	return n
}

// keep puts the present manifest among the revisions before another takes its place. One that this machine has not got
// whole, or that does not belong to the hash, cannot be gone back to and is not kept.
func (s *State) keep(now time.Time) {
	r := Revision{ManifestHash: s.ManifestHash, Document: s.Document, Ready: s.RolledOut == s.ManifestHash, Until: now.UTC()}
	for _, g := range s.Groups {
		env, err := g.envelope()
		if err != nil {
			return
		}
		if _, err := manifest.Open(env, s.Hash()); err != nil {
			return
		}
		r.Envelopes = append(r.Envelopes, g.Envelope)
	}
	kept := []Revision{r}
	size := r.size()
	for i := len(s.Revisions) - 1; i >= 0 && len(kept) < maxRevisions; i-- {
		old := s.Revisions[i]
		if size += old.size(); size > maxRevisionBytes {
			break
		}
		if old.ManifestHash != r.ManifestHash {
			kept = append(kept, old)
		}
	}
	s.Revisions = s.Revisions[:0]
	for i := len(kept) - 1; i >= 0; i-- {
		s.Revisions = append(s.Revisions, kept[i])
	}
}

// Rollback is a return to an earlier manifest, before anything is sent.
type Rollback struct {
	Dseq uint64 `json:"dseq"`
	// Revision counts back from the present manifest: 1 is the one before it.
	Revision     int       `json:"revision"`
	ManifestHash string    `json:"manifest_hash"`
	Document     string    `json:"document,omitempty"`
	Until        time.Time `json:"until"`
	Ready        bool      `json:"ready"`
	// Fee is the transaction's.
	Fee sdk.Coins `json:"fee"`

	state *State
}

// RevisionInfo is an earlier manifest for output, without what it holds.
type RevisionInfo struct {
	Revision     int       `json:"revision"`
	ManifestHash string    `json:"manifest_hash"`
	Document     string    `json:"document,omitempty"`
	Until        time.Time `json:"until"`
	Ready        bool      `json:"ready"`
}

// Revisions lists the earlier manifests of a deployment that this machine has kept, the latest first.
func (m *Machine) Revisions(dseq uint64) ([]RevisionInfo, error) {
	s, err := m.Load(dseq)
	if err != nil {
		return nil, err
	}
	out := []RevisionInfo{}
	for i := len(s.Revisions) - 1; i >= 0; i-- {
		r := s.Revisions[i]
		out = append(out, RevisionInfo{Revision: len(s.Revisions) - i, ManifestHash: r.ManifestHash, Document: r.Document, Until: r.Until, Ready: r.Ready})
	}
	return out, nil
}

// PrepareRollback looks up an earlier manifest: revision counts back from the present one, and 0 means the latest that
// was rolled out. It sends and writes nothing. Its error is a *Failure.
func (m *Machine) PrepareRollback(ctx context.Context, dseq uint64, revision int) (*Rollback, error) {
	r, err := m.prepareRollback(ctx, dseq, revision)
	if err == nil {
		return r, nil
	}
	f := *asFailure(err)
	f.Dseq = dseq
	if ctx.Err() != nil {
		f = Failure{Kind: KindInterrupted, Dseq: dseq, Err: interruption{"while looking at the earlier manifests; nothing was sent", ctx.Err()}}
	}
	return nil, &f
}

func (m *Machine) prepareRollback(ctx context.Context, dseq uint64, revision int) (*Rollback, error) {
	s, err := m.Load(dseq)
	if err != nil {
		return nil, err
	}
	i, err := s.revision(revision)
	if err != nil {
		return nil, err
	}
	d, err := m.activeDeployment(ctx, s.ID())
	if err != nil {
		return nil, err
	}
	if len(d.Groups) != len(s.Groups) {
		return nil, failf(KindOther, []Hint{HintStatus}, "deployment %d has %d groups on chain and %d in the state on this machine", dseq, len(d.Groups), len(s.Groups))
	}
	r := s.Revisions[i]
	out := &Rollback{Dseq: dseq, Revision: len(s.Revisions) - i, ManifestHash: r.ManifestHash, Document: r.Document, Until: r.Until, Ready: r.Ready, state: s}
	if err := s.goBack(r, m.Clock.Now()); err != nil {
		return nil, err
	}
	if _, err := m.syncLeases(ctx, s); err != nil {
		return nil, err
	}
	if bytes.Equal(d.Deployment.ManifestHash, s.Hash()) {
		out.Fee = sdk.NewCoins()
		return out, nil
	}
	fee, err := m.Chain.Estimate(ctx, s.updateMsg())
	if errors.Is(err, client.ErrNoAccount) {
		return nil, failf(KindFunds, []Hint{HintFund}, "account %s has no funds to pay the fee", s.Owner)
	}
	if err != nil {
		return nil, fmt.Errorf("the chain would refuse the rollback: %w", err)
	}
	out.Fee = fee.Amount
	return out, nil
}

// revision is the index of an earlier manifest; see PrepareRollback.
func (s *State) revision(back int) (int, error) {
	n := len(s.Revisions)
	switch {
	case n == 0:
		return 0, failf(KindUsage, []Hint{HintUpdate, HintStatus}, "this machine has kept no earlier manifest of deployment %d", s.Dseq)
	case back < 0 || back > n:
		return 0, failf(KindUsage, []Hint{HintStatus}, "there is no revision %d: this machine has kept %d of deployment %d", back, n, s.Dseq)
	case back > 0:
		return n - back, nil
	}
	for i := n - 1; i >= 0; i-- {
		if s.Revisions[i].Ready {
			return i, nil
		}
	}
	return 0, failf(KindUsage, []Hint{HintUpdate, HintStatus}, "none of the %d earlier manifests of deployment %d was ever rolled out; name one with its number", n, s.Dseq)
}

// goBack makes an earlier manifest the one to send, with its salts, so that it has the hash of then.
func (s *State) goBack(r Revision, now time.Time) error {
	root, err := hex.DecodeString(r.ManifestHash)
	if err != nil || len(r.Envelopes) != len(s.Groups) {
		return fmt.Errorf("the earlier manifest %.16s has %d groups, not %d", r.ManifestHash, len(r.Envelopes), len(s.Groups))
	}
	s.keep(now)
	for i, data := range r.Envelopes {
		var env manifesttypes.Envelope
		if err := proto.Unmarshal(data, &env); err != nil {
			return fmt.Errorf("read the earlier manifest of group %q: %w", s.Groups[i].Name, err)
		}
		if _, err := manifest.Open(env, root); err != nil {
			return fmt.Errorf("read the earlier manifest of group %q: %w", s.Groups[i].Name, err)
		}
		s.Groups[i].Envelope = data
	}
	s.ManifestHash, s.Document, s.Step = r.ManifestHash, r.Document, StepUpdate
	return nil
}

// RollBack writes the prepared rollback down, sends it and waits until it is rolled out, like Update.
func (m *Machine) RollBack(ctx context.Context, r *Rollback) (*State, error) {
	return m.Update(ctx, &Update{Dseq: r.Dseq, Fee: r.Fee, state: r.state})
}
