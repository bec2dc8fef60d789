package build

import (
	"archive/tar"
	"cmp"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/debugsidecar/debugsidecar/test/cache"
)

// entry is a file, a directory or a link of an image. Exactly one of data, file,
// link and dir is its content.
type entry struct {
	name string // without a slash at either end
	mode int64
	data []byte
	file string // on this machine
	link string // where a symbolic link leads
	hard string // name of the same file
	dir  bool
}

func executable(name, file string) entry { return entry{name: name, mode: 0o755, file: file} }

// merged are the directories that are links into /usr (UsrMerge).
var merged = []string{"bin", "sbin", "lib", "lib64"}

// canonical returns a name below /usr where it is one of the merged directories.
func canonical(name string) string {
	name = strings.TrimPrefix(path.Clean("/"+name), "/")
	first, _, _ := strings.Cut(name, "/")
	if slices.Contains(merged, first) && first != name {
		return "usr/" + name
	}
	return name
}

// complete sorts entries by name, adds the directories that they lie in, and
// lets a later one win over an earlier one of the same name.
func complete(entries []entry) []entry {
	all := map[string]entry{}
	for _, e := range entries {
		if before, ok := all[e.name]; ok && before.dir && e.dir {
			continue
		}
		all[e.name] = e
	}
	for _, e := range entries {
		for dir := path.Dir(e.name); dir != "."; dir = path.Dir(dir) {
			if _, ok := all[dir]; !ok {
				all[dir] = entry{name: dir, mode: 0o755, dir: true}
			}
		}
	}
	// A hard link comes after the file that it names.
	return slices.SortedFunc(maps.Values(all), func(a, b entry) int {
		if h := cmp.Compare(len(a.hard), len(b.hard)); (a.hard == "") != (b.hard == "") {
			return h
		}
		return cmp.Compare(a.name, b.name)
	})
}

// layer is a compressed layer in a file.
type layer struct {
	path     string
	unpacked int64
}

// makeLayer packs entries. It takes a layer from the cache if one of the same
// content is there: compressing takes seconds.
func makeLayer(ctx context.Context, entries []entry) (layer, error) {
	entries = complete(entries)
	key, unpacked, err := fingerprint(entries)
	if err != nil {
		return layer{}, err
	}
	shelf, err := cache.NewShelf("layers")
	if err != nil {
		return layer{}, err
	}
	dir, err := shelf.Fill(ctx, key, func(_ context.Context, dir string) error {
		return pack(filepath.Join(dir, "layer.tar.gz"), entries)
	}, func() {})
	return layer{filepath.Join(dir, "layer.tar.gz"), unpacked}, err
}

// fingerprint hashes all that a layer consists of.
func fingerprint(entries []entry) (key string, unpacked int64, err error) {
	h := sha256.New()
	for _, e := range entries {
		fmt.Fprintf(h, "%q %o %q %q %v\n", e.name, e.mode, e.link, e.hard, e.dir)
		n, err := e.copyTo(h)
		if err != nil {
			return "", 0, err
		}
		unpacked += n
	}
	return hex.EncodeToString(h.Sum(nil))[:32], unpacked, nil
}

func (e entry) copyTo(w io.Writer) (int64, error) {
	if e.file == "" {
		n, err := w.Write(e.data)
		return int64(n), err
	}
	f, err := os.Open(e.file)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	return io.Copy(w, f)
}

func (e entry) size() (int64, error) {
	if e.file == "" {
		return int64(len(e.data)), nil
	}
	info, err := os.Stat(e.file)
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// pack writes a layer whose bytes depend on nothing but the entries: all belong to
// root and are of 1970.
func pack(file string, entries []entry) (err error) {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	z, err := gzip.NewWriterLevel(f, gzip.DefaultCompression)
	if err != nil {
		return err
	}
	w := tar.NewWriter(z)
	for _, e := range entries {
		size, err := e.size()
		if err != nil {
			return err
		}
		header := &tar.Header{Name: e.name, Mode: e.mode, Size: size, Typeflag: tar.TypeReg, Format: tar.FormatPAX}
		switch {
		case e.dir:
			header.Typeflag, header.Name = tar.TypeDir, e.name+"/"
		case e.link != "":
			header.Typeflag, header.Linkname = tar.TypeSymlink, e.link
		case e.hard != "":
			header.Typeflag, header.Linkname = tar.TypeLink, e.hard
		}
		if err := w.WriteHeader(header); err != nil {
			return fmt.Errorf("%s: %w", e.name, err)
		}
		if _, err := e.copyTo(w); err != nil {
			return fmt.Errorf("%s: %w", e.name, err)
		}
	}
	return errors.Join(w.Close(), z.Close())
}

// baseFiles are what programs expect of any system: names for the user ids, the
// authorities of TLS, and directories to mount on.
func baseFiles() ([]entry, error) {
	const authorities = "/etc/ssl/certs/ca-certificates.crt"
	if _, err := os.Stat(authorities); err != nil {
		return nil, fmt.Errorf("the authorities of TLS are missing: apt-get install ca-certificates: %w", err)
	}
	out := []entry{
		{name: "etc/passwd", mode: 0o644, data: fmt.Appendf(nil, "root:x:0:0:root:/:/sbin/nologin\nnonroot:x:%d:%d:nonroot:/:/sbin/nologin\n", nonRoot, nonRoot)},
		{name: "etc/group", mode: 0o644, data: fmt.Appendf(nil, "root:x:0:\nnonroot:x:%d:\n", nonRoot)},
		{name: "etc/ssl/certs/ca-certificates.crt", mode: 0o644, file: authorities},
		{name: "run/debugsidecar", mode: 0o755, dir: true},
		{name: "tmp", mode: 0o1777, dir: true},
	}
	for _, dir := range merged {
		out = append(out, entry{name: dir, mode: 0o777, link: "usr/" + dir}, entry{name: "usr/" + dir, mode: 0o755, dir: true})
	}
	return out, nil
}
