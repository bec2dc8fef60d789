package profile

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
)

//go:embed embedded/*.yaml
var embedded embed.FS

// Set holds profiles by name. It is immutable.
type Set struct {
	byName map[string]*Profile
}

// Get returns the profile of that name, if there is one.
func (s *Set) Get(name string) (*Profile, bool) {
	p, ok := s.byName[name]
	return p, ok
}

// Names returns the names of all profiles, sorted.
func (s *Set) Names() []string { return slices.Sorted(maps.Keys(s.byName)) }

// LoadSet loads the embedded profiles and those in the files *.yaml of dir,
// which may be empty. A file whose profile has the name of an embedded one
// replaces it. What is broken is named in the error, each file of it; the set
// then is nil, so that nothing half-read takes effect.
func LoadSet(dir string, settings Settings) (*Set, error) {
	s := &Set{byName: map[string]*Profile{}}
	if err := s.add(embedded, "embedded", "embedded", settings); err != nil {
		return nil, err
	}
	if dir == "" {
		return s, nil
	}
	own := &Set{byName: map[string]*Profile{}}
	if err := own.add(os.DirFS(dir), ".", dir, settings); err != nil {
		return nil, err
	}
	maps.Copy(s.byName, own.byName)
	return s, nil
}

// add loads the files *.yaml and *.yml of dir in fsys. A ConfigMap's volume has
// hidden directories and links; what starts with a dot is not read.
func (s *Set) add(fsys fs.FS, dir, shown string, settings Settings) error {
	entries, err := fs.ReadDir(fsys, dir)
	if err != nil {
		return fmt.Errorf("listing profiles: %w", err)
	}
	var errs []error
	for _, entry := range entries {
		name := entry.Name()
		if ext := path.Ext(name); strings.HasPrefix(name, ".") || ext != ".yaml" && ext != ".yml" {
			continue
		}
		data, err := fs.ReadFile(fsys, path.Join(dir, name))
		if err != nil {
			errs = append(errs, fmt.Errorf("reading a profile: %w", err))
			continue
		}
		errs = append(errs, s.load(path.Join(shown, name), data, settings))
	}
	return errors.Join(errs...)
}

func (s *Set) load(name string, data []byte, settings Settings) error {
	p, err := Load(name, data, settings)
	if err != nil {
		return err
	}
	if other, ok := s.byName[p.Name]; ok {
		return fmt.Errorf("%s:1: profile %q is in %s already", name, p.Name, other.Source)
	}
	s.byName[p.Name] = p
	return nil
}

// Revisions returns each profile's revision by its name.
func (s *Set) Revisions() map[string]string {
	out := make(map[string]string, len(s.byName))
	for name, p := range s.byName {
		out[name] = p.Revision
	}
	return out
}
