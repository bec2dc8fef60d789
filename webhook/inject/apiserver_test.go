package inject_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	controlplane "github.com/debugsidecar/debugsidecar/test/cluster"
	"github.com/debugsidecar/debugsidecar/webhook/inject"
)

// What a real API server gives back is what was injected: it has the QoS class
// of the pod without the sidecar, is not changed by a second call, and is
// recognised.
func TestRealAPIServerGivesBackWhatWasInjected(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a Kubernetes control plane; run without -short")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	control, err := controlplane.Start(ctx, controlplane.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := control.Stop(); err != nil {
			t.Error(err)
		}
	}()
	api, err := client.New(control.Config, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	w := worldOf(granted(), nil)
	media := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "media"}}
	if err := api.Create(ctx, media); err != nil {
		t.Fatal(err)
	}
	waitForServiceAccount(ctx, t, api)
	both := corev1.ResourceRequirements{Requests: list("cpu", "100m"), Limits: list("cpu", "1", "memory", "1Gi")}
	pods := map[string]*corev1.Pod{
		"best-effort":  app("video-probe"),
		"burstable":    app("video-probe", withResources(both), withParams("resources: {limits: {cpu: 250m, memory: 100M}}")),
		"guaranteed":   app("full", withResources(guaranteed())),
		"debug":        app("debug"),
		"job":          app("video-probe", func(p *corev1.Pod) { p.Spec.RestartPolicy = corev1.RestartPolicyNever }),
		"pod-level":    app("video-probe", func(p *corev1.Pod) { r := guaranteed(); p.Spec.Resources = &r }),
		"half-level":   app("video-probe", withResources(both), func(p *corev1.Pod) { p.Spec.Resources = &corev1.ResourceRequirements{Limits: list("memory", "4Gi")} }),
		"parameters":   app("full", withParams(`{source: "rtsp://a/$(HOME)", rtpPorts: [1, 2], sourceSecretRef: {name: a, key: b}}`)),
		"taken-port":   app("full", func(p *corev1.Pod) { p.Spec.Containers[0].Ports = []corev1.ContainerPort{{ContainerPort: 9400}} }),
		"own-volumes":  app("full", func(p *corev1.Pod) { p.Spec.Volumes = []corev1.Volume{{Name: "data"}} }),
		"host-network": app("full", func(p *corev1.Pod) { p.Spec.HostNetwork = true }),
	}
	for name, pod := range pods {
		for _, native := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s native %t", name, native), func(t *testing.T) {
				w := w
				w.cluster.NativeSidecars = native
				plain := pod.DeepCopy()
				plain.Name = fmt.Sprintf("%s-%t-plain", name, native)
				injected, _ := w.inject(t, pod)
				injected.Name = fmt.Sprintf("%s-%t", name, native)
				for _, p := range []*corev1.Pod{plain, injected} {
					if err := api.Create(ctx, p); err != nil {
						t.Fatal(err)
					}
				}
				checkOurs(t, w.decide(t, encode(t, plain)), injected)
				if was, is := plain.Status.QOSClass, injected.Status.QOSClass; was != is || was != qos(pod) {
					t.Errorf("the API server says %s without the sidecar and %s with it; want %s", was, is, qos(pod))
				}
				back := encode(t, injected)
				checkUnchanged(t, w, back)
				for name, id := range inject.Identify(w.facts(t, back)) {
					if !id.Ours {
						t.Errorf("%s is not recognised: %s", name, id.Why)
					}
				}
			})
		}
	}
}

// waitForServiceAccount waits until pods can be created.
func waitForServiceAccount(ctx context.Context, t *testing.T, api client.Client) {
	t.Helper()
	for {
		err := api.Get(ctx, client.ObjectKey{Namespace: "media", Name: "default"}, &corev1.ServiceAccount{})
		if err == nil {
			return
		}
		if !apierrors.IsNotFound(err) && !strings.Contains(err.Error(), "connection refused") {
			t.Fatal(err)
		}
		select {
		case <-ctx.Done():
			t.Fatal(ctx.Err())
		case <-time.After(50 * time.Millisecond):
		}
	}
}
