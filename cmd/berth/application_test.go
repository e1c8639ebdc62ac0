package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"berth.dev/berth/sdl/app"
)

const shopManifest = `{
  "name": "shop",
  "env": {"TOKEN": {"description": "of the API"}, "KEY": {"generator": "secret"}, "MODE": "prod"},
  "formation": {"web": {"quantity": 3, "max_parallel": 2}, "worker": {"quantity": 2, "autoscaling": {"max_quantity": 10,
    "cooldown_period_seconds": 120, "triggers": [{"type": "cpu", "metadata": {"value": "70"}}]}}},
  "healthchecks": {"web": [{"type": "startup", "path": "/health/ready", "attempts": 3}]},
  "cron": [{"command": "echo 'hello'", "schedule": "0 1 * * *"}],
  "scripts": {"dokku": {"postdeploy": "notify"}}
}`

// inShop makes a directory with an application the working one.
func inShop(t *testing.T) {
	t.Helper()
	t.Chdir(t.TempDir())
	for name, text := range map[string]string{"app.json": shopManifest, "Procfile": "web: ./serve\nworker: ./work\n"} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// TestPlanOfAnApplication holds what people see of a manifest without an argument: both costs of what scales, what is
// open, and no secrets.
func TestPlanOfAnApplication(t *testing.T) {
	inShop(t)
	out, stderr, code := runDocuments(t, "", "plan", "--image", "a/b:1", "--max-price", "worker=10ubrt", "--env", "TOKEN=hunter2")
	for _, want := range []string{
		"worker has 2 running / 10 reserved by the use of its cpu: reserved at most 43.2 BRT per month; with reserve min at most 8.64 BRT",
		"KEY ‹generated›", "TOKEN ‹given›", "and what has no price yet", "runs at 0 1 * * * (UTC)",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("the plan lacks %q:\n%s", want, out)
		}
	}
	if code != 0 || strings.Contains(out+stderr, "hunter") {
		t.Errorf("exit %d: %s", code, stderr)
	}
	if _, stderr, code := runDocuments(t, "", "plan", "--size", "wbe=1cpu,1Gi"); code != exitUsage || !strings.Contains(stderr, "did you mean: web") {
		t.Errorf("a size of nobody: exit %d, %s", code, stderr)
	}
	for _, flag := range []string{"--format=toml", "--image=Bad Image", "--port=0", "--max-price=x", "--auto-max=0", "--attr=x", "--reserve=all", "--size=1,2,3,4", "--predeploy=no", "--env=1=2"} {
		if _, stderr, code := runDocuments(t, "", "plan", flag); code == 0 || stderr == "" {
			t.Errorf("%s is taken", flag)
		}
	}
}

// TestRender holds the objects that a provider would apply for an application, and that no secret is in them.
func TestRender(t *testing.T) {
	inShop(t)
	out, stderr, code := runDocuments(t, "", "render", "-o", "json", "--image", "a/b:1", "--env", "TOKEN=hunter2")
	var objects []map[string]any
	if err := json.Unmarshal([]byte(out), &objects); code != 0 || err != nil || strings.Contains(out, "hunter") {
		t.Fatalf("exit %d, %v: %s", code, err, stderr)
	}
	at := func(kind, name string, path ...string) any {
		for _, o := range objects {
			meta, _ := o["metadata"].(map[string]any)
			if o["kind"] != kind || meta["name"] != name {
				continue
			}
			var v any = o
			for _, p := range path {
				m, _ := v.(map[string]any)
				v = m[p]
			}
			return v
		}
		t.Errorf("there is no %s %s", kind, name)
		return nil
	}
	same := func(got any, want string) {
		t.Helper()
		if data, err := json.Marshal(got); err != nil || string(data) != want {
			t.Errorf("got %s, want %s", data, want)
		}
	}
	same(at("Deployment", "web", "spec", "replicas"), "3")
	same(at("Deployment", "web", "spec", "strategy", "rollingUpdate"), `{"maxSurge":2,"maxUnavailable":0}`)
	same(at("Deployment", "worker", "spec", "replicas"), "null")
	same(at("HorizontalPodAutoscaler", "worker", "spec", "minReplicas"), "2")
	same(at("HorizontalPodAutoscaler", "worker", "spec", "maxReplicas"), "10")
	same(at("HorizontalPodAutoscaler", "worker", "spec", "behavior"), `{"scaleDown":{"stabilizationWindowSeconds":120}}`)
	containers, _ := at("Deployment", "web", "spec", "template", "spec", "containers").([]any)
	web, _ := containers[0].(map[string]any)
	same(web["startupProbe"], `{"failureThreshold":3,"httpGet":{"path":"/health/ready","port":5000,"scheme":"HTTP"},"periodSeconds":5,"successThreshold":1,"timeoutSeconds":5}`)
	same([]any{web["readinessProbe"], web["livenessProbe"]}, "[null,null]")
	task := app.TaskName("cron", "echo 'hello'", "0 1 * * *")
	same(at("CronJob", task, "spec", "schedule"), `"0 1 * * *"`)
	same(at("CronJob", task, "spec", "timeZone"), `"Etc/UTC"`)
	same(at("CronJob", task, "spec", "concurrencyPolicy"), `"Allow"`)
	same(at("CronJob", task, "spec", "suspend"), "false")
	same(at("CronJob", task, "spec", "startingDeadlineSeconds"), "60")
	same(at("CronJob", task, "spec", "jobTemplate", "spec", "backoffLimit"), "0")
	same(at("CronJob", task, "spec", "jobTemplate", "spec", "activeDeadlineSeconds"), "86400")
	same(at("CronJob", task, "spec", "jobTemplate", "spec", "template", "spec", "restartPolicy"), `"Never"`)
	if out, stderr, code := runDocuments(t, "", "render", hello); code != exitUsage && code != 0 || code == 0 && !strings.HasPrefix(out, "---\n") {
		t.Errorf("render of SDL: exit %d, %s", code, stderr)
	}
}

// TestInit holds that the file that init writes can be read, changes nothing, and is never written over another.
func TestInit(t *testing.T) {
	inShop(t)
	before, _, _ := runDocuments(t, "", "plan", "-o", "json")
	if out, stderr, code := runDocuments(t, "", "init"); code != 0 || strings.TrimSpace(out) != filepath.Join(".", app.OverlayFile) {
		t.Fatalf("exit %d: %s%s", code, out, stderr)
	}
	if after, stderr, code := runDocuments(t, "", "plan", "-o", "json"); code != 0 || after != before {
		t.Errorf("exit %d, the plan has changed: %s", code, stderr)
	}
	data, err := os.ReadFile(app.OverlayFile)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"#image:", "#  web: {cpu: 0.5, memory: 512Mi, storage: 1Gi}", "#  TOKEN: {fromFile: .env.production} # missing: of the API", "#scale:"} {
		if !strings.Contains(string(data), want) {
			t.Errorf("it lacks %q:\n%s", want, data)
		}
	}
	uncommented := strings.ReplaceAll(string(data), "\n#", "\n")
	var keep []string
	for _, line := range strings.Split(uncommented, "\n") {
		if !strings.HasPrefix(line, " ") || strings.HasPrefix(line, "  ") {
			keep = append(keep, line)
		}
	}
	if err := os.WriteFile(app.OverlayFile, []byte(strings.Join(keep, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(".env.production", []byte("TOKEN=a\nKEY=b\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, stderr, code := runDocuments(t, "", "plan"); code != 0 {
		t.Errorf("uncommented it is refused: %s\n%s", stderr, strings.Join(keep, "\n"))
	}
	if _, stderr, code := runDocuments(t, "", "init"); code != exitUsage || !strings.Contains(stderr, "exists") {
		t.Errorf("init over a file: exit %d, %s", code, stderr)
	}
}
