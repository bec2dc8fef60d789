package copy

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// volumes fills in those that the copy's containers mount, and takes out the
// mounts of those that can't be shared.
func (m *maker) volumes() {
	m.unmounted = map[string]bool{}
	spec := &m.pod.Spec
	used := map[string]bool{}
	for i := range spec.InitContainers {
		for _, mount := range spec.InitContainers[i].VolumeMounts {
			used[mount.Name] = true
		}
		for _, device := range spec.InitContainers[i].VolumeDevices {
			used[device.Name] = true
		}
	}
	for i := range m.original.Spec.Volumes {
		v := m.original.Spec.Volumes[i].DeepCopy()
		if !used[v.Name] {
			continue
		}
		if why := m.share(v); why != "" {
			m.unmounted[v.Name] = true
			m.without("volume %s is not there: %s", v.Name, why)
			continue
		}
		spec.Volumes = append(spec.Volumes, *v)
	}
	if used[holdName] {
		spec.Volumes = append(spec.Volumes, corev1.Volume{Name: holdName, VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}})
	}
	for i := range spec.InitContainers {
		c := &spec.InitContainers[i]
		c.VolumeMounts = slices.DeleteFunc(c.VolumeMounts, func(v corev1.VolumeMount) bool { return m.unmounted[v.Name] })
		c.VolumeDevices = slices.DeleteFunc(c.VolumeDevices, func(v corev1.VolumeDevice) bool { return m.unmounted[v.Name] })
	}
}

// share makes a volume of the original one of the copy, or says why it can't.
func (m *maker) share(v *corev1.Volume) (whyNot string) {
	s := &v.VolumeSource
	switch {
	case isOurs(v.Name):
		return "it is a sidecar's"
	case s.PersistentVolumeClaim != nil:
		return m.claim(v.Name, s.PersistentVolumeClaim.ClaimName)
	case s.Ephemeral != nil:
		// The claim was made for the original and is named for it. As an ephemeral
		// volume, the copy would get an empty one of its own.
		name := m.original.Name + "-" + v.Name
		v.VolumeSource = corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: name}}
		return m.claim(v.Name, name)
	case s.EmptyDir != nil, s.GitRepo != nil, s.CSI != nil:
		m.without("volume %s is a new one: what the pod wrote there is not in it", v.Name)
	case s.HostPath != nil:
		m.pin()
	case isDisk(s) && !m.ended():
		return "its disk is the pod's as long as that has not ended"
	}
	// What remains is made for each pod anew from what is kept elsewhere
	// (configMap, secret, projected tokens, downwardAPI, image), or shared by nature
	// (nfs, cephfs and the like).
	return ""
}

// isDisk says whether a volume is one that a single node attaches.
func isDisk(s *corev1.VolumeSource) bool {
	return s.GCEPersistentDisk != nil || s.AWSElasticBlockStore != nil || s.AzureDisk != nil || s.ISCSI != nil || s.RBD != nil ||
		s.FC != nil || s.Cinder != nil || s.VsphereVolume != nil || s.PhotonPersistentDisk != nil || s.PortworxVolume != nil ||
		s.ScaleIO != nil || s.StorageOS != nil
}

// claim shares a claim's volume as its access modes permit.
func (m *maker) claim(volume, name string) (whyNot string) {
	modes, known := m.modes(name)
	switch {
	case known:
	case m.neighbours.Unknown.Claims:
		m.note("who may share claim %s is not known, as it could not be read: it is taken for ReadWriteOnce", name)
	default:
		m.note("there is no claim %s: the copy waits for it", name)
	}
	switch {
	case slices.Contains(modes, corev1.ReadWriteMany), len(modes) == 1 && modes[0] == corev1.ReadOnlyMany:
		return ""
	case slices.Contains(modes, corev1.ReadWriteOncePod):
		if !m.ended() {
			return fmt.Sprintf("claim %s is for one pod (ReadWriteOncePod), and the pod has it until it ends", name)
		}
		m.note("as long as the copy runs, no other pod can have claim %s (ReadWriteOncePod)", name)
		return ""
	}
	// ReadWriteOnce is about nodes.
	if !m.ended() {
		m.pin()
	}
	m.note("as long as the copy runs, the volume of claim %s stays on its node (ReadWriteOnce)", name)
	return ""
}

func (m *maker) modes(claim string) (modes []corev1.PersistentVolumeAccessMode, known bool) {
	for i := range m.neighbours.Claims {
		c := &m.neighbours.Claims[i]
		if c.Name != claim || c.Namespace != "" && c.Namespace != m.original.Namespace {
			continue
		}
		if len(c.Status.AccessModes) > 0 {
			return c.Status.AccessModes, true
		}
		return c.Spec.AccessModes, true
	}
	return nil, false
}

// pin keeps the copy on the original's node.
func (m *maker) pin() { m.pinned = m.original.Spec.NodeName != "" }
