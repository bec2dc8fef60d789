package node_test

import (
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// userTier labels pods where the kernel tier is not to be had: without a grant, and
// with one in a namespace that Pod Security restricts.
func userTier(t *testing.T, l lab) {
	for _, at := range []struct{ namespace, label, says string }{
		{"ungranted", "a=b", "grant"},
		{"strict", "pod-security.kubernetes.io/enforce=restricted", "restricted"},
	} {
		l.kubectl(t, "", "create", "namespace", at.namespace)
		l.kubectl(t, "", "label", "namespace", at.namespace, at.label)
		warning := l.applyWarned(t, at.namespace, "work.yaml", "PROFILE", "video-probe", "NAME", "app", "COMMAND", "work, --for=1h", "PARAMS", "{}")
		l.kubectl(t, "", "--namespace", at.namespace, "wait", "--for=condition=Ready", "pod/app", "--timeout=60s")
		pod := l.pod(t, at.namespace, "app=app")
		if got := capabilities(t, string(pod.UID), "video-probe"); len(got) != 0 {
			t.Errorf("%s: the probe has the capabilities %v", at.namespace, got)
		}
		if user := pod.Spec.InitContainers[0].SecurityContext.RunAsUser; user == nil || *user == 0 {
			t.Errorf("%s: the probe runs as %v", at.namespace, user)
		}
		if !strings.Contains(warning, at.says) || !strings.Contains(warning, "user tier") {
			t.Errorf("%s: the warning is %q", at.namespace, warning)
		}
		t.Logf("%s: %s", at.namespace, warning)
	}
}

// jobs with a sidecar come to their end.
func jobs(t *testing.T, l lab) {
	l.kubectl(t, "", "create", "namespace", "jobs")
	l.apply(t, "jobs", "job.yaml", "PROFILE", "video-probe")
	l.kubectl(t, "", "--namespace=jobs", "wait", "--for=condition=Complete", "job/work", "--timeout=60s")
	pod := l.pod(t, "jobs", "job-name=work")
	if pod.Status.Phase != corev1.PodSucceeded {
		t.Errorf("the pod is %s", pod.Status.Phase)
	}
	end := pod.Status.InitContainerStatuses[0].State.Terminated
	if pod.Status.InitContainerStatuses[0].Name != probe || end == nil || end.ExitCode != 0 {
		t.Errorf("the sidecar ended with %+v", pod.Status.InitContainerStatuses[0].State)
	}
}

// guaranteed pods stay so, with both placements.
func guaranteed(t *testing.T, l lab) {
	l.kubectl(t, "", "create", "namespace", "guaranteed")
	for _, profile := range []string{"video-probe", "beside"} {
		l.apply(t, "guaranteed", "guaranteed.yaml", "PROFILE", profile)
		l.kubectl(t, "", "--namespace=guaranteed", "wait", "--for=condition=Ready", "pod/"+profile, "--timeout=60s")
		pod := l.pod(t, "guaranteed", "app="+profile)
		if pod.Status.QOSClass != corev1.PodQOSGuaranteed {
			t.Errorf("with profile %s the pod is %s", profile, pod.Status.QOSClass)
		}
		if !slices.ContainsFunc(append(pod.Spec.InitContainers, pod.Spec.Containers...), func(c corev1.Container) bool {
			return c.Name == "debugsidecar-"+profile
		}) {
			t.Errorf("profile %s brought no sidecar", profile)
		}
	}
}

// applyWarned is apply, and returns the warnings of the API server.
func (l lab) applyWarned(t *testing.T, namespace, name string, replace ...string) string {
	t.Helper()
	text := l.manifest(t, name, replace...)
	_, stderr, err := l.Kubectl(t.Context(), text, "apply", "--namespace", namespace, "-f", "-")
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(stderr)
}
