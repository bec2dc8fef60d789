package policies_test

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"pgregory.net/rapid"

	"github.com/debugsidecar/debugsidecar/policies"
	"github.com/debugsidecar/debugsidecar/policies/facts"
)

// maybe draws from gen, or nil.
func maybe[T any](t *rapid.T, label string, gen *rapid.Generator[T]) *T {
	if !rapid.Bool().Draw(t, label+" set") {
		return nil
	}
	value := gen.Draw(t, label)
	return &value
}

func ptr[T any](value T) *T { return &value }

func some[T any](values ...T) *rapid.Generator[T] { return rapid.SampledFrom(values) }

var (
	capabilities = rapid.SliceOfN(some[corev1.Capability]("ALL", "NET_BIND_SERVICE", "CHOWN", "KILL", "SYS_ADMIN", "NET_RAW", "BPF", "all", "CAP_CHOWN", ""), 0, 3)
	userNumbers  = some[int64](0, 1, 1000, 65532)
	seccomps     = rapid.Custom(func(t *rapid.T) corev1.SeccompProfile {
		return corev1.SeccompProfile{Type: some[corev1.SeccompProfileType]("RuntimeDefault", "Localhost", "Unconfined", "").Draw(t, "seccomp")}
	})
	appArmors = rapid.Custom(func(t *rapid.T) corev1.AppArmorProfile {
		return corev1.AppArmorProfile{Type: some[corev1.AppArmorProfileType]("RuntimeDefault", "Localhost", "Unconfined", "").Draw(t, "apparmor")}
	})
	seLinuxes = rapid.Custom(func(t *rapid.T) corev1.SELinuxOptions {
		return corev1.SELinuxOptions{
			Type:  some("", "", "container_t", "container_engine_t", "spc_t").Draw(t, "type"),
			User:  some("", "", "system_u").Draw(t, "user"),
			Role:  some("", "", "system_r").Draw(t, "role"),
			Level: some("", "s0:c1,c2").Draw(t, "level"),
		}
	})
	windowses = rapid.Custom(func(t *rapid.T) corev1.WindowsSecurityContextOptions {
		return corev1.WindowsSecurityContextOptions{HostProcess: maybe(t, "hostProcess", rapid.Bool())}
	})
	contexts = rapid.Custom(func(t *rapid.T) corev1.SecurityContext {
		return corev1.SecurityContext{
			Privileged: maybe(t, "privileged", rapid.Bool()),
			Capabilities: maybe(t, "capabilities", rapid.Custom(func(t *rapid.T) corev1.Capabilities {
				return corev1.Capabilities{Add: capabilities.Draw(t, "add"), Drop: capabilities.Draw(t, "drop")}
			})),
			AllowPrivilegeEscalation: maybe(t, "escalation", rapid.Bool()),
			RunAsNonRoot:             maybe(t, "nonroot", rapid.Bool()),
			RunAsUser:                maybe(t, "user", userNumbers),
			SeccompProfile:           maybe(t, "seccomp", seccomps),
			AppArmorProfile:          maybe(t, "apparmor", appArmors),
			SELinuxOptions:           maybe(t, "selinux", seLinuxes),
			WindowsOptions:           maybe(t, "windows", windowses),
			ProcMount:                maybe(t, "procMount", some[corev1.ProcMountType]("Default", "Unmasked", "")),
		}
	})
	compliant = rapid.Just(corev1.SecurityContext{
		Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
		AllowPrivilegeEscalation: new(bool),
		RunAsNonRoot:             ptr(true),
		SeccompProfile:           &corev1.SeccompProfile{Type: "RuntimeDefault"},
	})
	handlerHosts = some("", "", "", "127.0.0.1", "example.com")
	handlers     = rapid.Custom(func(t *rapid.T) corev1.LifecycleHandler {
		port := intstr.FromInt32(80)
		return corev1.LifecycleHandler{
			HTTPGet: maybe(t, "http", rapid.Custom(func(t *rapid.T) corev1.HTTPGetAction {
				return corev1.HTTPGetAction{Host: handlerHosts.Draw(t, "host"), Port: port}
			})),
			TCPSocket: maybe(t, "tcp", rapid.Custom(func(t *rapid.T) corev1.TCPSocketAction {
				return corev1.TCPSocketAction{Host: handlerHosts.Draw(t, "host"), Port: port}
			})),
		}
	})
	probes = rapid.Custom(func(t *rapid.T) corev1.Probe {
		h := handlers.Draw(t, "probe")
		return corev1.Probe{ProbeHandler: corev1.ProbeHandler{HTTPGet: h.HTTPGet, TCPSocket: h.TCPSocket}}
	})
	containers = rapid.Custom(func(t *rapid.T) corev1.Container {
		c := corev1.Container{Name: some("app", "encoder", "proxy", "init").Draw(t, "name")}
		// Mostly compliant, or nearly every pod would be refused for many reasons.
		if rapid.IntRange(0, 3).Draw(t, "compliance") > 0 {
			c.SecurityContext = maybe(t, "context", compliant)
		} else {
			c.SecurityContext = maybe(t, "context", contexts)
		}
		if rapid.IntRange(0, 3).Draw(t, "ports") == 0 {
			c.Ports = []corev1.ContainerPort{{ContainerPort: 80, HostPort: some[int32](0, 0, 80, 8554).Draw(t, "hostPort")}}
		}
		if rapid.IntRange(0, 5).Draw(t, "probes") == 0 {
			c.LivenessProbe, c.ReadinessProbe, c.StartupProbe = maybe(t, "live", probes), maybe(t, "ready", probes), maybe(t, "start", probes)
			c.Lifecycle = maybe(t, "lifecycle", rapid.Custom(func(t *rapid.T) corev1.Lifecycle {
				return corev1.Lifecycle{PostStart: maybe(t, "postStart", handlers), PreStop: maybe(t, "preStop", handlers)}
			}))
		}
		return c
	})
	volumes = rapid.Custom(func(t *rapid.T) corev1.Volume {
		return corev1.Volume{Name: "v", VolumeSource: some(
			corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}},
			corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{}},
			corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{}},
			corev1.VolumeSource{Image: &corev1.ImageVolumeSource{}},
			corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/dev"}},
			corev1.VolumeSource{NFS: &corev1.NFSVolumeSource{}},
			corev1.VolumeSource{},
		).Draw(t, "source")}
	})
	sysctls = rapid.Custom(func(t *rapid.T) corev1.Sysctl {
		return corev1.Sysctl{Name: some("net.ipv4.tcp_rmem", "net.ipv4.tcp_notsent_lowat", "kernel.shm_rmid_forced", "kernel.msgmax", "").Draw(t, "sysctl")}
	})
	podContexts = rapid.Custom(func(t *rapid.T) corev1.PodSecurityContext {
		return corev1.PodSecurityContext{
			SELinuxOptions:  maybe(t, "selinux", seLinuxes),
			WindowsOptions:  maybe(t, "windows", windowses),
			RunAsUser:       maybe(t, "user", userNumbers),
			RunAsNonRoot:    maybe(t, "nonroot", rapid.Bool()),
			SeccompProfile:  maybe(t, "seccomp", seccomps),
			AppArmorProfile: maybe(t, "apparmor", appArmors),
			Sysctls:         rapid.SliceOfN(sysctls, 0, 2).Draw(t, "sysctls"),
		}
	})
	pods = rapid.Custom(func(t *rapid.T) *corev1.Pod {
		few := rapid.SliceOfN(containers, 0, 2)
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "pod"}}
		pod.Spec.Containers = rapid.SliceOfN(containers, 1, 2).Draw(t, "containers")
		pod.Spec.InitContainers = few.Draw(t, "init")
		for _, c := range few.Draw(t, "ephemeral") {
			pod.Spec.EphemeralContainers = append(pod.Spec.EphemeralContainers,
				corev1.EphemeralContainer{EphemeralContainerCommon: corev1.EphemeralContainerCommon(c)})
		}
		if rapid.Bool().Draw(t, "pod context") {
			pod.Spec.SecurityContext = maybe(t, "pod context", podContexts)
		}
		if rapid.IntRange(0, 5).Draw(t, "host namespaces") == 0 {
			pod.Spec.HostNetwork = rapid.Bool().Draw(t, "hostNetwork")
			pod.Spec.HostPID = rapid.Bool().Draw(t, "hostPID")
			pod.Spec.HostIPC = rapid.Bool().Draw(t, "hostIPC")
		}
		if rapid.IntRange(0, 2).Draw(t, "volumes") == 0 {
			pod.Spec.Volumes = rapid.SliceOfN(volumes, 0, 3).Draw(t, "volumes")
		}
		pod.Spec.HostUsers = maybe(t, "hostUsers", rapid.Bool())
		if os := some("", "", "linux", "windows").Draw(t, "os"); os != "" {
			pod.Spec.OS = &corev1.PodOS{Name: corev1.OSName(os)}
		}
		if rapid.IntRange(0, 5).Draw(t, "annotations") == 0 {
			pod.Annotations = map[string]string{
				some(
					"container.apparmor.security.beta.kubernetes.io/app",
					"seccomp.security.alpha.kubernetes.io/pod",
					"container.seccomp.security.alpha.kubernetes.io/app",
				).Draw(t, "annotation"): some("", "runtime/default", "localhost/x", "unconfined").Draw(t, "profile"),
			}
		}
		return pod
	})
)

func TestRandomPodsAreJudgedAsPodSecurityDoes(t *testing.T) {
	evaluator, reference := newEvaluator(t), newPodSecurity(t)
	counts := map[bool]int{}
	rapid.Check(t, func(r *rapid.T) {
		pod := pods.Draw(r, "pod")
		for _, level := range []policies.Level{policies.Baseline, policies.Restricted} {
			want := reference.refuses(level, pod)
			result := evaluate(t, evaluator, policies.Request{Modes: enforce(level), Pod: lean(t, pod)})
			if result.Denied() != (want != "") {
				r.Fatalf("at %s denied is %v, Pod Security says %q; violations: %+v", level, result.Denied(), want, result.Violations)
			}
			counts[result.Denied()]++
		}
	})
	if all := counts[true] + counts[false]; counts[true] < all/20 || counts[false] < all/20 {
		t.Errorf("the pods are one-sided: %d denied, %d allowed", counts[true], counts[false])
	}
	t.Logf("%d denied, %d allowed", counts[true], counts[false])
}

// FuzzEvaluate feeds pods in JSON to the rules and to Pod Security.
func FuzzEvaluate(f *testing.F) {
	for _, level := range []policies.Level{policies.Baseline, policies.Restricted} {
		for _, fixture := range latestFixtures(f, level) {
			text, err := json.Marshal(fixture.pod)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(text)
		}
	}
	evaluator, reference := newEvaluator(f), newPodSecurity(f)
	f.Fuzz(func(t *testing.T, text []byte) {
		pod := &corev1.Pod{}
		if json.Unmarshal(text, pod) != nil {
			return
		}
		for _, level := range []policies.Level{policies.Baseline, policies.Restricted} {
			want := reference.refuses(level, pod)
			result := evaluate(t, evaluator, policies.Request{Modes: enforce(level), Pod: lean(t, pod)})
			if want != "" && !result.Denied() {
				t.Errorf("at %s allowed, Pod Security says %q", level, want)
			}
			if want == "" && result.Denied() && !stricterOnPurpose(pod) {
				t.Errorf("at %s denied, Pod Security allows it: %+v", level, result.Violations)
			}
		}
	})
}

// stricterOnPurpose says whether our rules refuse what Pod Security doesn't look
// at: a second source in one volume, which no API server admits, and our prefix.
func stricterOnPurpose(pod *corev1.Pod) bool {
	if slices.ContainsFunc(pod.Spec.Volumes, hasTwoSources) {
		return true
	}
	names := []string{}
	for _, c := range slices.Concat(pod.Spec.Containers, pod.Spec.InitContainers) {
		names = append(names, c.Name)
	}
	for _, c := range pod.Spec.EphemeralContainers {
		names = append(names, c.Name)
	}
	return slices.ContainsFunc(names, func(name string) bool { return strings.HasPrefix(name, facts.ReservedPrefix) })
}

func hasTwoSources(volume corev1.Volume) bool {
	sources := reflect.ValueOf(volume.VolumeSource)
	set := 0
	for i := range sources.NumField() {
		if !sources.Field(i).IsNil() {
			set++
		}
	}
	return set > 1
}
