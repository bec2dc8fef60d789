package build

import (
	"debug/buildinfo"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// The part of SPDX 2.3 that is written
// (https://spdx.github.io/spdx-spec/v2.3/).
type spdx struct {
	Version       string             `json:"spdxVersion"`
	License       string             `json:"dataLicense"`
	ID            string             `json:"SPDXID"`
	Name          string             `json:"name"`
	Namespace     string             `json:"documentNamespace"`
	Creation      spdxCreation       `json:"creationInfo"`
	Packages      []spdxPackage      `json:"packages"`
	Relationships []spdxRelationship `json:"relationships"`
}

type spdxCreation struct {
	Created  string   `json:"created"`
	Creators []string `json:"creators"`
}

type spdxPackage struct {
	ID       string         `json:"SPDXID"`
	Name     string         `json:"name"`
	Version  string         `json:"versionInfo"`
	Location string         `json:"downloadLocation"`
	Analyzed bool           `json:"filesAnalyzed"`
	License  string         `json:"licenseDeclared"`
	Comment  string         `json:"licenseComments,omitempty"`
	Refs     []spdxExternal `json:"externalRefs,omitempty"`
}

type spdxExternal struct {
	Category string `json:"referenceCategory"`
	Type     string `json:"referenceType"`
	Locator  string `json:"referenceLocator"`
}

type spdxRelationship struct {
	From string `json:"spdxElementId"`
	To   string `json:"relatedSpdxElement"`
	Type string `json:"relationshipType"`
}

const (
	noAssertion = "NOASSERTION"
	documentID  = "SPDXRef-DOCUMENT"
	imageID     = "SPDXRef-Image"
)

func purl(locator string) []spdxExternal {
	return []spdxExternal{{"PACKAGE-MANAGER", "purl", locator}}
}

var notInID = regexp.MustCompile(`[^A-Za-z0-9.-]+`)

// writeSBOM writes what an image consists of: Debian's packages, and the Go modules
// that programs were built from, as these say themselves.
func writeSBOM(file string, image Image, r recipe) error {
	name, _, _ := strings.Cut(strings.TrimPrefix(image.Name, "debugsidecar/"), ":")
	doc := spdx{
		Version:   "SPDX-2.3",
		License:   "CC0-1.0",
		ID:        documentID,
		Name:      image.Name,
		Namespace: source + "/images/" + strings.ReplaceAll(image.Digest, ":", "-"),
		Creation:  spdxCreation{created().Format(time.RFC3339), []string{"Tool: debugsidecar-images"}},
		Packages: []spdxPackage{{
			ID: imageID, Name: image.Name, Version: r.version, Location: noAssertion, License: "Apache-2.0",
			Refs: purl("pkg:oci/" + name + "@" + strings.Replace(image.Digest, ":", "%3A", 1)),
		}},
		Relationships: []spdxRelationship{{documentID, imageID, "DESCRIBES"}},
	}
	add := func(kind string, p spdxPackage) {
		p.ID = "SPDXRef-" + kind + "-" + notInID.ReplaceAllString(p.Name+"-"+p.Version, "-")
		if slices.ContainsFunc(doc.Packages, func(have spdxPackage) bool { return have.ID == p.ID }) {
			return
		}
		p.Location = noAssertion
		doc.Packages = append(doc.Packages, p)
		doc.Relationships = append(doc.Relationships, spdxRelationship{imageID, p.ID, "CONTAINS"})
	}
	for _, p := range r.packages {
		one := spdxPackage{
			Name: p.Name, Version: p.Version, License: expression(p.licences),
			Refs: purl(fmt.Sprintf("pkg:deb/debian/%s@%s?arch=%s", url.PathEscape(p.Name), url.PathEscape(p.Version), p.Architecture)),
		}
		if len(p.licences) > 0 {
			one.Comment = "named in Debian's copyright file: " + strings.Join(p.licences, "; ")
		}
		add("deb", one)
	}
	for _, program := range r.programs {
		info, err := buildinfo.ReadFile(program)
		if err != nil {
			return fmt.Errorf("reading what %s was built from: %w", filepath.Base(program), err)
		}
		version := strings.TrimPrefix(info.GoVersion, "go")
		add("go", spdxPackage{Name: "stdlib", Version: version, License: "BSD-3-Clause", Refs: purl("pkg:golang/stdlib@" + version)})
		for _, m := range info.Deps {
			if m.Replace != nil {
				m = m.Replace
			}
			add("go", spdxPackage{Name: m.Path, Version: m.Version, License: noAssertion, Refs: purl("pkg:golang/" + m.Path + "@" + m.Version)})
		}
	}
	text, err := json.MarshalIndent(doc, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(text, '\n'), 0o644)
}
