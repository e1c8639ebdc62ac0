package types

import "time"

// DseqLead is how far a dseq may lie ahead of a block's unix time in milliseconds: a day, so that no client needs a good
// clock.
const DseqLead = 24 * time.Hour

// MaxDseq is the highest dseq that a block of this time accepts: its unix time in milliseconds plus DseqLead. Heights,
// and unix times in seconds or milliseconds, are all far below or about it.
//
// Pruning raises an owner's floor for good, so that a dseq such as 2^64-1 would leave its owner none to choose. Under
// this limit the next number always remains: a floor was a dseq that an earlier block accepted, and the limit grows
// with time.
func MaxDseq(t time.Time) uint64 {
	return uint64(max(0, t.UnixMilli()) + DseqLead.Milliseconds())
}
