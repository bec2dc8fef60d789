package chart

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	admission "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Each combination of the values that could change what is registered.
func TestNothingIsRegisteredButWhatIsJudgedWhateverTheValues(t *testing.T) {
	t.Parallel()
	pods := []string{"CREATE /pods", "UPDATE /pods", "UPDATE /pods/ephemeralcontainers", "UPDATE /pods/resize"}
	var workloads []string
	for _, w := range []string{"apps/daemonsets", "apps/deployments", "apps/replicasets", "apps/statefulsets", "batch/cronjobs", "batch/jobs"} {
		workloads = append(workloads, "CREATE "+w, "UPDATE "+w)
	}
	entering := []string{"CONNECT /pods/attach", "CONNECT /pods/exec", "UPDATE /pods/ephemeralcontainers"}
	for _, level := range []string{"off", "baseline", "restricted"} {
		for _, grants := range []string{"[]", "[{namespace: video, profiles: [full]}]", `[{namespace: video, profiles: [full], exec: {groups: [a]}}, {namespace: "1", profiles: [full]}]`} {
			for _, where := range []string{"{}", `{url: "https://localhost:9443"}`} {
				values := fmt.Sprintf("{policy: {default: %q}, grants: %s, external: %s, excludedNamespaces: [storage]}", level, grants, where)
				objects := render(t, values)
				var granted []string
				for _, e := range mutating(only[*admission.MutatingWebhookConfiguration](t, objects)) {
					if e.name == "ephemeral.session.debugsidecar.io" {
						registers(t, values, e, "UPDATE /pods/ephemeralcontainers")
						continue
					}
					registers(t, values, e, "CREATE /pods")
				}
				for _, e := range validating(only[*admission.ValidatingWebhookConfiguration](t, objects)) {
					switch {
					case e.name == selfProbe:
						registers(t, values, e, "CREATE /configmaps")
					case e.name == kernelTier:
						registers(t, values, e, entering...)
						granted = namespacesOf(e)
					case e.name == "enforce.pods.debugsidecar.io":
						registers(t, values, e, pods...)
					case e.name == "enforce.workloads.debugsidecar.io":
						registers(t, values, e, workloads...)
					default:
						registers(t, values, e, append(slices.Clone(pods), workloads...)...)
					}
				}
				want := map[string][]string{"[]": nil, "[{namespace: video, profiles: [full]}]": {"video"}}[grants]
				if strings.Contains(grants, "exec") {
					want = []string{"video", "1"}
				}
				if !slices.Equal(granted, want) {
					t.Errorf("%s: who gets into the kernel tier is asked for namespaces %v, want %v", values, granted, want)
				}
			}
		}
	}
}

// registers fails the test unless the entry asks for exactly that.
func registers(t *testing.T, values string, e entry, want ...string) {
	t.Helper()
	var asks []string
	for _, r := range e.rules {
		for _, o := range r.Operations {
			for _, g := range r.APIGroups {
				for _, res := range r.Resources {
					asks = append(asks, fmt.Sprintf("%s %s/%s", o, g, res))
				}
			}
		}
	}
	slices.Sort(asks)
	slices.Sort(want)
	if !slices.Equal(asks, want) {
		t.Errorf("%s: %s asks for %v, want %v", values, e.name, asks, want)
	}
}

// namespacesOf are those that an entry takes by their names.
func namespacesOf(e entry) []string {
	for _, r := range e.namespaces.MatchExpressions {
		if r.Key == nameLabel && r.Operator == metav1.LabelSelectorOpIn {
			return r.Values
		}
	}
	return nil
}

// A webhook that is down keeps people out of our containers, and of nothing else.
func TestWebhookThatIsDownKeepsPeopleOutOfNothingButOurContainers(t *testing.T) {
	c := realCluster(t)
	install(t, c, "shut", outside+"grants: [{namespace: shut-granted, profiles: [full]}]\n")
	makeNamespace(t, c, "shut-granted", nil)
	makeNamespace(t, c, "shut-other", nil)
	admin := user(t, c, "")
	clients, err := kubernetes.NewForConfig(c.Config)
	if err != nil {
		t.Fatal(err)
	}
	connect := func(namespace, way, container string) error {
		request := clients.CoreV1().RESTClient().Post().Namespace(namespace).Resource("pods").Name("pod").SubResource(way).Param("stdout", "true")
		if way == "exec" {
			request = request.Param("command", "true")
		}
		if container != "" {
			request = request.Param("container", container)
		}
		return request.Do(t.Context()).Error()
	}
	shut := func(err error) bool { return err != nil && strings.Contains(err.Error(), kernelTier) }
	for _, ns := range []string{"shut-granted", "shut-other"} {
		pod := newPod(ns, "pod", nil)
		eventually(t, "a pod", func() error { return client.IgnoreAlreadyExists(admin.Create(t.Context(), pod)) })
	}
	eventually(t, "the webhook takes effect", func() error {
		if err := connect("shut-granted", "exec", "debugsidecar-full"); !shut(err) {
			return errors.Join(err, errors.New("not asked"))
		}
		return nil
	})
	for _, way := range []string{"exec", "attach"} {
		for _, open := range []struct{ namespace, container string }{{"shut-granted", "main"}, {"shut-other", "main"}, {"shut-other", "debugsidecar-full"}, {"shut-other", ""}} {
			// There is no node, and that is what the API server says then.
			if err := connect(open.namespace, way, open.container); shut(err) {
				t.Errorf("%s %+v: %v", way, open, err)
			}
		}
		for _, closed := range []string{"debugsidecar-full", ""} {
			if err := connect("shut-granted", way, closed); !shut(err) {
				t.Errorf("%s into %q: %v", way, closed, err)
			}
		}
	}
	debug := func(namespace, target string) error {
		pod := &corev1.Pod{}
		if err := admin.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: "pod"}, pod); err != nil {
			t.Fatal(err)
		}
		pod.Spec.EphemeralContainers = []corev1.EphemeralContainer{{
			TargetContainerName:      target,
			EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: "shell", Image: "registry.example/shell:1", TerminationMessagePolicy: corev1.TerminationMessageReadFile},
		}}
		return admin.SubResource("ephemeralcontainers").Update(t.Context(), pod, &client.SubResourceUpdateOptions{UpdateOptions: client.UpdateOptions{DryRun: []string{metav1.DryRunAll}}})
	}
	for namespace, target := range map[string]string{"shut-granted": "main", "shut-other": "main"} {
		if err := debug(namespace, target); err != nil {
			t.Errorf("debugging %s in %s: %v", target, namespace, err)
		}
	}
}
