package copy

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestVolumes(t *testing.T) {
	claim := corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "data"}}
	ephemeral := corev1.VolumeSource{Ephemeral: &corev1.EphemeralVolumeSource{}}
	ofPod := corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "web-6f-x2x-v"}}
	disk := corev1.VolumeSource{ISCSI: &corev1.ISCSIVolumeSource{}}
	empty := corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}
	config := corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{}}
	host := corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/var/log"}}
	for _, c := range []struct {
		name   string
		source corev1.VolumeSource
		mode   corev1.PersistentVolumeAccessMode // of the claim; empty: there is none
		ended  bool
		want   *corev1.VolumeSource
		pinned bool
		says   string
	}{
		{"shared by all", claim, "ReadWriteMany", false, &claim, false, ""},
		{"read by all", claim, "ReadOnlyMany", false, &claim, false, ""},
		{"one node's, and the pod has it", claim, "ReadWriteOnce", false, &claim, true, "stays on its node"},
		{"one node's, and the pod has ended", claim, "ReadWriteOnce", true, &claim, false, "stays on its node"},
		{"one pod's, and the pod has it", claim, "ReadWriteOncePod", false, nil, false, "the pod has it until it ends"},
		{"one pod's, and the pod has ended", claim, "ReadWriteOncePod", true, &claim, false, "no other pod can have claim data"},
		{"no such claim", claim, "", false, &claim, true, "there is no claim data"},
		{"the pod's own", ephemeral, "ReadWriteOnce", false, &ofPod, true, "stays on its node"},
		{"a disk, and the pod has it", disk, "", false, nil, false, "its disk is the pod's"},
		{"a disk, and the pod has ended", disk, "", true, &disk, false, ""},
		{"empty", empty, "", false, &empty, false, "volume v is a new one"},
		{"of the API", config, "", false, &config, false, ""},
		{"of the node", host, "", false, &host, true, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			pod := podOf(func(p *corev1.Pod) {
				p.Spec.Volumes = []corev1.Volume{{Name: "v", VolumeSource: c.source}, {Name: "unused", VolumeSource: empty}}
				p.Spec.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "v", MountPath: "/v"}}
				if c.ended {
					p.Status.Phase = corev1.PodFailed
				}
			})
			var n Neighbours
			for _, name := range []string{"data", "web-6f-x2x-v"} {
				if c.mode != "" {
					n.Claims = append(n.Claims, corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Name: name}, Status: corev1.PersistentVolumeClaimStatus{AccessModes: []corev1.PersistentVolumeAccessMode{c.mode}}})
				}
			}
			plan := planOf(t, pod, n)
			got := plan.Candidates[0]
			var want []corev1.Volume
			mounts := 0
			if c.want != nil {
				want = append(want, corev1.Volume{Name: "v", VolumeSource: *c.want})
				mounts = 1
			}
			want = append(want, corev1.Volume{Name: "debugger-hold", VolumeSource: empty})
			if diff := cmp.Diff(want, got.Pod.Spec.Volumes); diff != "" {
				t.Error(diff)
			}
			if n := len(got.Pod.Spec.Containers[0].VolumeMounts); n != mounts {
				t.Errorf("the debug container has %d mounts, want %d", n, mounts)
			}
			if pinned := got.Pod.Spec.Affinity != nil; pinned != c.pinned {
				t.Errorf("pinned: %v", pinned)
			}
			if said := strings.Join(append(plan.Notes, got.LeavesOut...), "\n"); !strings.Contains(said, c.says) {
				t.Errorf("says %q, want %q", said, c.says)
			}
		})
	}
}

func TestACopyStaysOnTheNodeWithItsVolumes(t *testing.T) {
	pod := podOf(func(p *corev1.Pod) {
		p.Spec.Volumes = []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/"}}}}
		p.Spec.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "v", MountPath: "/v"}}
		p.Spec.Affinity = &corev1.Affinity{
			NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{
				{MatchExpressions: []corev1.NodeSelectorRequirement{{Key: "zone", Operator: corev1.NodeSelectorOpExists}}}, {},
			}}},
			PodAntiAffinity: &corev1.PodAntiAffinity{},
		}
	})
	here := []corev1.NodeSelectorRequirement{{Key: "metadata.name", Operator: corev1.NodeSelectorOpIn, Values: []string{"node-1"}}}
	want := &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{
		{MatchExpressions: []corev1.NodeSelectorRequirement{{Key: "zone", Operator: corev1.NodeSelectorOpExists}}, MatchFields: here}, {MatchFields: here},
	}}}}
	if diff := cmp.Diff(want, first(t, pod, Neighbours{}, options()).Pod.Spec.Affinity); diff != "" {
		t.Error(diff)
	}
}
