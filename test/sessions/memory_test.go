package sessions

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/debugsidecar/debugsidecar/test/install"
	"github.com/debugsidecar/debugsidecar/webhook/session"
)

// manyPods is how many a small cluster has.
const manyPods = 2000

// TestTheKeeperKeepsNoPods compares what is resident in a webhook that watches a
// cluster of many pods with one in a cluster of none: the pods go by.
func TestTheKeeperKeepsNoPods(t *testing.T) {
	webhookDown(t)
	ns := namespace(t)
	before := rested(t)
	pod := newPod(ns, "")
	pod.GenerateName = "camera-"
	pod.Annotations = map[string]string{"example.com/note": strings.Repeat("x", 1000)}
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			for range manyPods / 8 {
				if _, err := env.admin.CoreV1().Pods(ns).Create(t.Context(), pod.DeepCopy(), metav1.CreateOptions{}); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wait.Wait()
	debugged := create(t, env.admin, newPod(ns, "debugged"))
	if _, err := debug(t.Context(), as(t, "anna"), debugged, debugger("debugger-abcde", vars(session.TTLVar, "1h")...)); err != nil {
		t.Fatal(err)
	}
	after := rested(t)
	becomes(t, debugged, "True", "Pending", began)
	t.Logf("resident: %d KiB with no pods, %d KiB with %d", before, after, manyPods)
	// Their metadata alone are 2 KiB each, and more as Go keeps them.
	if grown := after - before; grown > 8<<10 {
		t.Errorf("%d KiB more", grown)
	}
	if err := env.admin.CoreV1().Pods(ns).DeleteCollection(t.Context(), metav1.DeleteOptions{}, metav1.ListOptions{}); err != nil {
		t.Error(err)
	}
}

// rested starts a replica and returns what is resident in KiB when it has settled:
// the median of some readings. The replica runs on.
func rested(t *testing.T) int {
	t.Helper()
	webhookDown(t)
	start(t)
	time.Sleep(5 * time.Second)
	var readings []int
	for range 5 {
		readings = append(readings, resident(t, env.installation.Running()[0]))
		time.Sleep(time.Second)
	}
	slices.Sort(readings)
	return readings[len(readings)/2]
}

func resident(t *testing.T, r *install.Replica) int {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", r.PID()))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		if value, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, err := strconv.Atoi(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")))
			if err != nil {
				t.Fatal(err)
			}
			return kib
		}
	}
	t.Fatal("no VmRSS")
	return 0
}
