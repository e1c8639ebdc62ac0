package bid

import (
	"testing"

	"github.com/cosmos/gogoproto/proto"

	deploymenttypes "berth.dev/berth/x/deployment/types"
	markettypes "berth.dev/berth/x/market/types"
	providertypes "berth.dev/berth/x/provider/types"
)

// TestNewSignaturesWakeOrders: what was refused for an attribute or a signature is decided again when the record changes,
// and only then; what was bid on stays.
func TestNewSignaturesWakeOrders(t *testing.T) {
	m := newModel()
	attrs := []providertypes.Attribute{{Key: "region", Value: "east"}}
	audited, west := order(1, 100, 1), order(2, 100, 1)
	audited.Spec.Requirements = deploymenttypes.PlacementRequirements{Attributes: attrs, SignedBy: deploymenttypes.SignedBy{AllOf: []string{"x"}}}
	west.Spec.Requirements.Attributes = []providertypes.Attribute{{Key: "region", Value: "west"}}
	m.book.Block(1, []proto.Message{&markettypes.EventOrderCreated{Order: audited}, &markettypes.EventOrderCreated{Order: west}})
	if items := m.book.Decide(nil); len(items) != 0 {
		t.Fatalf("bids %v", items)
	}
	record := m.book.policy.Record
	if m.book.SetRecord(record) {
		t.Error("the same record is a change")
	}
	if items := m.book.Decide(nil); len(items) != 0 {
		t.Fatalf("bids %v without a change", items)
	}
	record.Audits = []Audit{{"x", attrs}}
	if !m.book.SetRecord(record) {
		t.Error("a signature is no change")
	}
	if items := m.book.Decide(nil); len(items) != 1 || items[0].OrderId != audited.Id {
		t.Fatalf("bids %v after the signature, want one on %s", items, audited.Id)
	}
	record.Attributes, record.Audits = []providertypes.Attribute{{Key: "region", Value: "west"}}, nil
	m.book.SetRecord(record)
	if items := m.book.Decide(nil); len(items) != 1 || items[0].OrderId != west.Id {
		t.Fatalf("bids %v in the west, want one on %s", items, west.Id)
	}
}

// TestNoticeIsOffered: a bid offers exactly the notice that its order wants.
func TestNoticeIsOffered(t *testing.T) {
	m := newModel()
	m.book.policy.MaxNotice = 7200
	o := order(1, 100, 1)
	o.Reclamation.MinWindowSeconds = 3600
	m.book.Block(1, []proto.Message{&markettypes.EventOrderCreated{Order: o}, &markettypes.EventOrderCreated{Order: order(2, 100, 1)}})
	items := m.book.Decide(nil)
	if len(items) != 2 || items[0].ReclaimWindowSeconds != 3600 || items[1].ReclaimWindowSeconds != 0 {
		t.Errorf("bids %+v", items)
	}
}
