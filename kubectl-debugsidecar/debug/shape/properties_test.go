package shape

import (
	"reflect"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
	"pgregory.net/rapid"

	"github.com/debugsidecar/debugsidecar/kubectl-debugsidecar/debug/internal/genpod"
)

// allowed are the fields of an ephemeral container that may be set, of those that
// the API server permits.
var allowed = map[string]bool{
	"Name": true, "Image": true, "Command": true, "Args": true, "Env": true, "VolumeMounts": true, "TerminationMessagePolicy": true,
	"ImagePullPolicy": true, "SecurityContext": true, "Stdin": true, "TTY": true,
}

var genNamespace = rapid.Custom(func(t *rapid.T) Namespace {
	ns := Namespace{Known: rapid.Bool().Draw(t, "known"), Labels: map[string]string{}}
	for _, label := range []string{enforce, "policy.debugsidecar.io/enforce"} {
		if level := rapid.SampledFrom([]string{"", "", "privileged", "off", "baseline", "restricted"}).Draw(t, label); level != "" {
			ns.Labels[label] = level
		}
	}
	return ns
})

func TestEveryCandidate(t *testing.T) { rapid.Check(t, everyCandidate) }

func FuzzEveryCandidate(f *testing.F) { f.Fuzz(rapid.MakeFuzz(everyCandidate)) }

func everyCandidate(t *rapid.T) {
	pod := genpod.Pod.Draw(t, "pod")
	ns := genNamespace.Draw(t, "namespace")
	o := options()
	o.Target = genpod.Target(t, pod)
	o.Profile = rapid.SampledFrom(append(Profiles(), "", "", "")).Draw(t, "profile")
	before, asked := pod.DeepCopy(), o
	p, err := Of(t.Context(), pod, ns, o)
	if diff := cmp.Diff(before, pod); diff != "" {
		t.Fatalf("the pod changed: %s", diff)
	}
	if diff := cmp.Diff(asked, o); diff != "" {
		t.Fatalf("the options changed: %s", diff)
	}
	if pod.Spec.HostPID != (err != nil) {
		t.Fatalf("hostPID %v, error %v", pod.Spec.HostPID, err)
	}
	if err != nil {
		return
	}
	again, err := Of(t.Context(), pod.DeepCopy(), ns, o)
	if diff := cmp.Diff(p, again); err != nil || diff != "" {
		t.Fatalf("the same gave another plan: %v %s", err, diff)
	}
	all := p.Candidates
	for _, r := range p.Refused {
		if len(r.Denials) == 0 || !ns.Known {
			t.Fatalf("%s is refused by nobody", r.Profile)
		}
		all = append(all, r.Candidate)
	}
	if len(all) == 0 {
		t.Fatal("neither a candidate nor a refusal")
	}
	for i := range p.Candidates {
		if i > 0 && rank(p.Candidates[i].Profile) >= rank(p.Candidates[i-1].Profile) {
			t.Fatal("the highest is not first")
		}
	}
	for i := range all {
		checkCandidate(t, pod, &all[i])
	}
}

func rank(p Profile) int {
	for i, other := range Profiles() {
		if p == other {
			return i
		}
	}
	return -1
}

func checkCandidate(t *rapid.T, pod *corev1.Pod, c *Candidate) {
	common := reflect.ValueOf(c.Container.EphemeralContainerCommon)
	for i := range common.NumField() {
		if name := common.Type().Field(i).Name; !allowed[name] && !common.Field(i).IsZero() {
			t.Fatalf("%s has %s", c.Profile, name)
		}
	}
	for _, m := range c.Container.VolumeMounts {
		if m.SubPath != "" || m.SubPathExpr != "" || strings.HasPrefix(m.Name, "debugsidecar-") || m.Name == "token" || m.MountPath == "/usr" ||
			m.MountPropagation != nil && *m.MountPropagation == corev1.MountPropagationBidirectional && c.Profile != SysAdmin {
			t.Fatalf("%s mounts %+v", c.Profile, m)
		}
	}
	for _, text := range c.LeavesOut {
		if strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Fatalf("a terminal could take this for a command: %q", text)
		}
	}
	sc := c.Container.SecurityContext
	if isTrue(sc.Privileged) != (c.Profile == SysAdmin) || adds(sc, "NET_ADMIN") && c.Profile != NetAdmin || adds(sc, "SYS_PTRACE") && c.Profile != NetAdmin && c.Profile != General {
		t.Fatalf("%s has %+v", c.Profile, sc)
	}
	for _, add := range []corev1.Capability{"ALL", "SYS_ADMIN", "DAC_READ_SEARCH", "BPF", "PERFMON"} {
		if adds(sc, add) {
			t.Fatalf("%s has %s", c.Profile, add)
		}
	}
	level := api.Level(c.Profile)
	if c.Profile != Restricted && c.Profile != Baseline {
		level = api.LevelPrivileged
	}
	if why := levelProblem(pod, &c.Container, level); why != "" {
		t.Fatalf("a candidate of profile %s does not pass its level: %s", c.Profile, why)
	}
	if (c.Profile == General || c.Profile == NetAdmin || c.Profile == SysAdmin) && levelProblem(pod, &c.Container, api.LevelBaseline) == "" {
		t.Fatalf("a candidate of profile %s passes baseline", c.Profile)
	}
}

// levelProblem says why a container would not pass a level in a pod that has
// nothing else, but what the container does not say itself.
func levelProblem(pod *corev1.Pod, c *corev1.EphemeralContainer, level api.Level) string {
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		return err.Error()
	}
	alone := corev1.Container(c.EphemeralContainerCommon)
	alone.SecurityContext = effective(pod, &alone)
	spec := &corev1.PodSpec{OS: pod.Spec.OS, Containers: []corev1.Container{alone}}
	r := policy.AggregateCheckResults(evaluator.EvaluatePod(api.LevelVersion{Level: level, Version: api.LatestVersion()}, &metav1.ObjectMeta{}, spec))
	if r.Allowed {
		return ""
	}
	return r.ForbiddenDetail()
}
