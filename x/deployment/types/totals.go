package types

// What all instances of one group together may ask for: that of MaxCount instances of the largest size, however it is
// cut into units.
const (
	// MaxGroupCPU is in thousandths of a core.
	MaxGroupCPU = MaxCPU * MaxCount
	// MaxGroupMemory is in bytes: 100 TiB.
	MaxGroupMemory = MaxMemory * MaxCount
	// MaxGroupGPU is a number of graphics processors.
	MaxGroupGPU = MaxGPU * MaxCount
	// MaxGroupStorage is in bytes, 1600 TiB: for the first volumes of all units together, for the second, and so on.
	MaxGroupStorage = MaxVolume * MaxCount
)

// validateTotals checks what the instances of all units add up to. The units are valid each, so that nothing overflows:
// MaxUnits x MaxCount of the largest volume are below 2^56 bytes.
func validateTotals(units []ResourceUnit) error {
	var cpu, memory, gpu uint64
	var storage [MaxVolumes]uint64
	for _, u := range units {
		n := uint64(u.Count)
		cpu += n * u.CpuMilli
		memory += n * u.MemoryBytes
		gpu += n * uint64(u.Gpu.Count)
		for i, v := range u.Storage {
			storage[i] += n * v.Bytes
		}
	}
	switch {
	case cpu > MaxGroupCPU:
		return ErrInvalidResources.Wrapf("cpu of all instances is %dm, at most %dm are allowed: use several groups", cpu, MaxGroupCPU)
	case memory > MaxGroupMemory:
		return ErrInvalidResources.Wrapf("memory of all instances is %d bytes, at most %d (100 TiB) are allowed: use several groups", memory, uint64(MaxGroupMemory))
	case gpu > MaxGroupGPU:
		return ErrInvalidResources.Wrapf("gpus of all instances are %d, at most %d are allowed: use several groups", gpu, MaxGroupGPU)
	}
	for i, bytes := range storage {
		if bytes > MaxGroupStorage {
			return ErrInvalidResources.Wrapf("volumes %d of all instances are %d bytes, at most %d (1600 TiB) are allowed: use several groups", i+1, bytes, uint64(MaxGroupStorage))
		}
	}
	return nil
}
