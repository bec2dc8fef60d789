package inject

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/debugsidecar/debugsidecar/webhook/inject/profile"
)

// existing is what the pod already has under our reserved prefix: after a
// restore, on a reinvocation, or because somebody wrote it by hand.
type existing struct {
	pod   *corev1.Pod // nil if the pod has nothing of the kind
	names []string    // of containers, sorted
}

// find looks for reserved names. Only if there is one it reads the whole pod.
func find(f Facts) (*existing, error) {
	e := &existing{}
	spec := &f.Pod.Spec
	for _, list := range [...][]containerOf{spec.InitContainers, spec.Containers} {
		for i := range list {
			if strings.HasPrefix(list[i].Name, profile.NamePrefix) {
				e.names = append(e.names, list[i].Name)
			}
		}
	}
	reserved := len(e.names) > 0 || slices.ContainsFunc(spec.Volumes, func(v corev1.Volume) bool {
		return strings.HasPrefix(v.Name, profile.NamePrefix)
	})
	if !reserved {
		return e, nil
	}
	slices.Sort(e.names)
	e.names = slices.Compact(e.names)
	var err error
	e.pod, err = f.Full()
	return e, err
}

// isOurs says whether a container of that name is not the pod owner's.
func (e *existing) isOurs(name string) bool { return slices.Contains(e.names, name) }

// foreign says which reserved name no profile has; such a pod is refused.
func (e *existing) foreign(profiles *profile.Set) string {
	for _, name := range e.names {
		if _, ok := profiles.Get(strings.TrimPrefix(name, profile.NamePrefix)); !ok {
			return fmt.Sprintf("container %s: the name prefix %s is reserved, and there is no profile %q; rename the container",
				name, profile.NamePrefix, strings.TrimPrefix(name, profile.NamePrefix))
		}
	}
	return ""
}

// visitOthers calls visit for each container of the pod's owner, init
// containers first, until it returns false; then it returns false, too.
func visitOthers(pod podOf, e *existing, visit func(*containerOf) bool) bool {
	for _, list := range [...][]containerOf{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range list {
			if !e.isOurs(list[i].Name) && !visit(&list[i]) {
				return false
			}
		}
	}
	return true
}

// isOurVolume says whether a volume has the name that one of the profiles gives.
func isOurVolume(name string, profiles *profile.Set) bool {
	if !strings.HasPrefix(name, profile.NamePrefix) {
		return false
	}
	return slices.ContainsFunc(profiles.Names(), func(p string) bool {
		own := profile.NamePrefix + p
		return name == own || strings.HasPrefix(name, own+"-")
	})
}

// mountedByOthers says whether a container that is not ours mounts the volume.
func (e *existing) mountedByOthers(volume string) bool {
	return e.anyMountedByOthers(func(name string) bool { return name == volume })
}

// anyMountedByOthers says so of volumes by their names.
func (e *existing) anyMountedByOthers(is func(name string) bool) bool {
	for _, list := range [...][]corev1.Container{e.pod.Spec.InitContainers, e.pod.Spec.Containers} {
		for i := range list {
			c := &list[i]
			if !e.isOurs(c.Name) &&
				(slices.ContainsFunc(c.VolumeMounts, func(m corev1.VolumeMount) bool { return is(m.Name) }) ||
					slices.ContainsFunc(c.VolumeDevices, func(m corev1.VolumeDevice) bool { return is(m.Name) })) {
				return true
			}
		}
	}
	return false
}

// takenVolume returns a volume of the pod's owner that has the name of one of
// the sidecar's and is another one. To replace it would take it from the
// containers that mount it.
func (e *existing) takenVolume(s *profile.Sidecar) string {
	if e.pod == nil {
		return ""
	}
	for i := range e.pod.Spec.Volumes {
		v := &e.pod.Spec.Volumes[i]
		if wanted, same := s.VolumeIs(v); wanted && !same && e.mountedByOthers(v.Name) {
			return v.Name
		}
	}
	return ""
}
