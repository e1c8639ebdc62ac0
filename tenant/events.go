package tenant

import (
	markettypes "berth.dev/berth/x/market/types"
)

// Event is a piece of news about an operation; each is one of the types below.
type Event interface {
	// Name is the event's stable name in output for programs.
	Name() string
}

// Observer is told what happens, in order and from one goroutine. It must not block for long.
type Observer func(Event)

// StepStarted tells that a step of the state machine begins.
type StepStarted struct {
	Dseq uint64 `json:"dseq"`
	Step Step   `json:"step"`
}

// Sent tells of a transaction that was included.
type Sent struct {
	Dseq   uint64 `json:"dseq"`
	Action string `json:"action"`
	Hash   string `json:"hash"`
	Height int64  `json:"height"`
}

// BidsSeen tells of new bids, or of the first look when there are none yet.
type BidsSeen struct {
	Height int64         `json:"height"`
	Groups []GroupOffers `json:"groups"`
	// LeftSeconds is how long the machine goes on waiting at most.
	LeftSeconds float64 `json:"left_seconds"`
}

// Chosen tells which bid a group takes.
type Chosen struct {
	Gseq  uint32 `json:"gseq"`
	Group string `json:"group"`
	Offer Offer  `json:"offer"`
}

// Accepted tells that a provider took a manifest.
type Accepted struct {
	Lease    string `json:"lease"`
	Provider string `json:"provider"`
	Group    string `json:"group"`
}

// Progress tells how far a lease's services are, whenever that changes.
type Progress struct {
	Lease    string          `json:"lease"`
	Group    string          `json:"group"`
	Services []ServiceStatus `json:"services"`
}

// Warned tells of something that does not stop the operation.
type Warned struct {
	Text string `json:"text"`
}

// Name implements Event.
func (StepStarted) Name() string { return "step" }

// Name implements Event.
func (Sent) Name() string { return "transaction" }

// Name implements Event.
func (BidsSeen) Name() string { return "bids" }

// Name implements Event.
func (Chosen) Name() string { return "chosen" }

// Name implements Event.
func (Accepted) Name() string { return "manifest" }

// Name implements Event.
func (Progress) Name() string { return "progress" }

// Name implements Event.
func (Warned) Name() string { return "warning" }

// leaseText is a lease id for events and output.
func leaseText(id markettypes.LeaseID) string { return id.String() }
