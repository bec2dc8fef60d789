// Package config reads the webhook's configuration and keeps it up to date. A
// change takes effect as a whole, or, if anything in it is broken, not at all.
package config

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"os"
	"reflect"
	"time"

	"github.com/debugsidecar/debugsidecar/policies"
	"github.com/debugsidecar/debugsidecar/webhook/inject"
	"github.com/debugsidecar/debugsidecar/webhook/inject/profile"
	"github.com/debugsidecar/debugsidecar/webhook/trust"
)

// Paths says where the configuration is. Each may be empty.
type Paths struct {
	Config           string // a file, see File
	PolicyParameters string // a file; it may be absent
	Profiles         string // a directory of *.yaml; it may be absent
	Rules            string // a directory of *.rego; it may be absent
}

// Snapshot is a configuration that was read and checked. It is immutable.
type Snapshot struct {
	File       File
	Profiles   *profile.Set
	Parameters *policies.Parameters
	Rules      *policies.OwnRules // nil if there are none
	// Canary are the profiles with the canary's images; nil if there is none.
	// CanaryID changes whenever they, or whom they are for, do.
	Canary   *profile.Set
	CanaryID string
	// Trust says whose signatures images need; nil where that is off.
	Trust *trust.Policy

	rulesHash string
	replaced  time.Time // when another one came into force; the store's own
}

// Load reads everything. Each problem is named with its file.
func Load(p Paths) (*Snapshot, error) {
	s, rules, err := load(p, &compiled{})
	if err := errors.Join(err, rules); err != nil {
		return nil, err
	}
	return s, nil
}

// load tells apart what is wrong with the cluster's own rules: without them the
// rest can be used.
func load(p Paths, before *compiled) (s *Snapshot, rules, err error) {
	s = &Snapshot{}
	ids, rules := s.loadRules(p.Rules, before)
	errs := []error{s.loadFile(p.Config), s.checkAlerts(p.Config), s.loadTrust(p.Config), s.loadParameters(p.PolicyParameters, ids), s.loadProfiles(p.Profiles)}
	if s.Profiles != nil {
		errs = append(errs, s.checkGrants(p.Config))
	}
	return s, rules, errors.Join(errs...)
}

func (s *Snapshot) loadProfiles(dir string) error {
	if _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) {
		dir = ""
	}
	images := s.File.Images
	load := func() (*profile.Set, error) {
		return profile.LoadSet(dir, profile.Settings{
			Images: map[string]string{"sidecar": images.Sidecar, "debug": images.Debug},
			Alerts: s.File.Alerts,
		})
	}
	var err error
	if s.Profiles, err = load(); err != nil || s.File.Canary.Percent == 0 {
		return err
	}
	images.Sidecar, images.Debug = or(s.File.Canary.Images.Sidecar, images.Sidecar), or(s.File.Canary.Images.Debug, images.Debug)
	if s.Canary, err = load(); err != nil {
		return fmt.Errorf("with the canary's images: %w", err)
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%v %v", s.File.Canary, s.Canary.Revisions()))
	s.CanaryID = hex.EncodeToString(sum[:6])
	return nil
}

func (s *Snapshot) loadParameters(name string, ownRules []string) error {
	data, err := os.ReadFile(name)
	if name == "" || errors.Is(err, os.ErrNotExist) {
		data, err = nil, nil
	}
	if err != nil {
		return fmt.Errorf("reading the policy's parameters: %w", err)
	}
	if s.Parameters, err = policies.ParseParameters(data, ownRules...); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// same says whether both snapshots mean the same.
func (s *Snapshot) same(other *Snapshot) bool {
	return reflect.DeepEqual(s.File, other.File) &&
		maps.Equal(s.Profiles.Revisions(), other.Profiles.Revisions()) && s.CanaryID == other.CanaryID &&
		s.rulesHash == other.rulesHash && reflect.DeepEqual(s.Parameters, other.Parameters)
}

// Cluster is the part of the configuration that an injection's decision needs.
func (s *Snapshot) Cluster(nativeSidecars bool, ownNamespace string) inject.Cluster {
	return inject.Cluster{
		NativeSidecars:           nativeSidecars,
		OwnNamespace:             ownNamespace,
		PodSecurityDefault:       s.File.PodSecurityDefault,
		PolicyDefault:            string(s.File.Policy.Default),
		Grants:                   s.File.Grants,
		HostKernelRuntimeClasses: s.File.HostKernelRuntimeClasses,
	}
}
