package kube

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"strings"
	"testing"

	"berth.dev/berth/manifest"
	manifesttypes "berth.dev/berth/manifest/types"
	"berth.dev/berth/provider/cluster/clustertest"
)

const canary = "canary-7f3a19c5-value"

// TestSecretsStandInSecretsOnly holds that a value of env is in the Secrets that hold it and in no other object, neither
// as it is nor encoded nor hashed without a key.
func TestSecretsStandInSecretsOnly(t *testing.T) {
	web := clustertest.Service("web", "hello:1")
	web.Env = []manifesttypes.EnvVar{{Name: "A", Value: canary, Secret: true}, {Name: "B", Value: canary}}
	for name, s := range map[string]settings{"gateway": testSettings(), "ingress": goldenCases()["ingress"].settings} {
		objects, err := render(clustertest.Workload(testLease, web), s, allStart)
		if err != nil {
			t.Fatal(err)
		}
		holders := 0
		for _, u := range objects {
			text, err := json.Marshal(u.Object)
			if err != nil {
				t.Fatal(err)
			}
			has := false
			for _, form := range []string{canary, base64.StdEncoding.EncodeToString([]byte(canary)), hex.EncodeToString([]byte(canary))} {
				has = has || bytes.Contains(text, []byte(form))
			}
			// The manifest's Secret holds it within the envelope.
			data, _ := u.Object["data"].(map[string]any)
			envelope, _ := data[keyEnvelope].(string)
			raw, err := base64.StdEncoding.DecodeString(envelope)
			if err != nil {
				t.Fatal(err)
			}
			has = has || bytes.Contains(raw, []byte(canary))
			if !has {
				continue
			}
			if holders++; u.GetKind() != kindSecret {
				t.Errorf("%s: %s %s holds a secret:\n%s", name, u.GetKind(), u.GetName(), text)
			}
			meta, err := json.Marshal(u.Object["metadata"])
			if err != nil {
				t.Fatal(err)
			}
			if bytes.Contains(meta, []byte(canary)) {
				t.Errorf("%s: the metadata of %s hold a secret: %s", name, u.GetName(), meta)
			}
		}
		if holders != 2 {
			t.Errorf("%s: %d objects hold the secret, want the manifest and the env", name, holders)
		}
	}
}

// TestMetadataConfirmNoGuess holds that everything outside of Secrets' data is another one under another salt wherever
// it depends on a value, so that no weak value can be found by trying.
func TestMetadataConfirmNoGuess(t *testing.T) {
	hashes := func(value string, salt byte) (out []string) {
		web := clustertest.Service("web", "hello:1")
		web.Env = []manifesttypes.EnvVar{{Name: "PIN", Value: value, Secret: true}}
		w := clustertest.Workload(testLease, web)
		w.Group.Salt = bytes.Repeat([]byte{salt}, manifest.SaltBytes)
		objects, err := render(w, testSettings(), allStart)
		if err != nil {
			t.Fatal(err)
		}
		for _, u := range objects {
			switch u.GetName() {
			case "web":
				if u.GetKind() == kindDeployment {
					spec, err := json.Marshal(u.Object["spec"])
					if err != nil {
						t.Fatal(err)
					}
					out = append(out, u.GetAnnotations()[annotationRendered], string(spec))
				}
			case manifestSecret:
				out = append(out, u.GetAnnotations()[annotationRendered])
			default:
				if strings.HasPrefix(u.GetName(), "env-") {
					out = append(out, u.GetName(), u.GetAnnotations()[annotationRendered])
				}
			}
		}
		return out
	}
	first, second, again := hashes("1234", 1), hashes("1234", 2), hashes("1234", 1)
	if len(first) != 5 {
		t.Fatalf("%d texts depend on the value, want 5: %q", len(first), first)
	}
	for i := range first {
		if first[i] == second[i] {
			t.Errorf("%q does not depend on the salt", first[i])
		}
		if first[i] != again[i] {
			t.Errorf("%q is %q the next time", first[i], again[i])
		}
	}
}
