package inject

import (
	"github.com/debugsidecar/debugsidecar/webhook/inject/profile"
)

// Pin is what image trust says of an image: with its digest, or why it may not run.
type Pin struct {
	Image string
	Why   string
}

// pin gives the sidecar the digest that Facts.Pins has for its image, and returns
// false where that may not run; d says why. A sidecar that the pod has already
// keeps its own digest if that may run. Without Pins nothing changes, so what is
// ours does not hang on what a registry says.
func (d *Decision) pin(f Facts, e *existing, p *plan) bool {
	rendered, kept := p.sidecar.Container.Image, e.imageOf(p)
	d.Images = []string{rendered}
	if kept != "" && kept != rendered {
		d.Images = append(d.Images, kept)
	}
	if f.Pins == nil {
		return true
	}
	if pin, ok := f.Pins[kept]; ok && pin.Why == "" && pin.Image == kept {
		p.sidecar = p.sidecar.WithImage(kept)
		d.ok("image trust", kept)
		return true
	}
	pin, ok := f.Pins[rendered]
	if !ok {
		pin.Why = "nobody asked whether image " + rendered + " is signed"
	}
	if pin.Why != "" {
		d.skip(codeUntrusted, "image trust", pin.Why)
		return false
	}
	p.sidecar = p.sidecar.WithImage(pin.Image)
	d.ok("image trust", pin.Image)
	return true
}

// imageOf is the image of the plan's sidecar in the pod as it is; empty if the pod
// has none, or not quite that one.
func (e *existing) imageOf(p *plan) string {
	if e.pod == nil {
		return ""
	}
	list := e.pod.Spec.Containers
	if p.input.Placement == profile.Native {
		list = e.pod.Spec.InitContainers
	}
	for i := range list {
		if list[i].Name == p.profile.ContainerName() && p.sidecar.Equals(&list[i]) {
			return list[i].Image
		}
	}
	return ""
}
