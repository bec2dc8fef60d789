package build

import (
	"debug/buildinfo"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
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

var notInID = regexp.MustCompile(`[^A-Za-z0-9.-]+`)

// sbom writes what an image consists of: Debian's packages, and the Go modules
// that programs were built from, as these say themselves.
func (b *builder) sbom(file string, image Image, r recipe) error {
	doc := spdx{
		Version:   "SPDX-2.3",
		License:   "CC0-1.0",
		ID:        documentID,
		Name:      image.Name,
		Namespace: source + "/images/" + strings.ReplaceAll(image.Digest, ":", "-"),
		Creation:  spdxCreation{created().Format("2006-01-02T15:04:05Z"), []string{"Tool: debugsidecar-images"}},
		Packages: []spdxPackage{{
			ID: imageID, Name: image.Name, Version: b.version, Location: noAssertion, License: "Apache-2.0",
			Refs: []spdxExternal{{"PACKAGE-MANAGER", "purl", "pkg:oci/" + strings.ReplaceAll(strings.TrimPrefix(image.Name, "debugsidecar/"), ":"+b.version, "") + "@" + image.Digest}},
		}},
		Relationships: []spdxRelationship{{documentID, imageID, "DESCRIBES"}},
	}
	add := func(kind, name, version, purl string) {
		id := "SPDXRef-" + kind + "-" + notInID.ReplaceAllString(name+"-"+version, "-")
		if slices.ContainsFunc(doc.Packages, func(p spdxPackage) bool { return p.ID == id }) {
			return
		}
		doc.Packages = append(doc.Packages, spdxPackage{
			ID: id, Name: name, Version: version, Location: noAssertion, License: noAssertion,
			Refs: []spdxExternal{{"PACKAGE-MANAGER", "purl", purl}},
		})
		doc.Relationships = append(doc.Relationships, spdxRelationship{imageID, id, "CONTAINS"})
	}
	for _, p := range r.packages {
		add("deb", p.Name, p.Version, fmt.Sprintf("pkg:deb/debian/%s@%s?arch=%s", p.Name, p.Version, p.Architecture))
	}
	for _, program := range r.programs {
		info, err := buildinfo.ReadFile(program)
		if err != nil {
			return fmt.Errorf("reading what %s was built from: %w", filepath.Base(program), err)
		}
		add("go", "stdlib", info.GoVersion, "pkg:golang/stdlib@"+strings.TrimPrefix(info.GoVersion, "go"))
		for _, m := range info.Deps {
			if m.Replace != nil {
				m = m.Replace
			}
			add("go", m.Path, m.Version, "pkg:golang/"+m.Path+"@"+m.Version)
		}
	}
	text, err := json.MarshalIndent(doc, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(text, '\n'), 0o644)
}
