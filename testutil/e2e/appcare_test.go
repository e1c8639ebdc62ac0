//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"

	"berth.dev/berth/tenant"
)

const careManifest = `{
  "name": "care",
  "formation": {"web": {"healthcheck": "/healthz"}, "worker": {"healthcheck": "/tmp/healthz"}},
  "addons": [{"plan": "redis", "as": "cache"}, {"plan": "redis", "as": "broker"}]
}`

// TestTheHealthOfAnApplication: a worker is well while its file is there, and is not started again while it is not; two
// addons of one plan are two servers; mail has a server without being asked for; and a web process that answers another
// status than 200 is no deployment.
func TestTheHealthOfAnApplication(t *testing.T) {
	t.Parallel()
	pushImages(t, "berth.local/app:1", "valkey/valkey:7.2", "axllent/mailpit:v1.27")
	const procfile = "web: probe app\nworker: probe app\n"
	dir := written(t, map[string]string{"akinon.json": careManifest, "Procfile": procfile})
	file := filepath.Join(dir, "akinon.json")
	refused(t, 2, "the role cache is taken by plan redis already", "plan", "--image", "berth.local/app:1",
		filepath.Join(written(t, map[string]string{"akinon.json": strings.ReplaceAll(careManifest, "broker", "cache"), "Procfile": procfile}), "akinon.json"))
	flags := append([]string{"--image", "berth.local/app:1", "--size", "cache=50m,64Mi,64Mi", "--size", "broker=50m,64Mi,64Mi", "--size", "mail=50m,64Mi,64Mi"}, small...)

	// The deployment waits for the worker's file, which is not there yet.
	result := make(chan error, 1)
	var d deployed
	go func() {
		result <- tryBerth(t.Context(), &d, append([]string{"deploy", "--yes", "--ready-wait", "100s", file}, flags...)...)
	}()
	dseq := dseqOf(t, file)
	closeAfter(t, dseq)
	var worker corev1.Pod
	eventually(t, "the worker without its file to run for longer than checks take", func(ctx context.Context) error {
		pods := podsOf(ctx, t, status(t, dseq), "worker")
		if len(pods) != 1 || len(pods[0].Status.ContainerStatuses) != 1 || pods[0].Status.ContainerStatuses[0].State.Running == nil {
			return fmt.Errorf("%d pods of the worker, or it does not run", len(pods))
		}
		worker = pods[0]
		if ready(worker) {
			t.Fatal("the worker is ready without its file")
		}
		if since := time.Since(worker.Status.ContainerStatuses[0].State.Running.StartedAt.Time); since < 7*time.Second {
			return fmt.Errorf("it has run for %s", since)
		}
		return nil
	})
	touched := time.Now()
	if _, err := inside(t.Context(), dseq, "worker", "touch /tmp/healthz"); err != nil {
		t.Fatal(err)
	}
	becomes(t, worker, true, touched.Add(15*time.Second))
	if err := <-result; err != nil || d.Dseq != dseq || len(d.URLs) != 1 {
		t.Fatalf("deployment %d: %v, %+v", dseq, err, d)
	}
	removed := time.Now()
	if _, err := inside(t.Context(), dseq, "worker", "rm /tmp/healthz"); err != nil {
		t.Fatal(err)
	}
	t.Run("addons", func(t *testing.T) { twoServersAndMail(t, d) })
	becomes(t, worker, false, removed.Add(20*time.Second))
	if status(t, dseq).Ready {
		t.Error("the deployment is ready without the worker's file")
	}
	t.Run("the wanted status", func(t *testing.T) { wantsTheStatus(t, d, dir, file, flags) })
}

// dseqOf is the deployment of a document that is being deployed, once it has a lease.
func dseqOf(t *testing.T, document string) (dseq uint64) {
	t.Helper()
	eventually(t, "the deployment's lease", func(ctx context.Context) error {
		var list []struct {
			Dseq     uint64 `json:"dseq"`
			Leases   int    `json:"leases"`
			Document string `json:"document"`
		}
		if err := tryBerth(ctx, &list, "list"); err != nil {
			return err
		}
		for _, d := range list {
			if d.Document == document && d.Leases > 0 {
				dseq = d.Dseq
				return nil
			}
		}
		return fmt.Errorf("%s is not among %+v", document, list)
	})
	return dseq
}

func ready(p corev1.Pod) bool {
	return slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool { return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue })
}

// becomes waits until a pod is ready, or is not, which it has to be by a time, without having been started again.
func becomes(t *testing.T, p corev1.Pod, want bool, by time.Time) {
	t.Helper()
	eventually(t, fmt.Sprintf("%s to become ready=%v", p.Name, want), func(ctx context.Context) error {
		now, err := cluster(t).CoreV1().Pods(p.Namespace).Get(ctx, p.Name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		if n := now.Status.ContainerStatuses[0].RestartCount; n != 0 {
			t.Fatalf("%s was started again %d times", p.Name, n)
		}
		if ready(*now) != want {
			return errors.New("not yet")
		}
		for _, c := range now.Status.Conditions {
			if c.Type == corev1.PodReady && c.LastTransitionTime.After(by) {
				t.Errorf("%s became ready=%v at %s, want it by %s", p.Name, want, c.LastTransitionTime, by)
			}
		}
		return nil
	})
}

// twoServersAndMail: the application finds two servers with a store of their own each, and a server for mail, of which
// the tenant reads what was sent.
func twoServersAndMail(t *testing.T, d deployed) {
	for command, want := range map[string]string{
		"echo $CACHE_HOST $CACHE_PORT $CACHE_DATABASE_INDEX $BROKER_HOST $BROKER_PORT $BROKER_DATABASE_INDEX":  "cache 6379 0 broker 6379 0",
		"redis-cli -h $CACHE_HOST set k v; redis-cli -h $CACHE_HOST get k; redis-cli -h $BROKER_HOST exists k": "OK\nv\n0",
		"echo $EMAIL_HOST $EMAIL_PORT $EMAIL_HOST_USER ${#EMAIL_HOST_PASSWORD} $EMAIL_USE_TLS":                 "mail 1025 app 32 false",
		"probe mail greetings && EMAIL_HOST_PASSWORD=wrong probe mail other 2>&1 || echo refused":              "probe mail: 535 \"user or password is wrong\"\nrefused",
	} {
		if out, err := inside(t.Context(), d.Dseq, "web", command); err != nil || out != want {
			t.Errorf("%s: %q, %v, want %q", command, out, err, want)
		}
	}
	out, err := program(t.Context(), "berth", "mail", "--home", marketplace.TenantHome, strconv.FormatUint(d.Dseq, 10))
	var caught struct {
		Total    int `json:"total"`
		Messages []struct{ Subject string }
	}
	if err == nil {
		err = json.Unmarshal(out, &caught)
	}
	if err != nil || caught.Total != 1 || caught.Messages[0].Subject != "greetings" {
		t.Errorf("berth mail: %v, %s", err, out)
	}
}

// wantsTheStatus: a web process whose check is answered by 302 passes Kubernetes' probes, and yet is no deployment.
func wantsTheStatus(t *testing.T, d deployed, dir, file string, flags []string) {
	answers := func(status string) {
		t.Helper()
		text := "web: i=1; while [ $i -le 60 ]; do echo line $i.; i=$((i+1)); done; echo " + status + " >/tmp/health; exec probe app\n" +
			"worker: touch /tmp/healthz && exec probe app\n"
		if err := os.WriteFile(filepath.Join(dir, "Procfile"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	answers("302")
	args := append([]string{"deploy", "--yes", "--home", marketplace.TenantHome, "--ready-wait", "20s", file}, flags...)
	_, err := program(t.Context(), "berth", args...)
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 6 {
		t.Fatalf("a deployment that answers 302: %v, want exit code 6", err)
	}
	for _, want := range []string{"not healthy (302, want 200)", "Last log lines of web", "line 60.", "line 11."} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the failure lacks %q:\n%v", want, err)
		}
	}
	if strings.Contains(err.Error(), "line 10.") {
		t.Error("the failure has more than 50 log lines")
	}
	out, err := program(t.Context(), "berth", "status", "--home", marketplace.TenantHome, strconv.FormatUint(d.Dseq, 10))
	if err != nil || !strings.Contains(string(out), "not healthy (302, want 200)") {
		t.Errorf("status: %v\n%s", err, out)
	}
	answers("200")
	berth(t, nil, append([]string{"deploy", "--yes", "--ready-wait", "90s", file}, flags...)...)
}

// TestTheExampleOfAppJSON deploys the example as it stands, without a flag: its sites answer, its task does what it says,
// and one that is under maintenance does not run.
func TestTheExampleOfAppJSON(t *testing.T) {
	t.Parallel()
	pushImages(t, "berth.local/app:1")
	d := deploy(t, filepath.Join(copied(t, filepath.Join("..", "..", "examples", "app-json")), "app.json"))
	if len(d.URLs) != 1 {
		t.Fatalf("URLs %v", d.URLs)
	}
	if err := want(t.Context(), d.URLs[0], "hello"); err != nil {
		t.Error(err)
	}
	hooks(t, d.Dseq, "release succeeded", "postdeploy succeeded", "dokku-postdeploy succeeded")
	s := status(t, d.Dseq)
	web := podsOf(t.Context(), t, s, "web")
	if len(web) != 2 || len(podsOf(t.Context(), t, s, "worker")) != 1 {
		t.Fatalf("%d instances of web, want 2, and one of the worker", len(web))
	}
	eventually(t, "the worker from web", func(ctx context.Context) error {
		out, err := inside(ctx, d.Dseq, "web", "wget -q -O - http://worker:5000/")
		if err == nil && out != "working" {
			err = fmt.Errorf("%q", out)
		}
		return err
	})
	// The tasks are there, one of them asleep. A run of the other is what its time would start.
	jobs := cluster(t).BatchV1()
	list, err := jobs.CronJobs(web[0].Namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil || len(list.Items) != 2 {
		t.Fatalf("%d tasks, %v; want 2", len(list.Items), err)
	}
	for _, c := range list.Items {
		if *c.Spec.Suspend {
			continue
		}
		template := c.Spec.JobTemplate
		run := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Name: "by-hand", Labels: template.Labels, Annotations: template.Annotations}, Spec: template.Spec}
		if _, err := jobs.Jobs(c.Namespace).Create(t.Context(), run, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		eventually(t, "a run of the task", func(ctx context.Context) error {
			j, err := jobs.Jobs(c.Namespace).Get(ctx, run.Name, metav1.GetOptions{})
			if err == nil && j.Status.Succeeded == 0 {
				err = fmt.Errorf("it is %+v", j.Status)
			}
			return err
		})
	}
}

func tenantAddress(t *testing.T) string {
	t.Helper()
	var keys []struct {
		Address string `json:"address"`
	}
	berth(t, &keys, "keys", "list")
	if len(keys) == 0 {
		t.Fatal("the tenant has no key")
	}
	return keys[0].Address
}

// sequence is how many transactions the tenant's account has sent.
func sequence(t *testing.T) uint64 {
	t.Helper()
	res, err := authtypes.NewQueryClient(chain(t).Conn()).AccountInfo(t.Context(), &authtypes.QueryAccountInfoRequest{Address: tenantAddress(t)})
	if err != nil {
		t.Fatal(err)
	}
	return res.Info.Sequence
}

// releasedFirst checks that the release of an update had ended before the first instance of the new version was made.
func releasedFirst(t *testing.T, s tenant.Status, old []corev1.Pod) {
	t.Helper()
	var now []corev1.Pod
	for _, p := range podsOf(t.Context(), t, s, "web") {
		if !slices.ContainsFunc(old, func(q corev1.Pod) bool { return q.UID == p.UID }) {
			now = append(now, p)
		}
	}
	if len(now) == 0 {
		t.Fatal("there is no new instance of web")
	}
	list, err := cluster(t).BatchV1().Jobs(now[0].Namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var done *metav1.Time // there is no other hook
	for _, j := range list.Items {
		if j.Status.Succeeded > 0 && (done == nil || done.Before(j.Status.CompletionTime)) {
			done = j.Status.CompletionTime
		}
	}
	if done == nil {
		t.Fatalf("no release among %d jobs", len(list.Items))
	}
	for _, p := range now {
		if p.CreationTimestamp.Before(done) {
			t.Errorf("%s was made at %s, before the release had ended at %s", p.Name, p.CreationTimestamp, done)
		}
	}
}

// nowhere checks that a secret is in no log of the devnet's programs, and in no transaction of the tenant.
func nowhere(t *testing.T, secret string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(marketplace.State, "logs", "*.log"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%d logs, %v", len(files), err)
	}
	for _, file := range files {
		if data, err := os.ReadFile(file); err != nil || strings.Contains(string(data), secret) {
			t.Errorf("%s holds a secret, or %v", filepath.Base(file), err)
		}
	}
	const perPage = 100
	for page, all := 1, perPage; (page-1)*perPage < all; page++ {
		res, err := chain(t).RPC().TxSearch(t.Context(), fmt.Sprintf("message.sender='%s'", tenantAddress(t)), false, new(page), new(perPage), "asc")
		if err != nil || res.TotalCount == 0 {
			t.Fatalf("the tenant's transactions: %v", err)
		}
		all = res.TotalCount
		for _, tx := range res.Txs {
			if strings.Contains(string(tx.Tx), secret) {
				t.Errorf("transaction %s holds a secret", tx.Hash)
			}
		}
	}
}
