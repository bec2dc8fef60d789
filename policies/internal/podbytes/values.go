package podbytes

import "slices"

// values are those that matter, by type and field of core/v1. What is in no list
// can be spelled out in every field; the order is part of the corpus.
var values = map[string][]string{
	"Capabilities.Add":               capabilities,
	"Capabilities.Drop":              capabilities,
	"SeccompProfile.Type":            profiles,
	"AppArmorProfile.Type":           profiles,
	"SecurityContext.ProcMount":      {"Default", "Unmasked", "", "default"},
	"SELinuxOptions.Type":            {"container_t", "container_init_t", "container_kvm_t", "container_engine_t", "spc_t", "", "Container_t", "container_t "},
	"SELinuxOptions.User":            {"system_u", "user_u", ""},
	"SELinuxOptions.Role":            {"system_r", "object_r", ""},
	"SELinuxOptions.Level":           {"s0:c1,c2", "s0", "", "s0-s0:c0.c1023", "s0:c123,c456", "s0:c2,c1", "x"},
	"HTTPGetAction.Host":             hosts,
	"TCPSocketAction.Host":           hosts,
	"PodOS.Name":                     {"windows", "linux", "", "Windows"},
	"Container.Name":                 names,
	"EphemeralContainerCommon.Name":  names,
	"EphemeralContainer.Name":        names,
	"Container.Image":                images,
	"EphemeralContainerCommon.Image": images,
	"Container.RestartPolicy":        {"Always", "Never", ""},
	"Volume.Name":                    {"a", "b", "debugsidecar-tools", ""},
	"Sysctl.Name": {
		"kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.ip_unprivileged_port_start", "net.ipv4.tcp_syncookies",
		"net.ipv4.ping_group_range", "net.ipv4.ip_local_reserved_ports", "net.ipv4.tcp_keepalive_time", "net.ipv4.tcp_fin_timeout",
		"net.ipv4.tcp_keepalive_intvl", "net.ipv4.tcp_keepalive_probes", "net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem",
		"net.ipv4.tcp_slow_start_after_idle", "net.ipv4.tcp_notsent_lowat", "kernel.msgmax", "net/ipv4/tcp_syncookies", "",
	},
	annotationKey: {
		"container.apparmor.security.beta.kubernetes.io/app", "container.apparmor.security.beta.kubernetes.io/", "container.apparmor.security.beta.kubernetes.io/init",
		"seccomp.security.alpha.kubernetes.io/pod", "container.seccomp.security.alpha.kubernetes.io/app", "debugsidecar.io/params", "a",
	},
	annotationValue: {"unconfined", "runtime/default", "localhost/", "localhost/x", "", "Localhost/x", "runtime/default "},
}

const (
	annotationKey   = "annotation key"
	annotationValue = "annotation value"
)

var (
	capabilities = []string{
		"ALL", "NET_BIND_SERVICE", "CHOWN", "KILL", "AUDIT_WRITE", "DAC_OVERRIDE", "FOWNER", "FSETID", "MKNOD", "SETFCAP", "SETGID",
		"SETPCAP", "SETUID", "SYS_CHROOT", "SYS_ADMIN", "NET_RAW", "BPF", "PERFMON", "all", "CAP_ALL", "CAP_CHOWN", "ALL ", "", "X\x00ALL",
	}
	profiles = []string{"RuntimeDefault", "Localhost", "Unconfined", "", "runtimeDefault", "runtime/default"}
	hosts    = []string{"", "127.0.0.1", "localhost", "::1", "169.254.169.254", "example.com"}
	names    = []string{"app", "init", "encoder", "debugger", "debugsidecar-video-probe", "debugsidecar-", "debugsidecar", ""}
	images   = []string{"app:1", "app:2", "", "registry.example/app@sha256:00"}

	// common are for fields without values of their own.
	common = []string{"", "a", "ALL", "RuntimeDefault", "Localhost", "Unconfined", "/", "Always"}

	numbers = []int64{0, 1, 80, 8554, 1000, 10001, 65532, 65535, 65536, -1, 1 << 31, 1 << 53, 1<<53 + 1, -1 << 63, 1<<63 - 1}
)

// valuesOf returns the values of a field.
func valuesOf(where string) []string {
	if own, ok := values[where]; ok {
		return own
	}
	return common
}

func indexIn[T comparable](list []T, v T) (byte, bool) {
	i := slices.Index(list, v)
	return byte(i), i >= 0
}
