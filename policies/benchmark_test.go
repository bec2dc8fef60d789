package policies_test

import (
	"os"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/debugsidecar/debugsidecar/policies"
	"github.com/debugsidecar/debugsidecar/policies/facts"
)

// ingestPod is a real-life pod: 4 containers, 7.4 KB as JSON. It passes at
// restricted.
func ingestPod(t testing.TB) *facts.Pod {
	t.Helper()
	text, err := os.ReadFile("testdata/pod.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return podOf(t, string(text))
}

func TestTheBenchmarkedPodPassesAndHasItsSize(t *testing.T) {
	text, err := os.ReadFile("testdata/pod.yaml")
	if err != nil {
		t.Fatal(err)
	}
	json, err := yaml.YAMLToJSON(text)
	if err != nil {
		t.Fatal(err)
	}
	if len(json) < 7300 || len(json) > 7500 {
		t.Errorf("the pod has %d bytes as JSON, want about 7400", len(json))
	}
	result := evaluate(t, newEvaluator(t), policies.Request{Modes: enforce(policies.Restricted), Pod: ingestPod(t)})
	if len(result.Violations) != 0 {
		t.Errorf("the pod is refused: %+v", result.Violations)
	}
}

func BenchmarkEvaluate(b *testing.B) {
	denied := ingestPod(b)
	yes := true
	denied.Spec.Containers[1].SecurityContext.Privileged = &yes
	denied.Spec.HostNetwork = true
	for _, bench := range []struct {
		name  string
		level policies.Level
		pod   *facts.Pod
	}{
		{"restricted", policies.Restricted, ingestPod(b)},
		{"baseline", policies.Baseline, ingestPod(b)},
		{"denied", policies.Restricted, denied},
		{"off", policies.Off, ingestPod(b)},
	} {
		b.Run(bench.name, func(b *testing.B) {
			evaluator, ctx := newEvaluator(b), b.Context()
			request := policies.Request{Namespace: "cameras", Modes: enforce(bench.level), Pod: bench.pod}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := evaluator.Evaluate(ctx, request); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkNew(b *testing.B) {
	for b.Loop() {
		if _, err := policies.New(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}
