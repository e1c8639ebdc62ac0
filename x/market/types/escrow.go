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

// HoldID is the escrow hold of the bid's deposit.
func (id BidID) HoldID() string { return "bid/" + id.String() }
