package types

// DefaultGenesis has no records.
func DefaultGenesis() *GenesisState { return &GenesisState{} }

// Validate checks every record, and that none stands twice.
func (g GenesisState) Validate() error {
	type id struct{ provider, auditor string }
	seen := make(map[id]struct{}, len(g.Records))
	for _, r := range g.Records {
		if err := r.Validate(); err != nil {
			return ErrInvalidGenesis.Wrapf("record of provider %s by auditor %s: %s", r.Provider, r.Auditor, err)
		}
		if _, dup := seen[id{r.Provider, r.Auditor}]; dup {
			return ErrInvalidGenesis.Wrapf("record of provider %s by auditor %s stands twice", r.Provider, r.Auditor)
		}
		seen[id{r.Provider, r.Auditor}] = struct{}{}
	}
	return nil
}
