package build

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
)

// entry is a file, a directory or a link of an image. Exactly one of data, file,
// link, hard and dir is its content.
type entry struct {
	name string // without a slash at either end
	mode int64
	data []byte
	file string // on this machine
	at   int64  // where the content begins in file; it has size bytes
	size int64
	link string // where a symbolic link leads
	hard string // name of the same file
	dir  bool
}

func executable(name, file string) entry { return entry{name: name, mode: 0o755, file: file, size: -1} }

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
		if (a.hard == "") != (b.hard == "") {
			return cmp.Compare(len(a.hard), len(b.hard))
		}
		return cmp.Compare(a.name, b.name)
	})
}

// without leaves out the files and links that a lower layer already has, byte for
// byte.
func without(entries, lower []entry) []entry {
	have := map[string]entry{}
	for _, e := range lower {
		have[e.name] = e
	}
	// What a hard link names has to be in its own layer.
	named := map[string]bool{}
	for _, e := range entries {
		named[e.hard] = true
	}
	return slices.DeleteFunc(slices.Clone(entries), func(e entry) bool {
		l, ok := have[e.name]
		return ok && !e.dir && e.hard == "" && !named[e.name] && e.mode == l.mode && same(e, l)
	})
}

func same(a, b entry) bool {
	if a.dir != b.dir || a.link != b.link || a.hard != b.hard {
		return false
	}
	x, errX := a.sum()
	y, errY := b.sum()
	return errX == nil && errY == nil && x == y
}

func (e entry) sum() (string, error) {
	h := sha256.New()
	_, err := e.copyTo(h)
	return hex.EncodeToString(h.Sum(nil)), err
}

// length returns how many bytes a file has.
func (e entry) length() (int64, error) {
	if e.file == "" {
		return int64(len(e.data)), nil
	}
	if e.size >= 0 {
		return e.size, nil
	}
	info, err := os.Stat(e.file)
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

func (e entry) copyTo(w io.Writer) (n int64, err error) {
	if e.file == "" {
		n, err := w.Write(e.data)
		return int64(n), err
	}
	size, err := e.length()
	if err != nil {
		return 0, err
	}
	f, err := os.Open(e.file)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return io.Copy(w, io.NewSectionReader(f, e.at, size))
}

// fingerprint hashes all that a layer consists of.
func fingerprint(entries []entry) (string, error) {
	h := sha256.New()
	for _, e := range entries {
		size, err := e.length()
		if err != nil {
			return "", err
		}
		fmt.Fprintf(h, "%q %o %q %q %v %d\n", e.name, e.mode, e.link, e.hard, e.dir, size)
		if _, err := e.copyTo(h); err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(h.Sum(nil))[:32], nil
}
