package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/debugsidecar/debugsidecar/policies"
	"github.com/debugsidecar/debugsidecar/webhook/canary"
	"github.com/debugsidecar/debugsidecar/webhook/inject"
	"github.com/debugsidecar/debugsidecar/webhook/inject/profile"
	"github.com/debugsidecar/debugsidecar/webhook/internal/yamlfile"
	"github.com/debugsidecar/debugsidecar/webhook/trust"
)

// File is the content of config.yaml, with the defaults filled in.
type File struct {
	Images struct {
		Sidecar string `json:"sidecar,omitempty"`
		Debug   string `json:"debug,omitempty"`
	} `json:"images"`
	Policy struct {
		Default policies.Level `json:"default,omitempty"`
	} `json:"policy"`
	Alerts                   profile.Alerts `json:"alerts"`
	PodSecurityDefault       string         `json:"podSecurityDefault,omitempty"`
	Grants                   []inject.Grant `json:"grants,omitempty"`
	HostKernelRuntimeClasses []string       `json:"hostKernelRuntimeClasses,omitempty"`
	Canary                   Canary         `json:"canary"`
	Sessions                 Sessions       `json:"sessions"`
	ImageTrust               trust.Settings `json:"imageTrust"`
}

// Sessions says what becomes of debug sessions.
type Sessions struct {
	// Enabled has debug containers stamped with who asked for them.
	Enabled bool `json:"enabled,omitempty"`
	// MaxTTL is the most that a session's TTL may be; 0 is no limit.
	MaxTTL metav1.Duration `json:"maxTTL"`
}

func (s *Sessions) check() error {
	if s.MaxTTL.Duration != 0 && s.MaxTTL.Duration < time.Minute {
		return fmt.Errorf("sessions.maxTTL: %s is less than a minute; 0s is no limit", s.MaxTTL.Duration)
	}
	return nil
}

// Canary is a sidecar that a share of new pods gets first.
type Canary struct {
	// Percent of the owners of pods get it; 0 is none.
	Percent int `json:"percent,omitempty"`
	// Images replace those of the same name; an empty one stays.
	Images struct {
		Sidecar string `json:"sidecar,omitempty"`
		Debug   string `json:"debug,omitempty"`
	} `json:"images"`
	// FailedPods, MarginPercent and Restarts are canary.Thresholds; 0 is their
	// default.
	FailedPods    int   `json:"failedPods,omitempty"`
	MarginPercent int   `json:"marginPercent,omitempty"`
	Restarts      int32 `json:"restarts,omitempty"`
}

// Thresholds say when the canary is worse than what there is.
func (c *Canary) Thresholds() canary.Thresholds {
	t := canary.DefaultThresholds()
	if c.FailedPods > 0 {
		t.FailedPods = c.FailedPods
	}
	if c.MarginPercent > 0 {
		t.MarginPercent = c.MarginPercent
	}
	if c.Restarts > 0 {
		t.Restarts = c.Restarts
	}
	return t
}

func (c *Canary) check() error {
	switch {
	case c.Percent < 0 || c.Percent > 100:
		return fmt.Errorf("canary.percent: %d is not between 0 and 100", c.Percent)
	case c.Percent > 0 && c.Images.Sidecar == "" && c.Images.Debug == "":
		return errors.New("canary.images: name the image that is new, sidecar or debug; or set canary.percent to 0")
	case c.FailedPods < 0 || c.MarginPercent < 0 || c.MarginPercent > 100 || c.Restarts < 0:
		return errors.New("canary: failedPods and restarts are not negative, and marginPercent is between 0 and 100")
	}
	return nil
}

// DefaultImage is the sidecar's image where nothing else is configured.
const DefaultImage = "debugsidecar/sidecar:0.1.0"

// defaultDebugImage is that of the profiles with tools.
const defaultDebugImage = "debugsidecar/debug:0.1.0"

// onDisk is config.yaml as people write it.
type onDisk struct {
	Images struct {
		Sidecar string `json:"sidecar"`
		Debug   string `json:"debug"`
	} `json:"images"`
	Policy struct {
		Default level `json:"default"`
	} `json:"policy"`
	Alerts                   profile.Alerts `json:"alerts"`
	PodSecurityDefault       string         `json:"podSecurityDefault"`
	Grants                   []inject.Grant `json:"grants"`
	HostKernelRuntimeClasses []string       `json:"hostKernelRuntimeClasses"`
	Canary                   Canary         `json:"canary"`
	Sessions                 Sessions       `json:"sessions"`
	ImageTrust               trust.Settings `json:"imageTrust"`
}

// level also takes the word off without quotes, which YAML reads as false.
type level policies.Level

func (l *level) UnmarshalJSON(data []byte) error {
	if string(data) == "false" {
		*l = level(policies.Off)
		return nil
	}
	return json.Unmarshal(data, (*string)(l))
}

// loadFile reads the file of that name, which may be empty.
func (s *Snapshot) loadFile(name string) error {
	var read onDisk
	err := decodeFile(name, &read)
	f := &s.File
	f.Images.Sidecar = or(read.Images.Sidecar, DefaultImage)
	f.Images.Debug = or(read.Images.Debug, defaultDebugImage)
	f.Policy.Default = policies.Level(or(string(read.Policy.Default), string(policies.Off)))
	f.PodSecurityDefault = or(read.PodSecurityDefault, "privileged")
	f.Alerts, f.Canary, f.Sessions, f.ImageTrust = read.Alerts, read.Canary, read.Sessions, read.ImageTrust
	f.Grants, f.HostKernelRuntimeClasses = read.Grants, read.HostKernelRuntimeClasses
	if err == nil {
		if why := errors.Join(f.Canary.check(), f.Sessions.check()); why != nil {
			return fmt.Errorf("%s: %w", name, why)
		}
	}
	switch {
	case err != nil:
		return err
	case !slices.Contains([]policies.Level{policies.Off, policies.Baseline, policies.Restricted}, f.Policy.Default):
		return fmt.Errorf("%s: policy.default: %q is none of off, baseline, restricted", name, f.Policy.Default)
	case !slices.Contains([]string{"privileged", "baseline", "restricted"}, f.PodSecurityDefault):
		return fmt.Errorf("%s: podSecurityDefault: %q is none of privileged, baseline, restricted", name, f.PodSecurityDefault)
	}
	return nil
}

func decodeFile(name string, into any) error {
	if name == "" {
		return nil
	}
	data, err := os.ReadFile(name)
	if err != nil {
		return fmt.Errorf("reading the configuration: %w", err)
	}
	return yamlfile.Decode(name, data, into)
}

func or(value, otherwise string) string {
	if value == "" {
		return otherwise
	}
	return value
}

func (s *Snapshot) checkGrants(name string) error {
	for i, g := range s.File.Grants {
		if g.Namespace == "" || g.Namespace == "*" {
			return fmt.Errorf("%s: grants[%d].namespace: name one namespace; a grant is power over its nodes", name, i)
		}
		if len(g.Profiles) == 0 {
			return fmt.Errorf("%s: grants[%d].profiles: name the profiles", name, i)
		}
		if who := slices.Concat(g.Exec.Users, g.Exec.Groups); slices.Contains(who, "") || slices.Contains(who, "*") {
			return fmt.Errorf("%s: grants[%d].exec: name each user and group; there is no wildcard", name, i)
		}
		for _, p := range g.Profiles {
			if _, ok := s.Profiles.Get(p); !ok {
				return fmt.Errorf("%s: grants[%d].profiles: there is no profile %q", name, i, p)
			}
		}
	}
	return nil
}

// checkAlerts refuses receivers that the sidecar would refuse: it would not
// start then, in any pod. No error shows a URL, which could hold a password.
func (s *Snapshot) checkAlerts(name string) error {
	taken := map[string]string{}
	check := func(field string, urls []string) error {
		for i, text := range urls {
			at := fmt.Sprintf("alerts.%s[%d]", field, i)
			host, err := hostOf(text)
			if err != nil {
				return fmt.Errorf("%s: %s: %w", name, at, err)
			}
			if other, ok := taken[host]; ok {
				return fmt.Errorf("%s: %s: is at %s, as %s is; the sidecar tells receivers apart by host and port", name, at, host, other)
			}
			taken[host] = at
		}
		return nil
	}
	return errors.Join(
		check("alertmanagers", s.File.Alerts.Alertmanagers),
		check("webhooks", s.File.Alerts.Webhooks),
	)
}

func hostOf(receiver string) (string, error) {
	u, err := url.Parse(receiver)
	switch {
	case err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https":
		return "", errors.New("has to be an http or https URL with a host, such as http://alertmanager.monitoring:9093")
	case u.User != nil:
		return "", errors.New("credentials don't belong here: who may read a pod can read its environment")
	case strings.IndexFunc(receiver, notInURL) >= 0:
		return "", errors.New("write a comma, $, # and what is not printable ASCII as %XX")
	}
	return u.Host, nil
}

// notInURL tells what a list of URLs in an env value can't have: a comma parts
// it, and the kubelet expands $(NAME).
func notInURL(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(",$#", r) }
