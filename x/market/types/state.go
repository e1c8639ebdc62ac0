package types

// LiveBid says whether a bid in this state holds its deposit: it is open or active.
func LiveBid(s BidState) bool { return s == BID_STATE_OPEN || s == BID_STATE_ACTIVE }
