package status

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

const canaryImage = "registry.example/sidecar:canary"

// isCanary says whether a pod has the canary's sidecar.
func isCanary(pod *corev1.Pod) bool {
	for _, c := range pod.Spec.InitContainers {
		if c.Image == canaryImage {
			return true
		}
	}
	return false
}

func canaryValues(percent int) string {
	return fmt.Sprintf("canary: {percent: %d, images: {sidecar: %q}}", percent, canaryImage)
}

// phase waits until the canary's state is in a phase, and returns why.
func phase(t *testing.T, want, not string) (id, reason string) {
	t.Helper()
	eventually(t, "the canary is "+want, func() error {
		m, err := env.client.CoreV1().ConfigMaps(env.installation.Namespace).Get(t.Context(), "debugsidecar-canary", metav1.GetOptions{})
		if err != nil {
			return err
		}
		var s struct{ Canary, Phase, Reason string }
		if err := json.Unmarshal([]byte(m.Data["state.json"]), &s); err != nil || s.Phase != want || s.Canary == not {
			return fmt.Errorf("the state is %v (%v)", m.Data, err)
		}
		id, reason = s.Canary, s.Reason
		return nil
	})
	return id, reason
}

func TestACanaryGoesToAShareAndIsRolledBackByItself(t *testing.T) {
	const ns = "canary"
	namespace(t, ns, map[string]string{"policy.debugsidecar.io/enforce": "baseline"})
	upgrade := func(values string) {
		t.Helper()
		if err := env.installation.Upgrade(context.WithoutCancel(t.Context()), values); err != nil {
			t.Fatal(err)
		}
	}
	defer func() {
		upgrade("")
		// The tests that follow expect replicas that know of none.
		held := 0
		eventually(t, "the canary is forgotten", func() error {
			for i := range 20 {
				if isCanary(dryRun(t, ns, fmt.Sprintf("after-%d", i))) {
					held = 0
					return fmt.Errorf("after-%d gets it", i)
				}
			}
			if held++; held < 5 {
				return errors.New("not asked often enough yet")
			}
			return nil
		})
	}()
	upgrade(canaryValues(50))
	first, _ := phase(t, "Running", "")
	eventually(t, "both replicas know it", func() error {
		// Of twenty names, one reaches each replica, and some belong to the share.
		for i := range 20 {
			if pod := dryRun(t, ns, fmt.Sprintf("try-%d", i)); isCanary(pod) {
				return nil
			}
		}
		return fmt.Errorf("no pod gets it")
	})

	var canaries, others []string
	for i := range 40 {
		name := fmt.Sprintf("pod-%d", i)
		pod := create(t, ns, name, "video-probe")
		if again := dryRun(t, ns, name+"-x"); len(again.Spec.InitContainers) != 1 {
			t.Errorf("pod %s-x has %d sidecars", name, len(again.Spec.InitContainers))
		}
		if isCanary(pod) {
			canaries = append(canaries, name)
		} else {
			others = append(others, name)
		}
	}
	if len(canaries) < 8 || len(others) < 8 {
		t.Fatalf("of 40 pods %d got the canary, at 50 %%", len(canaries))
	}
	for name, i := range status(t, ns) {
		if i.State != "current" {
			t.Errorf("pod %s is said to be %s", name, i.State)
		}
	}

	// Where the app fails, and where both sidecars do, nothing happens; the
	// canary alone is rolled back.
	report := func(s corev1.ContainerStatus, pods ...string) {
		t.Helper()
		container := s.Name
		for _, name := range pods {
			patch := corev1.PodStatus{InitContainerStatuses: []corev1.ContainerStatus{s}}
			if container == "app" {
				patch = corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{s}}
			}
			data, err := json.Marshal(map[string]any{"status": patch})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := env.client.CoreV1().Pods(ns).Patch(t.Context(), name, types.MergePatchType, data, metav1.PatchOptions{}, "status"); err != nil {
				t.Fatal(err)
			}
		}
	}
	failing := func(container string, pods ...string) {
		t.Helper()
		report(corev1.ContainerStatus{Name: container, RestartCount: 1, State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}}}, pods...)
	}
	report(corev1.ContainerStatus{Name: "debugsidecar-video-probe", Ready: true}, slices.Concat(canaries, others)...)
	failing("app", canaries[0], canaries[1], canaries[2])
	if id, _ := phase(t, "Running", ""); id != first {
		t.Errorf("another canary: %s", id)
	}
	failing("debugsidecar-video-probe", canaries[:len(canaries)/2]...)
	_, reason := phase(t, "RolledBack", "")
	// It is judged while one pod after the other fails: a few of them are enough.
	var failed, of int
	if n, err := fmt.Sscanf(reason, "the sidecar fails in %d of %d canary pods", &failed, &of); n != 2 || failed < 2 || failed > len(canaries)/2 || of != len(canaries) {
		t.Errorf("the reason is %q (%v)", reason, err)
	}
	t.Logf("rolled back: %s", reason)

	// New pods get what there was; the canary's stay ours where a level is enforced.
	eventually(t, "no pod gets it any more", func() error {
		for i := range 40 {
			if isCanary(dryRun(t, ns, fmt.Sprintf("pod-%d-again", i))) {
				return fmt.Errorf("pod-%d-again does", i)
			}
		}
		return nil
	})
	for _, name := range canaries {
		if _, err := env.client.CoreV1().Pods(ns).Patch(t.Context(), name, types.MergePatchType, []byte(`{"metadata":{"labels":{"a":"b"}}}`), metav1.PatchOptions{}); err != nil {
			t.Errorf("a canary pod can't be changed any more: %v", err)
		}
	}

	// A changed configuration begins anew.
	upgrade(canaryValues(100))
	phase(t, "Running", first)
	eventually(t, "all get it", func() error {
		if !isCanary(dryRun(t, ns, "all")) {
			return fmt.Errorf("it has the other")
		}
		return nil
	})
}

func dryRun(t *testing.T, ns, name string) *corev1.Pod {
	t.Helper()
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"debugsidecar.io/inject": "video-probe"}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "registry.example/app:1"}}},
	}
	out, err := env.client.CoreV1().Pods(ns).Create(t.Context(), pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	if err != nil {
		t.Fatal(err)
	}
	return out
}
