package matrix

import (
	"context"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// What the API server's own plug-ins change in a container leaves it ours:
// ServiceAccount, LimitRanger and AlwaysPullImages.
func TestWhatTheAPIServersPlugInsChangeLeavesTheGrant(t *testing.T) {
	api := newAPI(t)
	needGranted(t)
	limits := &corev1.LimitRange{ObjectMeta: metav1.ObjectMeta{Namespace: granted, Name: "defaults"}, Spec: corev1.LimitRangeSpec{
		Limits: []corev1.LimitRangeItem{{
			Type:           corev1.LimitTypeContainer,
			Default:        corev1.ResourceList{"cpu": quantity("2"), "memory": quantity("2Gi"), "ephemeral-storage": quantity("1Gi")},
			DefaultRequest: corev1.ResourceList{"cpu": quantity("10m"), "memory": quantity("10Mi")},
		}},
	}}
	if err := api.Create(t.Context(), limits); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := api.Delete(context.Background(), limits); err != nil {
			t.Error(err)
		}
		eventually(t, "the LimitRange is gone", func() error {
			pod := wanting("unlimited")
			if err := api.Create(context.Background(), pod, client.DryRunAll); err != nil {
				return err
			}
			if len(pod.Spec.Containers[0].Resources.Limits) > 0 {
				return fmt.Errorf("it still gives limits")
			}
			return nil
		})
	})
	eventually(t, "a pod with all of it", func() error {
		ctx, said := listen(t.Context())
		p := wanting("limited")
		if err := api.Create(ctx, p, client.DryRunAll); err != nil {
			return err
		}
		c := sidecarOf(p)
		if c == nil || c.Resources.Limits.StorageEphemeral().IsZero() {
			return fmt.Errorf("the sidecar has no limit of the LimitRange yet: %+v", c)
		}
		if c.ImagePullPolicy != corev1.PullAlways || len(c.VolumeMounts) != 2 {
			t.Fatalf("AlwaysPullImages and ServiceAccount were not here: %+v", c)
		}
		if strings.Contains(said(), "reserved-names") || !hasGrantedCapability(p) {
			t.Errorf("it is no longer ours: warned of %q", said())
		}
		return nil
	})
}

// Replicas see a changed configuration at different times. What one rendered with
// the configuration before is ours; what one renders with a configuration that
// nobody here has read gets nothing.
func TestWhatAReplicaOfAnotherRevisionRenderedGetsNoMoreThanItIsKnownFor(t *testing.T) {
	api := newAPI(t)
	needGranted(t)
	startMutator(t, api)
	before, err := injectedPod(t.Context(), api, nil)
	if err != nil {
		t.Fatal(err)
	}
	newer := before.DeepCopy()
	sidecarOf(newer).Image = "debugsidecar/sidecar:0.3.0"
	if _, err := attacked(t.Context(), api, newer, true); !isOurs(err) {
		t.Errorf("what a replica with a newer configuration renders is admitted here: %v", err)
	}
	if err := env.installation.Upgrade(t.Context(), values+"images: {sidecar: \"debugsidecar/sidecar:0.2.0\"}\n"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := env.installation.Upgrade(context.Background(), values); err != nil {
			t.Error(err)
		}
	})
	eventually(t, "the configuration is read", func() error {
		now, err := injectedPod(t.Context(), api, nil)
		if err == nil && sidecarOf(now).Image != "debugsidecar/sidecar:0.2.0" {
			err = fmt.Errorf("the image is %s", sidecarOf(now).Image)
		}
		return err
	})
	if got, err := attacked(t.Context(), api, before, true); err != nil || !hasGrantedCapability(got) {
		t.Errorf("what the configuration before rendered is refused: %v", err)
	}
	if _, err := attacked(t.Context(), api, newer, true); !isOurs(err) {
		t.Errorf("what a replica with a newer configuration renders is admitted here: %v", err)
	}
}
