package shape

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

const (
	// imageUser is our image's, which has nothing and may do nothing.
	imageUser int64 = 65532
	root      int64 = 0
)

// securityContext is a profile's for a target.
func securityContext(t *target, p Profile) *corev1.SecurityContext {
	if t.windows {
		return windowsContext(t, p)
	}
	user, group := identity(t, p)
	nonRoot := user != root
	sc := &corev1.SecurityContext{RunAsUser: &user, RunAsGroup: group, RunAsNonRoot: &nonRoot}
	sc.SELinuxOptions = seLinux(t, p)
	sc.ReadOnlyRootFilesystem = clone(t.context.ReadOnlyRootFilesystem)
	if p == SysAdmin {
		sc.Privileged = new(true)
		return sc
	}
	sc.AllowPrivilegeEscalation = new(false)
	sc.Capabilities = capabilities(t, p)
	sc.SeccompProfile = &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}
	if s := t.context.SeccompProfile; s != nil && s.Type == corev1.SeccompProfileTypeLocalhost {
		sc.SeccompProfile = s.DeepCopy()
	}
	sc.AppArmorProfile = appArmor(t, p)
	return sc
}

// Hardened is the security context of a program that takes no privilege at all,
// in any pod.
func Hardened(pod *corev1.Pod) *corev1.SecurityContext {
	t := &target{pod: pod, container: &corev1.Container{}}
	t.context = effective(pod, t.container)
	t.context.RunAsUser = new(imageUser)
	sc := securityContext(t, Restricted)
	sc.RunAsGroup, sc.ReadOnlyRootFilesystem = nil, new(true)
	return sc
}

// identity is whom a debug container runs as: as its target if the profile
// permits that, for the kernel opens a process to its own user and group.
func identity(t *target, p Profile) (user int64, group *int64) {
	asRoot, _ := t.isRoot()
	switch {
	case p != Restricted && p != Baseline:
		return root, nil
	case asRoot && p == Baseline:
		return root, clone(t.Group)
	case asRoot || t.User == nil:
		return imageUser, nil
	}
	return *t.User, clone(t.Group)
}

// capabilities are the least that cover the target's. A process that is not
// root's has none, whatever its container adds, since Kubernetes knows no ambient
// ones. A root's has what the runtime gives by default and the container adds and
// drops: which that is depends on the runtime, so the same is added and dropped.
func capabilities(t *target, p Profile) *corev1.Capabilities {
	out := &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}}
	if p == Restricted {
		return out
	}
	if asRoot, _ := t.isRoot(); asRoot {
		out.Drop = nil
		if !isTrue(t.context.Privileged) && t.context.Capabilities != nil {
			out.Drop = slices.Clone(t.context.Capabilities.Drop)
			for _, c := range t.context.Capabilities.Add {
				if slices.Contains(baselineCapabilities, c) {
					out.Add = append(out.Add, c)
				}
			}
		}
	}
	var more []corev1.Capability
	switch p {
	case General:
		more = generalCapabilities
	case NetAdmin:
		more = append(slices.Clone(generalCapabilities), "NET_ADMIN", "NET_RAW")
	}
	for _, c := range more {
		if !slices.Contains(out.Add, c) {
			out.Add = append(out.Add, c)
		}
	}
	out.Drop = slices.DeleteFunc(out.Drop, func(c corev1.Capability) bool { return slices.Contains(more, c) })
	if len(out.Add) == 0 && len(out.Drop) == 0 {
		return nil
	}
	slices.Sort(out.Add)
	return out
}

var (
	// generalCapabilities let root see, read and signal processes of other users,
	// and become their user. Not DAC_READ_SEARCH: with it one reads any file of the
	// node.
	generalCapabilities = []corev1.Capability{"DAC_OVERRIDE", "KILL", "SETGID", "SETUID", "SYS_PTRACE"}
	// baselineCapabilities are those that Pod Security's level baseline lets add.
	baselineCapabilities = []corev1.Capability{
		"AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD",
		"NET_BIND_SERVICE", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT",
	}
)

// seLinux copies what the target's container has of its own; what the pod has
// holds for all its containers. A type, user or role that a level forbids is left
// to the runtime; the level (MCS) is what opens files.
func seLinux(t *target, p Profile) *corev1.SELinuxOptions {
	o := t.context.SELinuxOptions
	if o == nil || p == SysAdmin { // a runtime gives a privileged container a type of its own
		return nil
	}
	if (p == Restricted || p == Baseline) && !seLinuxPasses(o) {
		return &corev1.SELinuxOptions{Level: o.Level}
	}
	if t.container.SecurityContext == nil || t.container.SecurityContext.SELinuxOptions == nil {
		return nil
	}
	return o.DeepCopy()
}

func seLinuxPasses(o *corev1.SELinuxOptions) bool {
	return o.User == "" && o.Role == "" && slices.Contains([]string{"", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"}, o.Type)
}

// appArmor is the target's, since AppArmor lets a process look at those alone
// that have its own profile.
func appArmor(t *target, p Profile) *corev1.AppArmorProfile {
	a := t.context.AppArmorProfile
	if isTrue(t.context.Privileged) {
		a = &corev1.AppArmorProfile{Type: corev1.AppArmorProfileTypeUnconfined} // as runtimes start it
	}
	switch {
	case a == nil:
		return nil
	case a.Type == corev1.AppArmorProfileTypeUnconfined && (p == Restricted || p == Baseline):
		if t.context.AppArmorProfile == nil {
			return nil
		}
		return &corev1.AppArmorProfile{Type: corev1.AppArmorProfileTypeRuntimeDefault}
	}
	return a.DeepCopy()
}

// containerAdministrator is Windows' user that has all of a container.
const containerAdministrator = "ContainerAdministrator"

// windowsContext has what Windows knows.
func windowsContext(t *target, p Profile) *corev1.SecurityContext {
	sc := &corev1.SecurityContext{}
	if w := t.context.WindowsOptions; w != nil && w.RunAsUserName != nil {
		sc.WindowsOptions = &corev1.WindowsSecurityContextOptions{RunAsUserName: clone(w.RunAsUserName)}
	}
	if p == Restricted {
		sc.RunAsNonRoot = new(true)
		if t.pod.Spec.OS == nil {
			// Pod Security takes it for a pod for Linux then; Windows passes over these.
			sc.AllowPrivilegeEscalation = new(false)
			sc.Capabilities = &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}}
			sc.SeccompProfile = &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}
		}
		if w := sc.WindowsOptions; w == nil || strings.EqualFold(*w.RunAsUserName, containerAdministrator) {
			sc.WindowsOptions = &corev1.WindowsSecurityContextOptions{RunAsUserName: new("ContainerUser")}
		}
	}
	return sc
}

func clone[T any](p *T) *T {
	if p == nil {
		return nil
	}
	return new(*p)
}
