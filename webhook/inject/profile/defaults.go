package profile

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// setContainerDefaults fills in what the API server would: the defaults of
// core/v1 (pkg/apis/core/v1/defaults.go in Kubernetes), as far as a profile can
// leave them open. A rendered container then equals the one that comes back.
func setContainerDefaults(c *corev1.Container) {
	if c.TerminationMessagePath == "" {
		c.TerminationMessagePath = corev1.TerminationMessagePathDefault
	}
	if c.TerminationMessagePolicy == "" {
		c.TerminationMessagePolicy = corev1.TerminationMessageReadFile
	}
	if c.ImagePullPolicy == "" {
		c.ImagePullPolicy = pullPolicy(c.Image)
	}
	for i := range c.Ports {
		if c.Ports[i].Protocol == "" {
			c.Ports[i].Protocol = corev1.ProtocolTCP
		}
	}
	for i := range c.Env {
		if from := c.Env[i].ValueFrom; from != nil && from.FieldRef != nil && from.FieldRef.APIVersion == "" {
			from.FieldRef.APIVersion = "v1"
		}
	}
	for name, limit := range c.Resources.Limits {
		if _, ok := c.Resources.Requests[name]; ok {
			continue
		}
		if c.Resources.Requests == nil {
			c.Resources.Requests = corev1.ResourceList{}
		}
		c.Resources.Requests[name] = limit
	}
	if c.Lifecycle != nil && c.Lifecycle.PreStop != nil {
		setHandlerDefaults(c.Lifecycle.PreStop)
	}
}

func setHandlerDefaults(h *corev1.LifecycleHandler) {
	if h.HTTPGet == nil {
		return
	}
	if h.HTTPGet.Path == "" {
		h.HTTPGet.Path = "/"
	}
	if h.HTTPGet.Scheme == "" {
		h.HTTPGet.Scheme = corev1.URISchemeHTTP
	}
}

// pullPolicy is Always for the tag latest, also where neither a tag nor a digest
// is given.
func pullPolicy(image string) corev1.PullPolicy {
	named, _, digest := strings.Cut(image, "@")
	_, tag, tagged := strings.Cut(named[strings.LastIndex(named, "/")+1:], ":")
	if tag == "latest" || !tagged && !digest {
		return corev1.PullAlways
	}
	return corev1.PullIfNotPresent
}

func setVolumeDefaults(v *corev1.Volume) {
	mode := int32(0o644) // corev1.SecretVolumeSourceDefaultMode and its likes
	switch {
	case v.Secret != nil && v.Secret.DefaultMode == nil:
		v.Secret.DefaultMode = &mode
	case v.ConfigMap != nil && v.ConfigMap.DefaultMode == nil:
		v.ConfigMap.DefaultMode = &mode
	case v.DownwardAPI != nil:
		if v.DownwardAPI.DefaultMode == nil {
			v.DownwardAPI.DefaultMode = &mode
		}
		for i := range v.DownwardAPI.Items {
			if ref := v.DownwardAPI.Items[i].FieldRef; ref != nil && ref.APIVersion == "" {
				ref.APIVersion = "v1"
			}
		}
	}
}
