package build

import (
	"archive/tar"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

const source = "https://github.com/debugsidecar/debugsidecar"

// Static makes the image of one static program, which is named as in a pod and has
// no SBOM: what tests let run beside ours.
func Static(ctx context.Context, archive, name, program string) error {
	work, err := os.MkdirTemp("", "images-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	b := builder{work: work}
	inside := bin + filepath.Base(program)
	image, _, err := b.assemble(ctx, recipe{layers: [][]entry{{executable(inside, program)}}, program: "/" + inside})
	if err != nil {
		return err
	}
	return b.archive(Image{Name: name, Archive: archive}, image)
}

// write makes the image's archive (OCI image layout 1.0 in a tar file) and its SBOM.
func (b *builder) write(ctx context.Context, name string, r recipe) (Image, error) {
	image, out, err := b.assemble(ctx, r)
	if err != nil {
		return Image{}, err
	}
	out.Name = "debugsidecar/" + name + ":" + b.version
	out.Archive = filepath.Join(b.Out, name+".tar")
	if err := b.sbom(filepath.Join(b.Out, name+".spdx.json"), out, r); err != nil {
		return Image{}, err
	}
	return out, b.archive(out, image)
}

// assemble makes an image's layers and its configuration.
func (b *builder) assemble(ctx context.Context, r recipe) (v1.Image, Image, error) {
	var out Image
	var layers []mutate.Addendum
	for _, entries := range r.layers {
		l, err := makeLayer(ctx, entries)
		if err != nil {
			return nil, Image{}, err
		}
		made, err := tarball.LayerFromFile(l.path, tarball.WithMediaType(types.OCILayer))
		if err != nil {
			return nil, Image{}, err
		}
		size, err := made.Size()
		if err != nil {
			return nil, Image{}, err
		}
		out.Compressed += size
		out.Unpacked += l.unpacked
		layers = append(layers, mutate.Addendum{Layer: made, History: v1.History{Created: created(), CreatedBy: "go run ./images"}})
	}
	image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	image, err := mutate.ConfigFile(image, &v1.ConfigFile{
		Architecture: runtime.GOARCH,
		OS:           "linux",
		Created:      created(),
		Config: v1.Config{
			Entrypoint: []string{r.program},
			Env:        []string{"PATH=/usr/sbin:/usr/bin"},
			User:       strconv.Itoa(nonRoot) + ":" + strconv.Itoa(nonRoot),
			WorkingDir: "/",
			Labels: map[string]string{
				"org.opencontainers.image.title":    r.title,
				"org.opencontainers.image.version":  b.version,
				"org.opencontainers.image.source":   source,
				"org.opencontainers.image.licenses": "Apache-2.0",
			},
		},
		RootFS: v1.RootFS{Type: "layers"},
	})
	if err != nil {
		return nil, Image{}, err
	}
	if image, err = mutate.Append(image, layers...); err != nil {
		return nil, Image{}, err
	}
	digest, err := image.Digest()
	if err != nil {
		return nil, Image{}, err
	}
	out.Digest = digest.String()
	return image, out, nil
}

// created is SOURCE_DATE_EPOCH, or 1970: the same inputs, the same bytes.
func created() v1.Time {
	seconds, err := strconv.ParseInt(os.Getenv("SOURCE_DATE_EPOCH"), 10, 64)
	if err != nil {
		seconds = 0
	}
	return v1.Time{Time: time.Unix(seconds, 0).UTC()}
}

// full adds Docker's registry to a name without a registry, as container runtimes
// do with what a pod says.
func full(name string) string {
	if first, _, _ := strings.Cut(name, "/"); strings.ContainsAny(first, ".:") || first == "localhost" {
		return name
	}
	return "docker.io/" + name
}

func (b *builder) archive(out Image, image v1.Image) error {
	dir, err := os.MkdirTemp(b.work, "layout-")
	if err != nil {
		return err
	}
	to, err := layout.Write(dir, empty.Index)
	if err != nil {
		return err
	}
	if err := to.AppendImage(image, layout.WithAnnotations(map[string]string{
		"org.opencontainers.image.ref.name": b.version,
		"io.containerd.image.name":          full(out.Name),
	})); err != nil {
		return err
	}
	temporary := out.Archive + ".new"
	if err := packDir(temporary, dir); err != nil {
		return err
	}
	return os.Rename(temporary, out.Archive)
}

// packDir writes a directory's files into a tar file.
func packDir(file, dir string) (err error) {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	var names []string
	if err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			names = append(names, path)
		}
		return err
	}); err != nil {
		return err
	}
	slices.Sort(names)
	w := tar.NewWriter(f)
	for _, name := range names {
		short, err := filepath.Rel(dir, name)
		if err != nil {
			return err
		}
		if err := addFile(w, name, short); err != nil {
			return err
		}
	}
	return w.Close()
}

func addFile(w *tar.Writer, file, name string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: info.Size()}); err != nil {
		return err
	}
	_, err = io.Copy(w, f)
	return err
}
