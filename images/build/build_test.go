package build

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// built builds all images, once for all tests.
var built = sync.OnceValues(func() (map[string]Image, error) {
	dir, err := os.MkdirTemp("", "images-test-")
	if err != nil {
		return nil, err
	}
	outDir = dir
	return buildInto(dir)
})

var outDir string

func TestMain(m *testing.M) {
	code := m.Run()
	if outDir != "" {
		_ = os.RemoveAll(outDir)
	}
	os.Exit(code)
}

func buildInto(dir string, names ...string) (map[string]Image, error) {
	images, err := Images(context.Background(), Options{Root: "../..", Out: dir, Names: names})
	all := map[string]Image{}
	for _, i := range images {
		all[strings.TrimSuffix(filepath.Base(i.Archive), ".tar")] = i
	}
	return all, err
}

// all returns the built images, or skips where they can't be.
func all(t *testing.T) map[string]Image {
	t.Helper()
	if testing.Short() {
		t.Skip("builds images")
	}
	for _, missing := range []string{"/usr/include/opencv4", "/usr/bin/apt-get", "/usr/bin/dpkg-deb"} {
		if _, err := os.Stat(missing); err != nil {
			t.Skipf("images take Debian's packages and OpenCV (make images): %v", err)
		}
	}
	images, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return images
}

// opened is an archive as a container runtime reads it.
type opened struct {
	blobs    map[string][]byte // by name in the archive
	entry    v1.Descriptor     // in index.json
	manifest v1.Manifest
	image    v1.Image
}

// open reads an archive and compares all its blobs with their digests and sizes.
func open(t *testing.T, archive string) opened {
	t.Helper()
	f, err := os.Open(archive)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	o := opened{blobs: map[string][]byte{}}
	for r := tar.NewReader(f); ; {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if o.blobs[h.Name], err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
	}
	var index v1.Index
	decode(t, o.blobs["index.json"], &index)
	if len(index.Manifests) != 1 {
		t.Fatalf("%s: %d manifests", archive, len(index.Manifests))
	}
	o.entry = index.Manifests[0]
	decode(t, o.blob(t, o.entry), &o.manifest)
	decode(t, o.blob(t, o.manifest.Config), &o.image)
	if len(o.image.RootFS.DiffIDs) != len(o.manifest.Layers) {
		t.Fatalf("%s: %d layers, %d digests of their content", archive, len(o.manifest.Layers), len(o.image.RootFS.DiffIDs))
	}
	return o
}

func (o opened) blob(t *testing.T, d v1.Descriptor) []byte {
	t.Helper()
	text, ok := o.blobs[blobPath(d.Digest)]
	if !ok || digest.FromBytes(text) != d.Digest || int64(len(text)) != d.Size {
		t.Fatalf("blob %s of %d bytes: there are %d bytes with digest %s", d.Digest, d.Size, len(text), digest.FromBytes(text))
	}
	return text
}

// eachFile calls visit for all that is in an image's layers, and compares their
// content with its digest.
func (o opened) eachFile(t *testing.T, visit func(layer int, h *tar.Header, content io.Reader)) {
	t.Helper()
	for i, l := range o.manifest.Layers {
		z, err := gzip.NewReader(bytes.NewReader(o.blob(t, l)))
		if err != nil {
			t.Fatal(err)
		}
		sum := digest.Canonical.Digester()
		tee := io.TeeReader(z, sum.Hash())
		for r := tar.NewReader(tee); ; {
			h, err := r.Next()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			visit(i, h, r)
		}
		if _, err := io.Copy(io.Discard, tee); err != nil {
			t.Fatal(err)
		}
		if sum.Digest() != o.image.RootFS.DiffIDs[i] {
			t.Errorf("layer %d has content %s, said to be %s", i, sum.Digest(), o.image.RootFS.DiffIDs[i])
		}
	}
}

func decode(t *testing.T, text []byte, into any) {
	t.Helper()
	if err := json.Unmarshal(text, into); err != nil {
		t.Fatalf("%v in %q", err, text)
	}
}

func TestEachImageSaysWhoRunsWhat(t *testing.T) {
	for name, image := range all(t) {
		o := open(t, image.Archive)
		program := "/usr/bin/sidecar"
		if name == Webhook {
			program = "/usr/bin/webhook"
		}
		c := o.image.Config
		if c.User != "65532:65532" || len(c.Entrypoint) != 1 || c.Entrypoint[0] != program || len(c.Cmd) != 0 {
			t.Errorf("%s: user %s, entry point %q, command %q", name, c.User, c.Entrypoint, c.Cmd)
		}
		if o.image.Architecture != runtime.GOARCH || o.image.OS != "linux" {
			t.Errorf("%s is for %s/%s", name, o.image.OS, o.image.Architecture)
		}
		if c.Labels[v1.AnnotationVersion] == "" || c.Labels[v1.AnnotationTitle] == "" {
			t.Errorf("%s: labels %v", name, c.Labels)
		}
		if got, want := o.entry.Annotations["io.containerd.image.name"], "docker.io/"+image.Name; got != want {
			t.Errorf("%s is imported as %s, want %s", name, got, want)
		}
		if o.entry.Digest.String() != image.Digest {
			t.Errorf("%s: digest %s, said to be %s", name, o.entry.Digest, image.Digest)
		}
	}
}

func TestWhatDockerLoadsIsTheSameImage(t *testing.T) {
	for name, image := range all(t) {
		o := open(t, image.Archive)
		var docker []struct {
			Config   string
			RepoTags []string
			Layers   []string
		}
		decode(t, o.blobs["manifest.json"], &docker)
		if len(docker) != 1 || docker[0].Config != blobPath(o.manifest.Config.Digest) || docker[0].RepoTags[0] != image.Name {
			t.Fatalf("%s: %+v", name, docker)
		}
		for i, l := range o.manifest.Layers {
			if docker[0].Layers[i] != blobPath(l.Digest) {
				t.Errorf("%s: layer %d is %s, want %s", name, i, docker[0].Layers[i], l.Digest)
			}
		}
	}
}

func TestAllFilesBelongToRootAndHaveOneDate(t *testing.T) {
	for name, image := range all(t) {
		open(t, image.Archive).eachFile(t, func(_ int, h *tar.Header, _ io.Reader) {
			if h.Uid != 0 || h.Gid != 0 || !h.ModTime.Equal(created()) || h.Mode&0o6000 != 0 {
				t.Errorf("%s: %s belongs to %d:%d, is of %v, has mode %o", name, h.Name, h.Uid, h.Gid, h.ModTime, h.Mode)
			}
			if h.Mode&0o002 != 0 && h.Mode&0o1000 == 0 && h.Typeflag != tar.TypeSymlink {
				t.Errorf("%s: everybody may write %s (mode %o)", name, h.Name, h.Mode)
			}
		})
	}
}

func TestOnlyTheDebugImageHasMoreProgramsThanOurs(t *testing.T) {
	want := map[string][]string{
		Webhook: {"usr/bin/webhook"},
		Sidecar: {"usr/bin/debugsidecar-capture", "usr/bin/sidecar"},
	}
	images := all(t)
	for name, programs := range want {
		var got []string
		open(t, images[name].Archive).eachFile(t, func(_ int, h *tar.Header, _ io.Reader) {
			file := strings.TrimSuffix(h.Name, "/")
			if h.Typeflag != tar.TypeDir && (strings.Contains(file, "bin/") || strings.HasPrefix(filepath.Base(file), "busybox")) {
				got = append(got, file)
			}
		})
		if strings.Join(got, " ") != strings.Join(programs, " ") {
			t.Errorf("%s has %q, want %q", name, got, programs)
		}
	}
	if got := open(t, images[Webhook].Archive); len(got.manifest.Layers) != 1 {
		t.Errorf("the webhook's image has %d layers", len(got.manifest.Layers))
	}
}

func TestImagesAreAsSmallAsPromised(t *testing.T) {
	images := all(t)
	for name, most := range map[string]int64{Webhook: 60e6, Sidecar: 350e6} {
		if got := images[name].Compressed; got > most {
			t.Errorf("%s: %d bytes to pull, at most %d were promised", name, got, most)
		}
	}
	if got := images[Sidecar].Unpacked; got > 350e6 {
		t.Errorf("the sidecar's files have %d bytes, at most 350e6 were promised", got)
	}
}

func TestDebugHasTheSidecarsLayers(t *testing.T) {
	images := all(t)
	for _, l := range images[Sidecar].Layers {
		shared := false
		for _, d := range images[Debug].Layers {
			shared = shared || d.Digest == l.Digest
		}
		if !shared {
			t.Errorf("the layer %s of the sidecar's image is not in debug's", l.Digest)
		}
	}
}

// Another directory and a cache of layers and packages that is empty: linked and
// packed anew, the digests and the bills are the same.
func TestBuiltTwiceAnImageHasTheSameDigest(t *testing.T) {
	first := all(t)
	t.Setenv("DEBUGSIDECAR_CACHE", t.TempDir())
	dir := t.TempDir()
	again, err := buildInto(dir, Webhook, Sidecar)
	if err != nil {
		t.Fatal(err)
	}
	for name, image := range again {
		if image.Digest != first[name].Digest {
			t.Errorf("%s: %s, then %s", name, first[name].Digest, image.Digest)
		}
		for _, file := range []string{name + ".tar", name + ".spdx.json"} {
			if sum(t, filepath.Join(dir, file)) != sum(t, filepath.Join(filepath.Dir(first[name].Archive), file)) {
				t.Errorf("%s differs", file)
			}
		}
	}
}

func sum(t *testing.T, file string) digest.Digest {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	d, err := digest.FromReader(f)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestAnImageThatIsNotThereIsNamed(t *testing.T) {
	_, err := buildInto(t.TempDir(), "probe")
	if err == nil || !strings.Contains(err.Error(), `no image "probe", only webhook, sidecar, debug`) {
		t.Errorf("got %v", err)
	}
}
