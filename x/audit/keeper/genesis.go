package keeper

import (
	"context"

	"berth.dev/berth/x/audit/types"
)

// InitGenesis writes the records of a validated genesis; the index follows from them.
func (k *Keeper) InitGenesis(ctx context.Context, gs types.GenesisState) error {
	for _, r := range gs.Records {
		if err := k.setRecord(ctx, r); err != nil {
			return err
		}
	}
	return nil
}

// ExportGenesis reads the records in the order of provider and auditor.
func (k *Keeper) ExportGenesis(ctx context.Context) (*types.GenesisState, error) {
	gs := &types.GenesisState{}
	err := k.records.Walk(ctx, nil, func(_ types.RecordKey, r types.SignedAttributes) (bool, error) {
		gs.Records = append(gs.Records, r)
		return false, nil
	})
	return gs, err
}
