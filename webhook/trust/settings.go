package trust

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// Mode says what an image that is not trusted leads to.
type Mode string

// The modes.
const (
	Off     Mode = "off"
	Warn    Mode = "warn"    // it is said
	Enforce Mode = "enforce" // it does not run
)

// UnmarshalJSON also takes the word off without quotes, which YAML reads as false.
func (m *Mode) UnmarshalJSON(data []byte) error {
	if string(data) == "false" {
		*m = Off
		return nil
	}
	return json.Unmarshal(data, (*string)(m))
}

// Settings are the administrator's, as they stand in the configuration.
type Settings struct {
	Mode Mode `json:"mode,omitempty"`
	// Keys are public keys, as PEM. A signature by one of them is enough.
	Keys []string `json:"keys,omitempty"`
	// Images are patterns of images that debug containers need signed as well, if
	// they use them; see match.
	Images     []string   `json:"images,omitempty"`
	Registries []Registry `json:"registries,omitempty"`
}

// Registry is one that may be asked.
type Registry struct {
	// Host is the registry's, with its port if that is not 443.
	Host string `json:"host"`
	// Hosts are those to which the registry may send us on, for tokens and for
	// blobs: names, or *.example.
	Hosts []string `json:"hosts,omitempty"`
	// CA holds certificates beside the system's, as PEM.
	CA string `json:"ca,omitempty"`
	// PlainHTTP has it asked without TLS.
	PlainHTTP bool `json:"plainHTTP,omitempty"`
}

// Policy is what Settings mean. It is immutable.
type Policy struct {
	mode       Mode
	keys       []*key
	patterns   []string
	registries map[string]*registry
	id         string // changes with the settings
}

// maxKeys bounds how many keys a signature is tried with.
const maxKeys = 32

// Compile checks settings. Nil stands for image trust that is off.
func Compile(s Settings) (*Policy, error) {
	switch s.Mode {
	case "", Off, Warn, Enforce:
	default:
		return nil, fmt.Errorf("imageTrust.mode: %q is none of off, warn, enforce", s.Mode)
	}
	p := &Policy{mode: s.Mode, registries: map[string]*registry{}}
	if len(s.Keys) > maxKeys {
		return nil, fmt.Errorf("imageTrust.keys: %d are more than %d", len(s.Keys), maxKeys)
	}
	for i, text := range s.Keys {
		k, err := parseKey(text)
		if err != nil {
			return nil, fmt.Errorf("imageTrust.keys[%d]: %w", i, err)
		}
		p.keys = append(p.keys, k)
	}
	for i, pattern := range s.Images {
		canonical, err := parsePattern(pattern)
		if err != nil {
			return nil, fmt.Errorf("imageTrust.images[%d]: %w", i, err)
		}
		p.patterns = append(p.patterns, canonical)
	}
	for i := range s.Registries {
		r, err := newRegistry(s.Registries[i])
		if err != nil {
			return nil, fmt.Errorf("imageTrust.registries[%d]: %w", i, err)
		}
		if _, twice := p.registries[r.host]; twice {
			return nil, fmt.Errorf("imageTrust.registries[%d].host: %s is there already", i, s.Registries[i].Host)
		}
		p.registries[r.host] = r
	}
	if s.Mode == "" || s.Mode == Off {
		return nil, nil
	}
	switch {
	case len(p.keys) == 0:
		return nil, errors.New("imageTrust.keys: name the public keys that sign the images, as PEM; or set imageTrust.mode to off")
	case len(p.registries) == 0:
		return nil, errors.New("imageTrust.registries: name the registries that may be asked for signatures; no other is")
	}
	data, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("imageTrust: %w", err)
	}
	sum := sha256.Sum256(data)
	p.id = hex.EncodeToString(sum[:8])
	return p, nil
}

// CheckImages says which of the administrator's own images could never be
// verified, by what they are called in the configuration.
func (p *Policy) CheckImages(images map[string]string) error {
	if p == nil {
		return nil
	}
	for _, field := range slices.Sorted(maps.Keys(images)) {
		if images[field] == "" {
			continue
		}
		ref, err := parseReference(images[field])
		if err != nil {
			return fmt.Errorf("%s: %w", field, err)
		}
		if _, ok := p.registries[ref.host()]; !ok {
			return fmt.Errorf("imageTrust.registries: %s is at %s, which is not listed; add {host: %s}", field, ref.host(), ref.host())
		}
	}
	return nil
}

// Enforced says whether what is not trusted may not run.
func (p *Policy) Enforced() bool { return p != nil && p.mode == Enforce }

// Names says whether the patterns name an image, so that a debug container that
// uses it needs it signed.
func (p *Policy) Names(image string) bool {
	if p == nil || len(p.patterns) == 0 {
		return false
	}
	ref, err := parseReference(image)
	// What is no image's name can't run; a pattern for everything means it, too.
	name := image
	if err == nil {
		name = ref.repository()
	}
	return slices.ContainsFunc(p.patterns, func(pattern string) bool { return match(pattern, name) })
}
