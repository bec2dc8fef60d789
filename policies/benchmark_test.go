package policies_test

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
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

// completeParameters are those of many namespaces, each with a range of SELinux
// levels of its own. The rule about host namespaces is off, so that a pod may
// have them and pass.
func completeParameters(t testing.TB, namespaces int) *policies.Parameters {
	t.Helper()
	var text strings.Builder
	text.WriteString(`
capabilities: {images: {registry.example/video/: [NET_RAW]}}
selinux: {allowedUsers: [system_u], allowedRoles: [system_r], rangeFromOpenShift: true}
hostPorts: {allowed: [8554, 30000-30100]}
sysctls: {allowed: [net.core.somaxconn]}
rules: {host-namespaces: {mode: off}}
namespaces:
`)
	for i := range namespaces {
		fmt.Fprintf(&text, "  %s:\n    selinux: {range: 's0:c%d,c%d'}\n    hostPorts: {allowed: [8554]}\n", namespaceOf(i), i%1023, i%1023+1)
	}
	parameters, err := policies.ParseParameters([]byte(text.String()))
	if err != nil {
		t.Fatal(err)
	}
	return parameters
}

func namespaceOf(i int) string { return fmt.Sprintf("cameras-%d", i) }

// completePod is the pod of real life with an ephemeral container, all host
// namespaces, and SELinux options whose level is in its namespace's range.
func completePod(t testing.TB, namespace int) *facts.Pod {
	t.Helper()
	pod := ingestPod(t)
	pod.Spec.EphemeralContainers = podOf(t, `
spec:
  ephemeralContainers:
  - name: debugger
    image: registry.example/debug:1
    targetContainerName: rtsp
    securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
`).Spec.EphemeralContainers
	pod.Spec.HostNetwork, pod.Spec.HostPID, pod.Spec.HostIPC = true, true, true
	pod.Spec.SecurityContext.SELinuxOptions = &corev1.SELinuxOptions{
		Type: "container_t", Level: fmt.Sprintf("s0:c%d,c%d", namespace%1023, namespace%1023+1),
	}
	return pod
}

// fullPod is completePod with every other kind of fact that passes.
func fullPod(t testing.TB, namespace int) *facts.Pod {
	t.Helper()
	pod := completePod(t, namespace)
	context := pod.Spec.EphemeralContainers[0].SecurityContext
	context.Privileged, context.ProcMount = new(bool), ptr(corev1.DefaultProcMount)
	context.Capabilities.Add = []corev1.Capability{"NET_BIND_SERVICE"}
	context.AppArmorProfile = &corev1.AppArmorProfile{Type: "RuntimeDefault"}
	pod.Spec.SecurityContext.Sysctls = []corev1.Sysctl{{Name: "net.core.somaxconn"}, {Name: "net.ipv4.tcp_syncookies"}}
	pod.Spec.SecurityContext.SELinuxOptions.User, pod.Spec.SecurityContext.SELinuxOptions.Role = "system_u", "system_r"
	pod.Spec.SecurityContext.WindowsOptions = &corev1.WindowsSecurityContextOptions{HostProcess: new(bool)}
	pod.Spec.Containers[0].Ports[0].HostPort = 8554
	pod.Metadata.Annotations["container.apparmor.security.beta.kubernetes.io/rtsp"] = "runtime/default"
	return pod
}

// requestIn is the request for what pod makes, in the last of the namespaces.
func requestIn(t testing.TB, namespaces int, pod func(testing.TB, int) *facts.Pod) policies.Request {
	t.Helper()
	return policies.Request{
		Namespace: namespaceOf(namespaces - 1),
		Modes:     policies.Modes{Enforce: policies.Restricted, Warn: policies.Restricted, Audit: policies.Restricted},
		Pod:       pod(t, namespaces-1),
	}
}

func newComplete(t testing.TB, namespaces int) *policies.Evaluator {
	t.Helper()
	evaluator := newEvaluator(t)
	evaluator.SetParameters(completeParameters(t, namespaces))
	return evaluator
}

// What judging a pod may allocate, without the race detector: that makes OPA's
// pools forget at random.
const (
	maxAllocations     = 260 // of completePod
	maxAllocationsFull = 360 // of fullPod
)

func TestJudgingAPodAllocatesLittleWithAnyNumberOfNamespaces(t *testing.T) {
	slack := 0.0
	if raceEnabled {
		slack = 100
	}
	for _, namespaces := range []int{1, 1000} {
		evaluator := newComplete(t, namespaces)
		for _, c := range []struct {
			name   string
			pod    func(testing.TB, int) *facts.Pod
			atMost int
		}{{"complete", completePod, maxAllocations}, {"full", fullPod, maxAllocationsFull}} {
			request := requestIn(t, namespaces, c.pod)
			if result := evaluate(t, evaluator, request); len(result.Violations) != 0 {
				t.Fatalf("%s: the pod is refused: %+v", c.name, result.Violations)
			}
			got := testing.AllocsPerRun(50, func() {
				if _, err := evaluator.Evaluate(t.Context(), request); err != nil {
					t.Error(err)
				}
			})
			t.Logf("%s: %.0f allocations with parameters for %d namespaces", c.name, got, namespaces)
			if got > float64(c.atMost)+slack {
				t.Errorf("%s: %.0f allocations with parameters for %d namespaces, at most %d are allowed", c.name, got, namespaces, c.atMost)
			}
		}
	}
}

func TestTheFullPodHasEveryKindOfFactThatPasses(t *testing.T) {
	missing := map[facts.Kind]string{
		facts.ReservedNames:       "is refused",
		facts.ProbeHosts:          "is refused",
		facts.CapabilitiesGranted: "is refused at restricted",
		facts.CapabilitiesOfImage: "is refused at restricted",
	}
	found := map[facts.Kind]bool{}
	facts.Of(fullPod(t, 0), facts.Environment{}).All(func(fact facts.Fact) bool {
		found[fact.Kind] = true
		return true
	})
	for _, kind := range facts.Kinds() {
		if found[kind] == (missing[kind] != "") {
			t.Errorf("%s: found is %v, missing because it %s", kind, found[kind], missing[kind])
		}
	}
}

func BenchmarkEvaluate(b *testing.B) {
	denied := ingestPod(b)
	yes := true
	denied.Spec.Containers[1].SecurityContext.Privileged = &yes
	denied.Spec.HostNetwork = true
	run := func(name string, evaluator *policies.Evaluator, request policies.Request) {
		b.Run(name, func(b *testing.B) {
			ctx := b.Context()
			b.ReportAllocs()
			before := cpuTime()
			for b.Loop() {
				if _, err := evaluator.Evaluate(ctx, request); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64((cpuTime()-before).Nanoseconds())/float64(b.N), "cpu-ns/op")
		})
	}
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
		run(bench.name, newEvaluator(b), policies.Request{Namespace: "cameras", Modes: enforce(bench.level), Pod: bench.pod})
	}
	for _, namespaces := range []int{1, 10, 100, 1000} {
		run(fmt.Sprintf("complete/%d-namespaces", namespaces), newComplete(b, namespaces), requestIn(b, namespaces, completePod))
	}
	run("full", newComplete(b, 1), requestIn(b, 1, fullPod))
}

// cpuTime is the processor time that this process has had, in all its threads,
// the garbage collector's included.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func BenchmarkNew(b *testing.B) {
	for b.Loop() {
		if _, err := policies.New(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}
