package inject

import (
	"slices"
	"strings"

	"github.com/debugsidecar/debugsidecar/policies"
	"github.com/debugsidecar/debugsidecar/webhook/inject/profile"
)

// tier grants the kernel tier only if nothing speaks against it.
func (d *Decision) tier(f Facts, pr *profile.Profile) profile.Tier {
	if pr.Tiers[0] != profile.Kernel {
		d.ok("tier", "user: the profile asks for no more")
		return profile.User
	}
	if why := kernelRefused(f, pr.Name); why != "" {
		d.gaveUp("tier", "user tier, not kernel: "+why)
		return profile.User
	}
	d.ok("tier", "kernel: granted to profile "+pr.Name+" in namespace "+f.Namespace.Name)
	return profile.Kernel
}

// kernelRefused says why a pod does not get the kernel tier.
func kernelRefused(f Facts, profileName string) string {
	granted := slices.ContainsFunc(f.Cluster.Grants, func(g Grant) bool {
		return g.Namespace != "" && g.Namespace == f.Namespace.Name && slices.Contains(g.Profiles, profileName)
	})
	class := f.Pod.Spec.RuntimeClassName
	switch {
	case !granted && f.Namespace.Name == "":
		return "the pod's namespace is not known"
	case !granted:
		return "namespace " + f.Namespace.Name + " has no grant for profile " + profileName
	case f.Namespace.Unknown:
		return "the namespace's labels could not be read"
	case podSecurityLevel(f) != "privileged":
		return "the namespace enforces Pod Security level " + podSecurityLevel(f)
	case policyLevel(f) == policies.Restricted:
		return "the namespace enforces our policy's level restricted, which allows no uid 0"
	case class != nil && *class != "" && !slices.Contains(f.Cluster.HostKernelRuntimeClasses, *class):
		return "RuntimeClass " + *class + " is not known to share the node's kernel"
	case f.Pod.Spec.HostPID:
		return "the pod shares the node's processes (hostPID)"
	case f.Pod.Spec.ShareProcessNamespace != nil && *f.Pod.Spec.ShareProcessNamespace:
		return "the pod's containers share their processes (shareProcessNamespace), so that others could signal and trace the sidecar"
	case f.Pod.Spec.HostUsers != nil && !*f.Pod.Spec.HostUsers:
		return "the pod has a user namespace (hostUsers: false)"
	case othersMount(f, profileName):
		return "another container mounts the sidecar's own volume"
	}
	return ""
}

// othersMount says whether a container of the pod's owner mounts a volume of the
// profile's, also one that only the sidecar will bring: whoever knows its name may
// have written the mount beforehand. The whole pod is read again for that, where
// all else speaks for the kernel tier.
func othersMount(f Facts, profileName string) bool {
	own := func(name string) bool {
		return name == profile.NamePrefix+profileName || strings.HasPrefix(name, profile.NamePrefix+profileName+"-")
	}
	e, err := find(f)
	if err == nil && e.pod == nil {
		e.pod, err = f.Full()
	}
	return err != nil || e.anyMountedByOthers(own)
}

// podSecurityLevel is what Pod Security Admission enforces in the namespace. An
// unknown level counts as restricted, as it does there, and so does a namespace
// of which nothing is known.
func podSecurityLevel(f Facts) string {
	level, ok := f.Namespace.Labels["pod-security.kubernetes.io/enforce"]
	switch {
	case !ok && f.Namespace.Unknown:
		return "restricted"
	case !ok && f.Cluster.PodSecurityDefault == "":
		return "privileged"
	case !ok:
		level = f.Cluster.PodSecurityDefault
	}
	if level == "privileged" || level == "baseline" {
		return level
	}
	return "restricted"
}

func policyLevel(f Facts) policies.Level {
	byDefault := policies.Off
	if f.Cluster.PolicyDefault != "" {
		byDefault = policies.Level(f.Cluster.PolicyDefault)
	}
	modes, _ := policies.ModesOf(f.Namespace.Labels, byDefault)
	return modes.Enforce
}
