package manifest

import (
	deploymenttypes "berth.dev/berth/x/deployment/types"
)

// The limits that hold for every deployment, as the chain enforces them: a document, a manifest and an order are
// measured with one rule.
const (
	MaxGroups   = deploymenttypes.MaxGroups // groups of a deployment
	MaxServices = deploymenttypes.MaxUnits  // services, hence resource units, of a group

	MinCount = deploymenttypes.MinCount
	MaxCount = deploymenttypes.MaxCount

	MinCPUMilli = deploymenttypes.MinCPU
	MaxCPUMilli = deploymenttypes.MaxCPU

	MinMemoryBytes = deploymenttypes.MinMemory
	MaxMemoryBytes = deploymenttypes.MaxMemory

	MinVolumeBytes = deploymenttypes.MinVolume
	MaxVolumeBytes = deploymenttypes.MaxVolume
	MaxVolumes     = deploymenttypes.MaxVolumes // volumes of a service

	MaxGPU = deploymenttypes.MaxGPU

	MaxExposes = deploymenttypes.MaxEndpoints // exposed ports of a service

	// What all instances of a group may take together; storage for the first volumes of all, for the second, and so on.
	MaxGroupCPUMilli     = deploymenttypes.MaxGroupCPU
	MaxGroupMemoryBytes  = deploymenttypes.MaxGroupMemory
	MaxGroupGPU          = deploymenttypes.MaxGroupGPU
	MaxGroupStorageBytes = deploymenttypes.MaxGroupStorage

	MaxEndpoints = deploymenttypes.MaxEndpoints // of a resource unit
	MaxAuditors  = deploymenttypes.MaxAuditors  // in each list of signed_by
)

// The limits of what only the manifest holds.
const (
	MaxNameBytes    = 63     // of a service, a group, a volume
	MaxImageBytes   = 512    // of an image reference
	MaxEnvNameBytes = 256    // of an environment variable's name
	MaxTos          = 64     // clients of an exposed port
	MaxHosts        = 64     // host names of an exposed port
	MaxEnv          = 1024   // environment variables of a service
	MaxArgs         = 1024   // arguments, and words of the command, of a service
	MaxEdges        = 2048   // connections of a group with other groups
	MaxPort         = 65_535 // of a port; the least is 1
	MaxHostBytes    = 253    // of a host name

	MaxCredentialBytes  = 4096        // of each part of a registry's credentials
	MaxBodyBytes        = 104_857_600 // of a request's body, where a document bounds it
	MaxProxyBufferBytes = 1_048_576   // of a route's buffer
	MaxRouteTimeoutMs   = 3_600_000   // of a route's timeouts; providers may allow less
	DocRouteTimeoutMs   = 60_000      // of a route's timeouts in documents of version 2, which were defined with it
	MaxNextTries        = 1000        // of tries at other instances
)

// The limits of how instances are looked after.
const (
	MaxProbeSeconds     = 3600 // of a probe's delay, period and timeout, each
	MaxProbeThreshold   = 1000 // of a probe's thresholds
	MaxPathBytes        = 1024 // of the path of a probe
	MaxHeaders          = 32   // of a probe's request
	MaxHeaderNameBytes  = 128  // of a header's name
	MaxHeaderValueBytes = 1024 // of a header's value
	MaxContentBytes     = 1024 // of the text that a body has to hold
	MinProbeStatus      = 200  // of the statuses that a probe passes
	MaxProbeStatus      = 399

	MaxMinReadySeconds = 3600 // of how long an instance has to stay ready
	MaxCooldownSeconds = 3600 // of how long less load has to last
	MaxUtilization     = 100  // per cent of what an instance may use

	MaxHooks       = 16     // of a service
	MaxHookSeconds = 86_400 // of a hook's run

	MaxScheduleBytes = 256 // of a task's schedule
	MinEverySeconds  = 60  // between two runs of a task
	MaxEverySeconds  = 366 * 86_400
	MinStartSeconds  = 10      // of how late a run may start: less is not always noticed in time
	MaxStartSeconds  = 86_400  // of the same
	MaxTaskSeconds   = 604_800 // of a task's run
)

// The numbers that stand for a 0 in a manifest.
const (
	DefaultProbePeriodSeconds    = 10
	DefaultProbeTimeoutSeconds   = 1
	DefaultProbeSuccessThreshold = 1
	DefaultProbeFailureThreshold = 3
	DefaultCooldownSeconds       = 300
	DefaultHookSeconds           = 600
	DefaultStartSeconds          = 60
	DefaultTaskSeconds           = 86_400
)
