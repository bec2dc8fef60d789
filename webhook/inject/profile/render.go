package profile

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"
)

// Resources says what the sidecar's resources have to look like for the pod to
// keep its QoS class.
type Resources int

const (
	// AsRendered keeps what the profile says: a Burstable pod.
	AsRendered Resources = iota
	// RequestsAreLimits makes requests and limits for cpu and memory equal: a
	// Guaranteed pod.
	RequestsAreLimits
	// NoneForCPUAndMemory leaves both out: a BestEffort pod, or one with
	// pod-level resources (KEP-2837).
	NoneForCPUAndMemory
)

// Input is what a sidecar is rendered for.
type Input struct {
	Variant
	Params    Params
	Port      int32 // where it serves its metrics
	Resources Resources
	// HostNetwork says that the pod shares its host's network: then no port is
	// declared, because the scheduler would reserve it on the node.
	HostNetwork bool
	// SELinuxLevel is the pod's level. A container that names its SELinux type
	// stands apart from the pod's options, and so has to name the level as well.
	SELinuxLevel string
}

// Sidecar is what a profile renders: one container and its volumes, as the API
// server would default them. It is shared: do not change it.
type Sidecar struct {
	Container corev1.Container
	Volumes   []corev1.Volume
	// ContainerJSON and VolumeJSON are the same, encoded.
	ContainerJSON []byte
	VolumeJSON    [][]byte
	// Hash names the content: 12 hexadecimal digits of its SHA-256.
	Hash string
}

// partialPod is what a template may render.
type partialPod struct {
	Containers []corev1.Container `json:"containers"`
	Volumes    []corev1.Volume    `json:"volumes,omitempty"`
}

// Params checks parameters, a YAML object in text, against the profile's schema
// and fills in its defaults. Text may be empty.
func (p *Profile) Params(text string) (Params, error) { return p.params.parse(text) }

// Render gives the sidecar for in. An error is about the parameters: the
// profile itself was checked when it was loaded.
func (p *Profile) Render(in Input) (*Sidecar, error) {
	key := in.key()
	if s, ok := p.cache.get(key); ok {
		return s, nil
	}
	tr, ok := p.variants[in.Variant]
	if !ok {
		return nil, fmt.Errorf("profile %s has no tier %q", p.Name, in.Tier)
	}
	data, err := (&filler{in: in}).fill(tr)
	if err != nil {
		return nil, err
	}
	pod, err := decodePod(data)
	if err != nil {
		return nil, err
	}
	s, err := p.finish(pod, in)
	if err != nil {
		return nil, err
	}
	if len(key.params) <= cacheKeyBytes {
		p.cache.put(key, s)
	}
	return s, nil
}

// finish applies the API's defaults and the QoS class, checks what parameters
// could have made invalid, and encodes.
func (p *Profile) finish(pod *partialPod, in Input) (*Sidecar, error) {
	if len(pod.Containers) != 1 {
		return nil, fmt.Errorf("the template renders %d containers, want one", len(pod.Containers))
	}
	s := &Sidecar{Container: pod.Containers[0], Volumes: pod.Volumes}
	c := &s.Container
	if in.Placement == Native {
		always := corev1.ContainerRestartPolicyAlways
		c.RestartPolicy = &always
	}
	if err := checkParameterised(c); err != nil {
		return nil, err
	}
	p.setSELinux(c, in)
	fitQOS(&c.Resources, in.Resources)
	if in.HostNetwork {
		c.Ports = nil
	}
	setContainerDefaults(c)
	for i := range s.Volumes {
		setVolumeDefaults(&s.Volumes[i])
	}
	var err error
	if s.ContainerJSON, err = json.Marshal(c); err != nil {
		return nil, fmt.Errorf("encoding the container: %w", err)
	}
	h := sha256.New()
	h.Write(s.ContainerJSON)
	for _, v := range s.Volumes {
		b, err := json.Marshal(v)
		if err != nil {
			return nil, fmt.Errorf("encoding volume %s: %w", v.Name, err)
		}
		s.VolumeJSON = append(s.VolumeJSON, b)
		h.Write(b)
	}
	s.Hash = hex.EncodeToString(h.Sum(nil))[:12]
	return s, nil
}
