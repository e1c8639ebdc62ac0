package sdl

// Totals is what all instances of some resources take together.
type Totals struct {
	Instances   uint64
	CPUMilli    uint64
	MemoryBytes uint64
	GPU         uint64
	// Storage[i] is the sum of the i-th volumes, which is how the chain bounds it.
	Storage []uint64
}

// Add counts n instances with the needs of a resource.
func (t *Totals) Add(r Resource, n uint64) {
	t.Instances += n
	t.CPUMilli += n * r.CPUMilli
	t.MemoryBytes += n * r.MemoryBytes
	t.GPU += n * uint64(r.GPU)
	for i, v := range r.Storage {
		if i == len(t.Storage) {
			t.Storage = append(t.Storage, 0)
		}
		t.Storage[i] += n * v.Bytes
	}
}

// StorageBytes is the storage of all volumes.
func (t *Totals) StorageBytes() uint64 {
	sum := uint64(0)
	for _, v := range t.Storage {
		sum += v
	}
	return sum
}

// Totals is what all instances of a group take together. Within the limits of a plan nothing overflows.
func (g Group) Totals() Totals {
	var t Totals
	for _, r := range g.Resources {
		t.Add(r, uint64(r.Count))
	}
	return t
}
