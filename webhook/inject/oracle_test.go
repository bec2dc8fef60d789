package inject_test

import (
	corev1 "k8s.io/api/core/v1"
	componentresource "k8s.io/component-helpers/resource"
	kubectlqos "k8s.io/kubectl/pkg/util/qos"
)

// qos is the pod's QoS class by Kubernetes' own code, once the API server has
// set its defaults.
func qos(pod *corev1.Pod) corev1.PodQOSClass {
	pod = pod.DeepCopy()
	setDefaults(pod)
	return kubectlqos.ComputePodQOS(pod)
}

// setDefaults does what the API server does to a pod before it calls a webhook
// (pkg/apis/core/v1/defaults.go), as far as it concerns what is injected and
// what decides about it.
func setDefaults(pod *corev1.Pod) {
	spec := &pod.Spec
	if spec.RestartPolicy == "" {
		spec.RestartPolicy = corev1.RestartPolicyAlways
	}
	if spec.SecurityContext == nil {
		spec.SecurityContext = &corev1.PodSecurityContext{}
	}
	for _, list := range [][]corev1.Container{spec.InitContainers, spec.Containers} {
		for i := range list {
			setContainerDefaults(&list[i], spec.HostNetwork)
		}
	}
	for i := range spec.Volumes {
		setVolumeDefaults(&spec.Volumes[i])
	}
	if level := spec.Resources; level != nil && len(level.Limits) > 0 {
		if level.Requests == nil {
			level.Requests = corev1.ResourceList{}
		}
		sum := componentresource.AggregateContainerRequests(pod, componentresource.PodResourcesOptions{})
		for _, from := range []corev1.ResourceList{sum, level.Limits} {
			for name, q := range from {
				if _, ok := level.Requests[name]; !ok && componentresource.IsSupportedPodLevelResource(name) {
					level.Requests[name] = q
				}
			}
		}
	}
}

func setContainerDefaults(c *corev1.Container, hostNetwork bool) {
	if c.ImagePullPolicy == "" {
		c.ImagePullPolicy = corev1.PullIfNotPresent
	}
	if c.TerminationMessagePath == "" {
		c.TerminationMessagePath = "/dev/termination-log"
	}
	if c.TerminationMessagePolicy == "" {
		c.TerminationMessagePolicy = corev1.TerminationMessageReadFile
	}
	for i := range c.Ports {
		if c.Ports[i].Protocol == "" {
			c.Ports[i].Protocol = corev1.ProtocolTCP
		}
		if hostNetwork && c.Ports[i].HostPort == 0 {
			c.Ports[i].HostPort = c.Ports[i].ContainerPort
		}
	}
	for i := range c.Env {
		if from := c.Env[i].ValueFrom; from != nil && from.FieldRef != nil && from.FieldRef.APIVersion == "" {
			from.FieldRef.APIVersion = "v1"
		}
	}
	for name, q := range c.Resources.Limits {
		if c.Resources.Requests == nil {
			c.Resources.Requests = corev1.ResourceList{}
		}
		if _, ok := c.Resources.Requests[name]; !ok {
			c.Resources.Requests[name] = q
		}
	}
}

func setVolumeDefaults(v *corev1.Volume) {
	mode := int32(0o644)
	switch {
	case v.Secret != nil && v.Secret.DefaultMode == nil:
		v.Secret.DefaultMode = &mode
	case v.ConfigMap != nil && v.ConfigMap.DefaultMode == nil:
		v.ConfigMap.DefaultMode = &mode
	case v.DownwardAPI != nil && v.DownwardAPI.DefaultMode == nil:
		v.DownwardAPI.DefaultMode = &mode
	case v.Projected != nil && v.Projected.DefaultMode == nil:
		v.Projected.DefaultMode = &mode
	case v.VolumeSource == (corev1.VolumeSource{}):
		v.EmptyDir = &corev1.EmptyDirVolumeSource{}
	}
}
