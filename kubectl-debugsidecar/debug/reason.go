package debug

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/debugsidecar/debugsidecar/webhook/session"
)

// phase is where a debug container is on its way.
type phase int

const (
	waiting phase = iota
	running
	ended
	stuck // it can't start as things are; the kubelet goes on trying
)

// standing is what a pod says of a container.
type standing struct {
	phase  phase
	text   string // what it waits for, or why it can't start
	fix    string // the way out
	status *corev1.ContainerStatus
}

// standingOf judges a pod as a watch brought it.
func standingOf(pod *corev1.Pod, container string) standing {
	status := statusOf(pod, container)
	image := imageOf(pod, container)
	switch {
	case status != nil && status.State.Running != nil:
		return standing{phase: running, status: status}
	case status != nil && status.State.Terminated != nil && !restartsIn(pod, container):
		return standing{phase: ended, status: status}
	case pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed:
		return standing{phase: stuck, text: fmt.Sprintf("pod %s ended meanwhile (%s)", pod.Name, podEnd(pod)), fix: "a copy can be debugged: --allow-terminated"}
	case pod.DeletionTimestamp != nil:
		return standing{phase: stuck, text: fmt.Sprintf("pod %s is being deleted", pod.Name), fix: "debug the pod that replaces it"}
	case status != nil && status.State.Waiting != nil:
		if s := beforeIt(pod, status); s != nil {
			return *s
		}
		return waitingFor(status, image)
	case pod.Spec.NodeName == "":
		return standing{text: "a node: " + unscheduled(pod)}
	}
	return standing{text: "the kubelet of node " + pod.Spec.NodeName}
}

// beforeIt judges what has to run before a container, as in a copy.
func beforeIt(pod *corev1.Pod, status *corev1.ContainerStatus) *standing {
	if status.State.Waiting.Reason != "PodInitializing" {
		return nil
	}
	for i := range pod.Status.InitContainerStatuses {
		first := &pod.Status.InitContainerStatuses[i]
		if first.State.Waiting == nil || first.State.Waiting.Reason == "PodInitializing" {
			continue
		}
		s := waitingFor(first, imageOf(pod, first.Name))
		s.text = "container " + first.Name + ": " + s.text
		return &s
	}
	return nil
}

// waitingFor judges a reason for which a container waits.
func waitingFor(status *corev1.ContainerStatus, image string) standing {
	w := status.State.Waiting
	message := long(w.Message)
	s := standing{status: status, phase: stuck}
	switch w.Reason {
	case "", "ContainerCreating", "PodInitializing":
		s.phase, s.text = waiting, "its start"
		return s
	case "ErrImagePull", "ImagePullBackOff":
		s.text = fmt.Sprintf("image %s can't be pulled: %s", image, strings.TrimPrefix(message, fmt.Sprintf("Back-off pulling image %q: ErrImagePull: ", image)))
		s.fix = "check its name and tag, and whether the node may pull it (imagePullSecrets of the pod)"
		if w.Reason == "ErrImagePull" && !final(w.Message) {
			s.phase = waiting // the kubelet tries again
		}
	case "InvalidImageName":
		s.text, s.fix = fmt.Sprintf("%q is no name of an image: %s", image, message), "name one with --image"
	case "ErrImageNeverPull":
		s.text, s.fix = fmt.Sprintf("image %s is not on the node, and must not be pulled", image), "name one that is there with --image, or another --image-pull-policy"
	case "CreateContainerConfigError":
		s.text = "the container can't be made: " + message
		switch {
		case strings.Contains(w.Message, "runAsNonRoot"):
			s.fix = "the pod must not run as root (runAsNonRoot), and the image says no other user: use an image with one, or --profile=restricted"
		default:
			s.fix = "mend what the message names"
		}
	case "CreateContainerError", "RunContainerError":
		s.text = "the container runtime can't start it: " + message
		s.fix = "use another image or profile"
		if strings.Contains(w.Message, "executable file not found") || strings.Contains(w.Message, "no such file or directory") {
			s.fix = "the image has no such program: name one after --, or another image"
		}
	case "CrashLoopBackOff":
		s.phase, s.text = waiting, "its next start: it ended"
	default:
		s.phase, s.text = waiting, w.Reason+": "+message
	}
	return s
}

// maxMessage is how much is shown of what a kubelet says: images and registries
// have a part in it.
const maxMessage = 1024

// long is a text for people, with its end, where a chain of errors has its cause.
func long(text string) string {
	text = printable(text)
	if len(text) > maxMessage {
		text = printable(text[:maxMessage/2]) + " ... " + printable(text[len(text)-maxMessage/2:])
	}
	return text
}

// final says whether another try would give the same: the registry answered, and
// said no.
func final(message string) bool {
	for _, words := range []string{"not found", "unauthorized", "denied", "no such host", "manifest unknown", "forbidden"} {
		if strings.Contains(strings.ToLower(message), words) {
			return true
		}
	}
	return false
}

func unscheduled(pod *corev1.Pod) string {
	for i := range pod.Status.Conditions {
		if c := &pod.Status.Conditions[i]; c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
			return session.Text(c.Message)
		}
	}
	return "the pod is not scheduled yet"
}

// podEnd is why a pod ended, in few words.
func podEnd(pod *corev1.Pod) string {
	parts := []string{string(pod.Status.Phase)}
	for _, text := range []string{pod.Status.Reason, pod.Status.Message} {
		if text != "" {
			parts = append(parts, session.Text(text))
		}
	}
	return strings.Join(parts, ": ")
}

func statusOf(pod *corev1.Pod, container string) *corev1.ContainerStatus {
	for _, list := range [][]corev1.ContainerStatus{pod.Status.EphemeralContainerStatuses, pod.Status.ContainerStatuses, pod.Status.InitContainerStatuses} {
		for i := range list {
			if list[i].Name == container {
				return &list[i]
			}
		}
	}
	return nil
}

// containerOf finds a container of any kind.
func containerOf(pod *corev1.Pod, name string) *corev1.Container {
	for i := range pod.Spec.EphemeralContainers {
		if c := &pod.Spec.EphemeralContainers[i]; c.Name == name {
			return (*corev1.Container)(&c.EphemeralContainerCommon)
		}
	}
	for _, list := range [][]corev1.Container{pod.Spec.Containers, pod.Spec.InitContainers} {
		for i := range list {
			if list[i].Name == name {
				return &list[i]
			}
		}
	}
	return nil
}

func imageOf(pod *corev1.Pod, container string) string {
	if c := containerOf(pod, container); c != nil {
		return session.Text(c.Image)
	}
	return ""
}

// restartsIn says whether an ended container is started again: never an ephemeral
// one.
func restartsIn(pod *corev1.Pod, container string) bool {
	for i := range pod.Spec.EphemeralContainers {
		if pod.Spec.EphemeralContainers[i].Name == container {
			return false
		}
	}
	return pod.Spec.RestartPolicy == corev1.RestartPolicyAlways || pod.Spec.RestartPolicy == ""
}
