package types

// DefaultGenesis is an empty registry.
func DefaultGenesis() *GenesisState { return &GenesisState{} }

// Validate checks every record and key, and that no owner stands twice among either.
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
	keys := make(map[string]struct{}, len(g.GatewayKeys))
	for _, k := range g.GatewayKeys {
		if err := k.Validate(); err != nil {
			return ErrInvalidGenesis.Wrapf("gateway key of %s: %s", k.Owner, err)
		}
		if _, dup := keys[k.Owner]; dup {
			return ErrInvalidGenesis.Wrapf("the gateway key of %s stands twice", k.Owner)
		}
		keys[k.Owner] = struct{}{}
	}
	return nil
}
