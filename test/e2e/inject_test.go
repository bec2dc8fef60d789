package e2e

import (
	"errors"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestALabelledPodComesBackWithItsSidecar(t *testing.T) {
	ns := namespace(t, nil)
	pod := create(t, ns, labelled("ingest"))
	mustHaveSidecar(t, pod)
	if c := pod.Spec.InitContainers[0]; c.Name != sidecar || c.RestartPolicy == nil || *c.RestartPolicy != corev1.ContainerRestartPolicyAlways {
		t.Errorf("the sidecar is %s with restart policy %v, want a native one", c.Name, c.RestartPolicy)
	}
	mustMention(t, env.warnings.take(), "injected "+sidecar, "user tier, not kernel", "no grant")
	mustMention(t, pod.Annotations["debugsidecar.io/status"], `"profile":"video-probe"`, `"tier":"user"`)
}

func TestOptOut(t *testing.T) {
	ns := namespace(t, map[string]string{injectLabel: "video-probe"})
	mustNotHaveSidecar(t, create(t, ns, ingest("out", map[string]string{injectLabel: "disabled"})))
}

func TestANamespaceGivesTheDefaultAndAPodWins(t *testing.T) {
	ns := namespace(t, map[string]string{injectLabel: "debug"})
	pod := create(t, ns, ingest("plain", nil))
	mustHaveSidecar(t, pod)
	mustMention(t, pod.Spec.InitContainers[0].Name, "debugsidecar-debug")
	pod = create(t, ns, labelled("own"))
	mustHaveSidecar(t, pod)
	mustMention(t, pod.Spec.InitContainers[0].Name, sidecar)
}

func TestAPodThatNoLabelConcernsIsUntouched(t *testing.T) {
	ns := namespace(t, nil)
	pod := create(t, ns, ingest("plain", nil))
	mustNotHaveSidecar(t, pod)
	if w := env.warnings.take(); w != "" {
		t.Errorf("warned: %s", w)
	}
}

func TestKubeSystemIsLeftAlone(t *testing.T) {
	mustNotHaveSidecar(t, create(t, "kube-system", labelled("left-alone")))
}

func TestTheKernelTierComesWithAGrantOnly(t *testing.T) {
	for name, c := range map[string]struct {
		labels map[string]string
		pod    func(*corev1.Pod)
		tier   string
		why    string
	}{
		"granted":                               {nil, nil, "kernel", ""},
		"granted under restricted Pod Security": {map[string]string{"pod-security.kubernetes.io/enforce": "restricted"}, func(p *corev1.Pod) { restrict(p) }, "user", "Pod Security level restricted"},
		"granted under our level restricted":    {map[string]string{enforceLabel: "restricted"}, func(p *corev1.Pod) { restrict(p) }, "user", "our policy's level restricted"},
		"granted under our level baseline":      {map[string]string{enforceLabel: "baseline"}, nil, "kernel", ""},
		"granted with a user namespace":         {nil, func(p *corev1.Pod) { no := false; p.Spec.HostUsers = &no }, "user", "hostUsers"},
	} {
		t.Run(name, func(t *testing.T) {
			ns := namespaceOnce(t, "granted", c.labels)
			pod := labelled("ingest")
			if c.pod != nil {
				c.pod(pod)
			}
			var out *corev1.Pod
			everywhere(t, "the tier is "+c.tier, func() (err error) {
				env.warnings.take()
				if out, err = dryRun(t.Context(), ns, pod); err != nil {
					return err
				}
				if status := out.Annotations["debugsidecar.io/status"]; !strings.Contains(status, `"tier":"`+c.tier+`"`) {
					return errors.New(status)
				}
				return nil
			})
			mustHaveSidecar(t, out)
			mustMention(t, env.warnings.take(), c.why)
		})
	}
}

// restrict makes a pod pass Pod Security's level restricted.
func restrict(p *corev1.Pod) {
	yes, no := true, false
	p.Spec.SecurityContext = &corev1.PodSecurityContext{
		RunAsNonRoot:   &yes,
		SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
	}
	for i := range p.Spec.Containers {
		p.Spec.Containers[i].SecurityContext = &corev1.SecurityContext{
			AllowPrivilegeEscalation: &no,
			Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
		}
	}
}

// namespaceOnce makes a namespace of a fixed name, or relabels it.
func namespaceOnce(t *testing.T, name string, labels map[string]string) string {
	t.Helper()
	ns, err := env.client.CoreV1().Namespaces().Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		ns = &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}}
		if _, err := env.client.CoreV1().Namespaces().Create(t.Context(), ns, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	} else {
		ns.Labels = map[string]string{"kubernetes.io/metadata.name": name}
		for k, v := range labels {
			ns.Labels[k] = v
		}
		if _, err := env.client.CoreV1().Namespaces().Update(t.Context(), ns, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the namespace's labels everywhere", func() error {
		_, err := env.client.CoreV1().ServiceAccounts(name).Get(t.Context(), "default", metav1.GetOptions{})
		return err
	})
	settle()
	return name
}

func TestADryRunLeavesNothingBehind(t *testing.T) {
	ns := namespace(t, nil)
	const metric = `debugsidecar_injection_decisions_total{outcome="injected",profile="video-probe"}`
	before := metricOfAll(t, metric)
	pod, err := dryRun(t.Context(), ns, labelled("dry"))
	if err != nil {
		t.Fatal(err)
	}
	mustHaveSidecar(t, pod)
	if after := metricOfAll(t, metric); after != before {
		t.Errorf("a dry run was counted: %v, then %v", before, after)
	}
	create(t, ns, labelled("wet"))
	if after := metricOfAll(t, metric); after != before+1 {
		t.Errorf("a creation was not counted once: %v, then %v", before, after)
	}
}

func TestARestoredPodKeepsItsOneSidecar(t *testing.T) {
	ns := namespace(t, map[string]string{enforceLabel: "baseline"})
	for name, change := range map[string]func(*corev1.Pod){
		"burstable":  func(*corev1.Pod) {},
		"guaranteed": func(p *corev1.Pod) { p.Spec.Containers[0].Resources = exactly("100m", "64Mi") },
		"besteffort": func(p *corev1.Pod) { p.Spec.Containers[0].Resources = corev1.ResourceRequirements{} },
	} {
		t.Run(name, func(t *testing.T) {
			pod := labelled(name)
			change(pod)
			first := create(t, ns, pod)
			mustHaveSidecar(t, first)
			second := create(t, ns, restored(first, name+"-again"))
			mustHaveSidecar(t, second)
			if w := env.warnings.take(); w != "" {
				t.Errorf("the second time something was changed: %s", w)
			}
			if !equality.Semantic.DeepEqual(first.Spec.InitContainers, second.Spec.InitContainers) {
				t.Errorf("the sidecar changed:\n%+v\n%+v", first.Spec.InitContainers, second.Spec.InitContainers)
			}
			if first.Annotations["debugsidecar.io/status"] != second.Annotations["debugsidecar.io/status"] {
				t.Error("the status changed")
			}
		})
	}
}

func exactly(cpu, memory string) corev1.ResourceRequirements {
	list := corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpu), corev1.ResourceMemory: resource.MustParse(memory)}
	return corev1.ResourceRequirements{Requests: list, Limits: list}
}

func TestTheQOSClassStaysSaysTheAPIServer(t *testing.T) {
	ns := namespace(t, nil)
	cpuOnly := corev1.ResourceRequirements{Limits: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1")}}
	podLevel := exactly("1", "1Gi")
	for name, change := range map[string]func(*corev1.Pod){
		"burstable":  func(*corev1.Pod) {},
		"guaranteed": func(p *corev1.Pod) { p.Spec.Containers[0].Resources = exactly("100m", "64Mi") },
		"besteffort": func(p *corev1.Pod) { p.Spec.Containers[0].Resources = corev1.ResourceRequirements{} },
		"limit-only": func(p *corev1.Pod) { p.Spec.Containers[0].Resources = cpuOnly },
		"pod-level-guaranteed": func(p *corev1.Pod) {
			p.Spec.Containers[0].Resources = corev1.ResourceRequirements{}
			p.Spec.Resources = &podLevel
		},
	} {
		t.Run(name, func(t *testing.T) {
			without := ingest(name+"-without", nil)
			change(without)
			with := labelled(name + "-with")
			change(with)
			want := create(t, ns, without).Status.QOSClass
			got := create(t, ns, with)
			mustHaveSidecar(t, got)
			if got.Status.QOSClass != want {
				t.Errorf("it is %s with the sidecar and %s without", got.Status.QOSClass, want)
			}
		})
	}
}

func TestALimitRangeOrQuotaNeverRefusesAPodBecauseOfItsSidecar(t *testing.T) {
	ns := namespace(t, nil)
	lists := func(cpu string) corev1.ResourceList {
		return corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpu)}
	}
	quota := &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Name: "tight"}, Spec: corev1.ResourceQuotaSpec{
		Hard: corev1.ResourceList{corev1.ResourceRequestsCPU: resource.MustParse("120m")}}}
	if _, err := env.client.CoreV1().ResourceQuotas(ns).Create(t.Context(), quota, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the quota's status", func() error { return quotaCounted(t.Context(), ns) })
	without := func(ns string) func() error {
		return func() error {
			pod, err := dryRun(t.Context(), ns, labelled("first"))
			if err == nil && sidecars(pod) > 0 {
				err = errors.New("a sidecar came")
			}
			return err
		}
	}
	everywhere(t, "the quota is known", without(ns))
	pod := create(t, ns, labelled("first"))
	mustNotHaveSidecar(t, pod)
	mustMention(t, env.warnings.take(), "no sidecar", "ResourceQuota tight")

	other := namespaceNamed(t, ns+"-limits", nil)
	limits := &corev1.LimitRange{ObjectMeta: metav1.ObjectMeta{Name: "tight"}, Spec: corev1.LimitRangeSpec{
		Limits: []corev1.LimitRangeItem{{Type: corev1.LimitTypeContainer, Min: lists("90m"), DefaultRequest: lists("100m")}}}}
	if _, err := env.client.CoreV1().LimitRanges(other).Create(t.Context(), limits, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	everywhere(t, "the limits are known", without(other))
	pod = create(t, other, labelled("first"))
	mustNotHaveSidecar(t, pod)
	mustMention(t, env.warnings.take(), "no sidecar", "LimitRange tight")
}
