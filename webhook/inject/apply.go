package inject

import (
	"encoding/json"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/debugsidecar/debugsidecar/webhook/inject/profile"
)

const (
	initContainersPath = "/spec/initContainers"
	containersPath     = "/spec/containers"
	volumesPath        = "/spec/volumes"
)

// apply builds the patch that gives the pod the plan's sidecar, and takes away
// any other one. What is right already stays untouched, so applying a decision
// twice equals applying it once.
func (d *Decision) apply(f Facts, e *existing, p *plan) {
	spec := &f.Pod.Spec
	native := p.input.Placement == profile.Native
	var inits, ordinary []corev1.Container
	if e.pod != nil {
		inits, ordinary = e.pod.Spec.InitContainers, e.pod.Spec.Containers
	}
	d.placeContainer(initContainersPath, spec.InitContainers, inits, e, p, native)
	d.placeContainer(containersPath, spec.Containers, ordinary, e, p, !native)
	d.placeVolumes(f, e, p.sidecar)
	changed := len(d.patch) > 0
	d.setStatus(f, Status{
		Profile: p.profile.Name, Revision: p.profile.Revision, Hash: p.sidecar.Hash,
		Tier: string(p.input.Tier), Placement: string(p.input.Placement), Port: p.input.Port,
	})
	if !changed {
		d.Code = codeUnchanged
		d.Warnings = nil // they were given when it was injected
		return
	}
	d.Code = codeInjected
	d.warn("injected " + p.profile.ContainerName() + " (" + d.Reason + ")")
}

// removeFrom takes a sidecar away that the pod is not to have, and records why.
func (d *Decision) removeFrom(f Facts, e *existing) {
	d.takeContainers(initContainersPath, f.Pod.Spec.InitContainers, e)
	d.takeContainers(containersPath, f.Pod.Spec.Containers, e)
	d.placeVolumes(f, e, nil)
	switch {
	case d.Profile != "":
		d.setStatus(f, Status{Profile: d.Profile, Skipped: d.Reason})
		d.warn("no sidecar: " + d.Reason)
	default:
		if len(d.patch) > 0 {
			d.warn("took the sidecar away: " + d.Reason)
		}
		d.removeStatus(f)
	}
}

// placeContainer puts the sidecar into the list, at its end, or takes ours out.
// Full is the same list with all fields, or nil if none of it is ours.
func (d *Decision) placeContainer(path string, list []containerOf, full []corev1.Container, e *existing, p *plan, here bool) {
	if !here {
		d.takeContainers(path, list, e)
		return
	}
	name := p.profile.ContainerName()
	right := -1 // the one that is as it has to be
	for i := range full {
		if full[i].Name == name && p.sidecar.Equals(&full[i]) {
			right = i
			break
		}
	}
	drop := func(i int) bool { return i != right && e.isOurs(list[i].Name) }
	if right >= 0 {
		d.editList(path, len(list), drop, nil)
		return
	}
	d.editList(path, len(list), drop, []json.RawMessage{p.sidecar.ContainerJSON})
}

func (d *Decision) takeContainers(path string, list []containerOf, e *existing) {
	d.editList(path, len(list), func(i int) bool { return e.isOurs(list[i].Name) }, nil)
}

// placeVolumes makes the volumes under our names those of the sidecar, which
// may be nil. A volume that a container of the pod's owner mounts stays: without
// it the pod would be invalid.
func (d *Decision) placeVolumes(f Facts, e *existing, s *profile.Sidecar) {
	names := f.Pod.Spec.Volumes
	var kept []string
	var drop func(i int) bool
	if e.pod != nil {
		volumes := e.pod.Spec.Volumes // the facts may have their names alone
		wrong := make([]bool, len(volumes))
		for i := range volumes {
			v := &volumes[i]
			if !isOurVolume(v.Name, f.Profiles) {
				continue
			}
			switch wanted, same := s.VolumeIs(v); {
			case same && !slices.Contains(kept, v.Name):
				kept = append(kept, v.Name)
			case !wanted && e.mountedByOthers(v.Name):
			default:
				wrong[i] = true
			}
		}
		drop = func(i int) bool { return wrong[i] }
	}
	var missing []json.RawMessage
	if s != nil {
		for i := range s.Volumes {
			if !slices.Contains(kept, s.Volumes[i].Name) {
				missing = append(missing, s.VolumeJSON[i])
			}
		}
	}
	d.editList(volumesPath, len(names), drop, missing)
}
