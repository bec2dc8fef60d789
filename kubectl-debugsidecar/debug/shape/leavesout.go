package shape

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/debugsidecar/debugsidecar/webhook/session"
)

// leavesOut says what can't be done with a security context of ours, the gravest
// first.
func leavesOut(t *target, p Profile, sc *corev1.SecurityContext) []string {
	if t.windows {
		return []string{"the target's processes are not seen: containers on Windows share none"}
	}
	var out []string
	if !t.Running {
		out = append(out, fmt.Sprintf("%s does not run: there is no process of it to see", t.Name))
	}
	closed, sure := whyClosed(t, p, sc)
	switch {
	case closed != "" && sure:
		out = append(out, "the target's files under /proc/PID/root can't be read, nor its environment and open files: "+closed)
	case closed != "":
		out = append(out, "the target's files under /proc/PID/root, its environment and open files may be closed: "+closed)
	}
	traces := isTrue(sc.Privileged) || adds(sc, "SYS_PTRACE")
	if !traces {
		out = append(out, "processes of other users stay closed, and where the node restricts tracing (kernel.yama.ptrace_scope) strace and gdb can't attach: that takes CAP_SYS_PTRACE, profile general")
	}
	if s := sc.SeccompProfile; s != nil && s.Type == corev1.SeccompProfileTypeLocalhost && s.LocalhostProfile != nil {
		out = append(out, fmt.Sprintf("the target's seccomp profile %s holds for the debug container, too, and may forbid what a tool needs", session.Text(*s.LocalhostProfile)))
	}
	if len(t.groups) > 0 && !isTrue(sc.Privileged) && !adds(sc, "DAC_OVERRIDE") {
		out = append(out, fmt.Sprintf("files that only group %s may open: the target has it from its image's /etc/group", numbers(t.groups)))
	}
	if !isTrue(sc.Privileged) && !adds(sc, "NET_ADMIN") {
		if mayHaveNetRaw(sc) {
			out = append(out, "the pod's network can't be changed: that takes CAP_NET_ADMIN, profile netadmin")
		} else {
			out = append(out, "the pod's packets can't be captured and its network not changed: that takes CAP_NET_RAW and CAP_NET_ADMIN, profile netadmin")
		}
	}
	return out
}

// whyClosed says why the kernel does not open the target to the debug container,
// and whether that is sure. It opens a process to who has its user and group and
// at least its capabilities, or has CAP_SYS_PTRACE; and then AppArmor and SELinux
// have to agree.
func whyClosed(t *target, p Profile, sc *corev1.SecurityContext) (why string, sure bool) {
	switch {
	case isTrue(sc.Privileged):
		return "", false
	case adds(sc, "SYS_PTRACE"):
		return whyConfined(t, sc), false
	}
	takes := func(what string) string { return "that takes " + what + ", or CAP_SYS_PTRACE (profile general)" }
	asRoot, known := t.isRoot()
	switch {
	case t.User != nil && *t.User != *sc.RunAsUser:
		return takes(fmt.Sprintf("its user %d, which profile %s does not permit", *t.User, p)), true
	case asRoot && *sc.RunAsUser != root:
		return takes("its user, which is not known and may be root: its image decides"), false
	case t.User == nil && known:
		return takes("its user, which is not known: its image decides, and it is not root"), true
	case t.User == nil:
		return takes("its user, which is not known, as its image decides; if it names none that is root, as here"), false
	}
	if asRoot {
		if isTrue(t.context.Privileged) {
			return takes("all capabilities, as it is privileged"), true
		}
		if missing := missingCapabilities(t, sc); len(missing) > 0 {
			return takes("its capabilities " + strings.Join(missing, ", ") + ", which profile " + string(p) + " does not permit"), true
		}
	}
	if why := whyConfined(t, sc); why != "" {
		return why, false
	}
	if t.Group == nil {
		return takes("its group, which is not known: its image decides"), false
	}
	if !asRoot && !t.isNew && t.context.Capabilities != nil && len(t.context.Capabilities.Add) > 0 {
		return takes("the capabilities that its program's file may give it"), false
	}
	return "", false
}

// whyConfined says why AppArmor or SELinux may keep them apart.
func whyConfined(t *target, sc *corev1.SecurityContext) string {
	if isTrue(t.context.Privileged) {
		return "the target is privileged; where the node has SELinux, that takes profile sysadmin"
	}
	if o := t.context.SELinuxOptions; o != nil && sc.SELinuxOptions != nil && *o != *sc.SELinuxOptions {
		return "where the node has SELinux, that takes the target's options, which the profile does not permit"
	}
	if a := t.context.AppArmorProfile; a != nil && a.Type == corev1.AppArmorProfileTypeUnconfined && sc.AppArmorProfile != nil && sc.AppArmorProfile.Type != a.Type {
		return "where the node has AppArmor, that takes being unconfined, as the target is, which the profile does not permit"
	}
	return ""
}

func missingCapabilities(t *target, sc *corev1.SecurityContext) []string {
	if t.context.Capabilities == nil {
		return nil
	}
	var out []string
	for _, c := range t.context.Capabilities.Add {
		if !adds(sc, c) {
			out = append(out, string(c))
		}
	}
	return out
}

func adds(sc *corev1.SecurityContext, c corev1.Capability) bool {
	return sc.Capabilities != nil && slices.Contains(sc.Capabilities.Add, c)
}

// mayHaveNetRaw says whether a container may capture packets without having
// asked for it: some runtimes give CAP_NET_RAW to root.
func mayHaveNetRaw(sc *corev1.SecurityContext) bool {
	if *sc.RunAsUser != root {
		return false
	}
	return sc.Capabilities == nil || !slices.Contains(sc.Capabilities.Drop, "ALL") && !slices.Contains(sc.Capabilities.Drop, "NET_RAW")
}

func numbers(of []int64) string {
	var out []string
	for _, n := range of {
		out = append(out, fmt.Sprint(n))
	}
	return strings.Join(out, ", ")
}
