package shape

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// Target is the container that is debugged.
type Target struct {
	Name string
	// ID is as in the pod's status, empty if it has never started.
	ID string
	// Running says whether it runs: there is no process to look at otherwise, and
	// the debug container can't start.
	Running bool
	// User and Group are its first process's, nil where they are not known: the
	// image decides, and the container runtime does not tell.
	User, Group *int64
}

// target is what candidates are made of.
type target struct {
	Target
	pod       *corev1.Pod
	container *corev1.Container
	// context is what of the container's and the pod's counts.
	context *corev1.SecurityContext
	// groups are its supplementary groups beyond those of the pod.
	groups  []int64
	windows bool
	// isNew says that the pod is still to be created, and the debug container is an
	// ordinary one in it.
	isNew bool
}

func targetOf(pod *corev1.Pod, name string) (*target, error) {
	c, statuses := find(pod, name)
	if c == nil {
		if slices.ContainsFunc(pod.Spec.EphemeralContainers, func(e corev1.EphemeralContainer) bool { return e.Name == name }) {
			return nil, fmt.Errorf("%s is a debug container itself, and the API allows none to target another; name one of %s", name, strings.Join(names(pod), ", "))
		}
		return nil, fmt.Errorf("pod %s has no container %q; it has %s", pod.Name, name, strings.Join(names(pod), ", "))
	}
	t := &target{
		Target: Target{Name: name}, pod: pod, container: c, context: effective(pod, c),
		windows: isWindows(pod),
	}
	t.User, t.Group = t.context.RunAsUser, t.context.RunAsGroup
	for i := range statuses {
		if s := &statuses[i]; s.Name == name {
			t.ID, t.Running = s.ContainerID, s.State.Running != nil
			if s.User != nil && s.User.Linux != nil {
				// What the runtime says is what it is; the spec may leave it to the image.
				t.User, t.Group = &s.User.Linux.UID, &s.User.Linux.GID
				t.groups = groupsOfImage(pod, s.User.Linux)
			}
		}
	}
	return t, nil
}

// find returns a container that a debug container can target, and the statuses
// among which its own is.
func find(pod *corev1.Pod, name string) (*corev1.Container, []corev1.ContainerStatus) {
	for i := range pod.Spec.Containers {
		if pod.Spec.Containers[i].Name == name {
			return &pod.Spec.Containers[i], pod.Status.ContainerStatuses
		}
	}
	for i := range pod.Spec.InitContainers {
		if pod.Spec.InitContainers[i].Name == name {
			return &pod.Spec.InitContainers[i], pod.Status.InitContainerStatuses
		}
	}
	return nil, nil
}

func names(pod *corev1.Pod) []string {
	var out []string
	for i := range pod.Spec.Containers {
		out = append(out, pod.Spec.Containers[i].Name)
	}
	for i := range pod.Spec.InitContainers {
		out = append(out, pod.Spec.InitContainers[i].Name)
	}
	return out
}

// effective is the container's security context with what the pod says where the
// container says nothing, as kubelets reckon.
func effective(pod *corev1.Pod, c *corev1.Container) *corev1.SecurityContext {
	out := &corev1.SecurityContext{}
	if c.SecurityContext != nil {
		out = c.SecurityContext.DeepCopy()
	}
	p := pod.Spec.SecurityContext
	if p == nil {
		return out
	}
	p = p.DeepCopy()
	out.RunAsUser = or(out.RunAsUser, p.RunAsUser)
	out.RunAsGroup = or(out.RunAsGroup, p.RunAsGroup)
	out.RunAsNonRoot = or(out.RunAsNonRoot, p.RunAsNonRoot)
	out.SELinuxOptions = or(out.SELinuxOptions, p.SELinuxOptions)
	out.SeccompProfile = or(out.SeccompProfile, p.SeccompProfile)
	out.AppArmorProfile = or(out.AppArmorProfile, p.AppArmorProfile)
	if w := p.WindowsOptions; w != nil {
		if out.WindowsOptions == nil {
			out.WindowsOptions = &corev1.WindowsSecurityContextOptions{}
		}
		out.WindowsOptions.RunAsUserName = or(out.WindowsOptions.RunAsUserName, w.RunAsUserName)
		out.WindowsOptions.HostProcess = or(out.WindowsOptions.HostProcess, w.HostProcess)
	}
	return out
}

func or[T any](a, b *T) *T {
	if a != nil {
		return a
	}
	return b
}

// groupsOfImage are the supplementary groups that come from the image's
// /etc/group: a debug container has those of the pod alone.
func groupsOfImage(pod *corev1.Pod, user *corev1.LinuxContainerUser) []int64 {
	known := []int64{user.GID}
	if sc := pod.Spec.SecurityContext; sc != nil {
		known = append(known, sc.SupplementalGroups...)
		if sc.FSGroup != nil {
			known = append(known, *sc.FSGroup)
		}
	}
	var out []int64
	for _, g := range user.SupplementalGroups {
		if !slices.Contains(known, g) {
			out = append(out, g)
		}
	}
	return out
}

func isWindows(pod *corev1.Pod) bool {
	return pod.Spec.OS != nil && pod.Spec.OS.Name == corev1.Windows ||
		pod.Spec.NodeSelector[corev1.LabelOSStable] == string(corev1.Windows)
}

func isTrue(b *bool) bool { return b != nil && *b }

// isRoot says whether its first process is root's, and whether that is known.
func (t *target) isRoot() (root, known bool) {
	switch {
	case t.User != nil:
		return *t.User == 0, true
	case isTrue(t.context.RunAsNonRoot):
		return false, true
	}
	return true, false // an image that names no user runs as root
}
