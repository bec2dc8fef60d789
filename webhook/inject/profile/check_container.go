package profile

import (
	"fmt"
	"path"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
)

// checkContainer refuses what would hold up, open up or invalidate the pod.
func checkContainer(c *corev1.Container, name string, volumes []string) *problem {
	at := func(field string) string { return "containers[0]." + field }
	if f := firstForbidden(c); f != nil {
		return problemAt(at(f.field), "%s", f.why)
	}
	switch {
	case c.Name != name:
		return problemAt(at("name"), "is %q, want %q", c.Name, name)
	case c.Image == "" || strings.TrimSpace(c.Image) != c.Image:
		return problemAt(at("image"), "is %q, want an image reference", c.Image)
	case !slices.Contains([]corev1.PullPolicy{"", corev1.PullAlways, corev1.PullIfNotPresent, corev1.PullNever}, c.ImagePullPolicy):
		return problemAt(at("imagePullPolicy"), "%q is none of Always, IfNotPresent, Never", c.ImagePullPolicy)
	}
	for i := range c.Env {
		if text := envProblem(&c.Env[i], c.Name); text != "" {
			return problemAt(at(fmt.Sprintf("env[%d]", i)), "%s", text)
		}
	}
	ports := map[string]bool{}
	for i, port := range c.Ports {
		if text := portProblem(port, ports); text != "" {
			return problemAt(at(fmt.Sprintf("ports[%d]", i)), "%s", text)
		}
	}
	paths := map[string]bool{}
	for i, m := range c.VolumeMounts {
		if text := mountProblem(m, volumes, paths); text != "" {
			return problemAt(at(fmt.Sprintf("volumeMounts[%d]", i)), "%s", text)
		}
	}
	return nil
}

// podFields are what an env value can take from its pod.
var podFields = []string{
	"metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName",
	"status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs",
}

func envProblem(e *corev1.EnvVar, container string) string {
	if problems := validation.IsRelaxedEnvVarName(e.Name); len(problems) > 0 {
		return fmt.Sprintf("name %q: %s", e.Name, problems[0])
	}
	from := e.ValueFrom
	switch {
	case from == nil:
	case e.Value != "":
		return "has both value and valueFrom"
	case from.SecretKeyRef != nil:
		if isFalse(from.SecretKeyRef.Optional) {
			return "valueFrom.secretKeyRef " + mustBeOptional
		}
	case from.ConfigMapKeyRef != nil:
		if isFalse(from.ConfigMapKeyRef.Optional) {
			return "valueFrom.configMapKeyRef " + mustBeOptional
		}
	case from.FieldRef != nil:
		return fieldProblem(from.FieldRef)
	case from.ResourceFieldRef != nil:
		if n := from.ResourceFieldRef.ContainerName; n != "" && n != container {
			return fmt.Sprintf("valueFrom.resourceFieldRef: there is no container %q in the profile", n)
		}
	default:
		return "valueFrom: only secretKeyRef, configMapKeyRef, fieldRef and resourceFieldRef can't hold up a pod"
	}
	return ""
}

func fieldProblem(ref *corev1.ObjectFieldSelector) string {
	key, subscript := strings.CutSuffix(ref.FieldPath, "']")
	ofMap := subscript && (strings.HasPrefix(key, "metadata.labels['") || strings.HasPrefix(key, "metadata.annotations['"))
	if !ofMap && !slices.Contains(podFields, ref.FieldPath) {
		return fmt.Sprintf("valueFrom.fieldRef.fieldPath: %q is none of %s, metadata.labels['KEY'], metadata.annotations['KEY']",
			ref.FieldPath, strings.Join(podFields, ", "))
	}
	if ref.APIVersion != "" && ref.APIVersion != "v1" {
		return fmt.Sprintf("valueFrom.fieldRef.apiVersion: is %q, want v1", ref.APIVersion)
	}
	return ""
}

func portProblem(port corev1.ContainerPort, seen map[string]bool) string {
	switch {
	case port.HostPort != 0 || port.HostIP != "":
		return "a sidecar takes no port of the host"
	case port.ContainerPort < 1 || port.ContainerPort > 65535:
		return fmt.Sprintf("containerPort: %d is no port", port.ContainerPort)
	case port.Name != "" && len(validation.IsValidPortName(port.Name)) > 0:
		return fmt.Sprintf("name %q: %s", port.Name, validation.IsValidPortName(port.Name)[0])
	case port.Name != "" && seen[port.Name]:
		return fmt.Sprintf("there are two ports %q", port.Name)
	case !slices.Contains([]corev1.Protocol{"", corev1.ProtocolTCP, corev1.ProtocolUDP, corev1.ProtocolSCTP}, port.Protocol):
		return fmt.Sprintf("protocol: %q is none of TCP, UDP, SCTP", port.Protocol)
	}
	seen[port.Name] = true
	return ""
}

func mountProblem(m corev1.VolumeMount, volumes []string, seen map[string]bool) string {
	clean := path.Clean(m.MountPath)
	switch {
	case !slices.Contains(volumes, m.Name):
		return fmt.Sprintf("there is no volume %q in the profile", m.Name)
	case !path.IsAbs(m.MountPath) || strings.Contains(m.MountPath, ":"):
		return fmt.Sprintf("mountPath: %q has to be an absolute path without a colon", m.MountPath)
	case seen[clean] || clean == serviceAccountPath:
		return fmt.Sprintf("mountPath: something else is mounted at %s", clean)
	case m.MountPropagation != nil && *m.MountPropagation == corev1.MountPropagationBidirectional:
		return "mountPropagation: Bidirectional needs a privileged container"
	case m.SubPath != "" || m.SubPathExpr != "":
		return "subPath: a path that is missing would hold up the pod"
	}
	seen[clean] = true
	return ""
}
