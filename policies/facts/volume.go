package facts

import corev1 "k8s.io/api/core/v1"

// volumeSource names one source that a volume can have.
type volumeSource struct {
	name   string // in the API
	isUsed func(*corev1.VolumeSource) bool
	value  Value
	suffix string // of the field, after the pod spec's path
}

func source(name string, isUsed func(*corev1.VolumeSource) bool) volumeSource {
	return volumeSource{name, isUsed, stringValue(name), "volumes[*]." + name}
}

// volumeSources are all sources of core/v1, common ones first; a test compares
// them with the type.
var volumeSources = []volumeSource{
	source("configMap", func(s *corev1.VolumeSource) bool { return s.ConfigMap != nil }),
	source("emptyDir", func(s *corev1.VolumeSource) bool { return s.EmptyDir != nil }),
	source("projected", func(s *corev1.VolumeSource) bool { return s.Projected != nil }),
	source("secret", func(s *corev1.VolumeSource) bool { return s.Secret != nil }),
	source("persistentVolumeClaim", func(s *corev1.VolumeSource) bool { return s.PersistentVolumeClaim != nil }),
	source("downwardAPI", func(s *corev1.VolumeSource) bool { return s.DownwardAPI != nil }),
	source("csi", func(s *corev1.VolumeSource) bool { return s.CSI != nil }),
	source("ephemeral", func(s *corev1.VolumeSource) bool { return s.Ephemeral != nil }),
	source("image", func(s *corev1.VolumeSource) bool { return s.Image != nil }),
	source("hostPath", func(s *corev1.VolumeSource) bool { return s.HostPath != nil }),
	source("nfs", func(s *corev1.VolumeSource) bool { return s.NFS != nil }),
	source("gcePersistentDisk", func(s *corev1.VolumeSource) bool { return s.GCEPersistentDisk != nil }),
	source("awsElasticBlockStore", func(s *corev1.VolumeSource) bool { return s.AWSElasticBlockStore != nil }),
	source("gitRepo", func(s *corev1.VolumeSource) bool { return s.GitRepo != nil }),
	source("iscsi", func(s *corev1.VolumeSource) bool { return s.ISCSI != nil }),
	source("glusterfs", func(s *corev1.VolumeSource) bool { return s.Glusterfs != nil }),
	source("rbd", func(s *corev1.VolumeSource) bool { return s.RBD != nil }),
	source("flexVolume", func(s *corev1.VolumeSource) bool { return s.FlexVolume != nil }),
	source("cinder", func(s *corev1.VolumeSource) bool { return s.Cinder != nil }),
	source("cephfs", func(s *corev1.VolumeSource) bool { return s.CephFS != nil }),
	source("flocker", func(s *corev1.VolumeSource) bool { return s.Flocker != nil }),
	source("fc", func(s *corev1.VolumeSource) bool { return s.FC != nil }),
	source("azureFile", func(s *corev1.VolumeSource) bool { return s.AzureFile != nil }),
	source("vsphereVolume", func(s *corev1.VolumeSource) bool { return s.VsphereVolume != nil }),
	source("quobyte", func(s *corev1.VolumeSource) bool { return s.Quobyte != nil }),
	source("azureDisk", func(s *corev1.VolumeSource) bool { return s.AzureDisk != nil }),
	source("photonPersistentDisk", func(s *corev1.VolumeSource) bool { return s.PhotonPersistentDisk != nil }),
	source("portworxVolume", func(s *corev1.VolumeSource) bool { return s.PortworxVolume != nil }),
	source("scaleIO", func(s *corev1.VolumeSource) bool { return s.ScaleIO != nil }),
	source("storageos", func(s *corev1.VolumeSource) bool { return s.StorageOS != nil }),
}

// unknownSource is the fact of a volume that has none of the sources: a newer
// API has more of them than we know.
var unknownSource = volumeSource{name: "unknown", value: stringValue("unknown"), suffix: "volumes[*]"}

// VolumeTypeNames returns the names of all volume sources that core/v1 has.
func VolumeTypeNames() []string {
	names := make([]string, len(volumeSources))
	for i, s := range volumeSources {
		names[i] = s.name
	}
	return names
}

// sourcesOf calls yield with each source that the volume has. The API allows
// exactly one; a second one is a fact all the same.
func sourcesOf(v *corev1.Volume, yield func(*volumeSource)) {
	found := false
	for i := range volumeSources {
		if volumeSources[i].isUsed(&v.VolumeSource) {
			found = true
			yield(&volumeSources[i])
		}
	}
	if !found {
		yield(&unknownSource)
	}
}
