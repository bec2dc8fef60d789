package copy

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/debugsidecar/debugsidecar/kubectl-debugsidecar/debug/shape"
)

var update = flag.Bool("update", false, "write the golden file in testdata again")

// TestGolden shows readers what comes out, in a namespace that enforces restricted.
func TestGolden(t *testing.T) {
	data, err := os.ReadFile("testdata/crash.yaml")
	if err != nil {
		t.Fatal(err)
	}
	pod := &corev1.Pod{}
	if err := yaml.UnmarshalStrict(data, pod); err != nil {
		t.Fatal(err)
	}
	n := Neighbours{
		Services:        []corev1.Service{service("ingest", false, "app", "ingest", "team", "video")},
		NetworkPolicies: []networkingv1.NetworkPolicy{networkPolicy("app", "ingest")},
		Controllers:     []Controller{controller("ReplicaSet", "app", "ingest", "pod-template-hash", "6f5d")},
		Claims: []corev1.PersistentVolumeClaim{{ObjectMeta: metav1.ObjectMeta{Name: "segments"}, Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
		}}},
	}
	o := options()
	o.Profile = shape.Restricted
	plan, err := Of(t.Context(), pod, n, shape.Namespace{Known: true}, o)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, note := range plan.Notes {
		fmt.Fprintf(&b, "# %s\n", note)
	}
	for _, l := range plan.Candidates[0].LeavesOut {
		fmt.Fprintf(&b, "# without: %s\n", l)
	}
	out, err := yaml.Marshal(plan.Candidates[0].Pod)
	if err != nil {
		t.Fatal(err)
	}
	b.Write(out)
	const golden = "testdata/crash.golden.yaml"
	if *update {
		if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), b.String()); diff != "" {
		t.Errorf("%s is stale, or the code is wrong; if it is stale: go test ./kubectl-debugsidecar/debug/copy -update\n%s", golden, diff)
	}
}
