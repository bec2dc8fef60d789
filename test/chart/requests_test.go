package chart

import (
	"errors"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/debugsidecar/debugsidecar/test/cluster"
)

func newPod(namespace, name string, labels map[string]string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: labels},
		Spec:       podSpec(),
	}
}

func podSpec() corev1.PodSpec {
	return corev1.PodSpec{Containers: []corev1.Container{{
		Name: "main", Image: "registry.example/camera",
		Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("10m")}},
	}}}
}

func newDeployment(namespace, name string) *appsv1.Deployment {
	l := map[string]string{"app": name}
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: appsv1.DeploymentSpec{
			Selector: &metav1.LabelSelector{MatchLabels: l},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: l}, Spec: podSpec()},
		},
	}
}

// waitForWebhooks returns when the API server asks r about pods of the
// namespace, for which every pod with the label inject must be sent.
func waitForWebhooks(t *testing.T, c *cluster.Cluster, r *recorder, namespace, path string) {
	t.Helper()
	eventually(t, "the webhooks take effect", func() error {
		err := user(t, c, "").Create(t.Context(), newPod(namespace, "probe", map[string]string{injectLabel: "debug"}), client.DryRunAll)
		if seen := r.take(namespace); err == nil && slices.ContainsFunc(seen, func(s string) bool { return strings.HasPrefix(s, path) }) {
			return nil
		}
		return errors.Join(err, errors.New("not asked yet"))
	})
}

func TestAPIServerAsksOnlyAboutPodsThatALabelConcerns(t *testing.T) {
	c := realCluster(t)
	r := newRecorder(t)
	install(t, c, "asking", r.values())
	admin := user(t, c, "")
	label := func(v string) map[string]string { return map[string]string{injectLabel: v} }
	for name, labels := range map[string]map[string]string{
		"ask-none": nil, "ask-disabled": label("disabled"), "ask-inject": label("video-probe"),
		"ask-enforce": {policyLabel + "enforce": "baseline"}, "ask-warn": {policyLabel + "warn": "baseline"},
		"ask-both": {injectLabel: "debug", policyLabel + "enforce": "restricted", policyLabel + "warn": "baseline"},
	} {
		makeNamespace(t, c, name, labels)
	}
	waitForWebhooks(t, c, r, "ask-none", "/mutate")
	waitForWebhooks(t, c, r, "ask-enforce", "/validate")

	const mutate, validate = "/mutate CREATE pods", "/validate CREATE pods"
	for _, p := range []struct {
		namespace string
		labels    map[string]string
		want      []string
	}{
		{"ask-none", nil, nil},
		{"ask-none", label("debug"), []string{mutate}},
		{"ask-none", label("disabled"), nil},
		{"ask-disabled", nil, nil},
		{"ask-disabled", label("debug"), []string{mutate}},
		{"ask-inject", nil, []string{mutate}},
		{"ask-inject", label("debug"), []string{mutate}},
		{"ask-inject", label("disabled"), nil},
		{"ask-enforce", nil, []string{validate}},
		{"ask-enforce", label("disabled"), []string{validate}},
		{"ask-warn", nil, []string{validate}},
		{"ask-both", nil, []string{mutate, validate}},
		{"kube-system", label("debug"), nil},
		{"asking", label("debug"), nil},
	} {
		err := admin.Create(t.Context(), newPod(p.namespace, "pod", p.labels), client.DryRunAll)
		var asked []string
		for _, s := range r.take(p.namespace) {
			asked = append(asked, strings.TrimSuffix(s, " pod"))
		}
		if err != nil || !slices.Equal(asked, p.want) {
			t.Errorf("%s %v: asked %q, want %q (%v)", p.namespace, p.labels, asked, p.want, err)
		}
	}
}

func TestEveryWayToChangeAPodsContainersIsJudged(t *testing.T) {
	c := realCluster(t)
	r := newRecorder(t)
	install(t, c, "ways", r.values())
	makeNamespace(t, c, "ways-enforce", map[string]string{policyLabel + "enforce": "baseline"})
	waitForWebhooks(t, c, r, "ways-enforce", "/validate")
	admin := user(t, c, "")
	pod := newPod("ways-enforce", "pod", nil)
	pod.Finalizers = []string{"example.com/hold"}

	check := func(what string, err error, want ...string) {
		t.Helper()
		if seen := r.take("ways-enforce"); err != nil || !slices.Equal(seen, want) {
			t.Errorf("%s: asked %q, want %q (%v)", what, seen, want, err)
		}
	}
	check("create", admin.Create(t.Context(), pod), "/validate CREATE pods pod")

	pod.Spec.Containers[0].Image = "registry.example/other"
	check("update", admin.Update(t.Context(), pod), "/validate UPDATE pods pod")

	debug := pod.DeepCopy()
	debug.Spec.EphemeralContainers = []corev1.EphemeralContainer{{EphemeralContainerCommon: corev1.EphemeralContainerCommon{
		Name: "shell", Image: "registry.example/shell", TerminationMessagePolicy: corev1.TerminationMessageReadFile, ImagePullPolicy: corev1.PullAlways,
	}}}
	check("kubectl debug", admin.SubResource("ephemeralcontainers").Update(t.Context(), debug), "/mutate UPDATE pods/ephemeralcontainers pod", "/validate UPDATE pods/ephemeralcontainers pod")

	bigger := debug.DeepCopy()
	bigger.Spec.Containers[0].Resources.Requests[corev1.ResourceCPU] = resource.MustParse("20m")
	check("resize", admin.SubResource("resize").Update(t.Context(), bigger), "/validate UPDATE pods/resize pod")

	running := bigger.DeepCopy()
	running.Status.Message = "a report of the kubelet"
	check("status", admin.Status().Update(t.Context(), running))

	check("delete", admin.Delete(t.Context(), running, client.GracePeriodSeconds(0)))
	if err := admin.Get(t.Context(), client.ObjectKeyFromObject(pod), pod); err != nil || pod.DeletionTimestamp == nil {
		t.Fatalf("the pod is not waiting for its finalizer: %v", err)
	}
	pod.Finalizers = nil
	check("remove the finalizer", admin.Update(t.Context(), pod))
	eventually(t, "deletion", func() error { return gone(t, c, pod) })
}

func TestWorkloadsAreJudgedWhereSomebodyReadsTheWarning(t *testing.T) {
	c := realCluster(t)
	r := newRecorder(t)
	install(t, c, "work", r.values())
	admin := user(t, c, "")
	for ns, label := range map[string]string{"work-enforce": "enforce", "work-warn": "warn", "work-audit": "audit"} {
		makeNamespace(t, c, ns, map[string]string{policyLabel + label: "restricted"})
		waitForWebhooks(t, c, r, ns, "/validate")

		job := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "job"}, Spec: batchv1.JobSpec{Template: corev1.PodTemplateSpec{Spec: podSpec()}}}
		job.Spec.Template.Spec.RestartPolicy = corev1.RestartPolicyNever
		for _, o := range []client.Object{newDeployment(ns, "web"), job} {
			if err := admin.Create(t.Context(), o); err != nil {
				t.Fatal(err)
			}
		}
		var seen []string
		eventually(t, "the controllers make pods", func() error {
			seen = append(seen, r.take(ns)...)
			pods := &corev1.PodList{}
			if err := admin.List(t.Context(), pods, client.InNamespace(ns)); err != nil || len(pods.Items) < 2 {
				return errors.Join(err, errors.New("too few pods"))
			}
			return nil
		})
		seen = append(seen, r.take(ns)...)
		for _, want := range []string{"/validate CREATE deployments web", "/validate CREATE jobs job", "/validate CREATE pods "} {
			if !slices.ContainsFunc(seen, func(s string) bool { return strings.HasPrefix(s, want) }) {
				t.Errorf("%s: not asked %q, only %q", ns, want, seen)
			}
		}
		if slices.ContainsFunc(seen, func(s string) bool { return strings.Contains(s, "replicasets") }) {
			t.Errorf("%s: asked about what a controller made: %q", ns, seen)
		}
	}
	// A ReplicaSet that a person writes is judged.
	own := &appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{Namespace: "work-warn", Name: "own"}}
	d := newDeployment("", "own")
	own.Spec = appsv1.ReplicaSetSpec{Selector: d.Spec.Selector, Template: d.Spec.Template}
	r.take("work-warn")
	if err := admin.Create(t.Context(), own, client.DryRunAll); err != nil {
		t.Fatal(err)
	}
	if seen := r.take("work-warn"); !slices.Equal(seen, []string{"/validate CREATE replicasets own"}) {
		t.Errorf("asked %q", seen)
	}
}

func TestWebhookThatIsDownStopsOnlyPodsWhereALevelIsEnforced(t *testing.T) {
	c := realCluster(t)
	install(t, c, "down", outside)
	makeNamespace(t, c, "down-enforce", map[string]string{policyLabel + "enforce": "baseline", injectLabel: "debug"})
	makeNamespace(t, c, "down-warn", map[string]string{policyLabel + "warn": "baseline", policyLabel + "enforce": "off", injectLabel: "debug"})
	admin := user(t, c, "")
	eventually(t, "the webhooks take effect", func() error {
		if err := admin.Create(t.Context(), newPod("down-enforce", "pod", nil), client.DryRunAll); err == nil || !strings.Contains(err.Error(), "enforce.pods.debugsidecar.io") {
			return errors.Join(err, errors.New("the pod is not refused"))
		}
		return nil
	})
	for what, o := range map[string]client.Object{
		"pod where a level warns":              newPod("down-warn", "pod", nil),
		"pod that wants a sidecar":             newPod("default", "pod", map[string]string{injectLabel: "debug"}),
		"workload where a level is enforced":   newDeployment("down-enforce", "web"),
		"pod in kube-system":                   newPod("kube-system", "pod", map[string]string{injectLabel: "debug"}),
		"pod of the webhook itself":            newPod("down", "pod", map[string]string{injectLabel: "debug"}),
		"anything else where it is enforced":   &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "down-enforce", Name: "map"}},
		"namespace without labels of policies": &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "down-new"}},
	} {
		if err := admin.Create(t.Context(), o, client.DryRunAll); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}
