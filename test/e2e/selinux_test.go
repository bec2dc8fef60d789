package e2e

import (
	"errors"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const ranges = `
policy:
  parameters:
    namespaces:
      filled: {selinux: {range: "s0:c26,c5", fill: true}}
      openshift: {selinux: {rangeFromOpenShift: true}}
`

// levelled is a pod that names an SELinux level.
func levelled(name, level string) *corev1.Pod {
	pod := ingest(name, nil)
	pod.Spec.SecurityContext = &corev1.PodSecurityContext{SELinuxOptions: &corev1.SELinuxOptions{Level: level}}
	return pod
}

func levelOf(pod *corev1.Pod) string {
	if c := pod.Spec.SecurityContext; c != nil && c.SELinuxOptions != nil {
		return c.SELinuxOptions.Level
	}
	return ""
}

func TestSELinuxLevelsThroughTheAPIServer(t *testing.T) {
	t.Cleanup(func() { upgradeBack() })
	upgrade(t, ranges)
	filled := namespaceNamed(t, "filled", map[string]string{enforceLabel: "baseline"})
	const level = "s0:c5,c26"
	everywhere(t, "filling in is in force", func() error {
		pod, err := dryRun(t.Context(), filled, ingest("probe", nil))
		if err == nil && levelOf(pod) != level {
			err = errors.New("no level was filled in")
		}
		return err
	})

	t.Run("whatever the pod's label says", func(t *testing.T) {
		for name, labels := range map[string]map[string]string{
			"unlabelled": nil, "disabled": {injectLabel: "disabled"}, "injected": {injectLabel: "video-probe"},
		} {
			pod := create(t, filled, ingest(name, labels))
			warned := env.warnings.take()
			if got := levelOf(pod); got != level {
				t.Errorf("%s has the level %q, want %s", name, got, level)
			}
			mustMention(t, warned, "set SELinux level "+level)
			// What comes back is not changed again.
			again, err := dryRun(t.Context(), filled, restored(pod, name+"-again"))
			if err != nil || levelOf(again) != level {
				t.Errorf("%s a second time: the level %q, %v", name, levelOf(again), err)
			}
		}
	})
	t.Run("a container with options of its own", func(t *testing.T) {
		pod := ingest("own-options", nil)
		pod.Spec.Containers[0].SecurityContext = &corev1.SecurityContext{SELinuxOptions: &corev1.SELinuxOptions{Type: "container_t"}}
		pod = create(t, filled, pod)
		if got := pod.Spec.Containers[0].SecurityContext.SELinuxOptions; got.Level != level || got.Type != "container_t" {
			t.Errorf("its options are %+v", got)
		}
	})
	t.Run("a pod with a claim is left, and told so", func(t *testing.T) {
		pod := ingest("recorder", nil)
		pod.Spec.Volumes = []corev1.Volume{{Name: "data", VolumeSource: corev1.VolumeSource{
			PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "recordings"},
		}}}
		if got := levelOf(create(t, filled, pod)); got != "" {
			t.Errorf("it has the level %s", got)
		}
		mustMention(t, env.warnings.take(), `PersistentVolumeClaim "recordings"`)
	})
	t.Run("another namespace's categories are denied", func(t *testing.T) {
		for level, admitted := range map[string]bool{"s0:c26,c5": true, "s0:c5,c27": false, "s0-s0:c0.c1023": false, "s0": false} {
			_, err := dryRun(t.Context(), filled, levelled("neighbour", level))
			if admitted && err != nil || !admitted && !apierrors.IsForbidden(err) {
				t.Errorf("%s: %v", level, err)
			}
			if err != nil {
				mustMention(t, err.Error(), "spec.securityContext.seLinuxOptions.level", `only levels within "s0:c5,c26"`, "rule selinux")
			}
		}
	})
	t.Run("OpenShift's annotation counts where the administrator says so", func(t *testing.T) {
		labels := map[string]string{enforceLabel: "baseline"}
		openshift := namespaceNamed(t, "openshift", labels)
		elsewhere := namespaceNamed(t, "not-openshift", labels)
		_, err := dryRun(t.Context(), openshift, levelled("early", "s0:c1"))
		if !apierrors.IsForbidden(err) {
			t.Errorf("without an annotation: %v", err)
		}
		for _, name := range []string{openshift, elsewhere} {
			ns, err := env.client.CoreV1().Namespaces().Get(t.Context(), name, metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			ns.Annotations = map[string]string{"openshift.io/sa.scc.mcs": "s0:c26,c5"}
			if _, err := env.client.CoreV1().Namespaces().Update(t.Context(), ns, metav1.UpdateOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		everywhere(t, "the annotation is seen", func() error {
			_, err := dryRun(t.Context(), openshift, levelled("within", "s0:c5,c26"))
			return err
		})
		if _, err := dryRun(t.Context(), openshift, levelled("outside", "s0:c1")); !apierrors.IsForbidden(err) {
			t.Errorf("outside the annotation's range: %v", err)
		}
		if _, err := dryRun(t.Context(), elsewhere, levelled("free", "s0:c1")); err != nil {
			t.Errorf("where nobody said that it counts: %v", err)
		}
	})
}
