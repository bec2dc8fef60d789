package profile

import (
	"fmt"
	"maps"
	"slices"

	"github.com/debugsidecar/debugsidecar/webhook/internal/yamlfile"
)

// check renders each variant with the default parameters and refuses what a
// profile must not contain.
func (p *Profile) check() error {
	defaults, err := p.params.parse("")
	if err != nil {
		return fmt.Errorf("%s: spec.parameters: %w", p.Source, err)
	}
	for _, v := range variantsOf(p.Tiers) {
		tr := p.variants[v]
		problem := tr.checkFields()
		if problem == nil {
			problem = tr.checkPlaceholders(p.params)
		}
		if problem != nil {
			return problem.in(tr.text)
		}
		in := Input{Variant: v, Params: defaults, Port: 9400}
		data, err := (&filler{in: in, keepUnset: true}).fill(tr)
		if err != nil {
			return fmt.Errorf("%s: %w", tr.text.At(""), err)
		}
		var pod partialPod
		if err := yamlfile.DecodeJSON(tr.text, data, &pod); err != nil {
			return err
		}
		if problem := p.checkPod(v, &pod); problem != nil {
			return problem.in(tr.text)
		}
		if _, err := p.Render(in); err != nil {
			return fmt.Errorf("%s: %w", tr.text.At("containers[0].resources"), err)
		}
	}
	return nil
}

// checkFields refuses what stands beside containers and volumes.
func (tr *tree) checkFields() *problem {
	for _, field := range slices.Sorted(maps.Keys(tr.root)) {
		if field != "containers" && field != "volumes" && !anyPlaceholder.MatchString(field) {
			return problemAt(field, "a template renders containers and volumes, nothing else")
		}
	}
	return nil
}

// checkPod is about everything that the API server does not check, or checks
// only when it is too late.
func (p *Profile) checkPod(v Variant, pod *partialPod) *problem {
	if len(pod.Containers) != 1 {
		return problemAt("containers", "the template renders %d of them, want one", len(pod.Containers))
	}
	volumes, problem := p.checkVolumes(pod.Volumes)
	if problem == nil {
		problem = checkContainer(&pod.Containers[0], p.ContainerName(), volumes)
	}
	if problem == nil {
		problem = checkTier(v.Tier, &pod.Containers[0], pod.Volumes)
	}
	return problem
}

// mustBeOptional is the reason why objects are.
const mustBeOptional = "has to be optional: true, else a missing object holds up the pod"

func isFalse(b *bool) bool { return b == nil || !*b }
