package admit

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/debugsidecar/debugsidecar/policies"
	"github.com/debugsidecar/debugsidecar/webhook/inject"
)

// realPods are the newest of Pod Security's own fixtures, which set each field
// that its checks read, and a pod that uses nearly everything else.
func realPods(t *testing.T) map[string][]byte {
	t.Helper()
	dir, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "k8s.io/pod-security-admission").Output()
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(strings.TrimSpace(string(dir)), "test", "testdata", "*", "v1.3*", "*", "*.yaml"))
	if err != nil || len(files) < 50 {
		t.Fatalf("%d fixtures were found: %v", len(files), err)
	}
	pods := map[string][]byte{}
	for _, file := range append(files, "../../policies/testdata/pod.yaml") {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		pod := &corev1.Pod{}
		if err := yaml.UnmarshalStrict(data, pod); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		delete(pod.Annotations, inject.ParamsAnnotation) // of a profile that is not here
		if pod.Labels == nil {
			pod.Labels = map[string]string{}
		}
		pod.Labels[inject.Label] = "video-probe"
		if pods[file], err = json.Marshal(pod); err != nil {
			t.Fatal(err)
		}
	}
	return pods
}

func throughView[C container, V volume](t *testing.T, pod []byte) *request {
	t.Helper()
	r, err := decode[C, V]([]byte(head + `"object":` + string(pod) + `}}`))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestTheViewOfValidateHidesNothingFromTheRules(t *testing.T) {
	evaluator, err := policies.New(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	judge := func(r *request) policies.Result {
		result, err := evaluator.Evaluate(t.Context(), policies.Request{
			Modes: policies.Modes{Enforce: policies.Restricted}, Pod: r.pod.Pod, FieldPath: r.pod.path,
		})
		if err != nil {
			t.Fatal(err)
		}
		return result
	}
	denied := 0
	for file, pod := range realPods(t) {
		got := judge(throughView[judgedContainer, judgedVolume](t, pod))
		want := judge(throughView[identifiedContainer, judgedVolume](t, pod))
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, want %+v", file, got, want)
		}
		if want.Denied() {
			denied++
		}
	}
	if denied < 50 {
		t.Errorf("only %d pods were denied: this shows nothing", denied)
	}
}

func TestTheViewOfMutateHidesNothingFromTheDecision(t *testing.T) {
	deps := newDeps(t, enforcing("baseline"))
	ns := deps.Namespaces.Namespace(t.Context(), "cameras")
	injected := 0
	for file, pod := range realPods(t) {
		decide := func(r *request) *inject.Decision {
			return inject.Decide(deps.facts(r, r.pod.Pod, ns, deps.Config()))
		}
		got := decide(throughView[decidedContainer, decidedVolume](t, pod))
		want := decide(throughView[identifiedContainer, judgedVolume](t, pod))
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, want %+v", file, got, want)
		}
		if want.Inject {
			injected++
		}
	}
	if injected < 50 {
		t.Errorf("only %d pods were injected: this shows nothing", injected)
	}
}
