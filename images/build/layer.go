package build

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/debugsidecar/debugsidecar/test/cache"
)

// layer is a compressed layer in a file.
type layer struct {
	path     string
	Digest   digest.Digest // of the file
	DiffID   digest.Digest // of the tar file in it
	Size     int64         // bytes of the file
	Unpacked int64         // bytes of the files in it
}

// makeLayer packs entries. It takes a layer from the cache if one of the same
// content is there: compressing takes most of the time.
func makeLayer(ctx context.Context, log func(string), p part) (layer, error) {
	entries := complete(p.entries)
	key, err := fingerprint(entries)
	if err != nil {
		return layer{}, err
	}
	shelf, err := cache.NewShelf("layers")
	if err != nil {
		return layer{}, err
	}
	// The date, and Go's version, whose gzip it is, are inputs, too.
	key = fmt.Sprintf("%s-%d-%s", key, created().Unix(), runtime.Version())
	const packed, about = "layer.tar.gz", "about.json"
	dir, err := shelf.Fill(ctx, key, func(ctx context.Context, dir string) error {
		if p.title != "" {
			log("compressing the " + p.title)
		}
		l, err := pack(ctx, filepath.Join(dir, packed), entries)
		if err != nil {
			return err
		}
		text, err := json.Marshal(l)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(dir, about), text, 0o644)
	}, func() { log("waiting for another process that builds images") })
	if err != nil {
		return layer{}, err
	}
	text, err := os.ReadFile(filepath.Join(dir, about))
	if err != nil {
		return layer{}, err
	}
	l := layer{path: filepath.Join(dir, packed)}
	return l, json.Unmarshal(text, &l)
}

// pack writes a layer whose bytes depend on nothing but the entries and the date:
// all belong to root.
func pack(ctx context.Context, file string, entries []entry) (l layer, err error) {
	f, err := os.Create(file)
	if err != nil {
		return layer{}, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	outer, inner := digest.Canonical.Digester(), digest.Canonical.Digester()
	z := gzip.NewWriter(io.MultiWriter(f, outer.Hash()))
	w := tar.NewWriter(io.MultiWriter(z, inner.Hash()))
	for _, e := range entries {
		if err := ctx.Err(); err != nil {
			return layer{}, err
		}
		n, err := e.packInto(w)
		if err != nil {
			return layer{}, fmt.Errorf("%s: %w", e.name, err)
		}
		l.Unpacked += n
	}
	if err := errors.Join(w.Close(), z.Close()); err != nil {
		return layer{}, err
	}
	info, err := f.Stat()
	if err != nil {
		return layer{}, err
	}
	l.Digest, l.DiffID, l.Size = outer.Digest(), inner.Digest(), info.Size()
	return l, nil
}

func (e entry) packInto(w *tar.Writer) (int64, error) {
	size, err := e.length()
	if err != nil {
		return 0, err
	}
	header := &tar.Header{Name: e.name, Mode: e.mode, Size: size, ModTime: created(), Typeflag: tar.TypeReg, Format: tar.FormatPAX}
	switch {
	case e.dir:
		header.Typeflag, header.Name = tar.TypeDir, e.name+"/"
	case e.link != "":
		header.Typeflag, header.Linkname = tar.TypeSymlink, e.link
	case e.hard != "":
		header.Typeflag, header.Linkname = tar.TypeLink, e.hard
	}
	if err := w.WriteHeader(header); err != nil {
		return 0, err
	}
	return e.copyTo(w)
}

// created is SOURCE_DATE_EPOCH, or 1970: the same inputs, the same bytes.
func created() time.Time { return epoch(os.Getenv("SOURCE_DATE_EPOCH")) }
