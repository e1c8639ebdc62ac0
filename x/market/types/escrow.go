package types

import (
	"fmt"

	escrowtypes "berth.dev/berth/x/escrow/types"
)

// PaymentID is the escrow payment of the lease: GSEQ/OSEQ/PROVIDER of the deployment's account.
func (id BidID) PaymentID() escrowtypes.PaymentID {
	return escrowtypes.PaymentID{
		AccountId: id.DeploymentID().EscrowID(),
		Pid:       fmt.Sprintf("%d/%d/%s", id.Gseq, id.Oseq, id.Provider),
	}
}

// HoldScope is the scope of the escrow holds that keep bids' deposits.
const HoldScope = "bid"
