package explain_test

import (
	"testing"

	"berth.dev/berth/sdl/compile"
	"berth.dev/berth/sdl/explain"
)

// TestSuspendedTask holds that a task without a unit is explained, and costs nothing.
func TestSuspendedTask(t *testing.T) {
	r := compile.Document(compile.Input{File: "app.json", Data: []byte(`{"image": "a/b:1", "cron": [{"command": "x", "schedule": "@daily", "maintenance": true}]}`)})
	if r.Plan == nil {
		t.Fatal(r.Found)
	}
	e := explain.Explain(r.Plan, explain.Options{BlockNanos: sixSeconds})
	task := e.Placements[0].Services[0]
	if !task.Suspended || task.Instances != 0 || !task.AtMost.PerBlock.IsZero() || task.AtMost.Open || e.Instances != 1 || task.Each.MemoryBytes != 256<<20 {
		t.Errorf("explained as %+v", task)
	}
	if !e.AtMost.Open || !e.Placements[0].Services[1].AtMost.Open {
		t.Errorf("prices that nothing gives are not open: %+v", e.AtMost)
	}
	if e.Mermaid() == "" {
		t.Error("it is not drawn")
	}
}
