package inject_test

import (
	"encoding/json"
	"testing"

	jsonpatch "github.com/evanphx/json-patch/v5"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/debugsidecar/debugsidecar/policies"
	"github.com/debugsidecar/debugsidecar/policies/facts"
	"github.com/debugsidecar/debugsidecar/webhook/inject"
	"github.com/debugsidecar/debugsidecar/webhook/inject/profile"
)

// tb is what *testing.T, *testing.F and *rapid.T have in common.
type tb interface {
	Helper()
	Fatalf(format string, args ...any)
}

var settings = profile.Settings{Images: map[string]string{"sidecar": "registry.example/sidecar:1", "debug": "registry.example/debug:1"}}

// embedded is the set of the profiles that the webhook brings along.
var embedded = func() *profile.Set {
	set, err := profile.LoadSet("", settings)
	if err != nil {
		panic(err)
	}
	return set
}()

// cluster is a recent one without grants.
func cluster() inject.Cluster {
	return inject.Cluster{
		NativeSidecars: true, OwnNamespace: "debugsidecar", PodSecurityDefault: "privileged", PolicyDefault: "off",
		HostKernelRuntimeClasses: []string{"runc"},
	}
}

// granted is a recent cluster in which namespace "media" may have the kernel tier.
func granted() inject.Cluster {
	c := cluster()
	c.Grants = []inject.Grant{{Namespace: "media", Profiles: []string{"video-probe", "full"}}}
	return c
}

// app is a pod with one container that asks for a profile.
func app(profile string, changes ...func(*corev1.Pod)) *corev1.Pod {
	pod := &corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "registry.example/app:1"}}}}
	pod.Name, pod.Namespace = "camera", "media"
	if profile != "" {
		pod.Labels = map[string]string{inject.Label: profile}
	}
	for _, change := range changes {
		change(pod)
	}
	return pod
}

func withParams(text string) func(*corev1.Pod) {
	return func(pod *corev1.Pod) {
		if pod.Annotations == nil {
			pod.Annotations = map[string]string{}
		}
		pod.Annotations[inject.ParamsAnnotation] = text
	}
}

// withResources gives each container the resources.
func withResources(r corev1.ResourceRequirements) func(*corev1.Pod) {
	return func(pod *corev1.Pod) {
		for i := range pod.Spec.Containers {
			pod.Spec.Containers[i].Resources = *r.DeepCopy()
		}
	}
}

// list makes a resource list of names and quantities.
func list(pairs ...string) corev1.ResourceList {
	out := corev1.ResourceList{}
	for i := 0; i < len(pairs); i += 2 {
		out[corev1.ResourceName(pairs[i])] = resource.MustParse(pairs[i+1])
	}
	return out
}

// guaranteed are resources that make a pod Guaranteed.
func guaranteed() corev1.ResourceRequirements {
	return corev1.ResourceRequirements{Requests: list("cpu", "1", "memory", "1Gi"), Limits: list("cpu", "1", "memory", "1Gi")}
}

// world is what a decision depends on beside the pod.
type world struct {
	cluster   inject.Cluster
	namespace inject.Namespace
	profiles  *profile.Set
	seLinux   policies.SELinux
}

func worldOf(c inject.Cluster, labels map[string]string) world {
	return world{cluster: c, namespace: inject.Namespace{Name: "media", Labels: labels}, profiles: embedded}
}

// decide decides about a pod, given as JSON.
func (w world) decide(t tb, pod []byte) *inject.Decision {
	t.Helper()
	return inject.Decide(w.facts(t, pod))
}

func (w world) facts(t tb, pod []byte) inject.Facts {
	t.Helper()
	read := &facts.Pod{}
	if err := json.Unmarshal(pod, read); err != nil {
		t.Fatalf("reading the pod: %v", err)
	}
	return inject.Facts{
		Pod: read, Namespace: w.namespace, Cluster: w.cluster, Profiles: w.profiles, SELinux: w.seLinux,
		Full: func() (*corev1.Pod, error) {
			whole := &corev1.Pod{}
			return whole, json.Unmarshal(pod, whole)
		},
	}
}

// mutate returns the pod as it is after the decision's patch.
func (w world) mutate(t tb, pod []byte) ([]byte, *inject.Decision) {
	t.Helper()
	d := w.decide(t, pod)
	return patched(t, pod, d), d
}

func patched(t tb, pod []byte, d *inject.Decision) []byte {
	t.Helper()
	if len(d.Patch()) == 0 {
		return pod
	}
	ops, err := json.Marshal(d.Patch())
	if err != nil {
		t.Fatalf("encoding the patch: %v", err)
	}
	patch, err := jsonpatch.DecodePatch(ops)
	if err != nil {
		t.Fatalf("reading the patch %s: %v", ops, err)
	}
	out, err := patch.Apply(pod)
	if err != nil {
		t.Fatalf("applying the patch %s: %v", ops, err)
	}
	return out
}

func encode(t tb, pod *corev1.Pod) []byte {
	t.Helper()
	b, err := json.Marshal(pod)
	if err != nil {
		t.Fatalf("encoding the pod: %v", err)
	}
	return b
}

func decode(t tb, pod []byte) *corev1.Pod {
	t.Helper()
	out := &corev1.Pod{}
	if err := json.Unmarshal(pod, out); err != nil {
		t.Fatalf("reading the pod: %v", err)
	}
	return out
}

// inject returns the mutated pod and the decision about it.
func (w world) inject(t tb, pod *corev1.Pod) (*corev1.Pod, *inject.Decision) {
	t.Helper()
	out, d := w.mutate(t, encode(t, pod))
	return decode(t, out), d
}

// ours returns the containers under our prefix, wherever they stand.
func ours(pod *corev1.Pod) (found []corev1.Container) {
	for _, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for _, c := range list {
			if len(c.Name) > len(profile.NamePrefix) && c.Name[:len(profile.NamePrefix)] == profile.NamePrefix {
				found = append(found, c)
			}
		}
	}
	return found
}

func loadProfile(t *testing.T, text string) *profile.Set {
	t.Helper()
	dir := t.TempDir()
	writeFile(t, dir+"/own.yaml", text)
	set, err := profile.LoadSet(dir, settings)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// stepDetail returns what a check said.
func stepDetail(steps []inject.Step, check string) string {
	for _, s := range steps {
		if s.Check == check {
			return s.Detail
		}
	}
	return ""
}

func mustJSON(t tb, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatalf("encoding: %v", err)
	}
	return b
}
