// Package probes finds the video probe in a pod.
package probes

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"

	"github.com/debugsidecar/debugsidecar/webhook/inject/profile"
	"github.com/debugsidecar/debugsidecar/webhook/missed"
	"github.com/debugsidecar/debugsidecar/webhook/session"
)

// Probe is the video probe of a pod.
type Probe struct {
	Namespace, Pod string
	// UID is the pod's.
	UID string
	// Container is the probe's, ID that of the one that runs now.
	Container, ID string
	// Port is where the pod's address has the metrics.
	Port int32
	// Waits says why the probe does not run; empty if it does.
	Waits string
}

// Name is namespace/pod.
func (p *Probe) Name() string { return p.Namespace + "/" + p.Pod }

// portName is that of the metrics' port in the profiles.
const portName = "dbgsc-metrics"

// known are the profiles whose container is a probe though no annotation says so:
// a manifest that was injected offline has none.
var known = []string{"video-probe", "full"}

// Of finds a pod's probe; false if there is none, or the pod has ended.
func Of(pod *corev1.Pod) (Probe, bool) {
	if Ended(pod) {
		return Probe{}, false
	}
	name, port := "", int32(0)
	if s, ok := missed.StatusOf(&pod.ObjectMeta); ok && s.Skipped == "" && s.Port > 0 {
		if c := container(pod, s.Profile); c != nil && has(c, s.Port) {
			name, port = c.Name, s.Port
		}
	}
	for i := 0; i < len(known) && name == ""; i++ {
		if c := container(pod, known[i]); c != nil {
			for _, p := range c.Ports {
				if p.Name == portName {
					name, port = c.Name, p.ContainerPort
				}
			}
		}
	}
	if name == "" {
		return Probe{}, false
	}
	p := Probe{Namespace: pod.Namespace, Pod: pod.Name, UID: string(pod.UID), Container: name, Port: port}
	p.ID, p.Waits = state(pod, name)
	return p, true
}

// Ended says whether nothing of a pod will run again.
func Ended(pod *corev1.Pod) bool {
	return pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
}

func container(pod *corev1.Pod, of string) *corev1.Container {
	for _, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range list {
			if list[i].Name == profile.NamePrefix+of {
				return &list[i]
			}
		}
	}
	return nil
}

func has(c *corev1.Container, port int32) bool {
	for _, p := range c.Ports {
		if p.ContainerPort == port {
			return true
		}
	}
	return false
}

func state(pod *corev1.Pod, name string) (id, waits string) {
	for _, list := range [][]corev1.ContainerStatus{pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses} {
		for i := range list {
			s := &list[i]
			if s.Name != name {
				continue
			}
			switch {
			case s.State.Running != nil:
				return s.ContainerID, ""
			case s.State.Terminated != nil:
				return "", session.Text(fmt.Sprintf("it ended: %s, exit status %d", s.State.Terminated.Reason, s.State.Terminated.ExitCode))
			case s.State.Waiting != nil && s.State.Waiting.Reason != "":
				return "", session.Text(s.State.Waiting.Reason)
			}
		}
	}
	return "", session.Text("it has not started; the pod is " + string(pod.Status.Phase))
}
