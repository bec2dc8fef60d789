// Package kernel tells what the running kernel has: its drop reasons' names,
// the arguments of its tracepoints, and whether this process may load programs.
package kernel

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"

	"github.com/debugsidecar/debugsidecar/bpf"
)

// Types returns the running kernel's BTF. Reading it takes no capability.
func Types() (*btf.Spec, error) {
	types, err := btf.LoadKernelSpec()
	if err != nil {
		return nil, fmt.Errorf("the kernel's BTF (CONFIG_DEBUG_INFO_BTF, /sys/kernel/btf/vmlinux): %w", err)
	}
	return types, nil
}

// TracepointArgs returns how many arguments a tracepoint has. Kernels add some
// and distributions backport that, so the version tells nothing: the type
// btf_trace_NAME does.
func TracepointArgs(types *btf.Spec, name string) (int, error) {
	var def *btf.Typedef
	if err := types.TypeByName("btf_trace_"+name, &def); err != nil {
		return 0, fmt.Errorf("tracepoint %s: %w", name, err)
	}
	pointer, ok := btf.UnderlyingType(def).(*btf.Pointer)
	if !ok {
		return 0, fmt.Errorf("tracepoint %s: %v is no pointer", name, def)
	}
	proto, ok := btf.UnderlyingType(pointer.Target).(*btf.FuncProto)
	if !ok || len(proto.Params) == 0 {
		return 0, fmt.Errorf("tracepoint %s: %v is no function", name, pointer.Target)
	}
	return len(proto.Params) - 1, nil // the first one is the probe's own data
}

// Enum returns an enumeration of the running kernel, from value to name.
func Enum(types *btf.Spec, name string) (map[uint32]string, error) {
	var enum *btf.Enum
	if err := types.TypeByName(name, &enum); err != nil {
		return nil, fmt.Errorf("enum %s: %w", name, err)
	}
	names := make(map[uint32]string, len(enum.Values))
	for _, v := range enum.Values {
		names[uint32(v.Value)] = v.Name
	}
	return names, nil
}

// Require returns an *bpf.UnavailableError if the calling thread lacks one of
// the capabilities. CAP_SYS_ADMIN stands for CAP_BPF and CAP_PERFMON, as in the
// kernel (bpf_capable, perfmon_capable).
func Require(what string, needs ...bpf.Capability) error {
	have, err := effective()
	if err != nil {
		return &bpf.UnavailableError{What: what, Err: err}
	}
	var missing []bpf.Capability
	for _, c := range needs {
		stands := (c == bpf.BPF || c == bpf.Perfmon) && have&(1<<bpf.SysAdmin) != 0
		if have&(1<<c) == 0 && !stands {
			missing = append(missing, c)
		}
	}
	if len(missing) > 0 {
		return &bpf.UnavailableError{What: what, Missing: missing}
	}
	return nil
}

// Explain turns an error of loading or attaching into one that says what to do.
func Explain(what string, err error) error {
	if err == nil {
		return nil
	}
	switch {
	case errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) && !isVerifier(err):
		err = fmt.Errorf("the kernel refuses it although the process has the capabilities (%s): %w", refusal(), err)
	case errors.Is(err, ebpf.ErrNotSupported):
		err = fmt.Errorf("this kernel is too old or lacks BPF (6.1 or newer with BTF is needed): %w", err)
	}
	return &bpf.UnavailableError{What: what, Err: err}
}

func isVerifier(err error) bool {
	var ve *ebpf.VerifierError
	return errors.As(err, &ve)
}

// refusal names what is known to refuse BPF to a process with all capabilities.
func refusal() string {
	if uidMap, err := os.ReadFile("/proc/self/uid_map"); err == nil {
		if f := strings.Fields(string(uidMap)); len(f) == 3 && (f[0] != "0" || f[1] != "0" || f[2] != "4294967295") {
			return "it is in a user namespace: set hostUsers: true"
		}
	}
	if lockdown, err := os.ReadFile("/sys/kernel/security/lockdown"); err == nil &&
		strings.Contains(string(lockdown), "[confidentiality]") {
		return "kernel lockdown is set to confidentiality"
	}
	return "a seccomp profile or a security module"
}

func effective() (uint64, error) {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return 0, fmt.Errorf("reading capabilities: %w", err)
	}
	return uint64(data[0].Effective) | uint64(data[1].Effective)<<32, nil
}
