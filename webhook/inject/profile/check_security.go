package profile

import (
	"slices"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
)

// kernelCapabilities are all that the kernel tier adds.
var kernelCapabilities = []corev1.Capability{"BPF", "PERFMON", "NET_RAW"}

// KernelCapabilities are the capabilities that a grant lifts.
func KernelCapabilities() []corev1.Capability { return slices.Clone(kernelCapabilities) }

// podSecurity is Pod Security's own code.
var podSecurity = sync.OnceValues(func() (policy.Evaluator, error) {
	return policy.NewEvaluator(policy.DefaultChecks(), nil)
})

// checkTier refuses a container with other privileges than its tier's: the user
// tier has to pass Pod Security's level restricted, and the kernel tier too,
// once what a grant lifts is taken out. What a tier depends on has to stand in
// the container, because a pod's securityContext would fill the gap.
func checkTier(tier Tier, rendered *corev1.Container, volumes []corev1.Volume) *problem {
	const at = "containers[0].securityContext"
	c := rendered.DeepCopy()
	if c.SecurityContext == nil {
		return problemAt(at, "is missing")
	}
	check := checkUserTier
	if tier == Kernel {
		check = checkKernelTier
	}
	if problem := check(c.SecurityContext); problem != nil {
		return problemAt(at+problem.path, "the %s tier %s", tier, problem.text)
	}
	evaluator, err := podSecurity()
	if err != nil {
		return problemAt(at, "preparing Pod Security's checks: %v", err)
	}
	level := api.LevelVersion{Level: api.LevelRestricted, Version: api.LatestVersion()}
	spec := &corev1.PodSpec{Containers: []corev1.Container{*c}, Volumes: volumes}
	result := policy.AggregateCheckResults(evaluator.EvaluatePod(level, &metav1.ObjectMeta{}, spec))
	if !result.Allowed {
		return problemAt(at, "the %s tier does not pass Pod Security's level restricted: %s", tier, result.ForbiddenDetail())
	}
	return nil
}

func checkUserTier(sc *corev1.SecurityContext) *problem {
	if sc.RunAsUser == nil || *sc.RunAsUser == 0 {
		return problemAt(".runAsUser", "has to name a uid other than 0: the pod may name 0")
	}
	return nil
}

// checkKernelTier checks what the kernel tier has beyond the user tier, and
// takes it out of sc.
func checkKernelTier(sc *corev1.SecurityContext) *problem {
	if sc.Capabilities == nil {
		return problemAt("", "has no capabilities: drop ALL and add some of BPF, PERFMON, NET_RAW")
	}
	for _, added := range sc.Capabilities.Add {
		if !slices.Contains(kernelCapabilities, added) {
			return problemAt(".capabilities", "adds %s: a grant lifts BPF, PERFMON and NET_RAW only", added)
		}
	}
	if sc.RunAsUser == nil || *sc.RunAsUser != 0 {
		return problemAt(".runAsUser", "has to be 0: Kubernetes has no ambient capabilities")
	}
	if sc.RunAsNonRoot == nil || *sc.RunAsNonRoot {
		return problemAt(".runAsNonRoot", "has to be false: the pod may say true, and the kubelet then starts no uid 0")
	}
	nonRoot, user := true, int64(65532)
	sc.RunAsNonRoot, sc.RunAsUser = &nonRoot, &user
	sc.Capabilities.Add = nil
	return nil
}
