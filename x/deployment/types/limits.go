package types

// What one deployment may ask for. The limits are part of the protocol and enforced on chain.
const (
	// MaxGroups is the most groups of a deployment.
	MaxGroups = 20
	// MaxUnits is the most resource units of a group.
	MaxUnits = 20
	// MaxName is the longest name of a group or a volume, in bytes.
	MaxName = 64
	// MaxAuditors is the most auditors in each list of signed_by.
	MaxAuditors = 16

	// MinCPU and MaxCPU bound the processor of one instance, in thousandths of a core.
	MinCPU = 10
	MaxCPU = 384_000
	// MinMemory and MaxMemory bound the memory of one instance, in bytes: 1 MiB to 2 TiB.
	MinMemory = 1 << 20
	MaxMemory = 2 << 40
	// MinVolume and MaxVolume bound each volume of one instance, in bytes: 5 MiB to 32 TiB.
	MinVolume = 5 << 20
	MaxVolume = 32 << 40
	// MaxVolumes is the most volumes of one unit.
	MaxVolumes = 16
	// MaxGPU is the most graphics processors of one instance.
	MaxGPU = 24
	// MaxEndpoints is the most endpoints of one unit.
	MaxEndpoints = 64
	// MinCount and MaxCount bound the instances of one unit.
	MinCount = 1
	MaxCount = 50

	// MaxReclaimWindow is the longest notice that a deployment may ask for, in seconds: 30 days. The market's parameters
	// narrow it.
	MaxReclaimWindow = 30 * 24 * 60 * 60

	// ManifestHashSize is the size of a manifest hash, in bytes.
	ManifestHashSize = 32
)
