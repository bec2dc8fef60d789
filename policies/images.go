package policies

import (
	"errors"
	"strings"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
	corev1 "k8s.io/api/core/v1"
)

// allowance is what containers of some images may add: one key of the parameter
// capabilities.images.
//
//	key                               images
//	registry.example.com/             all of the registry
//	registry.example.com/cameras/     all below cameras
//	registry.example.com/cameras      this repository and all below it
//	registry.example.com/probe:1.2    this tag, unless the image names a digest
//	registry.example.com/probe@sha…   this digest, whatever tag the image names
type allowance struct {
	repository  string // with its registry; ends in a slash where only what is below counts
	tag, digest string // at most one
	names       []corev1.Capability
}

// imageName is the name of an image, in full.
type imageName struct{ repository, tag, digest string }

// parseImage reads a container's image as the kubelet and containerd do. It
// returns false for what names no registry: a node may look for a short name
// where its own configuration says so (CRI-O), and takes a bare digest for the
// ID of whatever image it has. Such an image is nobody's.
func parseImage(image string) (imageName, bool) {
	if _, err := digest.Parse(image); err == nil {
		return imageName{}, false
	}
	named, err := reference.ParseNormalizedNamed(image)
	if err != nil {
		return imageName{}, false
	}
	// What the parser adds is Docker's registry, in either spelling.
	if first, _, _ := strings.Cut(image, "/"); first != reference.Domain(named) && first != "index."+reference.Domain(named) {
		return imageName{}, false
	}
	name := imageName{repository: named.Name()}
	if tagged, ok := named.(reference.Tagged); ok {
		name.tag = tagged.Tag()
	}
	if digested, ok := named.(reference.Digested); ok {
		name.digest = digested.Digest().String()
	}
	if name.tag == "" && name.digest == "" {
		name.tag = "latest" // what the kubelet pulls
	}
	return name, true
}

var errImagePrefix = errors.New("want an image with its registry, or a path there: registry.example.com/cameras/, docker.io/library/nginx, registry.example.com/probe:1.2")

// parseAllowance reads a key of the parameter capabilities.images.
func parseAllowance(key string, names []corev1.Capability) (allowance, error) {
	a := allowance{names: names}
	if path, below := strings.CutSuffix(key, "/"); below {
		// In canonical form already, or it would match nothing.
		if named, err := reference.ParseNamed(path + "/any/any"); err != nil || named.Name() != path+"/any/any" {
			return a, errImagePrefix
		}
		a.repository = key
		return a, nil
	}
	named, err := reference.ParseNamed(key)
	if err != nil {
		return a, errImagePrefix
	}
	a.repository = named.Name()
	if tagged, ok := named.(reference.Tagged); ok {
		a.tag = tagged.Tag()
	}
	if digested, ok := named.(reference.Digested); ok {
		if a.tag != "" {
			return a, errors.New("name the tag or the digest; with a digest, the tag means nothing")
		}
		a.digest = digested.Digest().String()
	}
	return a, nil
}

func (a *allowance) matches(image imageName) bool {
	switch {
	case a.digest != "":
		return image.repository == a.repository && image.digest == a.digest
	case a.tag != "":
		// A digest decides what runs, and the tag beside it may be anything.
		return image.repository == a.repository && image.digest == "" && image.tag == a.tag
	}
	rest, found := strings.CutPrefix(image.repository, a.repository)
	return found && (rest == "" || rest[0] == '/' || strings.HasSuffix(a.repository, "/"))
}

// allowedByImage returns what the image's containers may add besides, by each key
// that the image matches.
func (s *settings) allowedByImage(image string) []corev1.Capability {
	allowances := s.lists[imagesPath].allowances
	if len(allowances) == 0 {
		return nil
	}
	name, ok := parseImage(image)
	if !ok {
		return nil
	}
	var names []corev1.Capability
	for i := range allowances {
		if allowances[i].matches(name) {
			names = append(names, allowances[i].names...)
		}
	}
	return names
}
