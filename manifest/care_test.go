package manifest_test

import (
	"errors"
	"strings"
	"testing"

	"berth.dev/berth/manifest"
	manifesttypes "berth.dev/berth/manifest/types"
)

// cared is a group whose service has everything that can be said of how instances are looked after, and a task beside it.
func cared(name string) manifesttypes.Group {
	g := group(name)
	s := &g.Services[1]
	s.Probes = &manifesttypes.Probes{
		Startup: &manifesttypes.Probe{Http: &manifesttypes.HTTPGet{
			Path: "/health/ready?deep=1", Port: 8080, Tls: true, Status: 200, Content: "ok",
			Headers: []manifesttypes.Header{{Name: "Host", Value: "a.example.com"}, {Name: "X-Probe", Value: ""}},
		}, FailureThreshold: 60, PeriodSeconds: 5, TimeoutSeconds: 5},
		Readiness: &manifesttypes.Probe{TcpPort: 8080, SuccessThreshold: 2},
		Liveness:  &manifesttypes.Probe{Exec: []string{"/bin/ok", ""}, InitialDelaySeconds: 3600},
	}
	s.MinReadySeconds = 10
	s.Scale = &manifesttypes.Scale{Min: 1, CooldownSeconds: 60, Triggers: []manifesttypes.Trigger{
		{Resource: "cpu", UtilizationPercent: 80}, {Resource: "memory", AverageValue: 32 << 20},
	}}
	s.Rollout = &manifesttypes.Rollout{MaxSurge: 2, MaxUnavailable: 1}
	s.Hooks = []manifesttypes.Hook{
		{Name: "migrate", When: manifesttypes.WHEN_BEFORE_ROLLOUT, Command: []string{"/bin/migrate"}, DeadlineSeconds: 30},
		{Name: "seed", When: manifesttypes.WHEN_AFTER_ROLLOUT, Once: true, Args: []string{"seed"}},
	}
	g.Services = append(g.Services, task("zz-nightly", 3))
	return g
}

func task(name string, unit uint32) manifesttypes.Service {
	return manifesttypes.Service{
		Name: name, Image: "berth.local/hello:1", Count: 1, UnitId: unit, CpuMilli: 100, MemoryBytes: 64 << 20, DependsOn: []string{"web"},
		Cron: &manifesttypes.Cron{Schedule: "*/5 1 * * SUN", Concurrency: manifesttypes.CONCURRENCY_FORBID, StartingDeadlineSeconds: 30, DeadlineSeconds: 60},
	}
}

func TestValidateAcceptsCare(t *testing.T) {
	g := cared("east")
	g.Services[0].Probes = &manifesttypes.Probes{} // nothing is checked
	if err := manifest.Validate(g); err != nil {
		t.Error(err)
	}
	paused := &g.Services[2]
	paused.Cron.Suspended, paused.UnitId = true, 0
	if err := manifest.Validate(g); err != nil {
		t.Error(err)
	}
}

func TestValidateRefusesCare(t *testing.T) {
	type s = *manifesttypes.Service
	for name, tc := range map[string]struct {
		change func(web, task s)
		says   string
	}{
		"probe of nothing":  {func(w, _ s) { w.Probes.Readiness = &manifesttypes.Probe{} }, "probes.readiness: exactly one of http, tcp_port and exec is wanted, 0"},
		"probe of two":      {func(w, _ s) { w.Probes.Startup.TcpPort = 1 }, "probes.startup: exactly one of http, tcp_port and exec is wanted, 2"},
		"tcp port":          {func(w, _ s) { w.Probes.Readiness.TcpPort = 65536 }, "probes.readiness.tcp_port: 65536"},
		"exec":              {func(w, _ s) { w.Probes.Liveness.Exec[0] = "\x00" }, "probes.liveness: exec[0]"},
		"many words":        {func(w, _ s) { w.Probes.Liveness.Exec = make([]string, 1025) }, "1025 words of exec"},
		"delay":             {func(w, _ s) { w.Probes.Liveness.InitialDelaySeconds = 3601 }, "probes.liveness.initial_delay_seconds: 3601"},
		"period":            {func(w, _ s) { w.Probes.Liveness.PeriodSeconds = 3601 }, "probes.liveness.period_seconds: 3601"},
		"timeout":           {func(w, _ s) { w.Probes.Liveness.TimeoutSeconds = 3601 }, "probes.liveness.timeout_seconds: 3601"},
		"failures":          {func(w, _ s) { w.Probes.Startup.FailureThreshold = 1001 }, "probes.startup.failure_threshold: 1001"},
		"successes":         {func(w, _ s) { w.Probes.Readiness.SuccessThreshold = 1001 }, "probes.readiness.success_threshold: 1001"},
		"successes to live": {func(w, _ s) { w.Probes.Liveness.SuccessThreshold = 2 }, "probes.liveness.success_threshold: 2, only readiness"},
		"successes to boot": {func(w, _ s) { w.Probes.Startup.SuccessThreshold = 2 }, "probes.startup.success_threshold: 2, only readiness"},
		"path":              {func(w, _ s) { w.Probes.Startup.Http.Path = "health" }, "probes.startup.http.path"},
		"path with a host":  {func(w, _ s) { w.Probes.Startup.Http.Path = "//169.254.169.254/" }, "probes.startup.http.path"},
		"path with a space": {func(w, _ s) { w.Probes.Startup.Http.Path = "/a b" }, "probes.startup.http.path"},
		"http port":         {func(w, _ s) { w.Probes.Startup.Http.Port = 0 }, "probes.startup.http.port: 0"},
		"status":            {func(w, _ s) { w.Probes.Startup.Http.Status = 404 }, "probes.startup.http.status: 404"},
		"content":           {func(w, _ s) { w.Probes.Startup.Http.Content = "\xff" }, "probes.startup.http.content"},
		"header name":       {func(w, _ s) { w.Probes.Startup.Http.Headers[0].Name = "A:" }, "http.headers[0].name"},
		"header value":      {func(w, _ s) { w.Probes.Startup.Http.Headers[1].Value = "a\r\nb" }, "http.headers[1].value"},
		"headers":           {func(w, _ s) { w.Probes.Startup.Http.Headers = make([]manifesttypes.Header, 33) }, "33 headers"},
		"status to live": {func(w, _ s) { w.Probes.Liveness = w.Probes.Startup; w.Probes.Startup = nil },
			"probes.liveness.http: status and content"},

		"min ready":          {func(w, _ s) { w.MinReadySeconds = 3601 }, "min_ready_seconds 3601"},
		"scale from 0":       {func(w, _ s) { w.Scale.Min = 0 }, "scale.min 0"},
		"scale above count":  {func(w, _ s) { w.Scale.Min = 3 }, "scale.min 3 is not from 1 to the count 2"},
		"cooldown":           {func(w, _ s) { w.Scale.CooldownSeconds = 3601 }, "scale.cooldown_seconds 3601"},
		"no trigger":         {func(w, _ s) { w.Scale.Triggers = nil }, "scale.triggers: none"},
		"trigger":            {func(w, _ s) { w.Scale.Triggers[0].Resource = "http" }, `scale.triggers[0].resource: "http" is not cpu or memory`},
		"trigger twice":      {func(w, _ s) { w.Scale.Triggers[1].Resource = "cpu" }, "triggers are not sorted"},
		"trigger of nothing": {func(w, _ s) { w.Scale.Triggers[0].UtilizationPercent = 0 }, "scale.triggers[0]: exactly one"},
		"trigger of two":     {func(w, _ s) { w.Scale.Triggers[0].AverageValue = 10 }, "scale.triggers[0]: exactly one"},
		"utilization":        {func(w, _ s) { w.Scale.Triggers[0].UtilizationPercent = 101 }, "scale.triggers[0].utilization_percent: 101"},
		"average":            {func(w, _ s) { w.Scale.Triggers[1].AverageValue = 64<<20 + 1 }, "scale.triggers[1].average_value"},
		"rollout":            {func(w, _ s) { w.Rollout = &manifesttypes.Rollout{} }, "rollout: max_surge and max_unavailable are both 0"},
		"surge":              {func(w, _ s) { w.Rollout.MaxSurge = 51 }, "rollout.max_surge 51"},
		"unavailable":        {func(w, _ s) { w.Rollout.MaxUnavailable = 51 }, "rollout.max_unavailable 51"},

		"hook name":      {func(w, _ s) { w.Hooks[0].Name = "A" }, "hooks[0].name"},
		"hook twice":     {func(w, _ s) { w.Hooks[1].Name = "migrate" }, `hooks[1].name: "migrate" appears twice`},
		"hook when":      {func(w, _ s) { w.Hooks[0].When = 0 }, "hooks[0].when: 0"},
		"hook of what":   {func(w, _ s) { w.Hooks[0].Command = nil }, "hooks[0]: neither command nor args"},
		"hook deadline":  {func(w, _ s) { w.Hooks[0].DeadlineSeconds = 86_401 }, "hooks[0].deadline_seconds: 86401"},
		"hook's command": {func(w, _ s) { w.Hooks[0].Command[0] = "\xff" }, "hooks[0]: command[0]"},
		"hook's args":    {func(w, _ s) { w.Hooks[1].Args[0] = "\xff" }, "hooks[1]: args[0]"},
		"17 hooks":       {func(w, _ s) { w.Hooks = make([]manifesttypes.Hook, 17) }, "17 hooks"},

		"schedule":         {func(_, c s) { c.Cron.Schedule = "61 * * * *" }, "cron.schedule: minute"},
		"concurrency":      {func(_, c s) { c.Cron.Concurrency = 0 }, "cron.concurrency: 0"},
		"start":            {func(_, c s) { c.Cron.StartingDeadlineSeconds = 9 }, "cron.starting_deadline_seconds: 9"},
		"task's deadline":  {func(_, c s) { c.Cron.DeadlineSeconds = 604_801 }, "cron.deadline_seconds: 604801"},
		"two tasks":        {func(_, c s) { c.Count = 2 }, "count 2 of a task is not 1"},
		"paused with unit": {func(_, c s) { c.Cron.Suspended = true }, "a suspended task needs no unit"},
		"without unit":     {func(_, c s) { c.UnitId = 0 }, "unit id is 0"},
		"task's expose":    {func(w, c s) { c.Expose = w.Expose[:1] }, "expose is not for a task"},
		"task's probes":    {func(w, c s) { c.Probes = w.Probes }, "probes is not for a task"},
		"task's scale":     {func(w, c s) { c.Scale = w.Scale }, "scale is not for a task"},
		"task's rollout":   {func(w, c s) { c.Rollout = w.Rollout }, "rollout is not for a task"},
		"task's hooks":     {func(w, c s) { c.Hooks = w.Hooks }, "hooks is not for a task"},
		"task's readiness": {func(_, c s) { c.MinReadySeconds = 1 }, "min_ready_seconds is not for a task"},
		"waits for a task": {func(w, c s) { c.DependsOn, w.DependsOn = nil, []string{"api", "zz-nightly"} }, `service "web": depends on "zz-nightly", a task`},
		"task's persistent": {func(_, c s) {
			c.Volumes = []manifesttypes.Volume{{Name: "d", Bytes: 5 << 20, Attributes: []manifesttypes.Attribute{{Key: "persistent", Value: "true"}}}}
		}, "no persistent volumes"},
	} {
		g := cared("east")
		tc.change(&g.Services[1], &g.Services[2])
		err := manifest.Validate(g)
		if !errors.Is(err, manifest.ErrInvalid) || !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s: Validate = %v, want ErrInvalid with %q", name, err, tc.says)
		}
	}
}

func TestCheckTasks(t *testing.T) {
	g := cared("east")
	spec := specOf(g)
	if err := manifest.Check(g, spec); err != nil {
		t.Errorf("a task with its unit: %v", err)
	}
	g.Services[2].Cron.Suspended, g.Services[2].UnitId = true, 0
	if err := manifest.Check(g, spec); !errors.Is(err, manifest.ErrGroupMismatch) || !strings.Contains(err.Error(), "unit 3 is used by no service") {
		t.Errorf("a suspended task whose unit is left: %v", err)
	}
	spec.Units = spec.Units[:2]
	if err := manifest.Check(g, spec); err != nil {
		t.Errorf("a suspended task: %v", err)
	}
	g.Services[2].Cron.Suspended = false
	if err := manifest.Check(g, spec); !errors.Is(err, manifest.ErrGroupMismatch) || !strings.Contains(err.Error(), "unit 0 is not on chain") {
		t.Errorf("a task that runs without a unit: %v", err)
	}
}

func TestParseSchedule(t *testing.T) {
	for in, want := range map[string]string{
		"0 1 * * *":                    "0 1 * * *",
		"*/5  *\t* ? *":                "",
		" 0 1 * * * ":                  "0 1 * * *",
		"0 1 * * 7":                    "0 1 * * 0",
		"0 1 * * 5-7":                  "0 1 * * 0,5,6",
		"0 1 * * 1-7/3":                "0 1 * * 0,1,4",
		"0 1 * * 7/2,3":                "0 1 * * 0,3",
		"0 1 * * 2-7/6":                "0 1 * * 2",
		"0 1 * * 6/2":                  "0 1 * * 6/2",
		"0 1 * * sun,MON-fri":          "0 1 * * sun,MON-fri",
		"0-59/15,7 0/6 1-15 JAN-3 ?":   "0-59/15,7 0/6 1-15 JAN-3 ?",
		"@daily":                       "@daily",
		"@every 90s":                   "@every 1m30s",
		"@every 1h0.5s":                "@every 1h0m0s",
		"@every 59s":                   "",
		"@every 10000h":                "",
		"@every":                       "",
		"@every x":                     "",
		"@reboot":                      "",
		"@Daily":                       "",
		"":                             "",
		"61 * * * *":                   "",
		"*/5 * * * * *":                "",
		"* * * *":                      "",
		"CRON_TZ=Asia/Tokyo 0 1 * * *": "",
		"TZ=UTC * * * * *":             "",
		"* * 0 * *":                    "",
		"* * * 13 *":                   "",
		"* * * * 8":                    "",
		"* * L * *":                    "",
		"* * * * 1#2":                  "",
		"5-1 * * * *":                  "",
		"*/0 * * * *":                  "",
		"1//2 * * * *":                 "",
		"1-2-3 * * * *":                "",
		"-1 * * * *":                   "",
		"+1 * * * *":                   "",
		"1, * * * *":                   "",
		"* * * * *\n":                  "",
		"* * * * " + strings.Repeat("1,", 200) + "1": "",
	} {
		got, err := manifest.ParseSchedule(in)
		if (err == nil) != (want != "") || got.String() != want {
			t.Errorf("ParseSchedule(%q) = %q, %v, want %q", in, got, err, want)
		}
	}
}

// FuzzParseSchedule holds that a schedule that is accepted is accepted again as it was written down, and means Sunday by
// 0 alone.
func FuzzParseSchedule(f *testing.F) {
	for _, s := range []string{"*/5 1-3 ? jan-dec/2 7", "@every 1h", "@daily", "0 0 31 2 *", "0 1 * * 7/2"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		first, err := manifest.ParseSchedule(s)
		if err != nil {
			return
		}
		again, err := manifest.ParseSchedule(first.String())
		if err != nil || again != first {
			t.Fatalf("%q became %q and then %q: %v", s, first, again, err)
		}
	})
}
