package profile

import corev1 "k8s.io/api/core/v1"

// forbidden is a field that a profile must not use, and why.
type forbidden struct {
	field string
	used  bool
	why   string
}

// firstForbidden returns the first such field that the container uses, or nil.
func firstForbidden(c *corev1.Container) *forbidden {
	lifecycle, sc := c.Lifecycle, c.SecurityContext
	if lifecycle == nil {
		lifecycle = &corev1.Lifecycle{}
	}
	for _, f := range []forbidden{
		{"readinessProbe", c.ReadinessProbe != nil, "a sidecar must not make its pod unready"},
		{"startupProbe", c.StartupProbe != nil, "a sidecar must not hold up its pod's start"},
		{"lifecycle.postStart", lifecycle.PostStart != nil, "a sidecar must not hold up its pod's start"},
		{"lifecycle.stopSignal", lifecycle.StopSignal != nil, "the API server refuses it in pods without spec.os"},
		{"livenessProbe", c.LivenessProbe != nil, "the sidecar restarts itself: the kubelet has nothing to decide"},
		{"restartPolicy", c.RestartPolicy != nil, "follows from spec.placement"},
		{"restartPolicyRules", len(c.RestartPolicyRules) > 0, "a sidecar always restarts"},
		{"resizePolicy", len(c.ResizePolicy) > 0, "older API servers don't know it"},
		{"envFrom", len(c.EnvFrom) > 0, "would bring variables that nobody reviewed: name each one under env"},
		{"volumeDevices", len(c.VolumeDevices) > 0, "a sidecar opens no block device"},
		{"securityContext.windowsOptions", sc != nil && sc.WindowsOptions != nil, "a sidecar is a Linux program"},
	} {
		if f.used {
			return &f
		}
	}
	return nil
}
