package types

// DefaultGenesis is an empty registry.
func DefaultGenesis() *GenesisState { return &GenesisState{} }

// Validate checks every record, and that no owner stands twice.
func (g GenesisState) Validate() error {
	seen := make(map[string]struct{}, len(g.Providers))
	for _, p := range g.Providers {
		if err := p.Validate(); err != nil {
			return ErrInvalidGenesis.Wrapf("provider %s: %s", p.Owner, err)
		}
		if _, dup := seen[p.Owner]; dup {
			return ErrInvalidGenesis.Wrapf("provider %s stands twice", p.Owner)
		}
		seen[p.Owner] = struct{}{}
	}
	return nil
}
