package config

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"

	"github.com/debugsidecar/debugsidecar/policies"
	"github.com/debugsidecar/debugsidecar/webhook/inject"
	"github.com/debugsidecar/debugsidecar/webhook/internal/yamlfile"
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
	PodSecurityDefault       string         `json:"podSecurityDefault,omitempty"`
	Grants                   []inject.Grant `json:"grants,omitempty"`
	HostKernelRuntimeClasses []string       `json:"hostKernelRuntimeClasses,omitempty"`
}

// DefaultImage is the sidecar's image where nothing else is configured.
const DefaultImage = "debugsidecar/sidecar:0.1.0"

// onDisk is config.yaml as people write it.
type onDisk struct {
	Images struct {
		Sidecar string `json:"sidecar"`
		Debug   string `json:"debug"`
	} `json:"images"`
	Policy struct {
		Default level `json:"default"`
	} `json:"policy"`
	PodSecurityDefault       string         `json:"podSecurityDefault"`
	Grants                   []inject.Grant `json:"grants"`
	HostKernelRuntimeClasses []string       `json:"hostKernelRuntimeClasses"`
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
	f.Images.Debug = or(read.Images.Debug, DefaultImage)
	f.Policy.Default = policies.Level(or(string(read.Policy.Default), string(policies.Off)))
	f.PodSecurityDefault = or(read.PodSecurityDefault, "privileged")
	f.Grants, f.HostKernelRuntimeClasses = read.Grants, read.HostKernelRuntimeClasses
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
		for _, p := range g.Profiles {
			if _, ok := s.Profiles.Get(p); !ok {
				return fmt.Errorf("%s: grants[%d].profiles: there is no profile %q", name, i, p)
			}
		}
	}
	return nil
}
