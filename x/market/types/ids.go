package types

import (
	"fmt"
	"strconv"
	"strings"

	deploymenttypes "berth.dev/berth/x/deployment/types"
)

// LeaseID names a lease: it is the id of the bid that became the lease.
type LeaseID = BidID

// String gives OWNER/DSEQ/GSEQ/OSEQ.
func (id OrderID) String() string {
	return fmt.Sprintf("%s/%d/%d/%d", id.Owner, id.Dseq, id.Gseq, id.Oseq)
}

// String gives OWNER/DSEQ/GSEQ/OSEQ/PROVIDER.
func (id BidID) String() string { return id.OrderID().String() + "/" + id.Provider }

// DeploymentID is the deployment that the order belongs to.
func (id OrderID) DeploymentID() deploymenttypes.DeploymentID {
	return deploymenttypes.DeploymentID{Owner: id.Owner, Dseq: id.Dseq}
}

// GroupID is the group that the order asks bids for.
func (id OrderID) GroupID() deploymenttypes.GroupID {
	return deploymenttypes.GroupID{Owner: id.Owner, Dseq: id.Dseq, Gseq: id.Gseq}
}

// BidID is the id of a provider's bid on the order.
func (id OrderID) BidID(provider string) BidID {
	return BidID{Owner: id.Owner, Dseq: id.Dseq, Gseq: id.Gseq, Oseq: id.Oseq, Provider: provider}
}

// OrderID is the order that the bid was made on.
func (id BidID) OrderID() OrderID {
	return OrderID{Owner: id.Owner, Dseq: id.Dseq, Gseq: id.Gseq, Oseq: id.Oseq}
}

// DeploymentID is the deployment that the bid's order belongs to.
func (id BidID) DeploymentID() deploymenttypes.DeploymentID { return id.OrderID().DeploymentID() }

// GroupID is the group that the bid's order asks bids for.
func (id BidID) GroupID() deploymenttypes.GroupID { return id.OrderID().GroupID() }

// ParseBidID reads what BidID.String gives.
func ParseBidID(s string) (BidID, error) {
	parts := strings.Split(s, "/")
	if len(parts) != 5 || parts[0] == "" || parts[4] == "" {
		return BidID{}, fmt.Errorf("bid id %q is not OWNER/DSEQ/GSEQ/OSEQ/PROVIDER", s)
	}
	dseq, err := strconv.ParseUint(parts[1], 10, 64)
	if err != nil {
		return BidID{}, fmt.Errorf("bid id %q: dseq: %w", s, err)
	}
	gseq, err := strconv.ParseUint(parts[2], 10, 32)
	if err != nil {
		return BidID{}, fmt.Errorf("bid id %q: gseq: %w", s, err)
	}
	oseq, err := strconv.ParseUint(parts[3], 10, 32)
	if err != nil {
		return BidID{}, fmt.Errorf("bid id %q: oseq: %w", s, err)
	}
	return BidID{Owner: parts[0], Dseq: dseq, Gseq: uint32(gseq), Oseq: uint32(oseq), Provider: parts[4]}, nil
}

// ParseOrderID reads what OrderID.String gives.
func ParseOrderID(s string) (OrderID, error) {
	parts := strings.Split(s, "/")
	if len(parts) != 4 {
		return OrderID{}, fmt.Errorf("order id %q is not OWNER/DSEQ/GSEQ/OSEQ", s)
	}
	id, err := ParseBidID(s + "/-")
	if err != nil {
		return OrderID{}, fmt.Errorf("order id %q is not OWNER/DSEQ/GSEQ/OSEQ: %w", s, err)
	}
	return id.OrderID(), nil
}
