package profile

import (
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/debugsidecar/debugsidecar/policies/selinux"
)

// checkSELinuxType refuses a type where none has a meaning, and the one type
// that says that there is no confinement.
func (p *Profile) checkSELinuxType() *problem {
	const at = "spec.seLinuxType"
	switch name := p.SELinuxType; {
	case name == "":
	case !slices.Contains(p.Tiers, Kernel):
		return problemAt(at, "is for the kernel tier, which spec.tiers does not have")
	case name == "spc_t":
		return problemAt(at, "spc_t confines nothing, and a grant is for three capabilities; name a type that has no more than the sidecar needs")
	default:
		if err := selinux.CheckName(name); err != nil {
			return problemAt(at, "%q: %v", name, err)
		}
	}
	return nil
}

// setSELinux gives the container of the kernel tier the profile's type, beside
// the pod's level.
func (p *Profile) setSELinux(c *corev1.Container, in Input) {
	if p.SELinuxType == "" || in.Tier != Kernel || c.SecurityContext == nil {
		return
	}
	options := c.SecurityContext.SELinuxOptions
	if options == nil {
		options = &corev1.SELinuxOptions{}
		c.SecurityContext.SELinuxOptions = options
	}
	options.Type = p.SELinuxType
	if options.Level == "" {
		options.Level = in.SELinuxLevel
	}
}
