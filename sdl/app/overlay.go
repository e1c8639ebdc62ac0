package app

import (
	"cosmossdk.io/math"

	"berth.dev/berth/sdl"
)

// All is the key of an overlay's maps that stands for every process that has no entry of its own.
const All = ""

// Overlay is what manifests of applications lack. The zero value is everything left to defaults. Maps are by the names
// of processes as the manifest has them, of companions by their role; KeyTask stands for all tasks.
type Overlay struct {
	// Name replaces the application's.
	Name string
	// Images are references; that of All is for all processes but companions.
	Images map[string]string
	// Commands are what processes run that neither the manifest nor a Procfile has a command for.
	Commands map[string]string
	// Ports are where processes take connections.
	Ports map[string]uint32
	// Compute are sizes; of one, zero parts stay what they were. Data are the sizes of persistent volumes, in bytes.
	Compute map[string]Size
	Data    map[string]uint64
	// Prices are the most that one instance may cost per block; Budget is the most that all may cost per month, and is
	// spread over what has no price. What neither covers is left open in the plan.
	Prices map[string]Price
	Budget *sdl.Budget
	// Attributes, SignedBy and Exclude say which providers are wanted, Exclude by their addresses.
	Attributes []sdl.Attribute
	SignedBy   sdl.SignedBy
	Exclude    []string
	// Domains are host names of a process's public port; of All they are web's.
	Domains map[string][]string
	// Deposit is what is put into escrow, such as 5BRT; empty for the default.
	Deposit string
	// Reserve says how many instances of a process that scales are ordered: max, which is the default, or min, and then
	// it does not scale.
	Reserve string
	// AutoMax is the maximum of processes whose format leaves it open, that of All for those without an entry.
	AutoMax map[string]uint32
	// Select names the choice of a bid, as --select does; empty for the default.
	Select string
	// Env are values of variables.
	Env map[string]string
	// LivenessFile are the processes that are started again while the file of their healthcheck is missing.
	LivenessFile map[string]bool
	// External are companions that are not run: their variables are given. Providers choose what runs a companion.
	External  map[string]bool
	Providers map[string]string
	// Build is how to build: empty for as the manifest says, docker, or a list of buildpacks.
	Buildpacks []string
	// Predeploy is how a command runs that is to change the image: empty for within a build, job for before the rollout,
	// without changing it.
	Predeploy string
	// Built is what the sources were built to; nil as long as they were not. Credentials open the registries of the
	// application's images, by the names that Registry gives. Both are what a deployment finds out, no file says them.
	Built       *Built
	Credentials credentials
}

// KeyTask is the key of an overlay's maps for all tasks.
const KeyTask = "cron"

// Price is the most that one instance may cost per block, in a denomination.
type Price struct {
	Amount math.LegacyDec
	Denom  string
}

// PredeployJob is the value of Overlay.Predeploy with which the command runs before the rollout.
const PredeployJob = "job"

// The values of Overlay.Reserve.
const (
	ReserveMax = "max"
	ReserveMin = "min"
)
