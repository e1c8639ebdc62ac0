package kube

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"

	markettypes "berth.dev/berth/x/market/types"
)

// The labels and annotations of what the driver makes.
const (
	labelManagedBy = "app.kubernetes.io/managed-by"
	labelProvider  = "berth.dev/provider"
	labelLease     = "berth.dev/lease"
	labelOwner     = "berth.dev/owner"
	labelDseq      = "berth.dev/dseq"
	labelGseq      = "berth.dev/gseq"
	labelOseq      = "berth.dev/oseq"
	labelService   = "berth.dev/service"
	labelRevision  = "berth.dev/revision"
	labelRole      = "berth.dev/role"
	// labelForwards stands on the namespace of a lease that has ports of the provider.
	labelForwards = "berth.dev/forwards"
	forwardsYes   = "true"

	annotationLease    = "berth.dev/lease-id"
	annotationRendered = "berth.dev/rendered"
	// annotationSuspended stands on the Secret that holds the manifest.
	annotationSuspended = "berth.dev/suspended"

	// manager is the field manager of every apply and the value of labelManagedBy.
	manager = "berth-provider"

	// roleManifest, roleEnv and rolePull tell the kinds of Secrets apart, rolePorts and roleAddress the Services.
	roleManifest = "manifest"
	roleEnv      = "env"
	rolePull     = "pull"
	rolePorts    = "ports"
	roleAddress  = "address"

	manifestSecret = "manifest"
)

// namespaceOf is the namespace of a lease. It is a hash, because an owner's address does not fit into a name, and so
// that no part of it is chosen by a tenant.
func namespaceOf(id markettypes.LeaseID) string {
	return "lease-" + digest([]byte(id.String()), 16)
}

// digest is the hexadecimal form of the first n bytes of a hash.
func digest(data []byte, n int) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:n])
}

// keyedDigest is the hexadecimal form of the first n bytes of a hash that only those can compute who have the key.
func keyedDigest(key, data []byte, n int) string {
	h := hmac.New(sha256.New, key)
	h.Write(data)
	return hex.EncodeToString(h.Sum(nil)[:n])
}

// labelValue is s if it can stand in a label, else a hash of it.
func labelValue(s string) string {
	if s != "" && len(validation.IsValidLabelValue(s)) == 0 {
		return s
	}
	return "h" + digest([]byte(s), 16)
}

// objectName joins parts to a name of at most 63 characters. Tenants choose the names of services: callers put parts
// into an order in which no two services can give the same name.
func objectName(parts ...string) string { return shorten(strings.Join(parts, "-")) }

// shorten replaces what does not fit into a name by a hash of it all.
func shorten(name string) string {
	if len(name) <= validation.DNS1123LabelMaxLength {
		return name
	}
	return strings.TrimRight(name[:validation.DNS1123LabelMaxLength-9], "-.") + "-" + digest([]byte(name), 4)
}

// leaseLabels stand on every object of a lease.
func leaseLabels(id markettypes.LeaseID) map[string]string {
	return map[string]string{
		labelManagedBy: manager,
		labelProvider:  labelValue(id.Provider),
		labelLease:     namespaceOf(id),
		labelOwner:     labelValue(id.Owner),
		labelDseq:      strconv.FormatUint(id.Dseq, 10),
		labelGseq:      strconv.FormatUint(uint64(id.Gseq), 10),
		labelOseq:      strconv.FormatUint(uint64(id.Oseq), 10),
	}
}

// with returns a copy of labels with pairs of keys and values added.
func with(labels map[string]string, pairs ...string) map[string]string {
	out := make(map[string]string, len(labels)+len(pairs)/2)
	for k, v := range labels {
		out[k] = v
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		out[pairs[i]] = pairs[i+1]
	}
	return out
}

// leaseOf reads the lease id from the annotation of a namespace or Secret, and checks it against the namespace's name.
func leaseOf(annotations map[string]string, namespace string) (markettypes.LeaseID, error) {
	id, err := markettypes.ParseBidID(annotations[annotationLease])
	if err != nil {
		return id, fmt.Errorf("namespace %s: %w", namespace, err)
	}
	if want := namespaceOf(id); want != namespace {
		return id, fmt.Errorf("namespace %s: holds the id of lease %s, which belongs into %s", namespace, id, want)
	}
	return id, nil
}
