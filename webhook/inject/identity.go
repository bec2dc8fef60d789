package inject

import (
	"fmt"
	"strings"

	"github.com/debugsidecar/debugsidecar/policies"
	"github.com/debugsidecar/debugsidecar/policies/facts"
	"github.com/debugsidecar/debugsidecar/webhook/inject/profile"
)

// Identify says which of the pod's containers under the reserved prefix are what
// the webhook renders for this very pod, volumes included. A name or an
// annotation proves nothing: the decision is made again and compared.
func Identify(f Facts) map[string]policies.Identity {
	e, err := find(f)
	if err != nil || len(e.names) == 0 {
		return nil
	}
	out := make(map[string]policies.Identity, len(e.names))
	d := decide(f, false)
	for _, name := range e.names {
		id := d.identity(name)
		if volume := e.foreignToken(name); id.Ours && volume != "" {
			id = policies.Identity{Drifted: true, Why: "volume " + volume + ", where the service account's token belongs, is another one"}
		}
		out[name] = id
	}
	return out
}

func (d *Decision) identity(container string) policies.Identity {
	name := strings.TrimPrefix(container, profile.NamePrefix)
	switch {
	case d.Refused != "":
		return policies.Identity{Why: "no profile is called " + name}
	case !d.Inject:
		return policies.Identity{Why: "this pod gets no sidecar: " + d.Reason}
	case d.Profile != name:
		return policies.Identity{Why: fmt.Sprintf("this pod gets profile %s, not %s", d.Profile, name)}
	case d.touchesSpec():
		return policies.Identity{Drifted: true, Why: "it differs from what the webhook renders for this pod"}
	}
	id := policies.Identity{Ours: true}
	if d.Tier == string(profile.Kernel) {
		id.Capabilities, id.SELinuxType = profile.KernelCapabilities(), d.seLinuxType
	}
	return id
}

// touchesSpec says whether the patch does more than to write the status.
func (d *Decision) touchesSpec() bool {
	for _, op := range d.patch {
		if strings.HasPrefix(op.Path, "/spec/") {
			return true
		}
	}
	return false
}

// HasReservedName says whether a container has a name under our prefix: only
// then there is something to identify.
func HasReservedName(pod *facts.Pod) bool {
	for _, list := range [...][]containerOf{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range list {
			if strings.HasPrefix(list[i].Name, profile.NamePrefix) {
				return true
			}
		}
	}
	return false
}
