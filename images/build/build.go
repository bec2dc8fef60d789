// Package build makes the container images of debugsidecar: OCI archives with a
// software bill of materials beside each. The same inputs give the same bytes.
//
// It takes no container engine: Go compiles, Debian's packages are read and not
// installed, and what takes long (downloads, compressed layers) is kept in the
// cache.
package build

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// The images.
const (
	Webhook = "webhook"
	Sidecar = "sidecar"
	Debug   = "debug"
)

// Options say what is built.
type Options struct {
	Root  string            // of this repository
	Out   string            // directory for NAME.tar and NAME.spdx.json
	Names []string          // default: all
	Log   func(line string) // may be nil
}

// Image is one that was built.
type Image struct {
	Name       string // as in a pod
	Archive    string // path of the OCI archive
	Digest     string // of its manifest
	Compressed int64  // bytes of its layers, as they are pulled
	Unpacked   int64  // bytes of its files
	Layers     []Layer
}

// Layer is a part of an image. Images that have the same one share it on a node.
type Layer struct {
	Digest     string
	Compressed int64 // bytes
	Unpacked   int64 // bytes
}

// Images builds images.
func Images(ctx context.Context, o Options) ([]Image, error) {
	if o.Log == nil {
		o.Log = func(string) {}
	}
	all := []string{Webhook, Sidecar, Debug}
	if len(o.Names) == 0 {
		o.Names = all
	}
	for _, name := range o.Names {
		if !slices.Contains(all, name) {
			return nil, fmt.Errorf("there is no image %q, only %s", name, strings.Join(all, ", "))
		}
	}
	version, err := appVersion(o.Root)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(o.Out, 0o755); err != nil {
		return nil, err
	}
	work, err := os.MkdirTemp("", "images-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(work)
	b := builder{Options: o, version: version, work: work}
	var out []Image
	for _, name := range o.Names {
		image, err := b.image(ctx, name)
		if err != nil {
			return nil, fmt.Errorf("building the image %s: %w", name, err)
		}
		out = append(out, image)
	}
	return out, nil
}

// Static makes the image of one static program, which is named as in a pod and has
// no SBOM: what tests let run beside ours. user is as in 0:0; empty: ours.
func Static(ctx context.Context, archive, name, user, program string) error {
	inside := bin + filepath.Base(program)
	r := recipe{parts: []part{files(executable(inside, program))}, program: "/" + inside, user: user}
	b := builder{Options: Options{Log: func(string) {}}}
	layers, err := b.layers(ctx, r)
	if err != nil {
		return err
	}
	return writeArchive(archive, name, r, layers)
}

// appVersion is the tag that the chart asks for.
func appVersion(root string) (string, error) {
	file := filepath.Join(root, "charts", "debugsidecar", "Chart.yaml")
	text, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	m := regexp.MustCompile(`(?m)^appVersion: "?([^"\n]+)"?$`).FindSubmatch(text)
	if m == nil {
		return "", fmt.Errorf("%s has no appVersion, which is the images' tag", file)
	}
	return string(m[1]), nil
}

type builder struct {
	Options
	version string
	work    string // directory for programs
}

func (b *builder) image(ctx context.Context, name string) (Image, error) {
	recipes := map[string]func(context.Context) (recipe, error){Webhook: b.webhook, Sidecar: b.sidecar, Debug: b.debug}
	r, err := recipes[name](ctx)
	if err != nil {
		return Image{}, err
	}
	r.version = b.version
	layers, err := b.layers(ctx, r)
	if err != nil {
		return Image{}, err
	}
	out := Image{Name: "debugsidecar/" + name + ":" + b.version, Archive: filepath.Join(b.Out, name+".tar")}
	for _, l := range layers {
		out.Layers = append(out.Layers, Layer{l.Digest.String(), l.Size, l.Unpacked})
		out.Compressed += l.Size
		out.Unpacked += l.Unpacked
	}
	manifest, _, err := describe(r, layers)
	if err != nil {
		return Image{}, err
	}
	out.Digest = manifest.descriptor.Digest.String()
	if err := writeSBOM(filepath.Join(b.Out, name+".spdx.json"), out, r); err != nil {
		return Image{}, err
	}
	return out, writeArchive(out.Archive, out.Name, r, layers)
}

func (b *builder) layers(ctx context.Context, r recipe) ([]layer, error) {
	var out []layer
	for _, p := range r.parts {
		l, err := makeLayer(ctx, b.Log, p)
		if err != nil {
			return nil, err
		}
		out = append(out, l)
	}
	return out, nil
}
