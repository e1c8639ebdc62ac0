package appjson

import (
	"errors"
	"fmt"
	"strings"

	"berth.dev/berth/manifest"
	manifesttypes "berth.dev/berth/manifest/types"
	"berth.dev/berth/sdl/app"
	"berth.dev/berth/sdl/doc"
	"berth.dev/berth/sdl/procfile"
	"berth.dev/berth/sdl/suggest"
)

// taskBase begins the names of tasks.
const taskBase = "cron"

var policies = map[string]manifesttypes.Concurrency{
	"allow": manifesttypes.CONCURRENCY_ALLOW, "forbid": manifesttypes.CONCURRENCY_FORBID, "replace": manifesttypes.CONCURRENCY_REPLACE,
}

// cron reads the tasks that run at times.
func (m *reader) cron(n *doc.Node) {
	if n == nil {
		return
	}
	if n.Kind() == doc.Map {
		m.Report(n.Problem("E-TYPE", "cron is a list, found an object").WithAllowed("a list").
			WithHint(`write "cron": [{"command": "...", "schedule": "..."}]; tasks have no names`))
		return
	}
	entries, _ := n.Entries(m.Reporter, "cron")
	seen := map[string]*doc.Node{}
	for _, e := range entries {
		m.task(e, seen)
	}
}

func (m *reader) task(n *doc.Node, seen map[string]*doc.Node) {
	o, ok := Fields.Object(m.Reporter, n, "cron[]", "a task")
	if !ok {
		return
	}
	t := app.Task{At: app.PlaceOf(n), Cron: manifesttypes.Cron{Concurrency: manifesttypes.CONCURRENCY_ALLOW}}
	command, schedule := "", ""
	if c := o.Require(m.Reporter, "command", `"command": "rake cleanup"`); c != nil {
		command = m.command(c)
		t.Command = m.words(c, command)
	}
	if s := o.Require(m.Reporter, "schedule", `"schedule": "0 1 * * *"`); s != nil {
		schedule = m.schedule(s, &t)
	}
	if x := o.Get("maintenance"); x != nil {
		t.Cron.Suspended, _ = x.Bool(m.Reporter, "maintenance")
	}
	if p := o.Get("concurrency_policy"); p != nil {
		m.policy(p, &t)
	}
	if command == "" || schedule == "" {
		return
	}
	t.Name = app.TaskName(taskBase, command, schedule)
	if first, twice := seen[t.Name]; twice {
		m.Report(n.Problem("E-CRON-DUPLICATE", "the same command runs at the same times already, in line %d", first.Line()).WithHint("leave one of them out"))
		return
	}
	seen[t.Name] = n
	m.app.Tasks = append(m.app.Tasks, t)
}

// words are the words of a task's command, or of the process of the Procfile that it names.
func (m *reader) words(n *doc.Node, command string) []string {
	if e := m.entry(command); e != nil {
		return procfile.Argv(e.Command)
	}
	words, err := procfile.Words(command)
	if err == nil {
		return words
	}
	d := n.Problem("E-CRON-COMMAND", "%s", err)
	if errors.Is(err, procfile.ErrShell) {
		d = d.WithHint("write sh -c " + app.Quote(command))
	}
	m.Report(d)
	return nil
}

// schedule reads when a task runs, as Kubernetes would.
func (m *reader) schedule(n *doc.Node, t *app.Task) string {
	text := strings.TrimSpace(m.text(n, "schedule"))
	s, err := manifest.ParseSchedule(text)
	if err == nil {
		t.Cron.Schedule = s.String()
		return text
	}
	d := n.Problem("E-SCHEDULE", "%s is not a schedule: %s", n.Show(), err).
		WithAllowed("minute, hour, day of the month, month, day of the week; @hourly, @daily, @weekly, @monthly, @yearly; @every DURATION")
	fields := strings.Fields(text)
	switch {
	case strings.HasPrefix(text, "CRON_TZ=") || strings.HasPrefix(text, "TZ="):
		d = d.WithHint("schedules are in UTC: leave the time zone out, and shift the hours")
	case len(fields) == 6:
		d = d.WithHint("schedules have no field for seconds")
		if _, err := manifest.ParseSchedule(strings.Join(fields[1:], " ")); err == nil {
			d = d.WithSuggestion(fmt.Sprintf("%q", strings.Join(fields[1:], " ")))
		}
	case strings.HasPrefix(text, "@"):
		if near := suggest.Nearest(text, []string{"@annually", "@daily", "@hourly", "@midnight", "@monthly", "@weekly", "@yearly"}); near != "" {
			d = d.WithSuggestion(fmt.Sprintf("%q", near))
		}
	}
	m.Report(d)
	return ""
}

func (m *reader) policy(n *doc.Node, t *app.Task) {
	text := m.text(n, "concurrency_policy")
	if p, ok := policies[strings.ToLower(text)]; ok {
		t.Cron.Concurrency = p
		return
	}
	d := n.Problem("E-CRON-POLICY", "%s is not one of allow, forbid, replace", n.Show()).WithAllowed("allow, forbid, replace")
	if near := suggest.Nearest(text, []string{"allow", "forbid", "replace"}); near != "" {
		d = d.WithSuggestion(fmt.Sprintf("%q", near))
	}
	m.Report(d)
}
