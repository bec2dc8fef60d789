// Package profile reads profiles: what a sidecar looks like, which parameters
// it takes and which pods it may join.
//
// A profile is data. Its template is a Go template of a partial pod, but a
// parameter never becomes text of it: the template is executed once for each
// [Variant] with a placeholder in each parameter's place, and the resulting
// tree is what parameters are put into, node by node. So no parameter, whatever
// it holds, can change the shape of what is rendered. Where a placeholder may
// stand (an env value, an argument, a resource) is checked when the profile is
// loaded.
package profile

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/debugsidecar/debugsidecar/webhook/internal/yamlfile"
)

// NamePrefix is reserved for the containers and volumes that profiles render.
const NamePrefix = "debugsidecar-"

// APIVersion and Kind are what a profile's file has to declare.
const (
	APIVersion = "debugsidecar.io/v1alpha1"
	Kind       = "Profile"
)

// Tier says how much privilege a sidecar has.
type Tier string

const (
	// User adds no privilege; it passes the Pod Security level restricted.
	User Tier = "user"
	// Kernel adds BPF, PERFMON and NET_RAW as uid 0. It needs a grant.
	Kernel Tier = "kernel"
)

// Placement says where in the pod the sidecar stands.
type Placement string

const (
	// Native is an init container with restartPolicy Always (KEP-753).
	Native Placement = "native"
	// Ordinary is one more container.
	Ordinary Placement = "container"
)

// Profile is a loaded, checked profile. It is immutable and safe for
// concurrent use.
type Profile struct {
	Name        string
	Description string
	// Placement is the one wanted; a cluster without native sidecars gets Ordinary.
	Placement Placement
	// Tiers are the tiers that the profile has, the wanted one first.
	Tiers    []Tier
	Requires []Requirement
	// HostNetwork says whether pods in the host's network namespace are joined.
	HostNetwork bool
	// SELinuxType is the type of the container in the kernel tier; empty leaves it
	// to the pod and the runtime.
	SELinuxType string
	// Revision names the content: 12 hexadecimal digits of a SHA-256 over the
	// file and the settings.
	Revision string
	// Source is the file that the profile came from.
	Source string

	params   *parameters
	variants map[Variant]*tree
	cache    *bounded[cacheKey, *Sidecar]
}

// ContainerName is the name of the container that the profile renders.
func (p *Profile) ContainerName() string { return NamePrefix + p.Name }

type file struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Metadata   struct {
		Name string `json:"name"`
	} `json:"metadata"`
	Spec struct {
		Description string          `json:"description,omitempty"`
		Placement   Placement       `json:"placement,omitempty"`
		Tiers       []Tier          `json:"tiers,omitempty"`
		HostNetwork bool            `json:"hostNetwork,omitempty"`
		SELinuxType string          `json:"seLinuxType,omitempty"`
		Requires    []Requirement   `json:"requires,omitempty"`
		Parameters  json.RawMessage `json:"parameters,omitempty"`
		Template    string          `json:"template"`
	} `json:"spec"`
}

// Load reads one profile. source names the file in errors, of which each names
// the line, too.
func Load(source string, data []byte, settings Settings) (*Profile, error) {
	var f file
	if err := yamlfile.Decode(source, data, &f); err != nil {
		return nil, err
	}
	p := &Profile{
		Name:        f.Metadata.Name,
		Description: f.Spec.Description,
		Placement:   f.Spec.Placement,
		Tiers:       f.Spec.Tiers,
		Requires:    f.Spec.Requires,
		HostNetwork: f.Spec.HostNetwork,
		SELinuxType: f.Spec.SELinuxType,
		Source:      source,
		cache:       newBounded[cacheKey, *Sidecar](),
	}
	if p.Placement == "" {
		p.Placement = Native
	}
	if len(p.Tiers) == 0 {
		p.Tiers = []Tier{User}
	}
	whole := yamlfile.Text{Source: source, First: 1, YAML: string(data)}
	if problem := p.checkHeader(f); problem != nil {
		return nil, problem.in(whole)
	}
	var problem *problem
	if p.params, problem = newParameters(f.Spec.Parameters); problem != nil {
		return nil, problem.below("spec.parameters").in(whole)
	}
	values := settings.values()
	p.Revision = revision(data, values)
	t := template{source: source, line: yamlfile.TextLine(string(data), "spec", "template"), text: f.Spec.Template, settings: values}
	var err error
	if p.variants, err = t.variants(p.Tiers); err != nil {
		return nil, err
	}
	if err := p.check(); err != nil {
		return nil, err
	}
	return p, nil
}

// checkHeader is about everything but the parameters and the template.
func (p *Profile) checkHeader(f file) *problem {
	switch {
	case f.APIVersion != APIVersion:
		return problemAt("apiVersion", "is %q, want %s", f.APIVersion, APIVersion)
	case f.Kind != Kind:
		return problemAt("kind", "is %q, want %s", f.Kind, Kind)
	case p.Name == "disabled":
		return problemAt("metadata.name", `"disabled" switches injection off and can't name a profile`)
	case len(validation.IsDNS1123Label(p.ContainerName())) > 0:
		return problemAt("metadata.name", "%q does not give a container's name: %s", p.Name,
			strings.Join(validation.IsDNS1123Label(p.ContainerName()), "; "))
	case p.Placement != Native && p.Placement != Ordinary:
		return problemAt("spec.placement", "%q is neither native nor container", p.Placement)
	case strings.TrimSpace(f.Spec.Template) == "":
		return problemAt("spec.template", "is empty")
	}
	for i, t := range p.Tiers {
		if t != User && t != Kernel {
			return problemAt("spec.tiers", "%q is neither user nor kernel", t)
		}
		if slices.Contains(p.Tiers[:i], t) {
			return problemAt("spec.tiers", "%s stands there twice", t)
		}
	}
	if !slices.Contains(p.Tiers, User) {
		return problemAt("spec.tiers", "user is missing: a pod without a grant needs it")
	}
	if problem := p.checkSELinuxType(); problem != nil {
		return problem
	}
	for i, r := range p.Requires {
		if problem := r.check(); problem != nil {
			return problem.below(fmt.Sprintf("spec.requires[%d]", i))
		}
	}
	return nil
}

func revision(data []byte, settings map[string]map[string]string) string {
	h := sha256.New()
	h.Write(bytes.TrimSpace(data))
	values, _ := json.Marshal(settings) // sorted by key
	h.Write(values)
	return hex.EncodeToString(h.Sum(nil))[:12]
}
