package admit

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/debugsidecar/debugsidecar/policies/facts"
)

// Decoding is most of what an admission costs, and neither path reads all that
// the other does. A view is facts.Container or core/v1.Volume with some fields
// switched off. That nothing is switched off that its path reads is tested.

type container interface{ whole() facts.Container }

type volume interface{ whole() corev1.Volume }

// decidedContainer is what an injection is decided by.
type decidedContainer struct {
	Name                string                         `json:"name"`
	Image               string                         `json:"-"`
	Ports               []corev1.ContainerPort         `json:"ports"`
	Resources           corev1.ResourceRequirements    `json:"resources"`
	RestartPolicy       *corev1.ContainerRestartPolicy `json:"restartPolicy"`
	LivenessProbe       *facts.Handler                 `json:"-"`
	ReadinessProbe      *facts.Handler                 `json:"-"`
	StartupProbe        *facts.Handler                 `json:"-"`
	Lifecycle           *facts.Lifecycle               `json:"-"`
	SecurityContext     *corev1.SecurityContext        `json:"-"`
	TargetContainerName string                         `json:"-"`
}

func (c decidedContainer) whole() facts.Container { return facts.Container(c) }

// decidedVolume has a volume's name alone: its source is compared only where
// the name is ours, and then the whole pod is read.
type decidedVolume struct {
	Name string `json:"name"`
}

func (v decidedVolume) whole() corev1.Volume { return corev1.Volume{Name: v.Name} }

// judgedContainer is what the rules read.
type judgedContainer struct {
	Name                string                         `json:"name"`
	Image               string                         `json:"image"`
	Ports               []corev1.ContainerPort         `json:"ports"`
	Resources           corev1.ResourceRequirements    `json:"-"`
	RestartPolicy       *corev1.ContainerRestartPolicy `json:"restartPolicy"`
	LivenessProbe       *facts.Handler                 `json:"livenessProbe"`
	ReadinessProbe      *facts.Handler                 `json:"readinessProbe"`
	StartupProbe        *facts.Handler                 `json:"startupProbe"`
	Lifecycle           *facts.Lifecycle               `json:"lifecycle"`
	SecurityContext     *corev1.SecurityContext        `json:"securityContext"`
	TargetContainerName string                         `json:"targetContainerName"`
}

func (c judgedContainer) whole() facts.Container { return facts.Container(c) }

type judgedVolume corev1.Volume

func (v judgedVolume) whole() corev1.Volume { return corev1.Volume(v) }

// identifiedContainer is what it takes to decide again about a pod that is
// judged: everything.
type identifiedContainer facts.Container

func (c identifiedContainer) whole() facts.Container { return facts.Container(c) }

// object is a pod or a workload, seen through a view: no field of one has the
// name of another's, so that one decode serves all.
type object[C container, V volume] struct {
	Metadata facts.Metadata `json:"metadata"`
	Spec     struct {
		spec[C, V]
		Template    *template[C, V] `json:"template"`
		JobTemplate *struct {
			Spec struct {
				Template *template[C, V] `json:"template"`
			} `json:"spec"`
		} `json:"jobTemplate"`
	} `json:"spec"`
}

type template[C container, V volume] struct {
	Metadata facts.Metadata `json:"metadata"`
	Spec     spec[C, V]     `json:"spec"`
}

// spec is facts.PodSpec with other containers and volumes: its embedded lists
// stay empty, since the fields here hide them.
type spec[C container, V volume] struct {
	facts.PodSpec
	Volumes             []V `json:"volumes"`
	InitContainers      []C `json:"initContainers"`
	Containers          []C `json:"containers"`
	EphemeralContainers []C `json:"ephemeralContainers"`
}

func (s *spec[C, V]) pod(metadata facts.Metadata) *facts.Pod {
	pod := &facts.Pod{Metadata: metadata, Spec: s.PodSpec}
	if len(s.Volumes) > 0 {
		pod.Spec.Volumes = make([]corev1.Volume, len(s.Volumes))
		for i, v := range s.Volumes {
			pod.Spec.Volumes[i] = v.whole()
		}
	}
	pod.Spec.InitContainers = wholes(s.InitContainers)
	pod.Spec.Containers = wholes(s.Containers)
	pod.Spec.EphemeralContainers = wholes(s.EphemeralContainers)
	return pod
}

func wholes[C container](list []C) []facts.Container {
	if len(list) == 0 {
		return nil
	}
	out := make([]facts.Container, len(list))
	for i, c := range list {
		out[i] = c.whole()
	}
	return out
}

func (o *object[C, V]) subject(isPod bool) subject {
	switch {
	case o == nil:
	case isPod:
		return subject{o.Spec.pod(o.Metadata), "spec"}
	case o.Spec.Template != nil:
		return subject{o.Spec.Template.Spec.pod(o.Spec.Template.Metadata), "spec.template.spec"}
	case o.Spec.JobTemplate != nil && o.Spec.JobTemplate.Spec.Template != nil:
		t := o.Spec.JobTemplate.Spec.Template
		return subject{t.Spec.pod(t.Metadata), "spec.jobTemplate.spec.template.spec"}
	}
	return subject{}
}
