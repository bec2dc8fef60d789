package shape

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/debugsidecar/debugsidecar/webhook/session"
)

// check finds mistakes in what was asked for.
func (o *Options) check(pod *corev1.Pod) error {
	var errs []error
	add := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if o.Profile != "" && !slices.Contains(Profiles(), o.Profile) {
		add("there is no profile %q; there are restricted, baseline, general, netadmin and sysadmin", o.Profile)
	}
	if strings.TrimSpace(o.Image) == "" || strings.TrimSpace(o.Image) != o.Image {
		add("%q is no name of an image", o.Image)
	}
	if !strings.HasPrefix(o.Name, session.NamePrefix) || len(validation.IsDNS1123Label(o.Name)) > 0 {
		add("%q is no name of a debug container: it begins with %s and has lower-case letters, digits and dashes", o.Name, session.NamePrefix)
	}
	if slices.Contains(allNames(pod), o.Name) {
		add("pod %s has a container %s already", pod.Name, o.Name)
	}
	for _, text := range []struct{ what, is string }{{"reason", o.Reason}, {"ticket", o.Ticket}} {
		if session.Text(text.is) != text.is {
			add("the %s has to be printable and at most %d bytes", text.what, session.MaxText)
		}
	}
	if o.TTL < 0 {
		add("a session can't last %s", o.TTL)
	}
	if o.TTY && !o.Stdin {
		add("a terminal takes standard input")
	}
	return errors.Join(errs...)
}

func allNames(pod *corev1.Pod) []string {
	out := names(pod)
	for i := range pod.Spec.EphemeralContainers {
		out = append(out, pod.Spec.EphemeralContainers[i].Name)
	}
	return out
}

// supported says why a pod can have no debug container.
func supported(t *target, o *Options) error {
	pod := t.pod
	switch {
	case pod.Annotations[corev1.MirrorPodAnnotationKey] != "":
		return fmt.Errorf("pod %s is static: a kubelet runs it from a file, and the API server adds nothing to it; debug it on its node, %s", pod.Name, pod.Spec.NodeName)
	case pod.Spec.HostPID:
		return fmt.Errorf("pod %s has hostPID: a debug container in it would see and could signal all processes of the node, so there is none; debug the node itself, or a copy of the pod", pod.Name)
	case !t.windows:
		return nil
	case isTrue(hostProcess(t.context)):
		return fmt.Errorf("pod %s runs on the node itself (windowsOptions.hostProcess), so a debug container would, too, and there is none; debug the node", pod.Name)
	case !o.Foreign:
		return fmt.Errorf("pod %s is for Windows, and the image %s is for Linux; name an image for Windows with --image", pod.Name, o.Image)
	case o.Profile != "" && o.Profile != Restricted && o.Profile != Baseline:
		return fmt.Errorf("pod %s is for Windows, where there is no profile %s; there are restricted and baseline", pod.Name, o.Profile)
	}
	return nil
}

func hostProcess(sc *corev1.SecurityContext) *bool {
	if sc.WindowsOptions == nil {
		return nil
	}
	return sc.WindowsOptions.HostProcess
}
