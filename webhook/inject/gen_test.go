package inject_test

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"pgregory.net/rapid"

	"github.com/debugsidecar/debugsidecar/webhook/inject"
)

// Pods as users and controllers write them.
var (
	genQuantity = rapid.SampledFrom([]string{"0", "1m", "50m", "100m", "0.1", "1", "2", "16"})
	genMemory   = rapid.SampledFrom([]string{"0", "64Mi", "128M", "1Gi", "1.5Gi", "100000k"})
	genProfile  = rapid.SampledFrom([]string{"", "debug", "video-probe", "full", "nosuch", "disabled"})
	genParams   = rapid.SampledFrom([]string{
		"", "{}", "logLevel: debug", "resources: {requests: {cpu: 20m}}", "resources: {limits: {cpu: '1', memory: 1Gi}}",
		"resources: {requests: {memory: 2Gi}}", "source: rtsp://camera.example/a", "rtpPorts: [5004, 5006]",
		"sourceSecretRef: {name: camera, key: url}", "buffer: 0.5", "logLevel: loud", "nosuch: 1", "[", "source: 'rtsp://$(HOME)$$'",
	})
	genVolumeName = rapid.SampledFrom([]string{"data", "cache", "config", "token", "debugsidecar-debug-tmp", "debugsidecar-video-probe-run", "debugsidecar-other"})
)

func genResources(t *rapid.T) corev1.ResourceRequirements {
	r := corev1.ResourceRequirements{}
	both := func(cpu, memory string) corev1.ResourceList { return list("cpu", cpu, "memory", memory) }
	cpu, memory := genQuantity.Draw(t, "cpu"), genMemory.Draw(t, "memory")
	switch rapid.SampledFrom([]string{"none", "none", "limits", "equal", "equal", "requests", "cpu", "memory", "burst", "gpu", "storage", "zero"}).Draw(t, "resources") {
	case "limits":
		r.Limits = both(cpu, memory)
	case "equal":
		r.Requests, r.Limits = both(cpu, memory), both(cpu, memory)
	case "requests":
		r.Requests = both(cpu, memory)
	case "cpu":
		r.Requests = list("cpu", cpu)
	case "memory":
		r.Limits = list("memory", memory)
	case "burst":
		r.Requests, r.Limits = both("1m", "1Mi"), both("4", "4Gi")
	case "gpu":
		r.Limits = list("nvidia.com/gpu", "1")
	case "storage":
		r.Requests = list("ephemeral-storage", "1Gi")
	case "zero":
		r.Requests = both("0", "0")
	}
	return r
}

func genSecurityContext(t *rapid.T) *corev1.SecurityContext {
	yes, no, root, user := true, false, int64(0), int64(1000)
	switch rapid.SampledFrom([]string{"none", "empty", "restricted", "root", "privileged", "caps"}).Draw(t, "securityContext") {
	case "empty":
		return &corev1.SecurityContext{}
	case "restricted":
		return &corev1.SecurityContext{
			AllowPrivilegeEscalation: &no, RunAsNonRoot: &yes, RunAsUser: &user,
			Capabilities:   &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
			SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
		}
	case "root":
		return &corev1.SecurityContext{RunAsUser: &root}
	case "privileged":
		return &corev1.SecurityContext{Privileged: &yes}
	case "caps":
		return &corev1.SecurityContext{Capabilities: &corev1.Capabilities{Add: []corev1.Capability{"NET_ADMIN"}}}
	}
	return nil
}

func genContainer(t *rapid.T, name string) corev1.Container {
	c := corev1.Container{
		Name: name, Image: rapid.SampledFrom([]string{"registry.example/app", "registry.example/app:latest", "registry.example/app@sha256:0"}).Draw(t, "image"),
		Resources: genResources(t), SecurityContext: genSecurityContext(t),
	}
	for _, port := range rapid.SliceOfN(rapid.SampledFrom([]int32{80, 554, 8080, 9400, 9401, 9402}), 0, 3).Draw(t, "ports") {
		c.Ports = append(c.Ports, corev1.ContainerPort{ContainerPort: port})
	}
	for _, volume := range rapid.SliceOfNDistinct(genVolumeName, 0, 2, rapid.ID).Draw(t, "mounts") {
		c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: volume, MountPath: "/" + volume})
	}
	if rapid.Bool().Draw(t, "probe") {
		c.ReadinessProbe = &corev1.Probe{ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Port: intstr.FromInt32(8080)}}}
	}
	return c
}

func genVolume(t *rapid.T, name string) corev1.Volume {
	v := corev1.Volume{Name: name}
	switch rapid.SampledFrom([]string{"emptyDir", "configMap", "secret", "hostPath", "claim", "projected"}).Draw(t, "source") {
	case "emptyDir":
		v.EmptyDir = &corev1.EmptyDirVolumeSource{}
	case "configMap":
		v.ConfigMap = &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: "config"}}
	case "secret":
		v.Secret = &corev1.SecretVolumeSource{SecretName: "secret"}
	case "hostPath":
		v.HostPath = &corev1.HostPathVolumeSource{Path: "/var/log"}
	case "claim":
		v.PersistentVolumeClaim = &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "data"}
	case "projected":
		v.Projected = &corev1.ProjectedVolumeSource{}
	}
	return v
}

func genMeta(t *rapid.T) metav1.ObjectMeta {
	meta := metav1.ObjectMeta{Name: "camera-0", GenerateName: "camera-", Namespace: "media"}
	if rapid.Bool().Draw(t, "labels") {
		meta.Labels = map[string]string{"app": "camera"}
	}
	if rapid.Bool().Draw(t, "label") {
		meta.Labels = map[string]string{"app": "camera", inject.Label: genProfile.Draw(t, "profile")}
	}
	if rapid.Bool().Draw(t, "annotations") {
		meta.Annotations = map[string]string{"note/~1": "a \"quoted\" text"}
	}
	if params := genParams.Draw(t, "params"); params != "" {
		if meta.Annotations == nil {
			meta.Annotations = map[string]string{}
		}
		meta.Annotations[inject.ParamsAnnotation] = params
	}
	if rapid.IntRange(0, 9).Draw(t, "status") == 0 {
		if meta.Annotations == nil {
			meta.Annotations = map[string]string{}
		}
		meta.Annotations[inject.StatusAnnotation] = `{"profile":"debug"}`
	}
	return meta
}

// genPod makes a pod of the profile's users; sometimes somebody has put
// something under our reserved names by hand.
var genPod = rapid.Custom(func(t *rapid.T) *corev1.Pod {
	pod := &corev1.Pod{ObjectMeta: genMeta(t)}
	spec := &pod.Spec
	always := corev1.ContainerRestartPolicyAlways
	for _, name := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"init", "wait", "proxy"}), 0, 3, rapid.ID).Draw(t, "inits") {
		c := genContainer(t, name)
		if name == "proxy" {
			c.RestartPolicy = &always
		}
		spec.InitContainers = append(spec.InitContainers, c)
	}
	for _, name := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"app", "log", "transcode"}), 1, 3, rapid.ID).Draw(t, "containers") {
		spec.Containers = append(spec.Containers, genContainer(t, name))
	}
	for _, name := range rapid.SliceOfNDistinct(genVolumeName, 0, 4, rapid.ID).Draw(t, "volumes") {
		spec.Volumes = append(spec.Volumes, genVolume(t, name))
	}
	switch rapid.IntRange(0, 19).Draw(t, "forged") {
	case 0:
		spec.Containers = append(spec.Containers, genContainer(t, "debugsidecar-debug"))
	case 1:
		spec.InitContainers = append([]corev1.Container{genContainer(t, "debugsidecar-video-probe")}, spec.InitContainers...)
	}
	spec.RestartPolicy = rapid.SampledFrom([]corev1.RestartPolicy{"", "Always", "Always", "Never", "OnFailure"}).Draw(t, "restartPolicy")
	spec.HostNetwork = rapid.IntRange(0, 9).Draw(t, "hostNetwork") == 0
	if rapid.IntRange(0, 9).Draw(t, "hostUsers") == 0 {
		spec.HostUsers = new(bool)
	}
	if rapid.IntRange(0, 9).Draw(t, "windows") == 0 {
		spec.OS = &corev1.PodOS{Name: corev1.Windows}
	}
	if rapid.IntRange(0, 4).Draw(t, "podLevel") == 0 {
		r := genResources(t)
		spec.Resources = &r
	}
	if rapid.IntRange(0, 4).Draw(t, "runtimeClass") == 0 {
		class := rapid.SampledFrom([]string{"", "runc", "gvisor"}).Draw(t, "class")
		spec.RuntimeClassName = &class
	}
	if rapid.Bool().Draw(t, "podSecurityContext") {
		root, nonRoot := int64(0), true
		spec.SecurityContext = rapid.SampledFrom([]*corev1.PodSecurityContext{
			{}, {RunAsUser: &root}, {RunAsNonRoot: &nonRoot}, {FSGroup: &root},
		}).Draw(t, "podSC")
	}
	return pod
})

// genWorld makes a namespace and a cluster.
var genWorld = rapid.Custom(func(t *rapid.T) world {
	labels := map[string]string{}
	draw := func(label string, values ...string) {
		if v := rapid.SampledFrom(values).Draw(t, label); v != "" {
			labels[label] = v
		}
	}
	draw(inject.Label, "video-probe", "video-probe", "debug", "full", "disabled", "nosuch", "")
	draw("pod-security.kubernetes.io/enforce", "", "", "privileged", "baseline", "restricted", "wrong")
	draw("policy.debugsidecar.io/enforce", "", "", "off", "baseline", "restricted", "wrong")
	w := worldOf(rapid.SampledFrom([]inject.Cluster{cluster(), granted(), granted()}).Draw(t, "cluster"), labels)
	w.cluster.NativeSidecars = rapid.IntRange(0, 3).Draw(t, "native") > 0
	return w
})
