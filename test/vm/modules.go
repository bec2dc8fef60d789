package vm

import (
	"bytes"
	"context"
	"debug/elf"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// findModules returns the kernel modules below a folder, by name.
func findModules(root string) (map[string]string, error) {
	all := map[string]string{}
	err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if name, _, ok := strings.Cut(filepath.Base(path), ".ko"); ok {
			all[moduleName(name)] = path
		}
		return err
	})
	return all, err
}

// moduleName is how the kernel writes it: file names may have a dash instead.
func moduleName(name string) string { return strings.ReplaceAll(name, "-", "_") }

// keep copies modules and all that they depend on into a folder. What is no file
// is built into the kernel.
func keep(ctx context.Context, all map[string]string, names []string, to string) error {
	if err := os.MkdirAll(to, 0o755); err != nil {
		return err
	}
	for _, name := range names {
		from, ok := all[moduleName(name)]
		if !ok {
			continue
		}
		file := filepath.Join(to, moduleName(name)+".ko")
		if _, err := os.Stat(file); err == nil {
			continue
		}
		if err := copyModule(ctx, from, file); err != nil {
			return fmt.Errorf("module %s: %w", name, err)
		}
		needs, err := depends(file)
		if err != nil {
			return err
		}
		if err := keep(ctx, all, needs, to); err != nil {
			return err
		}
	}
	return nil
}

// loadOrder returns the files of modules, each after those that it depends on.
func loadOrder(dir string, names []string) ([]string, error) {
	var order []string
	seen := map[string]bool{}
	var add func(name string) error
	add = func(name string) error {
		name = moduleName(name)
		file := filepath.Join(dir, name+".ko")
		if _, err := os.Stat(file); err != nil || seen[name] {
			return nil //nolint:nilerr // built in
		}
		seen[name] = true
		needs, err := depends(file)
		if err != nil {
			return err
		}
		for _, n := range needs {
			if err := add(n); err != nil {
				return err
			}
		}
		order = append(order, file)
		return nil
	}
	for _, name := range names {
		if err := add(name); err != nil {
			return nil, err
		}
	}
	return order, nil
}

// depends reads what a module says that it depends on (include/linux/module.h,
// MODULE_INFO).
func depends(file string) ([]string, error) {
	f, err := elf.Open(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	defer f.Close()
	section := f.Section(".modinfo")
	if section == nil {
		return nil, fmt.Errorf("%s: not a kernel module", file)
	}
	info, err := section.Data()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	for entry := range bytes.SplitSeq(info, []byte{0}) {
		if list, ok := bytes.CutPrefix(entry, []byte("depends=")); ok && len(list) > 0 {
			return strings.Split(string(list), ","), nil
		}
	}
	return nil, nil
}
