package matrix

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// example breaks one clause, and as little else as the API allows.
type example struct {
	// prepare is what the API asks for beside the violation.
	prepare func(*corev1.Pod)
	// pod breaks the clause in the pod itself, container in a container; at least
	// one is there.
	pod       func(*corev1.Pod)
	container func(*corev1.Container)
	// granted says that it is about what the webhook itself injects where there is
	// a grant.
	granted bool
	// about is the beginning of the message, where it is not about the pod or the
	// container itself.
	about string
	// nowhere is why no pod can break the clause at present.
	nowhere string
}

var examples = map[clause]example{
	{"apparmor", "baseline", "appArmorTypes"}: {
		pod:       func(p *corev1.Pod) { p.Spec.SecurityContext.AppArmorProfile = appArmor("Unconfined") },
		container: func(c *corev1.Container) { c.SecurityContext.AppArmorProfile = appArmor("Unconfined") },
	},
	{"apparmor", "baseline", "appArmorAnnotations"}: {
		pod: func(p *corev1.Pod) {
			p.Annotations = map[string]string{corev1.DeprecatedAppArmorBetaContainerAnnotationKeyPrefix + "app": "unconfined"}
		},
		about: `container "app": `,
	},
	{"capabilities", "baseline", "capabilitiesAdd"}:   {container: adding("SYS_ADMIN")},
	{"capabilities", "restricted", "capabilitiesAdd"}: {container: adding("CHOWN")},
	{"capabilities", "restricted", "capabilitiesDrop"}: {
		container: func(c *corev1.Container) { c.SecurityContext.Capabilities.Drop = []corev1.Capability{"KILL"} },
	},
	{"capabilities", "restricted", "capabilitiesGranted"}: {granted: true},
	{"capabilities", "restricted", "capabilitiesOfImage"}: {
		container: func(c *corev1.Container) {
			c.Image = "registry.example/net/app:1"
			c.SecurityContext.Capabilities.Add = []corev1.Capability{"NET_RAW"}
		},
	},
	{"host-namespaces", "baseline", "hostNamespaces"}: {pod: func(p *corev1.Pod) { p.Spec.HostPID = true }},
	{"host-ports", "baseline", "hostPorts"}: {
		container: func(c *corev1.Container) { c.Ports = []corev1.ContainerPort{{ContainerPort: 8080, HostPort: 8080}} },
	},
	{"host-probes-and-lifecycle", "baseline", "probeHosts"}: {
		container: func(c *corev1.Container) {
			c.LivenessProbe = &corev1.Probe{ProbeHandler: corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Host: "169.254.169.254", Port: intstr.FromInt32(80)}}}
		},
	},
	{"privilege-escalation", "restricted", "allowPrivilegeEscalation"}: {
		container: func(c *corev1.Container) { c.SecurityContext.AllowPrivilegeEscalation = nil },
	},
	{"privileged", "baseline", "privileged"}: {
		container: func(c *corev1.Container) {
			c.SecurityContext.Privileged, c.SecurityContext.AllowPrivilegeEscalation = new(true), nil
		},
	},
	{"proc-mount", "baseline", "procMount"}: {
		container: unmasked,
		nowhere:   "the API takes Unmasked only with hostUsers: false, where the level baseline allows it",
	},
	{"proc-mount", "restricted", "procMount"}: {
		prepare:   func(p *corev1.Pod) { p.Spec.HostUsers = new(false) },
		container: unmasked,
	},
	{"reserved-names", "baseline", "reservedNames"}: {
		container: func(c *corev1.Container) { c.Name = "debugsidecar-" + c.Name },
	},
	{"run-as-non-root", "restricted", "runAsNonRoot"}: {
		pod:       func(p *corev1.Pod) { p.Spec.SecurityContext.RunAsNonRoot = new(false) },
		container: func(c *corev1.Container) { c.SecurityContext.RunAsNonRoot = new(false) },
	},
	{"run-as-user", "restricted", "runAsUser"}: {
		pod:       func(p *corev1.Pod) { p.Spec.SecurityContext.RunAsUser = new(int64(0)) },
		container: func(c *corev1.Container) { c.SecurityContext.RunAsUser = new(int64(0)) },
	},
	{"seccomp", "baseline", "seccompTypes"}: {
		pod:       func(p *corev1.Pod) { p.Spec.SecurityContext.SeccompProfile = seccomp("Unconfined") },
		container: func(c *corev1.Container) { c.SecurityContext.SeccompProfile = seccomp("Unconfined") },
	},
	{"seccomp", "restricted", "seccompTypes"}: {
		prepare:   func(p *corev1.Pod) { p.Spec.SecurityContext.SeccompProfile = nil },
		pod:       func(p *corev1.Pod) { p.Spec.SecurityContext.SeccompProfile = seccomp("Unconfined") },
		container: func(c *corev1.Container) { c.SecurityContext.SeccompProfile = nil },
	},
	{"selinux", "baseline", "selinuxType"}:  seLinux(corev1.SELinuxOptions{Type: "spc_t"}),
	{"selinux", "baseline", "selinuxUser"}:  seLinux(corev1.SELinuxOptions{User: "system_u"}),
	{"selinux", "baseline", "selinuxRole"}:  seLinux(corev1.SELinuxOptions{Role: "sysadm_r"}),
	{"selinux", "baseline", "selinuxLevel"}: seLinux(corev1.SELinuxOptions{Level: "s0:c1,c7"}),
	{"sysctls", "baseline", "sysctls"}: {
		pod: func(p *corev1.Pod) {
			p.Spec.SecurityContext.Sysctls = []corev1.Sysctl{{Name: "kernel.msgmax", Value: "65536"}}
		},
	},
	{"volumes", "baseline", "volumeTypes"}: {
		pod: volume(corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/"}}),
	},
	{"volumes", "restricted", "volumeTypes"}: {
		pod: volume(corev1.VolumeSource{NFS: &corev1.NFSVolumeSource{Server: "nfs.example", Path: "/"}}),
	},
	{"windows-host-process", "baseline", "hostProcess"}: {
		prepare: hostProcesses,
		pod: func(p *corev1.Pod) {
			p.Spec.SecurityContext.WindowsOptions = hostProcess()
			p.Spec.SecurityContext.WindowsOptions.RunAsUserName = new(`NT AUTHORITY\LOCAL SERVICE`)
		},
		container: func(c *corev1.Container) { c.SecurityContext = &corev1.SecurityContext{WindowsOptions: hostProcess()} },
	},
}

func appArmor(kind corev1.AppArmorProfileType) *corev1.AppArmorProfile {
	return &corev1.AppArmorProfile{Type: kind}
}

func seccomp(kind corev1.SeccompProfileType) *corev1.SeccompProfile {
	return &corev1.SeccompProfile{Type: kind}
}

func adding(name corev1.Capability) func(*corev1.Container) {
	return func(c *corev1.Container) {
		c.SecurityContext.Capabilities.Add = []corev1.Capability{name}
		if name == "SYS_ADMIN" { // the API: it is a way to escalate
			c.SecurityContext.AllowPrivilegeEscalation = nil
		}
	}
}

func unmasked(c *corev1.Container) { c.SecurityContext.ProcMount = new(corev1.UnmaskedProcMount) }

func seLinux(o corev1.SELinuxOptions) example {
	return example{
		pod:       func(p *corev1.Pod) { p.Spec.SecurityContext.SELinuxOptions = &o },
		container: func(c *corev1.Container) { c.SecurityContext.SELinuxOptions = &o },
	}
}

func volume(source corev1.VolumeSource) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Spec.Volumes = append(p.Spec.Volumes, corev1.Volume{Name: "own", VolumeSource: source})
	}
}

func hostProcess() *corev1.WindowsSecurityContextOptions {
	return &corev1.WindowsSecurityContextOptions{HostProcess: new(true), RunAsUserName: new(`NT AUTHORITY\SYSTEM`)}
}

// hostProcesses makes a pod for Windows nodes in which all containers but those
// that break the clause themselves are host processes, as the API demands.
func hostProcesses(p *corev1.Pod) {
	p.Spec.OS = &corev1.PodOS{Name: corev1.Windows}
	p.Spec.HostNetwork = true
	p.Spec.SecurityContext = &corev1.PodSecurityContext{WindowsOptions: hostProcess()}
	visit(p, func(c *corev1.Container) { c.SecurityContext = nil })
}

// clean is a pod that breaks no rule at any level, with a container in each list
// but the ephemeral ones.
func clean() *corev1.Pod {
	pod := &corev1.Pod{Spec: corev1.PodSpec{
		Containers:     []corev1.Container{secure("app")},
		InitContainers: []corev1.Container{secure("init"), secure("side")},
		SecurityContext: &corev1.PodSecurityContext{
			RunAsNonRoot: new(true), SeccompProfile: seccomp(corev1.SeccompProfileTypeRuntimeDefault),
		},
	}}
	pod.Spec.InitContainers[1].RestartPolicy = new(corev1.ContainerRestartPolicyAlways)
	return pod
}

func secure(name string) corev1.Container {
	return corev1.Container{Name: name, Image: "registry.example/app:1", SecurityContext: &corev1.SecurityContext{
		RunAsNonRoot: new(true), AllowPrivilegeEscalation: new(false),
		SeccompProfile: seccomp(corev1.SeccompProfileTypeRuntimeDefault),
		Capabilities:   &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
	}}
}

// visit calls f with each container, also the ephemeral ones.
func visit(p *corev1.Pod, f func(*corev1.Container)) {
	for i := range p.Spec.Containers {
		f(&p.Spec.Containers[i])
	}
	for i := range p.Spec.InitContainers {
		f(&p.Spec.InitContainers[i])
	}
	for i := range p.Spec.EphemeralContainers {
		c := corev1.Container(p.Spec.EphemeralContainers[i].EphemeralContainerCommon)
		f(&c)
		p.Spec.EphemeralContainers[i].EphemeralContainerCommon = corev1.EphemeralContainerCommon(c)
	}
}
