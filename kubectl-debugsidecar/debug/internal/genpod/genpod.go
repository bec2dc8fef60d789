// Package genpod draws pods for tests: as the API server would accept them, and
// as people who want to be difficult write them.
package genpod

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"pgregory.net/rapid"
)

// Namespace is where the pods are.
const Namespace = "media"

// Pod draws a pod for Linux that has been running, so it has statuses. It always
// has a container app.
var Pod = rapid.Custom(func(t *rapid.T) *corev1.Pod {
	g := generator{t}
	pod := &corev1.Pod{ObjectMeta: g.meta()}
	spec := &pod.Spec
	spec.SecurityContext = g.podSecurity()
	spec.HostNetwork, spec.HostIPC = g.oneIn(8), g.oneIn(20)
	spec.HostPID = g.oneIn(20)
	if !spec.HostNetwork && !spec.HostIPC && !spec.HostPID && g.oneIn(8) {
		spec.HostUsers = new(false)
	}
	if !spec.HostPID {
		spec.ShareProcessNamespace = g.flag("shareProcessNamespace")
	}
	spec.Volumes = g.volumes()
	spec.RestartPolicy = rapid.SampledFrom([]corev1.RestartPolicy{"Always", "Never", "OnFailure"}).Draw(t, "restartPolicy")
	for _, name := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"init", "proxy", "debugsidecar-debug"}), 0, 3, rapid.ID).Draw(t, "inits") {
		c := g.container(name, spec)
		c.ReadinessProbe, c.Lifecycle = nil, nil
		if name != "init" {
			c.RestartPolicy = new(corev1.ContainerRestartPolicyAlways)
		}
		spec.InitContainers = append(spec.InitContainers, c)
	}
	for _, name := range append([]string{"app"}, rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"log", "transcode"}), 0, 2, rapid.ID).Draw(t, "containers")...) {
		spec.Containers = append(spec.Containers, g.container(name, spec))
	}
	g.scheduling(spec)
	pod.Status = g.status(spec)
	return pod
})

// Target draws a container of a pod that can be debugged.
func Target(t *rapid.T, pod *corev1.Pod) string {
	names := []string{}
	for _, c := range pod.Spec.Containers {
		names = append(names, c.Name)
	}
	for _, c := range pod.Spec.InitContainers {
		names = append(names, c.Name)
	}
	return rapid.SampledFrom(names).Draw(t, "target")
}

type generator struct{ *rapid.T }

func (g generator) oneIn(n int) bool { return rapid.IntRange(0, n-1).Draw(g.T, "chance") == n-1 }

func (g generator) flag(name string) *bool {
	return rapid.SampledFrom([]*bool{nil, new(true), new(false)}).Draw(g.T, name)
}

func (g generator) id(name string) *int64 {
	return rapid.SampledFrom([]*int64{nil, nil, new(int64(0)), new(int64(1000)), new(int64(65532))}).Draw(g.T, name)
}

func (g generator) meta() metav1.ObjectMeta {
	meta := metav1.ObjectMeta{
		Name: rapid.SampledFrom([]string{"camera-0", "web-6f5d-x2x", "a-name-that-is-longer-than-a-hostname-may-be-and-goes-on-and-on.and-on"}).Draw(g.T, "name"),
		UID:  "8f14e45f-ceea-467f-a8a2-0d2d4e1f9a3b", Namespace: Namespace, Labels: map[string]string{}, Annotations: map[string]string{},
	}
	for _, l := range []string{"app=web", "team=video", "pod-template-hash=6f5d", "tier=front", "debugsidecar.io/inject=debug"} {
		if rapid.Bool().Draw(g.T, l) {
			key, value, _ := strings.Cut(l, "=")
			meta.Labels[key] = value
		}
	}
	for _, key := range []string{"prometheus.io/scrape", "k8s.v1.cni.cncf.io/networks", "debugsidecar.io/status", "note.example/text"} {
		if rapid.Bool().Draw(g.T, key) {
			meta.Annotations[key] = "a \x1b[2J"
		}
	}
	if rapid.Bool().Draw(g.T, "owned") {
		meta.OwnerReferences = []metav1.OwnerReference{{
			APIVersion: "apps/v1", Kind: rapid.SampledFrom([]string{"ReplicaSet", "DaemonSet", "StatefulSet"}).Draw(g.T, "owner"),
			Name: "web-6f5d", UID: "45c48cce-2e2d-4fbd-aa21-e0d1f5b3a0d1", Controller: new(true), BlockOwnerDeletion: new(true),
		}}
	}
	return meta
}

var (
	genSeccomp = rapid.SampledFrom([]*corev1.SeccompProfile{
		nil, nil, {Type: corev1.SeccompProfileTypeRuntimeDefault}, {Type: corev1.SeccompProfileTypeUnconfined},
		{Type: corev1.SeccompProfileTypeLocalhost, LocalhostProfile: new("profiles/app.json")},
	})
	genAppArmor = rapid.SampledFrom([]*corev1.AppArmorProfile{
		nil, nil, nil, {Type: corev1.AppArmorProfileTypeRuntimeDefault}, {Type: corev1.AppArmorProfileTypeUnconfined},
		{Type: corev1.AppArmorProfileTypeLocalhost, LocalhostProfile: new("app")},
	})
	genSELinux = rapid.SampledFrom([]*corev1.SELinuxOptions{
		nil, nil, nil, {Level: "s0:c1,c2"}, {Type: "spc_t"}, {Type: "container_t", Level: "s0:c1,c2"}, {User: "system_u", Role: "system_r", Type: "app_t"},
	})
	genCapability = rapid.SampledFrom([]corev1.Capability{"CHOWN", "NET_ADMIN", "NET_RAW", "NET_BIND_SERVICE", "SYS_PTRACE", "SYS_ADMIN", "KILL", "ALL"})
)

func (g generator) podSecurity() *corev1.PodSecurityContext {
	if g.oneIn(4) {
		return nil
	}
	return &corev1.PodSecurityContext{
		RunAsUser: g.id("pod's user"), RunAsGroup: g.id("pod's group"), RunAsNonRoot: g.flag("pod's runAsNonRoot"), FSGroup: g.id("fsGroup"),
		SeccompProfile: genSeccomp.Draw(g.T, "pod's seccomp"), AppArmorProfile: genAppArmor.Draw(g.T, "pod's AppArmor"), SELinuxOptions: genSELinux.Draw(g.T, "pod's SELinux"),
	}
}

func (g generator) security() *corev1.SecurityContext {
	switch rapid.IntRange(0, 3).Draw(g.T, "security context") {
	case 0:
		return nil
	case 1: // what passes restricted
		return &corev1.SecurityContext{
			RunAsUser: new(int64(1000)), RunAsGroup: g.id("group"), RunAsNonRoot: new(true), AllowPrivilegeEscalation: new(false),
			Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}}, SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
			ReadOnlyRootFilesystem: g.flag("read-only"),
		}
	}
	sc := &corev1.SecurityContext{
		RunAsUser: g.id("user"), RunAsGroup: g.id("group"), RunAsNonRoot: g.flag("runAsNonRoot"), ReadOnlyRootFilesystem: g.flag("read-only"),
		SeccompProfile: genSeccomp.Draw(g.T, "seccomp"), AppArmorProfile: genAppArmor.Draw(g.T, "AppArmor"), SELinuxOptions: genSELinux.Draw(g.T, "SELinux"),
	}
	if rapid.Bool().Draw(g.T, "capabilities") {
		sc.Capabilities = &corev1.Capabilities{
			Add: rapid.SliceOfNDistinct(genCapability, 0, 3, rapid.ID).Draw(g.T, "add"), Drop: rapid.SliceOfNDistinct(genCapability, 0, 2, rapid.ID).Draw(g.T, "drop"),
		}
	}
	switch {
	case g.oneIn(5):
		sc.Privileged = new(true)
	case sc.Capabilities == nil:
		sc.AllowPrivilegeEscalation = g.flag("escalation")
	}
	return sc
}

func (g generator) volumes() []corev1.Volume {
	var out []corev1.Volume
	kinds := []string{"emptydir", "configmap", "secret", "hostpath", "claim", "token", "downward", "ephemeral", "csi", "nfs", "iscsi", "debugsidecar-debug-tmp"}
	for _, kind := range rapid.SliceOfNDistinct(rapid.SampledFrom(kinds), 0, 6, rapid.ID).Draw(g.T, "volumes") {
		v := corev1.Volume{Name: kind}
		switch kind {
		case "configmap":
			v.ConfigMap = &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: "config"}}
		case "secret":
			v.Secret = &corev1.SecretVolumeSource{SecretName: "secret"}
		case "hostpath":
			v.HostPath = &corev1.HostPathVolumeSource{Path: "/var/log"}
		case "claim":
			v.PersistentVolumeClaim = &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "data"}
		case "token":
			v.Projected = &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Path: "token", ExpirationSeconds: new(int64(3607))}}}}
		case "downward":
			v.DownwardAPI = &corev1.DownwardAPIVolumeSource{Items: []corev1.DownwardAPIVolumeFile{{Path: "labels", FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: "metadata.labels"}}}}
		case "ephemeral":
			v.Ephemeral = &corev1.EphemeralVolumeSource{VolumeClaimTemplate: &corev1.PersistentVolumeClaimTemplate{Spec: corev1.PersistentVolumeClaimSpec{
				AccessModes: []corev1.PersistentVolumeAccessMode{"ReadWriteOnce"},
				Resources:   corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{"storage": resource.MustParse("1Gi")}},
			}}}
		case "csi":
			v.CSI = &corev1.CSIVolumeSource{Driver: "secrets.example"}
		case "nfs":
			v.NFS = &corev1.NFSVolumeSource{Server: "nas.example", Path: "/"}
		case "iscsi":
			v.ISCSI = &corev1.ISCSIVolumeSource{TargetPortal: "10.0.0.1", IQN: "iqn.2015-02.example:1", Lun: 1}
		default:
			v.EmptyDir = &corev1.EmptyDirVolumeSource{}
		}
		out = append(out, v)
	}
	return out
}

func (g generator) container(name string, spec *corev1.PodSpec) corev1.Container {
	c := corev1.Container{
		Name: name, Image: "registry.example/app:1", SecurityContext: g.security(), Resources: g.resources(),
		TerminationMessagePolicy: corev1.TerminationMessageReadFile, ImagePullPolicy: corev1.PullIfNotPresent,
		Args: []string{"--serve"}, Env: []corev1.EnvVar{{Name: "HOME", Value: "/tmp"}, {Name: "DEBUGSIDECAR_SESSION_USER", Value: "mallory"}},
	}
	privileged := c.SecurityContext != nil && c.SecurityContext.Privileged != nil && *c.SecurityContext.Privileged
	for i := range spec.Volumes {
		if rapid.Bool().Draw(g.T, "mounted") {
			c.VolumeMounts = append(c.VolumeMounts, g.mount(spec.Volumes[i].Name, i, privileged))
		}
	}
	if g.oneIn(3) {
		port := corev1.ContainerPort{Name: "http", ContainerPort: 8080, Protocol: corev1.ProtocolTCP}
		if spec.HostNetwork || g.oneIn(3) {
			port.HostPort = 8080
		}
		if name == "app" {
			c.Ports = append(c.Ports, port)
		}
	}
	if g.oneIn(3) {
		handler := corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromInt32(8080)}}
		c.ReadinessProbe = &corev1.Probe{ProbeHandler: handler}
		c.Lifecycle = &corev1.Lifecycle{PreStop: &corev1.LifecycleHandler{Exec: &corev1.ExecAction{Command: []string{"/stop"}}}}
	}
	return c
}

func (g generator) mount(volume string, i int, privileged bool) corev1.VolumeMount {
	m := corev1.VolumeMount{Name: volume, ReadOnly: rapid.Bool().Draw(g.T, "readOnly")}
	m.MountPath = rapid.SampledFrom([]string{fmt.Sprintf("/data-%d", i), fmt.Sprintf("/data-%d", i), fmt.Sprintf("/var/\x1b[2J%d", i)}).Draw(g.T, "path")
	switch {
	case i == 0 && g.oneIn(4):
		m.MountPath = rapid.SampledFrom([]string{"/usr", "/etc/", "/var/run/secrets/kubernetes.io/serviceaccount", "/tmp"}).Draw(g.T, "place")
	case g.oneIn(5):
		m.SubPath = "sub"
	case g.oneIn(8):
		m.SubPathExpr = "$(HOME)"
	}
	if privileged && g.oneIn(2) {
		m.MountPropagation = new(corev1.MountPropagationBidirectional)
	} else if g.oneIn(5) {
		m.MountPropagation = new(corev1.MountPropagationHostToContainer)
	}
	return m
}

func (g generator) resources() corev1.ResourceRequirements {
	switch rapid.IntRange(0, 3).Draw(g.T, "resources") {
	case 1:
		return corev1.ResourceRequirements{Requests: corev1.ResourceList{"cpu": resource.MustParse("10m")}}
	case 2:
		return corev1.ResourceRequirements{Limits: corev1.ResourceList{"memory": resource.MustParse("64Mi")}, Requests: corev1.ResourceList{"memory": resource.MustParse("64Mi")}}
	case 3:
		gpu := corev1.ResourceList{"nvidia.example/gpu": resource.MustParse("1"), "cpu": resource.MustParse("1")}
		return corev1.ResourceRequirements{Limits: gpu.DeepCopy(), Requests: gpu}
	}
	return corev1.ResourceRequirements{}
}

func (g generator) scheduling(spec *corev1.PodSpec) {
	if rapid.Bool().Draw(g.T, "node") {
		spec.NodeName = "node-1"
	}
	if g.oneIn(3) {
		spec.NodeSelector = map[string]string{"disk": "fast"}
		spec.Tolerations = []corev1.Toleration{{Key: "media", Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoSchedule}}
	}
	if g.oneIn(3) {
		selector := &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}
		spec.Affinity = &corev1.Affinity{
			NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{
				{MatchExpressions: []corev1.NodeSelectorRequirement{{Key: "zone", Operator: corev1.NodeSelectorOpIn, Values: []string{"a"}}}},
				{MatchExpressions: []corev1.NodeSelectorRequirement{{Key: "zone", Operator: corev1.NodeSelectorOpIn, Values: []string{"b"}}}},
			}}},
			PodAntiAffinity: &corev1.PodAntiAffinity{RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{{TopologyKey: "kubernetes.io/hostname", LabelSelector: selector}}},
		}
		spec.TopologySpreadConstraints = []corev1.TopologySpreadConstraint{{MaxSkew: 1, TopologyKey: "zone", WhenUnsatisfiable: corev1.DoNotSchedule, LabelSelector: selector}}
	}
	if g.oneIn(3) {
		spec.ReadinessGates = []corev1.PodReadinessGate{{ConditionType: "example.com/ready"}}
		spec.Hostname, spec.Subdomain = "web-0", "web"
		spec.ImagePullSecrets = []corev1.LocalObjectReference{{Name: "registry"}}
	}
	if g.oneIn(6) && spec.HostUsers == nil {
		spec.Resources = &corev1.ResourceRequirements{Requests: corev1.ResourceList{"cpu": resource.MustParse("8"), "memory": resource.MustParse("1Gi")}}
	}
}

func (g generator) status(spec *corev1.PodSpec) corev1.PodStatus {
	status := func(c *corev1.Container) corev1.ContainerStatus {
		s := corev1.ContainerStatus{Name: c.Name, Image: c.Image, ContainerID: "containerd://ab12", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}
		if user := g.id("user in the status"); user != nil {
			group := rapid.SampledFrom([]int64{0, 1000}).Draw(g.T, "group in the status")
			s.User = &corev1.ContainerUser{Linux: &corev1.LinuxContainerUser{UID: *user, GID: group, SupplementalGroups: []int64{group, 44}}}
		}
		if g.oneIn(4) {
			s.State = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}}
		}
		return s
	}
	out := corev1.PodStatus{Phase: rapid.SampledFrom([]corev1.PodPhase{corev1.PodRunning, corev1.PodRunning, corev1.PodFailed}).Draw(g.T, "phase")}
	for i := range spec.Containers {
		out.ContainerStatuses = append(out.ContainerStatuses, status(&spec.Containers[i]))
	}
	for i := range spec.InitContainers {
		out.InitContainerStatuses = append(out.InitContainerStatuses, status(&spec.InitContainers[i]))
	}
	return out
}
