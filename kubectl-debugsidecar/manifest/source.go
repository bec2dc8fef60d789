package manifest

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// MaxSource bounds a file, in bytes: parsed, text takes many times its size.
const MaxSource = 16 << 20

// Sources says what to read.
type Sources struct {
	// Names are files and directories; "-" stands for Stdin. Of a directory, the
	// files *.yaml, *.yml and *.json are read.
	Names []string
	// Recursive says whether directories in directories are read.
	Recursive bool
	Stdin     io.Reader
}

// Read reads all documents in their order. The error names everything that
// can't be read; the documents that can are returned with it.
func Read(s Sources) ([]*Document, error) {
	var all []*Document
	var errs []error
	read := func(name string, open func() (io.ReadCloser, error)) {
		docs, err := readSource(name, open)
		all, errs = append(all, docs...), append(errs, err)
	}
	for _, name := range s.Names {
		if name == "-" {
			read("standard input", func() (io.ReadCloser, error) { return io.NopCloser(s.Stdin), nil })
			continue
		}
		files, err := expand(name, s.Recursive)
		errs = append(errs, err)
		for _, file := range files {
			read(file, func() (io.ReadCloser, error) { return os.Open(file) })
		}
	}
	return all, errors.Join(errs...)
}

func readSource(name string, open func() (io.ReadCloser, error)) ([]*Document, error) {
	r, err := open()
	if err != nil {
		return nil, err // names the file
	}
	defer r.Close()
	data, err := io.ReadAll(io.LimitReader(r, MaxSource+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("reading %s: %w", name, err)
	case len(data) > MaxSource:
		return nil, fmt.Errorf("%s: is larger than %d MiB; split it", name, MaxSource>>20)
	}
	return parse(name, data)
}

// expand returns the files that a name stands for.
func expand(name string, recursive bool) ([]string, error) {
	if strings.Contains(name, "://") {
		return nil, fmt.Errorf("%s: is a web address, and nothing is fetched from the network; download it, and give the file or -", name)
	}
	info, err := os.Stat(name)
	if err != nil {
		return nil, err // names the file
	}
	if !info.IsDir() {
		return []string{name}, nil
	}
	var files []string
	err = filepath.WalkDir(name, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && path != name && !recursive:
			return filepath.SkipDir
		case !entry.IsDir() && slices.Contains([]string{".yaml", ".yml", ".json"}, strings.ToLower(filepath.Ext(path))):
			files = append(files, path)
		}
		return nil
	})
	if err != nil {
		return files, fmt.Errorf("reading directory %s: %w", name, err)
	}
	return files, nil
}
