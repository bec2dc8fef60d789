package shape

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
)

func TestVolumeMounts(t *testing.T) {
	withMount := func(m corev1.VolumeMount, source corev1.VolumeSource) *corev1.Pod {
		return podOf(func(p *corev1.Pod) {
			p.Spec.Volumes = []corev1.Volume{{Name: m.Name, VolumeSource: source}}
			p.Spec.Containers[0].VolumeMounts = []corev1.VolumeMount{m}
		})
	}
	empty := corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}
	projected := func(p corev1.VolumeProjection) corev1.VolumeSource {
		return corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{p}}}
	}
	config := projected(corev1.VolumeProjection{ConfigMap: &corev1.ConfigMapProjection{}})
	token := projected(corev1.VolumeProjection{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{}})
	for _, c := range []struct {
		name   string
		mount  corev1.VolumeMount
		source corev1.VolumeSource
		left   string // empty: it is mounted
	}{
		{"as it is", corev1.VolumeMount{Name: "data", MountPath: "/data", ReadOnly: true}, empty, ""},
		{"from the node", corev1.VolumeMount{Name: "data", MountPath: "/data", MountPropagation: new(corev1.MountPropagationHostToContainer)}, empty, ""},
		{"below /etc", corev1.VolumeMount{Name: "data", MountPath: "/etc/nginx"}, config, ""},
		{"subPath", corev1.VolumeMount{Name: "data", MountPath: "/data", SubPath: "a"}, empty, "/data: not mounted: the API permits no subPath"},
		{"subPathExpr", corev1.VolumeMount{Name: "data", MountPath: "/data", SubPathExpr: "$(A)"}, empty, "subPathExpr"},
		{"ours", corev1.VolumeMount{Name: "debugsidecar-debug-tmp", MountPath: "/data"}, empty, "belongs to a sidecar"},
		{"token", corev1.VolumeMount{Name: "data", MountPath: "/var/run/secrets/cloud.example"}, token, "token"},
		{"token by its place", corev1.VolumeMount{Name: "data", MountPath: "/var/run/secrets/kubernetes.io/serviceaccount/"}, empty, "token"},
		{"certificate", corev1.VolumeMount{Name: "data", MountPath: "/cert"}, projected(corev1.VolumeProjection{PodCertificate: &corev1.PodCertificateProjection{}}), "token"},
		{"over our programs", corev1.VolumeMount{Name: "data", MountPath: "/usr/"}, empty, "would hide"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, candidate := range plan(t, withMount(c.mount, c.source), labelled(), options()).Candidates {
				var want []corev1.VolumeMount
				if c.left == "" {
					want = []corev1.VolumeMount{c.mount}
				}
				if diff := cmp.Diff(want, candidate.Container.VolumeMounts); diff != "" {
					t.Error(diff)
				}
				said := strings.Join(candidate.LeavesOut, "\n")
				if !strings.Contains(said, c.left) || strings.Contains(said, "not mounted") != (c.left != "") {
					t.Errorf("says %q, want %q", said, c.left)
				}
			}
		})
	}
}

func TestPropagationToTheNodeTakesAPrivilegedContainer(t *testing.T) {
	pod := podOf(func(p *corev1.Pod) {
		p.Spec.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "data", MountPath: "/data", MountPropagation: new(corev1.MountPropagationBidirectional)}}
	})
	o := options()
	for profile, want := range map[Profile]corev1.MountPropagationMode{General: corev1.MountPropagationHostToContainer, SysAdmin: corev1.MountPropagationBidirectional} {
		o.Profile = profile
		if got := *plan(t, pod, labelled(), o).Candidates[0].Container.VolumeMounts[0].MountPropagation; got != want {
			t.Errorf("%s: %s", profile, got)
		}
	}
}

func TestAThousandMountsAreSaidInALine(t *testing.T) {
	pod := podOf(func(p *corev1.Pod) {
		for i := range 1000 {
			p.Spec.Containers[0].VolumeMounts = append(p.Spec.Containers[0].VolumeMounts, corev1.VolumeMount{Name: "data", MountPath: fmt.Sprintf("/data/%03d", i), SubPath: "a"})
		}
		p.Spec.Containers[0].VolumeDevices = []corev1.VolumeDevice{{Name: "disk", DevicePath: "/dev/xvda"}}
	})
	left := plan(t, pod, labelled(), options()).Candidates[0].LeavesOut
	want := []string{
		"/data/000, /data/001, /data/002, /data/003 and 996 more: not mounted: the API permits no subPath in a debug container",
		"/dev/xvda: no block device: a debug container gets none",
	}
	if diff := cmp.Diff(want, left[len(left)-2:]); diff != "" {
		t.Error(diff)
	}
}
