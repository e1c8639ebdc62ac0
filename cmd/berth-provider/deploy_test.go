package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
	"sigs.k8s.io/yaml"

	"berth.dev/berth/provider/cluster/kube"
	"berth.dev/berth/provider/daemon"
	"berth.dev/berth/provider/terms"
)

var deployDir = filepath.Join("..", "..", "deploy", "kubernetes")

func readManifest[T any](t *testing.T, name string) (out T) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(deployDir, name))
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.UnmarshalStrict(data, &out); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return out
}

// TestKustomizeBase holds that the base lists each of its files, and that every object but those of the whole cluster
// stands in the one namespace.
func TestKustomizeBase(t *testing.T) {
	k := readManifest[struct {
		APIVersion string   `json:"apiVersion"`
		Kind       string   `json:"kind"`
		Resources  []string `json:"resources"`
	}](t, "kustomization.yaml")
	files, err := filepath.Glob(filepath.Join(deployDir, "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		name := filepath.Base(f)
		if name == "kustomization.yaml" {
			continue
		}
		if !slices.Contains(k.Resources, name) {
			t.Errorf("%s is not listed", name)
		}
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		var o struct {
			Kind     string `json:"kind"`
			Metadata struct {
				Name      string            `json:"name"`
				Namespace string            `json:"namespace"`
				Labels    map[string]string `json:"labels"`
			} `json:"metadata"`
		}
		if err := yaml.Unmarshal(data, &o); err != nil {
			t.Fatal(err)
		}
		whole := slices.Contains([]string{"Namespace", "ClusterRole", "ClusterRoleBinding"}, o.Kind)
		if o.Metadata.Name != "berth-provider" || (o.Metadata.Namespace == "berth-provider") == whole || o.Metadata.Labels["app.kubernetes.io/name"] != "berth-provider" {
			t.Errorf("%s: %+v", name, o)
		}
	}
	if len(k.Resources) != len(files)-1 {
		t.Errorf("the base lists %v, and there are %v", k.Resources, files)
	}
}

// TestDeploymentIsConfined holds that the provider's own pod passes the strictest level, and what one provider needs: one
// at a time, of an account with the driver's role and nothing else.
func TestDeploymentIsConfined(t *testing.T) {
	d := readManifest[appsv1.Deployment](t, "deployment.yaml")
	e, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range e.EvaluatePod(api.LevelVersion{Level: api.LevelRestricted, Version: api.LatestVersion()}, &d.Spec.Template.ObjectMeta, &d.Spec.Template.Spec) {
		if !r.Allowed {
			t.Errorf("%s: %s", r.ForbiddenReason, r.ForbiddenDetail)
		}
	}
	if *d.Spec.Replicas != 1 || d.Spec.Strategy.Type != appsv1.RecreateDeploymentStrategyType {
		t.Errorf("%d replicas by %s: two providers would sign with one key", *d.Spec.Replicas, d.Spec.Strategy.Type)
	}
	for _, c := range slices.Concat(d.Spec.Template.Spec.InitContainers, d.Spec.Template.Spec.Containers) {
		if !*c.SecurityContext.ReadOnlyRootFilesystem || c.Resources.Limits.Memory().IsZero() {
			t.Errorf("container %s", c.Name)
		}
	}
	b := readManifest[rbacv1.ClusterRoleBinding](t, "clusterrolebinding.yaml")
	account := readManifest[corev1.ServiceAccount](t, "serviceaccount.yaml")
	if b.RoleRef.Name != kube.RoleName || len(b.Subjects) != 1 || b.Subjects[0].Name != account.Name || b.Subjects[0].Namespace != account.Namespace ||
		d.Spec.Template.Spec.ServiceAccountName != account.Name {
		t.Errorf("binding %+v", b)
	}
}

// TestConfigMapIsValid holds that the files of the ConfigMap are understood as they stand.
func TestConfigMapIsValid(t *testing.T) {
	c := readManifest[corev1.ConfigMap](t, "configmap.yaml")
	cfg, err := daemon.ParseConfig([]byte(c.Data["provider.yaml"]))
	if err != nil || cfg.Cluster.Kubeconfig != "" {
		t.Errorf("provider.yaml: %v, %+v", err, cfg.Cluster)
	}
	if _, diags := terms.Parse("pricing.yaml", []byte(c.Data[cfg.Pricing.File])); len(diags) > 0 {
		t.Errorf("pricing.yaml: %v", diags)
	}
	if s := readManifest[corev1.Secret](t, "secret.yaml"); len(s.Data)+len(s.StringData) > 0 {
		t.Error("the base holds a key that everybody knows")
	}
	role, err := os.ReadFile(filepath.Join(deployDir, "clusterrole.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if r := run(t, "", "role"); !bytes.HasSuffix(role, []byte(r.out)) || strings.TrimSpace(r.out) == "" {
		t.Error("`berth-provider role` prints another role than the base has")
	}
}
