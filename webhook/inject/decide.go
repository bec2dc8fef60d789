package inject

import (
	"strings"

	"github.com/debugsidecar/debugsidecar/policies/facts"
	"github.com/debugsidecar/debugsidecar/webhook/inject/profile"
)

// Decide says what happens to a pod that is about to be created.
//
//	pod label      namespace label   decision
//	disabled       any               none
//	empty          any               none
//	a profile      any               that profile
//	none           a profile         the namespace's
//	none           disabled, none    none
//
// On top of that a pod is left alone where a sidecar could harm it: see the
// checks, in their order, below.
//
// Besides, a pod may get the SELinux level of its namespace, with a sidecar or
// without; see fillLevel. And it may lose capabilities; see trim.
func Decide(f Facts) *Decision {
	d := decide(f, true)
	if d.Code != codeExcluded && d.Code != codeRefused {
		d.trim(f)
	}
	return d
}

// Amend is Decide for a pod for which nobody asks: what the pod is given and what
// it loses, and nothing about sidecars.
func Amend(f Facts) *Decision {
	d := &Decision{}
	if why := leftAlone(f); why != "" {
		d.skip(codeExcluded, "excluded", why)
		return d
	}
	d.skip(codeNotWanted, "label", "nobody asks for a sidecar")
	d.fillLevel(f)
	d.trim(f)
	return d
}

// Asked says whether a label asks for a sidecar, so that the pod is to be decided
// about. The chart's selectors say the same.
func Asked(pod *facts.Pod, namespaceLabels map[string]string) bool {
	own, has := pod.Metadata.Labels[Label]
	if !has {
		own, has = namespaceLabels[Label]
	}
	return has && own != Disabled
}

// decide leaves out what depends on more than the pod where that was admitted
// already: quotas then count it, LimitRanges may have come later, and its SELinux
// level is what it is.
func decide(f Facts, isNew bool) *Decision {
	d := &Decision{Steps: make([]Step, 0, stepsOfAnInjection)}
	if why := leftAlone(f); why != "" {
		d.skip(codeExcluded, "excluded", why)
		return d
	}
	e, err := find(f)
	if err != nil {
		d.skip(codeUnreadable, "pod", "the pod can't be read: "+err.Error())
		d.warn("no sidecar: " + d.Reason)
		return d
	}
	if foreign := e.foreign(f.Profiles); foreign != "" {
		d.skip(codeRefused, "names", foreign)
		d.Refused = foreign
		return d
	}
	if !isNew {
		f.SELinux.Fill = false
	}
	p := d.plan(f, e, d.fillLevel(f), isNew)
	if p == nil {
		d.removeFrom(f, e)
		return d
	}
	if !d.pin(f, e, p) {
		d.removeFrom(f, e)
		return d
	}
	d.Inject, d.Tier = true, string(p.input.Tier)
	d.Reason = "profile " + p.profile.Name + ", revision " + p.profile.Revision + ", " + d.Tier + " tier"
	if f.Stable != nil {
		// A canary may change only some of the profiles.
		if stable, ok := f.Stable.Get(p.profile.Name); ok && stable.Revision != p.profile.Revision {
			d.Reason += ", canary"
		}
	}
	d.ok("injected", d.Reason)
	d.apply(f, e, p)
	return d
}

// stepsOfAnInjection is how many steps an injection has at most.
const stepsOfAnInjection = 12

// plan returns nil if there is to be no sidecar; d says why.
func (d *Decision) plan(f Facts, e *existing, level string, withLimits bool) *plan {
	name := d.wanted(f)
	if name == "" {
		return nil
	}
	d.Profile = name
	pr, ok := f.Profiles.Get(name)
	if !ok {
		d.skip(codeUnknown, "profile", "there is no profile "+quote(name)+"; there are "+strings.Join(f.Profiles.Names(), ", "))
		return nil
	}
	d.ok("profile", pr.Name+", revision "+pr.Revision)
	params, err := pr.Params(f.Pod.Metadata.Annotations[ParamsAnnotation])
	if err != nil {
		return d.badParameters(err)
	}
	d.ok("parameters", "they fit the profile's schema")
	qos := qosOf(f.Pod, e)
	if !d.suits(f, pr, qos) {
		return nil
	}
	in := profile.Input{Params: params, HostNetwork: f.Pod.Spec.HostNetwork, Resources: resourcesFor(f.Pod, qos)}
	if in.Placement, ok = d.placement(f, pr); !ok {
		return nil
	}
	if in.Tier = d.tier(f, pr); in.Tier == profile.Kernel && pr.SELinuxType != "" {
		d.seLinuxType, in.SELinuxLevel = pr.SELinuxType, level
	}
	if in.Port, ok = freePort(f.Pod, e); !ok {
		d.skip(codeRequirement, "port", "the pod's containers declare every port there is")
		return nil
	}
	sidecar, err := pr.Render(in)
	if err != nil {
		return d.badParameters(err)
	}
	if taken := e.takenVolume(sidecar); taken != "" {
		d.skip(codeNames, "names", "volume "+quote(taken)+" is the pod's own and has a name that profile "+pr.Name+" needs; rename it")
		return nil
	}
	d.ok("resources", "the pod stays "+string(qos))
	if withLimits {
		if refused := wouldRefuse(f, e, sidecar, qos); refused != "" {
			d.skip(codeLimits, "limits", refused)
			return nil
		}
		d.ok("limits", "no LimitRange or ResourceQuota refuses the sidecar")
	}
	return &plan{profile: pr, sidecar: sidecar, input: in}
}

// badParameters ends the decision; whoever wrote the annotation is told why.
func (d *Decision) badParameters(err error) *plan {
	d.skip(codeParameters, "parameters", "annotation "+ParamsAnnotation+": "+err.Error())
	return nil
}
