package node_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/debugsidecar/debugsidecar/test/node"
)

// creations makes pods all the time, while the webhook's pods are deleted one by
// one: in a namespace that only injects, and in one that enforces a level, where
// pods wait for the webhook.
func creations(t *testing.T, l lab) {
	config := rest.CopyConfig(l.Config)
	config.WarningHandler = rest.NoWarnings{}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	l.kubectl(t, "", "create", "namespace", "creations")
	l.kubectl(t, "", "label", "namespace", "creations", "debugsidecar.io/inject=video-probe")
	l.kubectl(t, "", "create", "namespace", "enforcing")
	l.kubectl(t, "", "label", "namespace", "enforcing", "debugsidecar.io/inject=video-probe", "policy.debugsidecar.io/enforce=baseline")

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	enforcing, stopEnforcing := context.WithCancel(ctx)
	defer stopEnforcing()
	var (
		makers         sync.WaitGroup
		mu             sync.Mutex
		made, injected int
		slowest        time.Duration
	)
	for namespace, until := range map[string]context.Context{"creations": ctx, "enforcing": enforcing} {
		makers.Go(func() {
			for i := 0; until.Err() == nil; i++ {
				begin := time.Now()
				pod, err := client.CoreV1().Pods(namespace).Create(t.Context(), &corev1.Pod{
					ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("pod-%d", i)},
					Spec: corev1.PodSpec{
						Containers:   []corev1.Container{{Name: "app", Image: node.AppImage}},
						NodeSelector: map[string]string{"a": "b"}, // it need not run
					},
				}, metav1.CreateOptions{})
				mu.Lock()
				if err != nil {
					t.Errorf("%s: pod %d: %v", namespace, i, err)
				} else {
					made++
					if len(pod.Spec.InitContainers) == 1 {
						injected++
					}
				}
				slowest = max(slowest, time.Since(begin))
				mu.Unlock()
				time.Sleep(100 * time.Millisecond)
			}
		})
	}
	for range 4 {
		var pods corev1.PodList
		if err := json.Unmarshal([]byte(l.kubectl(t, "", "--namespace", node.Namespace, "get", "pods", "-o", "json")), &pods); err != nil {
			t.Fatal(err)
		}
		l.kubectl(t, "", "--namespace", node.Namespace, "delete", "pod", pods.Items[0].Name)
		l.kubectl(t, "", "--namespace", node.Namespace, "rollout", "status", "deployment/"+node.Release, "--timeout=60s")
	}
	mu.Lock()
	graceful := made
	if injected != made {
		t.Errorf("%d of %d pods were injected while webhook pods were deleted one by one", injected, made)
	}
	t.Logf("%d pods were made, %d with a sidecar, while 4 webhook pods were deleted; the slowest took %.2f s", made, injected, slowest.Seconds())
	mu.Unlock()

	// All at once and without a word. A namespace that enforces a level waits
	// then, so only the other one goes on.
	stopEnforcing()
	var webhooks corev1.PodList
	if err := json.Unmarshal([]byte(l.kubectl(t, "", "--namespace", node.Namespace, "get", "pods", "-o", "json")), &webhooks); err != nil {
		t.Fatal(err)
	}
	for _, pod := range webhooks.Items {
		if err := syscall.Kill(process(t, string(pod.UID), "--listen=:9443"), syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(2 * time.Second)
	l.kubectl(t, "", "--namespace", node.Namespace, "rollout", "status", "deployment/"+node.Release, "--timeout=60s")
	time.Sleep(time.Second)
	cancel()
	makers.Wait()
	t.Logf("%d more were made, %d without a sidecar, while all webhook pods were killed; the slowest of all took %.2f s", made-graceful, made-injected, slowest.Seconds())

	// Those that went without are in the status.
	without := map[string]bool{}
	pods, err := client.CoreV1().Pods("creations").List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range pods.Items {
		if len(p.Spec.InitContainers) == 0 {
			without[p.Name] = true
		}
	}
	var status struct {
		Items []struct {
			Pod, State string
			Missed     *struct{ Reason string }
		}
	}
	out := l.plugin(t, "status", "--namespace=creations", "-o", "json")
	if err := json.Unmarshal([]byte(out), &status); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	told := map[string]bool{}
	for _, i := range status.Items {
		if i.State == "missed" {
			told[i.Pod] = true
			if i.Missed == nil || i.Missed.Reason != "not-reached" {
				t.Errorf("pod %s is said to be missed for %+v", i.Pod, i.Missed)
			}
		}
	}
	if !maps.Equal(without, told) || len(status.Items) != len(pods.Items) {
		t.Errorf("%d of %d pods went without, the status tells of %d of %d", len(without), len(pods.Items), len(told), len(status.Items))
	}
	if len(without) == 0 {
		t.Error("no pod went without: this says nothing about the status")
	}
	t.Logf("the status tells of %d pods, of which %d went without: as it is", len(status.Items), len(told))
	l.kubectl(t, "", "delete", "namespace", "creations", "enforcing", "--wait=false")
}

// plugin runs the kubectl plugin as a user would.
func (l lab) plugin(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), filepath.Join(repository, "bin", "kubectl-debugsidecar"), append(args, "--kubeconfig", l.Kubeconfig)...)
	var failure strings.Builder
	cmd.Stderr = &failure
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("kubectl debugsidecar %s: %v: %s%s", strings.Join(args, " "), err, out, failure.String())
	}
	return string(out)
}
