package trust

import (
	"errors"
	"fmt"
	"strings"

	"github.com/distribution/reference"
	"github.com/google/go-containerregistry/pkg/name"
)

// maxImage is how long the name of an image may be (the API server allows more).
const maxImage = 1024

// image is the name of an image, read as the kubelet reads it.
type image struct {
	named  reference.Named
	tag    string
	digest string // sha256:<hex>, or empty
}

var errName = errors.New("is no name of an image, such as registry.example/team/tool:1.0")

func parseReference(text string) (image, error) {
	if len(text) > maxImage {
		return image{}, fmt.Errorf("an image's name of %d bytes is longer than %d", len(text), maxImage)
	}
	named, err := reference.ParseDockerRef(text)
	if err != nil {
		return image{}, fmt.Errorf("%q %w", text, errName)
	}
	out := image{named: named}
	if d, ok := named.(reference.Digested); ok {
		if out.digest = d.Digest().String(); !strings.HasPrefix(out.digest, "sha256:") {
			return image{}, fmt.Errorf("%q has a digest that is not SHA-256; no signature is looked for there", text)
		}
	} else if t, ok := named.(reference.Tagged); ok {
		out.tag = t.Tag()
	}
	return out, nil
}

// host is the registry's, as go-containerregistry writes it.
func (i image) host() string { return canonicalHost(reference.Domain(i.named)) }

// repository is the image without tag and digest, with its registry.
func (i image) repository() string { return i.named.Name() }

// remote is the repository in the client's words.
func (i image) remote(r *registry) (name.Repository, error) {
	options := []name.Option{name.StrictValidation}
	if r.plainHTTP {
		options = append(options, name.Insecure)
	}
	repo, err := name.NewRepository(r.host+"/"+reference.Path(i.named), options...)
	if err != nil {
		return name.Repository{}, fmt.Errorf("%s: %w", i.repository(), errName)
	}
	return repo, nil
}

// canonicalHost gives Docker Hub one name, the one that answers.
func canonicalHost(host string) string {
	host = strings.ToLower(host)
	if host == "docker.io" {
		return name.DefaultRegistry
	}
	return host
}

// withDigest is an image as it was written, and with a digest. The tag stays: it
// is for people, and kubelets pull by the digest alone.
func withDigest(text, digest string) string {
	written, _, _ := strings.Cut(text, "@")
	return written + "@" + digest
}

// SameRepository says whether both images are from one repository, however it is
// written.
func SameRepository(a, b string) bool {
	first, err := parseReference(a)
	if err != nil {
		return false
	}
	second, err := parseReference(b)
	return err == nil && first.repository() == second.repository()
}

// parsePattern checks a pattern and gives it the form of repositories' names.
func parsePattern(pattern string) (string, error) {
	if pattern == "*" {
		return pattern, nil
	}
	if strings.ContainsAny(pattern, "@ \t") || strings.Count(strings.TrimSuffix(pattern, "*"), "*") > 0 {
		return "", fmt.Errorf("%q: name a repository, such as registry.example/team/tool, or all below one with a * at the end, as in registry.example/team/*; neither tag nor digest", pattern)
	}
	bare, all := strings.CutSuffix(pattern, "*")
	if all && !strings.HasSuffix(bare, "/") {
		return "", fmt.Errorf("%q: a * stands behind a slash, as in registry.example/team/*, or alone", pattern)
	}
	// The name of something below has the registry in front, where it is left out.
	probe := bare
	if all {
		probe += "x"
	}
	named, err := reference.ParseNormalizedNamed(probe)
	if err != nil || !reference.IsNameOnly(named) {
		return "", fmt.Errorf("%q: name a repository without a tag, such as registry.example/team/tool or registry.example/team/*", pattern)
	}
	if all {
		return strings.TrimSuffix(named.Name(), "x") + "*", nil
	}
	return named.Name(), nil
}

// match says whether a pattern names a repository: by its whole name, or all that
// begins with what stands before the *.
func match(pattern, repository string) bool {
	if prefix, all := strings.CutSuffix(pattern, "*"); all {
		return strings.HasPrefix(repository, prefix)
	}
	return pattern == repository
}
