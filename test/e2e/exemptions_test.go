package e2e

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

const exempting = `
policy:
  parameters:
    exemptions:
      users: [exempt-ada]
      serviceAccounts: [exempt-by-name/deployer]
      namespaces: [exempt-by-name]
      runtimeClasses: [exempt-kata]
    namespaces:
      audited-rule: {rules: {capabilities: {mode: audit}}}
      trimmed: {capabilities: {trim: true, images: {registry.example/cameras/: [NET_RAW]}}}
`

// adding is a pod whose only container adds capabilities.
func adding(name string, capabilities ...corev1.Capability) *corev1.Pod {
	pod := greedy(name)
	pod.Spec.Containers[0].SecurityContext.Capabilities.Add = capabilities
	return pod
}

// as returns a client of a user who may do everything, and its warnings.
func as(t *testing.T, user string, groups ...string) (*kubernetes.Clientset, *warnings) {
	t.Helper()
	config := rest.CopyConfig(env.cluster.Config)
	config.Impersonate = rest.ImpersonationConfig{UserName: user, Groups: append(groups, "e2e-pod-makers")}
	seen := &warnings{}
	config.WarningHandler = seen
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return client, seen
}

func TestExemptionsAuditAndTrimmingThroughTheAPIServer(t *testing.T) {
	_, _, err := env.cluster.Kubectl(t.Context(), "", "create", "clusterrolebinding", "e2e-pod-makers", "--clusterrole=cluster-admin", "--group=e2e-pod-makers")
	if err != nil && !strings.Contains(err.Error(), "already exists") {
		t.Fatal(err)
	}
	_, err = env.client.NodeV1().RuntimeClasses().Create(t.Context(), &nodev1.RuntimeClass{ObjectMeta: metav1.ObjectMeta{Name: "exempt-kata"}, Handler: "kata"}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { upgradeBack() })
	upgrade(t, exempting)
	trimmed := namespaceNamed(t, "trimmed", map[string]string{enforceLabel: "baseline"})
	everywhere(t, "trimming is in force", func() error {
		pod, err := dryRun(t.Context(), trimmed, adding("probe", "SYS_ADMIN"))
		if err == nil && len(pod.Spec.Containers[0].SecurityContext.Capabilities.Add) > 0 {
			err = errors.New("nothing was taken")
		}
		return err
	})

	t.Run("a pod is trimmed and then admitted", func(t *testing.T) { trimsAPod(t, trimmed) })
	t.Run("so is an injected one", func(t *testing.T) {
		pod := adding("injected", "SYS_ADMIN", "CHOWN")
		pod.Labels = map[string]string{injectLabel: "video-probe"}
		pod = create(t, trimmed, pod)
		mustHaveSidecar(t, pod)
		if add := pod.Spec.Containers[0].SecurityContext.Capabilities.Add; !slices.Equal(add, []corev1.Capability{"CHOWN"}) {
			t.Errorf("it adds %v", add)
		}
	})
	t.Run("a new ephemeral container is trimmed", func(t *testing.T) { trimsADebugger(t, trimmed) })
	t.Run("a rule that only audits", auditsARule)
	t.Run("a namespace that only audits", auditsANamespace)
	t.Run("exemptions", exempts)
}

func trimsAPod(t *testing.T, ns string) {
	before := metricOfAll(t, `debugsidecar_policy_violations_total{action="trim",rule="capabilities"}`)
	pod := adding("app", "NET_RAW", "CHOWN", "SYS_ADMIN")
	pod.Spec.InitContainers = []corev1.Container{{Name: "camera", Image: "registry.example/cameras/probe:1", SecurityContext: &corev1.SecurityContext{
		Capabilities: &corev1.Capabilities{Add: []corev1.Capability{"NET_RAW"}, Drop: []corev1.Capability{"ALL"}},
	}}}
	pod = create(t, ns, pod)
	mustMention(t, env.warnings.take(), `took "NET_RAW", "SYS_ADMIN" from container "ingest"`)
	if add := pod.Spec.Containers[0].SecurityContext.Capabilities.Add; !slices.Equal(add, []corev1.Capability{"CHOWN"}) {
		t.Errorf("it adds %v", add)
	}
	if c := pod.Spec.InitContainers[0].SecurityContext.Capabilities; !slices.Equal(c.Add, []corev1.Capability{"NET_RAW"}) || len(c.Drop) != 1 {
		t.Errorf("its image may add NET_RAW, but it has %+v", c)
	}
	found := false
	for key, value := range audited(t, ns, "app") {
		found = found || strings.HasSuffix(key, ".trim.debugsidecar.io/trimmed") && strings.Contains(value, "SYS_ADMIN")
	}
	if !found {
		t.Errorf("the audit log says %v", audited(t, ns, "app"))
	}
	if now := metricOfAll(t, `debugsidecar_policy_violations_total{action="trim",rule="capabilities"}`); now < before+1 {
		t.Errorf("the metric went from %v to %v", before, now)
	}
}

func trimsADebugger(t *testing.T, ns string) {
	pod := create(t, ns, ingest("debugged", nil))
	debug := func(name string) *corev1.Pod {
		pod.Spec.EphemeralContainers = append(pod.Spec.EphemeralContainers, corev1.EphemeralContainer{EphemeralContainerCommon: corev1.EphemeralContainerCommon{
			Name: name, Image: "registry.example/tools:1",
			SecurityContext: &corev1.SecurityContext{Capabilities: &corev1.Capabilities{Add: []corev1.Capability{"SYS_PTRACE", "KILL"}}},
		}})
		out, err := env.client.CoreV1().Pods(ns).UpdateEphemeralContainers(t.Context(), pod.Name, pod, metav1.UpdateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	env.warnings.take()
	for i, name := range []string{"one", "two"} {
		pod = debug(name)
		if add := pod.Spec.EphemeralContainers[i].SecurityContext.Capabilities.Add; !slices.Equal(add, []corev1.Capability{"KILL"}) {
			t.Errorf("%s adds %v", name, add)
		}
		mustMention(t, env.warnings.take(), `took "SYS_PTRACE" from container "`+name+`"`)
	}
}

func auditsARule(t *testing.T) {
	ns := namespaceNamed(t, "audited-rule", map[string]string{enforceLabel: "baseline"})
	everywhere(t, "the namespace is known", func() error {
		pod := ingest("deniable", nil)
		pod.Spec.HostNetwork = true
		if _, err := dryRun(t.Context(), ns, pod); !apierrors.IsForbidden(err) {
			return errNotDenied
		}
		return nil
	})
	violatesAudit(t, ns, "enforce.pods.debugsidecar.io/violations")
}

func auditsANamespace(t *testing.T) {
	ns := namespaceNamed(t, "audited-namespace", map[string]string{"policy.debugsidecar.io/audit": "baseline"})
	violatesAudit(t, ns, "audit.warn-unset.enforce-unset.debugsidecar.io/violations")
}

func violatesAudit(t *testing.T, ns, annotation string) {
	const metric = `debugsidecar_policy_violations_total{action="audit",rule="capabilities"}`
	before := metricOfAll(t, metric)
	n := 0
	eventually(t, "the namespace's labels are known", func() error {
		n++
		name := fmt.Sprint("greedy-", n)
		create(t, ns, greedy(name))
		if w := env.warnings.take(); w != "" {
			t.Errorf("warned: %s", w)
		}
		said := audited(t, ns, name)
		if said[annotation] == "" {
			return fmt.Errorf("the audit log says %v", said)
		}
		mustMention(t, said[annotation], `container "ingest"`, "SYS_ADMIN", "to pass:")
		return nil
	})
	if now := metricOfAll(t, metric); now < before+1 {
		t.Errorf("the metric went from %v to %v", before, now)
	}
}

func exempts(t *testing.T) {
	ns := namespaceNamed(t, "not-exempt", map[string]string{enforceLabel: "baseline"})
	byName := namespaceNamed(t, "exempt-by-name", map[string]string{enforceLabel: "baseline"})
	classed := func(name string) *corev1.Pod {
		pod, class := greedy(name), "exempt-kata"
		pod.Spec.RuntimeClassName = &class
		return pod
	}
	everywhere(t, "the namespaces are known", func() error {
		for _, ns := range []string{ns, byName} {
			pod := ingest("forged", nil)
			pod.Spec.Containers[0].Name = sidecar
			if _, err := dryRun(t.Context(), ns, pod); !apierrors.IsForbidden(err) {
				return errNotDenied
			}
		}
		return nil
	})
	for _, c := range []struct {
		name      string
		ns        string
		user      string
		groups    []string
		pod       func(string) *corev1.Pod
		exemption string // empty: denied
	}{
		{"user", ns, "exempt-ada", nil, greedy, `exemptions.users has "exempt-ada"`},
		{"account", ns, "system:serviceaccount:exempt-by-name:deployer", []string{"system:serviceaccounts", "system:serviceaccounts:exempt-by-name"}, greedy, `exemptions.serviceAccounts has "exempt-by-name/deployer"`},
		{"namespace", byName, "carol", nil, greedy, `exemptions.namespaces has "exempt-by-name"`},
		{"class", ns, "carol", nil, classed, `exemptions.runtimeClasses has "exempt-kata"`},
		{"nobody", ns, "carol", nil, greedy, ""},
		{"letters", ns, "Exempt-ada", nil, greedy, ""},
		{"group", ns, "carol", []string{"exempt-ada"}, greedy, ""},
		{"groupless-account", ns, "system:serviceaccount:exempt-by-name:deployer", nil, greedy, ""},
		{"reserved", ns, "exempt-ada", nil, func(name string) *corev1.Pod {
			pod := greedy(name)
			pod.Spec.Containers[0].Name = sidecar
			return pod
		}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := metricOfAll(t, `debugsidecar_policy_exemptions_total{by="`+exemptionList(c.exemption)+`"}`)
			client, seen := as(t, c.user, c.groups...)
			_, err := client.CoreV1().Pods(c.ns).Create(t.Context(), c.pod(c.name), metav1.CreateOptions{})
			switch {
			case c.exemption == "" && !apierrors.IsForbidden(err):
				t.Fatalf("got %v, want a denial", err)
			case c.exemption == "":
				return
			case err != nil:
				t.Fatal(err)
			}
			mustMention(t, seen.take(), c.exemption, "otherwise it would be denied", "SYS_ADMIN")
			said := audited(t, c.ns, c.name)
			mustMention(t, said["enforce.pods.debugsidecar.io/exemption"], c.exemption)
			mustMention(t, said["enforce.pods.debugsidecar.io/exempted-violations"], "SYS_ADMIN")
			if now := metricOfAll(t, `debugsidecar_policy_exemptions_total{by="`+exemptionList(c.exemption)+`"}`); now < before+1 {
				t.Errorf("the metric went from %v to %v", before, now)
			}
		})
	}
}

// exemptionList is the parameter that an exemption is in.
func exemptionList(exemption string) string {
	_, list, _ := strings.Cut(exemption, ".")
	list, _, _ = strings.Cut(list, " ")
	return list
}
