package status

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

func namespace(t *testing.T, name string, labels map[string]string) {
	t.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}}
	if _, err := env.client.CoreV1().Namespaces().Create(t.Context(), ns, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = env.client.CoreV1().Namespaces().Delete(context.Background(), name, metav1.DeleteOptions{})
	})
	eventually(t, "the default service account", func() error {
		_, err := env.client.CoreV1().ServiceAccounts(name).Get(t.Context(), "default", metav1.GetOptions{})
		return err
	})
}

func create(t *testing.T, ns, name, profile string) *corev1.Pod {
	t.Helper()
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "registry.example/app:1"}}},
	}
	if profile != "" {
		pod.Labels = map[string]string{"debugsidecar.io/inject": profile}
	}
	out, err := env.client.CoreV1().Pods(ns).Create(t.Context(), pod, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

type item struct {
	Pod, State, Health, HealthReason, Revision, CurrentRevision string
	Missed                                                      *struct{ Reason, Detail string }
}

// status returns what -o json says of each pod in a namespace.
func status(t *testing.T, ns string) map[string]item {
	t.Helper()
	code, out, errs := plugin(t, "status", "-n", ns, "-o", "json")
	var list struct {
		Items    []item
		NotKnown []string
	}
	if err := json.Unmarshal([]byte(out), &list); err != nil || code != 0 || len(list.NotKnown) > 0 {
		t.Fatalf("status %d, %v, %v\n%s%s", code, err, list.NotKnown, out, errs)
	}
	byName := map[string]item{}
	for _, i := range list.Items {
		byName[i.Pod] = i
	}
	return byName
}

// stopAll stops all replicas by SIGTERM: the leader gives its lease back.
func stopAll(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for _, r := range env.installation.Running() {
		if err := r.Stop(ctx); err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(300 * time.Millisecond) // the balancer asks for readiness
}

func startTwo(t *testing.T) {
	t.Helper()
	for len(env.installation.Running()) < 2 {
		if _, err := env.installation.StartReplica(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestEachPodThatWentWithoutIsListedWithItsReasonAndCounted(t *testing.T) {
	const ns = "missed"
	namespace(t, ns, nil)
	create(t, ns, "injected", "video-probe")
	create(t, ns, "typo", "vido")
	create(t, ns, "plain", "")
	create(t, ns, "later", "")
	stopAll(t)
	create(t, ns, "while-down", "video-probe")
	startTwo(t)
	time.Sleep(1100 * time.Millisecond) // managed fields have whole seconds
	patch := []byte(`{"metadata":{"labels":{"debugsidecar.io/inject":"debug"}}}`)
	if _, err := env.client.CoreV1().Pods(ns).Patch(t.Context(), "later", types.MergePatchType, patch, metav1.PatchOptions{FieldManager: "kubectl-label"}); err != nil {
		t.Fatal(err)
	}
	got := status(t, ns)
	for pod, reason := range map[string]string{"typo": "profile-unknown", "later": "label-later", "while-down": "not-reached"} {
		if i := got[pod]; i.State != "missed" || i.Missed == nil || i.Missed.Reason != reason || i.Missed.Detail == "" {
			t.Errorf("%s: %+v %+v", pod, i, i.Missed)
		}
	}
	if i := got["injected"]; i.State != "current" || i.Revision == "" || i.Health != "unknown" {
		t.Errorf("injected: %+v", i)
	}
	if _, listed := got["plain"]; listed || len(got) != 4 {
		t.Errorf("listed: %v", got)
	}
	eventually(t, "the leader's count", func() error {
		for _, reason := range []string{"profile-unknown", "label-later", "not-reached"} {
			sum := 0.0
			for _, r := range env.installation.Running() {
				v, err := r.Metric(`debugsidecar_webhook_pods_missed{reason="` + reason + `"}`)
				if err != nil {
					return err
				}
				sum += v
			}
			if sum != 1 {
				return fmt.Errorf("%s: %v pods", reason, sum)
			}
		}
		return nil
	})
	if code, out, _ := plugin(t, "status", "-A"); code != 0 || !strings.Contains(out, "missed/while-down went without: the webhook did not answer") {
		t.Errorf("status %d\n%s", code, out)
	}
}

func TestHealthIsThatOfTheContainer(t *testing.T) {
	const ns = "health"
	namespace(t, ns, nil)
	pod := create(t, ns, "app", "video-probe")
	pod.Status.Phase = corev1.PodRunning
	pod.Status.InitContainerStatuses = []corev1.ContainerStatus{{
		Name: "debugsidecar-video-probe", RestartCount: 3,
		State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}},
		LastTerminationState: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
			Reason: "OOMKilled", ExitCode: 137,
		}},
	}}
	if _, err := env.client.CoreV1().Pods(ns).UpdateStatus(t.Context(), pod, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	got := status(t, ns)["app"]
	if got.Health != "waiting" || !strings.Contains(got.HealthReason, "CrashLoopBackOff") || !strings.Contains(got.HealthReason, "OOMKilled") {
		t.Errorf("got %+v", got)
	}
}

func TestAnOutdatedSidecarIsReplacedByACopyAndNeverDoubled(t *testing.T) {
	const ns = "revisions"
	namespace(t, ns, nil)
	old := create(t, ns, "old", "video-probe")
	if err := env.installation.Upgrade(t.Context(), "images: {sidecar: registry.example/sidecar:9}"); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := env.installation.Upgrade(context.Background(), ""); err != nil {
			t.Error(err)
		}
	}()
	before := status(t, ns)["old"]
	if before.State != "outdated" || before.CurrentRevision == before.Revision || before.CurrentRevision == "" {
		t.Errorf("got %+v", before)
	}
	tries := 0
	eventually(t, "a replica reads the new configuration", func() error {
		tries++
		made := old.DeepCopy()
		made.ObjectMeta = metav1.ObjectMeta{Name: fmt.Sprintf("copy-%d", tries), Labels: old.Labels, Annotations: old.Annotations}
		made.Status = corev1.PodStatus{}
		made, err := env.client.CoreV1().Pods(ns).Create(t.Context(), made, metav1.CreateOptions{})
		if err != nil {
			return err
		}
		if n := len(made.Spec.InitContainers); n != 1 {
			t.Fatalf("the copy has %d sidecars", n)
		}
		if image := made.Spec.InitContainers[0].Image; image != "registry.example/sidecar:9" {
			return fmt.Errorf("image %s", image)
		}
		return nil
	})
	if got := status(t, ns)[fmt.Sprintf("copy-%d", tries)]; got.State != "current" || got.Revision != before.CurrentRevision {
		t.Errorf("the copy: %+v", got)
	}
}

func selfProbe(t *testing.T, timeout string) (string, error) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), env.binary, "self-probe", "--kubeconfig", env.dir+"/webhook.kubeconfig",
		"--namespace", env.installation.Namespace, "--timeout", timeout).CombinedOutput()
	return string(out), err
}

func TestTheWayThroughTheAPIServerIsProbed(t *testing.T) {
	if out, err := selfProbe(t, "20s"); err != nil || !strings.Contains(out, "reaches the webhook") {
		t.Errorf("%v: %s", err, out)
	}
	eventually(t, "each replica knows", func() error {
		for _, r := range env.installation.Running() {
			if v, err := r.Metric("debugsidecar_webhook_reachable"); err != nil || v != 1 {
				return fmt.Errorf("%v, %v", v, err)
			}
		}
		return nil
	})
	code, out, errs := plugin(t, "doctor")
	if code != 0 || !strings.Contains(out, "ok      self-probe") || strings.Contains(out, "unknown") {
		t.Errorf("status %d\n%s%s", code, out, errs)
	}
	t.Log("\n" + out)

	defer startTwo(t)
	stopAll(t)
	if out, err := selfProbe(t, "20s"); err == nil || !strings.Contains(out, "failed calling webhook") || !strings.Contains(out, "; look at") {
		t.Errorf("%v: %s", err, out)
	}
	code, out, errs = plugin(t, "doctor")
	if code != 1 || !strings.Contains(out, "fail    self-probe") || strings.Contains(errs, "error:") {
		t.Errorf("status %d\n%s%s", code, out, errs)
	}
}

func TestOneReplicaLeadsAndGivesTheLeaseBackAtSIGTERM(t *testing.T) {
	leases := env.client.CoordinationV1().Leases(env.installation.Namespace)
	holder := func() string {
		l, err := leases.Get(t.Context(), "debugsidecar", metav1.GetOptions{})
		if err != nil || l.Spec.HolderIdentity == nil {
			return ""
		}
		return *l.Spec.HolderIdentity
	}
	leader := -1
	running := env.installation.Running()
	eventually(t, "one leads", func() error {
		leaders := 0
		for i, r := range running {
			v, err := r.Metric(`leader_election_master_status{name="debugsidecar"}`)
			if err != nil {
				return err
			}
			if v == 1 {
				leaders, leader = leaders+1, i
			}
		}
		if leaders != 1 {
			return fmt.Errorf("%d lead", leaders)
		}
		return nil
	})
	before := holder()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	start := time.Now()
	if err := running[leader].Stop(ctx); err != nil {
		log, _ := os.ReadFile(running[leader].Log)
		t.Fatalf("%v\n%s", err, log)
	}
	eventually(t, "the other one leads", func() error {
		if now := holder(); now == "" || now == before {
			return fmt.Errorf("the holder is %q", now)
		}
		return nil
	})
	t.Logf("the other one leads %s after SIGTERM", time.Since(start).Round(10*time.Millisecond))
	startTwo(t)
}
