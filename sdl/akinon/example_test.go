package akinon_test

import (
	"os"
	"slices"
	"testing"

	"berth.dev/berth/sdl/akinon"
	"berth.dev/berth/sdl/app"
)

// TestExample holds the plan of the example.
func TestExample(t *testing.T) {
	const dir = "../../examples/akinon/shop/"
	text, err := os.ReadFile(dir + "akinon.json")
	if err != nil {
		t.Fatal(err)
	}
	processes, err := os.ReadFile(dir + "Procfile")
	if err != nil {
		t.Fatal(err)
	}
	_, plan, found := read(t, string(text), string(processes), akinon.Input{Overlay: app.Overlay{Images: map[string]string{"": "berth.local/shop:1"}}},
		app.Config{Values: map[string]string{"SECRET_KEY": "hunter2hunter2", "DB_PASSWORD": "x", "EMAIL_HOST_PASSWORD": "y"}, Complete: true})
	if plan == nil || found != "" {
		t.Fatal(found)
	}
	var names []string
	for _, s := range plan.Manifests[0].Services {
		names = append(names, s.Name)
	}
	if !slices.Equal(names, []string{"broker", "db", "mail", "web", "worker"}) || plan.Groups[0].Name != "shop" {
		t.Errorf("%s: %v", plan.Groups[0].Name, names)
	}
	if s := service(t, plan, "web"); s.Count != 4 || s.Scale.Min != 2 || len(s.Hooks) != 1 || !slices.Equal(s.DependsOn, []string{"broker", "db", "mail"}) {
		t.Errorf("%+v", s)
	}
}
