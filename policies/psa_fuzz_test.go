package policies_test

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"sigs.k8s.io/yaml"

	"github.com/debugsidecar/debugsidecar/policies"
	"github.com/debugsidecar/debugsidecar/policies/internal/podbytes"
)

// levelsOf is every level, for modes to be chosen from.
var levelsOf = []policies.Level{policies.Restricted, policies.Baseline, policies.Off}

// modesOf makes a byte the modes of a namespace.
func modesOf(b byte) policies.Modes {
	n := int(b)
	return policies.Modes{Enforce: levelsOf[n%3], Warn: levelsOf[n/3%3], Audit: levelsOf[n/9%3]}
}

// explicit is a namespace whose parameters say again what the defaults are.
const explicit = "explicit"

// newFuzzed returns an evaluator with the default parameters, which are Pod
// Security's, left out for the cluster and spelled out for one namespace.
func newFuzzed(t testing.TB) *policies.Evaluator {
	t.Helper()
	lists, _, found := strings.Cut(policies.DefaultParameters(), "\nrules: {}")
	if !found {
		t.Fatal("the default parameters have no rules")
	}
	parameters, err := policies.ParseParameters([]byte("namespaces:\n  " + explicit + ":\n    " + strings.ReplaceAll(lists, "\n", "\n    ")))
	if err != nil {
		t.Fatal(err)
	}
	evaluator := newEvaluator(t)
	evaluator.SetParameters(parameters)
	return evaluator
}

// strongest returns the strongest action of each rule.
func strongest(result policies.Result) map[string]policies.Action {
	of := map[string]policies.Action{}
	for _, v := range result.Violations {
		if stronger(v.Action, of[v.Rule]) {
			of[v.Rule] = v.Action
		}
	}
	return of
}

// stronger says whether a does more than b; an empty action does nothing.
func stronger(a, b policies.Action) bool {
	order := []policies.Action{"", policies.Audit, policies.Warn, policies.Deny}
	return slices.Index(order, a) > slices.Index(order, b)
}

// refusesTwoSources says whether a pod has a volume with two sources, which no
// API server admits. The rule volumes judges both; Pod Security stops at the
// first that it knows.
func refusesTwoSources(rule string, pod *corev1.Pod) bool {
	return rule == "volumes" && slices.ContainsFunc(pod.Spec.Volumes, hasTwoSources)
}

// FuzzPodSecurity compares, for pods made of bytes, what each rule leads to with
// what Pod Security's checks for it do, in every combination of levels in the
// three modes: so no difference hides behind another rule.
func FuzzPodSecurity(f *testing.F) {
	for i, pod := range seedPods(f) {
		f.Add(append([]byte{byte(i)}, podbytes.Encode(pod)...))
		f.Add(append([]byte{0}, podbytes.Encode(pod)...)) // restricted in each mode
	}
	evaluator, oracle := newFuzzed(f), newOracle(f)
	f.Fuzz(func(t *testing.T, data []byte) { comparePod(t, evaluator, oracle, data) })
}

// comparePod returns the pod and what was found, for who minimises the corpus.
func comparePod(t testing.TB, evaluator *policies.Evaluator, oracle *oracle, data []byte) policies.Result {
	r := podbytes.NewReader(data)
	choice := r.Byte()
	modes, namespace := modesOf(choice), "cameras"
	if choice >= 128 {
		namespace = explicit
	}
	pod := r.Pod()
	result := evaluate(t, evaluator, policies.Request{Namespace: namespace, Modes: modes, Pod: lean(t, pod)})
	got := strongest(result)
	for _, rule := range oracle.rules {
		want, why := oracle.action(modes, rule, pod)
		if got[rule] != want && !(stronger(got[rule], want) && refusesTwoSources(rule, pod)) {
			t.Errorf("%+v: rule %s: action %q, Pod Security's is %q %s\n%s", modes, rule, got[rule], want, why, podText(pod))
		}
	}
	return result
}

// FuzzPodSecurityUpdate makes updates that an API server lets through, and
// compares:
//   - what Pod Security admits, we admit;
//   - where Pod Security would admit the old pod, the answers are the same;
//   - each rule denies exactly what Pod Security refuses of the containers that
//     are new or have a new image, the pod's own fields aside, which can't change.
func FuzzPodSecurityUpdate(f *testing.F) {
	seeds := seedPods(f)
	for i, pod := range seeds {
		edits := []byte{byte(i), 2, editImage, byte(i), addEphemeral}
		f.Add(append(append(edits, podbytes.EncodeContainer(firstContainer(seeds[(i*7+3)%len(seeds)]))...), podbytes.Encode(pod)...))
		f.Add(append([]byte{byte(i), 1, byte(i % editKinds)}, podbytes.Encode(pod)...))
	}
	evaluator, oracle := newFuzzed(f), newOracle(f)
	f.Fuzz(func(t *testing.T, data []byte) { compareUpdate(t, evaluator, oracle, data) })
}

func compareUpdate(t testing.TB, evaluator *policies.Evaluator, oracle *oracle, data []byte) policies.Result {
	r := podbytes.NewReader(data)
	level := levelsOf[r.Below(2)]
	edits := readEdits(r)
	oldPod := r.Pod()
	nameContainers(oldPod)
	newPod := oldPod.DeepCopy()
	for _, edit := range edits {
		edit(newPod)
	}
	nameContainers(newPod)
	result := evaluate(t, evaluator, policies.Request{Namespace: "cameras", Modes: enforce(level), Pod: lean(t, newPod), Old: lean(t, oldPod)})
	explain := func() string {
		return fmt.Sprintf("at %s\nviolations: %+v\nold %s\nnew %s", level, result.Violations, podText(oldPod), podText(newPod))
	}
	allowed, why := oracle.update(level, oldPod, newPod)
	denied := deniedByShared(oracle, result)
	if allowed && denied {
		t.Errorf("Pod Security admits an update that is denied %s", explain())
	}
	clean := true
	added := whatIsAdded(oldPod, newPod)
	got := strongest(result)
	for _, rule := range oracle.rules {
		clean = clean && oracle.refuses(level, rule, oldPod) == "" && !refusesTwoSources(rule, oldPod)
		why := oracle.refuses(level, rule, added)
		if (got[rule] == policies.Deny) != (why != "") {
			t.Errorf("rule %s: action %q, of what is new Pod Security says %q %s", rule, got[rule], why, explain())
		}
	}
	if clean && allowed == denied {
		t.Errorf("denied is %v, Pod Security says %q %s", denied, why, explain())
	}
	return result
}

// deniedByShared says whether a rule denies that Pod Security has, too.
func deniedByShared(oracle *oracle, result policies.Result) bool {
	return slices.ContainsFunc(result.Violations, func(v policies.Violation) bool {
		return v.Action == policies.Deny && slices.Contains(oracle.rules, v.Rule)
	})
}

// The edits of a pod that an API server admits.
const (
	editImage = iota
	addEphemeral
	addToleration
	setDeadline
	setAnnotation
	resize
	editKinds
)

// readEdits takes edits from bytes. They come before the pod, so that its bytes
// can go on for as long as they like.
func readEdits(r *podbytes.Reader) []func(*corev1.Pod) {
	var all []func(*corev1.Pod)
	for range r.Below(6) {
		switch r.Below(editKinds) {
		case editImage:
			k, image := r.Byte(), fmt.Sprintf("changed:%d", r.Below(4))
			all = append(all, func(pod *corev1.Pod) { setImage(pod, int(k), image) })
		case addEphemeral:
			c := r.Container()
			c.Image += "ephemeral:1"
			all = append(all, func(pod *corev1.Pod) {
				pod.Spec.EphemeralContainers = append(pod.Spec.EphemeralContainers,
					corev1.EphemeralContainer{EphemeralContainerCommon: corev1.EphemeralContainerCommon(c)})
			})
		case addToleration:
			all = append(all, func(pod *corev1.Pod) {
				pod.Spec.Tolerations = append(pod.Spec.Tolerations, corev1.Toleration{Key: "a", Operator: "Exists"})
			})
		case setDeadline:
			all = append(all, func(pod *corev1.Pod) { pod.Spec.ActiveDeadlineSeconds = ptr(int64(60)) })
		case setAnnotation:
			all = append(all, func(pod *corev1.Pod) {
				if pod.Annotations == nil {
					pod.Annotations = map[string]string{}
				}
				pod.Annotations["example.com/a"] = "b"
			})
		case resize:
			k := r.Byte()
			all = append(all, func(pod *corev1.Pod) {
				if n := len(pod.Spec.Containers); n > 0 {
					pod.Spec.Containers[int(k)%n].Resources.Limits = corev1.ResourceList{"cpu": resource.MustParse("2")}
				}
			})
		}
	}
	return all
}

func setImage(pod *corev1.Pod, k int, image string) {
	all := []*string{}
	for i := range pod.Spec.Containers {
		all = append(all, &pod.Spec.Containers[i].Image)
	}
	for i := range pod.Spec.InitContainers {
		all = append(all, &pod.Spec.InitContainers[i].Image)
	}
	if len(all) > 0 {
		*all[k%len(all)] = image
	}
}

// nameContainers makes the names of containers what an API server demands of
// them: no two are alike, and none is ours.
func nameContainers(pod *corev1.Pod) {
	for i := range pod.Spec.Containers {
		pod.Spec.Containers[i].Name = fmt.Sprintf("c%d", i)
	}
	for i := range pod.Spec.InitContainers {
		pod.Spec.InitContainers[i].Name = fmt.Sprintf("i%d", i)
	}
	for i := range pod.Spec.EphemeralContainers {
		pod.Spec.EphemeralContainers[i].Name = fmt.Sprintf("e%d", i)
	}
}

// whatIsAdded returns the new pod with only those containers that are new or
// have a new image, and without faults of the pod itself.
func whatIsAdded(oldPod, newPod *corev1.Pod) *corev1.Pod {
	added := newPod.DeepCopy()
	changed := func(c, old []corev1.Container) []corev1.Container {
		i := -1
		return slices.DeleteFunc(c, func(c corev1.Container) bool { i++; return c.Image == old[i].Image })
	}
	added.Spec.Containers = changed(added.Spec.Containers, oldPod.Spec.Containers)
	added.Spec.InitContainers = changed(added.Spec.InitContainers, oldPod.Spec.InitContainers)
	added.Spec.EphemeralContainers = added.Spec.EphemeralContainers[len(oldPod.Spec.EphemeralContainers):]
	added.Annotations, added.Spec.Volumes = nil, nil
	added.Spec.HostNetwork, added.Spec.HostPID, added.Spec.HostIPC = false, false, false
	if context := added.Spec.SecurityContext; context != nil {
		healed := &corev1.PodSecurityContext{}
		if context.RunAsNonRoot != nil {
			healed.RunAsNonRoot = ptr(true)
		}
		if context.SeccompProfile != nil {
			healed.SeccompProfile = &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}
		}
		added.Spec.SecurityContext = healed
	}
	return added
}

func firstContainer(pod *corev1.Pod) *corev1.Container {
	if len(pod.Spec.Containers) == 0 {
		return &corev1.Container{}
	}
	return &pod.Spec.Containers[0]
}

// seedPods are Pod Security's own fixtures and the pod of the benchmarks.
func seedPods(t testing.TB) []*corev1.Pod {
	t.Helper()
	var all []*corev1.Pod
	for _, level := range []policies.Level{policies.Baseline, policies.Restricted} {
		for _, fixture := range latestFixtures(t, level) {
			all = append(all, fixture.pod)
		}
	}
	return append(all, ingestCorePod(t), hiddenDrop(), everythingWrong())
}

// everythingWrong is a pod that breaks every rule, in each list of containers.
func everythingWrong() *corev1.Pod {
	bad := corev1.Container{
		Name:          "app",
		Ports:         []corev1.ContainerPort{{HostPort: 80}},
		LivenessProbe: &corev1.Probe{ProbeHandler: corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Host: "example.com"}}},
		SecurityContext: &corev1.SecurityContext{
			Privileged:      ptr(true),
			ProcMount:       ptr(corev1.UnmaskedProcMount),
			Capabilities:    &corev1.Capabilities{Add: []corev1.Capability{"SYS_ADMIN"}},
			RunAsUser:       ptr(int64(0)),
			SELinuxOptions:  &corev1.SELinuxOptions{Type: "spc_t", User: "u", Role: "r", Level: "s0:c1,c2"},
			SeccompProfile:  &corev1.SeccompProfile{Type: "Unconfined"},
			AppArmorProfile: &corev1.AppArmorProfile{Type: "Unconfined"},
			WindowsOptions:  &corev1.WindowsSecurityContextOptions{HostProcess: ptr(true)},
		},
	}
	pod := &corev1.Pod{Spec: corev1.PodSpec{
		Containers: []corev1.Container{bad}, InitContainers: []corev1.Container{bad},
		EphemeralContainers: []corev1.EphemeralContainer{{EphemeralContainerCommon: corev1.EphemeralContainerCommon(bad)}},
		Volumes:             []corev1.Volume{{Name: "a", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/"}}}},
		HostNetwork:         true,
		SecurityContext:     &corev1.PodSecurityContext{Sysctls: []corev1.Sysctl{{Name: "kernel.msgmax"}}},
	}}
	pod.Annotations = map[string]string{"container.apparmor.security.beta.kubernetes.io/app": "unconfined"}
	return pod
}

// What the fuzz targets begin with reaches every rule: denied and not, and where
// a rule is about containers, in each of their lists.
func TestTheSeedsReachEveryRuleInEveryListOfContainers(t *testing.T) {
	evaluator, oracle := newFuzzed(t), newOracle(t)
	denied, passed, reached := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, pod := range seedPods(t) {
		result := comparePod(t, evaluator, oracle, append([]byte{0}, podbytes.Encode(pod)...))
		got := strongest(result)
		for _, rule := range oracle.rules {
			denied[rule] = denied[rule] || got[rule] == policies.Deny
			passed[rule] = passed[rule] || got[rule] == ""
		}
		for _, v := range result.Violations {
			list, _, _ := strings.Cut(strings.TrimPrefix(v.Field, "spec."), "[")
			reached[v.Rule+" "+list] = true
		}
	}
	for _, rule := range oracle.rules {
		if !denied[rule] || !passed[rule] {
			t.Errorf("%s: denied is %v, passed is %v", rule, denied[rule], passed[rule])
		}
		lists := []string{"containers", "initContainers", "ephemeralContainers"}
		if rule == "host-namespaces" || rule == "sysctls" || rule == "volumes" {
			continue // about the pod alone
		}
		for _, list := range lists {
			if !reached[rule+" "+list] {
				t.Errorf("%s: no seed reaches it in %s", rule, list)
			}
		}
	}
}

// hiddenDrop is a pod that drops one capability with a zero byte in its name.
func hiddenDrop() *corev1.Pod {
	return &corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{{SecurityContext: &corev1.SecurityContext{
		Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"X\x00ALL"}},
	}}}}}
}

func ingestCorePod(t testing.TB) *corev1.Pod {
	t.Helper()
	text, err := os.ReadFile("testdata/pod.yaml")
	if err != nil {
		t.Fatal(err)
	}
	pod := &corev1.Pod{}
	if err := yaml.UnmarshalStrict(text, pod); err != nil {
		t.Fatal(err)
	}
	return pod
}

func podText(pod *corev1.Pod) string {
	text, err := json.Marshal(pod)
	if err != nil {
		return err.Error()
	}
	return string(text)
}
