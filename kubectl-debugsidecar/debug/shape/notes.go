package shape

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
)

// notes are what holds for any debug container of the pod.
func notes(t *target, o *Options) []string {
	pod := t.pod
	var out []string
	if !t.isNew {
		out = append(out, "a debug container has no limits of its own, the API permits none: what it uses counts as the pod's")
	}
	if pod.Spec.HostNetwork {
		out = append(out, "the pod uses the node's network: what is seen and changed there is the node's")
	}
	if !t.isNew && isTrue(pod.Spec.ShareProcessNamespace) {
		out = append(out, "the pod's containers share their processes: all of them are seen")
	}
	if o.Foreign && o.TTL > 0 {
		out = append(out, fmt.Sprintf("image %s is not ours and does not end by itself after %s", o.Image, o.TTL))
	}
	return out
}

// pullNote says with which credentials the image is pulled.
func pullNote(pod *corev1.Pod, o *Options) string {
	if len(pod.Spec.ImagePullSecrets) == 0 {
		return fmt.Sprintf("the pod names no imagePullSecrets, and a debug container can't name others: %s has to be readable for all, or for the node", o.Image)
	}
	var names string
	for i, s := range pod.Spec.ImagePullSecrets {
		if i > 0 {
			names += ", "
		}
		names += s.Name
	}
	return fmt.Sprintf("%s is pulled with the pod's imagePullSecrets (%s), and a debug container can't name others", o.Image, names)
}
