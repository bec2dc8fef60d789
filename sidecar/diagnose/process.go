package diagnose

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// kernelTier are the capabilities that it takes.
const kernelTier = uint64(1<<unix.CAP_BPF | 1<<unix.CAP_PERFMON | 1<<unix.CAP_NET_RAW)

// forKernelTier is what changes a pod from one tier to the other.
const forKernelTier = "a grant for this namespace in the chart's values, and a profile with the tier kernel"

// processFindings tell what this process may do. They are of the calling
// thread, since that is whom the kernel asks.
func processFindings() []Finding {
	const group = "process"
	user := fmt.Sprintf("uid %d, gid %d", os.Geteuid(), os.Getegid())
	findings := []Finding{{Group: group, Name: "user", State: Info, Found: user}}
	text, err := os.ReadFile("/proc/thread-self/status")
	if err != nil {
		return append(findings, Finding{
			Group: group, Name: "proc", State: Broken, Found: err.Error(),
			Costs: "everything that is read from /proc", Takes: "a procfs at /proc",
		})
	}
	status := parseStatus(string(text))
	set, _ := strconv.ParseUint(status["CapEff"], 16, 64) // malformed is none
	f := Finding{Group: group, Name: "capabilities", State: OK, Found: capabilities(set)}
	if missing := kernelTier &^ set; missing != 0 && set&(1<<unix.CAP_SYS_ADMIN) == 0 || missing&(1<<unix.CAP_NET_RAW) != 0 {
		f.State = Limited
		f.Costs = "the kernel tier: it lacks " + strings.Join(namesOf(missing), ", ")
		f.Takes = forKernelTier
	}
	findings = append(findings, f)
	seccomp := map[string]string{"0": "off", "1": "strict", "2": "a filter"}[status["Seccomp"]]
	if seccomp == "" {
		seccomp = "not told by this kernel"
	}
	privileges := "may be won by set-user-ID programs"
	if status["NoNewPrivs"] == "1" {
		privileges = "can't be won (no_new_privs)"
	}
	findings = append(findings,
		Finding{Group: group, Name: "seccomp", State: Info, Found: seccomp},
		Finding{Group: group, Name: "new privileges", State: Info, Found: privileges})
	return append(findings, userNamespace(group))
}

// parseStatus reads /proc/PID/status.
func parseStatus(text string) map[string]string {
	fields := map[string]string{}
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(line, ":"); ok {
			fields[name] = strings.TrimSpace(value)
		}
	}
	return fields
}

func userNamespace(group string) Finding {
	f := Finding{Group: group, Name: "user namespace", State: OK, Found: "the node's"}
	text, err := os.ReadFile("/proc/self/uid_map")
	if err != nil {
		f.State, f.Found = Info, "not told: "+err.Error()
		return f
	}
	if m := strings.Fields(string(text)); len(m) != 3 || m[0] != "0" || m[1] != "0" || m[2] != "4294967295" {
		f.State, f.Found = Limited, "one of its own: capabilities count only in it"
		f.Costs, f.Takes = "the kernel tier", "hostUsers: true in the pod"
	}
	return f
}
