package clustertest

import (
	"fmt"
	"slices"

	"pgregory.net/rapid"

	manifesttypes "berth.dev/berth/manifest/types"
	"berth.dev/berth/provider/cluster"
)

// Adorned draws what a group may ask for beyond what every cluster does: each service of the copy gets some of it. A
// cluster that can do all of it, with persistent volumes of the classes default, beta1, beta2 and beta3, refuses none of it,
// but for names that meet; one that cannot refuses what it lacks.
func Adorned(t *rapid.T, g manifesttypes.Group) manifesttypes.Group {
	g.Services = slices.Clone(g.Services)
	for i := range g.Services {
		s := &g.Services[i]
		s.Expose, s.Volumes = slices.Clone(s.Expose), slices.Clone(s.Volumes)
		for _, adorn := range []func(*rapid.T, *manifesttypes.Service){
			adornProbes, adornScale, adornRollout, adornHooks, adornCredentials, adornOptions, adornVolumes, adornArch, adornAddresses, adornDevices,
		} {
			if rapid.IntRange(0, 3).Draw(t, "adorn") == 0 {
				adorn(t, s)
			}
		}
		if rapid.IntRange(0, 5).Draw(t, "task") == 0 {
			adornCron(t, s)
		}
	}
	return g
}

func probe(t *rapid.T) *manifesttypes.Probe {
	p := &manifesttypes.Probe{
		InitialDelaySeconds: rapid.Uint32Range(0, 3600).Draw(t, "delay"), PeriodSeconds: rapid.Uint32Range(0, 3600).Draw(t, "period"),
		TimeoutSeconds: rapid.Uint32Range(0, 3600).Draw(t, "timeout"), FailureThreshold: rapid.Uint32Range(0, 1000).Draw(t, "failures"),
	}
	port := rapid.Uint32Range(1, 65535).Draw(t, "probe port")
	switch rapid.IntRange(0, 2).Draw(t, "kind of probe") {
	case 0:
		p.Http = &manifesttypes.HTTPGet{
			Path: "/" + rapid.StringMatching(`([a-z?=&%][a-z?=&%/]{0,8})?`).Draw(t, "path"), Port: port, Tls: rapid.Bool().Draw(t, "tls"),
			Headers: []manifesttypes.Header{{Name: rapid.StringMatching(`X-[A-Za-z]{1,8}`).Draw(t, "header"), Value: rapid.StringMatching(`[ -~]{0,20}`).Draw(t, "header value")}},
		}
	case 1:
		p.TcpPort = port
	default:
		p.Exec = []string{"/check", text().Draw(t, "exec")}
	}
	return p
}

func adornProbes(t *rapid.T, s *manifesttypes.Service) {
	s.Probes = &manifesttypes.Probes{Startup: probe(t), Readiness: probe(t), Liveness: probe(t)}
	s.MinReadySeconds = rapid.Uint32Range(0, 60).Draw(t, "min ready")
}

func adornScale(t *rapid.T, s *manifesttypes.Service) {
	s.Count = rapid.Uint32Range(2, 50).Draw(t, "most")
	trigger := manifesttypes.Trigger{Resource: rapid.SampledFrom([]string{"cpu", "memory"}).Draw(t, "resource")}
	if rapid.Bool().Draw(t, "utilization") {
		trigger.UtilizationPercent = rapid.Uint32Range(1, 100).Draw(t, "percent")
	} else {
		most := s.CpuMilli
		if trigger.Resource == "memory" {
			most = s.MemoryBytes
		}
		trigger.AverageValue = rapid.Uint64Range(1, most).Draw(t, "value")
	}
	s.Scale = &manifesttypes.Scale{
		Min: rapid.Uint32Range(1, s.Count).Draw(t, "least"), Triggers: []manifesttypes.Trigger{trigger},
		CooldownSeconds: rapid.Uint32Range(0, 3600).Draw(t, "cooldown"),
	}
}

func adornRollout(t *rapid.T, s *manifesttypes.Service) {
	s.Rollout = &manifesttypes.Rollout{MaxSurge: rapid.Uint32Range(0, s.Count).Draw(t, "surge")}
	s.Rollout.MaxUnavailable = rapid.Uint32Range(0, s.Count).Draw(t, "unavailable")
	if s.Rollout.MaxSurge == 0 {
		s.Rollout.MaxUnavailable = max(1, s.Rollout.MaxUnavailable)
	}
}

func adornHooks(t *rapid.T, s *manifesttypes.Service) {
	for i := range rapid.IntRange(1, 3).Draw(t, "hooks") {
		s.Hooks = append(s.Hooks, manifesttypes.Hook{
			Name: fmt.Sprintf("hook-%d", i), When: manifesttypes.When(rapid.IntRange(1, 2).Draw(t, "when")), Once: rapid.Bool().Draw(t, "once"),
			Command: []string{"/bin/" + rapid.StringMatching(`[a-z]{1,9}`).Draw(t, "program")}, Args: []string{text().Draw(t, "hook arg")},
			DeadlineSeconds: rapid.Uint32Range(0, 3600).Draw(t, "deadline"),
		})
	}
}

func adornCredentials(t *rapid.T, s *manifesttypes.Service) {
	s.Credentials = &manifesttypes.Credentials{
		Host:     rapid.SampledFrom([]string{"ghcr.io", "registry.example:5000", "https://index.docker.io/v1/"}).Draw(t, "registry"),
		Username: rapid.StringMatching(`[a-z]{1,12}`).Draw(t, "user"), Password: rapid.StringMatching(`[ -~]{1,20}`).Draw(t, "password"),
	}
}

func adornOptions(t *rapid.T, s *manifesttypes.Service) {
	for i := range s.Expose {
		if cluster.Anyone(s.Expose[i]) && s.Expose[i].Proto == manifesttypes.PROTO_HTTP {
			o := &manifesttypes.HTTPOptions{
				MaxBodyBytes: rapid.Uint32Range(0, 104_857_600).Draw(t, "body"), SendTimeoutMs: rapid.Uint32Range(0, 60_000).Draw(t, "send"),
				H2C: rapid.Bool().Draw(t, "h2c"),
			}
			if !o.H2C { // not every proxy has the two together
				o.ReadTimeoutMs = rapid.Uint32Range(0, 60_000).Draw(t, "read")
			}
			s.Expose[i].HttpOptions = o
		}
	}
}

// adornVolumes makes the service one that neither scales nor replaces instances as others do.
func adornVolumes(t *rapid.T, s *manifesttypes.Service) {
	s.Scale, s.Rollout = nil, nil
	s.Volumes = append(s.Volumes, manifesttypes.Volume{
		Name: "kept", Bytes: rapid.Uint64Range(1<<20, 1<<40).Draw(t, "kept"), Mount: "/kept",
		Attributes: []manifesttypes.Attribute{
			{Key: "class", Value: rapid.SampledFrom([]string{"default", "beta1", "beta2", "beta3"}).Draw(t, "class")}, {Key: "persistent", Value: "true"},
		},
	})
}

func adornArch(t *rapid.T, s *manifesttypes.Service) {
	s.Arch = rapid.SampledFrom([]string{"amd64", "arm64"}).Draw(t, "arch")
}

// adornAddresses leads what is forwarded to a leased address; a port can lead to one place there.
func adornAddresses(t *rapid.T, s *manifesttypes.Service) {
	ip := rapid.SampledFrom([]string{"one", "two"}).Draw(t, "ip") + "-" + fmt.Sprint(s.UnitId)
	for i := range s.Expose {
		e := &s.Expose[i]
		e.To = slices.Clone(e.To)
		for j := range e.To {
			if e.To[j].Service == "" {
				e.To[j].Ip = ip
			}
		}
	}
}

func adornDevices(t *rapid.T, s *manifesttypes.Service) {
	s.Gpu = rapid.Uint32Range(1, 8).Draw(t, "devices")
	for _, kind := range []string{"vendor/amd", "vendor/nvidia/model/a100", "vendor/nvidia/model/t4"} {
		if rapid.Bool().Draw(t, kind) {
			s.GpuAttributes = append(s.GpuAttributes, manifesttypes.Attribute{Key: kind, Value: "true"})
		}
	}
}

// adornCron makes the service a task, which has nothing of what instances have that run always.
func adornCron(t *rapid.T, s *manifesttypes.Service) {
	s.Cron = &manifesttypes.Cron{
		Schedule:    rapid.SampledFrom([]string{"* * * * *", "@hourly", "5 4 * * sun", "@every 1h30m"}).Draw(t, "schedule"),
		Concurrency: manifesttypes.Concurrency(rapid.IntRange(1, 3).Draw(t, "concurrency")), Suspended: rapid.Bool().Draw(t, "suspended"),
		DeadlineSeconds: rapid.Uint32Range(0, 3600).Draw(t, "deadline"),
	}
	s.Volumes = slices.DeleteFunc(s.Volumes, func(v manifesttypes.Volume) bool { return v.Name == "kept" })
	s.Count, s.Expose, s.Probes, s.Scale, s.Rollout, s.Hooks, s.MinReadySeconds = 1, nil, nil, nil, nil, nil, 0
}
