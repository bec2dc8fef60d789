package build

import (
	"archive/tar"
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

const source = "https://github.com/debugsidecar/debugsidecar"

// nonRoot is who programs run as, unless a pod says otherwise.
const nonRoot = 65532

// blob is a small file of an image, by its digest.
type blob struct {
	descriptor v1.Descriptor
	text       []byte
}

func newBlob(mediaType string, content any) (blob, error) {
	text, err := json.Marshal(content)
	return blob{v1.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(text), Size: int64(len(text))}, text}, err
}

// describe returns an image's manifest and its configuration.
func describe(r recipe, layers []layer) (manifest, config blob, err error) {
	date := created()
	content := v1.Image{
		Created:  &date,
		Platform: v1.Platform{Architecture: runtime.GOARCH, OS: "linux"},
		Config: v1.ImageConfig{
			Entrypoint: []string{r.program},
			Env:        []string{"PATH=/usr/sbin:/usr/bin"},
			User:       cmp.Or(r.user, strconv.Itoa(nonRoot)+":"+strconv.Itoa(nonRoot)),
			WorkingDir: "/",
			Labels:     r.labels(),
		},
		RootFS: v1.RootFS{Type: "layers"},
	}
	m := v1.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageManifest}
	for _, l := range layers {
		content.RootFS.DiffIDs = append(content.RootFS.DiffIDs, l.DiffID)
		content.History = append(content.History, v1.History{Created: &date, CreatedBy: "go run ./images"})
		m.Layers = append(m.Layers, v1.Descriptor{MediaType: v1.MediaTypeImageLayerGzip, Digest: l.Digest, Size: l.Size})
	}
	if config, err = newBlob(v1.MediaTypeImageConfig, content); err != nil {
		return blob{}, blob{}, err
	}
	m.Config = config.descriptor
	manifest, err = newBlob(v1.MediaTypeImageManifest, m)
	return manifest, config, err
}

func (r recipe) labels() map[string]string {
	if r.title == "" {
		return nil
	}
	return map[string]string{
		v1.AnnotationTitle:         r.title,
		v1.AnnotationVersion:       r.version,
		v1.AnnotationSource:        source,
		v1.AnnotationDocumentation: source + "/blob/main/docs/images.md",
		v1.AnnotationLicenses:      "Apache-2.0",
	}
}

// writeArchive writes an image as a tar file of an OCI image layout
// (https://github.com/opencontainers/image-spec/blob/v1.1.1/image-layout.md). It
// also has manifest.json, by which Docker before version 25 loads the same blobs.
func writeArchive(file, name string, r recipe, layers []layer) (err error) {
	manifest, config, err := describe(r, layers)
	if err != nil {
		return err
	}
	_, tag, _ := strings.Cut(filepath.Base(name), ":")
	entry := manifest.descriptor
	entry.Platform = &v1.Platform{Architecture: runtime.GOARCH, OS: "linux"}
	entry.Annotations = map[string]string{v1.AnnotationRefName: tag, "io.containerd.image.name": full(name)}
	index, err := json.Marshal(v1.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageIndex,
		Manifests: []v1.Descriptor{entry},
	})
	if err != nil {
		return err
	}
	type dockerImage struct {
		Config   string
		RepoTags []string
		Layers   []string
	}
	docker := dockerImage{Config: blobPath(config.descriptor.Digest), RepoTags: []string{name}}
	for _, l := range layers {
		docker.Layers = append(docker.Layers, blobPath(l.Digest))
	}
	dockers, err := json.Marshal([]dockerImage{docker})
	if err != nil {
		return err
	}

	// Under another name first: who reads the old one is not disturbed.
	f, err := os.CreateTemp(filepath.Dir(file), filepath.Base(file)+".new-")
	if err != nil {
		return err
	}
	defer func() {
		if err = errors.Join(err, f.Close()); err == nil {
			err = os.Rename(f.Name(), file)
		}
		_ = os.Remove(f.Name())
	}()
	if err := f.Chmod(0o644); err != nil {
		return err
	}
	w := archiveWriter{tar.NewWriter(f), map[string]bool{}}
	if err := errors.Join(
		w.bytes(v1.ImageLayoutFile, []byte(`{"imageLayoutVersion":"`+v1.ImageLayoutVersion+`"}`)),
		w.bytes(v1.ImageIndexFile, index),
		w.bytes("manifest.json", dockers),
		w.bytes(blobPath(manifest.descriptor.Digest), manifest.text),
		w.bytes(blobPath(config.descriptor.Digest), config.text),
	); err != nil {
		return err
	}
	for _, l := range layers {
		if err := w.layer(l); err != nil {
			return err
		}
	}
	return w.tar.Close()
}

func blobPath(d digest.Digest) string {
	return v1.ImageBlobsDir + "/" + d.Algorithm().String() + "/" + d.Encoded()
}

// full adds Docker's registry to a name without a registry, as container runtimes
// do with what a pod says.
func full(name string) string {
	if first, _, _ := strings.Cut(name, "/"); strings.ContainsAny(first, ".:") || first == "localhost" {
		return name
	}
	return "docker.io/" + name
}

type archiveWriter struct {
	tar  *tar.Writer
	have map[string]bool
}

func (w archiveWriter) bytes(name string, text []byte) error {
	return w.write(name, int64(len(text)), bytes.NewReader(text))
}

func (w archiveWriter) layer(l layer) error {
	f, err := os.Open(l.path)
	if err != nil {
		return err
	}
	defer f.Close()
	return w.write(blobPath(l.Digest), l.Size, f)
}

func (w archiveWriter) write(name string, size int64, r io.Reader) error {
	if w.have[name] {
		return nil
	}
	w.have[name] = true
	if err := w.tar.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: size, ModTime: created()}); err != nil {
		return err
	}
	_, err := io.Copy(w.tar, r)
	return err
}

// epoch reads seconds since 1970, and takes what is none for 1970.
func epoch(seconds string) time.Time {
	n, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil {
		n = 0
	}
	return time.Unix(n, 0).UTC()
}
