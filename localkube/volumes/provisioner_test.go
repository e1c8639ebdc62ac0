package volumes

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
)

func claim(name, size, node string) *corev1.PersistentVolumeClaim {
	class := Class
	c := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "lease", UID: types.UID("u-" + name), Annotations: map[string]string{}}}
	if node != "" {
		c.Annotations[annotationSelectedNode] = node
	}
	c.Spec.StorageClassName, c.Spec.AccessModes = &class, []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}
	c.Spec.Resources.Requests = corev1.ResourceList{corev1.ResourceStorage: resource.MustParse(size)}
	return c
}

// TestProvisioner follows volumes from a claim to their end on a simulated API
// server, on which the test does what Kubernetes' own controllers do.
func TestProvisioner(t *testing.T) {
	client, dir := fake.NewClientset(), filepath.Join(t.TempDir(), "volumes")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- Run(ctx, Config{Client: client, Dir: dir, Node: "n", Capacity: 3 << 30, Log: slog.New(slog.DiscardHandler)})
	}()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	await := func(what string, ok func() bool) {
		t.Helper()
		for deadline := time.Now().Add(time.Minute); !ok(); {
			if time.Now().After(deadline) {
				t.Fatalf("waited in vain for %s", what)
			}
			<-time.After(5 * time.Millisecond)
		}
	}
	left := func(want int64) func() bool {
		return func() bool {
			c, err := client.StorageV1().CSIStorageCapacities(namespace).Get(ctx, "localkube-"+Class, metav1.GetOptions{})
			return err == nil && c.Capacity.Value() == want
		}
	}
	volume := func(name string) *corev1.PersistentVolume {
		v, err := client.CoreV1().PersistentVolumes().Get(ctx, "pvc-u-"+name, metav1.GetOptions{})
		if err != nil {
			return nil
		}
		return v
	}
	claims := client.CoreV1().PersistentVolumeClaims("lease")
	create := func(c *corev1.PersistentVolumeClaim) {
		t.Helper()
		if _, err := claims.Create(ctx, c, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	await("the whole capacity", left(3<<30))
	create(claim("waits", "1Gi", ""))
	create(claim("elsewhere", "1Gi", "another"))
	a := claim("a", "1Gi", "n")
	create(a)
	await("a volume", func() bool { return volume("a") != nil && left(2<<30)() })
	if volume("waits") != nil || volume("elsewhere") != nil {
		t.Error("a claim that no pod of this node uses got a volume")
	}
	if st, err := os.Stat(filepath.Join(dir, "pvc-u-a")); err != nil || st.Mode().Perm() != 0o755 {
		t.Errorf("its directory: %v, %v", st, err)
	}

	create(claim("large", "5Gi", "n"))
	create(claim("b", "1Gi", "n"))
	await("another volume", func() bool { return volume("b") != nil && left(1<<30)() })
	if volume("large") != nil {
		t.Error("a claim got more than there is")
	}

	a.Status.Phase, a.Status.Capacity = corev1.ClaimBound, a.Spec.Resources.Requests.DeepCopy()
	a.Spec.VolumeName = "pvc-u-a"
	a.Spec.Resources.Requests[corev1.ResourceStorage] = resource.MustParse("2Gi")
	if _, err := claims.Update(ctx, a, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	await("the volume to grow", func() bool {
		c, err := claims.Get(ctx, "a", metav1.GetOptions{})
		return err == nil && c.Status.Capacity.Storage().Value() == 2<<30 && volume("a").Spec.Capacity.Storage().Value() == 2<<30 && left(0)()
	})

	v := volume("a")
	v.Status.Phase = corev1.VolumeReleased
	if err := claims.Delete(ctx, "a", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := client.CoreV1().PersistentVolumes().UpdateStatus(ctx, v, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	await("the volume to go", func() bool { return volume("a") == nil && left(2<<30)() })
	if _, err := os.Stat(v.Spec.Local.Path); !os.IsNotExist(err) {
		t.Errorf("its directory is left: %v", err)
	}
}
