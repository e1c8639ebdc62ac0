package orderevent

import (
	"encoding/json"
	"errors"
	"io"
	"strings"

	sdk "github.com/cosmos/cosmos-sdk/types"

	deploymenttypes "berth.dev/berth/x/deployment/types"
	markettypes "berth.dev/berth/x/market/types"
	providertypes "berth.dev/berth/x/provider/types"
)

// The parts of an order as protobuf's JSON has them: wide integers are texts, enumerations are names.
type (
	orderJSON struct {
		ID struct {
			Owner string `json:"owner"`
			Dseq  uint64 `json:"dseq,string"`
			Gseq  uint32 `json:"gseq"`
			Oseq  uint32 `json:"oseq"`
		} `json:"id"`
		State string `json:"state"`
		Spec  struct {
			Name         string                                `json:"name"`
			Requirements deploymenttypes.PlacementRequirements `json:"requirements"`
			Units        []unitJSON                            `json:"units"`
		} `json:"spec"`
		Auction struct {
			Mode   string `json:"mode"`
			Window uint32 `json:"window"`
		} `json:"auction"`
		CreatedAt     int64                       `json:"created_at,string"`
		ClosedAt      int64                       `json:"closed_at,string"`
		OpenBids      uint32                      `json:"open_bids"`
		Excluded      string                      `json:"excluded"`
		ExcludedUntil int64                       `json:"excluded_until,string"`
		Reclamation   deploymenttypes.Reclamation `json:"reclamation"`
	}
	unitJSON struct {
		ID          uint32              `json:"id"`
		CPUMilli    uint64              `json:"cpu_milli,string"`
		MemoryBytes uint64              `json:"memory_bytes,string"`
		Storage     []volumeJSON        `json:"storage"`
		GPU         deploymenttypes.GPU `json:"gpu"`
		Endpoints   []endpointJSON      `json:"endpoints"`
		Count       uint32              `json:"count"`
		Price       sdk.DecCoin         `json:"price"`
	}
	volumeJSON struct {
		Name       string                    `json:"name"`
		Bytes      uint64                    `json:"bytes,string"`
		Attributes []providertypes.Attribute `json:"attributes"`
	}
	endpointJSON struct {
		Kind     string `json:"kind"`
		Sequence uint32 `json:"sequence"`
	}
)

// parseAny reads an order's JSON whatever the order of its fields.
func parseAny(text string, o *markettypes.Order) bool {
	var in orderJSON
	dec := json.NewDecoder(strings.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&in); err != nil {
		return false
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return false
	}
	return in.order(o)
}

func (in *orderJSON) order(o *markettypes.Order) bool {
	state, ok := markettypes.OrderState_value[in.State]
	mode, known := deploymenttypes.AuctionMode_value[in.Auction.Mode]
	if !ok || !known {
		return false
	}
	*o = markettypes.Order{
		Id:    markettypes.OrderID{Owner: in.ID.Owner, Dseq: in.ID.Dseq, Gseq: in.ID.Gseq, Oseq: in.ID.Oseq},
		State: markettypes.OrderState(state),
		Spec: deploymenttypes.GroupSpec{
			Name: in.Spec.Name, Requirements: in.Spec.Requirements, Units: make([]deploymenttypes.ResourceUnit, len(in.Spec.Units)),
		},
		Auction:   deploymenttypes.Auction{Mode: deploymenttypes.AuctionMode(mode), Window: in.Auction.Window},
		CreatedAt: in.CreatedAt, ClosedAt: in.ClosedAt, OpenBids: in.OpenBids,
		Excluded: in.Excluded, ExcludedUntil: in.ExcludedUntil, Reclamation: in.Reclamation,
	}
	for i := range in.Spec.Units {
		if !in.Spec.Units[i].unit(&o.Spec.Units[i]) {
			return false
		}
	}
	return true
}

func (in *unitJSON) unit(u *deploymenttypes.ResourceUnit) bool {
	*u = deploymenttypes.ResourceUnit{
		Id: in.ID, CpuMilli: in.CPUMilli, MemoryBytes: in.MemoryBytes, Gpu: in.GPU, Count: in.Count, Price: in.Price,
		Storage:   make([]deploymenttypes.Volume, len(in.Storage)),
		Endpoints: make([]deploymenttypes.Endpoint, len(in.Endpoints)),
	}
	for i, v := range in.Storage {
		u.Storage[i] = deploymenttypes.Volume{Name: v.Name, Bytes: v.Bytes, Attributes: v.Attributes}
	}
	for i, e := range in.Endpoints {
		kind, ok := deploymenttypes.EndpointKind_value[e.Kind]
		if !ok {
			return false
		}
		u.Endpoints[i] = deploymenttypes.Endpoint{Kind: deploymenttypes.EndpointKind(kind), Sequence: e.Sequence}
	}
	return true
}
