package daemon

import (
	"context"
	"fmt"
	"time"

	"github.com/cosmos/gogoproto/proto"

	"berth.dev/berth/provider/bid"
	"berth.dev/berth/provider/chain"
	audittypes "berth.dev/berth/x/audit/types"
	providertypes "berth.dev/berth/x/provider/types"
)

// ReadRecord reads what the chain says of a provider, from a height not below notBelow; found is false when it has no
// record.
func ReadRecord(ctx context.Context, r *chain.Reader, notBelow int64) (record bid.Record, found bool, err error) {
	audits, err := r.Audits(ctx, notBelow)
	if err != nil {
		return bid.Record{}, false, err
	}
	own, found, err := r.Provider(ctx)
	if err != nil {
		return bid.Record{}, false, err
	}
	record.Attributes = own.Attributes
	for _, a := range audits {
		record.Audits = append(record.Audits, bid.Audit{Auditor: a.Auditor, Attributes: a.Attributes})
	}
	return record, found, nil
}

// rereadRecord is how often what the chain says of us is read though no event tells that it has changed.
const rereadRecord = 5 * time.Minute

// concernsRecord reports whether an update may have changed what the chain says of us.
func concernsRecord(u chain.Update) bool { return u.Snapshot != nil || anyOf(u.Events, changesRecord) }

func anyOf(events []proto.Message, is func(proto.Message) bool) bool {
	for _, ev := range events {
		if is(ev) {
			return true
		}
	}
	return false
}

// changesRecord reports whether an event, which the follower has found to be ours, is about our record or its audits.
func changesRecord(ev proto.Message) bool {
	switch ev.(type) {
	case *audittypes.EventAttributesSigned, *audittypes.EventAttributesRevoked, *providertypes.EventProviderCreated,
		*providertypes.EventProviderUpdated, *providertypes.EventProviderDeleted:
		return true
	}
	return false
}

// readRecord reads what the chain says of us for the bid loop. While it can't be read, what is known stays.
func (d *Daemon) readRecord(ctx context.Context) error {
	record, _, err := ReadRecord(ctx, d.reader, d.leases.Height())
	if err != nil {
		return fmt.Errorf("read what the chain says of this provider: %w", err)
	}
	d.bids.SetRecord(record)
	return nil
}

// keepRecord keeps up with what the chain says of us: at once when an event tells that it has changed, and now and then.
func (d *Daemon) keepRecord(ctx context.Context) error {
	for {
		if err := d.retry(ctx, "reading the provider's record", time.Second, func() error { return d.readRecord(ctx) }); err != nil {
			return err
		}
		t := time.NewTimer(rereadRecord)
		select {
		case <-ctx.Done():
		case <-t.C:
		case <-d.recordChanged:
		}
		t.Stop()
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// noteRecord makes keepRecord read anew.
func (d *Daemon) noteRecord() {
	select {
	case d.recordChanged <- struct{}{}:
	default:
	}
}
