package inject

import (
	"strconv"

	corev1 "k8s.io/api/core/v1"
)

// wanted returns the profile that the labels ask for.
func (d *Decision) wanted(f Facts) string {
	own, ok := f.Pod.Metadata.Labels[Label]
	switch {
	case ok && own == Disabled:
		d.skip(codeDisabled, "label", "the pod's label says "+Disabled)
		return ""
	case ok && own != "":
		d.ok("label", "the pod asks for profile "+own)
		return own
	case ok:
		d.skip(codeNotWanted, "label", "the pod's label "+Label+" is empty")
		return ""
	}
	switch ns := f.Namespace.Labels[Label]; ns {
	case Disabled:
		d.skip(codeDisabled, "label", "the namespace's label says "+Disabled)
		return ""
	case "":
		d.skip(codeNotWanted, "label", "neither the pod nor its namespace has the label "+Label)
		return ""
	default:
		d.ok("label", "the namespace asks for profile "+ns)
		return ns
	}
}

// leftAlone says why nothing at all is changed in a pod; empty if nothing
// speaks against it.
func leftAlone(f Facts) string {
	switch ns := f.Namespace.Name; {
	case ns == "kube-system":
		return "kube-system is left alone"
	case ns != "" && ns == f.Cluster.OwnNamespace:
		return "namespace " + ns + " is the webhook's own"
	}
	if _, ok := f.Pod.Metadata.Annotations[corev1.MirrorPodAnnotationKey]; ok {
		return "a mirror pod can't be changed: it follows a file on its node"
	}
	return ""
}

func isWindows(pod podOf) bool {
	return pod.Spec.OS != nil && pod.Spec.OS.Name == corev1.Windows ||
		pod.Spec.NodeSelector[corev1.LabelOSStable] == string(corev1.Windows)
}

func quote(s string) string { return strconv.Quote(s) }
