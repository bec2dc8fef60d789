package inject

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/debugsidecar/debugsidecar/policies/facts"
	"github.com/debugsidecar/debugsidecar/webhook/inject/profile"
)

// TrimCheck is the step of a decision that took capabilities away, and the rule
// that would have denied the pod for them.
const TrimCheck = "capabilities"

// trim takes the capabilities away for which the pod would be denied, and never
// adds any. Which they are, the rules say; so what is left is what they admit.
func (d *Decision) trim(f Facts) {
	if len(f.Violations) == 0 {
		return
	}
	visitContainers(f.Judged, func(list string, index int, c *containerOf) {
		if strings.HasPrefix(c.Name, profile.NamePrefix) || c.SecurityContext == nil || c.SecurityContext.Capabilities == nil {
			return // under our names there is only what we render, or a denial
		}
		field := "spec." + list + "[" + strconv.Itoa(index) + "].securityContext.capabilities.add"
		for i := range f.Violations {
			v := &f.Violations[i]
			if v.Field != field || len(v.Trim) == 0 {
				continue
			}
			path := "/spec/" + list + "/" + strconv.Itoa(index) + "/securityContext/capabilities/add"
			op, taken := takeCapabilities(path, c.SecurityContext.Capabilities.Add, v.Trim)
			if len(taken) == 0 {
				continue
			}
			d.podPatch = append(d.podPatch, op)
			d.Trimmed++
			d.gaveUp(TrimCheck, "took "+strings.Join(taken, ", ")+" from container "+quote(c.Name)+": rule "+v.Rule+" ("+string(v.Level)+") does not allow them; remove them from "+v.Field)
		}
	})
}

// takeCapabilities returns the operation that takes names out of the list of
// capabilities at path, and what it takes, in quotes.
func takeCapabilities(path string, added []corev1.Capability, names []string) (op Operation, taken []string) {
	var kept []corev1.Capability
	for _, name := range added {
		switch {
		case !slices.Contains(names, string(name)):
			kept = append(kept, name)
		case !slices.Contains(taken, quote(string(name))):
			taken = append(taken, quote(string(name)))
		}
	}
	if len(kept) == 0 {
		return Operation{Op: "remove", Path: path}, taken
	}
	value, _ := json.Marshal(kept) // strings can't fail
	return Operation{Op: "replace", Path: path, Value: value}, taken
}

// visitContainers calls visit with each container of a pod, and where it is.
func visitContainers(pod *facts.Pod, visit func(list string, index int, c *containerOf)) {
	spec := &pod.Spec
	for _, l := range [...]struct {
		name       string
		containers []containerOf
	}{{"containers", spec.Containers}, {"initContainers", spec.InitContainers}, {"ephemeralContainers", spec.EphemeralContainers}} {
		for i := range l.containers {
			visit(l.name, i, &l.containers[i])
		}
	}
}
